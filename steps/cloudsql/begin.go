package cloudsql

import (
	"context"
	"fmt"

	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
	"github.com/slipway-dev/slipway/internal/dbcopy/follow"
	"github.com/slipway-dev/slipway/migrate"
)

// Begin records where the target's log stands before anybody writes there: what comes after it is what the way back carries.
type Begin struct{ After []migrate.Dep }

// Spec is the step's.
func (st Begin) Spec() migrate.Spec {
	return migrate.Spec{ID: "switch.begin-back", Version: 1, Title: "record where the target's log stands, before its first write", Needs: st.After}
}

// Plan has nothing to find out: what is recorded holds, and what isn't has to be asked for once nobody can write.
func (st Begin) Plan(ctx context.Context, s *migrate.Scope[PairLook], rec migrate.Recorded[changes.Position]) (migrate.Plan[changes.Position], error) {
	var p migrate.Plan[changes.Position]
	if rec.Complete {
		nested, err := s.C.Nested(ctx)
		if err != nil {
			return p, err
		}
		if nested {
			return migrate.Done(rec.Out), nil
		}
	}
	p.Effects = []migrate.Effect{{Verb: "make", Object: "the canary's table", Detail: "on both sides"}, {Verb: "record", Object: "where the log of " + s.C.Name() + " stands"}}
	return p, nil
}

// Run records it. Nobody may be able to write at the target, or what he wrote before would be lost on the way back.
func (st Begin) Run(ctx context.Context, s *migrate.Scope[PairAct], _ changes.Position) (changes.Position, error) {
	if err := s.C.Nest(ctx); err != nil {
		return changes.Position{}, err
	}
	at, err := s.C.Tip(ctx)
	if err != nil {
		return at, err
	}
	if err := shut(ctx, s.C); err != nil { // after the position: who signed in before it and wrote after it is seen here
		return at, err
	}
	if at.MySQL.IsZero() {
		return at, fmt.Errorf("%s has no GTIDs: the way back needs gtid_mode=ON there", s.C.Name())
	}
	return at, nil
}

// Verify looks whether the target's log stands there still.
func (st Begin) Verify(ctx context.Context, s *migrate.Scope[PairLook], out changes.Position) error {
	state, err := s.C.Look(ctx)
	if err != nil {
		return err
	}
	same, err := follow.Covers(out, changes.Position{MySQL: state.Logged})
	if err != nil {
		return err
	}
	if !same {
		return fmt.Errorf("%s was written to since %s was recorded: it is at %s", s.C.Name(), follow.Print(out), state.Logged)
	}
	return shut(ctx, s.C)
}

// Undo has nothing to take back: the canary's table stays, for the next time.
func (st Begin) Undo(context.Context, *migrate.Scope[PairAct], migrate.Recorded[changes.Position]) error {
	return nil
}
