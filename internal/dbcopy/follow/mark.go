package follow

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-dev/slipway/internal/binlog"
	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
	"github.com/slipway-dev/slipway/internal/snapshot"
)

// OwnSchema is the schema on a target that is Slipway's own. Every transaction that a follower commits writes a row of
// its table follow: that is the position, and it is the mark by which whoever reads that server's log knows that the
// transaction came from the other side.
const OwnSchema = "_slipway"

const ownTable = "`" + OwnSchema + "`.`follow`"
const skipTable = "`" + OwnSchema + "`.`follow_skip`"

// State is what a target knows of a stream.
type State struct {
	Stream    string
	Fence     uint64 // rises each time that a process takes the stream up
	Seq       uint64 // how many of the source's transactions are in, since the stream began
	Position  changes.Position
	GTID      string    // the last transaction that is in
	Committed time.Time // when the source committed it, by the source's clock; zero: none is in
	Rows      uint64    // changes that are in, since the stream began
	Applied   time.Time // when the follower last wrote here, by the target's clock
	Now       time.Time // the target's clock when it was asked
	Stopped   string    // why the follower stopped; "": it runs, or was killed
}

const createTables = "CREATE TABLE IF NOT EXISTS " + ownTable + " (`stream` VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY, `fence` BIGINT UNSIGNED NOT NULL, `seq` BIGINT UNSIGNED NOT NULL," +
	" `position` LONGTEXT NOT NULL, `gtid` VARCHAR(120) NOT NULL, `committed` DATETIME(6) NULL, `rows` BIGINT UNSIGNED NOT NULL, `applied` DATETIME(6) NOT NULL, `stopped` LONGTEXT NOT NULL, `tables` LONGTEXT NOT NULL)" +
	" ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COMMENT='how far slipway has followed'"

const createSkips = "CREATE TABLE IF NOT EXISTS " + skipTable + " (`stream` VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, `gtid` VARCHAR(120) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, `statement` LONGTEXT NOT NULL," +
	" `who` VARCHAR(255) NOT NULL, `at` DATETIME(6) NOT NULL, PRIMARY KEY (`stream`, `gtid`)) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COMMENT='statements that a person took on himself'"

// stamped is how times are printed and read: the servers' DATETIME(6), in UTC.
const stamped = "2006-01-02 15:04:05.000000"

// missing: the schema, the table or a column isn't there.
func missing(err error) bool {
	switch ask.Number(err) {
	case 1049, 1054, 1146:
		return true
	}
	return false
}

// readState reads a stream's row; ErrNoStream when there is none.
func readState(ctx context.Context, q ask.Queryer, stream, lock string) (State, error) {
	s := State{Stream: stream}
	var position, now string
	var committed, applied sql.NullString
	err := q.QueryRowContext(ctx, "SELECT `fence`, `seq`, `position`, `gtid`, `committed`, `rows`, `applied`, UTC_TIMESTAMP(6), `stopped` FROM "+ownTable+" WHERE `stream` = "+ddl.Literal(stream)+lock).
		Scan(&s.Fence, &s.Seq, &position, &s.GTID, &committed, &s.Rows, &applied, &now, &s.Stopped)
	if errors.Is(err, sql.ErrNoRows) || missing(err) {
		return s, fmt.Errorf("%w %s", ErrNoStream, stream)
	}
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal([]byte(position), &s.Position); err != nil {
		return s, fmt.Errorf("position of stream %s in %s: %w", stream, ownTable, err)
	}
	for _, x := range []struct {
		to   *time.Time
		text string
	}{{&s.Committed, committed.String}, {&s.Applied, applied.String}, {&s.Now, now}} {
		if x.text == "" {
			continue
		}
		if *x.to, err = time.Parse(stamped, x.text); err != nil {
			return s, fmt.Errorf("a time of stream %s in %s: %w", stream, ownTable, err)
		}
	}
	return s, nil
}

// Read gives what a target knows of a stream; ErrNoStream when nothing was followed there.
func Read(ctx context.Context, target dbcopy.Endpoint, stream string) (State, error) {
	db, err := target.Open(dbcopy.TextSession(), 1)
	if err != nil {
		return State{}, err
	}
	defer db.Close()
	s, err := ReadOn(ctx, db, stream)
	if err != nil {
		return s, deniedMarks(ctx, target, err)
	}
	return s, nil
}

// ReadOn is Read over a connection of whoever asks often. It needs a text session.
func ReadOn(ctx context.Context, q ask.Queryer, stream string) (State, error) {
	return readState(ctx, q, stream, "")
}

// deniedMarks is Explain, for who only reads what stands in a target.
func deniedMarks(ctx context.Context, target dbcopy.Endpoint, err error) error {
	return target.Denied(ctx, err, dbcopy.OwnGrant("SELECT"))
}

// Begun: a stream stands at the target, or a copy of Slipway that is over says from where one begins; else ErrNoPosition or ErrNotCopied.
func Begun(ctx context.Context, target dbcopy.Endpoint) error {
	if _, err := Read(ctx, target, ForwardStream); !errors.Is(err, ErrNoStream) {
		return err
	}
	db, err := target.Open(dbcopy.TextSession(), 1)
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err = copied(ctx, db); err != nil {
		return deniedMarks(ctx, target, err)
	}
	return nil
}

// Applied is how far the target has the source's transactions: all before it are in, and none after it.
func Applied(ctx context.Context, target dbcopy.Endpoint, stream string) (changes.Position, error) {
	s, err := Read(ctx, target, stream)
	return s.Position, err
}

// take takes a stream up, so that no other process can go on with it, and gives its state. from is where a stream that
// isn't there begins, nil: where the copy stands.
func take(ctx context.Context, db *sql.DB, stream string, from *changes.Position, tables []changes.Table) (State, error) {
	c, err := db.Conn(ctx)
	if err != nil {
		return State{}, err
	}
	defer c.Close()
	s, err := readState(ctx, c, stream, "")
	if err == nil && from != nil && !samePosition(s.Position, *from) {
		return s, fmt.Errorf("%w: it stands at %s", ErrStands, Print(s.Position))
	}
	if errors.Is(err, ErrNoStream) {
		if from == nil {
			if from, err = copied(ctx, c); err != nil {
				return State{}, err
			}
		}
		if err := create(ctx, c, stream, *from, tables); err != nil {
			return State{}, err
		}
	} else if err != nil {
		return s, err
	}
	// It waits for a transaction of an earlier process that is just being committed.
	if _, err := c.ExecContext(ctx, "START TRANSACTION"); err != nil {
		return s, err
	}
	if s, err = readState(ctx, c, stream, " FOR UPDATE"); err != nil {
		return s, err
	}
	s.Fence++
	s.Stopped = ""
	if _, err := c.ExecContext(ctx, fmt.Sprintf("UPDATE %s SET `fence` = %d, `stopped` = '', `applied` = UTC_TIMESTAMP(6) WHERE `stream` = %s", ownTable, s.Fence, ddl.Literal(stream))); err != nil {
		return s, err
	}
	_, err = c.ExecContext(ctx, "COMMIT")
	return s, err
}

func create(ctx context.Context, c *sql.Conn, stream string, at changes.Position, tables []changes.Table) error {
	text, err := json.Marshal(at)
	if err != nil {
		return err
	}
	defs, err := json.Marshal(tables)
	if err != nil {
		return err
	}
	for _, stmt := range []string{
		"CREATE DATABASE IF NOT EXISTS `" + OwnSchema + "` DEFAULT CHARACTER SET utf8mb4", createTables, createSkips,
		"INSERT IGNORE INTO " + ownTable + " (`stream`, `fence`, `seq`, `position`, `gtid`, `rows`, `applied`, `stopped`, `tables`) VALUES (" + ddl.Literal(stream) + ", 0, 0, " + ddl.Literal(string(text)) + ", '', 0, UTC_TIMESTAMP(6), '', " + ddl.Literal(string(defs)) + ")",
	} {
		if _, err := c.ExecContext(ctx, stmt); err != nil {
			return fmt.Errorf("make %s: %w", ownTable, err)
		}
	}
	return nil
}

// readTables gives the source's definitions as they were where the stream stands: the source may have changed them since,
// and the log has rows of before.
func readTables(ctx context.Context, q ask.Queryer, stream string) (out []changes.Table, err error) {
	var text string
	if err := q.QueryRowContext(ctx, "SELECT `tables` FROM "+ownTable+" WHERE `stream` = "+ddl.Literal(stream)).Scan(&text); err != nil {
		return nil, err
	}
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		return nil, fmt.Errorf("definitions of stream %s in %s: %w", stream, ownTable, err)
	}
	return out, nil
}

// copied is where the source's log stood in the view that the target's rows are from.
func copied(ctx context.Context, q ask.Queryer) (*changes.Position, error) {
	var phase string
	var text sql.NullString
	err := q.QueryRowContext(ctx, "SELECT `phase`, `position` FROM `"+OwnSchema+"`.`load`").Scan(&phase, &text)
	switch {
	case errors.Is(err, sql.ErrNoRows) || missing(err) || err == nil && text.String == "":
		return nil, ErrNoPosition
	case err != nil:
		return nil, err
	case phase != string(dbcopy.PhaseLoaded):
		return nil, fmt.Errorf("%w: its phase is %s", ErrNotCopied, phase)
	}
	var p snapshot.Position
	if err := json.Unmarshal([]byte(text.String), &p); err != nil {
		return nil, fmt.Errorf("position of the copy: %w", err)
	}
	return &changes.Position{File: p.File, MariaDB: p.GTID}, nil
}

// commit is the last of a batch: the position goes in with the rows if no other process has taken the stream up and no
// transaction was applied that this one doesn't know of. It is what makes each be applied exactly once.
func commitSQL(stream string, fence, before uint64, to State) (string, error) {
	text, err := json.Marshal(to.Position)
	if err != nil {
		return "", err
	}
	committed := "NULL"
	if !to.Committed.IsZero() {
		committed = "'" + to.Committed.UTC().Format(stamped) + "'"
	}
	return fmt.Sprintf("UPDATE %s SET `seq` = %d, `position` = %s, `gtid` = %s, `committed` = %s, `rows` = %d, `applied` = UTC_TIMESTAMP(6) WHERE `stream` = %s AND `fence` = %d AND `seq` = %d",
		ownTable, to.Seq, ddl.Literal(string(text)), ddl.Literal(to.GTID), committed, to.Rows, ddl.Literal(stream), fence, before), nil
}

// overtaken says why a batch's position could not go in.
func overtaken(ctx context.Context, q ask.Queryer, stream string, fence, before uint64) error {
	s, err := readState(ctx, q, stream, "")
	if err != nil {
		return err
	}
	if s.Fence != fence {
		return fmt.Errorf("stream %s: %w: its fence is %d, this process has %d", stream, dbcopy.ErrFenced, s.Fence, fence)
	}
	return fmt.Errorf("stream %s: %w: %d transactions are in, and this process knows of %d", stream, errMoved, s.Seq, before)
}

// errMoved: a commit whose outcome was not known did happen. The follower begins again at what is recorded.
var errMoved = errors.New("the recorded position is another")

func samePosition(a, b changes.Position) bool {
	return a.File == b.File && a.MariaDB.String() == b.MariaDB.String() && a.MySQL.String() == b.MySQL.String()
}

// Print is a position for people, in the form that ParsePosition reads: the GTIDs where there are any.
func Print(p changes.Position) string {
	switch {
	case !p.MariaDB.IsZero():
		return p.MariaDB.String()
	case !p.MySQL.IsZero():
		return p.MySQL.String()
	}
	return p.File.String()
}

// ParsePosition reads "0-1-42,2-2-7" (MariaDB's GTIDs), "uuid:1-5" (MySQL's) or "mariadb-bin.000007:4" (a file and an offset).
func ParsePosition(text string) (changes.Position, error) {
	if text == "" {
		return changes.Position{}, fmt.Errorf("an empty position: %w", binlog.ErrSyntax)
	}
	if p, err := binlog.ParseMariaDB(text); err == nil {
		return changes.Position{MariaDB: p}, nil
	}
	if p, err := binlog.ParseMySQL(text); err == nil {
		return changes.Position{MySQL: p}, nil
	}
	p, err := binlog.ParseFile(text)
	if err != nil {
		return changes.Position{}, fmt.Errorf("%q is neither GTIDs (0-1-42, or uuid:1-5) nor a file and an offset (mariadb-bin.000007:4): %w", text, binlog.ErrSyntax)
	}
	return changes.Position{File: p}, nil
}

// Skipped is a statement that a person took on himself.
type Skipped struct {
	GTID, Statement, Who string
	At                   time.Time
}

// Streams gives all that a target knows of streams, by name. None is no error.
func Streams(ctx context.Context, target dbcopy.Endpoint) (out []State, err error) {
	db, err := target.Open(dbcopy.TextSession(), 1)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	names, err := ask.Each(ctx, db, ask.Text, "SELECT `stream` FROM "+ownTable+" ORDER BY 1")
	if missing(err) {
		return nil, nil
	}
	for _, n := range names {
		s, rerr := readState(ctx, db, n, "")
		if rerr != nil {
			return nil, deniedMarks(ctx, target, rerr)
		}
		out = append(out, s)
	}
	if err != nil {
		return nil, deniedMarks(ctx, target, err)
	}
	return out, nil
}

// Skips gives what was passed by in a stream, the oldest first.
func Skips(ctx context.Context, target dbcopy.Endpoint, stream string) ([]Skipped, error) {
	db, err := target.Open(dbcopy.TextSession(), 1)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	out, err := ask.Each(ctx, db, func(r *sql.Rows) (s Skipped, err error) {
		var at string
		if err = r.Scan(&s.GTID, &s.Statement, &s.Who, &at); err == nil {
			s.At, err = time.Parse(stamped, at)
		}
		return s, err
	}, "SELECT `gtid`, `statement`, `who`, `at` FROM "+skipTable+" WHERE `stream` = "+ddl.Literal(stream)+" ORDER BY `at`, `gtid`")
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, deniedMarks(ctx, target, err)
	}
	return out, nil
}

// quietFor is how long a follower that runs writes nothing, with room for a slow commit.
const quietFor = 3 * idleAfter

// Runs: a process follows, by what it last wrote.
func (s State) Runs() bool { return s.Stopped == "" && s.Now.Sub(s.Applied) < quietFor }
