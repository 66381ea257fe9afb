//go:build lab

package whole

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/lab/dbpair"
)

// refusals are what a server may say to made-up statements: that a key, a foreign key, a check or a lock is in the way, or that a value
// isn't one for its column. Any other says that the test is wrong.
var refusals = []uint16{
	1022, 1062, 1169, 1586, 1761, 1762, // a key
	1216, 1217, 1451, 1452, // a foreign key
	4025,             // a check
	1205, 1213, 1467, // a lock, that of the next number among them
	1048, 1264, 1265, 1292, 1366, 1406, 1690, 3140, 4078, // a value
	1526,       // no partition
	1020, 1032, // changed since it was read
}

// writers write at the source until they are stopped. A server that goes away is part of it.
type writers struct {
	hits  *hits
	quiet atomic.Bool // they write nothing for now
	stop  context.CancelFunc
	all   sync.WaitGroup

	transactions, changes atomic.Int64 // committed; rows that the server says it changed
	mu                    sync.Mutex
	wrong                 error
}

// paused is between two transactions of a writer, up to.
const paused = 60 * time.Millisecond

// write starts n writers; what each sends depends on seed alone, how much of it on time.
func write(t testing.TB, h *hits, source *dbpair.Server, schemas []schema, seed uint64, n int) *writers {
	t.Helper()
	w := &writers{hits: h}
	ctx, cancel := context.WithCancel(t.Context())
	w.stop = cancel
	for i := range n {
		one := &writer{writers: w, made: made{r: rand.New(rand.NewPCG(seed, uint64(i))), schemas: schemas, favour: i, of: n, reader: fmt.Sprintf("writer%d", i)}, source: source}
		w.all.Go(func() { one.run(ctx) })
	}
	w.all.Go(func() { w.keep(ctx, source, rand.New(rand.NewPCG(seed, 99))) })
	t.Cleanup(func() { _ = w.end() })
	return w
}

// end stops them and gives what was wrong with what they sent.
func (w *writers) end() error {
	w.stop()
	w.all.Wait()
	return w.fault()
}

func (w *writers) fault() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.wrong
}

func (w *writers) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.wrong == nil {
		w.wrong = err
	}
}

// The source's log begins another file, compresses and doesn't, at random.
const (
	rotation   = "FLUSH BINARY LOGS"
	compressed = "log_bin_compress switched on"
)

func (w *writers) keep(ctx context.Context, source *dbpair.Server, r *rand.Rand) {
	db, err := source.Open(dbpair.Root, "")
	if err != nil {
		w.fail(err)
		return
	}
	defer db.Close()
	for pause(ctx, time.Duration(100+r.IntN(400))*time.Millisecond) {
		on := r.IntN(2)
		// What a server that is just being killed says is of no account.
		if _, err := db.ExecContext(ctx, fmt.Sprintf("SET GLOBAL log_bin_compress = %d", on)); err == nil {
			w.hits.add(compressed, on)
		}
		if r.IntN(3) == 0 {
			if _, err := db.ExecContext(ctx, "FLUSH BINARY LOGS"); err == nil {
				w.hits.add(rotation, 1)
			}
		}
	}
}

// pause says whether ctx is still good after a while.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

type writer struct {
	*writers
	made
	source *dbpair.Server
	conn   *sql.Conn
}

func (w *writer) run(ctx context.Context) {
	db, err := w.source.Open(dbpair.Root, "")
	if err != nil {
		w.fail(err)
		return
	}
	defer db.Close()
	pace := rand.New(rand.NewPCG(1, 1)) // not the statements' numbers
	for pause(ctx, time.Duration(pace.Int64N(int64(paused)))) {
		if w.quiet.Load() || !w.connected(ctx, db) {
			continue
		}
		w.send(w.transaction())
	}
	if w.conn != nil {
		w.conn.Close()
	}
}

// connected makes a session where there is none.
func (w *writer) connected(ctx context.Context, db *sql.DB) bool {
	if w.conn != nil {
		return true
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return false // it is away for the moment
	}
	zone := []string{"+00:00", "+05:30", "-03:00"}[w.favour%3]
	for _, s := range []string{"SET SESSION sql_mode = '" + []string{"", "STRICT_TRANS_TABLES,"}[w.favour%2] + "ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO', time_zone = '" + zone + "', innodb_lock_wait_timeout = 1",
		"SET SESSION tx_isolation = '" + []string{"REPEATABLE-READ", "READ-COMMITTED"}[w.favour/2%2] + "'"} {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			conn.Close()
			return false
		}
	}
	w.conn = conn
	return true
}

// send sends one transaction's statements, and counts what they did once that is committed.
func (w *writer) send(all []statement) {
	// What was sent is waited for: a statement that was given up would go on in the server after the test believes that all is written.
	ctx := context.Background()
	done := map[string]int{}
	tables := map[string]bool{}
	rows, row := int64(0), 0 // row: how many statements in a row changed something
	committed := func() {
		w.transactions.Add(1)
		w.writers.changes.Add(rows)
		for what, n := range done {
			w.hits.add(what, n)
		}
		if len(tables) > 1 {
			w.hits.add(severalTables, 1)
		}
		clear(done)
		clear(tables)
		rows = 0
	}
	open := false
	for _, s := range all {
		n, err := w.statement(ctx, s)
		var no *mysql.MySQLError
		switch {
		case errors.As(err, &no) && !slices.Contains(refusals, no.Number) && !away(no.Number):
			w.fail(fmt.Errorf("%.3000s: %w", s.text, err))
			w.abandon(ctx)
			return
		case err != nil && (no == nil || away(no.Number)): // the server went away
			w.conn.Close()
			w.conn = nil
			return
		case err != nil && ask.Number(err) == 1213:
			w.abandon(ctx)
			return
		case err != nil:
			row = 0
			continue
		}
		switch s.text {
		case "START TRANSACTION":
			open = true
			continue
		case "COMMIT":
			committed()
			open = false
			continue
		case "ROLLBACK":
			if rows > 0 {
				w.hits.add(rolledBack, 1)
			}
			open = false
			return
		}
		if strings.HasPrefix(s.text, "SET ") || strings.Contains(s.text, "SAVEPOINT here") {
			continue
		}
		if n > 0 && s.what != savepoint {
			rows += n
			tables[s.of] = true
		}
		if s.what != "" && row >= s.after && (n > 0 || s.what == updateNothing) {
			done[s.what]++
			if n > 1 && s.what == replaceRow {
				done[replaced]++
			}
			if n == 2 && s.what == onDuplicate {
				done[onDuplicateUp]++
			}
		}
		if row++; n == 0 {
			row = 0
		}
		if !open {
			committed()
		}
	}
}

// away: the server ends, or has ended the session.
func away(n uint16) bool {
	return slices.Contains([]uint16{1053, 1317, 1927, 1152, 1158, 1159, 1160, 1161}, n)
}

func (w *writer) statement(ctx context.Context, s statement) (int64, error) {
	if s.lines != "" {
		mysql.RegisterReaderHandler(w.reader, func() io.Reader { return strings.NewReader(s.lines) })
	}
	res, err := w.conn.ExecContext(ctx, s.text)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// abandon gives a transaction up that the server may have rolled back already.
func (w *writer) abandon(ctx context.Context) {
	for _, s := range []string{"ROLLBACK", "SET SESSION foreign_key_checks = 1"} {
		if _, err := w.conn.ExecContext(ctx, s); err != nil {
			w.conn.Close()
			w.conn = nil
			return
		}
	}
}
