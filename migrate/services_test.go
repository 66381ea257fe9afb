package migrate_test

import (
	"context"
	"fmt"
	"time"

	. "github.com/slipway-dev/slipway/migrate"
)

type forwardC[T any] struct {
	From sourceLook
	To   T
}

// forward follows the source's rows into the target.
type forward struct{}

func (forward) Spec() Spec { return Spec{ID: "follow.rows", OnRollback: Stop} }
func (forward) Plan(_ context.Context, s *Scope[forwardC[targetLook]], _ Recorded[int]) (Plan[int], error) {
	p, err := s.C.To.Applied()
	return Plan[int]{Want: p, Effects: []Effect{{Verb: "follow", Object: "rows"}}}, err
}
func (forward) Follow(ctx context.Context, s *Scope[forwardC[targetAct]], f *Feed[int]) error {
	return follow(ctx, f, "prod", s.C.To.Applied, s.C.From.Log, s.C.To.Apply)
}
func (forward) Tip(_ context.Context, s *Scope[forwardC[targetLook]]) (int, error) {
	return s.C.From.Tip()
}
func (forward) Verify(_ context.Context, s *Scope[forwardC[targetLook]], at int) error {
	p, err := s.C.To.Applied()
	if err == nil && p != at {
		err = fmt.Errorf("at %d, not %d", p, at)
	}
	return err
}
func (forward) Undo(context.Context, *Scope[forwardC[targetAct]], Recorded[int]) error { return nil }

type reverseC[T any] struct {
	From targetLook
	To   T
}

// reverse follows the target's rows back into the source.
type reverse struct{}

func (reverse) Spec() Spec { return Spec{ID: "cut.reverse"} }
func (reverse) Plan(_ context.Context, s *Scope[reverseC[sourceLook]], _ Recorded[int]) (Plan[int], error) {
	p, err := s.C.To.Applied()
	return Plan[int]{Want: p, Effects: []Effect{{Verb: "follow", Object: "rows back"}}}, err
}
func (reverse) Follow(ctx context.Context, s *Scope[reverseC[sourceAct]], f *Feed[int]) error {
	return follow(ctx, f, "target", s.C.To.Applied, s.C.From.Log, s.C.To.ApplyBack)
}
func (reverse) Tip(_ context.Context, s *Scope[reverseC[sourceLook]]) (int, error) {
	return s.C.From.Tip()
}
func (reverse) Verify(context.Context, *Scope[reverseC[sourceLook]], int) error        { return nil }
func (reverse) Undo(context.Context, *Scope[reverseC[sourceAct]], Recorded[int]) error { return nil }

func follow(ctx context.Context, f *Feed[int], origin string, applied func() (int, error), log func(int) ([]event, error), apply func(string, int) error) error {
	until := -1
	for {
		at, err := applied()
		if err != nil {
			return err
		}
		events, err := log(at)
		if err != nil {
			return err
		}
		f.Applied(at, time.Duration(len(events))*time.Second)
		if until >= 0 && at > until {
			return fmt.Errorf("at %d, past %d", at, until)
		}
		if at == until {
			return nil
		}
		if len(events) > 0 {
			key := events[0].key
			if events[0].origin != origin {
				key = "" // came from the other side: it would go round for ever
			}
			if err := apply(key, at+1); err != nil {
				return err
			}
		}
		pause := time.Millisecond
		if len(events) == 0 {
			pause = 50 * time.Millisecond
		}
		select {
		case until = <-f.Until():
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}
