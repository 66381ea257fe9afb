package migrate

import (
	"encoding/json"
	"errors"
	"sync"
	"time"
)

// live is one service while it runs, over all its attempts in one session.
type live struct {
	first   chan struct{} // closed at the first report
	asked   chan struct{} // closed when it is told where to stop
	dropped chan struct{} // closed when it is to stop wherever it is
	over    chan struct{} // closed when it has stopped for good

	mu      sync.Mutex
	pos     json.RawMessage
	lag     time.Duration
	up      bool
	err     error           // the last attempt's
	want    json.RawMessage // where to stop
	refused error           // why a report could not be taken
	tell    func(Health)    // never blocks
}

// report is Feed.Applied.
func (l *live) report(pos json.RawMessage, err error, lag time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.refused = err
		return
	}
	l.pos, l.lag, l.up = pos, lag, true
	select {
	case <-l.first:
	default:
		close(l.first)
	}
	l.tell(l.healthLocked(""))
}

func (l *live) refuse(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refused = err
}

func (l *live) health(id StepID) Health {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.healthLocked(id)
}

func (l *live) healthLocked(id StepID) Health {
	h := Health{Service: id, Up: l.up, Lag: l.lag}
	if l.err != nil && !l.up {
		h.Error = l.err.Error()
	}
	return h
}

func (l *live) at() json.RawMessage {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pos
}

func (l *live) stopAt() json.RawMessage {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.want
}

func (l *live) lastErr() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// askToStop tells it where to stop, once.
func (l *live) askToStop(at json.RawMessage) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.want == nil {
		l.want = at
		close(l.asked)
	}
}

var errEarly = errors.New("ended without being asked to")

// attemptOver takes note of how one call of Follow ended, and says whether the service has stopped as it was asked to.
// A report that could not be taken makes the attempt a failed one, whatever Follow said.
func (l *live) attemptOver(err error) (stopped bool, _ error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	err = errors.Join(err, l.refused)
	if err == nil && l.want == nil {
		err = errEarly
	}
	l.up, l.err, l.refused = false, err, nil
	return err == nil, err
}

// waitedFor: somebody wants it to start or to stop, and should be told when it can't.
func (l *live) waitedFor() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.want != nil || l.pos == nil
}
