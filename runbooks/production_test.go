package runbooks_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/slipway-dev/slipway/internal/google"
	"github.com/slipway-dev/slipway/internal/snapshot"
	"github.com/slipway-dev/slipway/internal/stamp"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal/crashfs"
	"github.com/slipway-dev/slipway/runbooks"
	"github.com/slipway-dev/slipway/steps/cluster"
	"github.com/slipway-dev/slipway/steps/dns"
)

// chance is what befalls a run: kills, changes that fail before they are made or whose answers are lost, a source that is
// not well, another's cluster under the run's name.
type chance struct {
	Parallel int
	Keep     bool
	Kills    []int // instants, one for each life
	Fails    []int // the nth change fails
	Loses    []int // the answer to the nth is lost
	Broken   string
	Squatter bool // somebody takes the cluster's name a moment before it is asked for
}

func chances(t *rapid.T) chance {
	few := func(most int) *rapid.Generator[[]int] { return rapid.SliceOfN(rapid.IntRange(1, most), 0, 3) }
	return chance{
		Parallel: rapid.SampledFrom([]int{1, 2, 8}).Draw(t, "parallel"),
		Keep:     rapid.Bool().Draw(t, "keep"),
		Kills:    few(600).Draw(t, "kills"),
		Fails:    few(60).Draw(t, "fails"),
		Loses:    few(60).Draw(t, "loses"),
		Broken:   rapid.SampledFrom([]string{"", "", "", "host", "replication", "gluster"}).Draw(t, "broken"),
		Squatter: rapid.IntRange(0, 5).Draw(t, "squatter") == 0,
	}
}

// rehearse plans, runs with what befalls it, and at last rolls everything back in peace. It says what was touched that must
// not be.
func (c chance) rehearse(t *testing.T, wiring func(*world) *migrate.Runbook[migrate.Rehearsal]) (bad []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w, d := newWorld(t), &crashfs.Disk{}
		if _, err := wiring(w).Plan(context.Background(), migrate.Options{}); err != nil {
			t.Fatal(err)
		}
		if len(w.changes) > 0 {
			bad = append(bad, fmt.Sprintf("the plan changed: %v", w.changes))
		}
		c.befall(w)
		for _, at := range append(c.Kills, 0, 0) {
			w.own(func() { w.life = crashfs.NewLife(at) })
			_ = processOf(w, d, wiring(w), c.Keep, c.Parallel, resume) // whatever it ends with
			d.Crash(crashfs.Keep(at % int(crashfs.Keeps)))
			time.Sleep(time.Minute)
		}
		w.own(func() { w.life, w.fail, w.lose, w.before, w.source.broken = crashfs.NewLife(0), nil, nil, nil, "" })
		err := processOf(w, d, wiring(w), c.Keep, c.Parallel, func(r *migrate.Run) error {
			if r.State() == migrate.StateDone {
				return nil // it has rolled itself back
			}
			return r.Rollback(context.Background(), "", "test")
		})
		// What has the run's name and another's stamp, or none, is not deleted: a person looks, and waives.
		if err != nil && !errors.Is(err, migrate.ErrRolledBack) && !(c.Squatter && errors.Is(err, migrate.ErrNeedsPerson) && strings.Contains(err.Error(), stamp.ErrForeign.Error())) {
			bad = append(bad, fmt.Sprintf("the rollback ends with: %v", err))
		}
		w.own(func() { w.store.state = map[snapshot.Part]snapshot.State{} }) // they stay
		delete(w.clusters, squatted)
		if is, was := w.String(), newWorld(t).String(); is != was {
			bad = append(bad, fmt.Sprintf("it leaves\n%s\nand there was\n%s", is, was))
		}
		bad = append(bad, w.foreign()...)
	})
	return bad
}

const squatted = "slipway-" + runID

func (c chance) befall(w *world) {
	w.source.broken = c.Broken
	n := 0
	w.before = func(x change) {
		if c.Squatter && x.what == "create cluster" && w.clusters[squatted] == nil {
			w.clusters[squatted] = othersCluster(squatted)
		}
	}
	w.fail = func(change) error {
		n++
		for _, f := range c.Fails {
			if f == n {
				return errInjected
			}
		}
		return nil
	}
	w.lose = func(change) bool {
		for _, l := range c.Loses {
			if l == n {
				return true
			}
		}
		return false
	}
}

// A rehearsal changes nothing of the real source, of production's zone and of what others have in the project, whatever
// befalls it: every step of the runbook is planned, run, verified and undone.
func TestARehearsalCannotTouchProduction(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := chances(rt)
		if bad := c.rehearse(t, func(w *world) *migrate.Runbook[migrate.Rehearsal] { return book(t, w) }); len(bad) > 0 {
			rt.Fatalf("%+v:\n  %s", c, strings.Join(bad, "\n  "))
		}
	})
}

// The proof above finds a hand that reaches production, of either kind that compiles: a shadow that isn't one, and a maker
// that doesn't look whose a thing is.
func TestTheProofCanFail(t *testing.T) {
	site, err := place()
	if err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct {
		spoil func(*world, *runbooks.Wiring[migrate.Rehearsal])
		want  string
	}{
		"a hand on production's zone": {func(w *world, r *runbooks.Wiring[migrate.Rehearsal]) {
			r.Flipped = migrate.LookShadow("rehearsal zone", dns.OnlyLook(seeZone{w, production, false}))
			r.Flip = migrate.Shadow("rehearsal zone", func(context.Context) error { return nil }, func(_ context.Context, s migrate.Stamp) (dns.Act, error) {
				return actOnZone{seeZone{w, production, false}, onProduction, markOf(s)}, nil
			})
		}, "changed production's zone: stage www." + production},
		"a maker that deletes another's": {func(w *world, r *runbooks.Wiring[migrate.Rehearsal]) {
			r.MakeClusters = migrate.Maker[migrate.Rehearsal]("google project", func(_ context.Context, s migrate.Stamp) (cluster.Make, error) {
				return careless{makeClusters{seeClusters{w}, markOf(s)}}, nil
			})
		}, "another's cluster prod is not as it was"},
	} {
		t.Run(name, func(t *testing.T) {
			bad := chance{Parallel: 1}.rehearse(t, func(w *world) *migrate.Runbook[migrate.Rehearsal] {
				r := wire(w, site.Inventory)
				x.spoil(w, &r)
				return runbooks.Phases(r, site)
			})
			if text := strings.Join(bad, "\n"); !strings.Contains(text, x.want) {
				t.Errorf("it doesn't say %q but:\n%s", x.want, text)
			}
		})
	}
}

// careless cleans up more than its own.
type careless struct{ makeClusters }

func (c careless) DeleteCluster(ctx context.Context, name string, tell google.Tell) error {
	err := c.w.act(onProject, stamp.Stamp{}, "delete a cluster that looks old", nil, func() error { delete(c.w.clusters, "prod"); return nil })
	return errors.Join(err, c.makeClusters.DeleteCluster(ctx, name, tell))
}
