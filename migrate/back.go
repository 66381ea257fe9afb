package migrate

import (
	"context"
	"errors"
	"fmt"

	"github.com/slipway-dev/slipway/migrate/journal"
)

// turn turns the run and goes back. What can't begin has changed nothing: the side that serves goes on serving.
func (s *session) turn(ctx, life context.Context, t turnedData) error {
	if err := s.r.reversible(t.Keeps); err != nil {
		return err
	}
	if err := s.wayBackIsOpen(ctx, s.r.above(t.Keeps)); err != nil {
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

// reversible says why what is above keeps can't be undone.
func (r *Run) reversible(keeps StepID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.h.reversible(keeps)
}

// above is what a rollback that keeps a step undoes, in the runbook's order.
func (r *Run) above(keeps StepID) (set []*node) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.h.above(keeps) {
		set = append(set, r.book.byID[s.ID])
	}
	return set
}

// mustDrain: the service is brought to its tip before it is stopped, so the way back needs it up.
func (s *session) mustDrain(n *node) bool {
	st := s.r.step(n.spec.ID)
	return n.kind == kindService && n.spec.OnRollback == Drain && st.started && !st.stopped && (st.carries || !n.fed)
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

// backAgain goes on with a way back that another process began.
func (s *session) backAgain(ctx, life context.Context) error {
	keeps, why := s.r.h.Keeps, s.r.h.Why
	if err := s.goBack(ctx, life); err != nil || keeps == "" {
		return err
	}
	return backTo(keeps, why)
}

// backTo is what a process ends with that has gone back, and left the run open.
func backTo(keeps StepID, why string) error {
	return fmt.Errorf("%w, as far as the end of %s: %s", ErrRolledBack, keeps, why)
}

// startForTheWayBack starts the services that are to be drained and those that stay. One that doesn't start is not an
// error yet: its own undo fails then, and holds what it must.
func (s *session) startForTheWayBack(ctx context.Context) {
	for _, n := range s.r.book.nodes {
		st := s.r.step(n.spec.ID)
		if n.kind != kindService || !st.started || st.stopped || ctx.Err() != nil {
			continue
		}
		if !s.isUndoing(n.spec.ID) || s.mustDrain(n) {
			_ = s.start(ctx, n)
		}
	}
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
		for len(ready) > 0 && ctx.Err() == nil && (ready[0].kind == kindGate || !s.paused()) && running < s.r.o.Parallel {
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
		return errors.Join(err, s.append(journal.UndoFailed, n, undoFailedData{reason(err)}))
	}
	return s.append(journal.Undone, n, undoneData{})
}

// bringToRest stops a service that is about to be undone, drained or not as its spec says.
func (s *session) bringToRest(ctx context.Context, n *node, st stepState) error {
	if n.kind != kindService || !st.started || st.stopped {
		return nil
	}
	if !s.mustDrain(n) {
		return s.drop(n)
	}
	tip, err := n.tip(ctx, s.call(n))
	if err != nil {
		return fmt.Errorf("find the end of what it follows: %w", err)
	}
	_, err = s.stopService(ctx, n.spec.ID, tip)
	return err
}
