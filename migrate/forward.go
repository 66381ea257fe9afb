package migrate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-dev/slipway/migrate/journal"
)

// turnError makes the run turn back.
type turnError struct {
	by    Answer // whose wish it is
	why   string
	end   bool   // the run's own end, before a point of no return
	keeps StepID // the last step that stays; "": as far as the run's legs go
}

func (e *turnError) Error() string { return "turns back: " + e.why }

// result is how a node's work ended.
type result struct {
	n   *node
	err error
}

// schedule hands out the nodes of a runbook, forward: of the lowest stretch that isn't finished, those whose needs are.
type schedule struct {
	book  *book
	left  []int         // nodes not finished, by stretch
	at    int           // the lowest stretch with any
	waits map[*node]int // unmet needs of the same stretch
	ready []*node
}

func newSchedule(b *book) *schedule {
	sc := &schedule{book: b, left: make([]int, b.stretch+1), at: -1, waits: map[*node]int{}}
	for _, n := range b.nodes {
		sc.left[n.stretch]++
		sc.waits[n] = len(n.waits)
	}
	sc.advance()
	return sc
}

func (sc *schedule) advance() {
	for sc.at < 0 || sc.at < len(sc.left) && sc.left[sc.at] == 0 {
		sc.at++
		if sc.at == len(sc.left) {
			return
		}
		for _, n := range sc.book.inStretch(sc.at) {
			if sc.waits[n] == 0 {
				sc.ready = append(sc.ready, n)
			}
		}
	}
}

func (sc *schedule) finish(n *node) {
	for _, m := range n.frees {
		if sc.waits[m]--; sc.waits[m] == 0 {
			sc.ready = append(sc.ready, m)
		}
	}
	sc.left[n.stretch]--
	sc.advance()
}

func (sc *schedule) over() bool { return sc.at == len(sc.left) }

// inStretch is the nodes of one stretch: they are neighbours.
func (b *book) inStretch(k int) []*node {
	from := 0
	for from < len(b.nodes) && b.nodes[from].stretch < k {
		from++
	}
	to := from
	for to < len(b.nodes) && b.nodes[to].stretch == k {
		to++
	}
	return b.nodes[from:to]
}

// forward does what is left to do, and ends the run.
func (s *session) forward(ctx, life context.Context) error {
	if t, err := s.decided(); t != nil || err != nil {
		if err != nil {
			return err
		}
		return s.turnAt(ctx, life, t)
	}
	sc := newSchedule(s.r.book)
	turn, err := s.work(ctx, sc)
	switch {
	case err != nil:
		return err
	case turn != nil:
		return s.turnAt(ctx, life, turn)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case !sc.over():
		return fmt.Errorf("run %s: %w", s.r.h.Run, ErrPaused)
	}
	return s.end(ctx, life)
}

// end closes a run whose last step forward has finished, or turns it.
func (s *session) end(ctx, life context.Context) error {
	switch e := s.r.h.Manifest.Ending; {
	case e.Turn:
		return s.turn(ctx, life, turnedData{Direction: Back, Why: "the end of the run", End: true})
	case e.Keep:
		return s.append(journal.Closed, nil, closedData{State: StateKept})
	}
	return s.append(journal.Closed, nil, closedData{State: StateDone})
}

// turnAt turns the run at a gate, in the middle of a phase with a limit, or wherever somebody wishes it.
func (s *session) turnAt(ctx, life context.Context, t *turnError) error {
	if t.end {
		return s.end(ctx, life)
	}
	keeps, err := s.r.h.lastKept(t.keeps)
	if err != nil {
		return err
	}
	err = s.turn(ctx, life, turnedData{Direction: Back, Keeps: keeps, Who: t.by.Who, From: t.by.From, Why: t.why, Request: t.by.Request})
	if err == nil {
		err = backTo(keeps, t.why)
	}
	return err
}

// work runs nodes until none is left or something is in the way. On a failure nothing new starts, and what runs may
// finish; when the run is to turn, what runs is told to stop, because nothing may be undone while a Run still runs.
func (s *session) work(caller context.Context, sc *schedule) (*turnError, error) {
	ctx, cancel := context.WithCancelCause(caller)
	defer cancel(nil)
	results := make(chan result)
	running := 0
	var turn *turnError
	var errs []error
	turnBack := func(t *turnError) {
		if turn == nil {
			turn = t
			cancel(t)
		}
	}
	for {
		select { // before anything starts: a resume finds the wish of the time when no process was there
		case a := <-s.r.aborts:
			turnBack(&turnError{by: a, why: a.Why})
		default:
		}
		var due <-chan time.Time // the same of a deadline that has passed by then
		if t, next := s.r.overdue(); t != nil && caller.Err() == nil {
			turnBack(t)
		} else if !next.IsZero() {
			due = time.After(time.Until(next))
		}
		for len(sc.ready) > 0 && len(errs) == 0 && turn == nil && ctx.Err() == nil && running < s.r.o.Parallel && !s.paused() {
			n := sc.ready[0]
			sc.ready = sc.ready[1:]
			running++
			s.wg.Go(func() { results <- result{n, s.do(ctx, n)} })
		}
		if running == 0 {
			break
		}
		select { // a step that ignores its context keeps the run here, and StepStuck says so
		case a := <-s.r.aborts:
			turnBack(&turnError{by: a, why: a.Why})
		case <-due:
		case <-s.fixed: // a deadline
		case x := <-results:
			running--
			var t *turnError
			switch {
			case x.err == nil:
				sc.finish(x.n)
			case errors.As(x.err, &t):
				turnBack(t)
			default:
				// Where the journal is dead or the lock is lost, caller has ended: nothing could be recorded of a turn.
				if t = s.r.failure(x.n, x.err); t != nil && caller.Err() == nil {
					turnBack(t)
				} else {
					errs = append(errs, x.err)
				}
			}
		}
	}
	if turn != nil && !errors.Is(errors.Join(errs...), journal.ErrDead) {
		return turn, nil // what the steps said that were told to stop is on record
	}
	return nil, errors.Join(errs...)
}
