package switchover

import (
	"context"
	"database/sql"
	"fmt"
	"time"

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

// LookObjects says which triggers and events are at the target.
func (p *Pair) LookObjects(ctx context.Context, set objects.Set) (objects.State, error) {
	return dbcopy.NewTarget(p.target).LookObjects(ctx, set, objects.Acting)
}

// MakeObjects makes those that are missing there; no event is enabled.
func (p *Pair) MakeObjects(ctx context.Context, set objects.Set, tell func(string)) error {
	_, err := dbcopy.NewTarget(p.target).MakeObjects(ctx, set, objects.Acting, true, tell)
	return err
}

// DropObjects drops those that are the set's there.
func (p *Pair) DropObjects(ctx context.Context, set objects.Set) error {
	return dbcopy.NewTarget(p.target).DropObjects(ctx, set, objects.Acting)
}

// WakeEvents enables the events there that are enabled at the source.
func (p *Pair) WakeEvents(ctx context.Context, set objects.Set) error {
	return dbcopy.NewTarget(p.target).SwitchEvents(ctx, set, true)
}

// SleepEvents disables them, and waits until none of them runs any more: it would write where nobody may.
func (p *Pair) SleepEvents(ctx context.Context, set objects.Set) error {
	if err := dbcopy.NewTarget(p.target).SwitchEvents(ctx, set, false); err != nil {
		return err
	}
	return in(ctx, p.target, func(db *sql.DB) error {
		for {
			var n int
			if err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM performance_schema.threads WHERE NAME = 'thread/sql/event_worker'").Scan(&n); err != nil {
				return fmt.Errorf("ask for events that run: %w", err)
			}
			if n == 0 {
				return nil
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%d events still run: %w", n, context.Cause(ctx))
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
}
