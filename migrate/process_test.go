package migrate_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal"
	"github.com/slipway-dev/slipway/migrate/journal/crashfs"
)

// A paused run starts nothing new and lets what runs finish, in either direction; a resume goes on.
func TestPause(t *testing.T) {
	inLab(t, func(l *lab) {
		d := &diary{}
		rb := func() *migrate.Runbook[migrate.Rehearsal] { return book(d.noting("a"), d.noting("b", "a")) }
		pausing := func(after time.Duration, do func(*migrate.Run) error) func(*migrate.Run) error {
			return func(r *migrate.Run) error {
				time.AfterFunc(after, r.Pause)
				return do(r)
			}
		}
		half := 500 * time.Millisecond
		l.must(l.run(rb(), migrate.Options{}, pausing(half, resume)), migrate.ErrPaused)
		if want := []string{"a+", "a-"}; !slices.Equal(d.lines, want) {
			t.Fatalf("%q", d.lines)
		}
		if got := l.history().State(false); got != migrate.StateOpen {
			t.Errorf("state %q", got)
		}
		l.must(l.run(rb(), migrate.Options{}, resume), nil)
		d.lines = nil
		l.must(l.run(rb(), migrate.Options{}, pausing(half, rollback)), migrate.ErrPaused)
		if want := []string{"undo b+", "undo b-"}; !slices.Equal(d.lines, want) {
			t.Fatalf("%q", d.lines)
		}
		if got := l.history().State(false); got != migrate.StateGoingBack {
			t.Errorf("state %q", got)
		}
		l.must(l.run(rb(), migrate.Options{}, resume), migrate.ErrRolledBack)
		d.index(t, "undo a-")
	})
}

// A pause at a gate takes the question back.
func TestPauseAtAGate(t *testing.T) {
	inLab(t, func(l *lab) {
		o := migrate.Options{Ask: func(ctx context.Context, _ migrate.Question) (migrate.Answer, error) {
			<-ctx.Done()
			return migrate.Answer{}, ctx.Err()
		}}
		err := l.run(book(plain{spec: id("a")}, migrate.Gate{ID: "gate"}), o, func(r *migrate.Run) error {
			time.AfterFunc(time.Minute, r.Pause)
			return resume(r)
		})
		l.must(err, migrate.ErrPaused)
		if got := l.history().State(false); got != migrate.StateWaiting {
			t.Errorf("state %q", got)
		}
	})
}

// When the caller's context ends, what runs forward is told to stop; an undo may finish, and no other begins.
func TestCancel(t *testing.T) {
	inLab(t, func(l *lab) {
		d := &diary{}
		rb := func() *migrate.Runbook[migrate.Rehearsal] { return book(d.noting("a"), "|", d.noting("b")) }
		cancelled := func(do func(context.Context, *migrate.Run) error) error {
			return l.run(rb(), migrate.Options{}, func(r *migrate.Run) error {
				ctx, cancel := context.WithCancel(context.Background())
				time.AfterFunc(500*time.Millisecond, cancel)
				return do(ctx, r)
			})
		}
		l.must(cancelled(func(ctx context.Context, r *migrate.Run) error { return r.Resume(ctx) }), context.Canceled)
		if want := []string{"a+", "a!"}; !slices.Equal(d.lines, want) {
			t.Fatalf("%q", d.lines)
		}
		l.must(l.run(rb(), migrate.Options{}, resume), nil)
		d.lines = nil
		l.must(cancelled(func(ctx context.Context, r *migrate.Run) error { return r.Rollback(ctx, "", "test") }), context.Canceled)
		if want := []string{"undo b+", "undo b-"}; !slices.Equal(d.lines, want) {
			t.Fatalf("%q", d.lines)
		}
	})
}

// Nor does anything begin after a step that ended well although it had been told to stop.
func TestCancelledStepThatSucceeds(t *testing.T) {
	inLab(t, func(l *lab) {
		d := &diary{}
		deaf := plain{spec: id("deaf"), run: func(_ context.Context, _ *migrate.Scope[struct{}], o plainOut) (plainOut, error) {
			time.Sleep(time.Second)
			return o, nil
		}}
		l.must(l.run(book(deaf, "|", d.noting("b")), migrate.Options{}, func(r *migrate.Run) error {
			ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
			defer cancel()
			return r.Resume(ctx)
		}), context.DeadlineExceeded)
		if len(d.lines) > 0 {
			t.Errorf("%q", d.lines)
		}
		if s := l.step("deaf"); s.State != migrate.StepIsVerified {
			t.Errorf("deaf is %q", s.State)
		}
	})
}

// The second process learns who holds the run. The lock is free when the first has died.
func TestOneWriter(t *testing.T) {
	inLab(t, func(l *lab) {
		rb := book(plain{spec: id("a")}, migrate.Gate{ID: "gate"})
		o := migrate.Options{Who: "kim@desk", Host: "desk", PID: 42}
		err := l.run(rb, o, func(r *migrate.Run) error {
			_, err := migrate.Open(l.d.Process(crashfs.NewLife(0)), book(plain{spec: id("a")}, migrate.Gate{ID: "gate"}), migrate.Options{})
			var locked *journal.LockedError
			if !errors.As(err, &locked) || !errors.Is(err, journal.ErrLocked) || locked.Holder.Who != "kim@desk" || locked.Holder.Host != "desk" || locked.Holder.PID != 42 || locked.Holder.Since.IsZero() {
				t.Errorf("%v", err)
			}
			return resume(r)
		})
		l.must(err, migrate.ErrWaiting)
		l.must(l.run(rb, o, resume), migrate.ErrWaiting)
	})
}

// A process that loses its lock is told to stop at once, in a step and in an undo, and records nothing more.
func TestLostLockEndsTheRun(t *testing.T) {
	for _, back := range []bool{false, true} {
		inLab(t, func(l *lab) {
			wait := func(ctx context.Context) error {
				l.d.StealLock()
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(time.Hour):
					t.Error("it was not told to stop")
					return nil
				}
			}
			p := plain{spec: migrate.Spec{ID: "long", Timeout: 2 * time.Hour}}
			if back {
				p.undo = func(ctx context.Context, _ migrate.Recorded[plainOut]) error { return wait(ctx) }
			} else {
				p.run = func(ctx context.Context, _ *migrate.Scope[struct{}], o plainOut) (plainOut, error) {
					return o, wait(ctx)
				}
			}
			began := time.Now()
			err := l.run(book(p), migrate.Options{Ending: migrate.EndWithRollback()}, resume)
			l.must(err, journal.ErrLockLost)
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("took %s", took)
			}
			if kinds := l.kinds("long"); kinds[len(kinds)-1] != journal.Intent && kinds[len(kinds)-1] != journal.UndoIntent {
				t.Errorf("it recorded %v", kinds)
			}
		})
	}
}

// When the journal can't be written any more, what runs is told to stop: nothing that it does could be recorded.
func TestDeadJournalEndsTheRun(t *testing.T) {
	for _, back := range []bool{false, true} {
		inLab(t, func(l *lab) {
			wait := func(ctx context.Context) error {
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(time.Minute):
					t.Error("it was not told to stop")
					return nil
				}
			}
			fail := func() { time.Sleep(time.Second); l.d.FailSync(1) }
			long, short := plain{spec: id("long")}, plain{spec: id("short")}
			if back {
				long.undo = func(ctx context.Context, _ migrate.Recorded[plainOut]) error { return wait(ctx) }
				short.undo = func(context.Context, migrate.Recorded[plainOut]) error { fail(); return nil }
			} else {
				long.run = func(ctx context.Context, _ *migrate.Scope[struct{}], o plainOut) (plainOut, error) {
					return o, wait(ctx)
				}
				short.run = func(_ context.Context, _ *migrate.Scope[struct{}], o plainOut) (plainOut, error) {
					fail()
					return o, nil
				}
			}
			l.must(l.run(book(long, short), migrate.Options{Ending: migrate.EndWithRollback()}, resume), journal.ErrDead)
		})
	}
}

// Each process that goes on with a run has a higher fence number; one that only looks has none of its own.
func TestFence(t *testing.T) {
	inLab(t, func(l *lab) {
		var fences []uint64
		p := plain{spec: id("a"), plan: func(_ context.Context, s *migrate.Scope[struct{}], rec migrate.Recorded[plainOut]) (migrate.Plan[plainOut], error) {
			st := s.Stamp()
			if st.Run != runID || st.Step != "a" || s.Key() != runID+"-a" || s.Run() != runID {
				t.Errorf("%+v, key %s", st, s.Key())
			}
			fences = append(fences, st.Fence)
			return migrate.Done(plainOut{1}), nil
		}}
		rb := func() *migrate.Runbook[migrate.Rehearsal] { return book(p, migrate.Gate{ID: "gate"}) }
		for range 3 {
			l.must(l.run(rb(), migrate.Options{}, resume), migrate.ErrWaiting)
		}
		l.must(l.run(rb(), migrate.Options{}, func(*migrate.Run) error { return nil }), nil)
		if want := []uint64{1, 2, 3}; !slices.Equal(fences, want) || l.history().Lives != 3 {
			t.Errorf("fences %v, lives %d", fences, l.history().Lives)
		}
	})
}

func TestBeginAndOpen(t *testing.T) {
	inLab(t, func(l *lab) {
		dir := l.d.Process(l.life)
		rb := book(plain{spec: id("a")})
		_, err := migrate.Open(dir, rb, migrate.Options{})
		l.must(err, migrate.ErrNoRun)
		if _, err := migrate.Begin(dir, "my-run", rb, migrate.Options{}); err == nil {
			t.Error("took a bad id")
		}
		if _, err := migrate.Begin(dir, runID, rb, migrate.Options{Ending: migrate.EndWithRollback(migrate.Leg{Name: "x", DownTo: "phase 0"})}); err == nil {
			t.Error("took an ending that does not undo all")
		}
		if _, err := migrate.ReadHistory(dir); !errors.Is(err, migrate.ErrNoRun) {
			t.Errorf("history of nothing: %v", err)
		}
		r, err := migrate.Begin(dir, runID, rb, migrate.Options{})
		l.must(err, nil)
		l.must(r.Resume(context.Background()), nil)
		l.must(r.Close(), nil)
		if err := r.Resume(context.Background()); err == nil {
			t.Error("a closed run was resumed")
		}
		_, err = migrate.Begin(dir, runID, rb, migrate.Options{})
		l.must(err, migrate.ErrExists)
		_, err = migrate.Open(dir, rb, migrate.Options{})
		l.must(err, nil) // the lock was released by the failed Begin
	})
}

// An abort stops what runs, waits for it, and turns the run; who wanted it, and why, is on record.
func TestAbort(t *testing.T) {
	inLab(t, func(l *lab) {
		d := &diary{}
		err := l.run(book(d.noting("a"), "|", d.noting("b"), d.noting("c")), migrate.Options{}, func(r *migrate.Run) error {
			time.AfterFunc(1500*time.Millisecond, func() {
				_, _ = r.Abort(migrate.Answer{Who: "lee@hall", Why: "enough"}), r.Abort(migrate.Answer{Who: "kim", Why: "me too"})
			})
			return resume(r)
		})
		l.must(err, migrate.ErrRolledBack)
		d.before(t, "a-", "b+", "b!", "undo b+", "undo b-", "undo a+")
		d.before(t, "c!", "undo c+")
		if slices.Contains(d.lines, "b-") {
			t.Error("b was not told to stop")
		}
		turned := ""
		if err := migrate.ReadEvents(l.d.Process(crashfs.NewLife(0)), func(e migrate.Event) error {
			if e, ok := e.(migrate.RunTurned); ok {
				turned = e.Who + ": " + e.Why
			}
			return nil
		}); err != nil || turned != "lee@hall: enough" {
			t.Errorf("%q %v", turned, err)
		}
	})
}

// A run is worked on once at a time, and its end is its end.
func TestOneCallAtATime(t *testing.T) {
	inLab(t, func(l *lab) {
		d := &diary{}
		o := migrate.Options{Ending: migrate.EndWithRollback()}
		l.must(l.run(book(d.noting("a")), o, func(r *migrate.Run) error {
			time.AfterFunc(500*time.Millisecond, func() {
				if err := resume(r); err == nil {
					t.Error("resumed twice at the same time")
				}
			})
			return resume(r)
		}), nil)
		n := l.history().Records
		l.must(l.run(book(d.noting("a")), o, resume), nil) // done: nothing happens, and nothing is recorded
		if err := l.run(book(d.noting("a")), o, rollback); err == nil || errors.Is(err, migrate.ErrRolledBack) {
			t.Errorf("a run that has rolled itself back was rolled back: %v", err)
		}
		if l.history().Records != n {
			t.Errorf("%d records, then %d", n, l.history().Records)
		}
	})
	inLab(t, func(l *lab) {
		d := &diary{}
		l.must(l.run(book(d.noting("a")), migrate.Options{}, rollback), migrate.ErrRolledBack)
		n := l.history().Records
		l.must(l.run(book(d.noting("a")), migrate.Options{}, resume), migrate.ErrRolledBack)
		l.must(l.run(book(d.noting("a")), migrate.Options{}, rollback), migrate.ErrRolledBack)
		if l.history().Records != n || len(d.lines) > 0 {
			t.Errorf("%d records, then %d; %q", n, l.history().Records, d.lines)
		}
	})
}

// What a run ends with is pinned when it is opened; what a later process says doesn't count.
func TestEndingIsPinned(t *testing.T) {
	inLab(t, func(l *lab) {
		d := &diary{}
		rb := func() *migrate.Runbook[migrate.Rehearsal] { return book(d.noting("a"), migrate.Gate{ID: "gate"}) }
		l.must(l.run(rb(), migrate.Options{Ending: migrate.EndWithRollback()}, resume), migrate.ErrWaiting)
		l.must(l.run(rb(), migrate.Options{Ending: migrate.EndKept(), Ask: answers(migrate.Pass)}, resume), nil)
		d.index(t, "undo a-")
		if got := l.history().State(false); got != migrate.StateDone {
			t.Errorf("state %q", got)
		}
	})
	inLab(t, func(l *lab) { // nor does it when another program is accepted
		d := &diary{}
		rb := func() *migrate.Runbook[migrate.Rehearsal] { return book(d.noting("a"), migrate.Gate{ID: "gate"}) }
		l.must(l.run(rb(), migrate.Options{Ending: migrate.EndWithRollback(), Tool: "1"}, resume), migrate.ErrWaiting)
		l.must(l.run(rb(), migrate.Options{Ending: migrate.EndKept(), Tool: "2", Accept: "a fix", Ask: answers(migrate.Pass)}, resume), nil)
		d.index(t, "undo a-")
	})
}

// A listener that comes when the run is closed gets what there is, and no more.
func TestListenToAClosedRun(t *testing.T) {
	inLab(t, func(l *lab) {
		var run *migrate.Run
		l.must(l.run(book(plain{spec: id("a")}), migrate.Options{}, func(r *migrate.Run) error { run = r; return resume(r) }), nil)
		n := 0
		run.Listen(func(migrate.Event) { n++ })
		synctest.Wait() // the test would hang in the end if the listener went on
		if n == 0 {
			t.Error("it got nothing")
		}
	})
}

// A process that ended its run as kept and then turned it dies on the way back: the run goes back, and isn't kept any more.
func TestKeptAndTurnedByOneProcess(t *testing.T) {
	inLab(t, func(l *lab) {
		d := &diary{}
		rb := func() *migrate.Runbook[migrate.Rehearsal] { return book(d.noting("a"), "|", d.noting("b")) }
		o := migrate.Options{Ending: migrate.EndKept(migrate.Leg{Name: "all"})}
		err := l.run(rb(), o, func(r *migrate.Run) error {
			l.must(resume(r), nil)
			time.AfterFunc(1500*time.Millisecond, func() { l.life.Kill("between two undos") })
			return rollback(r)
		})
		if err == nil {
			t.Fatal("it was not killed")
		}
		l.d.Crash(crashfs.KeepAll)
		l.life = crashfs.NewLife(0)
		if s := l.history().State(false); s != migrate.StateGoingBack {
			t.Errorf("it is %s", s)
		}
		l.must(l.run(rb(), o, resume), migrate.ErrRolledBack)
		d.before(t, "undo b-", "undo a-")
	})
}
