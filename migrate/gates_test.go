package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal"
	"github.com/slipway-dev/slipway/migrate/journal/crashfs"
)

// A deadline that has passed turns the run back: while somebody is asked, with an answer that came too late, and while
// no process was there at all, whatever the configuration says by then.
func TestGateDeadline(t *testing.T) {
	for _, when := range []string{"while asking", "late answer", "while down", "while down, and nobody is there"} {
		t.Run(when, func(t *testing.T) {
			inLab(t, func(l *lab) {
				by := time.Now().Add(time.Hour)
				book := func() *migrate.Runbook[migrate.Cutover] {
					x := forCutover(l.world)
					x.by = by
					return phases(x)
				}
				o := passing()
				o.Ask = func(ctx context.Context, q migrate.Question) (migrate.Answer, error) {
					if !q.Deadline.Equal(by) {
						t.Errorf("deadline %s", q.Deadline)
					}
					if when == "late answer" {
						time.Sleep(2 * time.Hour)
						return migrate.Answer{Word: migrate.Pass, Why: "pressed late"}, nil
					}
					<-ctx.Done()
					return migrate.Answer{}, nil
				}
				if strings.HasPrefix(when, "while down") {
					l.must(process(l.world, l.d, book(), nobody(), resume), migrate.ErrWaiting)
					time.Sleep(2 * time.Hour)
					by = time.Now().Add(time.Hour) // a new deadline in the configuration doesn't move the recorded one
					if o = passing(); when != "while down" {
						o.Ask = nil
					}
				}
				l.must(process(l.world, l.d, book(), o, resume), migrate.ErrRolledBack)
				l.good(isOld(l.world))
				if l.prod.edge == "new" || l.done["source.freeze(true)"] > 0 {
					t.Error("it went on after the deadline")
				}
			})
		})
	}
}

// A deadline that passed while no process was there turns the run back before anything is looked at: a world that has
// changed meanwhile does not keep it from going back. The same of a gate that was aborted by a process that died before it
// had turned.
func TestDecidedBeforeAnythingIsLookedAt(t *testing.T) {
	run := func(l *lab, die func()) (told bool) {
		changed := false
		p := plain{spec: id("a"), plan: func(_ context.Context, _ *migrate.Scope[struct{}], rec migrate.Recorded[plainOut]) (migrate.Plan[plainOut], error) {
			if changed {
				t.Error("it was looked at")
				return migrate.Plan[plainOut]{}, errInjected
			}
			if rec.Complete {
				return migrate.Done(rec.Out), nil
			}
			return migrate.Plan[plainOut]{}, nil
		}}
		rb := func() *migrate.Runbook[migrate.Rehearsal] {
			return book(p, "|", migrate.Gate{ID: "gate", Within: time.Hour})
		}
		l.must(l.run(rb(), migrate.Options{}, resume), migrate.ErrWaiting)
		if die != nil {
			die()
			_ = l.run(rb(), migrate.Options{Ask: func(context.Context, migrate.Question) (migrate.Answer, error) {
				return migrate.Answer{Word: migrate.Abort}, nil
			}}, resume)
			l.d.Crash(crashfs.KeepAll)
			l.life = crashfs.NewLife(0)
			if st, _ := l.history().Step("gate"); st.State != migrate.GateIsAborted {
				return false // killed before it was, or after it was undone
			}
		}
		changed = true
		if die == nil {
			time.Sleep(2 * time.Hour)
		}
		l.must(l.run(rb(), migrate.Options{}, resume), migrate.ErrRolledBack)
		return true
	}
	inLab(t, func(l *lab) { run(l, nil) })
	tried := 0
	for at := 1; at < 60; at++ {
		inLab(t, func(l *lab) {
			if run(l, func() { l.life = crashfs.NewLife(at) }) {
				tried++
			}
		})
	}
	if tried == 0 {
		t.Error("no process died between the word and the turn")
	}
}

// A question can be asked anew without a decision; it then has what the journal and the services say by then. It names the
// record that opened the gate, and the history who decided what, with which request.
func TestQuestionAnew(t *testing.T) {
	inLab(t, func(l *lab) {
		shown := 0
		g := migrate.Gate{ID: "gate", Show: func(_ context.Context, h *migrate.History) ([]string, error) {
			shown++
			a, _ := h.Step("a")
			return []string{string(a.State)}, nil
		}}
		asked := 0
		l.must(l.run(book(plain{spec: id("a")}, g), migrate.Options{Ask: func(_ context.Context, q migrate.Question) (migrate.Answer, error) {
			asked++
			if len(q.Lines) != 1 || q.Lines[0] != string(migrate.StepIsVerified) || q.Refused != "" || q.Opening == 0 {
				t.Errorf("%+v", q)
			}
			if asked < 3 {
				return migrate.Answer{Word: migrate.Again}, nil
			}
			return migrate.Answer{Word: migrate.Pass, Who: "lee@hall", Why: "seen", Request: "r1"}, nil
		}}, resume), nil)
		if asked != 3 || shown != 3 {
			t.Errorf("asked %d times, shown %d times", asked, shown)
		}
		st, _ := l.history().Step("gate")
		for _, r := range l.records() {
			if r.Seq == st.Opening && (r.Kind != journal.Gate || !strings.Contains(string(r.Data), `"open"`)) {
				t.Errorf("the gate was not opened by %v", r)
			}
		}
		if st.Opening == 0 || st.Opened.IsZero() || st.Word.Who != "lee@hall" || st.Word.Why != "seen" || st.Request != "r1" {
			t.Errorf("%+v", st)
		}
	})
}

// The services that a gate names are looked at when it is passed, not when it is asked.
func TestGateChecksHealthAtThePass(t *testing.T) {
	inLab(t, func(l *lab) {
		asked := 0
		var refused []string
		o := passing()
		o.Ask = func(_ context.Context, q migrate.Question) (migrate.Answer, error) {
			if q.Gate == "go" {
				asked++
				refused = append(refused, q.Refused)
				l.change(func() {
					switch asked {
					case 1:
						l.orders = 0
						for i := range 500 {
							key := fmt.Sprint("burst", i)
							l.prod.src.write(key, "prod")
							for at := range 600 {
								l.failing[fmt.Sprintf("target.apply %s@%d", key, at)] = 1
							}
						}
					case 3:
						clear(l.failing)
					}
				})
			}
			time.Sleep(20 * time.Second)
			return migrate.Answer{Word: migrate.Pass, Who: "lee@hall", From: "pts/3", Why: "looks good"}, nil
		}
		l.must(l.cutover(o), nil)
		if asked < 3 || refused[0] != "" || !strings.Contains(refused[1], "follow.rows") {
			t.Errorf("asked %d times, refused %q", asked, refused)
		}
		recs := l.records()
		for _, r := range recs {
			if r.Kind == journal.Gate && strings.Contains(string(r.Data), `"pass"`) && r.Step == "go" {
				for _, part := range []string{"lee@hall", "pts/3", "looks good"} {
					if !strings.Contains(string(r.Data), part) {
						t.Errorf("%q is not in %s", part, r.Data)
					}
				}
			}
		}
	})
}

// A gate refuses a pass while a service that it names lags too far behind, or is down, and says which.
func TestGateNamesItsServices(t *testing.T) {
	for _, x := range []struct {
		name, refused string
		follow        func(ctx context.Context, f *migrate.Feed[float64], n int, at *float64) error
	}{
		{"lags", "service lags by 5s, and may by 2s", func(ctx context.Context, f *migrate.Feed[float64], _ int, at *float64) error {
			f.Applied(*at, 5*time.Second)
			time.Sleep(time.Minute)
			return followTo(ctx, f, at)
		}},
		{"is down", "service is not up: injected", func(ctx context.Context, f *migrate.Feed[float64], n int, at *float64) error {
			if n > 1 && n < 9 {
				return errInjected
			}
			f.Applied(*at, 0)
			if n == 1 {
				time.Sleep(time.Millisecond)
				return errInjected
			}
			return followTo(ctx, f, at)
		}},
	} {
		t.Run(x.name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				at, n := 0.0, 0
				rb := migrate.NewRunbook[migrate.Rehearsal]()
				rb.Phase("follow")
				eye := migrate.Look("nothing", struct{}{})
				sv := migrate.AddService(rb, plainService{n: &n, at: &at, follow: func(ctx context.Context, f *migrate.Feed[float64], n int) error { return x.follow(ctx, f, n, &at) }},
					eye, migrate.NoHands[migrate.Rehearsal](eye))
				migrate.AddGate(rb, migrate.Gate{ID: "gate", Healthy: []migrate.Dep{sv.Dep()}, MaxLag: 2 * time.Second})
				migrate.DrainToTip(rb, "drain", sv)
				refused := map[string]int{}
				l.must(l.run(rb, migrate.Options{Ask: func(_ context.Context, q migrate.Question) (migrate.Answer, error) {
					time.Sleep(10 * time.Millisecond)
					refused[q.Refused]++
					return migrate.Answer{Word: migrate.Pass}, nil
				}}, resume), nil)
				if refused[x.refused] < 3 || refused[""] != 1 || len(refused) != 2 {
					t.Errorf("refused: %v", refused)
				}
			})
		})
	}
}

// A run that ends kept ends before a point of no return, and can be rolled back from there.
func TestKeptBeforeThePointOfNoReturn(t *testing.T) {
	inLab(t, func(l *lab) {
		o := passing()
		o.Ending = migrate.EndKept(legs...)
		l.must(process(l.world, l.d, phases(forRehearsal(l.world)), o, resume), nil)
		if got := l.history().State(false); got != migrate.StateKept || len(l.kinds("finalize")) > 0 {
			t.Errorf("state %q, gate %v", got, l.kinds("finalize"))
		}
		l.must(process(l.world, l.d, phases(forRehearsal(l.world)), o, resume), nil) // kept stays kept
		l.must(process(l.world, l.d, phases(forRehearsal(l.world)), o, rollback), migrate.ErrRolledBack)
		l.good(isUntouched(l.world))
	})
}

func TestGateWaits(t *testing.T) {
	inLab(t, func(l *lab) {
		l.must(l.cutover(nobody()), migrate.ErrWaiting)
		if got := l.history().State(false); got != migrate.StateWaiting {
			t.Errorf("state %q", got)
		}
		o := passing()
		o.Ask = func(context.Context, migrate.Question) (migrate.Answer, error) { return migrate.Answer{}, nil }
		l.must(l.cutover(o), migrate.ErrWaiting)
		if n := len(l.kinds("go")); n != 1 {
			t.Errorf("the gate was opened %d times", n)
		}
		l.must(l.cutover(passing()), nil)
		if got := l.history().State(false); got != migrate.StateDone {
			t.Errorf("state %q", got)
		}
	})
}

// What was passed at a point of no return isn't rolled back.
func TestPointOfNoReturn(t *testing.T) {
	inLab(t, func(l *lab) {
		l.must(l.cutover(passing()), nil)
		err := process(l.world, l.d, phases(forCutover(l.world)), passing(), func(r *migrate.Run) error {
			if _, err := r.PlanRollback(""); err == nil {
				t.Error("the plan of the rollback doesn't say that it can't be")
			}
			return r.Rollback(context.Background(), "", "test")
		})
		l.must(err, migrate.ErrIrreversible)
		if l.prod.edge != "new" {
			t.Error("it was undone")
		}
		if got := l.history().State(false); got != migrate.StateDone {
			t.Errorf("the run was done, and is %q", got)
		}
	})
}

// A gate that turns the run cancels what runs beside it and waits for it: a gate is a barrier, so nothing does; a gate
// that is aborted rolls back as far as the run's legs go.
func TestAbortStopsWhereTheLegsDo(t *testing.T) {
	inLab(t, func(l *lab) {
		o := aborting()
		o.Ending = migrate.EndDone(migrate.Leg{Name: "rollback", DownTo: "follow"})
		l.must(l.cutover(o), migrate.ErrRolledBack)
		if l.cluster == "" || l.prod.edge != "old" || l.prod.src.frozen {
			t.Fatalf("cluster %q, edge %s, frozen %v", l.cluster, l.prod.edge, l.prod.src.frozen)
		}
		if got := l.history().State(false); got != migrate.StateOpen {
			t.Errorf("state %q", got)
		}
		l.done = map[string]int{}
		l.must(l.cutover(passing()), nil) // it can be tried again
		l.good(isNew(l.world))
	})
}

// A run is not told to turn back when it can't: it goes back already, it was told before, or a point of no return was passed.
func TestAbortThatCant(t *testing.T) {
	inLab(t, func(l *lab) {
		wish := migrate.Answer{Who: "lee@hall", Why: "enough"}
		point := migrate.Gate{ID: "gate", PointOfNoReturn: true}
		long := plain{spec: id("b"), run: func(context.Context, *migrate.Scope[struct{}], plainOut) (plainOut, error) {
			time.Sleep(time.Minute)
			return plainOut{}, nil
		}}
		l.must(l.run(book(plain{spec: id("a")}, point, long), migrate.Options{Ask: answers(migrate.Pass)}, func(r *migrate.Run) error {
			time.AfterFunc(time.Second, func() { l.must(r.Abort(wish), migrate.ErrIrreversible) })
			return resume(r)
		}), nil)
	})
	inLab(t, func(l *lab) {
		wish := migrate.Answer{Who: "lee@hall", Why: "enough"}
		slow := plain{spec: id("a"), undo: func(context.Context, migrate.Recorded[plainOut]) error { time.Sleep(time.Minute); return nil }}
		l.must(l.run(book(slow, migrate.Gate{ID: "gate"}), migrate.Options{}, func(r *migrate.Run) error {
			if err := resume(r); !errors.Is(err, migrate.ErrWaiting) {
				t.Error(err)
			}
			if err := r.Abort(wish); err != nil {
				t.Error(err)
			}
			if err := r.Abort(wish); err == nil {
				t.Error("told twice")
			}
			time.AfterFunc(time.Second, func() {
				if err := r.Abort(wish); err == nil || !strings.Contains(err.Error(), "goes back already") {
					t.Errorf("while it goes back: %v", err)
				}
			})
			return resume(r)
		}), migrate.ErrRolledBack)
	})
}
