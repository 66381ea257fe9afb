package runbooks_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slipway-dev/slipway/internal/stamp"
	"github.com/slipway-dev/slipway/migrate/journal/crashfs"
)

// The world of the runbooks' tests: the source, the zones, a Google project with clusters and instances, what is in them,
// and the snapshots on this machine, in memory, behind the interfaces that the real wiring fills. It is as strict as the
// real things: operations take their time and go on when the process that asked for them is dead, an instance takes one at
// a time, a name that is taken is refused, and what carries another's stamp, or a higher fence, is left alone. It goes on
// by itself: customers order, others make their own things, and operations end between any two calls.

// realm is where a change is made.
type realm string

const (
	onSource     realm = "the source"
	onProduction realm = "production's zone"
	onProject    realm = "the project"
	onCluster    realm = "the cluster"
	onTarget     realm = "the target's database"
	onShadow     realm = "the rehearsal zone"
	onDisk       realm = "snapshots"
)

// change is one change that was made to the world.
type change struct {
	on   realm
	mark stamp.Stamp // of the hand that made it; zero where the thing takes none
	what string
}

type world struct {
	mu      sync.Mutex
	life    *crashfs.Life
	fast    time.Duration // how many times faster than in reality things go, where the clock is the real one
	ticks   int
	changes []change
	done    map[string]int     // changes by name
	fail    func(change) error // makes a change fail before it is made
	lose    func(change) bool  // loses the answer to one that was made
	before  func(change)       // the world's own doing, just before a change, with the lock held
	leave   func(change)       // is called when a change was made, without the lock
	killAt  string             // an instant by its name, at which the process is killed: "create cluster: after"

	source   source
	store    store
	clusters map[string]*clusterState
	servers  map[string]*server
	zones    map[string]*zoneState
	orphans  []string // disks and addresses that a deleted cluster left behind
}

func newWorld(t tester) *world {
	w := &world{life: crashfs.NewLife(0), fast: 1, done: map[string]int{}, clusters: map[string]*clusterState{}, servers: map[string]*server{}, zones: map[string]*zoneState{}}
	w.source = newSource()
	w.store = newStore(t)
	w.clusters["prod"] = othersCluster("prod")
	w.servers["prod"] = othersServer("prod")
	w.zones[production] = newZone(production, "10.77.0.10")
	w.zones[rehearsal] = newZone(rehearsal, "10.77.0.10", zoneMark())
	return w
}

// tick is what goes on between two calls of a step. It is called with the lock held.
func (w *world) tick() {
	w.ticks++
	if w.ticks%3 == 0 {
		w.source.orders++ // a customer
	}
	switch w.ticks {
	case 20:
		w.clusters["theirs"] = othersCluster("theirs")
	case 30:
		w.servers["theirs"] = othersServer("theirs")
	case 40:
		w.zones[rehearsal].publish(set("theirs."+rehearsal, "A", 60, "198.51.100.9"))
	}
	if c := w.mine(); c != nil && c.Running() && w.ticks%5 == 0 {
		c.namespaces["kube-public"] = &namespaceState{} // the cluster's own
	}
	w.settle(time.Now())
}

// settle ends the operations whose time has come, whoever began them.
func (w *world) settle(now time.Time) {
	for name, c := range w.clusters {
		if c.settle(w, now) {
			delete(w.clusters, name)
		}
	}
	for name, s := range w.servers {
		if s.settle(now) {
			delete(w.servers, name)
		}
	}
}

// mine is the one cluster that a run has made.
func (w *world) mine() *clusterState {
	for _, c := range w.clusters {
		if c.Labels[stamp.RunLabel] != "" {
			return c
		}
	}
	return nil
}

// act is one change. half is what a kill in its middle leaves; nil where the other side does it whole or not at all. f's
// error is the other side's refusal: nothing was changed then.
func (w *world) act(on realm, mark stamp.Stamp, what string, half func(), f func() error) error {
	c := change{on, mark, what}
	var middle func()
	if half != nil {
		middle = func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			half()
			w.changes = append(w.changes, c)
		}
	}
	if w.killAt == what+": in the middle" && middle != nil {
		middle()
		w.life.Kill(w.killAt)
	}
	if w.leave != nil {
		defer w.leave(c)
	}
	return w.life.Act(what, middle, func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.fail != nil {
			if err := w.fail(c); err != nil {
				return err
			}
		}
		if w.before != nil {
			w.before(c)
		}
		w.tick()
		if err := f(); err != nil {
			return err
		}
		w.done[what]++
		w.changes = append(w.changes, c)
		w.tick()
		if w.killAt == what+": after" {
			w.life.Kill(w.killAt)
		}
		if w.lose != nil && w.lose(c) {
			return fmt.Errorf("%s: the answer is lost: %w", what, errInjected)
		}
		return nil
	})
}

var errInjected = errors.New("injected")

// ask is one look at the world.
func ask[T any](w *world, f func() (T, error)) (t T, err error) {
	if _, dead := w.life.Killed(); dead {
		return t, crashfs.ErrKilled
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tick()
	t, err = f()
	w.tick()
	return t, err
}

// own changes the world besides the run.
func (w *world) own(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// in is when something that takes d will have ended.
func (w *world) in(d time.Duration) time.Time { return time.Now().Add(d / w.fast) }

// pause is how long a client waits before it asks again.
const pause = 5 * time.Second

// wait is a client's pause; its error ends the wait.
func (w *world) wait(ctx context.Context) error {
	t := time.NewTimer(pause / w.fast)
	defer t.Stop()
	select {
	case <-t.C:
		_, err := ask(w, func() (struct{}, error) { return struct{}{}, nil })
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// String is everything that a run can leave behind, without what differs from one history to another: fences, numbers of
// revisions, times, what customers and others did.
func (w *world) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settle(time.Now())
	var out []string
	for _, name := range sortedKeys(w.clusters) {
		if c := w.clusters[name]; c.Labels[stamp.RunLabel] != "" {
			out = append(out, c.String())
		}
	}
	for _, name := range sortedKeys(w.servers) {
		if s := w.servers[name]; s.Labels[stamp.RunLabel] != "" {
			out = append(out, s.String())
		}
	}
	for _, name := range sortedKeys(w.zones) {
		out = append(out, w.zones[name].String())
	}
	out = append(out, w.store.String())
	if len(w.orphans) > 0 {
		out = append(out, fmt.Sprintf("orphans: %q", w.orphans))
	}
	return strings.Join(out, "\n")
}

// foreign says what of production's and of others' is not as it was.
func (w *world) foreign() (bad []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.changes {
		if c.on == onSource || c.on == onProduction {
			bad = append(bad, fmt.Sprintf("changed %s: %s", c.on, c.what))
		}
	}
	for _, name := range []string{"prod", "theirs"} {
		if c := w.clusters[name]; c != nil && c.String() != othersCluster(name).String() || c == nil && name == "prod" {
			bad = append(bad, "another's cluster "+name+" is not as it was")
		}
		if s := w.servers[name]; s != nil && s.String() != othersServer(name).String() || s == nil && name == "prod" {
			bad = append(bad, "another's instance "+name+" is not as it was")
		}
	}
	if w.zones[production].String() != newZone(production, "10.77.0.10").String() {
		bad = append(bad, "production's zone is not as it was: "+w.zones[production].String())
	}
	return bad
}

// times are the changes that were made twice and mustn't be.
func (w *world) twice() (bad []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, what := range sortedKeys(w.done) {
		if n := w.done[what]; n != 1 && !repeatable(what) {
			bad = append(bad, fmt.Sprintf("done %d times: %s", n, what))
		}
	}
	return bad
}

// kinds are the names of all changes that a run must make: repairs of what a killed one left are left out.
func (w *world) kinds() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(sortedKeys(w.done), func(what string) bool { return strings.HasPrefix(what, "repair: ") })
}

// repeatable are changes that a second attempt makes again and that change nothing the second time: a password that is set
// to the same, a publication of what is published, a fence that is raised by each process, a tool that is made anew, files
// that are unpacked over themselves; and visits, since a test order that was cut short is placed anew on the throwaway.
func repeatable(what string) bool {
	return slices.ContainsFunc([]string{"repair: ", "put account ", "publish ", "make the mover", "delete the mover", "write files", "smoke: "},
		func(p string) bool { return strings.HasPrefix(what, p) })
}
