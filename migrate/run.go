package migrate

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/slipway-dev/slipway/migrate/journal"
)

// Run is a run that this process holds: no other one can write its journal until Close. Resume and Rollback go on with
// it, one at a time.
type Run struct {
	book *book
	dir  journal.FS
	j    *journal.Journal
	o    Options
	// replayed counts the records of the processes before.
	replayed uint64

	appending sync.Mutex // one record at a time, folded before the next
	mu        sync.Mutex // guards what follows
	h         History
	entered   bool // this process has its opening record
	busy      bool
	paused    chan struct{}
	aborts    chan Answer
	closed    bool

	listeners listeners
}

// enter writes this process's opening record, once: from then on its fence number is the run's.
func (r *Run) enter(m *Manifest) error {
	r.mu.Lock()
	done := r.entered
	r.entered = true
	r.mu.Unlock()
	if done {
		return nil
	}
	return r.append(journal.Opened, nil, openedData{Host: r.o.Host, PID: r.o.PID, Manifest: m})
}

// append is the only way in which a run's state changes: what is in memory is the fold of what is on disk.
func (r *Run) append(kind journal.Kind, n *node, data any) error {
	r.appending.Lock()
	defer r.appending.Unlock()
	rec := journal.Record{Run: r.h.Run, Kind: kind, Time: time.Now().UTC(), Who: r.o.Who}
	if d, ok := data.(intentData); ok {
		d.Deadline = r.fixes(n, rec.Time)
		data = d
	}
	var err error
	if rec.Data, err = compact(data); err != nil {
		return fmt.Errorf("record %s: %w", kind, err)
	}
	r.mu.Lock()
	rec.Fence = r.h.Lives
	if kind == journal.Opened {
		rec.Fence++
	}
	if n != nil {
		rec.Step, rec.Attempt = string(n.spec.ID), r.h.steps[n.spec.ID].attempts
		if kind == journal.Intent {
			rec.Attempt++
		}
	}
	r.mu.Unlock()
	if rec, err = r.j.Append(rec); err != nil {
		return fmt.Errorf("record %s: %w", kind, err)
	}
	r.mu.Lock()
	_, err = r.h.Apply(rec)
	r.mu.Unlock()
	r.listeners.wake()
	return err
}

// ID is the run's id.
func (r *Run) ID() string { return r.h.Run }

// Torn is the torn tail that was cut when the run was opened; nil when there was none. Say so to the person.
func (r *Run) Torn() *journal.Damage { return r.j.Torn() }

// State is where the run stands now.
func (r *Run) State() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.h.State(!r.closed)
}

// History is what the journal says now, read from it.
func (r *Run) History() (*History, error) { return ReadHistory(r.dir) }

func (r *Run) step(id StepID) stepState {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.h.steps[id]; s != nil {
		return *s
	}
	return stepState{}
}

// recorded is what Value gives: in an undo, the last result of a step even if that step has failed since.
func (r *Run) recorded(id StepID) (json.RawMessage, bool) {
	s := r.step(id)
	return s.out, s.out != nil
}

// Abort asks the run to stop what runs and to turn back, as a gate that is aborted does: Resume waits until every call has
// returned, and rolls back. It may be called at any time, from any goroutine, before Resume too; the first call counts. It
// is on record once the run has turned. It fails, and asks nothing, when the run can't turn any more.
func (r *Run) Abort(a Answer) error {
	if r.direction() == Back {
		return fmt.Errorf("run %s goes back already", r.h.Run)
	}
	keeps, err := r.h.lastKept("")
	if err != nil {
		return err
	}
	if err := r.reversible(keeps); err != nil {
		return err
	}
	select {
	case r.aborts <- a:
		return nil
	default:
		return fmt.Errorf("run %s was told to turn back already", r.h.Run)
	}
}

// Step is what is durable of one step, service, drain or gate; false when the run has none of that id.
func (r *Run) Step(id StepID) (StepHistory, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.h.Step(id)
}

// Turned says whether the run goes back, or has gone back to its end, and the request that it was turned with last.
func (r *Run) Turned() (back bool, request string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.h.Direction == Back, r.h.TurnedBy
}

// Pause asks the run to stop at the next safe point: nothing new starts, what runs may finish, and Resume or Rollback
// then returns ErrPaused. It may be called at any time, from any goroutine, more than once. Inside a phase with a limit
// (PhaseWithin) there is no safe point: the pause takes effect when the phase is over, or has been taken back.
func (r *Run) Pause() {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.paused:
	default:
		close(r.paused)
	}
}

func (r *Run) isPaused() bool {
	select {
	case <-r.paused:
		return true
	default:
		return false
	}
}

// Close gives the run up, after every listener has had its events or has kept the run waiting for two seconds. It must
// not be called while Resume or Rollback runs.
func (r *Run) Close() error {
	r.mu.Lock()
	done := r.closed
	r.closed = true
	r.mu.Unlock()
	if done {
		return nil
	}
	r.listeners.finish()
	return r.j.Close()
}

// Resume goes on with the run, forward or back as the journal says, until it ends or can't go on. It returns nil when
// the run is done or kept, and otherwise an error that is one of ErrWaiting, ErrRolledBack, ErrNeedsPerson, ErrDrift,
// ErrPaused, journal.ErrDead, ctx's cause, or a *StepError for each step that failed. After ErrRolledBack the run may be
// open, when something was kept: the error says how far it went back, and why; another Resume goes forward again.
//
// When ctx ends, the calls that run forward are told to stop; undos may finish. Nothing new starts. Resume returns only
// when every call of a step has returned.
func (r *Run) Resume(ctx context.Context) error {
	return r.session(ctx, func(ctx, life context.Context, s *session) error {
		switch closed := r.closedAs(); closed {
		case StateDone, StateKept:
			return nil
		case StateRolledBack:
			return ErrRolledBack
		}
		if err := r.enter(nil); err != nil {
			return err
		}
		if r.direction() == Back {
			return s.backAgain(ctx, life)
		}
		return s.forward(ctx, life)
	})
}

// Everything is as far as a rollback can go, for a run whose legs stop earlier.
const Everything StepID = "*"

// Rollback turns the run and undoes what came after the step keeps, which stays as it is with all before it. When keeps
// is "", it goes as far as the run's legs do, which is all the way if nothing else was said. It returns ErrRolledBack
// when all is undone, and nil when it stopped above that: the run is open then, and Resume goes forward again.
//
// A rollback that can't begin (a point of no return was passed; a service that the way back needs is down) has undone
// nothing. Rollback on a run that is going back already goes on with that, whatever keeps says.
func (r *Run) Rollback(ctx context.Context, keeps StepID, why string) error {
	return r.session(ctx, func(ctx, life context.Context, s *session) error {
		switch closed := r.closedAs(); {
		case closed == StateRolledBack:
			return ErrRolledBack
		case closed == StateDone && r.direction() == Back:
			return fmt.Errorf("run %s has rolled itself back already", r.h.Run)
		}
		keep, err := r.h.lastKept(keeps)
		if err != nil {
			return err
		}
		back := r.direction() == Back
		if err := r.reversible(keep); err != nil && !back {
			return err // before anything is written: the run stays as it is
		}
		if err := r.enter(nil); err != nil {
			return err
		}
		if back {
			return s.goBack(ctx, life)
		}
		return s.turn(ctx, life, turnedData{Direction: Back, Keeps: keep, Why: why})
	})
}

// Waive takes a step whose undo failed for undone: its target was deleted by hand. The step holds nothing any more.
func (r *Run) Waive(id StepID, who, why string) error {
	n := r.book.byID[id]
	if n == nil {
		return fmt.Errorf("waive %s: there is no such step", id)
	}
	if s := r.step(id); s.stage != stageUndoFailed && s.stage != stageUndoing {
		return fmt.Errorf("waive %s: its undo has not failed", id)
	}
	if why == "" {
		return fmt.Errorf("waive %s: a reason must be given", id)
	}
	if err := r.enter(nil); err != nil {
		return err
	}
	return r.append(journal.Operator, n, operatorData{Decision: Waive, Who: who, Why: why})
}

func (r *Run) closedAs() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.h.closed
}

func (r *Run) direction() Direction {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.h.Direction
}
