package runbooks_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy/freeze"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal"
	"github.com/slipway-dev/slipway/migrate/journal/crashfs"
	"github.com/slipway-dev/slipway/runbooks"
	"github.com/slipway-dev/slipway/steps/cloudsql"
	"github.com/slipway-dev/slipway/steps/mariadb"
	"github.com/slipway-dev/slipway/steps/stream"
)

// switchLimit is within which the target must be open.
const switchLimit = 30 * time.Second

func switchBook(w *switchWorld) *migrate.Runbook[migrate.Cutover] {
	m, p, there, back := bothMasters{w}, bothSides{w}, link{w, false}, link{w, true}
	return runbooks.Switch(runbooks.DatabaseWiring[migrate.Cutover]{
		Masters: migrate.Look("source", mariadb.OnlyMasters(m)),
		Ready:   migrate.Look("source", mariadb.OnlyReady(m)),
		Freeze:  changing[mariadb.MastersAct]("source", m),
		Disk:    migrate.Look("source's hosts", mariadb.OnlyDisk(m)),
		Timers:  migrate.Look("source", mariadb.OnlyTimers(m)),
		Arm:     changing[mariadb.TimersAct]("source", m),
		Events:  migrate.Look("source", mariadb.OnlyEvents(m)),
		Disable: changing[mariadb.EventsAct]("source", m),
		Objects: migrate.Look("target", cloudsql.OnlyObjects(p)),
		Make:    changing[cloudsql.ObjectsAct]("target", p),
		Pair:    migrate.Look("target", cloudsql.OnlyPair(p)),
		Change:  changing[cloudsql.PairAct]("target", p),
		Compare: migrate.Look("target", cloudsql.OnlyCompare(p)),
		Check:   migrate.Look("target", cloudsql.OnlyRecheck(checker{w})),
		Recheck: changing[cloudsql.RecheckAct]("target", checker{w}),
		There:   migrate.Look("target", stream.OnlyLook(there)),
		Follow:  changing[stream.Act]("target", there),
		Back:    migrate.Look("source", stream.OnlyLook(back)),
		Reverse: changing[stream.Act]("source", back),
	}, runbooks.Database{Schemas: []string{"shop"}, Patience: time.Second, Freeze: 5 * time.Second, Switch: switchLimit, MaxLag: 5 * time.Second, Timer: true, OnDisk: w.restarts})
}

func changing[A any](what string, a A) migrate.Hand[migrate.Cutover, A] {
	return migrate.Maker[migrate.Cutover](what, func(context.Context, migrate.Stamp) (A, error) { return a, nil })
}

// switchStory is a switch from its beginning to its end, however often its process is killed.
type switchStory struct {
	name  string
	back  func(context.Context, *migrate.Run) error // how a person takes it back while he watches; nil: he doesn't
	still bool                                      // no event is enabled at the source
	stay  bool                                      // it isn't tried a second time
	hosts bool                                      // the masters' hosts can be reached, and restart now and then
	set   func(*switchWorld)                        // what goes wrong in the world until the source lets customers in again
}

// wish is why a person takes a switch back.
const wish = "as a person wished"

func switchStories() []switchStory {
	abort := func(ctx context.Context, r *migrate.Run) error {
		return r.Abort(migrate.Answer{Word: migrate.Abort, Why: wish})
	}
	rollback := func(ctx context.Context, r *migrate.Run) error { return r.Rollback(ctx, "", wish) }
	return []switchStory{
		{name: "switched and finalized", hosts: true},
		{name: "taken back from watch, and left", back: rollback, stay: true, hosts: true},
		{name: "taken back from watch, switched again and finalized", back: abort, hosts: true},
		{name: "a step fails in the switch, then switched and finalized", set: func(w *switchWorld) {
			w.fail = func(what string) error {
				if what == "send a canary" && w.done["let write at db1"] == 0 {
					return errInjected
				}
				return nil
			}
		}},
		{name: "no event is enabled, taken back from watch, switched again and finalized", back: abort, still: true},
		{name: "the way back breaks before the target opens, then switched and finalized", set: func(w *switchWorld) {
			w.fail = func(what string) error {
				if what == "apply back" && w.done["let write at db1"] == 0 {
					return errInjected
				}
				return nil
			}
		}},
		{name: "the switch's deadline passes, then switched and finalized", hosts: true, set: func(w *switchWorld) {
			w.hang = func() bool { return w.done["let write at db1"] == 0 }
		}},
		{name: "the follower passes a row by in the switch, which is repaired, then switched and finalized", set: func(w *switchWorld) {
			w.miss = func() bool { return w.doors[db1].readOnly && w.done["let write at db1"] == 0 }
		}},
	}
}

// life is one process: a person starts it, answers at the gates, and resumes while that leads on.
func (st switchStory) life(w *switchWorld, d *crashfs.Disk, parallel int) (err error) {
	o := migrate.Options{Tool: "1", Parallel: parallel, Ending: runbooks.SwitchEnding(), Ask: func(ctx context.Context, q migrate.Question) (migrate.Answer, error) {
		return st.answer(w, d, q)
	}}
	rb, dir := switchBook(w), d.Process(w.life)
	r, err := migrate.Open(dir, rb, o)
	if errors.Is(err, migrate.ErrNoRun) {
		r, err = migrate.Begin(dir, runID, rb, o)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	for range 12 {
		err = r.Resume(context.Background())
		if _, dead := w.life.Killed(); dead || errors.Is(err, journal.ErrDead) || failedSync(err) || err == nil {
			return err
		}
		if errors.Is(err, migrate.ErrWaiting) {
			if st.stay && wished(d) {
				return nil
			}
			if err = st.back(context.Background(), r); errors.Is(err, migrate.ErrNeedsPerson) {
				err = nil
			}
			if _, dead := w.life.Killed(); err != nil || dead {
				return err
			}
		}
		w.alone(2)
		w.repair()
	}
	return fmt.Errorf("it leads nowhere: %w", err)
}

// answer is a person at a gate.
func (st switchStory) answer(w *switchWorld, d *crashfs.Disk, q migrate.Question) (migrate.Answer, error) {
	w.alone(6)
	w.repair()
	switch taken := wished(d); {
	case q.Gate == "go" && st.stay && taken, q.Gate == "finalize" && st.back != nil && !taken:
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.entry.accounts) == 3 && q.Gate == "finalize" { // somebody makes an account while it is open
			w.entry.accounts = append(w.entry.accounts, newDoor(false, "later").accounts...)
		}
		return migrate.Answer{}, nil // nobody
	case q.Gate == "finalize":
		w.mu.Lock()
		defer w.mu.Unlock()
		w.final = len(w.ledger)
	}
	return migrate.Answer{Word: migrate.Pass, Why: "test"}, nil
}

// wished: the run has turned as a person wished, or is about to.
func wished(d *crashfs.Disk) bool {
	for line := range bytes.Lines(d.Bytes()) {
		if bytes.Contains(line, []byte(`"kind":"turned"`)) && bytes.Contains(line, []byte(wish)) {
			return true
		}
	}
	return false
}

// tellSwitch tells a story with blows.
func tellSwitch(t *testing.T, st switchStory, parallel int, set func(*switchWorld), blows ...blow) (told told) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w, d := newSwitchWorld(), &crashfs.Disk{}
		for _, set := range []func(*switchWorld){st.set, set} {
			if set != nil {
				set(w)
			}
		}
		if st.still {
			w.still, w.events = true, [2][]freeze.Event{}
		}
		w.restarts = st.hosts
		was := w.masters()
		var lives, bad []string
		for i := 0; ; i++ {
			b := blow{}
			if i < len(blows) {
				b = blows[i]
			}
			w.life = crashfs.NewLife(b.at)
			if b.eio > 0 {
				d.FailSync(b.eio)
			}
			err := st.life(w, d, parallel)
			where, killed := w.life.Killed()
			if i == 0 {
				told.where, told.instants, told.syncs = where, w.life.Instants(), d.Syncs()
			}
			if !killed && !errors.Is(err, journal.ErrDead) && !failedSync(err) {
				if err != nil {
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
			w.alone(3)
			time.Sleep(b.pause)
		}
		told.kinds = sortedKeys(w.done)
		if w.miss != nil && (w.found == 0 || w.done["let write at db1"] == 0) && len(blows) == 0 {
			bad = append(bad, fmt.Sprintf("the row that was passed by was found %d times, and the switch was not taken back", w.found))
		}
		bad = append(bad, w.ends(st, was)...)
		h, err := migrate.ReadHistory(d.Process(crashfs.NewLife(0)))
		if err != nil {
			bad = append(bad, fmt.Sprintf("history: %v", err))
		} else if want := st.state(); h.State(false) != want || h.Torn != nil {
			bad = append(bad, fmt.Sprintf("history: %s, torn %v; want %s", h.State(false), h.Torn, want))
		}
		if len(bad) > 0 {
			told.bad = append(lives, bad...)
		}
	})
	return told
}

func (st switchStory) state() migrate.State {
	if st.stay {
		return migrate.StateWaiting
	}
	return migrate.StateDone
}

// ends says what is wrong with the world when a story is over.
func (w *switchWorld) ends(st switchStory, was string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var canaries []string // the last: one of a switch that took itself back before the target opened needn't have come
	for _, l := range w.target.log {
		if strings.HasPrefix(l.key, "canary-") {
			canaries = []string{l.key}
		}
	}
	if len(canaries) == 0 {
		w.wrong("at the end there was no canary")
	}
	if st.stay {
		if is := w.masters(); is != was {
			w.wrong("at the end the source is %s, and was %s", is, was)
		}
		if w.entry.letsAny() {
			w.wrong("at the end the target is open: %s", w.entry)
		}
		w.has("source", slices.Concat(w.ledger, canaries), "at the end")
		w.replicate()
		w.catchUp(link{w, false})
	} else {
		if w.doors[db1].letsAny() || w.doors[db2].letsAny() || len(w.triggers) > 0 {
			w.wrong("at the end the source is %s", w.masters())
		}
		if !w.entry.lets("app") || !w.entry.lets("boss") || len(w.entry.accounts) > 3 && !w.entry.lets("later") {
			w.wrong("at the end the target is not open: %s", w.entry)
		}
		w.has("source", slices.Concat(w.ledger[:w.final], canaries), "when it was finalized")
		w.catchUp(link{w, true})
		w.has("source", w.ledger, "when all was carried back")
	}
	w.has("target", slices.Concat(w.ledger, canaries), "at the end")
	return w.bad
}
