package switchover

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
	"github.com/slipway-dev/slipway/internal/dbcopy/follow"
	"github.com/slipway-dev/slipway/internal/dbcopy/freeze"
)

// waitingTable has who a way back locked, at the target: an undo leaves nothing in a journal that the next way there could read.
const waitingTable = "`" + follow.OwnSchema + "`.`waiting`"

const createWaiting = "CREATE TABLE IF NOT EXISTS " + waitingTable + " (`user` VARCHAR(32) COLLATE utf8mb4_bin NOT NULL, `host` VARCHAR(255) COLLATE utf8mb4_bin NOT NULL, PRIMARY KEY (`user`, `host`)) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COMMENT='accounts that slipway locked on a way back'"

// Waiting are the accounts that a way back locked, and that weren't let in since.
func (p *Pair) Waiting(ctx context.Context) (out []freeze.Account, err error) {
	err = in(ctx, p.target, func(db *sql.DB) error {
		rows, err := ask.Rows(ctx, db, "SELECT `user`, `host` FROM "+waitingTable+" ORDER BY 1, 2")
		for _, r := range rows {
			out = append(out, freeze.Account{User: r[0], Host: r[1]})
		}
		return err
	})
	if err != nil && !missing(err) {
		return nil, fmt.Errorf("ask who was locked on the way back: %w", err)
	}
	return out, nil
}

// Note notes accounts that a way back is about to lock.
func (p *Pair) Note(ctx context.Context, as []freeze.Account) error {
	err := in(ctx, p.target, func(db *sql.DB) error {
		if _, err := db.ExecContext(ctx, createWaiting); err != nil {
			return err
		}
		for _, a := range as {
			if _, err := db.ExecContext(ctx, "INSERT IGNORE INTO "+waitingTable+" VALUES ("+ddl.Literal(a.User)+", "+ddl.Literal(a.Host)+")"); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("note who is locked on the way back: %w", err)
	}
	return nil
}

// Open unlocks accounts; none of them waits any more then.
func (p *Pair) Open(ctx context.Context, lock []freeze.Account) error {
	if err := p.my.Thaw(ctx, lock); err != nil {
		return err
	}
	err := in(ctx, p.target, func(db *sql.DB) error {
		for _, a := range lock {
			if _, err := db.ExecContext(ctx, "DELETE FROM "+waitingTable+" WHERE `user` = "+ddl.Literal(a.User)+" AND `host` = "+ddl.Literal(a.Host)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && !missing(err) {
		return fmt.Errorf("note who was let in: %w", err)
	}
	return nil
}
