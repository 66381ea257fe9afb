package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal"
)

// plainService is a service whose methods are the test's. What isn't set does what it should.
type plainService struct {
	follow func(ctx context.Context, f *migrate.Feed[float64], attempt int) error
	n      *int
	policy migrate.StopPolicy
	at     *float64
}

func (p plainService) Spec() migrate.Spec { return migrate.Spec{ID: "service", OnRollback: p.policy} }
func (p plainService) Plan(context.Context, *migrate.Scope[struct{}], migrate.Recorded[float64]) (migrate.Plan[float64], error) {
	return migrate.Plan[float64]{Want: *p.at}, nil
}
func (p plainService) Follow(ctx context.Context, _ *migrate.Scope[struct{}], f *migrate.Feed[float64]) error {
	*p.n++
	if p.follow != nil {
		return p.follow(ctx, f, *p.n)
	}
	return followTo(ctx, f, p.at)
}
func (p plainService) Tip(context.Context, *migrate.Scope[struct{}]) (float64, error) { return 10, nil }
func (p plainService) Verify(_ context.Context, _ *migrate.Scope[struct{}], at float64) error {
	if *p.at != at {
		return fmt.Errorf("at %v, not %v", *p.at, at)
	}
	return nil
}
func (p plainService) Undo(context.Context, *migrate.Scope[struct{}], migrate.Recorded[float64]) error {
	return nil
}

// followTo is a Follow that does what it should.
func followTo(ctx context.Context, f *migrate.Feed[float64], at *float64) error {
	f.Applied(*at, 0)
	select {
	case *at = <-f.Until():
		f.Applied(*at, 0)
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// serving is a runbook with a service that is drained after a while.
func serving(p plainService) *migrate.Runbook[migrate.Rehearsal] {
	rb := migrate.NewRunbook[migrate.Rehearsal]()
	rb.Phase("follow")
	eye := migrate.Look("nothing", struct{}{})
	sv := migrate.AddService(rb, p, eye, migrate.NoHands[migrate.Rehearsal](eye))
	rb.Phase("wait")
	migrate.Add(rb, plain{spec: id("wait"), run: func(_ context.Context, _ *migrate.Scope[struct{}], o plainOut) (plainOut, error) {
		time.Sleep(10 * time.Minute)
		return o, nil
	}}, eye, migrate.NoHands[migrate.Rehearsal](eye))
	rb.Phase("drain")
	migrate.DrainToTip(rb, "drain", sv)
	return rb
}

func TestServiceIsSupervised(t *testing.T) {
	for _, x := range []struct {
		name   string
		follow func(ctx context.Context, f *migrate.Feed[float64], attempt int, at *float64) error
		want   string // the run's error; "" for none
		starts int
		fails  int
	}{
		{"good", nil, "", 1, 0},
		{"fails now and then", func(ctx context.Context, f *migrate.Feed[float64], n int, at *float64) error {
			if n < 4 {
				f.Applied(*at, time.Second)
				time.Sleep(time.Second)
				return errInjected
			}
			return followTo(ctx, f, at)
		}, "", 4, 3},
		{"panics", func(ctx context.Context, f *migrate.Feed[float64], n int, at *float64) error {
			if n < 2 {
				panic("oh no")
			}
			return followTo(ctx, f, at)
		}, "", 2, 1},
		{"ends early", func(ctx context.Context, f *migrate.Feed[float64], n int, at *float64) error {
			f.Applied(*at, 0)
			if n < 3 {
				return nil
			}
			return followTo(ctx, f, at)
		}, "", 3, 2},
		{"reports what is no position", func(ctx context.Context, f *migrate.Feed[float64], n int, at *float64) error {
			if n == 1 {
				f.Applied(nan(), 0)
			}
			return followTo(ctx, f, at) // as if nothing had been
		}, "", 2, 1},
		{"never starts", func(context.Context, *migrate.Feed[float64], int, *float64) error { return errInjected },
			"service: follow: injected", 5, 5},
		{"stops where it was not told to", func(ctx context.Context, f *migrate.Feed[float64], _ int, _ *float64) error {
			f.Applied(3, 0)
			select {
			case <-f.Until():
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}, "service service stopped at 3, not at 10", 1, 0},
		{"can't stop", func(ctx context.Context, f *migrate.Feed[float64], _ int, at *float64) error {
			f.Applied(*at, 0)
			select {
			case <-f.Until():
				return errInjected
			case <-ctx.Done():
				return ctx.Err()
			}
		}, "drain service: injected", 0, 5},
	} {
		t.Run(x.name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				at, n := 0.0, 0
				p := plainService{n: &n, at: &at}
				if x.follow != nil {
					p.follow = func(ctx context.Context, f *migrate.Feed[float64], attempt int) error {
						return x.follow(ctx, f, attempt, &at)
					}
				}
				err := l.run(serving(p), migrate.Options{}, resume)
				if x.want == "" {
					l.must(err, nil)
					if at != 10 {
						t.Errorf("drained to %v", at)
					}
				} else if err == nil || !strings.Contains(err.Error(), x.want) {
					t.Errorf("%v, not %q", err, x.want)
				}
				if x.starts > 0 && n != x.starts {
					t.Errorf("started %d times, not %d", n, x.starts)
				}
				fails := slices.DeleteFunc(l.kinds("service"), func(k journal.Kind) bool { return k != journal.Failed })
				if len(fails) != x.fails {
					t.Errorf("%d failures on record, not %d", len(fails), x.fails)
				}
			})
		})
	}
}

// A service goes on in the next process until it was drained, and not after.
func TestServiceOverLives(t *testing.T) {
	inLab(t, func(l *lab) {
		at, n := 0.0, 0
		rb := func() *migrate.Runbook[migrate.Rehearsal] {
			rb := serving(plainService{n: &n, at: &at})
			rb.Phase("last")
			migrate.AddGate(rb, migrate.Gate{ID: "gate"})
			return rb
		}
		l.must(l.run(rb(), migrate.Options{}, func(r *migrate.Run) error {
			time.AfterFunc(time.Minute, r.Pause)
			return resume(r)
		}), migrate.ErrPaused)
		l.must(l.run(rb(), migrate.Options{}, resume), migrate.ErrWaiting)
		if n != 2 {
			t.Errorf("started %d times before it was drained", n)
		}
		l.must(l.run(rb(), migrate.Options{}, resume), migrate.ErrWaiting)
		if n != 2 {
			t.Errorf("started %d times", n)
		}
		if s := l.step("service"); s.State != migrate.ServiceIsDown || string(s.Position) != "10" {
			t.Errorf("%+v", s)
		}
	})
}

// On the way back a service is drained to its tip, or stopped where it is, as it says.
func TestServiceOnTheWayBack(t *testing.T) {
	for policy, want := range map[migrate.StopPolicy]float64{migrate.Drain: 10, migrate.Stop: 0} {
		inLab(t, func(l *lab) {
			at, n := 0.0, 0
			rb := serving(plainService{n: &n, at: &at, policy: policy})
			l.must(l.run(rb, migrate.Options{}, func(r *migrate.Run) error {
				time.AfterFunc(time.Minute, func() { _ = r.Abort(migrate.Answer{Who: "lee", Why: "test"}) })
				return resume(r)
			}), migrate.ErrRolledBack)
			if at != want {
				t.Errorf("policy %d: it was left at %v", policy, at)
			}
		})
	}
}

// A service that is down is waited for before the way back begins: it may come up.
func TestWayBackWaitsForAService(t *testing.T) {
	inLab(t, func(l *lab) {
		at, n := 0.0, 0
		down := false
		p := plainService{n: &n, at: &at, follow: func(ctx context.Context, f *migrate.Feed[float64], _ int) error {
			if down {
				return errInjected
			}
			ctx, cancel := context.WithTimeout(ctx, 70*time.Second)
			defer cancel()
			err := followTo(ctx, f, &at)
			if err != nil && ctx.Err() != nil && !errors.Is(err, context.Canceled) {
				down = true
				time.AfterFunc(10*time.Second, func() { down = false })
			}
			return err
		}}
		l.must(l.run(serving(p), migrate.Options{}, func(r *migrate.Run) error {
			time.AfterFunc(75*time.Second, func() { _ = r.Abort(migrate.Answer{Who: "lee", Why: "test"}) })
			return resume(r)
		}), migrate.ErrRolledBack)
		if at != 10 || n < 3 {
			t.Errorf("left at %v after %d starts", at, n)
		}
	})
}

// A rollback that undoes a drained service doesn't start it again for that; one that keeps it does.
func TestDrainedServiceInARollback(t *testing.T) {
	for keeps, starts := range map[migrate.StepID]int{"": 1, "service": 2} {
		inLab(t, func(l *lab) {
			at, n := 0.0, 0
			rb := func() *migrate.Runbook[migrate.Rehearsal] {
				rb := serving(plainService{n: &n, at: &at})
				migrate.AddGate(rb, migrate.Gate{ID: "gate"})
				return rb
			}
			l.must(l.run(rb(), migrate.Options{}, resume), migrate.ErrWaiting)
			err := l.run(rb(), migrate.Options{}, func(r *migrate.Run) error { return r.Rollback(context.Background(), keeps, "test") })
			if keeps == "" {
				l.must(err, migrate.ErrRolledBack)
			} else {
				l.must(err, nil)
			}
			if n != starts {
				t.Errorf("keeps %q: started %d times, not %d", keeps, n, starts)
			}
		})
	}
}
