package mariadb

import (
	"context"
	"fmt"
	"slices"

	"github.com/slipway-dev/slipway/internal/dbcopy/freeze"
	"github.com/slipway-dev/slipway/migrate"
)

// Triggers takes the source's triggers away while it follows the target: what a trigger did there is in the target's log, and
// would be done once more here. They are kept in the journal for the way back.
type Triggers struct {
	Schemas []string
	After   []migrate.Dep
}

// TriggersOut are those that were taken away.
type TriggersOut struct {
	Triggers []freeze.Trigger `json:"triggers"`
}

// Spec is the step's.
func (st Triggers) Spec() migrate.Spec {
	return migrate.Spec{ID: "switch.source-triggers", Version: 1, Title: "take the source's triggers away, for the way back", Needs: st.After}
}

// Plan lists them.
func (st Triggers) Plan(ctx context.Context, s *migrate.Scope[MastersLook], rec migrate.Recorded[TriggersOut]) (migrate.Plan[TriggersOut], error) {
	var p migrate.Plan[TriggersOut]
	there, err := s.C.Triggers(ctx, st.Schemas)
	if err != nil {
		return p, err
	}
	switch {
	case len(there) == 0 && rec.Complete:
		return migrate.Done(rec.Out), nil
	case len(there) == 0 && rec.Attempts == 0:
		return migrate.Done(TriggersOut{Triggers: []freeze.Trigger{}}), nil
	}
	p.Want = rec.Want
	if rec.Attempts == 0 {
		p.Want.Triggers = there
	}
	for _, t := range there {
		p.Effects = append(p.Effects, migrate.Effect{Verb: "drop", Object: "trigger " + t.Schema + "." + t.Name, Detail: "at " + s.C.Names()[0] + ", kept for the way back"})
	}
	return p, nil
}

// Run drops them, the last first: of those that fire on the same event, one that is made again fires after those that are
// there, so what is left when this stops half way must be the first ones.
func (st Triggers) Run(ctx context.Context, s *migrate.Scope[MastersAct], want TriggersOut) (TriggersOut, error) {
	lastFirst := slices.Clone(want.Triggers)
	slices.Reverse(lastFirst)
	return want, s.C.DropTriggers(ctx, lastFirst)
}

// Verify looks whether there are any.
func (st Triggers) Verify(ctx context.Context, s *migrate.Scope[MastersLook], _ TriggersOut) error {
	there, err := s.C.Triggers(ctx, st.Schemas)
	if err == nil && len(there) > 0 {
		err = fmt.Errorf("%s has %d triggers; the first is %s.%s", s.C.Names()[0], len(there), there[0].Schema, there[0].Name)
	}
	return err
}

// Undo makes them again, each as it was.
func (st Triggers) Undo(ctx context.Context, s *migrate.Scope[MastersAct], rec migrate.Recorded[TriggersOut]) error {
	return s.C.RestoreTriggers(ctx, rec.Want.Triggers)
}
