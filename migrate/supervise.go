package migrate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-dev/slipway/migrate/journal"
)

const (
	firstRestart   = 100 * time.Millisecond
	longestRestart = 30 * time.Second
	// patience is how many attempts in a row a service may fail while somebody waits for it to start or to stop.
	patience = 5
	// upWithin is how long a service that the way back needs may take to come up.
	upWithin = 30 * time.Second
)

func (s *session) live(id StepID) *live {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lives[id]
}

func (s *session) forget(id StepID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.lives, id)
}

// serve brings a service to where it has started.
func (s *session) serve(ctx context.Context, n *node) error {
	st := s.r.step(n.spec.ID)
	switch {
	case st.stage == stageVerified && st.stopped:
		return nil
	case st.stage == stageVerified && st.started:
		return s.start(ctx, n) // its place is stored where its effect is
	}
	return s.tries(ctx, n, func() error {
		p, err := s.plan(ctx, n, false)
		if err != nil {
			return s.failed(n, Planning, err, Tally{})
		}
		if err := s.append(journal.Intent, n, intentData{Want: p.want, Effects: p.effects}); err != nil {
			return err
		}
		return s.start(ctx, n)
	})
}

// start returns when the service has reported once and that is recorded. It does nothing for one that runs.
func (s *session) start(ctx context.Context, n *node) error {
	id := n.spec.ID
	s.mu.Lock()
	if s.lives[id] != nil {
		s.mu.Unlock()
		return nil
	}
	lv := &live{first: make(chan struct{}), asked: make(chan struct{}), dropped: make(chan struct{}), over: make(chan struct{}),
		tell: s.r.listeners.healthOf(n)}
	s.lives[id] = lv
	s.mu.Unlock()
	select {
	case s.starts <- start{n, lv}:
	case <-ctx.Done():
		s.forget(id)
		return context.Cause(ctx)
	}
	select {
	case <-lv.first:
	case <-lv.over:
		s.forget(id)
		return &StepError{id, Following, lv.lastErr()}
	case <-ctx.Done(): // it must not run on beside its own undo: nothing says that it was started
		close(lv.dropped)
		<-lv.over
		s.forget(id)
		return context.Cause(ctx)
	}
	return s.append(journal.ServiceStarted, n, serviceStartedData{lv.at()})
}

type start struct {
	n  *node
	lv *live
}

// host runs the session's services. Its context is the session's and no step's: a service outlives the step that starts
// it, and the wish of a person to end the session, until the session has ended.
func (s *session) host(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case x := <-s.starts:
			own, stop := context.WithCancel(ctx)
			s.wg.Go(func() {
				select {
				case <-x.lv.dropped:
				case <-x.lv.over:
				}
				stop()
			})
			s.wg.Go(func() { s.supervise(own, x.n, x.lv) })
		}
	}
}

// supervise starts a service again whenever it fails, for as long as the session lives. Each attempt begins where its
// effect says.
func (s *session) supervise(ctx context.Context, n *node, lv *live) {
	defer close(lv.over)
	wait := firstRestart
	for try := 1; ; try++ {
		began := time.Now()
		stopped, err := lv.attemptOver(s.follow(ctx, n, lv))
		if stopped || ctx.Err() != nil {
			return
		}
		if s.append(journal.Failed, n, failedData{Doing: Following, Error: err.Error()}) != nil {
			return
		}
		if time.Since(began) > longestRestart { // it ran for a while: a new trouble, not the old one
			wait, try = firstRestart, 1
		}
		if try >= patience && lv.waitedFor() {
			return
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		wait = min(2*wait, longestRestart)
	}
}

func (s *session) follow(ctx context.Context, n *node, lv *live) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return n.follow(ctx, s.call(n), lv)
}

// stopService drains a service exactly to a position, and records it.
func (s *session) stopService(ctx context.Context, id StepID, at json.RawMessage) (json.RawMessage, error) {
	lv := s.live(id)
	if lv == nil {
		return nil, fmt.Errorf("service %s does not run", id)
	}
	lv.askToStop(at)
	select {
	case <-lv.over:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	s.forget(id)
	if err := lv.lastErr(); err != nil {
		return nil, fmt.Errorf("drain %s: %w", id, err)
	}
	if want := lv.stopAt(); !bytes.Equal(want, at) {
		return nil, fmt.Errorf("service %s was told to stop at %s before, and now at %s", id, want, at)
	}
	if !bytes.Equal(lv.at(), at) {
		return nil, fmt.Errorf("service %s stopped at %s, not at %s", id, lv.at(), at)
	}
	return at, s.append(journal.ServiceStopped, s.r.book.byID[id], serviceStoppedData{Position: at})
}

// drop stops a service wherever it is.
func (s *session) drop(n *node) error {
	var pos json.RawMessage
	if lv := s.live(n.spec.ID); lv != nil {
		close(lv.dropped)
		<-lv.over
		pos = lv.at()
		s.forget(n.spec.ID)
	}
	return s.append(journal.ServiceStopped, n, serviceStoppedData{Position: pos, Dropped: true})
}

// unstopService takes a drain back: the service goes on, unless it is to be undone itself.
func (s *session) unstopService(ctx context.Context, id StepID) error {
	st := s.r.step(id)
	if s.isUndoing(id) || !st.stopped {
		return nil
	}
	return s.start(ctx, s.r.book.byID[id])
}

func (s *session) stoppedAt(id StepID) (json.RawMessage, bool) {
	st := s.r.step(id)
	return st.pos, st.stopped
}

func (s *session) tipOf(ctx context.Context, id StepID) (json.RawMessage, error) {
	n := s.r.book.byID[id]
	return n.tip(ctx, s.call(n))
}

func (s *session) verifyService(ctx context.Context, id StepID, at json.RawMessage) error {
	n := s.r.book.byID[id]
	return n.verify(ctx, s.call(n), at)
}

// isUp waits until a service that was started is up.
func (s *session) isUp(ctx context.Context, n *node) error {
	lv := s.live(n.spec.ID)
	if lv == nil {
		return fmt.Errorf("service %s does not run", n.spec.ID)
	}
	deadline := time.Now().Add(upWithin)
	for !lv.health(n.spec.ID).Up {
		if time.Now().After(deadline) {
			return fmt.Errorf("service %s is not up: %w", n.spec.ID, errors.Join(lv.lastErr(), ErrTimeout))
		}
		select {
		case <-time.After(firstRestart):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
