package follow

import (
	"context"
	"fmt"
	"strings"

	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
	"github.com/slipway-dev/slipway/internal/dbcopy/compat"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
)

// MySQL's errors of a cascade that it doesn't do: too many tables (MY-006575, from 9.6 on), too many levels, and no parent for a child
// that it was just about to change.
const (
	tooManyTables = 6575
	tooDeep       = 3008
	noParent      = 1452
)

// cascade makes an error of a change an ErrCascade with the foreign keys in question, where it is one; any other stays as it is.
func (f *Follower) cascade(ctx context.Context, t *table, ch *changes.Change, err error) error {
	switch ask.Number(err) {
	case tooManyTables, tooDeep:
	case noParent: // of another table than the changed one: it names the child's
		if ch.Kind != changes.Update || !t.parent || strings.Contains(err.Error(), "fails ("+ddl.Qualified(t.of.Schema, t.of.Name)+",") {
			return err
		}
		return fmt.Errorf("%w: %w", ErrCascade, err)
	default:
		return err
	}
	keys, kerr := cascades(ctx, f.text, f.o.Schemas)
	if kerr != nil {
		return fmt.Errorf("%w: %w; which foreign key it is could not be asked: %w", ErrCascade, err, kerr)
	}
	var names []string
	for _, k := range keys {
		names = append(names, k.Object)
	}
	return fmt.Errorf("%w (%s): %w", ErrCascade, strings.Join(names, "; "), err)
}

// cascades are the foreign keys that do less at this target than at the source.
func cascades(ctx context.Context, q ask.Queryer, schemas []string) ([]compat.Finding, error) {
	if less, err := compat.CascadesBySQL(ctx, q); err != nil || !less {
		return nil, err
	}
	return compat.Cascades(ctx, q, schemas)
}
