package migrate_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal"
	"github.com/slipway-dev/slipway/migrate/journal/crashfs"
)

var update = flag.Bool("update", false, "write the golden files anew, and the journals that there are none of yet")

// The journals in testdata/journals were written by the program of their format's time and are never written anew. What
// they say must stay what their golden files say.
func TestOldJournalsReplay(t *testing.T) {
	if *update {
		recordJournals(t)
	}
	names, err := filepath.Glob("testdata/journals/*.jsonl")
	if err != nil || len(names) < 4 {
		t.Fatalf("%d journals, %v", len(names), err)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			_, err = journal.Verify(bytes.NewReader(b))
			if err != nil && !errors.Is(err, journal.ErrTorn) {
				t.Fatal(err)
			}
			torn := err
			d := &crashfs.Disk{}
			d.Write(b)
			h, err := migrate.ReadHistory(d.Process(crashfs.NewLife(0)))
			if err != nil {
				t.Fatal(err)
			}
			if (torn == nil) != (h.Torn == nil) {
				t.Errorf("torn: %v, and in the history: %v", torn, h.Torn)
			}
			got := inWords(h)
			golden := strings.TrimSuffix(name, ".jsonl") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil || got != string(want) {
				t.Errorf("%v\n%s\nnot\n%s", err, got, want)
			}
		})
	}
}

// inWords is a history in words.
func inWords(h *migrate.History) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: %s, %d records, %d lives, direction %s, keeps %q, why %q\n", h.Manifest.Mode, h.Run, h.State(false), h.Records, h.Lives, h.Direction, h.Keeps, h.Why)
	if h.Torn != nil {
		fmt.Fprintln(&b, h.Torn)
	}
	for _, s := range h.Steps() {
		fmt.Fprintf(&b, "%s %s %s: %s, attempts %d, run %s, verify %s, undo %s, moved %v, error %q, out %s, position %s\n",
			s.Phase, s.Kind, s.ID, s.State, s.Attempts, s.Run, s.Verify, s.Undo, s.Moved, s.Error, s.Out, s.Position)
	}
	for _, p := range h.Phases() {
		fmt.Fprintf(&b, "%s: back %v, %d of %d left, took %s, moved %v\n", p.Name, p.Back, p.Left, p.Steps, p.Took, p.Moved)
		if !p.Deadline.IsZero() {
			fmt.Fprintf(&b, "%s: must be over by %s\n", p.Name, p.Deadline.Format(time.RFC3339Nano))
		}
	}
	for _, x := range h.Todo() {
		fmt.Fprintf(&b, "todo: %s, held by %q: %s\n", x.Step, x.HeldBy, x.Error)
	}
	return b.String()
}

// recordJournals writes the journals of the engine's stories that there are none of yet.
func recordJournals(t *testing.T) {
	record := func(name string, run func(*lab)) {
		path := filepath.Join("testdata", "journals", name+".jsonl")
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			return
		}
		inLab(t, func(l *lab) {
			run(l)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, l.d.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		})
	}
	all := stories()
	for i, name := range []string{"v1-cut-over", "v1-cut-over-aborted", "v1-rehearsal", "v1-rehearsal-kept"} {
		record(name, func(l *lab) { _ = all[i].life(l.world, l.d, 1) })
	}
	killed := func(st story, ats ...int) func(l *lab) {
		return func(l *lab) {
			for _, at := range ats {
				l.life = crashfs.NewLife(at)
				_ = st.life(l.world, l.d, 8)
				l.d.Crash(crashfs.KeepAll)
			}
		}
	}
	record("v1-killed", killed(all[2], 120, 100, 60))
	record("v1-killed-in-mid-write", killed(all[0], 120, 102))
	record("v1-killed-in-mid-rollback", killed(all[1], 460, 30))
	record("v1-needs-a-person", func(l *lab) {
		l.failing["edge=old"] = -1
		_ = l.cutover(aborting())
	})
	record("v1-drift-redone", func(l *lab) {
		l.failing["file.put 2"] = 1
		_ = l.cutover(nobody())
		_ = l.cutover(nobody())
		delete(l.files, "2")
		o := nobody()
		o.OnDrift = func(context.Context, migrate.Drift) (migrate.Verdict, error) {
			return migrate.Verdict{Choice: migrate.DriftRedo, Who: "lee@hall", Why: "deleted by mistake"}, nil
		}
		_ = l.cutover(o)
	})
	record("v1-killed-in-a-switch-with-a-limit", killed(all[0], 270))
	record("v1-killed-while-a-switch-is-taken-back", killed(all[4], 390))
	record("v1-switch-taken-back-and-done", func(l *lab) { _ = all[4].life(l.world, l.d, 1) })
	for _, x := range older {
		record(x.name, func(l *lab) { recordOlder(l, x.book(), x.back) })
	}
}
