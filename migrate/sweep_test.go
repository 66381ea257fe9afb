package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal"
	"github.com/slipway-dev/slipway/migrate/journal/crashfs"
)

const runID = "20261123-010203-7f3a"

var legs = []migrate.Leg{{Name: "rollback", DownTo: "stand up"}, {Name: "clean up"}}

// answers is a person who passes every gate but finalize, where the word is given.
func answers(finalize migrate.Word) func(context.Context, migrate.Question) (migrate.Answer, error) {
	return func(ctx context.Context, q migrate.Question) (migrate.Answer, error) {
		if q.Gate == "finalize" {
			time.Sleep(3 * time.Second) // watch, orders come in
			return migrate.Answer{Word: finalize, Why: "test"}, nil
		}
		return migrate.Answer{Word: migrate.Pass, Why: "test"}, nil
	}
}

// process is one process: it begins the run or opens it, and does what it is for.
func process[M migrate.Mode](w *world, d *crashfs.Disk, rb *migrate.Runbook[M], o migrate.Options, do func(*migrate.Run) error) (err error) {
	dir := d.Process(w.life)
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

func rollback(r *migrate.Run) error { return r.Rollback(context.Background(), "", "test") }

// story is a run from its beginning to its end, however often its process is killed.
type story struct {
	name string
	// life is one process.
	life func(w *world, d *crashfs.Disk, parallel int) error
	end  error
	// state is the run's at its end; check says what is wrong with the world then.
	state migrate.State
	check func(w *world) []string
}

func stories() []story {
	return []story{
		{"cut-over", func(w *world, d *crashfs.Disk, parallel int) error {
			o := migrate.Options{Tool: "1", Parallel: parallel, Ask: answers(migrate.Pass), Ending: migrate.EndDone(legs...)}
			return process(w, d, limited(forCutover(w)), o, resume)
		}, nil, migrate.StateDone, isNew},
		{"cut-over that is aborted", func(w *world, d *crashfs.Disk, parallel int) error {
			o := migrate.Options{Tool: "1", Parallel: parallel, Ask: answers(migrate.Abort), Ending: migrate.EndDone(legs...)}
			return process(w, d, limited(forCutover(w)), o, resume)
		}, migrate.ErrRolledBack, migrate.StateRolledBack, isOld},
		{"rehearsal", func(w *world, d *crashfs.Disk, parallel int) error {
			o := migrate.Options{Tool: "1", Parallel: parallel, Ask: answers(migrate.Pass), Ending: migrate.EndWithRollback(legs...)}
			return process(w, d, limited(forRehearsal(w)), o, resume)
		}, nil, migrate.StateDone, isUntouched},
		{"rehearsal that is kept and then rolled back", func(w *world, d *crashfs.Disk, parallel int) error {
			o := migrate.Options{Tool: "1", Parallel: parallel, Ask: answers(migrate.Pass), Ending: migrate.EndKept(legs...)}
			return process(w, d, limited(forRehearsal(w)), o, func(r *migrate.Run) error {
				if err := resume(r); err != nil {
					return err
				}
				return rollback(r)
			})
		}, migrate.ErrRolledBack, migrate.StateRolledBack, isUntouched},
		{"cut-over whose switch fails once", func(w *world, d *crashfs.Disk, parallel int) error {
			const step = "dns www=2.2.2.2"
			if w.lives++; w.lives == 1 {
				w.failing[step] = -1
				w.onEffect = func(what string) {
					if what == "source.freeze(false)" {
						delete(w.failing, step)
					}
				}
			}
			o := migrate.Options{Tool: "1", Parallel: parallel, Ask: answers(migrate.Pass), Ending: migrate.EndDone(legs...)}
			return process(w, d, limited(forCutover(w)), o, func(r *migrate.Run) error { return again(r, resume(r)) })
		}, nil, migrate.StateDone, isNewAfterOneTry},
		{"cut-over whose machine is off for an hour when it dies", func(w *world, d *crashfs.Disk, parallel int) error {
			if w.lives++; w.lives > 1 {
				time.Sleep(time.Hour)
			}
			late := inSwitch(d)
			o := migrate.Options{Tool: "1", Parallel: parallel, Ask: answers(migrate.Pass), Ending: migrate.EndDone(legs...)}
			return process(w, d, limited(forCutover(w)), o, func(r *migrate.Run) error {
				err := resume(r)
				if late && err == nil {
					return errors.New("it went on after the deadline")
				}
				return again(r, err)
			})
		}, nil, migrate.StateDone, isNewAfterSomeTries},
	}
}

// limited is the runbook whose switch has a limit: longer than it takes, and than a process that is killed and resumed.
func limited[M migrate.Mode](w wiring[M]) *migrate.Runbook[M] {
	w.within = 10 * time.Minute
	return phases(w)
}

// inSwitch: the journal says that the switch is under way.
func inSwitch(d *crashfs.Disk) bool {
	h, err := migrate.ReadHistory(d.Process(crashfs.NewLife(0)))
	return err == nil && slices.ContainsFunc(h.Phases(), func(p migrate.PhaseHistory) bool { return !p.Deadline.IsZero() })
}

// again is a person who goes on at once with a run that took its switch back.
func again(r *migrate.Run, err error) error {
	if errors.Is(err, migrate.ErrRolledBack) && r.State() != migrate.StateRolledBack {
		err = resume(r)
	}
	return err
}

func isNew(w *world) []string { return w.isSwitched(func(int, int) bool { return false }) }

// isNewAfterOneTry: the switch was done, taken back, and done again.
func isNewAfterOneTry(w *world) []string {
	thawed := w.done["source.freeze(false)"]
	bad := w.isSwitched(func(there, back int) bool { return there == 2 && back == 1 })
	if thawed != 1 {
		bad = append(bad, fmt.Sprintf("the switch was taken back %d times", thawed))
	}
	return bad
}

// isNewAfterSomeTries: whatever was done of the switch was taken back as often as there was no process, and done again.
func isNewAfterSomeTries(w *world) []string {
	return w.isSwitched(func(there, back int) bool { return there == back+1 && there <= w.lives })
}

// isSwitched says what is wrong after a switch. often says whether something of it may have been done, and taken back, that
// often, if not once and never.
func (w *world) isSwitched(often func(there, back int) bool) []string {
	for there, back := range map[string]string{"source.freeze(true)": "source.freeze(false)", "edge=new": "edge=old", "target.open(true)": "target.open(false)",
		"dns api=2.2.2.2": "dns api=1.1.1.1", "dns www=2.2.2.2": "dns www=1.1.1.1"} {
		if often(w.done[there], w.done[back]) {
			w.done[there] = 1
			delete(w.done, back)
		}
	}
	bad := w.counts(w.target)
	if w.cluster == "" || w.prod.edge != "new" || w.prod.zone["www"] != "2.2.2.2" || w.prod.zone["api"] != "2.2.2.2" || len(w.files) != 5 {
		bad = append(bad, fmt.Sprintf("the end: cluster %q, edge %s, zone %v, files %v", w.cluster, w.prod.edge, w.prod.zone, w.files))
	}
	return bad
}

func isOld(w *world) []string { return w.isBack(w.prod) }

func isUntouched(w *world) []string {
	bad := w.isBack(w.shadow)
	if len(w.onProd) > 0 {
		bad = append(bad, fmt.Sprintf("production was touched: %q", w.onProd))
	}
	return bad
}

func (w *world) isBack(e *env) []string {
	bad := w.counts(w.prod.src)
	if w.cluster != "" || e.edge != "old" || e.zone["www"] != "1.1.1.1" || e.zone["api"] != "1.1.1.1" || e.src.frozen || len(w.files) != 1 {
		bad = append(bad, fmt.Sprintf("the end: cluster %q, edge %s, zone %v, frozen %v, files %v", w.cluster, e.edge, e.zone, e.src.frozen, w.files))
	}
	return bad
}

// counts: every order that was acknowledged is there once, and every effect was done once.
func (w *world) counts(s *side) (bad []string) {
	for _, key := range w.ledger {
		if s.rows[key] != 1 {
			bad = append(bad, fmt.Sprintf("%s is %d times on %s", key, s.rows[key], s.name))
		}
	}
	for _, what := range slices.Sorted(maps.Keys(w.done)) {
		if n := w.done[what]; n != 1 {
			bad = append(bad, fmt.Sprintf("%s was done %d times", what, n))
		}
	}
	return bad
}

// blow is how one life of a process ends before its time.
type blow struct {
	at   int // the instant of a kill; 0 for none
	eio  int // the sync that fails; 0 for none
	keep crashfs.Keep
}

// told is how a story went: what came out wrong, and of its first life where it was killed, and how many instants and
// syncs it had.
type told struct {
	bad             []string
	where           string
	instants, syncs int
}

// tell tells a story with blows.
func tell(t *testing.T, st story, parallel int, blows []blow) (told told) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w, d := newWorld(), &crashfs.Disk{}
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
				if !errors.Is(err, st.end) || st.end == nil && err != nil {
					bad = append(bad, fmt.Sprintf("life %d ends with: %v", i, err))
				}
				break
			}
			lives = append(lives, fmt.Sprintf("killed at %q, the disk keeps %s", where, b.keep))
			if i > len(blows) {
				bad = append(bad, "it never ends")
				break
			}
			d.Crash(b.keep)
		}
		if len(bad) == 0 {
			bad = st.check(w)
		}
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

func failedSync(err error) bool {
	return err != nil && strings.Contains(err.Error(), "input/output error")
}

// TestCrashSweep kills the process at every instant of every story: at each operation of the journal and before, in the
// middle of and after each effect, with a disk that keeps none, all, half or a hole of what was not synced, or with a
// machine that lives on; one step at a time and side by side; and lets every sync fail in a process that lives.
func TestCrashSweep(t *testing.T) {
	var points atomic.Int64
	t.Run("stories", func(t *testing.T) {
		for _, st := range stories() {
			for _, parallel := range []int{1, 8} {
				t.Run(fmt.Sprintf("%s, parallel %d", st.name, parallel), func(t *testing.T) {
					t.Parallel()
					s := sweep{t: t, st: st, parallel: parallel}
					s.everywhere(parallel == 1)
					points.Add(s.points)
				})
			}
		}
	})
	t.Run("killed three times", func(t *testing.T) {
		for seed := range uint64(400) {
			g := rand.New(rand.NewPCG(seed, 1))
			s := sweep{t: t, st: stories()[seed%uint64(len(stories()))], parallel: 1 + int(seed%8)}
			var blows []blow
			for range 3 {
				blows = append(blows, blow{at: 1 + g.IntN(200), keep: crashfs.Keep(g.IntN(int(crashfs.Keeps)))})
			}
			s.try(blows...)
			points.Add(s.points)
		}
	})
	fmt.Printf("%d crash points\n", points.Load())
}

// sweep is one story that is told again and again.
type sweep struct {
	t        *testing.T
	st       story
	parallel int
	points   int64
	failed   int
}

func (s *sweep) try(blows ...blow) (where string) {
	s.points += int64(len(blows))
	told := tell(s.t, s.st, s.parallel, blows)
	if len(told.bad) > 0 {
		if s.failed++; s.failed < 4 {
			s.t.Errorf("%s, parallel %d, %+v:\n  %s", s.st.name, s.parallel, blows, strings.Join(told.bad, "\n  "))
		}
	}
	return told.where
}

// everywhere strikes at every instant; thoroughly: with everything that the disk may keep, and at every sync too.
func (s *sweep) everywhere(thoroughly bool) {
	whole := tell(s.t, s.st, s.parallel, nil)
	if len(whole.bad) > 0 {
		s.t.Fatalf("not killed:\n  %s", strings.Join(whole.bad, "\n  "))
	}
	if !thoroughly {
		for at := 1; at <= whole.instants; at++ {
			s.try(blow{at: at, keep: crashfs.Keep(at % int(crashfs.Keeps))})
		}
		return
	}
	for at := 1; at <= whole.instants; at++ {
		where := s.try(blow{at: at, keep: crashfs.KeepNone})
		for keep := crashfs.KeepNone + 1; keep < crashfs.Keeps; keep++ {
			if unsynced(where) || keep == crashfs.KeepCache {
				s.try(blow{at: at, keep: keep})
			}
		}
	}
	for eio := 1; eio <= whole.syncs; eio++ {
		s.try(blow{eio: eio, keep: crashfs.KeepNone})
		s.try(blow{eio: eio, keep: crashfs.KeepCache}, blow{at: 20 + eio, keep: crashfs.KeepNone})
	}
	s.t.Logf("%d instants, %d syncs, %d points", whole.instants, whole.syncs, s.points)
}

// unsynced: at such an instant there are bytes that the disk may keep or not. At an effect everything is durable, and
// whether it is is the journal's affair, not the engine's.
func unsynced(where string) bool {
	return where == "" || strings.HasPrefix(where, "write") || strings.HasPrefix(where, "sync") || strings.HasPrefix(where, "truncate")
}
