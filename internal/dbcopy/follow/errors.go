package follow

import (
	"errors"
	"fmt"

	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
)

var (
	// ErrNoStream: nothing was followed to this target. Start a follow.
	ErrNoStream = errors.New("the target has no stream")
	// ErrNoPosition: nothing says from where to follow. Copy first, or name a position.
	ErrNoPosition = errors.New("the target doesn't know where its rows are from: no copy of Slipway recorded a position there")
	// ErrNotCopied: the copy isn't over, so its rows are not of one instant yet. Finish it.
	ErrNotCopied = errors.New("the copy to the target isn't over")
	// ErrStands: a position was named, and the target has another recorded. Following from anywhere else would apply
	// transactions twice or leave some out. Don't name one.
	ErrStands = errors.New("the target has a recorded position already, and goes on from there")
	// ErrNoTable: a change is of a table or a column that the target hasn't. Make it there, or copy again.
	ErrNoTable = errors.New("the target hasn't what the log has changes of")
	// ErrNoKey: a table has no key by which rows are told apart. Copy again after it has one.
	ErrNoKey = errors.New("no primary key and no unique one without NULL")
	// ErrTriggers: the target has triggers. The log has what the source's did already. Drop them until the switch.
	ErrTriggers = errors.New("the target has triggers, and the log has what they do already")
	// ErrPast: the position to stop at was applied before. Nothing was done.
	ErrPast = errors.New("the target is past that position already")
	// ErrGone: a row that the log changes isn't at the target. Somebody wrote there. Compare, repair, go on.
	ErrGone = errors.New("the target hasn't that row")
	// ErrCascade: the target's foreign keys don't do what the source's do (see compat.Cascades). At a row: do it there by hand, the
	// lowest rows first, then follow again. Before anything is followed: they would leave it undone without an error; mend the keys.
	ErrCascade = errors.New("the target's foreign keys don't do what the source's do")
	// ErrTooLarge: a change is larger than the target takes. Raise its max_allowed_packet.
	ErrTooLarge = errors.New("a statement is larger than the target's max_allowed_packet")
)

// RowError is a change that the target didn't take. All transactions before its own are in, and nothing of its own.
type RowError struct {
	GTID, Table, Key string
	Kind             changes.Kind
	Cause            error
}

func (e *RowError) Error() string {
	return fmt.Sprintf("transaction %s: %s of row with %s in %s: %v", e.GTID, printed(e.Kind), e.Key, e.Table, e.Cause)
}

func (e *RowError) Unwrap() error { return e.Cause }
