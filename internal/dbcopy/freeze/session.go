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
)

// ErrTooLong: writes could not be stopped within the limit. The server was thawed and is as it was before; nothing was lost.
var ErrTooLong = errors.New("writes could not be stopped in time; the server is writable again")

// Options are how a server is frozen.
type Options struct {
	// Patience is how long statements that run, and tables that are locked, are waited for before their sessions are ended; 0:
	// one second. Sessions that only sit in a transaction are not waited for: what they wrote is rolled back, and was not
	// acknowledged.
	Patience time.Duration
	// Limit is how long the whole may take; 0: 30 seconds. Over it everything is undone and ErrTooLong is given.
	Limit time.Duration
	Tell  func(string) // may be nil
}

func (o Options) patience() time.Duration { return otherwise(o.Patience, time.Second) }
func (o Options) limit() time.Duration    { return otherwise(o.Limit, 30*time.Second) }

func (o Options) tell(f string, a ...any) {
	if o.Tell != nil {
		o.Tell(fmt.Sprintf(f, a...))
	}
}

func otherwise(d, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return d
}

// Ended is a session that a freeze ended.
type Ended struct {
	ID    string `json:"id"` // of the connection
	User  string `json:"user"`
	Host  string `json:"host"`
	State string `json:"state"` // what it was doing: "Query", "Sleep"
}

// signIn opens one session with all that its account may.
func signIn(ctx context.Context, ep dbcopy.Endpoint) (*sql.Conn, func(), error) {
	db, err := ep.Open(dbcopy.TextSession(), 1)
	if err != nil {
		return nil, nil, err
	}
	c, err := db.Conn(ctx)
	if err != nil {
		db.Close()
		return nil, nil, ep.Explain(err)
	}
	return c, func() { c.Close(); db.Close() }, nil
}

// endSessions kills the sessions that the query names: id, user, host, command. One that ended by itself is none the worse.
func endSessions(ctx context.Context, c *sql.Conn, query string, args ...any) (ended []Ended, err error) {
	const noSuchThread = 1094
	all, err := ask.Rows(ctx, c, query, args...)
	if err != nil {
		return nil, fmt.Errorf("ask for sessions: %w", err)
	}
	for _, r := range all {
		switch _, err := c.ExecContext(ctx, "KILL CONNECTION "+r[0]); {
		case ask.Number(err) == noSuchThread:
		case err != nil:
			return ended, fmt.Errorf("end session %s of %s: %w", r[0], r[1], err)
		default:
			ended = append(ended, Ended{r[0], r[1], r[2], r[3]})
		}
	}
	return ended, nil
}

// gone waits until sessions that were ended are no more: what they were in the middle of is rolled back first.
func gone(ctx context.Context, c *sql.Conn, list string, ended []Ended) error {
	if len(ended) == 0 {
		return nil
	}
	ids := make([]string, len(ended))
	for i, e := range ended {
		ids[i] = e.ID
	}
	for {
		left, err := ask.Column(ctx, c, "SELECT ID FROM "+list+" WHERE ID IN ("+strings.Join(ids, ",")+")")
		if err != nil {
			return fmt.Errorf("ask for sessions: %w", err)
		}
		if len(left) == 0 {
			return nil
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
