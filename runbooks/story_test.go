package runbooks_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-dev/slipway/internal/snapshot"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal"
	"github.com/slipway-dev/slipway/migrate/journal/crashfs"
	"github.com/slipway-dev/slipway/runbooks"
)

// passes is a person who passes every gate that the runbook has.
func passes(context.Context, migrate.Question) (migrate.Answer, error) {
	return migrate.Answer{Word: migrate.Pass, Who: "test", Why: "test"}, nil
}

// process is one process: it begins the run or opens it, and does what it is for.
func process(t tester, w *world, d *crashfs.Disk, keep bool, parallel int, do func(*migrate.Run) error) (err error) {
	t.Helper()
	return processOf(w, d, book(t, w), keep, parallel, do)
}

func processOf(w *world, d *crashfs.Disk, rb *migrate.Runbook[migrate.Rehearsal], keep bool, parallel int, do func(*migrate.Run) error) (err error) {
	dir := d.Process(w.life)
	o := migrate.Options{Tool: "1", Parallel: parallel, Ask: passes, Ending: runbooks.Ending(keep)}
	r, err := migrate.Open(dir, rb, o)
	if errors.Is(err, migrate.ErrNoRun) {
		r, err = migrate.Begin(dir, runID, rb, o)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	return do(r)
}

func resume(r *migrate.Run) error { return r.Resume(context.Background()) }

// story is a run from its beginning to its end, however often its process is killed.
type story struct {
	name  string
	keep  bool
	end   error
	state migrate.State
}

func stories() []story {
	return []story{
		{"rehearsal", false, nil, migrate.StateDone},
		{"rehearsal that is kept and then rolled back", true, migrate.ErrRolledBack, migrate.StateRolledBack},
	}
}

// life is one process of a story. at gets the world as the run leaves it where it is kept.
func (st story) life(t tester, w *world, d *crashfs.Disk, parallel int, at func(string)) error {
	return process(t, w, d, st.keep, parallel, func(r *migrate.Run) error {
		if err := resume(r); err != nil || !st.keep {
			return err
		}
		at(w.String())
		return r.Rollback(context.Background(), "", "test")
	})
}

// blow is how one life of a process ends before its time.
type blow struct {
	at    int    // the instant of a kill; 0 for none
	on    string // the instant by its name; "" for none
	eio   int    // the sync that fails; 0 for none
	keep  crashfs.Keep
	pause time.Duration // until somebody resumes: what was begun may have ended by then
	see   func(*world)  // looks at what was left, when the pause is over
}

// told is how a story went.
type told struct {
	bad             []string
	where           string // its first life was killed
	instants, syncs int
	kinds           []string          // changes that were made
	kept, end       string            // the world
	planned         map[string]string // effects of each step's last intent
}

// tell tells a story with blows.
func tell(t *testing.T, st story, parallel int, blows ...blow) (told told) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w, d := newWorld(t), &crashfs.Disk{}
		var lives, bad []string
		for i := 0; ; i++ {
			b := blow{}
			if i < len(blows) {
				b = blows[i]
			}
			w.life, w.killAt = crashfs.NewLife(b.at), b.on
			if b.eio > 0 {
				d.FailSync(b.eio)
			}
			err := st.life(t, w, d, parallel, func(s string) { told.kept = s })
			where, killed := w.life.Killed()
			if i == 0 {
				told.where, told.instants, told.syncs = where, w.life.Instants(), d.Syncs()
			}
			if !killed && !errors.Is(err, journal.ErrDead) && !failedSync(err) {
				if !errors.Is(err, st.end) || st.end == nil && err != nil {
					bad = append(bad, fmt.Sprintf("life %d ends with: %v", i, err))
				}
				break
			}
			lives = append(lives, fmt.Sprintf("killed at %q, the disk keeps %s, resumed after %s", where, b.keep, b.pause))
			if i > len(blows) {
				bad = append(bad, "it never ends")
				break
			}
			d.Crash(b.keep)
			time.Sleep(b.pause)
			if b.see != nil {
				b.see(w)
			}
		}
		told.kinds, told.end, told.planned = w.kinds(), w.String(), planned(t, d)
		bad = append(bad, append(w.twice(), w.foreign()...)...)
		h, err := migrate.ReadHistory(d.Process(crashfs.NewLife(0)))
		if err != nil || h.State(false) != st.state || h.Torn != nil {
			bad = append(bad, fmt.Sprintf("history: %v, %v", h, err))
		}
		if len(bad) > 0 {
			told.bad = append(lives, bad...)
		}
	})
	return told
}

// planned reads the journal's intents.
func planned(t *testing.T, d *crashfs.Disk) map[string]string {
	t.Helper()
	out := map[string]string{}
	dec := journal.NewDecoder(bytes.NewReader(d.Durable()))
	for {
		rec, err := dec.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if rec.Kind != journal.Intent {
			continue
		}
		var data struct{ Effects []migrate.Effect }
		if err := json.Unmarshal(rec.Data, &data); err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, e := range data.Effects {
			all = append(all, e.String())
		}
		out[rec.Step] = strings.Join(all, "; ")
	}
}

func failedSync(err error) bool {
	return err != nil && strings.Contains(err.Error(), "input/output error")
}

// A rehearsal that nobody kills makes everything, and leaves nothing but its snapshots.
func TestRehearsal(t *testing.T) {
	for _, st := range stories() {
		got := tell(t, st, 1)
		if len(got.bad) > 0 {
			t.Fatalf("%s:\n  %s", st.name, strings.Join(got.bad, "\n  "))
		}
		fresh := ""
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.store.state[snapshot.MariaDB], w.store.state[snapshot.Assets] = snapshot.Whole, snapshot.Whole
			fresh = w.String()
		})
		if got.end != fresh {
			t.Errorf("%s leaves\n%s\nand there was\n%s", st.name, got.end, fresh)
		}
		for _, piece := range []string{"cluster slipway-" + runID, "with 9 files", "release deployed", "loaded tables [items orders] chunks map[chunk 0:1 chunk 1:1 chunk 2:1]", "www." + rehearsal + " A 60 " + address} {
			if st.keep && !strings.Contains(got.kept, piece) {
				t.Errorf("%s: %q is not in what is kept:\n%s", st.name, piece, got.kept)
			}
		}
	}
}
