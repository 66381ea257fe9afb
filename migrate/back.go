package migrate

import (
	"context"
	"errors"
	"fmt"

	"github.com/slipway-dev/slipway/migrate/journal"
)

// turn turns the run and goes back. What can't begin has changed nothing: the side that serves goes on serving.
func (s *session) turn(ctx, life context.Context, t turnedData) error {
	set := s.r.above(t.Keeps)
	for _, n := range set {
		if st := s.r.step(n.spec.ID); n.spec.PointOfNoReturn && (n.kind != kindGate || st.gate == GatePassed) {
			return fmt.Errorf("roll back run %s: the point of no return %s has been passed: %w", s.r.h.Run, n.spec.ID, ErrIrreversible)
		}
	}
	if err := s.wayBackIsOpen(ctx, set); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		e := &NeedsPerson{Why: err}
		return errors.Join(e, s.append(journal.Closed, nil, closedData{State: StateNeedsPerson, Why: err.Error()}))
	}
	if err := s.append(journal.Turned, nil, t); err != nil {
		return err
	}
	return s.goBack(ctx, life)
}

// above is all that was added after the step keeps, or all, as far as it has left a trace; in the runbook's order.
func (r *Run) above(keeps StepID) (set []*node) {
	for _, n := range r.book.nodes {
		if keeps != "" {
			if n.spec.ID == keeps {
				keeps = ""
			}
			continue
		}
		if st := r.step(n.spec.ID); st.trace() {
			set = append(set, n)
		}
	}
	return set
}

// mustDrain: the service is brought to its tip before it is stopped, so the way back needs it up.
func (s *session) mustDrain(n *node) bool {
	st := s.r.step(n.spec.ID)
	return n.kind == kindService && n.spec.OnRollback == Drain && st.started && !st.stopped
}

func (s *session) wayBackIsOpen(ctx context.Context, set []*node) error {
	for _, n := range set {
		if !s.mustDrain(n) {
			continue
		}
		if err := s.start(ctx, n); err != nil {
			return fmt.Errorf("the way back needs it: %w", err)
		}
		if err := s.isUp(ctx, n); err != nil {
			return fmt.Errorf("the way back needs it: %w", err)
		}
	}
	return nil
}

func (s *session) isUndoing(id StepID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.undoing[id]
}

// goBack undoes what is above the step that the turn keeps, in reverse, and ends the run or turns it forward again.
func (s *session) goBack(ctx, life context.Context) error {
	set := s.r.above(s.r.h.Keeps)
	s.mu.Lock()
	for _, n := range set {
		s.undoing[n.spec.ID] = true
	}
	s.mu.Unlock()
	s.startForTheWayBack(ctx)
	sc := newReverse(set)
	errs := s.unwork(ctx, life, sc)
	switch {
	case life.Err() != nil:
		return context.Cause(life)
	case sc.left() && ctx.Err() != nil:
		return context.Cause(ctx)
	case sc.left():
		return fmt.Errorf("run %s: %w", s.r.h.Run, ErrPaused)
	}
	if todo := sc.todo(errs); len(todo) > 0 {
		return errors.Join(&NeedsPerson{Todo: todo}, s.append(journal.Closed, nil, closedData{State: StateNeedsPerson, Todo: todo}))
	}
	switch h := &s.r.h; {
	case h.Keeps != "":
		return s.append(journal.Turned, nil, turnedData{Direction: Forward, Why: "rolled back to " + string(h.Keeps)})
	case h.end:
		return s.append(journal.Closed, nil, closedData{State: StateDone})
	}
	if err := s.append(journal.Closed, nil, closedData{State: StateRolledBack}); err != nil {
		return err
	}
	return fmt.Errorf("run %s: %w", s.r.h.Run, ErrRolledBack)
}

// startForTheWayBack starts the services that are to be drained and those that stay. One that doesn't start is not an
// error yet: its own undo fails then, and holds what it must.
func (s *session) startForTheWayBack(ctx context.Context) {
	for _, n := range s.r.book.nodes {
		st := s.r.step(n.spec.ID)
		if n.kind != kindService || !st.started || st.stopped || ctx.Err() != nil {
			continue
		}
		if !s.isUndoing(n.spec.ID) || n.spec.OnRollback == Drain {
			_ = s.start(ctx, n)
		}
	}
}

// reverse hands out nodes to undo: of the highest stretch that isn't settled, those that nothing unsettled needs.
type reverse struct {
	set  []*node
	in   map[*node]bool
	fate map[*node]fate
	held map[*node]StepID // by which step
	open map[int]int      // nodes not settled, by stretch
}

type fate int

const (
	waiting fate = iota
	atWork
	undone
	undoFailed
	held
)

func newReverse(set []*node) *reverse {
	r := &reverse{set: set, in: map[*node]bool{}, fate: map[*node]fate{}, held: map[*node]StepID{}, open: map[int]int{}}
	for _, n := range set {
		r.in[n] = true
		r.open[n.stretch]++
	}
	return r
}

func (r *reverse) settled(n *node) bool { return r.fate[n] >= undone }

func (r *reverse) settle(n *node, f fate) {
	r.fate[n] = f
	r.open[n.stretch]--
}

// next gives the nodes that may be undone now, and settles those that are held.
func (r *reverse) next() (ready []*node) {
	holder := StepID("") // what holds everything in the stretches below
	for i := len(r.set) - 1; i >= 0; {
		k := r.set[i].stretch
		from := i
		for from >= 0 && r.set[from].stretch == k {
			from--
		}
		for ; i > from; i-- {
			if n := r.set[i]; r.fate[n] == waiting {
				ready = r.consider(n, holder, ready)
			}
		}
		if r.open[k] > 0 {
			return ready
		}
		if holder == "" {
			holder = r.holderIn(from+1, k)
		}
	}
	return ready
}

func (r *reverse) consider(n *node, holder StepID, ready []*node) []*node {
	for _, d := range n.frees {
		if !r.in[d] {
			continue
		}
		if !r.settled(d) {
			return ready
		}
		if holder == "" {
			holder = r.holds(d)
		}
	}
	if holder != "" {
		r.held[n] = holder
		r.settle(n, held)
		return ready
	}
	return append(ready, n)
}

// holds is the step that d holds others for: itself, or the one that holds it; "" when it holds nothing.
func (r *reverse) holds(d *node) StepID {
	switch {
	case r.fate[d] == held:
		return r.held[d]
	case r.fate[d] == undoFailed && d.spec.OnUndoFailure == Hold:
		return d.spec.ID
	}
	return ""
}

func (r *reverse) holderIn(from, stretch int) StepID {
	for _, n := range r.set[from:] {
		if n.stretch != stretch {
			break
		}
		if h := r.holds(n); h != "" {
			return h
		}
	}
	return ""
}

func (r *reverse) left() bool {
	for _, n := range r.set {
		if !r.settled(n) {
			return true
		}
	}
	return false
}

// todo lists what is not undone, the last of the runbook first: the order in which it is to be dealt with.
func (r *reverse) todo(errs map[*node]error) (todo []Todo) {
	for i := len(r.set) - 1; i >= 0; i-- {
		switch n := r.set[i]; r.fate[n] {
		case held:
			todo = append(todo, Todo{Step: n.spec.ID, HeldBy: r.held[n]})
		case undoFailed:
			todo = append(todo, Todo{Step: n.spec.ID, Error: errs[n].Error()})
		}
	}
	return todo
}

// unwork undoes nodes until none may be undone any more. A failed undo keeps nothing from being undone but what it holds.
func (s *session) unwork(ctx, life context.Context, sc *reverse) map[*node]error {
	results := make(chan result)
	running := 0
	errs := map[*node]error{}
	var ready []*node
	for {
		if len(ready) == 0 {
			ready = sc.next()
		}
		for len(ready) > 0 && ctx.Err() == nil && !s.r.isPaused() && running < s.r.o.Parallel {
			n := ready[0]
			ready = ready[1:]
			sc.fate[n] = atWork
			running++
			s.wg.Go(func() { results <- result{n, s.undo(life, n)} })
		}
		if running == 0 {
			return errs
		}
		x := <-results
		running--
		if x.err != nil {
			errs[x.n] = x.err
			sc.settle(x.n, undoFailed)
		} else {
			sc.settle(x.n, undone)
		}
	}
}

// undo takes one node back. A person's wish to end the process does not cut it short: its timeout does.
func (s *session) undo(life context.Context, n *node) error {
	st := s.r.step(n.spec.ID)
	if n.kind == kindGate || n.kind == kindStep && st.intents == 0 { // found, not made: left as it is
		return s.append(journal.Undone, n, undoneData{Nothing: true})
	}
	if err := s.append(journal.UndoIntent, n, undoIntentData{}); err != nil {
		return err
	}
	c := s.call(n)
	err := s.bounded(life, n, Undoing, func(ctx context.Context) error {
		if err := s.bringToRest(ctx, n, st); err != nil {
			return err
		}
		return n.undo(ctx, c, st.recorded())
	})
	if err != nil {
		text := err.Error()
		var se *StepError
		if errors.As(err, &se) {
			text = se.Err.Error()
		}
		return errors.Join(err, s.append(journal.UndoFailed, n, undoFailedData{text}))
	}
	return s.append(journal.Undone, n, undoneData{})
}

// bringToRest stops a service that is about to be undone, drained or not as its spec says.
func (s *session) bringToRest(ctx context.Context, n *node, st stepState) error {
	if n.kind != kindService || !st.started || st.stopped {
		return nil
	}
	if n.spec.OnRollback == Stop {
		return s.drop(n)
	}
	tip, err := n.tip(ctx, s.call(n))
	if err != nil {
		return fmt.Errorf("find the end of what it follows: %w", err)
	}
	_, err = s.stopService(ctx, n.spec.ID, tip)
	return err
}
