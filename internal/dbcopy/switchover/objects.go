package switchover

import (
	"context"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/objects"
)

// Objects reads the source's triggers and events. Of two masters each knows alone whether events that were made there run.
func (p *Pair) Objects(ctx context.Context) (objects.Set, error) {
	set, err := dbcopy.NewSource(p.source).Objects(ctx, p.schemas)
	if err != nil || p.standby == nil {
		return set, err
	}
	other, err := dbcopy.NewSource(*p.standby).Objects(ctx, p.schemas)
	return set.With(other), err
}

// LookObjects says which of the acting ones are at the target.
func (p *Pair) LookObjects(ctx context.Context, set objects.Set) (objects.State, error) {
	return dbcopy.NewTarget(p.target).LookObjects(ctx, set, objects.Acting)
}

// MakeObjects makes those that are missing there.
func (p *Pair) MakeObjects(ctx context.Context, set objects.Set, tell func(string)) error {
	_, err := dbcopy.NewTarget(p.target).MakeObjects(ctx, set, objects.Acting, tell)
	return err
}

// DropObjects drops those that are the set's there.
func (p *Pair) DropObjects(ctx context.Context, set objects.Set) error {
	return dbcopy.NewTarget(p.target).DropObjects(ctx, set, objects.Acting)
}
