package cloudsql

import (
	"context"
	"fmt"

	"github.com/slipway-dev/slipway/internal/dbcopy/freeze"
	"github.com/slipway-dev/slipway/internal/dbcopy/switchover"
	"github.com/slipway-dev/slipway/migrate"
)

// Counters raises AUTO_INCREMENT on the side that opens to what the other side has given out: rows that were deleted, and
// transactions that were rolled back, took numbers that must not be given out twice.
type Counters struct{ After []migrate.Dep }

// CountersOut are the source's, when its writes had stopped.
type CountersOut struct {
	Source []freeze.Counter `json:"source"`
}

// Spec is the step's.
func (st Counters) Spec() migrate.Spec {
	return migrate.Spec{ID: "switch.counters", Version: 1, Title: "raise the target's AUTO_INCREMENT counters", Needs: st.After}
}

// Plan names those that are behind.
func (st Counters) Plan(ctx context.Context, s *migrate.Scope[PairLook], rec migrate.Recorded[CountersOut]) (migrate.Plan[CountersOut], error) {
	var p migrate.Plan[CountersOut]
	now, err := s.C.Counters(ctx)
	if err != nil {
		return p, err
	}
	p.Want.Source = now.Source
	if rec.Complete {
		p.Want = rec.Out
	}
	behind := switchover.Behind(now.Target, p.Want.Source)
	if rec.Complete && len(behind) == 0 {
		return migrate.Done(rec.Out), nil
	}
	for _, c := range behind {
		p.Effects = append(p.Effects, migrate.Effect{Verb: "raise", Object: "AUTO_INCREMENT of " + c.Schema + "." + c.Table, Detail: fmt.Sprintf("to %d at least", c.Next)})
	}
	return p, nil
}

// Run raises them.
func (st Counters) Run(ctx context.Context, s *migrate.Scope[PairAct], want CountersOut) (CountersOut, error) {
	return want, s.C.RaiseTarget(ctx, want.Source)
}

// Verify looks whether any is behind.
func (st Counters) Verify(ctx context.Context, s *migrate.Scope[PairLook], out CountersOut) error {
	now, err := s.C.Counters(ctx)
	if err != nil {
		return err
	}
	if behind := switchover.Behind(now.Target, out.Source); len(behind) > 0 {
		return fmt.Errorf("%d counters of %s are behind the source's; the first is of %s.%s, which must be %d at least", len(behind), s.C.Name(), behind[0].Schema, behind[0].Table, behind[0].Next)
	}
	return nil
}

// Undo raises the source's to the target's: the source is what opens now. Nothing is lowered.
func (st Counters) Undo(ctx context.Context, s *migrate.Scope[PairAct], _ migrate.Recorded[CountersOut]) error {
	now, err := s.C.Counters(ctx)
	if err != nil {
		return err
	}
	return s.C.RaiseSource(ctx, switchover.Behind(now.Source, now.Target))
}
