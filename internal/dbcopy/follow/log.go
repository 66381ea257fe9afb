package follow

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
)

// ServerLog is the binary log of a server, read anew from where it is asked for.
type ServerLog struct {
	Source  changes.Source
	Options changes.Options
}

// Transactions gives the log; see Log.
func (l ServerLog) Transactions(ctx context.Context, from changes.Position) iter.Seq2[*changes.Transaction, error] {
	return func(yield func(*changes.Transaction, error) bool) {
		s, err := changes.Open(ctx, l.Source, from, l.Options)
		if err != nil {
			yield(nil, err)
			return
		}
		for {
			tx, err := s.Next(ctx)
			if err != nil {
				yield(nil, errors.Join(err, s.Close()))
				return
			}
			if !yield(tx, nil) {
				_ = s.Close() // who reads has a reason of his own
				return
			}
		}
	}
}

// CameBack is the filter by origin: a transaction that an applier of Slipway committed came from the other side, and is
// there. Without it two followers in opposite directions would send each other the same rows for ever.
func CameBack(tx *changes.Transaction) bool { return tx.Mark }

// Tables are what a log reader is told of a MariaDB's schemas: it is asked for their definitions as they are now.
func Tables(ctx context.Context, source dbcopy.Endpoint, schemas []string) ([]changes.Table, error) {
	sv, err := dbcopy.NewSource(source).Survey(ctx, schemas)
	if err != nil {
		return nil, err
	}
	if err := sv.Lacks(); err != nil {
		return nil, fmt.Errorf("%s: %w", source.Name, err)
	}
	var out []changes.Table
	for _, s := range sv.Catalog.Schemas {
		for _, t := range s.Tables {
			out = append(out, changes.Table{Schema: s.Name, Name: t.Name, Columns: t.Columns})
		}
	}
	if len(out) == 0 {
		return nil, errors.Join(fmt.Errorf("%s: there are no tables to follow", source.Name), sv.Refused())
	}
	return out, nil
}

// Forward is the log of the MariaDB that a forward stream follows. A server whose log can't be read row by row is a
// *dbcopy.RefusedError, before anything is done.
func Forward(ctx context.Context, source dbcopy.Endpoint, schemas []string, tell func(string)) (ServerLog, error) {
	src := changes.Source{Endpoint: source, Flavor: value.MariaDB}
	if err := changes.Readable(ctx, src); err != nil {
		return ServerLog{}, err
	}
	tables, err := Tables(ctx, source, schemas)
	if err != nil {
		return ServerLog{}, err
	}
	return ServerLog{src, changes.Options{Tables: tables, Tell: tell}}, nil
}
