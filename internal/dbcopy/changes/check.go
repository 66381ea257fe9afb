package changes

import (
	"context"
	"database/sql"

	"github.com/slipway-dev/slipway/internal/dbcopy/value"
)

// check holds the server's settings and the position to what reading needs, and completes the position.
func check(ctx context.Context, db *sql.DB, src Source, from Position) (Position, error) {
	if src.Flavor == value.MariaDB && from.MariaDB.IsZero() {
		g, err := gtidAt(ctx, db, from.File)
		if err != nil {
			return from, src.Endpoint.Explain(err)
		}
		from.MariaDB = g
	}
	return from, nil
}

func advice(ctx context.Context, db *sql.DB, f value.Flavor) string { return "copy anew" }
