package freeze

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
)

// Counter is a table's next AUTO_INCREMENT.
type Counter struct {
	Schema string `json:"schema"`
	Table  string `json:"table"`
	Next   uint64 `json:"next"`
}

// Counters reads the tables' counters. A table's is at least one above its highest number, and more where rows were deleted or
// transactions rolled back: a server that opens with less would give out a number a second time.
func Counters(ctx context.Context, ep dbcopy.Endpoint, schemas []string) ([]Counter, error) {
	c, done, err := signIn(ctx, ep)
	if err != nil {
		return nil, err
	}
	defer done()
	out, err := counters(ctx, c, schemas)
	if err != nil {
		return nil, ep.Explain(fmt.Errorf("ask for counters: %w", err))
	}
	return out, nil
}

func counters(ctx context.Context, c *sql.Conn, schemas []string) (out []Counter, err error) {
	// The figures in MySQL's information_schema are up to a day old unless it is told otherwise; MariaDB passes such a comment over.
	if _, err := c.ExecContext(ctx, "SET /*!80000 SESSION information_schema_stats_expiry = 0, */ @slipway = NULL"); err != nil {
		return nil, err
	}
	for _, s := range schemas {
		all, err := ask.Rows(ctx, c, "SELECT TABLE_NAME, AUTO_INCREMENT FROM information_schema.TABLES"+
			" WHERE TABLE_SCHEMA = ? AND AUTO_INCREMENT IS NOT NULL ORDER BY TABLE_NAME", s)
		if err != nil {
			return nil, err
		}
		for _, r := range all {
			var n uint64
			if _, err := fmt.Sscan(r[1], &n); err != nil {
				return nil, fmt.Errorf("counter of %s.%s: %w", s, r[0], err)
			}
			out = append(out, Counter{s, r[0], n})
		}
	}
	return out, nil
}

// Raise sets the counters of the side that opens to at least what the other side's were. A counter is never lowered. At a MariaDB it isn't logged: who follows it would take it for a changed
// definition, and each master is raised by itself.
func Raise(ctx context.Context, ep dbcopy.Endpoint, from []Counter) error {
	c, done, err := signIn(ctx, ep)
	if err != nil {
		return err
	}
	defer done()
	// A comment that only MariaDB reads: Cloud SQL lets nobody write past its log.
	if _, err := c.ExecContext(ctx, "SET /*M! SESSION sql_log_bin = 0, */ @slipway = NULL"); err != nil {
		return ep.Explain(err)
	}
	for _, f := range from {
		now, err := counters(ctx, c, []string{f.Schema})
		if err != nil {
			return ep.Explain(fmt.Errorf("ask for counters: %w", err))
		}
		for _, n := range now {
			if n.Table != f.Table || n.Next >= f.Next {
				continue
			}
			if _, err := c.ExecContext(ctx, fmt.Sprintf("ALTER TABLE %s.%s AUTO_INCREMENT = %d", ddl.Quote(f.Schema), ddl.Quote(f.Table), f.Next)); err != nil {
				return ep.Explain(fmt.Errorf("raise the counter of %s.%s to %d: %w", f.Schema, f.Table, f.Next, err))
			}
		}
	}
	return nil
}
