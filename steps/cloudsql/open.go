package cloudsql

import (
	"context"
	"fmt"

	"github.com/slipway-dev/slipway/internal/dbcopy/freeze"
	"github.com/slipway-dev/slipway/migrate"
)

// Open lets the accounts in that Shut locked, and those that a way back locked: from here on the target is what is written to.
type Open struct {
	Shut migrate.Ref[ShutOut]
	Back []migrate.Dep // what carries the writes back
}

// Opened are the accounts that were let in.
type Opened struct {
	Unlock []freeze.Account `json:"unlock"`
}

// Spec is the step's.
func (st Open) Spec() migrate.Spec {
	return migrate.Spec{ID: "switch.open-target", Version: 1, Title: "open the target", Needs: append([]migrate.Dep{st.Shut.Dep()}, st.Back...), Ends: []migrate.Dep{st.Shut.Dep()}, Feeds: st.Back}
}

// Plan says who is let in.
func (st Open) Plan(ctx context.Context, s *migrate.Scope[PairLook], rec migrate.Recorded[Opened]) (migrate.Plan[Opened], error) {
	var p migrate.Plan[Opened]
	was, err := migrate.Value(s, st.Shut)
	if err != nil {
		return p, migrate.Known(err)
	}
	let, err := withWaiting(ctx, s.C, was.Lock)
	if err != nil {
		return p, err
	}
	locked, err := locked(ctx, s.C, let)
	if err != nil {
		return p, err
	}
	if rec.Complete && len(locked) == 0 {
		return migrate.Done(rec.Out), nil
	}
	p.Want.Unlock = let
	p.Effects = []migrate.Effect{{Verb: "unlock", Object: fmt.Sprintf("%d accounts at %s", len(let), s.C.Name()), Detail: names(let)}}
	return p, nil
}

// locked are those of the accounts that can't sign in.
func locked(ctx context.Context, l PairLook, as []freeze.Account) (out []freeze.Account, err error) {
	state, err := l.Look(ctx)
	if err != nil {
		return nil, err
	}
	open := map[freeze.Account]bool{}
	for _, a := range state.Open {
		open[a] = true
	}
	for _, a := range as {
		if !open[a] {
			out = append(out, a)
		}
	}
	return out, nil
}

// Run lets them in.
func (st Open) Run(ctx context.Context, s *migrate.Scope[PairAct], want Opened) (Opened, error) {
	return want, s.C.Open(ctx, want.Unlock)
}

// Verify looks whether all of them can sign in.
func (st Open) Verify(ctx context.Context, s *migrate.Scope[PairLook], out Opened) error {
	locked, err := locked(ctx, s.C, out.Unlock)
	if err == nil && len(locked) > 0 {
		err = fmt.Errorf("these can't sign in at %s: %s", s.C.Name(), names(locked))
	}
	return err
}

// Undo keeps everybody off again, those too who were made meanwhile: what they have written stays, and is drained to the
// source. What was under way is rolled back, and was not acknowledged. Whom it keeps off is noted at the target first: the next
// opening lets them in.
func (st Open) Undo(ctx context.Context, s *migrate.Scope[PairAct], rec migrate.Recorded[Opened]) error {
	state, err := s.C.Look(ctx)
	if err != nil {
		return err
	}
	if err := s.C.Note(ctx, state.Open); err != nil {
		return err
	}
	_, err = s.C.Shut(ctx, state.Open, freeze.Options{})
	return err
}
