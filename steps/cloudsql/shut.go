package cloudsql

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/internal/binlog"
	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
	"github.com/slipway-dev/slipway/internal/dbcopy/freeze"
	"github.com/slipway-dev/slipway/internal/dbcopy/switchover"
	"github.com/slipway-dev/slipway/migrate"
)

// PairLook looks at the two sides of a switch: *switchover.Pair has more.
type PairLook interface {
	// Name is what messages call the target.
	Name() string
	// Look says who may sign in at the target, without Slipway's own accounts.
	Look(ctx context.Context) (freeze.TargetState, error)
	// Waiting are the accounts that a way back locked, and that weren't let in since.
	Waiting(ctx context.Context) ([]freeze.Account, error)
	// Counters are each side's next AUTO_INCREMENTs.
	Counters(ctx context.Context) (switchover.Counters, error)
	// Nested says whether the canary's table is on both sides.
	Nested(ctx context.Context) (bool, error)
	// Arrived says whether a canary has come through the way back to the source.
	Arrived(ctx context.Context, id string) (bool, error)
}

// PairAct changes them.
type PairAct interface {
	PairLook
	// Shut locks accounts at the target and ends all sessions, or leaves it open; it says where the log ends then.
	Shut(ctx context.Context, lock []freeze.Account, o freeze.Options) (binlog.MySQL, error)
	// Note notes accounts that a way back is about to lock.
	Note(ctx context.Context, as []freeze.Account) error
	// Open unlocks accounts; none of them waits any more then.
	Open(ctx context.Context, lock []freeze.Account) error
	// RaiseTarget and RaiseSource raise counters to at least these. None is ever lowered.
	RaiseTarget(ctx context.Context, to []freeze.Counter) error
	RaiseSource(ctx context.Context, to []freeze.Counter) error
	// Nest makes the canary's table on both sides, where it isn't.
	Nest(ctx context.Context) error
	// Tip is where the target's log ends.
	Tip(ctx context.Context) (changes.Position, error)
	// Send writes a canary at the target, once however often it is called; Await waits until it is at the source.
	Send(ctx context.Context, id string) error
	Await(ctx context.Context, id string, told func(time.Duration)) error
}

type onlyPair struct{ PairLook }

// OnlyPair closes a looker that can do more.
func OnlyPair(l PairLook) PairLook { return onlyPair{l} }

// Shut keeps everybody but Slipway off the target until the switch: who writes there before it makes the copy wrong.
type Shut struct{}

// ShutOut are the accounts that were locked.
type ShutOut struct {
	Lock []freeze.Account `json:"lock"`
}

// Spec is the step's.
func (Shut) Spec() migrate.Spec {
	return migrate.Spec{ID: "follow.shut-target", Version: 1, Title: "keep everybody off the target until the switch"}
}

// Plan lists who can sign in.
func (Shut) Plan(ctx context.Context, s *migrate.Scope[PairLook], rec migrate.Recorded[ShutOut]) (migrate.Plan[ShutOut], error) {
	var p migrate.Plan[ShutOut]
	state, err := s.C.Look(ctx)
	if err != nil {
		return p, err
	}
	if len(state.Open) == 0 && state.Sessions == 0 {
		if rec.Complete {
			return migrate.Done(rec.Out), nil
		}
		if rec.Attempts == 0 {
			return migrate.Done(ShutOut{Lock: []freeze.Account{}}), nil
		}
	}
	p.Want = rec.Want
	if rec.Attempts == 0 {
		p.Want.Lock = state.Open
	}
	p.Effects = []migrate.Effect{lock(s.C.Name(), p.Want.Lock)}
	return p, nil
}

func lock(target string, as []freeze.Account) migrate.Effect {
	return migrate.Effect{Verb: "lock", Object: fmt.Sprintf("%d accounts at %s", len(as), target), Detail: names(as)}
}

func names(as []freeze.Account) string {
	out := make([]string, len(as))
	for i, a := range as {
		out[i] = a.String()
	}
	return strings.Join(out, ", ")
}

// Run locks them.
func (Shut) Run(ctx context.Context, s *migrate.Scope[PairAct], want ShutOut) (ShutOut, error) {
	_, err := s.C.Shut(ctx, want.Lock, freeze.Options{})
	return want, err
}

// Verify looks whether nobody can sign in.
func (Shut) Verify(ctx context.Context, s *migrate.Scope[PairLook], _ ShutOut) error {
	return shut(ctx, s.C)
}

// shut says who could write to the target.
func shut(ctx context.Context, l PairLook) error {
	state, err := l.Look(ctx)
	switch {
	case err != nil:
		return err
	case len(state.Open) > 0:
		return fmt.Errorf("%s isn't shut: these can sign in: %s; lock them (ALTER USER … ACCOUNT LOCK)", l.Name(), names(state.Open))
	case state.Sessions > 0:
		return fmt.Errorf("%s isn't shut: %d sessions are open", l.Name(), state.Sessions)
	}
	return nil
}

// Undo unlocks those that were locked, and those that a way back locked since.
func (Shut) Undo(ctx context.Context, s *migrate.Scope[PairAct], rec migrate.Recorded[ShutOut]) error {
	all, err := withWaiting(ctx, s.C, rec.Want.Lock)
	if err != nil {
		return err
	}
	return s.C.Open(ctx, all)
}

// withWaiting are these accounts and those that a way back locked: they were made, or unlocked, while the target was open.
func withWaiting(ctx context.Context, l PairLook, as []freeze.Account) ([]freeze.Account, error) {
	waiting, err := l.Waiting(ctx)
	if err != nil {
		return nil, err
	}
	out := slices.Clone(as)
	for _, a := range waiting {
		if !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out, nil
}
