package migrate_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal"
)

// All problems of a runbook are told at once.
func TestRunbookProblems(t *testing.T) {
	other := migrate.NewRunbook[migrate.Rehearsal]()
	other.Phase("x")
	eye := migrate.Look("nothing", struct{}{})
	elsewhere := migrate.Add(other, plain{spec: id("elsewhere")}, eye, migrate.NoHands[migrate.Rehearsal](eye))

	rb := migrate.NewRunbook[migrate.Rehearsal]()
	hand := migrate.NoHands[migrate.Rehearsal](eye)
	migrate.Add(rb, plain{spec: id("early")}, eye, hand)
	rb.Phase("one")
	rb.Phase("one")
	migrate.Add(rb, plain{spec: id("Bad_Id")}, eye, hand)
	migrate.Add(rb, plain{spec: id(migrate.StepID(strings.Repeat("long", 11)))}, eye, hand)
	migrate.Add(rb, plain{spec: id("twice")}, eye, hand)
	migrate.Add(rb, plain{spec: id("twice")}, eye, hand)
	migrate.Add(rb, plain{spec: migrate.Spec{ID: "needy", Needs: []migrate.Dep{elsewhere.Dep()}}}, eye, hand)
	migrate.Add(rb, plain{spec: migrate.Spec{ID: "ender", Ends: []migrate.Dep{elsewhere.Dep()}}}, eye, hand)
	migrate.Add(rb, plain{spec: migrate.Spec{ID: "no.return", PointOfNoReturn: true}}, eye, hand)
	migrate.AddGate(rb, migrate.Gate{ID: "last", PointOfNoReturn: true, Within: time.Hour})
	migrate.Add(rb, plain{spec: id("blind")}, migrate.Eye[struct{}]{}, migrate.Hand[migrate.Rehearsal, struct{}]{})
	w := newWorld()
	l := migrate.Look[sourceLook]("source", sourceLooks{newSource(w, w.prod)})
	migrate.AddService(rb, forward{}, migrate.BothEyes(l, migrate.Look[targetLook]("target", targetLooks{newTarget(w)}), func(s sourceLook, l targetLook) forwardC[targetLook] {
		return forwardC[targetLook]{s, l}
	}), migrate.Maker[migrate.Rehearsal]("target", func(context.Context, migrate.Stamp) (forwardC[targetAct], error) { panic("not called") }))
	migrate.Add(rb, plain{spec: id("twice")}, eye, hand)

	err := rb.Err()
	for _, want := range []string{
		"early: added before the first phase", `phase "one": name is empty or used twice`, `"Bad_Id": an id is lower-case`, `at most 40 characters`,
		"twice: id is used twice", `needy: needs "elsewhere", which was not added before it`, `ender: ends "elsewhere", which was not added before it`,
		"no.return: is a point of no return and has no gate before it", "last: a point of no return must not have a deadline",
		"blind: has no eye", "blind: has no hand", "follow.rows: a service that nothing stops",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in:\n%v", want, err)
		}
	}
	if err := migrate.NewRunbook[migrate.Rehearsal]().Err(); err == nil || !strings.Contains(err.Error(), "the runbook is empty") {
		t.Errorf("%v", err)
	}
}

// A looker that can be asserted into more than it is handed out as is refused when the runbook is built, or opened.
func TestLookersAreClosed(t *testing.T) {
	w := newWorld()
	if _, ok := cloudLook(cloud{w}).(cloudMake); !ok {
		t.Fatal("the trap is gone")
	}
	if _, ok := cloudLook(cloudLooks{cloud{w}}).(cloudMake); ok {
		t.Fatal("a closed looker is open")
	}
	refused := func(name string, err error) {
		t.Helper()
		if !errors.Is(err, migrate.ErrReadOnly) {
			t.Errorf("%s: %v", name, err)
		}
	}
	refused("an actor as a looker", migrate.EyeErr(migrate.Look[cloudLook]("cloud", cloud{w})))
	refused("an actor in a struct", migrate.EyeErr(migrate.Look("both", struct{ Cloud cloudLook }{cloud{w}})))
	refused("a reachable actor", migrate.EyeErr(migrate.Look[cloudLook]("cloud", Reachable{cloud{w}})))
	refused("no interface", migrate.EyeErr(migrate.Look("cloud", &cloud{w})))
	refused("absent", migrate.EyeErr(migrate.LookAt(migrate.Ref[clusterOut]{}, cloudLook(cloud{w}), nil)))
	if err := migrate.EyeErr(migrate.Look[cloudLook]("cloud", nil)); err == nil {
		t.Error("a nil looker was taken")
	}
	inLab(t, func(l *lab) { // one that is opened later is looked at then
		x := forCutover(l.world)
		x.see = func(context.Context, clusterOut) (targetLook, error) { return newTarget(l.world), nil }
		l.must(process(l.world, l.d, phases(x), passing(), resume), migrate.ErrReadOnly)
	})
	inLab(t, func(l *lab) {
		rb := migrate.NewRunbook[migrate.Rehearsal]()
		rb.Phase("one")
		migrate.Add(rb, clusterStep{}, migrate.LookVia("cloud", func(context.Context) (cloudLook, error) { return cloud{l.world}, nil }), forRehearsal(l.world).maker)
		l.must(l.run(rb, passing(), resume), migrate.ErrReadOnly)
	})
}

// Reachable's actor can be reached by whoever knows the type.
type Reachable struct{ Inner cloudMake }

func (r Reachable) Find(name string) (bool, error) { return r.Inner.Find(name) }

// secretText is what a secret type is to the engine.
type secretText struct{ S string }

func (secretText) NeverJournaled() {}

func (secretText) MarshalText() ([]byte, error) { return []byte("***"), nil }

func (*secretText) UnmarshalText([]byte) error { return errors.New("a secret can't be read") }

// What can't come back from a journal, or must not go there, is refused by its type.
func TestOutMustBeData(t *testing.T) {
	type deep struct {
		List []map[string]*struct{ Password secretText }
	}
	type recursive struct {
		Name string
		Next *recursive
	}
	for _, x := range []struct {
		name, want string
		err        error
	}{
		{"a secret", "is a secret", migrate.CheckOut[secretText]()},
		{"a secret far inside", "Password is a secret", migrate.CheckOut[deep]()},
		{"an unexported field", "n is unexported", migrate.CheckOut[struct{ n int }]()},
		{"a field that is left out", "left out", migrate.CheckOut[struct {
			N int `json:"-"`
		}]()},
		{"an interface", "is an interface", migrate.CheckOut[struct{ V any }]()},
		{"an error", "is an interface", migrate.CheckOut[struct{ V error }]()},
		{"a function", "is a func", migrate.CheckOut[struct{ F func() }]()},
		{"a channel", "is a chan", migrate.CheckOut[chan int]()},
		{"raw JSON", "hides its type", migrate.CheckOut[struct{ R json.RawMessage }]()},
		{"a map with keys of a struct", "keys of type", migrate.CheckOut[map[struct{ A int }]int]()},
	} {
		if !errors.Is(x.err, migrate.ErrNotData) || !strings.Contains(x.err.Error(), x.want) {
			t.Errorf("%s: %v", x.name, x.err)
		}
	}
	for name, err := range map[string]error{
		"plain":     migrate.CheckOut[plainOut](),
		"times":     migrate.CheckOut[struct{ T time.Time }](),
		"addresses": migrate.CheckOut[map[netip.Addr][]netip.Prefix](),
		"recursive": migrate.CheckOut[recursive](),
		"bytes":     migrate.CheckOut[[]byte](),
		"references": migrate.CheckOut[struct {
			A int
			_ [0]func()
		}](),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// lossy looks like data and doesn't come back as what it was.
type lossy struct{ N int }

func (l lossy) MarshalJSON() ([]byte, error)  { return json.Marshal(l.N) }
func (l *lossy) UnmarshalJSON(b []byte) error { l.N = len(b) + 100; return nil }

func TestOutMustComeBack(t *testing.T) {
	if _, err := migrate.EncodeOut(lossy{3}); !errors.Is(err, migrate.ErrNotData) {
		t.Errorf("%v", err)
	}
	if _, err := migrate.EncodeOut(struct{ F float64 }{nan()}); !errors.Is(err, migrate.ErrNotData) {
		t.Errorf("%v", err)
	}
	if raw, err := migrate.EncodeOut(map[string]string{"a": "<&>"}); err != nil || string(raw) != `{"a":"<&>"}` {
		t.Errorf("%s %v", raw, err)
	}
}

func nan() float64 { zero := 0.0; return zero / zero }

// A step reads only the results that it needs.
func TestUndeclaredNeed(t *testing.T) {
	inLab(t, func(l *lab) {
		rb := migrate.NewRunbook[migrate.Rehearsal]()
		rb.Phase("one")
		eye := migrate.Look("nothing", struct{}{})
		hand := migrate.NoHands[migrate.Rehearsal](eye)
		a := migrate.Add(rb, plain{spec: id("a")}, eye, hand)
		migrate.Add(rb, plain{spec: id("b"), run: func(_ context.Context, s *migrate.Scope[struct{}], o plainOut) (plainOut, error) {
			_, err := migrate.Value(s, a)
			return o, err
		}}, eye, hand)
		l.must(l.run(rb, migrate.Options{}, resume), migrate.ErrUndeclaredDep)
	})
}

// While a step is redone its last result still serves the undo of those that were made with it.
func TestUndoReadsTheLastResult(t *testing.T) {
	inLab(t, func(l *lab) {
		gone, undone := false, 0
		book := func() *migrate.Runbook[migrate.Rehearsal] {
			rb := migrate.NewRunbook[migrate.Rehearsal]()
			rb.Phase("one")
			eye := migrate.Look("nothing", struct{}{})
			hand := migrate.NoHands[migrate.Rehearsal](eye)
			a := migrate.Add(rb, plain{spec: id("a"),
				plan: func(_ context.Context, _ *migrate.Scope[struct{}], rec migrate.Recorded[plainOut]) (migrate.Plan[plainOut], error) {
					if rec.Complete && !gone {
						return migrate.Done(rec.Out), nil
					}
					return migrate.Plan[plainOut]{}, nil
				},
				run: func(context.Context, *migrate.Scope[struct{}], plainOut) (plainOut, error) {
					if gone {
						return plainOut{}, errInjected
					}
					return plainOut{7}, nil
				}}, eye, hand)
			migrate.Add(rb, plain{spec: id("b"), undo: func(context.Context, migrate.Recorded[plainOut]) error { undone++; return nil }}, eye,
				migrate.Created[migrate.Rehearsal](a, func(_ context.Context, o plainOut, _ migrate.Stamp) (struct{}, error) {
					if o.N != 7 {
						return struct{}{}, fmt.Errorf("it made %d", o.N)
					}
					return struct{}{}, nil
				}))
			migrate.AddGate(rb, migrate.Gate{ID: "gate"})
			return rb
		}
		l.must(l.run(book(), migrate.Options{}, resume), migrate.ErrWaiting)
		gone = true
		o := migrate.Options{OnDrift: func(context.Context, migrate.Drift) (migrate.Verdict, error) {
			return migrate.Verdict{Choice: migrate.DriftRedo, Why: "test"}, nil
		}}
		l.must(l.run(book(), o, resume), errInjected)
		l.must(l.run(book(), o, rollback), migrate.ErrRolledBack)
		if undone != 1 {
			t.Errorf("b was undone %d times", undone)
		}
	})
}

// A program, a configuration or a runbook that isn't what the run was opened with is refused, with what differs. A person
// may accept it, but not what the journal doesn't fit.
func TestManifest(t *testing.T) {
	versioned := func(v int) plain { return plain{spec: migrate.Spec{ID: "b", Version: v}} }
	base := []any{plain{spec: id("a")}, "|", versioned(1), migrate.Gate{ID: "gate"}, plain{spec: id("c")}}
	with := func(i int, x ...any) []any { return slices.Concat(base[:i:i], x, base[i:]) }
	without := func(i int) []any { return slices.Delete(slices.Clone(base), i, i+1) }
	opened := migrate.Options{Tool: "slipway 1", Config: []migrate.Setting{{Name: "zone", Digest: "1"}, {Name: "hosts", Digest: "2"}},
		Arguments: []migrate.Argument{{Name: "snapshot", Value: "s1"}}}
	for _, x := range []struct {
		name    string
		steps   []any
		change  func(*migrate.Options)
		differs []string
		never   string // why it can't be accepted
	}{
		{name: "the same", steps: base},
		{name: "another program", steps: base, change: func(o *migrate.Options) { o.Tool = "slipway 2" }, differs: []string{"program: was slipway 1, is slipway 2"}},
		{name: "another configuration", steps: base,
			change: func(o *migrate.Options) {
				o.Config = []migrate.Setting{{Name: "hosts", Digest: "3"}, {Name: "new", Digest: "4"}}
			},
			differs: []string{"configuration: hosts has changed", "configuration: new is new", "configuration: zone is gone"}},
		{name: "another argument", steps: base, change: func(o *migrate.Options) { o.Arguments[0].Value = "s2" }, differs: []string{"arguments: was [{snapshot s1}], is [{snapshot s2}]"}},
		{name: "another version", steps: append(append(slices.Clone(base[:2]), versioned(2)), base[3:]...), differs: []string{"step b: version: was 1, is 2"}},
		{name: "another point of no return", steps: append(append(slices.Clone(base[:3]), migrate.Gate{ID: "gate", PointOfNoReturn: true}), base[4:]...),
			differs: []string{"step gate: point of no return: was false, is true"}},
		{name: "one more, later", steps: append(slices.Clone(base), plain{spec: id("d")}), differs: []string{"step d: is new"}},
		{name: "one less, later", steps: without(4), differs: []string{"step c: is gone"}},
		{name: "one more, before", steps: with(1, plain{spec: id("d")}), differs: []string{"step d: is new"}, never: "step d has not run, and what comes after it has"},
		{name: "one less, that ran", steps: without(2), differs: []string{"step b: is gone"}, never: "step b has run, and this program can't undo it"},
	} {
		t.Run(x.name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				l.must(l.run(book(base...), opened, resume), migrate.ErrWaiting)
				if got := l.history().Manifest.Argument("snapshot"); got != "s1" {
					t.Errorf("argument %q", got)
				}
				o := opened
				o.Arguments = slices.Clone(opened.Arguments)
				if x.change != nil {
					x.change(&o)
				}
				err := l.run(book(x.steps...), o, resume)
				if x.differs == nil {
					l.must(err, migrate.ErrWaiting)
					return
				}
				l.must(err, migrate.ErrDigest)
				for _, d := range x.differs {
					if !strings.Contains(err.Error(), d) {
						t.Errorf("%q is not in %v", d, err)
					}
				}
				o.Accept = "a fix"
				err = l.run(book(x.steps...), o, resume)
				if x.never != "" {
					l.must(err, migrate.ErrDigest)
					if !strings.Contains(err.Error(), x.never) {
						t.Errorf("%v", err)
					}
					return
				}
				l.must(err, migrate.ErrWaiting)
				i := slices.IndexFunc(l.records(), func(r journal.Record) bool { return r.Kind == journal.Operator })
				if rec := string(l.records()[i].Data); !strings.Contains(rec, "a fix") || !strings.Contains(rec, x.differs[0]) {
					t.Errorf("the record says %s", rec)
				}
				o.Accept = "" // it is what the run goes by now
				o.Ask = answers(migrate.Pass)
				l.must(l.run(book(x.steps...), o, resume), nil)
			})
		})
	}
}

// A result of another shape than the recorded one can't be read, whatever a person says.
func TestShapeOfOut(t *testing.T) {
	inLab(t, func(l *lab) {
		l.must(l.run(book(plain{spec: id("user.a")}, migrate.Gate{ID: "gate"}), migrate.Options{}, resume), migrate.ErrWaiting)
		rb := migrate.NewRunbook[migrate.Rehearsal]()
		rb.Phase("phase 0")
		nobody := migrate.Maker[migrate.Rehearsal]("pod", func(context.Context, migrate.Stamp) (execs, error) { return pod{l.world}, nil })
		migrate.Add(rb, user[execs]{userSpec{id: "a"}}, migrate.Look("nothing", none{}), nobody)
		migrate.AddGate(rb, migrate.Gate{ID: "gate"})
		err := l.run(rb, migrate.Options{Accept: "I want it"}, resume)
		l.must(err, migrate.ErrDigest)
		if want := "step user.a has recorded {N:int;}, and this program reads {Exit:int;Stdout:string;}"; !strings.Contains(err.Error(), want) {
			t.Errorf("%v", err)
		}
	})
}

// The mode is the journal's: a rehearsal is not resumed as a cut-over.
func TestModeIsPinned(t *testing.T) {
	inLab(t, func(l *lab) {
		o := nobody()
		l.must(process(l.world, l.d, phases(forRehearsal(l.world)), o, resume), migrate.ErrWaiting)
		o.Accept = "I want it"
		l.must(l.cutover(o), migrate.ErrDigest)
		if len(l.onProd) > 0 {
			t.Error(l.onProd)
		}
	})
}

func TestEndingProblems(t *testing.T) {
	leg := func(name, to string) migrate.Leg { return migrate.Leg{Name: name, DownTo: to} }
	for _, x := range []struct {
		e    migrate.Ending
		want string
	}{
		{migrate.EndWithRollback(leg("a", "phase 1"), leg("b", "phase 0"), leg("c", "")), ""},
		{migrate.EndWithRollback(), ""},
		{migrate.EndDone(leg("a", "phase 1")), ""},
		{migrate.EndWithRollback(leg("a", "phase 1")), "must undo all"},
		{migrate.EndDone(leg("a", "phase 0"), leg("b", "phase 1")), "begins above where it ends"},
		{migrate.EndDone(leg("a", ""), leg("b", "")), "is not the last"},
		{migrate.EndDone(leg("a", "nowhere")), "which is no phase"},
		{migrate.EndDone(leg("", "")), "has no name"},
	} {
		_, err := book(plain{spec: id("a")}, "|", plain{spec: id("b")}).Plan(t.Context(), migrate.Options{Ending: x.e})
		if x.want == "" && err != nil || x.want != "" && (err == nil || !strings.Contains(err.Error(), x.want)) {
			t.Errorf("%+v: %v", x.e, err)
		}
	}
}
