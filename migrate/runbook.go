package migrate

import (
	"fmt"
	"regexp"
	"slices"
	"time"
)

// Runbook is what a run of mode M does, in phases. Build it with one function that reads from top to bottom in the order
// it runs:
//
//	rb := migrate.NewRunbook[M]()
//
//	rb.Phase("stand up")
//	cl := migrate.Add(rb, cluster.Create{…}, w.SeeProject, w.MakeInProject)
//	migrate.Add(rb, volumes.Claims{Cluster: cl}, migrate.LookAt(cl, …), migrate.Created[M](cl, …))
//
//	rb.Phase("copy")
//	…
//
// A phase begins when all before it has finished. Within a phase, steps run side by side as soon as what they need has
// finished: their Spec's Needs, what their eye and hand were made from, and what Add was told. Services that a phase
// started go on through the later ones. A gate waits for all before it, and all after it waits for the gate.
type Runbook[M Mode] struct {
	_    [0]*M
	book book
}

// NewRunbook is an empty runbook.
func NewRunbook[M Mode]() *Runbook[M] {
	return &Runbook[M]{book: book{mode: modeName[M](), byID: map[StepID]*node{}}}
}

// Phase begins a phase. What is added next runs side by side.
func (rb *Runbook[M]) Phase(name string) { rb.book.begin(name, false, 0) }

// PhaseInOrder begins a phase in which each step waits for the one added before it.
func (rb *Runbook[M]) PhaseInOrder(name string) { rb.book.begin(name, true, 0) }

// PhaseWithin begins a phase, in order like PhaseInOrder, that must be over within a limit, or is taken back without a
// person's word: nothing may stay for long as it is in the middle of it.
//
// The first intent that is recorded in the phase fixes the deadline, limit after it, which counts after a restart whatever
// the runbook says by then. When all that was begun in the phase has been undone, the next intent fixes a new one. While
// the phase is under way, that is from its first intent until all of it has finished or has been undone:
//
//   - a step that fails for good turns the run back, and so does the deadline; what runs is told to stop. It goes back to
//     before the gate right before the phase, which is asked again then, or else to before the phase. The run is open
//     after that, and Resume has returned ErrRolledBack;
//   - a process that takes the run up when the deadline has passed turns it before it looks at anything; before the
//     deadline it goes on forward, and turns when a step fails, also one of an earlier phase that is looked at again;
//   - drift that nobody gives a verdict about is a failure;
//   - there is no safe point: a Pause takes effect when the phase is over, or has been taken back.
//
// A step of the phase that fails before anything was begun turns the run too. What keeps the process from acting turns
// nothing, because it could not be recorded: a dead journal, a lost lock, a context that has ended. The next process does
// it. Nothing is undone while a Run or a Follow still runs, so the steps of such a phase must heed their contexts.
//
// The limit is not for what comes back: undoing takes as long as it takes, and a failed undo needs a person.
func (rb *Runbook[M]) PhaseWithin(name string, limit time.Duration) {
	if limit <= 0 {
		rb.book.bad.add("phase %q: its limit is %s, and must be longer than that", name, limit)
	}
	rb.book.begin(name, true, limit)
}

// Err gives all problems of the runbook at once.
func (rb *Runbook[M]) Err() error { return rb.book.check() }

// Steps lists what the runbook consists of, in its order.
func (rb *Runbook[M]) Steps() []ManifestStep { return rb.book.manifestSteps() }

// The names of the modes, in journals and for people.
const (
	ModeRehearsal = "rehearsal"
	ModeCutover   = "cut-over"
)

func modeName[M Mode]() string {
	var m M
	if _, ok := any(m).(Rehearsal); ok {
		return ModeRehearsal
	}
	return ModeCutover
}

// Add puts a step into the current phase, bound to what it may look with and what it may act with. after are steps that
// must have finished before it, besides those it needs by itself.
func Add[M Mode, L, A, Out any](rb *Runbook[M], st Step[L, A, Out], look Eye[L], act Hand[M, A], after ...Dep) Ref[Out] {
	n := newNode(kindStep, st.Spec(), look, act, after)
	bindLooks(n, look, st.Plan, st.Verify)
	bindRun(n, act, st.Run)
	bindUndo(n, act, st.Undo)
	rb.book.add(n)
	return Ref[Out]{id: n.spec.ID}
}

// AddService puts a service into the current phase. Some later DrainTo or DrainToTip must stop it.
func AddService[M Mode, L, A, Pos any](rb *Runbook[M], sv Service[L, A, Pos], look Eye[L], act Hand[M, A], after ...Dep) ServiceRef[Pos] {
	n := newNode(kindService, sv.Spec(), look, act, after)
	bindLooks(n, look, sv.Plan, sv.Verify)
	bindFollow(n, look, act, sv)
	bindUndo(n, act, sv.Undo)
	rb.book.add(n)
	return ServiceRef[Pos]{id: n.spec.ID}
}

// AddGate puts a gate after all that was added so far.
func AddGate[M Mode](rb *Runbook[M], g Gate) Ref[Passed] {
	n := &node{kind: kindGate, gate: &g, spec: Spec{ID: g.ID, Title: g.Title, Needs: slices.Clone(g.Healthy), PointOfNoReturn: g.PointOfNoReturn}}
	if g.PointOfNoReturn && (g.Within != 0 || !g.By.IsZero()) {
		n.bad.add("%s: a point of no return must not have a deadline that turns the run back", g.ID)
	}
	rb.book.add(n)
	return Ref[Passed]{id: g.ID}
}

// DrainTo stops sv exactly at a position that an earlier step recorded. The result is that position.
func DrainTo[M Mode, Pos, From any](rb *Runbook[M], id StepID, sv ServiceRef[Pos], at Ref[From], pos func(From) Pos, after ...Dep) Ref[Pos] {
	rb.book.add(drainNode(id, sv, positionOf(at, pos), append([]Dep{at.Dep()}, after...)))
	return Ref[Pos]{id: id}
}

// DrainToTip stops sv at the end of what it follows. What it follows must be frozen, or this is no more than a stop.
func DrainToTip[M Mode, Pos any](rb *Runbook[M], id StepID, sv ServiceRef[Pos], after ...Dep) Ref[Pos] {
	rb.book.add(drainNode(id, sv, tipOf(sv.id), after))
	return Ref[Pos]{id: id}
}

// book is a runbook without its mode's type.
type book struct {
	mode    string
	nodes   []*node
	byID    map[StepID]*node
	phases  []string
	inOrder bool
	limit   time.Duration // of the phase; 0 for none
	stretch int           // counts barriers: nodes of one stretch run side by side
	bad     problems
}

func (b *book) begin(phase string, inOrder bool, limit time.Duration) {
	if phase == "" || slices.Contains(b.phases, phase) {
		b.bad.add("phase %q: name is empty or used twice", phase)
	}
	b.phases, b.inOrder, b.limit, b.stretch = append(b.phases, phase), inOrder, limit, b.stretch+1
}

var legalID = regexp.MustCompile(`^[a-z][a-z0-9-]*(\.[a-z0-9-]+)*$`)

const maxID = 40

func (b *book) add(n *node) {
	id := n.spec.ID
	if !legalID.MatchString(string(id)) || len(id) > maxID {
		n.bad.add("%q: an id is lower-case words of letters, digits and dashes joined by dots, at most %d characters", id, maxID)
	}
	if b.byID[id] != nil {
		n.bad.add("%s: id is used twice", id)
	}
	if len(b.phases) == 0 {
		n.bad.add("%s: added before the first phase", id)
		b.phases = append(b.phases, "")
	}
	if n.kind == kindGate {
		b.stretch++
	}
	n.index, n.stretch, n.phase, n.limit = len(b.nodes), b.stretch, b.phases[len(b.phases)-1], b.limit
	if n.kind == kindGate {
		b.stretch++
	}
	n.wire(b)
	n.within(b)
	if err := n.bad.orNil(); err != nil {
		b.bad.err(err)
	}
	b.nodes, b.byID[id] = append(b.nodes, n), n
}

// wire resolves what n waits for. Needs of an earlier stretch are met by the barrier.
func (n *node) wire(b *book) {
	n.reads = map[StepID]bool{}
	waitFor := func(m *node) {
		if m.stretch == n.stretch && !slices.Contains(n.waits, m) {
			n.waits, m.frees = append(n.waits, m), append(m.frees, n)
		}
	}
	for _, d := range slices.Concat(n.spec.Needs, n.deps) {
		m := b.byID[d.id]
		switch {
		case m == nil:
			n.bad.add("%s: needs %q, which was not added before it", n.spec.ID, d.id)
		case !n.reads[d.id]:
			n.reads[d.id] = true
			n.needs = append(n.needs, d.id)
			waitFor(m)
		}
	}
	for _, d := range n.spec.Feeds {
		m := b.byID[d.id]
		if m == nil || m.kind != kindService {
			n.bad.add("%s: feeds %q, which is no service that was added before it", n.spec.ID, d.id)
			continue
		}
		n.feeds, m.fed = append(n.feeds, d.id), true
	}
	for _, d := range n.spec.Ends {
		if b.byID[d.id] == nil {
			n.bad.add("%s: ends %q, which was not added before it", n.spec.ID, d.id)
		}
	}
	if b.inOrder && len(b.nodes) > 0 {
		if last := b.nodes[len(b.nodes)-1]; last.stretch == n.stretch {
			waitFor(last)
		}
	}
	if n.spec.PointOfNoReturn && n.kind != kindGate && !slices.ContainsFunc(b.nodes, func(m *node) bool {
		return m.kind == kindGate && m.spec.PointOfNoReturn
	}) {
		n.bad.add("%s: is a point of no return and has no gate before it that is marked as one", n.spec.ID)
	}
}

// within says why n can't stand in its phase, if that has a limit: it must be possible to take the phase back without a
// person, and to be open after that.
func (n *node) within(b *book) {
	if n.limit == 0 {
		return
	}
	if n.kind == kindGate {
		n.bad.add("%s: waits for a person, and phase %q has a limit", n.spec.ID, n.phase)
	}
	if n.spec.PointOfNoReturn {
		n.bad.add("%s: is a point of no return, and phase %q is taken back when its limit has passed", n.spec.ID, n.phase)
	}
	before := b.nodes
	if i := len(before) - 1; i >= 0 && before[i].phase != n.phase && before[i].kind == kindGate {
		if before[i].spec.PointOfNoReturn {
			n.bad.add("%s: stands right after the point of no return %s, and phase %q is taken back to before that", n.spec.ID, before[i].spec.ID, n.phase)
		}
		before = before[:i]
	}
	if len(before) == 0 {
		n.bad.add("%s: phase %q has a limit, and there is nothing before it to go back to", n.spec.ID, n.phase)
	}
}

func (b *book) check() error {
	all := problems{}
	if err := b.bad.orNil(); err != nil {
		all.err(err)
	}
	if len(b.nodes) == 0 {
		all.add("the runbook is empty")
	}
	for _, n := range b.nodes {
		if n.kind == kindService && !slices.ContainsFunc(b.nodes, func(d *node) bool { return d.drains == n.spec.ID }) {
			all.add("%s: a service that nothing stops", n.spec.ID)
		}
	}
	if err := all.orNil(); err != nil {
		return fmt.Errorf("runbook: %w", err)
	}
	return nil
}
