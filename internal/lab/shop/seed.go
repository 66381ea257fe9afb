package shop

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// batch is how many rows one INSERT carries: 65,535 parameters are the protocol's limit, and no table has 16 columns.
const batch = 500

// SeedRows fills the empty tables of the database shop that db is connected to. It reports after each batch. An
// error leaves the tables part filled: drop the database and begin again.
func SeedRows(ctx context.Context, db *sql.DB, s Size, report func(done, total int64)) error {
	if err := s.Check(); err != nil {
		return err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connect to seed: %w", err)
	}
	defer conn.Close()
	// The seeder's rows are whole by construction; checking them one by one takes half the time.
	const session = "SET SESSION foreign_key_checks = 0, unique_checks = 0, time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO'"
	if _, err := conn.ExecContext(ctx, session); err != nil {
		return fmt.Errorf("prepare the session to seed: %w", err)
	}
	var done int64
	for _, t := range s.tables() {
		if err := seedTable(ctx, conn, t, func(n int) {
			done += int64(n)
			report(done, int64(s.Rows))
		}); err != nil {
			return fmt.Errorf("seed table %s: %w", t.name, err)
		}
	}
	// The connection goes back to the pool as it came.
	if _, err := conn.ExecContext(ctx, "SET SESSION foreign_key_checks = DEFAULT, unique_checks = DEFAULT, time_zone = DEFAULT, sql_mode = DEFAULT"); err != nil {
		return fmt.Errorf("restore the session after seeding: %w", err)
	}
	return nil
}

func seedTable(ctx context.Context, conn *sql.Conn, t table, report func(n int)) error {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	whole, err := tx.PrepareContext(ctx, insert(t, batch))
	if err != nil {
		return err
	}
	defer whole.Close()
	args := make([]any, 0, batch*len(t.columns))
	for from := 0; from < t.rows; from += batch {
		n := min(batch, t.rows-from)
		args = args[:0]
		for i := range n {
			args = append(args, t.row(from+i)...)
		}
		if n == batch {
			_, err = whole.ExecContext(ctx, args...)
		} else {
			_, err = tx.ExecContext(ctx, insert(t, n), args...)
		}
		if err != nil {
			return fmt.Errorf("rows from %d: %w", from, err)
		}
		report(n)
	}
	return tx.Commit()
}

func insert(t table, rows int) string {
	one := "(" + strings.TrimSuffix(strings.Repeat("?,", len(t.columns)), ",") + ")"
	return "INSERT INTO shop." + t.name + " (" + strings.Join(t.columns, ",") + ") VALUES " + one + strings.Repeat(","+one, rows-1)
}
