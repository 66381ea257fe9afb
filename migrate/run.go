package migrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
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
	closed    bool

	listeners listeners
}

// Begin begins a run in an empty directory: it takes the lock and pins what the run is opened with. It fails with
// ErrExists when the directory has a journal with records; a journal without any is what a process left that was killed
// right at its beginning, and is used.
func Begin[M Mode](dir journal.FS, id string, rb *Runbook[M], o Options) (*Run, error) {
	if !ValidID(id) {
		return nil, fmt.Errorf("begin run %q: an id looks like 20261123-010203-7f3a", id)
	}
	r, err := open(dir, &rb.book, o)
	if err != nil {
		return nil, err
	}
	if r.h.Records > 0 {
		return nil, errors.Join(fmt.Errorf("begin run %s: %w", id, ErrExists), r.Close())
	}
	r.h.Run = id
	if err := o.Ending.check(r.book); err != nil {
		return nil, errors.Join(fmt.Errorf("begin run %s: %w", id, err), r.Close())
	}
	if err := r.enter(r.book.manifest(o)); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// Open takes a run up again: it takes the lock, replays the journal and compares what the run was opened with. It writes
// nothing unless Accept gives a reason for a difference; nothing happens before Resume or Rollback.
func Open[M Mode](dir journal.FS, rb *Runbook[M], o Options) (*Run, error) {
	r, err := open(dir, &rb.book, o)
	if err != nil {
		return nil, err
	}
	if r.h.Records == 0 {
		return nil, errors.Join(fmt.Errorf("open run: %w", ErrNoRun), r.Close())
	}
	if err := r.match(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func open(dir journal.FS, b *book, o Options) (*Run, error) {
	if err := b.check(); err != nil {
		return nil, err
	}
	if o.Parallel == 0 {
		o.Parallel = 8
	}
	r := &Run{book: b, dir: dir, o: o, paused: make(chan struct{})}
	j, err := journal.Open(dir, journal.Holder{Who: o.Who, Host: o.Host, PID: o.PID, Since: time.Now().UTC()}, func(rec journal.Record) error {
		_, err := r.h.Apply(rec)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open run: %w", err)
	}
	r.j, r.replayed = j, r.h.Records
	r.listeners.run = r
	return r, nil
}

// match compares the manifest that the journal pins with this program's.
func (r *Run) match() error {
	now := r.book.manifest(r.o)
	now.Ending = r.h.Manifest.Ending
	differs := r.h.Manifest.differs(now)
	if len(differs) == 0 {
		return nil
	}
	if r.o.Accept == "" {
		return fmt.Errorf("open run %s: %w:\n  %s", r.h.Run, ErrDigest, strings.Join(differs, "\n  "))
	}
	if bad := r.misfits(now); len(bad) > 0 {
		return fmt.Errorf("open run %s: %w, and that can't be accepted:\n  %s", r.h.Run, ErrDigest, strings.Join(bad, "\n  "))
	}
	if err := r.enter(nil); err != nil {
		return err
	}
	return r.append(journal.Operator, nil, operatorData{Decision: AcceptManifest, Why: r.o.Accept, Differs: differs, Manifest: now})
}

// misfits are the differences that a person may not accept away, because the journal doesn't fit this program.
func (r *Run) misfits(now *Manifest) (bad []string) {
	if now.Mode != r.h.Manifest.Mode {
		bad = append(bad, fmt.Sprintf("the run is a %s, and this is a %s", r.h.Manifest.Mode, now.Mode))
	}
	ran := func(id StepID) bool { s := r.h.steps[id]; return s != nil && s.trace() }
	for _, s := range r.h.order {
		n := r.book.byID[s.ID]
		switch {
		case n == nil && s.trace():
			bad = append(bad, fmt.Sprintf("step %s has run, and this program can't undo it", s.ID))
		case n != nil && s.trace() && n.shape != s.Shape:
			bad = append(bad, fmt.Sprintf("step %s has recorded %s, and this program reads %s", s.ID, s.Shape, n.shape))
		}
	}
	highest := -1 // the stretch in which something has run
	for _, n := range r.book.nodes {
		if ran(n.spec.ID) {
			highest = max(highest, n.stretch)
		}
	}
	for _, n := range r.book.nodes {
		if ran(n.spec.ID) {
			continue
		}
		late := n.stretch < highest
		for _, d := range n.frees {
			late = late || ran(d.spec.ID)
		}
		if late {
			bad = append(bad, fmt.Sprintf("step %s has not run, and what comes after it has", n.spec.ID))
		}
	}
	return bad
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
	raw, err := compact(data)
	if err != nil {
		return fmt.Errorf("record %s: %w", kind, err)
	}
	r.appending.Lock()
	defer r.appending.Unlock()
	rec := journal.Record{Run: r.h.Run, Kind: kind, Time: time.Now().UTC(), Who: r.o.Who, Data: raw}
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

// Pause asks the run to stop at the next safe point: nothing new starts, what runs may finish, and Resume or Rollback
// then returns ErrPaused. It may be called at any time, from any goroutine, more than once.
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
// ErrPaused, journal.ErrDead, ctx's cause, or a *StepError for each step that failed.
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
			return s.goBack(ctx, life)
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
		keep, err := r.lastKept(keeps)
		if err != nil {
			return err
		}
		if err := r.enter(nil); err != nil {
			return err
		}
		if r.direction() == Back {
			return s.goBack(ctx, life)
		}
		return s.turn(ctx, life, turnedData{Direction: Back, Keeps: keep, Why: why})
	})
}

// lastKept resolves what a rollback keeps to the last step that stays; "" when nothing does.
func (r *Run) lastKept(keeps StepID) (StepID, error) {
	switch {
	case keeps == Everything:
		return "", nil
	case keeps != "" && r.book.byID[keeps] == nil:
		return "", fmt.Errorf("roll back to %s: there is no such step", keeps)
	case keeps != "":
		return keeps, nil
	}
	phase := r.h.Manifest.Ending.stop()
	if phase == "" {
		return "", nil
	}
	reached := false
	for _, n := range r.book.nodes {
		if reached && n.phase != phase {
			return keeps, nil
		}
		if n.phase == phase {
			reached, keeps = true, n.spec.ID
		}
	}
	return keeps, nil
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
