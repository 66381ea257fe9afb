package migrate_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal/crashfs"
)

// A service that a step feeds must be up for the way back, and is drained on it, from the moment that such a step begins; before
// that it has nothing to carry, and the run goes back without it.
func TestFeeds(t *testing.T) {
	for _, x := range []struct {
		name   string
		fails  string // which step fails: the one before the feeding one, or that itself
		breaks bool   // the service
		want   error
		at     float64 // where the service was left: 10 is its tip
	}{
		{"nothing to carry, and it is broken", "before", true, migrate.ErrRolledBack, 0},
		{"nothing to carry", "before", false, migrate.ErrRolledBack, 0},
		{"something to carry", "feeds", false, migrate.ErrRolledBack, 10},
		{"something to carry, and it is broken", "feeds", true, migrate.ErrNeedsPerson, 0},
	} {
		t.Run(x.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var at float64
				var n int
				broken := false
				rb := migrate.NewRunbook[migrate.Rehearsal]()
				eye := migrate.Look("nothing", struct{}{})
				no := migrate.NoHands[migrate.Rehearsal](eye)
				rb.Phase("serve")
				sv := migrate.AddService(rb, plainService{n: &n, at: &at, policy: migrate.Drain, follow: func(ctx context.Context, f *migrate.Feed[float64], _ int) error {
					if broken {
						return errInjected
					}
					return followTo(ctx, f, &at)
				}}, eye, no)
				rb.PhaseInOrder("open")
				step := func(name string, feeds ...migrate.Dep) {
					migrate.Add(rb, plain{spec: migrate.Spec{ID: migrate.StepID(name), Feeds: feeds}, run: func(_ context.Context, _ *migrate.Scope[struct{}], o plainOut) (plainOut, error) {
						if name != x.fails {
							return o, nil
						}
						broken = x.breaks
						return o, errInjected
					}}, eye, no)
				}
				step("before")
				step("feeds", sv.Dep())
				migrate.DrainToTip(rb, "drain", sv)
				d := &crashfs.Disk{}
				run, err := migrate.Begin(d.Process(crashfs.NewLife(0)), "20261123-010203-7f3a", rb, migrate.Options{Tool: "1"})
				if err != nil {
					t.Fatal(err)
				}
				if err := run.Resume(t.Context()); !errors.Is(err, errInjected) {
					t.Fatal(err)
				}
				if err := run.Rollback(t.Context(), "", "test"); !errors.Is(err, x.want) || at != x.at {
					t.Errorf("%v, at %v; want %v, at %v", err, at, x.want, x.at)
				}
				if err := run.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestFeedsNoService(t *testing.T) {
	rb := migrate.NewRunbook[migrate.Rehearsal]()
	eye := migrate.Look("nothing", struct{}{})
	rb.Phase("one")
	a := migrate.Add(rb, plain{spec: id("a")}, eye, migrate.NoHands[migrate.Rehearsal](eye))
	migrate.Add(rb, plain{spec: migrate.Spec{ID: "b", Feeds: []migrate.Dep{a.Dep()}}}, eye, migrate.NoHands[migrate.Rehearsal](eye))
	if err := rb.Err(); err == nil || !strings.Contains(err.Error(), `b: feeds "a", which is no service`) {
		t.Errorf("%v", err)
	}
}
