package migrate_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal"
	"github.com/slipway-dev/slipway/migrate/journal/crashfs"
)

// killedIn is a step that kills its process a second after it has begun, the first time.
func (l *lab) killedIn(d *diary, name migrate.StepID) plain {
	p, n := d.noting(name), 0
	run := p.run
	p.run = func(ctx context.Context, s *migrate.Scope[struct{}], o plainOut) (plainOut, error) {
		if n++; n == 1 {
			d.note("%s dies", name)
			time.Sleep(time.Second)
			l.life.Kill("test")
			return o, errInjected
		}
		return run(ctx, s, o)
	}
	return p
}

// crash is the end of a process that was killed.
func (l *lab) crash(err error) {
	l.t.Helper()
	if _, killed := l.life.Killed(); err == nil || !killed {
		l.t.Fatalf("it was not killed: %v", err)
	}
	l.d.Crash(crashfs.KeepAll)
	l.life = crashfs.NewLife(0)
}

// A deadline that passed while no process was there: the next one takes the phase back before it looks at anything,
// whatever the runbook says by then.
func TestDeadlinePassesWhileDown(t *testing.T) {
	for _, x := range []struct {
		name string
		now  any // begins the phase in the second process
	}{{"the same limit", limit}, {"a longer limit", 10 * time.Hour}, {"no limit", "|"}} {
		t.Run(x.name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				d, down, asked := &diary{}, false, 0
				before := d.noting("before")
				before.plan = func(_ context.Context, _ *migrate.Scope[struct{}], rec migrate.Recorded[plainOut]) (migrate.Plan[plainOut], error) {
					if down {
						t.Error("it was looked at")
					}
					if rec.Complete {
						return migrate.Done(rec.Out), nil
					}
					return migrate.Plan[plainOut]{}, nil
				}
				a, b := d.noting("a"), l.killedIn(d, "b")
				rb := func(begin any) *migrate.Runbook[migrate.Rehearsal] {
					rb := book(before, migrate.Gate{ID: "go"})
					switch begin := begin.(type) {
					case time.Duration:
						rb.PhaseWithin("switch", begin)
					default:
						rb.PhaseInOrder("switch")
					}
					add(rb, a, b)
					rb.Phase("later")
					add(rb, d.noting("after"))
					return rb
				}
				l.crash(l.run(rb(limit), passes(&asked), resume))
				if p := l.history().Phases()[1]; p.Deadline.IsZero() {
					t.Errorf("%+v", p)
				}
				time.Sleep(time.Hour)
				down, d.lines = true, nil
				l.takenBack(l.run(rb(x.now), migrate.Options{}, resume), "before", "phase switch was not over within 30s")
				if want := []string{"undo b+", "undo b-", "undo a+", "undo a-"}; !slices.Equal(d.lines, want) {
					t.Errorf("%q", d.lines)
				}
				down = false
				l.must(l.run(rb(x.now), passes(&asked), resume), nil)
				if asked != 2 {
					t.Errorf("asked %d times", asked)
				}
			})
		})
	}
}

// The deadline counts when a person has accepted another name for the phase, whether it has passed by then or not.
func TestDeadlineOutlivesThePhasesName(t *testing.T) {
	for _, down := range []time.Duration{time.Hour, 10 * time.Second} {
		inLab(t, func(l *lab) {
			d, asked := &diary{}, 0
			b := l.killedIn(d, "b")
			rb := func(name string) *migrate.Runbook[migrate.Rehearsal] {
				rb := book(d.noting("before"), migrate.Gate{ID: "go"})
				rb.PhaseWithin(name, limit)
				add(rb, d.noting("a"), b, d.lasting("c", time.Minute))
				return rb
			}
			l.crash(l.run(rb("switch"), passes(&asked), resume))
			time.Sleep(down)
			l.takenBack(l.run(rb("cut over"), migrate.Options{Accept: "a better word"}, resume), "before", "phase cut over was not over within 30s")
			at, _ := l.deadlines("a")
			if turned := l.turns()[0]; down < limit && !turned.Equal(at[0].Add(limit)) {
				t.Errorf("it turned at %s, and the phase was begun at %s", turned, at[0])
			}
		})
	}
}

// So does that a phase was over.
func TestOverOutlivesThePhasesName(t *testing.T) {
	inLab(t, func(l *lab) {
		asked, gone := 0, false
		a := plain{spec: id("a"), plan: func(_ context.Context, _ *migrate.Scope[struct{}], rec migrate.Recorded[plainOut]) (migrate.Plan[plainOut], error) {
			if rec.Complete && !gone {
				return migrate.Done(rec.Out), nil
			}
			return migrate.Plan[plainOut]{}, nil
		}, run: func(_ context.Context, _ *migrate.Scope[struct{}], o plainOut) (plainOut, error) {
			if gone {
				return o, errInjected
			}
			return o, nil
		}}
		rb := func(name string) *migrate.Runbook[migrate.Rehearsal] {
			rb := book(plain{spec: id("before")}, migrate.Gate{ID: "go"})
			rb.PhaseWithin(name, limit)
			add(rb, a)
			rb.Phase("later")
			migrate.AddGate(rb, migrate.Gate{ID: "last"})
			return rb
		}
		o := migrate.Options{Accept: "a better word", Ask: func(_ context.Context, q migrate.Question) (migrate.Answer, error) {
			asked++
			return migrate.Answer{Word: map[migrate.StepID]migrate.Word{"go": migrate.Pass}[q.Gate]}, nil
		}, OnDrift: func(context.Context, migrate.Drift) (migrate.Verdict, error) {
			return migrate.Verdict{Choice: migrate.DriftRedo, Why: "test"}, nil
		}}
		l.must(l.run(rb("switch"), o, resume), migrate.ErrWaiting)
		gone = true
		l.must(l.run(rb("cut over"), o, resume), errInjected)
		if n := len(l.turns()); n > 0 {
			t.Errorf("it turned %d times", n)
		}
	})
}

// add puts plain steps into the current phase.
func add(rb *migrate.Runbook[migrate.Rehearsal], steps ...plain) {
	eye := migrate.Look("nothing", struct{}{})
	for _, p := range steps {
		migrate.Add(rb, p, eye, migrate.NoHands[migrate.Rehearsal](eye))
	}
}

// A process that finds the phase begun and the deadline not passed goes on forward: to its end, or until a step fails, also
// one of an earlier phase that is looked at again, or until the deadline, which stays where it was.
func TestResumeInsideThePhase(t *testing.T) {
	for _, x := range []struct {
		name, why string
		then      func(before, b *plain)
	}{
		{"it goes on", "", func(*plain, *plain) {}},
		{"a step fails", "phase switch: step b: injected", func(_, b *plain) {
			b.run = func(_ context.Context, _ *migrate.Scope[struct{}], o plainOut) (plainOut, error) {
				return o, errInjected
			}
		}},
		{"an earlier one can't be looked at", "phase switch: step before: injected", func(before, _ *plain) {
			before.plan = func(context.Context, *migrate.Scope[struct{}], migrate.Recorded[plainOut]) (migrate.Plan[plainOut], error) {
				return migrate.Plan[plainOut]{}, errInjected
			}
		}},
		{"an earlier one no longer holds", "phase switch: step before: recorded as done, but the world has changed: N was 0, is 9", func(before, _ *plain) {
			before.plan = func(context.Context, *migrate.Scope[struct{}], migrate.Recorded[plainOut]) (migrate.Plan[plainOut], error) {
				return migrate.Done(plainOut{9}), nil
			}
		}},
		{"the deadline passes", "phase switch was not over within 30s", func(_, b *plain) {
			b.run = func(ctx context.Context, _ *migrate.Scope[struct{}], o plainOut) (plainOut, error) {
				<-ctx.Done()
				return o, ctx.Err()
			}
		}},
		{"the deadline passes before the phase is reached", "phase switch was not over within 30s", func(before, _ *plain) {
			before.plan = func(ctx context.Context, _ *migrate.Scope[struct{}], _ migrate.Recorded[plainOut]) (migrate.Plan[plainOut], error) {
				<-ctx.Done()
				return migrate.Plan[plainOut]{}, ctx.Err()
			}
		}},
	} {
		t.Run(x.name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				d, asked := &diary{}, 0
				before, b := d.noting("before"), l.killedIn(d, "b")
				rb := func() *migrate.Runbook[migrate.Rehearsal] {
					return book(before, migrate.Gate{ID: "go"}, limit, d.noting("a"), b, "|", d.noting("after"))
				}
				l.crash(l.run(rb(), passes(&asked), resume))
				time.Sleep(10 * time.Second)
				x.then(&before, &b)
				err := l.run(rb(), passes(&asked), resume)
				if x.why == "" {
					l.must(err, nil)
				} else {
					l.takenBack(err, "before", x.why)
				}
				if asked != 1 {
					t.Errorf("asked %d times", asked)
				}
				at, _ := l.deadlines("a")
				if strings.HasSuffix(x.why, "30s") && !l.turns()[0].Equal(at[0].Add(limit)) {
					t.Errorf("it turned at %s, and the phase was begun at %s", l.turns()[0], at[0])
				}
			})
		})
	}
}

// Drift in a phase that isn't over is a failure, unless a person has a verdict about it.
func TestDriftInThePhase(t *testing.T) {
	for _, choice := range []migrate.DriftChoice{-1, migrate.DriftStop, migrate.DriftRedo, migrate.DriftAccept} {
		inLab(t, func(l *lab) {
			d, asked := &diary{}, 0
			a, b := d.noting("a"), l.killedIn(d, "b")
			rb := func() *migrate.Runbook[migrate.Rehearsal] { return switching(d, limit, a, b) }
			l.crash(l.run(rb(), passes(&asked), resume))
			a.plan = func(_ context.Context, _ *migrate.Scope[struct{}], rec migrate.Recorded[plainOut]) (migrate.Plan[plainOut], error) {
				return migrate.Plan[plainOut]{Effects: []migrate.Effect{{Verb: "freeze", Object: "db1"}}}, nil
			}
			o := passes(&asked)
			if choice >= 0 {
				o.OnDrift = func(context.Context, migrate.Drift) (migrate.Verdict, error) {
					return migrate.Verdict{Choice: choice, Why: "seen"}, nil
				}
			}
			err := l.run(rb(), o, resume)
			if choice > migrate.DriftStop {
				l.must(err, nil)
				return
			}
			l.takenBack(err, "before", "phase switch: step a: recorded as done, but the world has changed: nothing of it is there; would freeze db1")
		})
	}
}

// A phase that was over in time is over: what fails later, and what is done again in it, turns nothing, however late.
func TestOverIsOver(t *testing.T) {
	inLab(t, func(l *lab) {
		d, broken, asked := &diary{}, true, 0
		gone := false
		a := d.noting("a")
		a.plan = func(_ context.Context, _ *migrate.Scope[struct{}], rec migrate.Recorded[plainOut]) (migrate.Plan[plainOut], error) {
			if rec.Complete && !gone {
				return migrate.Done(rec.Out), nil
			}
			return migrate.Plan[plainOut]{}, nil
		}
		run := a.run
		a.run = func(ctx context.Context, s *migrate.Scope[struct{}], o plainOut) (plainOut, error) {
			if gone {
				return o, errInjected
			}
			return run(ctx, s, o)
		}
		rb := func() *migrate.Runbook[migrate.Rehearsal] {
			return book(d.noting("before"), migrate.Gate{ID: "go"}, limit, a, d.noting("b"), "|", d.failing("after", &broken), "|", migrate.Gate{ID: "last"})
		}
		o := passes(&asked)
		l.must(l.run(rb(), o, resume), errInjected)
		time.Sleep(time.Hour)
		l.must(l.run(rb(), o, resume), errInjected)
		gone = true
		l.must(l.run(rb(), o, resume), migrate.ErrDrift)
		o.OnDrift = func(context.Context, migrate.Drift) (migrate.Verdict, error) {
			return migrate.Verdict{Choice: migrate.DriftRedo, Why: "test"}, nil
		}
		l.must(l.run(rb(), o, resume), errInjected)
		l.must(l.run(rb(), o, resume), errInjected)
		o.Accept, o.Tool = "a fix", "2" // nor under a manifest that a person accepted
		l.must(l.run(rb(), o, resume), errInjected)
		if _, until := l.deadlines("a"); len(until) != 4 || !until[1].IsZero() || !until[2].IsZero() || !until[3].IsZero() {
			t.Errorf("deadlines %s", until)
		}
		gone, broken = false, false
		time.Sleep(time.Hour)
		l.must(l.run(rb(), o, resume), nil)
		if n := len(l.turns()); n > 0 {
			t.Errorf("it turned %d times", n)
		}
	})
}

// A dead journal, a lost lock and a process that is told to end turn nothing; the next process goes on, or takes the phase
// back when it is late.
func TestWhatTurnsNothing(t *testing.T) {
	for _, x := range []struct {
		name string
		want error
		run  func(l *lab, ctx context.Context, end context.CancelFunc) error // of a step
	}{
		{"a dead journal", journal.ErrDead, func(l *lab, _ context.Context, _ context.CancelFunc) error { l.d.FailSync(1); return errInjected }},
		{"a lost lock", journal.ErrLockLost, func(l *lab, ctx context.Context, _ context.CancelFunc) error {
			l.d.StealLock()
			<-ctx.Done()
			return ctx.Err()
		}},
		{"a lock that is lost at the deadline", journal.ErrDead, func(l *lab, ctx context.Context, _ context.CancelFunc) error {
			time.Sleep(limit - 100*time.Millisecond)
			l.d.StealLock()
			<-ctx.Done()
			return ctx.Err()
		}},
		{"told to end", context.Canceled, func(_ *lab, ctx context.Context, end context.CancelFunc) error {
			end()
			<-ctx.Done()
			return ctx.Err()
		}},
		{"told to end, and late", context.Canceled, func(_ *lab, ctx context.Context, end context.CancelFunc) error {
			end()
			time.Sleep(time.Minute)
			return ctx.Err()
		}},
	} {
		t.Run(x.name, func(t *testing.T) {
			for _, late := range []bool{false, true} {
				inLab(t, func(l *lab) {
					d, asked, first := &diary{}, 0, true
					b := d.noting("b")
					run := b.run
					rb := func(end context.CancelFunc) *migrate.Runbook[migrate.Rehearsal] {
						b.run = func(ctx context.Context, s *migrate.Scope[struct{}], o plainOut) (plainOut, error) {
							if first {
								return o, x.run(l, ctx, end)
							}
							return run(ctx, s, o)
						}
						return switching(d, limit, d.noting("a"), b)
					}
					ctx, end := context.WithCancel(context.Background())
					err := l.run(rb(end), passes(&asked), func(r *migrate.Run) error { return r.Resume(ctx) })
					l.must(err, x.want)
					l.d.Crash(crashfs.KeepAll)
					if len(l.turns()) > 0 || slices.Contains(d.lines, "undo b+") {
						t.Fatalf("it turned: %q", d.lines)
					}
					first = false
					if late {
						time.Sleep(time.Hour)
					}
					passed := !time.Now().Before(l.history().Phases()[1].Deadline)
					err = l.run(rb(end), passes(&asked), resume)
					if passed {
						l.takenBack(err, "before", "phase switch was not over within 30s")
					} else {
						l.must(err, nil)
					}
				})
			}
		})
	}
}
