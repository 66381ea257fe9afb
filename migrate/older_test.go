package migrate_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal"
	"github.com/slipway-dev/slipway/migrate/journal/crashfs"
)

// today is the runbook of this program, in which the older programs' journals are to be taken up.
func today() []any {
	return []any{plain{spec: id("one.a")}, "|", plain{spec: id("two.b")}, plain{spec: id("two.side")}, migrate.Gate{ID: "gate"}, plain{spec: id("three.c")}}
}

// older are journals of programs with one step more or one less than this one. What wrote them is here, and never runs again.
var older = []struct {
	name   string
	book   func() []any
	back   bool   // it was killed in mid-rollback
	differ string // what a resume says
	never  string // why that can't be accepted; "" when it can
}{
	{name: "v1-one-step-less", book: func() []any { return today()[:5] }, differ: "step three.c: is new"},
	{name: "v1-one-step-less-beside", book: func() []any { return slices.Delete(today(), 3, 4) }, differ: "step two.side: is new", never: "step two.side has not run, and what comes after it has"},
	{name: "v1-one-step-less-before", book: func() []any { return slices.Delete(today(), 0, 2) }, differ: "step one.a: is new", never: "step one.a has not run, and what comes after it has"},
	{name: "v1-one-step-more", book: func() []any { return append(today(), plain{spec: id("three.d")}) }, differ: "step three.d: is gone"},
	{name: "v1-one-step-more-that-ran", book: func() []any { return slices.Insert(today(), 4, any(plain{spec: id("two.old")})) }, differ: "step two.old: is gone", never: "step two.old has run, and this program can't undo it"},
	{name: "v1-one-step-more-back", back: true, book: func() []any { return slices.Insert(today(), 4, any(plain{spec: id("two.old")})) }, differ: "step two.old: is gone"},
	{name: "v1-one-step-less-back", back: true, book: func() []any { return today()[:5] }, differ: "step three.c: is new"},
}

// recordOlder runs an older program up to the gate; back: and then back, until the first undo of phase one.
func recordOlder(l *lab, steps []any, back bool) {
	if back {
		steps[0] = plain{spec: id("one.a"), undo: func(context.Context, migrate.Recorded[plainOut]) error { l.life.Kill("older"); return nil }}
	}
	o := migrate.Options{Tool: "slipway 1", Who: "kim@desk"}
	_ = l.run(book(steps...), o, func(r *migrate.Run) error {
		if err := r.Resume(context.Background()); !back || !errors.Is(err, migrate.ErrWaiting) {
			return err
		}
		return r.Rollback(context.Background(), "", "test")
	})
	l.d.Crash(crashfs.KeepAll)
}

// A program with one step more or less refuses the journal and says what differs. A person may accept that with a reason,
// and then the run goes all the way; but not what the journal doesn't fit.
func TestOlderPrograms(t *testing.T) {
	for _, x := range older {
		t.Run(x.name, func(t *testing.T) {
			b, err := os.ReadFile("testdata/journals/" + x.name + ".jsonl")
			if err != nil {
				t.Fatal(err)
			}
			inLab(t, func(l *lab) {
				l.d.Write(b)
				o := migrate.Options{Tool: "slipway 1", Who: "kim@desk", Ask: answers(migrate.Pass)}
				err := l.run(book(today()...), o, resume)
				l.must(err, migrate.ErrDigest)
				if !strings.Contains(err.Error(), x.differ) || string(l.d.Bytes()) != string(b) {
					t.Errorf("%v, and %d bytes were written", err, len(l.d.Bytes())-len(b))
				}
				o.Accept = "a fix"
				err = l.run(book(today()...), o, resume)
				if x.never != "" {
					l.must(err, migrate.ErrDigest)
					if !strings.Contains(err.Error(), x.never) || string(l.d.Bytes()) != string(b) {
						t.Errorf("%v, and %d bytes were written", err, len(l.d.Bytes())-len(b))
					}
					return
				}
				end := error(nil)
				if x.back {
					end = migrate.ErrRolledBack
				}
				l.must(err, end)
				h := l.history()
				for _, s := range h.Steps() {
					if want := x.back; (s.State == migrate.StepIsVerified || s.State == migrate.GateIsPassed) == want {
						t.Errorf("%s is %q", s.ID, s.State)
					}
				}
				i := slices.IndexFunc(l.records(), func(r journal.Record) bool { return r.Kind == journal.Operator })
				if rec := l.records()[i]; !strings.Contains(string(rec.Data), "a fix") || !strings.Contains(string(rec.Data), x.differ) || rec.Who != "kim@desk" {
					t.Errorf("the record says %s by %s", rec.Data, rec.Who)
				}
			})
		})
	}
}
