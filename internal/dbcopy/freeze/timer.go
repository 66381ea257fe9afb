package freeze

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
)

// Timer thaws a server by itself when nobody disarms it in time: whoever froze it is gone, and the shop must sell. It is an event of
// the server, so neither a host, nor a network, nor a process of Slipway's is needed for it.
type Timer struct {
	Run   string        `json:"run"`
	After time.Duration `json:"after"` // from when it is armed, by the server's clock, in whole seconds
	// What it takes back, in the order in which it does: triggers made again, events enabled, accounts unlocked, read_only off.
	Triggers []Trigger `json:"triggers"`
	Events   []Event   `json:"events"`
	Want     Want      `json:"want"`
	// SchedulerOff: the server ran no events, and won't when the timer is gone.
	SchedulerOff bool `json:"scheduler_off"`
}

var (
	// ErrFired: a timer has thawed the server: writes go on there, and nothing may be opened in its place.
	ErrFired = errors.New("its timer has thawed the server: it is written to")
	// ErrNoTimer: the server can't have one. See that it can, or switch without (--no-timer).
	ErrNoTimer = errors.New("no timer can be armed")
)

// The timer's name and, of who arms, disarms or fires it, the lock; both are of the server. The schema is one that every server has.
const (
	timerSchema = "mysql"
	timerName   = "_slipway_thaw"
)

// timerVersion is the first in which all statements can be prepared (https://mariadb.com/kb/en/prepare-statement/).
const timerVersion = 100602

// TimerState is how a server stands with timers.
type TimerState struct {
	Run     string `json:"run"`     // whose there is one; "": there is none
	Waits   bool   `json:"waits"`   // it will fire; else it has
	Off     bool   `json:"off"`     // the server runs no events just now
	Lacking string `json:"lacking"` // why none can be armed; "" when one can
}

// Timer looks whether there is one.
func (m *MariaDB) Timer(ctx context.Context) (TimerState, error) {
	c, done, err := signIn(ctx, m.ep)
	if err != nil {
		return TimerState{}, err
	}
	defer done()
	s, err := timer(ctx, c)
	return s, m.ep.Explain(err)
}

func timer(ctx context.Context, c *sql.Conn) (s TimerState, err error) {
	var version, scheduler string
	if err := c.QueryRowContext(ctx, "SELECT @@version, @@global.event_scheduler").Scan(&version, &scheduler); err != nil {
		return s, err
	}
	s.Off = scheduler != "ON"
	switch {
	case dbcopy.Version(version) < timerVersion:
		s.Lacking = "it needs MariaDB 10.6.2 or newer, and this is " + version
	case scheduler == "DISABLED":
		s.Lacking = "the server was started with event_scheduler = DISABLED"
	}
	rows, err := ask.Rows(ctx, c, "SELECT comment, status FROM mysql.event WHERE db = ? AND name = ?", timerSchema, timerName)
	if err == nil && len(rows) > 0 {
		s.Run, s.Waits = rows[0][0], rows[0][1] == "ENABLED"
	}
	return s, err
}

// locked runs do while nobody else arms, disarms or fires a timer of this server.
func (m *MariaDB) locked(ctx context.Context, do func(*sql.Conn) error) error {
	c, release, err := signIn(ctx, m.ep)
	if err != nil {
		return err
	}
	defer release()
	var got sql.NullInt64
	if err := c.QueryRowContext(ctx, "SELECT GET_LOCK("+ddl.Literal(timerName)+", 10)").Scan(&got); err != nil {
		return m.ep.Explain(err)
	}
	if got.Int64 != 1 {
		return fmt.Errorf("%s: somebody else arms or disarms its timer, or the timer is thawing the server just now: lock %s isn't to be had", m.ep.Name, timerName)
	}
	if _, err := c.ExecContext(ctx, "SET SESSION sql_log_bin = 0"); err != nil { // each master has its own
		return m.ep.Explain(err)
	}
	return m.ep.Explain(do(c)) // the lock goes with the session
}

// Arm arms a timer, on this server alone. One of the same run is armed anew; another's is refused. All other events of the server must
// be disabled: the scheduler is switched on.
func (m *MariaDB) Arm(ctx context.Context, t Timer) error {
	return m.locked(ctx, func(c *sql.Conn) error {
		s, err := timer(ctx, c)
		switch {
		case err != nil:
			return err
		case s.Lacking != "":
			return fmt.Errorf("%s: %w: %s", m.ep.Name, ErrNoTimer, s.Lacking)
		case s.Run != "" && s.Run != t.Run:
			return fmt.Errorf("%s: a timer of run %s is there: roll that run back, or type DROP EVENT %s there when it is over", m.ep.Name, s.Run, ddl.Qualified(timerSchema, timerName))
		}
		for _, stmt := range []string{
			"DROP EVENT IF EXISTS " + ddl.Qualified(timerSchema, timerName),
			t.event(),
			"SET GLOBAL event_scheduler = ON",
		} {
			if _, err := c.ExecContext(ctx, stmt); err != nil {
				return fmt.Errorf("arm a timer: %w", err)
			}
		}
		return nil
	})
}

// event is the statement that makes it. It is kept when it has fired, so that one can see that it has.
func (t Timer) event() string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE EVENT %s ON SCHEDULE AT CURRENT_TIMESTAMP + INTERVAL %d SECOND ON COMPLETION PRESERVE COMMENT %s DO\nBEGIN\n", ddl.Qualified(timerSchema, timerName), int64(t.After/time.Second), ddl.Literal(t.Run))
	// Who disarms it has the lock, and drops it before he lets go. In two statements: one that waits must not hold mysql.event.
	fmt.Fprintf(&b, "IF GET_LOCK(%s, 60) = 1 THEN\n", ddl.Literal(timerName))
	fmt.Fprintf(&b, "IF EXISTS (SELECT 1 FROM mysql.event WHERE db = %s AND name = %s AND comment = %s) THEN\n", ddl.Literal(timerSchema), ddl.Literal(timerName), ddl.Literal(t.Run))
	b.WriteString("SET SESSION sql_log_bin = 0;\n")
	do := func(stmts ...string) {
		for _, s := range stmts {
			b.WriteString("EXECUTE IMMEDIATE " + ddl.Literal(s) + ";\n")
		}
	}
	for _, x := range t.Triggers {
		fmt.Fprintf(&b, "IF NOT EXISTS (SELECT 1 FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = %s AND TRIGGER_NAME = %s) THEN\n", ddl.Literal(x.Schema), ddl.Literal(x.Name))
		do(x.statements()...)
		b.WriteString("END IF;\n")
	}
	for _, e := range t.Events {
		do(e.statements("ENABLE")...)
	}
	for _, a := range t.Want.Lock {
		do("ALTER USER " + a.String() + " ACCOUNT UNLOCK")
	}
	if !t.Want.WasReadOnly {
		do("SET GLOBAL read_only = 0")
	}
	if t.SchedulerOff {
		do("SET GLOBAL event_scheduler = OFF")
	}
	b.WriteString("END IF;\nDO RELEASE_LOCK(" + ddl.Literal(timerName) + ");\nEND IF;\nEND")
	return b.String()
}

// Disarm takes the timer away, and is sure that it hasn't fired and won't: the server is frozen, and stays so. ErrFired when it isn't.
func (m *MariaDB) Disarm(ctx context.Context, t Timer) error {
	return m.locked(ctx, func(c *sql.Conn) error {
		s, err := timer(ctx, c)
		if err != nil {
			return err
		}
		if s.Run == t.Run && !s.Waits {
			return fmt.Errorf("%s: %w", m.ep.Name, ErrFired)
		}
		if err := dropTimer(ctx, c, s, t); err != nil {
			return err
		}
		state, err := look(ctx, c)
		if err == nil && !state.Frozen() {
			err = fmt.Errorf("%s: %w", m.ep.Name, ErrFired)
		}
		return err
	})
}

// DropTimer takes a run's timer away, whether it has fired or not.
func (m *MariaDB) DropTimer(ctx context.Context, t Timer) error {
	return m.locked(ctx, func(c *sql.Conn) error {
		s, err := timer(ctx, c)
		if err != nil {
			return err
		}
		return dropTimer(ctx, c, s, t)
	})
}

func dropTimer(ctx context.Context, c *sql.Conn, s TimerState, t Timer) error {
	if s.Run != t.Run {
		return nil
	}
	stmts := []string{"DROP EVENT IF EXISTS " + ddl.Qualified(timerSchema, timerName)}
	if t.SchedulerOff {
		stmts = append([]string{"SET GLOBAL event_scheduler = OFF"}, stmts...) // first: who comes again after a kill finds the event
	}
	for _, stmt := range stmts {
		if _, err := c.ExecContext(ctx, stmt); err != nil {
			return fmt.Errorf("take the timer away: %w", err)
		}
	}
	return nil
}
