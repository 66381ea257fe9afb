package freeze

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/internal/binlog"
	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
)

// MariaDB is a server that is frozen, by an account with READ_ONLY ADMIN, CONNECTION ADMIN, CREATE USER, BINLOG ADMIN, PROCESS and
// SELECT on mysql.* (up to 10.10: SUPER, CREATE USER, PROCESS and the same SELECT).
type MariaDB struct{ ep dbcopy.Endpoint }

// NewMariaDB dials nothing.
func NewMariaDB(ep dbcopy.Endpoint) *MariaDB { return &MariaDB{ep} }

// Name is what messages call the server.
func (m *MariaDB) Name() string { return m.ep.Name }

// State is what a server says of who may write to it.
type State struct {
	ServerID uint32         `json:"server_id"`
	Domain   uint32         `json:"gtid_domain_id"`
	Version  string         `json:"version"`
	Host     string         `json:"host"` // the name that its host gives itself: @@hostname
	ReadOnly bool           `json:"read_only"`
	Above    []Account      `json:"above"`         // who writes in spite of read_only and isn't locked; not the account that asks
	Prepared []string       `json:"prepared"`      // XA transactions that wait for their second phase: XA RECOVER's data
	Logged   binlog.MariaDB `json:"logged"`        // @@gtid_binlog_pos
	Own      *binlog.GTID   `json:"own,omitempty"` // the last transaction that was first written here; nil: none in the log's memory
}

// Frozen: nobody but the account that asks, and replication, can write.
func (s State) Frozen() bool { return s.ReadOnly && len(s.Above) == 0 && len(s.Prepared) == 0 }

// Want is what a freeze will change, so that Thaw can change exactly that back. Journal it before Freeze.
type Want struct {
	WasReadOnly bool      `json:"was_read_only"`
	Lock        []Account `json:"lock"`
}

// Want is what a freeze of a server in this state changes.
func (s State) Want() Want { return Want{s.ReadOnly, s.Above} }

// PreparedError: prepared XA transactions are in nobody's session: freezing can't end them, and whether they are to be
// committed only their coordinator knows. Nothing was changed.
type PreparedError struct {
	Server string
	XIDs   []string
}

func (e *PreparedError) Error() string {
	return fmt.Sprintf("%s has prepared XA transactions: %q; have their coordinator end them, or type XA RECOVER FORMAT='SQL' there and XA COMMIT or XA ROLLBACK each; nothing was changed", e.Server, e.XIDs)
}

// Look reads the state. It changes nothing.
func (m *MariaDB) Look(ctx context.Context) (State, error) {
	c, done, err := signIn(ctx, m.ep)
	if err != nil {
		return State{}, err
	}
	defer done()
	s, err := look(ctx, c)
	if err != nil {
		return State{}, m.ep.Explain(fmt.Errorf("look at who may write: %w", err))
	}
	return s, nil
}

func look(ctx context.Context, c *sql.Conn) (State, error) {
	var s State
	var logged, state string
	err := c.QueryRowContext(ctx, "SELECT @@server_id, @@global.gtid_domain_id, @@version, @@hostname, @@global.read_only, @@global.gtid_binlog_pos, @@global.gtid_binlog_state").
		Scan(&s.ServerID, &s.Domain, &s.Version, &s.Host, &s.ReadOnly, &logged, &state)
	if err != nil {
		return s, err
	}
	if s.Logged, err = binlog.ParseMariaDB(logged); err != nil {
		return s, err
	}
	if s.Own, err = lastOf(state, s.Domain, s.ServerID); err != nil {
		return s, err
	}
	all, err := ask.Rows(ctx, c, "SELECT User, Host FROM mysql.global_priv WHERE COALESCE(JSON_VALUE(Priv, '$.is_role'), '0') NOT IN ('1', 'true') AND User NOT IN ('PUBLIC', 'mariadb.sys')"+
		" AND COALESCE(JSON_VALUE(Priv, '$.account_locked'), '0') NOT IN ('1', 'true')")
	if err != nil {
		return s, fmt.Errorf("ask for accounts: %w", err)
	}
	me, err := self(ctx, c)
	if err != nil {
		return s, err
	}
	var accounts []Account
	for _, r := range all {
		if a := (Account{r[0], r[1]}); a != me {
			accounts = append(accounts, a)
		}
	}
	sortAccounts(accounts)
	s.Above, err = above(dbcopy.Version(s.Version), func(grantee string) ([]string, error) { return ask.Column(ctx, c, "SHOW GRANTS FOR "+grantee) }, accounts)
	if err != nil {
		return s, err
	}
	prepared, err := ask.Rows(ctx, c, "XA RECOVER")
	if err != nil {
		return s, fmt.Errorf("ask for prepared transactions: %w", err)
	}
	for _, r := range prepared {
		s.Prepared = append(s.Prepared, r[3])
	}
	return s, nil
}

// lastOf finds in @@gtid_binlog_state, which has the last transaction of each domain and server, a server's own.
func lastOf(state string, domain, server uint32) (*binlog.GTID, error) {
	for part := range strings.SplitSeq(state, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		g, err := binlog.ParseGTID(part)
		if err != nil {
			return nil, err
		}
		if g.Domain == domain && g.Server == server {
			return &g, nil
		}
	}
	return nil, nil
}

// Stopped is a server on which writes have stopped.
type Stopped struct {
	At    binlog.MariaDB `json:"at"`            // its log's end; only replication moves it from here
	Own   *binlog.GTID   `json:"own,omitempty"` // the last transaction that was first written here
	Ended []Ended        `json:"ended"`         // sessions that were ended
}

// Freeze stops all writes: accounts that read_only doesn't bind are locked, read_only is set as soon as nothing runs (after
// Options.Patience what runs is ended), then every session but replication's is ended, for a session keeps the privileges with
// which it began; those that begin after are bound. Freezing what is frozen changes nothing.
//
// *PreparedError before anything is changed; ErrTooLong after the limit, with everything undone.
func (m *MariaDB) Freeze(ctx context.Context, w Want, o Options) (Stopped, error) {
	c, done, err := signIn(ctx, m.ep)
	if err != nil {
		return Stopped{}, err
	}
	defer done()
	bounded, cancel := context.WithTimeoutCause(ctx, o.limit(), ErrTooLong)
	defer cancel()
	if s, err := look(bounded, c); err != nil {
		return Stopped{}, m.ep.Explain(fmt.Errorf("freeze: %w", err))
	} else if len(s.Prepared) > 0 {
		return Stopped{}, &PreparedError{m.ep.Name, s.Prepared}
	}
	out, err := m.freeze(bounded, c, w, o)
	if err == nil {
		return out, nil
	}
	if errors.Is(context.Cause(bounded), ErrTooLong) {
		err = fmt.Errorf("%w (%s)", ErrTooLong, o.limit())
	}
	// A context that was cancelled took the session with it: another one undoes what was done.
	undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.limit())
	defer cancel()
	return Stopped{}, errors.Join(m.ep.Explain(fmt.Errorf("freeze: %w", err)), m.Thaw(undo, w))
}

// sessions are all but this one, replication's and the server's own.
const sessions = "SELECT ID, USER, HOST, COMMAND FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID() AND USER NOT IN ('system user', 'event_scheduler')" +
	" AND COMMAND NOT IN ('Binlog Dump', 'Daemon', 'Slave_IO', 'Slave_SQL', 'Slave_worker')"

func (m *MariaDB) freeze(ctx context.Context, c *sql.Conn, w Want, o Options) (Stopped, error) {
	// Who is locked here is this server's affair: what one master logs would lock at the other what that one's freeze doesn't know.
	if _, err := c.ExecContext(ctx, "SET SESSION sql_log_bin = 0, lock_wait_timeout = 1"); err != nil {
		return Stopped{}, err
	}
	if err := setLock(ctx, c, w.Lock, true); err != nil {
		return Stopped{}, err
	}
	var out Stopped
	const lockWaitTimeout = 1205
	began := time.Now()
	for {
		// Statements that come after this one wait behind it: it must not wait for long itself.
		_, err := c.ExecContext(ctx, "SET GLOBAL read_only = 1")
		if err == nil {
			break
		}
		if ask.Number(err) != lockWaitTimeout {
			return out, err
		}
		if took := time.Since(began); took < o.patience() {
			o.tell("%s: waiting for statements that run, or tables that are locked, for %s of at most %s", m.ep.Name, took.Round(time.Second), o.patience())
			continue
		}
		ended, err := endSessions(ctx, c, sessions)
		out.Ended = append(out.Ended, ended...)
		if err != nil {
			return out, err
		}
		o.tell("%s: ended %d sessions that held up read_only", m.ep.Name, len(ended))
	}
	ended, err := endSessions(ctx, c, sessions)
	out.Ended = append(out.Ended, ended...)
	if err == nil {
		err = gone(ctx, c, "information_schema.PROCESSLIST", ended)
	}
	if err != nil {
		return out, err
	}
	s, err := look(ctx, c)
	if err != nil {
		return out, err
	}
	if len(s.Prepared) > 0 { // prepared between the first look and read_only
		return out, &PreparedError{m.ep.Name, s.Prepared}
	}
	if !s.Frozen() {
		return out, fmt.Errorf("read_only is %s, and these still write in spite of it: %s; somebody made or unlocked them just now", strconv.FormatBool(s.ReadOnly), s.Above)
	}
	out.At, out.Own = s.Logged, s.Own
	return out, nil
}

// Thaw undoes a freeze: what Want says was changed, and no more. A server that was never frozen, or is thawed already,
// stays as it is.
func (m *MariaDB) Thaw(ctx context.Context, w Want) error {
	c, done, err := signIn(ctx, m.ep)
	if err != nil {
		return err
	}
	defer done()
	_, err = c.ExecContext(ctx, "SET SESSION sql_log_bin = 0")
	if err == nil {
		err = setLock(ctx, c, w.Lock, false)
	}
	if err == nil && !w.WasReadOnly {
		_, err = c.ExecContext(ctx, "SET GLOBAL read_only = 0")
	}
	if err != nil {
		return m.ep.Explain(fmt.Errorf("thaw: %w", err))
	}
	return nil
}
