package follow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
)

var (
	// ErrNotThere: the stream doesn't stand before the statement that is to be passed by. Nothing was changed.
	ErrNotThere = errors.New("the stream doesn't stand before that transaction")
	// ErrNoWay: what the log stopped at has nothing behind it to go on from. Copy again.
	ErrNoWay = errors.New("the log can't be read on behind it")
)

// SkipDDL passes by a statement that stopped the follow, because a person has done at the target what it does. gtid is the
// transaction that the follow stopped at, and the next in the log: it is read again, and held against that. Who took it on
// himself, and when, is recorded in the target, in the transaction that moves the position.
func (f *Follower) SkipDDL(ctx context.Context, log Log, gtid, who string) (*changes.StopError, error) {
	s := f.State()
	stop, err := next(ctx, log, s.Position)
	if err != nil {
		return nil, err
	}
	if stop.GTID != gtid {
		return nil, fmt.Errorf("%w: the next that stops it is %s, and %s was named", ErrNotThere, stop.GTID, gtid)
	}
	if stop.End.String() == "" {
		return nil, fmt.Errorf("%w: %w", ErrNoWay, stop)
	}
	to := s
	to.Seq, to.Position, to.GTID = s.Seq+1, stop.End, gtid
	move, err := commitSQL(s.Stream, s.Fence, s.Seq, to)
	if err != nil {
		return nil, err
	}
	defs, err := json.Marshal(f.o.Tables) // as they are now
	if err != nil {
		return nil, err
	}
	c, err := f.text.Conn(ctx)
	if err != nil {
		return nil, f.ep.Explain(err)
	}
	defer c.Close()
	note := fmt.Sprintf("INSERT INTO %s (`stream`, `gtid`, `statement`, `who`, `at`) VALUES (%s, %s, %s, %s, UTC_TIMESTAMP(6))", skipTable, ddl.Literal(s.Stream), ddl.Literal(gtid), ddl.Literal(stop.Statement), ddl.Literal(who))
	for i, stmt := range []string{"START TRANSACTION", note, move, "UPDATE " + ownTable + " SET `tables` = " + ddl.Literal(string(defs)) + " WHERE `stream` = " + ddl.Literal(s.Stream), "COMMIT"} {
		r, err := c.ExecContext(ctx, stmt)
		if err != nil {
			return nil, f.ep.Explain(fmt.Errorf("record that %s was passed by: %w", gtid, err))
		}
		if n, err := r.RowsAffected(); i == 2 && (err != nil || n != 1) {
			_, rerr := c.ExecContext(ctx, "ROLLBACK")
			return nil, errors.Join(overtaken(ctx, c, s.Stream, s.Fence, s.Seq), err, rerr)
		}
	}
	f.set(func() { f.state, f.passed = to, to.Position })
	return stop, nil
}

// next reads from a position on up to what stops the log. Whatever else there is before it must be applied first.
func next(ctx context.Context, log Log, from changes.Position) (*changes.StopError, error) {
	for tx, err := range log.Transactions(ctx, from) {
		var stop *changes.StopError
		switch {
		case errors.As(err, &stop):
			return stop, nil
		case err != nil:
			return nil, err
		}
		rows, mark, gtid := tx.Rows, tx.Mark, tx.GTID
		if err := tx.Close(); err != nil {
			return nil, err
		}
		if gtid == "" || rows > 0 && !mark {
			return nil, fmt.Errorf("%w: %s comes first; follow without --skip-ddl until it stops", ErrNotThere, orEnd(gtid))
		}
	}
	return nil, errors.Join(ctx.Err(), errEnd, dbcopy.ErrLost)
}

func orEnd(gtid string) string {
	if gtid == "" {
		return "the log's end"
	}
	return "transaction " + gtid
}
