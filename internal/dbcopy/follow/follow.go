// Package follow applies what a source's binary log says to a target, each transaction exactly once and in the order in
// which the source committed them: at every instant the target has what the source had at one, and a row on the target
// says which (see [Applied]).
//
// Rows are written side by side where nothing conflicts, and committed in the source's order. The position goes in with the
// rows, if it is where this process left it. So a follower, a server or a link may be killed at any instant, and the next
// one goes on at what is recorded.
//
// The log is whatever gives transactions of package changes. This package imports no step, no engine, no reader of logs.
package follow

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
)

// Log gives what was committed after a position, in order, and waits for more at its end. An error ends it; one that wraps
// dbcopy.ErrLost is tried again.
type Log interface {
	Transactions(ctx context.Context, from changes.Position) iter.Seq2[*changes.Transaction, error]
}

// Options are how a target follows.
type Options struct {
	Stream  string   // its name on the target; a forward and a reverse one have different names
	Schemas []string // whose tables are followed
	Workers int      // transactions that are applied at once; 0: 4
	// From is where a stream that the target doesn't have begins; nil: where its copy stands.
	From *changes.Position
	// Tables are the source's definitions, which a new stream records.
	Tables []changes.Table
	// CascadesLogged: the log has what foreign keys did, too (MySQL from 9.6 on, where innodb_native_foreign_keys is off). The target's
	// then do nothing. MariaDB's log hasn't it: there the target's foreign keys do it again.
	CascadesLogged bool
	// Skip says that a transaction came from the other side, and is there already. It may be nil.
	Skip func(*changes.Transaction) bool
	Tell func(string) // what it waits for; may be nil
}

const defaultWorkers = 4

// Follower holds one stream of one target.
type Follower struct {
	ep     dbcopy.Endpoint
	o      Options
	flavor value.Flavor
	text   *sql.DB // for what isn't rows
	rows   *sql.DB // the workers'
	dict   dictionary
	most   int64 // max_allowed_packet

	mu     sync.Mutex
	state  State
	passed changes.Position // how far the log was read and is in, or is none of ours
}

// Open takes the stream up: a process that had it before finds out at its next commit, and stops with dbcopy.ErrFenced. The
// target is looked at, and refused when changes can't be applied to it.
func Open(ctx context.Context, target dbcopy.Endpoint, o Options) (*Follower, error) {
	if o.Workers == 0 {
		o.Workers = defaultWorkers
	}
	if o.Tell == nil {
		o.Tell = func(string) {}
	}
	f := &Follower{ep: target, o: o}
	if err := f.open(ctx); err != nil {
		f.Close()
		return nil, f.denied(ctx, err)
	}
	return f, nil
}

func (f *Follower) open(ctx context.Context) (err error) {
	if f.text, err = f.ep.Open(dbcopy.TextSession(), 2); err != nil {
		return err
	}
	vars := dbcopy.RowSession().With(dbcopy.Session{"sql_mode": "'" + strictMode + "'", "innodb_lock_wait_timeout": "5"})
	var version string
	if err := f.text.QueryRowContext(ctx, "SELECT VERSION(), @@max_allowed_packet").Scan(&version, &f.most); err != nil {
		return err
	}
	if f.flavor = value.MySQL; strings.Contains(version, "MariaDB") {
		f.flavor = value.MariaDB
	}
	isolation := map[value.Flavor]string{value.MySQL: "transaction_isolation", value.MariaDB: "tx_isolation"}[f.flavor]
	vars = vars.With(dbcopy.Session{isolation: "'READ-COMMITTED'", "foreign_key_checks": f.checks()})
	f.rows, err = f.ep.OpenWith(vars, f.o.Workers, func(c *mysql.Config) { c.ClientFoundRows, c.MultiStatements = true, true })
	if err != nil {
		return err
	}
	if f.dict, err = readDictionary(ctx, f.text, f.o.Schemas); err != nil {
		return fmt.Errorf("read definitions: %w", err)
	}
	if err := refused(ctx, f.text, f.o.Schemas, f.dict, f.o.CascadesLogged); err != nil {
		return err
	}
	if f.state, err = take(ctx, f.text, f.o.Stream, f.o.From, f.o.Tables); err != nil {
		return err
	}
	f.passed = f.state.Position
	return nil
}

// denied is Explain; of a privilege that the account lacks at the target it says what gives it.
func (f *Follower) denied(ctx context.Context, err error) error {
	return f.ep.Denied(ctx, err, append(dbcopy.SchemaGrants("SELECT, INSERT, UPDATE, DELETE", f.o.Schemas), dbcopy.OwnGrant("SELECT, INSERT, UPDATE, DELETE, CREATE"))...)
}

// checks is the value of foreign_key_checks while rows are applied.
func (f *Follower) checks() string {
	if f.o.CascadesLogged {
		return "0"
	}
	return "1"
}

// Tables are the source's definitions where the stream stands: those that its log is to be read by.
func (f *Follower) Tables(ctx context.Context) ([]changes.Table, error) {
	out, err := readTables(ctx, f.text, f.o.Stream)
	return out, f.ep.Explain(err)
}

// Close gives the connections back. The stream stays as it is.
func (f *Follower) Close() {
	for _, db := range []*sql.DB{f.text, f.rows} {
		if db != nil {
			db.Close()
		}
	}
}

// State is what is in.
func (f *Follower) State() State {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state
}

// Passed is how far the log is dealt with: it may be ahead of what is recorded by transactions that had nothing for the
// target, which are noted now and then.
func (f *Follower) Passed() changes.Position {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.passed
}

func (f *Follower) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// Waits between attempts after a lost connection.
const (
	firstWait = 200 * time.Millisecond
	mostWait  = 5 * time.Second
)

// Run follows until ctx ends or a position comes from until, which may be nil: it applies exactly to there and returns nil.
// Connections that break are made again for as long as it takes. What stops it for good is noted on the target: a change
// that can't be applied (*RowError), a privilege that the account lacks (dbcopy.ErrDenied), what the log can't say (*changes.StopError), another process (dbcopy.ErrFenced). All
// transactions before it are in then.
func (f *Follower) Run(ctx context.Context, log Log, until <-chan changes.Position) error {
	r := &run{f: f, log: log, until: until}
	wait, seq := firstWait, f.State().Seq
	err := attempts(ctx, r.once, f.again, func(err error) error {
		if now := f.State().Seq; now > seq {
			wait, seq = firstWait, now
		}
		f.o.Tell(fmt.Sprintf("trying again in %s after: %v", wait, err))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		wait = min(2*wait, mostWait)
		return nil
	})
	switch {
	case err == nil:
		return f.note(ctx, "all that it was to apply is in")
	case ctx.Err() != nil:
		return errors.Join(ctx.Err(), f.note(ctx, "it was interrupted"))
	}
	return f.stopped(ctx, err)
}

// attempts follows until that ends well, or fails with what doesn't pass by itself. Between two attempts what is recorded is read, however often
// that has to be tried: a commit whose outcome isn't known may have happened, and its rows would be in the way of themselves.
func attempts(ctx context.Context, once, recorded func(context.Context) error, pause func(error) error) error {
	known := true
	for {
		var err error
		if !known {
			err = recorded(ctx)
		}
		if err == nil {
			if err = once(ctx); err == nil {
				return nil
			}
			known = false
		}
		if ctx.Err() != nil || !passing(err) {
			return err
		}
		if err := pause(err); err != nil {
			return err
		}
	}
}

// Drain applies exactly to a position and returns.
func (f *Follower) Drain(ctx context.Context, log Log, to changes.Position) error {
	until := make(chan changes.Position, 1)
	until <- to
	return f.Run(ctx, log, until)
}

// again reads what is recorded, after an outcome that isn't known.
func (f *Follower) again(ctx context.Context) error {
	s, err := readState(ctx, f.text, f.o.Stream, "")
	if err != nil {
		return f.ep.Explain(err)
	}
	own := f.State().Fence
	if s.Fence != own {
		return f.ep.Explain(fmt.Errorf("stream %s: %w: its fence is %d, this process has %d", f.o.Stream, dbcopy.ErrFenced, s.Fence, own))
	}
	f.set(func() { f.state, f.passed = s, s.Position })
	return nil
}

// noteLimit bounds the note of why a follow stopped.
const noteLimit = 10 * time.Second

// stopped notes why the stream stands, for status.
func (f *Follower) stopped(ctx context.Context, why error) error {
	var stop *changes.StopError
	var refused *dbcopy.RefusedError
	if !errors.As(why, &stop) && !errors.As(why, &refused) { // those are the source's
		why = f.denied(ctx, why)
	}
	if errors.Is(why, dbcopy.ErrFenced) {
		return why // the note is another's
	}
	return errors.Join(why, f.note(ctx, why.Error()))
}

// note writes why the stream stands. It is written though ctx has ended.
func (f *Follower) note(ctx context.Context, why string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteLimit)
	defer cancel()
	s := f.State()
	_, err := f.text.ExecContext(ctx, fmt.Sprintf("UPDATE %s SET `stopped` = %s WHERE `stream` = %s AND `fence` = %d", ownTable, ddl.Literal(why), ddl.Literal(s.Stream), s.Fence))
	if err != nil {
		return f.ep.Explain(fmt.Errorf("note on the target why the follow ended: %w", err))
	}
	return nil
}

// passing: the connection broke, or the server was away. What is recorded says how to go on.
func passing(err error) bool {
	var op net.Error
	switch ask.Number(err) {
	case 1053, 1152, 1158, 1159, 1160, 1161, 1927, 3169, 4031, 1040: // shutdown, aborted, packets, killed, idle too long, too many connections
		return true
	case 0:
		return errors.Is(err, dbcopy.ErrLost) || errors.Is(err, errMoved) || errors.Is(err, mysql.ErrInvalidConn) || errors.Is(err, driver.ErrBadConn) ||
			errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &op)
	}
	return false
}
