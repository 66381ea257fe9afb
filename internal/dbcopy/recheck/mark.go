package recheck

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
	"github.com/slipway-dev/slipway/internal/dbcopy/follow"
)

// The mark: one row beside the follower's. A process that takes it up raises its fence, and one that had it before finds out when it next
// notes how far it is. A verification that began elsewhere, after another comparison, begins anew.
const (
	ownTable  = "`" + follow.OwnSchema + "`.`recheck`"
	ownStream = "'" + follow.ForwardStream + "'"
)

const createTable = "CREATE TABLE IF NOT EXISTS " + ownTable + " (`stream` VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY, `fence` BIGINT UNSIGNED NOT NULL, `began` LONGTEXT NOT NULL," +
	" `position` LONGTEXT NOT NULL, `tables` LONGTEXT NOT NULL, `noted` DATETIME(6) NOT NULL) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COMMENT='how far slipway has verified what was followed'"

// kept is what the target has.
type kept struct {
	fence    uint64
	began    string
	position changes.Position
	tables   []changes.Table // the source's definitions at the position
}

// errNone: the target has no mark.
var errNone = errors.New("nothing was verified there beyond a comparison")

func read(ctx context.Context, q ask.Queryer, lock string) (k kept, err error) {
	var position, tables string
	err = q.QueryRowContext(ctx, "SELECT `fence`, `began`, `position`, `tables` FROM "+ownTable+" WHERE `stream` = "+ownStream+lock).Scan(&k.fence, &k.began, &position, &tables)
	switch ask.Number(err) {
	case 1049, 1146: // no such schema, no such table
		return k, errNone
	}
	if errors.Is(err, sql.ErrNoRows) {
		return k, errNone
	}
	if err != nil {
		return k, err
	}
	if err := errors.Join(json.Unmarshal([]byte(position), &k.position), json.Unmarshal([]byte(tables), &k.tables)); err != nil {
		return k, fmt.Errorf("what %s has: %w", ownTable, err)
	}
	return k, nil
}

// take takes the mark up. from is where the comparison began; tables gives the source's definitions now.
func take(ctx context.Context, db *sql.DB, from changes.Position, tables func() ([]changes.Table, error)) (k kept, err error) {
	if _, err := db.ExecContext(ctx, createTable); err != nil {
		return k, fmt.Errorf("make %s: %w", ownTable, err)
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return k, err
	}
	defer tx.Rollback()
	was, err := read(ctx, tx, " FOR UPDATE")
	if err != nil && !errors.Is(err, errNone) {
		return k, err
	}
	k = was
	if began := follow.Print(from); err != nil || was.began != began {
		k = kept{fence: was.fence, began: began, position: from}
		if k.tables, err = tables(); err != nil {
			return k, err
		}
	}
	k.fence++
	if err := k.write(ctx, tx, "REPLACE INTO "+ownTable+" SET `stream` = "+ownStream+", `fence` = %d, `began` = %s, `position` = %s, `tables` = %s, `noted` = UTC_TIMESTAMP(6)"); err != nil {
		return k, err
	}
	return k, tx.Commit()
}

func (k kept) write(ctx context.Context, q ask.Queryer, statement string) error {
	position, err := json.Marshal(k.position)
	if err != nil {
		return err
	}
	tables, err := json.Marshal(k.tables)
	if err != nil {
		return err
	}
	_, err = q.ExecContext(ctx, fmt.Sprintf(statement, k.fence, ddl.Literal(k.began), ddl.Literal(string(position)), ddl.Literal(string(tables))))
	return err
}

// note notes how far it is.
func note(ctx context.Context, q ask.Queryer, fence uint64, at changes.Position) error {
	text, err := json.Marshal(at)
	if err != nil {
		return err
	}
	r, err := q.ExecContext(ctx, fmt.Sprintf("UPDATE %s SET `position` = %s, `noted` = UTC_TIMESTAMP(6) WHERE `stream` = %s AND `fence` = %d", ownTable, ddl.Literal(string(text)), ownStream, fence))
	if err != nil {
		return fmt.Errorf("note how far the verification is: %w", err)
	}
	if n, err := r.RowsAffected(); err != nil || n == 1 {
		return err
	}
	k, err := read(ctx, q, "")
	if err != nil && !errors.Is(err, errNone) {
		return err
	}
	return fmt.Errorf("the verification: %w: its fence is %d, this process has %d", dbcopy.ErrFenced, k.fence, fence)
}
