// Package steptest is the conformance suite that every step must pass. It runs one step, over a fake world of its author,
// through the real engine and a journal that can be crashed, and kills it everywhere.
//
// The author writes a fake of the world that the step works in. The fake does each change inside [Process.Act], which is
// where the suite kills the process (before the change, in the middle of it, after it), makes it fail, and counts it;
// and calls [Process.Look] before each answer to a question. Then:
//
//	func TestNamespace(t *testing.T) {
//		steptest.Run(t, steptest.Case{New: func(t *testing.T, p *steptest.Process) steptest.World {
//			fake := &fakeCluster{p: p, namespaces: map[string]bool{"default": true}}
//			return steptest.World{
//				Add: func(rb *migrate.Runbook[migrate.Rehearsal]) {
//					cl := steptest.Given(rb, "standup.cluster", google.Cluster{Endpoint: "192.0.2.1"})
//					migrate.Add(rb, release.Namespace{Cluster: cl},
//						migrate.LookAt(cl, release.Look(noCluster{}), func(context.Context, google.Cluster) (release.Look, error) {
//							return onlyLooks{fake}, nil
//						}),
//						migrate.Created[migrate.Rehearsal](cl, func(context.Context, google.Cluster, migrate.Stamp) (release.Act, error) {
//							return fake, nil
//						}))
//				},
//				State: func() string { return fmt.Sprint(slices.Sorted(maps.Keys(fake.namespaces))) },
//				Spoil: []steptest.Spoil{{Name: "namespace deleted", Do: fake.dropAll}},
//			}
//		}})
//	}
//
//	type onlyLooks struct{ release.Look } // closes the fake: a looker has no method beyond its interface
//
//	func (f *fakeCluster) CreateNamespace(_ context.Context, name string) error {
//		return f.p.Act("create namespace "+name, nil, func() error {
//			if f.namespaces[name] {
//				return errAlreadyExists // a fake answers as the real thing does
//			}
//			f.namespaces[name] = true
//			return nil
//		})
//	}
//
// What the suite tries is listed at [Run]. A fake must be as strict as the real thing: one that forgives a second create
// proves nothing.
//
// The package imports migrate, migrate/journal and crashfs, and only tests import it.
package steptest

import (
	"testing"
	"testing/synctest"

	"github.com/slipway-dev/slipway/migrate"
)

// Case is one step in one kind of world.
type Case struct {
	// New makes a fresh world. It is called often, and must make the same one each time. p is where the fakes' changes
	// and questions go through.
	New func(t *testing.T, p *Process) World

	// RealTime runs the case on the real clock. Without it time is testing/synctest's: pauses and polling cost nothing,
	// but the fakes must not do network or disk I/O.
	RealTime bool

	// NotTwice says why two runs can't work in the same world one after the other, and leaves that part out.
	NotTwice string
}

// World is a fake world with the step in it.
type World struct {
	// Add adds the step to the runbook, last, bound to the fakes; before it, with Given, the results that it needs. It is
	// called once for every process that works in this world.
	Add func(rb *migrate.Runbook[migrate.Rehearsal])

	// State prints everything that the step could change, the same text for the same world, without times and random
	// numbers, and without what the step's Undo leaves on purpose (say which in a comment).
	State func() string

	// Spoil are ways to spoil the step's result so that Verify must fail. There must be one, or NoSpoil.
	Spoil []Spoil
	// NoSpoil says why there is nothing that Verify could find.
	NoSpoil string

	// Repeatable says of an effect, by the name that Act was given, that doing it again changes nothing in the real thing
	// either (a server-side apply, a refresh). All others must be done exactly once, however often the process is killed.
	Repeatable func(effect string) bool

	// Secrets are values that must not turn up in the journal, the plan or an error.
	Secrets []string

	// Found says that the step finds its result in every world that New makes, or only looks: it then has no effects, and
	// the suite would otherwise complain that nothing can be killed.
	Found bool
}

// Spoil is one way to spoil a result.
type Spoil struct {
	Name string
	Do   func()
}

// Run tries the step:
//
//   - plan: Plan changes nothing, in a run and without one, and prints the same bytes twice;
//   - run: the effects happen, each once, and none before its intent is durable;
//   - again: Plan in a later process says Done with the same Out;
//   - killed: killed at every instant (journal writes and syncs, and before, in the middle of and after each effect),
//     with a disk that keeps none, all, half of or a hole in what was not synced, the next process comes to the same end,
//     with each effect done exactly once;
//   - failed: each effect fails once, before it was done and after (the answer is lost), and a resume comes to the same
//     end;
//   - undone: from the end and from every instant at which it was killed, a rollback restores the world;
//   - killed in undo, failed in undo: the rollback itself is killed at every instant, and fails at every effect;
//   - another run: what an earlier run did is left as it is when a later one is rolled back;
//   - verify: fails for each way to spoil the result;
//   - secrets: are nowhere.
func Run(t *testing.T, c Case) {
	for _, part := range []struct {
		name string
		try  func(*testing.T, Case)
	}{
		{"plan", tryPlan}, {"run", tryRun}, {"again", tryAgain}, {"killed", tryKilled}, {"failed", tryFailed},
		{"undone", tryUndone}, {"killed in undo", tryKilledInUndo}, {"failed in undo", tryFailedInUndo},
		{"another run", tryAnotherRun}, {"verify", tryVerify}, {"secrets", trySecrets},
	} {
		t.Run(part.name, func(t *testing.T) { part.try(t, c) })
	}
}

// in runs f once in a fresh world.
func (c Case) in(t *testing.T, f func(t *testing.T, b *bench)) {
	t.Helper()
	once := func(t *testing.T) {
		p := &Process{}
		b := &bench{p: p, disk: newDisk(), id: firstRun}
		p.bench = b
		b.World = c.New(t, p)
		b.initial = b.State()
		f(t, b)
	}
	if c.RealTime {
		once(t)
		return
	}
	synctest.Test(t, once)
}
