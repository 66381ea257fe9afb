package migrate_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal"
)

// A deadline that has passed turns the run back: while somebody is asked, with an answer that came too late, and while
// no process was there at all, whatever the configuration says by then.
func TestGateDeadline(t *testing.T) {
	for _, when := range []string{"while asking", "late answer", "while down"} {
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
				if when == "while down" {
					l.must(process(l.world, l.d, book(), nobody(), resume), migrate.ErrWaiting)
					time.Sleep(2 * time.Hour)
					by = time.Now().Add(time.Hour) // a new deadline in the configuration doesn't move the recorded one
					o = passing()
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
