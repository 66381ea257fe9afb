package freeze

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/internal/binlog"
	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
)

// MySQL is an instance whose writers are stopped. Cloud SQL gives nobody SUPER, and read_only is not to be had: who may write is
// locked out, account by account. The account that asks needs CREATE USER, CONNECTION_ADMIN, PROCESS and SELECT on mysql.user.
type MySQL struct{ ep dbcopy.Endpoint }

// NewMySQL dials nothing.
func NewMySQL(ep dbcopy.Endpoint) *MySQL { return &MySQL{ep} }

// Name is what messages call the server.
func (m *MySQL) Name() string { return m.ep.Name }

// TargetState is what an instance says of who may sign in.
type TargetState struct {
	Open     []Account    `json:"open"`     // accounts that aren't locked, without the server's own, the one that asks, and those kept
	Sessions int          `json:"sessions"` // of others than the kept
	Logged   binlog.MySQL `json:"logged"`   // @@gtid_executed
}

// systemAccounts are the server's and Google's own: they can't be locked, and write no rows of ours.
// https://cloud.google.com/sql/docs/mysql/users#system-users
const systemAccounts = "'mysql.sys', 'mysql.session', 'mysql.infoschema', 'cloudsqladmin', 'cloudsqlexport', 'cloudsqlimport', 'cloudsqlreplica', 'cloudsqlapplier', 'cloudsqlobservabilityadmin', 'cloudsqlinactiveuser', 'cloudsqlsuperuser'"

// Look reads the state. keep are users that go on signing in: Slipway's own that follow and verify.
func (m *MySQL) Look(ctx context.Context, keep []string) (TargetState, error) {
	c, done, err := signIn(ctx, m.ep)
	if err != nil {
		return TargetState{}, err
	}
	defer done()
	s, err := lookTarget(ctx, c, keep)
	if err != nil {
		return TargetState{}, m.ep.Explain(fmt.Errorf("look at who may sign in: %w", err))
	}
	return s, nil
}

func lookTarget(ctx context.Context, c *sql.Conn, keep []string) (TargetState, error) {
	var s TargetState
	me, err := self(ctx, c)
	if err != nil {
		return s, err
	}
	all, err := ask.Rows(ctx, c, "SELECT User, Host FROM mysql.user WHERE account_locked = 'N' AND User NOT IN ("+systemAccounts+")")
	if err != nil {
		return s, fmt.Errorf("ask for accounts: %w", err)
	}
	for _, r := range all {
		if a := (Account{r[0], r[1]}); a != me && !slices.Contains(keep, a.User) {
			s.Open = append(s.Open, a)
		}
	}
	sortAccounts(s.Open)
	// Who is just signing in isn't counted: as soon as he is let in his command is another one, and locked accounts are not let in.
	// A shop that asks for its database all the time would make a target that is shut look open.
	running, err := ask.Rows(ctx, c, targetSessions(append([]string{me.User}, keep...))+" AND USER <> 'unauthenticated user' AND COMMAND <> 'Connect'")
	if err != nil {
		return s, fmt.Errorf("ask for sessions: %w", err)
	}
	s.Sessions = len(running)
	var gtid string
	if err := c.QueryRowContext(ctx, "SELECT @@global.gtid_executed").Scan(&gtid); err != nil {
		return s, err
	}
	s.Logged, err = binlog.ParseMySQL(gtid)
	return s, err
}

// targetSessions are all but this one, those of users that are kept, replication's and the server's own.
func targetSessions(keep []string) string {
	names := []string{"'system user'", "'event_scheduler'", systemAccounts}
	for _, k := range keep {
		names = append(names, ddl.Literal(k))
	}
	return "SELECT ID, USER, HOST, COMMAND FROM performance_schema.processlist WHERE ID <> CONNECTION_ID() AND USER NOT IN (" + strings.Join(names, ", ") +
		") AND COMMAND NOT IN ('Binlog Dump', 'Binlog Dump GTID', 'Daemon')"
}

// Freeze locks the accounts and ends all sessions but the kept ones', until there are none: what they were in the middle of
// is rolled back and was not acknowledged. It gives the position at which the log ends: nothing of theirs comes after it.
//
// ErrTooLong after the limit, with the accounts unlocked again. Freezing what is frozen changes nothing.
func (m *MySQL) Freeze(ctx context.Context, lock []Account, keep []string, o Options) (binlog.MySQL, []Ended, error) {
	c, done, err := signIn(ctx, m.ep)
	if err != nil {
		return binlog.MySQL{}, nil, err
	}
	defer done()
	bounded, cancel := context.WithTimeoutCause(ctx, o.limit(), ErrTooLong)
	defer cancel()
	at, ended, err := m.freeze(bounded, c, lock, keep)
	if err == nil {
		return at, ended, nil
	}
	if errors.Is(context.Cause(bounded), ErrTooLong) {
		err = fmt.Errorf("%w (%s)", ErrTooLong, o.limit())
	}
	undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.limit())
	defer cancel()
	return binlog.MySQL{}, ended, errors.Join(m.ep.Explain(fmt.Errorf("freeze: %w", err)), m.Thaw(undo, lock))
}

func (m *MySQL) freeze(ctx context.Context, c *sql.Conn, lock []Account, keep []string) (at binlog.MySQL, ended []Ended, err error) {
	if err := setLock(ctx, c, lock, true); err != nil {
		return at, nil, err
	}
	me, err := self(ctx, c)
	if err != nil {
		return at, nil, err
	}
	// Whoever begins to sign in after this is refused; who was let in just before may turn up after the others were ended.
	for {
		some, err := endSessions(ctx, c, targetSessions(append([]string{me.User}, keep...)))
		ended = append(ended, some...)
		if err == nil {
			err = gone(ctx, c, "performance_schema.processlist", some)
		}
		if err != nil {
			return at, ended, err
		}
		s, err := lookTarget(ctx, c, keep)
		switch {
		case err != nil:
			return at, ended, err
		case len(s.Open) > 0:
			return at, ended, fmt.Errorf("these can still sign in: %s; somebody made or unlocked them just now", s.Open)
		case s.Sessions == 0:
			return s.Logged, ended, nil
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return at, ended, fmt.Errorf("%d sessions are open, and nobody may sign in: %w", s.Sessions, err)
		}
	}
}

// Thaw unlocks the accounts that Freeze locked.
func (m *MySQL) Thaw(ctx context.Context, lock []Account) error {
	c, done, err := signIn(ctx, m.ep)
	if err != nil {
		return err
	}
	defer done()
	if err := setLock(ctx, c, lock, false); err != nil {
		return m.ep.Explain(fmt.Errorf("thaw: %w", err))
	}
	return nil
}
