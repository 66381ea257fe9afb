package dbcopy

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-dev/slipway/internal/binlog"
	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
	"github.com/slipway-dev/slipway/internal/snapshot"
)

// consistent is one snapshot of the source's InnoDB, seen by several connections. Each is in a transaction that lasts
// as long as the view; losing any of them loses the view.
type consistent struct {
	conns []*sql.Conn
	db    *sql.DB
	pos   snapshot.Position
}

// openTries is how often several connections try to meet at one position, before one goes on alone. MariaDB can't hand
// a snapshot from session to session; on a standby with gaps between its transactions the first tries do.
const openTries = 40

// openConsistent opens at most n connections that see the same rows.
func openConsistent(ctx context.Context, ep Endpoint, n int, tables []string) (_ *consistent, err error) {
	// A DDL statement that waits for one of our transactions would make the next connection wait behind it.
	db, err := ep.Open(RowSession().With(Session{"lock_wait_timeout": "10", "max_statement_time": "0"}), n)
	if err != nil {
		return nil, err
	}
	db.SetMaxIdleConns(-1) // a connection that is given back must end its transaction
	v := &consistent{db: db}
	defer func() {
		if err != nil {
			v.close()
		}
	}()
	for range n {
		c, err := db.Conn(ctx)
		if err != nil {
			return nil, err
		}
		v.conns = append(v.conns, c)
	}
	for try := 1; ; try++ {
		if try == openTries {
			for _, c := range v.conns[1:] {
				c.Close()
			}
			v.conns = v.conns[:1]
		}
		met, err := v.start(ctx)
		if err != nil {
			return nil, err
		}
		if met {
			break
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Duration(try) * 5 * time.Millisecond):
		}
	}
	if err := v.position(ctx); err != nil {
		return nil, err
	}
	return v, v.hold(ctx, tables)
}

// start begins a transaction on each connection and says whether all began at the same position.
func (v *consistent) start(ctx context.Context) (bool, error) {
	at := make([]binlog.File, len(v.conns))
	g, gctx := errgroup.WithContext(ctx)
	for _, c := range v.conns {
		g.Go(func() error {
			if _, err := c.ExecContext(gctx, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ"); err != nil {
				return err
			}
			// It ends the transaction of the try before.
			_, err := c.ExecContext(gctx, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return false, err
	}
	for i, c := range v.conns { // one after another: see snapshotPosition
		var err error
		if at[i], err = snapshotPosition(ctx, c); err != nil {
			return false, err
		}
	}
	for _, p := range at[1:] {
		if p != at[0] {
			return false, nil
		}
	}
	v.pos.File = at[0]
	return true, nil
}

// The server hands Binlog_snapshot_file and _position to a session through variables that all sessions share
// (MYSQL_BIN_LOG::set_status_variables): where another session asks for any status at the same moment, as monitoring does, the
// answer can be that session's. Seen with 10.11.19: of snapshots begun by three sessions that asked side by side under
// load, one in a hundred got a position that was another's, up to 34 transactions off. A session's own never changes, so it is asked
// for until the same comes sameAnswers times in a row.
const (
	sameAnswers = 5
	mostAnswers = 200
)

// snapshotPosition is where the server's log stood when the session's snapshot was taken.
func snapshotPosition(ctx context.Context, q ask.Queryer) (at binlog.File, err error) {
	for same, asked := 0, 0; same < sameAnswers; asked++ {
		if asked == mostAnswers {
			return at, fmt.Errorf("the server gives the snapshot's position differently each time it is asked (%d times): something asks it for its status without a pause; stop that", asked)
		}
		got, err := askSnapshotPosition(ctx, q)
		if err != nil {
			return at, err
		}
		if got != at {
			at, same = got, 0
		}
		same++
	}
	if at.Name == "" {
		return at, errors.New("the server gives the snapshot no position in its binary log")
	}
	return at, nil
}

func askSnapshotPosition(ctx context.Context, q ask.Queryer) (at binlog.File, err error) {
	status, err := ask.Each(ctx, q, func(r *sql.Rows) (s [2]string, err error) { err = r.Scan(&s[0], &s[1]); return s, err }, "SHOW STATUS LIKE 'binlog\\_snapshot\\_%'")
	if err != nil {
		return at, err
	}
	for _, s := range status {
		switch s[0] {
		case "Binlog_snapshot_file":
			at.Name = s[1]
		case "Binlog_snapshot_position":
			if at.Offset, err = strconv.ParseUint(s[1], 10, 64); err != nil {
				return at, fmt.Errorf("status Binlog_snapshot_position: %w", err)
			}
		}
	}
	return at, nil
}

func (v *consistent) position(ctx context.Context) error {
	var gtid sql.NullString
	err := v.conns[0].QueryRowContext(ctx, fmt.Sprintf("SELECT BINLOG_GTID_POS('%s',%d)", ddl.Escape(v.pos.File.Name), v.pos.File.Offset)).Scan(&gtid)
	if err != nil {
		return fmt.Errorf("ask for the GTID position at %s: %w", v.pos.File, err)
	}
	if !gtid.Valid {
		return fmt.Errorf("the server knows no GTID position at %s of its log", v.pos.File)
	}
	v.pos.GTID, err = binlog.ParseMariaDB(gtid.String)
	return err
}

// hold opens every table in every transaction, so that no definition changes while the view lasts: the server makes
// ALTER, DROP, TRUNCATE and RENAME wait (for replicated ones: the replica lags). A snapshot alone doesn't do this;
// renaming two tables crosswise in its middle would even go unnoticed.
func (v *consistent) hold(ctx context.Context, tables []string) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, c := range v.conns {
		g.Go(func() error {
			for _, t := range tables {
				if _, err := ask.Each(ctx, c, ask.Text, "SELECT 1 FROM "+t+" LIMIT 0"); err != nil {
					return fmt.Errorf("hold the definition of %s: %w", t, err)
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// close ends the transactions. Nothing was written, so an error in it changes nothing.
func (v *consistent) close() {
	for _, c := range v.conns {
		c.Close()
	}
	v.db.Close()
}
