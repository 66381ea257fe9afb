package migrate

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/slipway-dev/slipway/migrate/journal"
)

// session is one call of Resume or Rollback: its services live as long as it does. Contexts are passed, not kept; kill
// ends all of the session's.
type session struct {
	r      *Run
	kill   context.CancelCauseFunc
	starts chan start    // services for host
	fixed  chan struct{} // an intent may have fixed a deadline
	wg     sync.WaitGroup

	mu      sync.Mutex
	lives   map[StepID]*live
	undoing map[StepID]bool // what the way back undoes
	asking  sync.Mutex      // a person is asked one thing at a time
}

// lockWatch is how often a run that writes nothing looks whether it still has its lock.
const lockWatch = time.Second

// session runs f with two contexts, and returns when all that f started has returned. ctx ends when the caller's does;
// life, which is for undos and services, ends only when this process must not act any more: the journal died, the lock
// was lost, or the session is over.
func (r *Run) session(ctx context.Context, f func(ctx, life context.Context, s *session) error) error {
	r.mu.Lock()
	busy := r.busy || r.closed
	r.busy = true
	r.mu.Unlock()
	if busy {
		return fmt.Errorf("run %s is closed, or is being worked on by this process already", r.h.Run)
	}
	defer func() {
		r.mu.Lock()
		r.busy = false
		r.mu.Unlock()
	}()
	life, end := context.WithCancelCause(context.WithoutCancel(ctx))
	ctx, stop := context.WithCancelCause(ctx)
	kill := func(err error) { end(err); stop(err) }
	s := &session{r: r, kill: kill, starts: make(chan start), fixed: make(chan struct{}, 1), lives: map[StepID]*live{}, undoing: map[StepID]bool{}}
	s.wg.Go(func() { s.watchLock(life) })
	s.wg.Go(func() { s.host(life) })
	err := f(ctx, life, s)
	kill(nil)
	s.wg.Wait()
	return err
}

func (s *session) watchLock(ctx context.Context) {
	t := time.NewTicker(lockWatch)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			if err := s.r.j.Held(); err != nil {
				s.kill(err)
				return
			}
		}
	}
}

// append records, and ends the session when that fails: nothing may be done that can't be recorded.
func (s *session) append(kind journal.Kind, n *node, data any) error {
	err := s.r.append(kind, n, data)
	if errors.Is(err, journal.ErrDead) {
		s.kill(err)
	}
	if kind == journal.Intent && n.limit > 0 {
		select {
		case s.fixed <- struct{}{}:
		default:
		}
	}
	return err
}

// call is a new call of n in this session.
func (s *session) call(n *node) *call {
	r := s.r
	r.mu.Lock()
	defer r.mu.Unlock()
	return &call{run: r.h.Run, fence: r.h.Lives, node: n, recorded: r.recorded, sess: s, tell: r.listeners.progressOf(n)}
}

// stuckAfter is how long a call that was told to stop may take before that is said, and how often it is said again.
const stuckAfter = 30 * time.Second

// bounded runs one call of a step within its timeout. A panic is the step's failure; a timeout is an error even when the
// step makes something else of it.
func (s *session) bounded(ctx context.Context, n *node, doing Doing, f func(context.Context) error) (err error) {
	late := fmt.Errorf("%w: more than %s", ErrTimeout, n.timeout())
	ctx, cancel := context.WithTimeoutCause(ctx, n.timeout(), late)
	defer cancel()
	returned := make(chan struct{})
	defer close(returned)
	defer context.AfterFunc(ctx, func() { s.complain(n, doing, returned) })()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
		if err == nil {
			return
		}
		if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
			err = fmt.Errorf("%w: %w", cause, err)
		}
		err = &StepError{n.spec.ID, doing, err}
	}()
	return f(ctx)
}

func (s *session) complain(n *node, doing Doing, returned <-chan struct{}) {
	told := time.Now()
	t := time.NewTicker(stuckAfter)
	defer t.Stop()
	for {
		select {
		case <-returned:
			return
		case <-t.C:
			s.r.listeners.pass(n.spec.ID, StepStuck{now(), n.spec.ID, doing, time.Since(told)})
		}
	}
}

func now() When { return When{Time: time.Now().UTC()} }

// pauseable is ctx that also ends when the run is paused.
func (s *session) pauseable(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	s.wg.Go(func() {
		select {
		case <-s.r.paused:
			cancel(ErrPaused)
		case <-done:
		}
	})
	return ctx, sync.OnceFunc(func() { close(done); cancel(nil) })
}
