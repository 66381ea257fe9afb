package migrate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/slipway-dev/slipway/migrate/journal"
)

// do brings one node to where it has finished.
func (s *session) do(ctx context.Context, n *node) error {
	switch n.kind {
	case kindGate:
		return s.pass(ctx, n)
	case kindService:
		return s.serve(ctx, n)
	}
	st := s.r.step(n.spec.ID)
	if st.stage == stageVerified {
		redo, err := s.lookAgain(ctx, n, st)
		if err != nil || !redo {
			return err
		}
		st = s.r.step(n.spec.ID)
	}
	if st.stage != stageDone {
		if err := s.tries(ctx, n, func() error { return s.once(ctx, n) }); err != nil {
			return err
		}
	}
	return s.check(ctx, n)
}

// once is one attempt: look, and unless it holds already make the intent durable, act, and make the outcome durable.
func (s *session) once(ctx context.Context, n *node) error {
	p, err := s.plan(ctx, n, false)
	if err != nil {
		return s.failed(n, Planning, err, Tally{})
	}
	if p.done != nil {
		return s.append(journal.Done, n, doneData{Out: p.done})
	}
	if err := s.append(journal.Intent, n, intentData{Want: p.want, Effects: p.effects, Feeds: n.feeds}); err != nil {
		return err
	}
	c := s.call(n)
	var out json.RawMessage
	err = s.bounded(ctx, n, Running, func(ctx context.Context) (err error) {
		out, err = n.run(ctx, c, p.want)
		return err
	})
	if err != nil {
		return s.failed(n, Running, err, c.took())
	}
	return s.append(journal.Done, n, doneData{out, c.took()})
}

// check verifies what is recorded as done.
func (s *session) check(ctx context.Context, n *node) error {
	c := s.call(n)
	err := s.bounded(ctx, n, Verifying, func(ctx context.Context) error { return n.verify(ctx, c, s.r.step(n.spec.ID).out) })
	if err != nil {
		return s.failed(n, Verifying, err, c.took())
	}
	return s.append(journal.Verified, n, verifiedData{})
}

func (s *session) plan(ctx context.Context, n *node, again bool) (p rawPlan, err error) {
	s.r.listeners.pass(n.spec.ID, StepLooking{now(), n.spec.ID, again})
	st := s.r.step(n.spec.ID)
	c := s.call(n)
	err = s.bounded(ctx, n, Planning, func(ctx context.Context) (err error) {
		p, err = n.plan(ctx, c, st.recorded())
		return err
	})
	return p, err
}

// failed records a failure and returns it.
func (s *session) failed(n *node, doing Doing, err error, moved Tally) error {
	return errors.Join(err, s.append(journal.Failed, n, failedData{doing, reason(err), moved}))
}

const (
	firstPause   = time.Second
	longestPause = time.Minute
)

// tries calls f again while it fails in a way that is worth it, after a pause that doubles, give or take a half.
func (s *session) tries(ctx context.Context, n *node, f func() error) error {
	wait := firstPause
	for try := 1; ; try++ {
		err := f()
		if err == nil || try >= n.spec.Tries || !errors.Is(err, ErrTransient) || ctx.Err() != nil || s.paused() {
			return err
		}
		pause := wait/2 + rand.N(wait)
		s.r.listeners.pass(n.spec.ID, StepRetrying{now(), n.spec.ID, pause, err.Error()})
		select {
		case <-time.After(pause):
		case <-s.r.pausable():
			return err
		case <-ctx.Done():
			return err
		}
		wait = min(2*wait, longestPause)
	}
}

// lookAgain asks a step that an earlier process recorded as verified whether that still holds: with Plan, which is
// cheap, and not with Verify, which may read every row; and not when a later step has rightly ended it.
func (s *session) lookAgain(ctx context.Context, n *node, st stepState) (redo bool, err error) {
	if s.ended(n) {
		return false, nil
	}
	p, err := s.plan(ctx, n, true)
	if err != nil {
		return false, s.failed(n, Planning, err, Tally{})
	}
	s.r.listeners.pass(n.spec.ID, StepLooked{now(), n.spec.ID})
	if bytes.Equal(p.done, st.out) {
		return false, nil
	}
	d := Drift{n.spec.ID, n.spec.Title, st.out, p.done, p.effects}
	mark, err := compact(struct {
		Done    json.RawMessage
		Effects []Effect
	}{p.done, p.effects})
	if err != nil {
		return false, err
	}
	if bytes.Equal(mark, st.accepted) {
		return false, nil
	}
	v, err := s.askDrift(ctx, d)
	if err != nil {
		return false, err
	}
	data := operatorData{Who: v.Who, Why: v.Why, Recorded: st.out, Now: mark, Effects: p.effects}
	switch v.Choice {
	case DriftRedo:
		data.Decision = Redo
		return true, s.append(journal.Operator, n, data)
	case DriftAccept:
		data.Decision = Accept
		return false, s.append(journal.Operator, n, data)
	}
	return false, d.err()
}

func (s *session) askDrift(ctx context.Context, d Drift) (v Verdict, err error) {
	if s.r.o.OnDrift == nil {
		return v, nil
	}
	s.asking.Lock()
	defer s.asking.Unlock()
	if v, err = s.r.o.OnDrift(ctx, d); err != nil {
		return v, fmt.Errorf("ask about %s: %w", d.Step, err)
	}
	if v.Choice != DriftStop && v.Why == "" {
		return v, fmt.Errorf("%w; to redo or accept it needs a reason", d.err())
	}
	return v, nil
}

// ended: a later step that has begun names n in its Ends.
func (s *session) ended(n *node) bool {
	for _, m := range s.r.book.nodes[n.index+1:] {
		for _, d := range m.spec.Ends {
			if st := s.r.step(m.spec.ID); d.id == n.spec.ID && st.trace() {
				return true
			}
		}
	}
	return false
}
