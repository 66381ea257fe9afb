package runbooks_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/slipway-dev/slipway/internal/stamp"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal/crashfs"
)

// comesBack stops a process when it has made the change what, lets another take the run over, which goes forward to the end,
// and also back if it is told to, and then lets the first go on with the step that it was at. It gives the world before and
// after that, and the changes that the first made then. Nothing here looks at contexts before a change: what the loss of
// the lock would have ended, the fence must.
func comesBack(t *testing.T, what string, back bool) (before, after string, made []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w, d := newWorld(t), &crashfs.Disk{}
		stopped, goOn := make(chan struct{}), make(chan struct{})
		var stops atomic.Bool
		w.leave = func(c change) {
			if c.what == what && stops.CompareAndSwap(false, true) {
				close(stopped)
				<-goOn
			}
		}
		over := make(chan error, 1)
		go func() { over <- process(t, w, d, true, 1, resume) }()
		select {
		case <-stopped:
		case err := <-over:
			t.Fatalf("no process made it: %v", err)
		}
		d.StealLock()
		w.own(func() { w.life = crashfs.NewLife(0) })
		err := process(t, w, d, true, 1, func(r *migrate.Run) error {
			if err := resume(r); err != nil || !back {
				return err
			}
			if err := r.Rollback(context.Background(), "", "test"); err != nil && !isRolledBack(err) {
				return err
			}
			return nil
		})
		if err != nil {
			t.Errorf("the second process: %v", err)
		}
		before = w.String()
		var n int
		w.own(func() { n = len(w.changes) })
		close(goOn)
		if err := <-over; err == nil {
			t.Error("the first process ended as if nothing had happened")
		}
		after = w.String()
		for _, c := range w.changes[n:] {
			made = append(made, c.what)
		}
		for _, bad := range append(w.twice(), w.foreign()...) {
			if !back || !strings.Contains(bad, ": stage ") {
				t.Error(bad)
			}
		}
	})
	return before, after, made
}

func isRolledBack(err error) bool {
	return strings.Contains(err.Error(), migrate.ErrRolledBack.Error())
}

// forward are the changes that a rehearsal makes before it turns.
func forward(t *testing.T) (all []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		if err := process(t, w, &crashfs.Disk{}, true, 1, resume); err != nil {
			t.Fatal(err)
		}
		for _, c := range w.changes {
			if !slices.Contains(all, c.what) {
				all = append(all, c.what)
			}
		}
	})
	return all
}

// A process that was stopped, and comes back to life when another has finished its work, changes nothing any more: after
// every change that it can have made last.
func TestAProcessThatComesBackToLife(t *testing.T) {
	for _, what := range forward(t) {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			before, after, made := comesBack(t, what, false)
			if before != after {
				t.Errorf("it changed the world from\n%s\nto\n%s", before, after)
			}
			for _, m := range made {
				if m != "publish "+rehearsal { // what is published already
					t.Errorf("it made: %s", m)
				}
			}
		})
	}
}

// When the other has rolled the run back, the zone carries nothing of it: there the first process's next change of a set is
// from exactly its before-image. Only the loss of the lock, which ends it within a second, keeps it from that.
func TestAProcessThatComesBackAfterTheRollback(t *testing.T) {
	through := map[string][]string{}
	for _, what := range forward(t) {
		if _, _, made := comesBack(t, what, true); len(made) > 0 {
			through[what] = made
		}
	}
	for after, made := range through {
		if !strings.HasPrefix(after, "stage ") {
			t.Errorf("after %q it made %q", after, made)
		}
	}
	if len(through) == 0 {
		t.Error("nothing got through: the zone has a fence now, and this test and the documents should say so")
	}
}

// Every hand puts its process's fence on what can carry one, and each process has a higher one.
func TestFencesAreCarried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, d := newWorld(t), &crashfs.Disk{}
		w.killAt = "make claim shop/shop-sessions: after"
		if err := process(t, w, d, true, 1, resume); err == nil {
			t.Fatal("it was not killed")
		}
		d.Crash(crashfs.KeepAll)
		w.life, w.killAt = crashfs.NewLife(0), ""
		if err := process(t, w, d, true, 1, resume); err != nil {
			t.Fatal(err)
		}
		c, s := w.mine(), w.servers["slipway-"+runID]
		for what, labels := range map[string]map[string]string{"cluster": c.Labels, "instance": s.Labels, "secret": c.secrets["shop/shop-redis"].labels} {
			if labels[stamp.FenceLabel] != "1" || labels[stamp.RunLabel] != runID {
				t.Errorf("%s, which the first process made: %v", what, labels)
			}
		}
		last := c.helm.all[len(c.helm.all)-1]
		for what, labels := range map[string]map[string]string{"namespace": c.namespaces["shop"].labels, "release": last.Labels} {
			if labels[stamp.FenceLabel] != "2" {
				t.Errorf("%s, which the second process changed: %v", what, labels)
			}
		}
		if s.rows.fence != 2 {
			t.Errorf("the load has fence %d", s.rows.fence)
		}
		for _, x := range w.changes {
			if x.on != onTarget && x.mark.Fence == 0 || x.mark.Run != runID && x.what != "smoke: order" {
				t.Errorf("%s: %s carries %+v", x.on, x.what, x.mark)
			}
		}
	})
}
