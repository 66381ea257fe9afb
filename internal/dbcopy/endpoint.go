package dbcopy

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/slipway-dev/slipway/internal/secret"
)

// Endpoint is how a server is reached. Opening one dials nothing yet.
type Endpoint struct {
	Name     string // what messages call it: "db2", "instance shop-1"
	Addr     string // host:port, as Dial sees it
	User     string
	Password secret.String
	TLS      *tls.Config // nil: the connection isn't encrypted, as inside an SSH connection
	// Dial opens a connection; nil: straight from this machine.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

var (
	// ErrLogin: the server refused the account or its password. Fix the reference in the configuration.
	ErrLogin = errors.New("login refused")
	// ErrLost: the connection broke or could not be made. What was under way is not known to have happened. Retry.
	ErrLost = errors.New("connection lost")
)

// connectTimeout bounds one connection's set-up.
const connectTimeout = 20 * time.Second

// Session is variables that every connection of a pool has: name to SQL text.
type Session map[string]string

// Both servers print times in UTC and definitions without modes. A session that waits for its turn must not be cut.
var common = Session{"time_zone": "'+00:00'", "wait_timeout": "604800", "net_write_timeout": "3600", "net_read_timeout": "3600"}

// TextSession is for definitions: all text is utf8mb4.
func TextSession() Session {
	return common.With(Session{"character_set_results": "utf8mb4", "sql_mode": "''"})
}

// RowSession is for values: no bytes are converted on their way out, literals are bytes, and functions that make text
// of numbers make bytes. Without ALLOW_INVALID_DATES MySQL refuses to compare a column with the 31st of February.
func RowSession() Session {
	return common.With(Session{"character_set_client": "utf8mb4", "character_set_connection": "binary", "character_set_results": "NULL", "sql_mode": "'ALLOW_INVALID_DATES'"})
}

func (s Session) With(more Session) Session {
	out := Session{}
	for _, m := range []Session{s, more} {
		for k, v := range m {
			out[k] = v
		}
	}
	return out
}

// Open makes a pool of at most n connections.
func (e Endpoint) Open(vars Session, n int) (*sql.DB, error) { return e.OpenWith(vars, n, nil) }

// OpenWith is Open with options of the driver that set adds.
func (e Endpoint) OpenWith(vars Session, n int, set func(*mysql.Config)) (*sql.DB, error) {
	cfg := mysql.NewConfig()
	cfg.User, cfg.Passwd, cfg.Net, cfg.Addr = e.User, e.Password.Reveal(), "tcp", e.Addr
	cfg.TLS, cfg.DialFunc, cfg.Timeout, cfg.Params = e.TLS, e.Dial, connectTimeout, vars
	cfg.Logger = &mysql.NopLogger{} // what it would print comes back as an error
	cfg.MaxAllowedPacket = 1 << 30  // the protocol's own limit; the server's is asked for where it matters
	if set != nil {
		set(cfg)
	}
	c, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.Name, err)
	}
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	return db, nil
}

// Explain says which server an error came from and what to do about the known ones.
func (e Endpoint) Explain(err error) error {
	if err == nil {
		return nil
	}
	var my *mysql.MySQLError
	var op *net.OpError
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
	case errors.As(err, &my):
		switch my.Number {
		case 1045, 1698, 1862, 3118: // access denied, no password login, expired, locked
			err = fmt.Errorf("%w for user %s: %w", ErrLogin, e.User, err)
		case 1053, 1927, 1152, 1158, 1159, 1160, 1161, 4031: // shutdown, killed, aborted, packets, idle too long
			err = fmt.Errorf("%w: %w", ErrLost, err)
		}
	case errors.Is(err, mysql.ErrInvalidConn), errors.As(err, &op), strings.Contains(err.Error(), "bad connection"), strings.Contains(err.Error(), "EOF"):
		err = fmt.Errorf("%w: %w", ErrLost, err)
	}
	return fmt.Errorf("%s: %w", e.Name, secret.Redact(err, e.Password))
}
