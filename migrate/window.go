package migrate

import (
	"fmt"
	"slices"
	"time"
)

// window is the time in which a phase with a limit must be over: from the record that fixed it. The zero value is none.
type window struct{ from, until time.Time }

func (w window) open() bool { return !w.until.IsZero() }

// late: the phase should be over by now.
func (w window) late() bool { return w.open() && !time.Now().Before(w.until) }

// underWay is the phase with a limit that has begun and is neither over nor taken back; nil when there is none. A phase is
// a barrier, so there is one at most.
func (h *History) underWay() *phaseState {
	if i := slices.IndexFunc(h.phases, func(p *phaseState) bool { return p.window.open() }); i >= 0 {
		return h.phases[i]
	}
	return nil
}

// begins notes the intent of a step: the one that has a deadline fixes it for the whole phase.
func (p *phaseState) begins(s *stepState, at, deadline time.Time) {
	if !deadline.IsZero() {
		p.window = window{at, deadline}
	}
	s.window = p.window
}

// shut ends the window of a phase that is over, for good: a step of it that is done again is not held to it any more.
func (h *History) shut(p *phaseState) {
	p.over, p.window = true, window{}
	for _, s := range h.order {
		if s.in == p {
			s.window = window{}
		}
	}
}

// recount counts the steps that this run has begun in the phase. A deadline ends when none is left to undo, and the next
// intent fixes a new one.
func (p *phaseState) recount(s *stepState, had bool) {
	switch has := s.intents > 0; {
	case has && !had:
		p.begun++
	case had && !has:
		p.begun--
	}
	if p.begun == 0 {
		p.window = window{}
	}
	if !s.trace() {
		p.over = false
	}
}

// rejoin counts a step in when a manifest is adopted. The phase may have another name by then, and its deadline counts.
func (p *phaseState) rejoin(s *stepState) {
	if s.intents > 0 {
		p.begun++
	}
	if s.window.open() {
		p.window = s.window
	}
}

// takeBack is the turn that takes a phase back. It undoes the gate right before the phase too: who goes on is asked again.
func (h *History) takeBack(p *phaseState, why string) *turnError {
	first := slices.IndexFunc(h.order, func(s *stepState) bool { return s.in == p })
	if first > 0 && nodeKind(h.order[first-1].Kind) == kindGate {
		first--
	}
	t := &turnError{why: "phase " + p.name + why}
	if first > 0 {
		t.keeps = h.order[first-1].ID
	}
	return t
}

// overdue is the turn of a run whose phase isn't over although its limit has passed; nil when there is none to turn for.
// next is when to look again; zero when nothing waits.
func (r *Run) overdue() (t *turnError, next time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.h.underWay()
	if p == nil {
		return nil, time.Time{}
	}
	if p.window.late() {
		return r.h.takeBack(p, fmt.Sprintf(" was not over within %s", p.window.until.Sub(p.window.from))), time.Time{}
	}
	return nil, p.window.until
}

// failure is the turn of a run in which n has failed for good, where it must not be left like that: n is of a phase with a
// limit, or such a phase is under way, and n, of an earlier one, was looked at again.
func (r *Run) failure(n *node, err error) *turnError {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.h.underWay()
	if own := r.h.steps[n.spec.ID].in; p == nil && n.limit > 0 && !own.over {
		p = own
	}
	if p == nil {
		return nil
	}
	return r.h.takeBack(p, fmt.Sprintf(": step %s: %s", n.spec.ID, reason(err)))
}

// fixes is the deadline that an intent of n fixes when it is recorded at that time; zero when it fixes none.
func (r *Run) fixes(n *node, at time.Time) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.h.steps[n.spec.ID].in; n.limit == 0 || p.over || p.window.open() {
		return time.Time{}
	}
	return at.Add(n.limit)
}

// paused: the run was asked to pause, and this is a safe point: no phase with a limit is under way.
func (s *session) paused() bool {
	if !s.r.isPaused() {
		return false
	}
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	return s.r.h.underWay() == nil
}

// pausable is closed when a wait is to be cut short by a pause; nil, and so never, while a phase with a limit is under way.
func (r *Run) pausable() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.h.underWay() != nil {
		return nil
	}
	return r.paused
}
