//go:build lab

package dbcopy

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-dev/slipway/internal/binlog"
	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/lab/dbtest"
)

// mirror is a follower that only tests have: what it writes to the source it writes, later, to the target, in the same order.
type mirror struct {
	maria, my *sql.DB
	pace      time.Duration // between two writes
	lag       func() time.Duration
	next      func(r *rand.Rand) string // a statement

	written, done atomic.Int64
	mu            sync.Mutex
	applied       binlog.MariaDB
	asked         int
}

// mostBehind is how many writes the target may lack.
const mostBehind = 1500

// mirrored is a statement and the source's position behind it.
type mirrored struct {
	stmt string
	pos  string
	at   time.Time // when the target gets it
}

func (m *mirror) position(context.Context) (binlog.MariaDB, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	return m.applied, nil
}

// run writes until stop is called, which waits until the target has all.
func (m *mirror) run(t testing.TB, seed uint64) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	queue := make(chan mirrored, 100_000)
	one := func(db *sql.DB) *sql.Conn {
		c, err := db.Conn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	src, dst := one(m.maria), one(m.my)
	exec(t, dst, "SET SESSION sql_mode=''")
	m.set(t, dbtest.One(t, src, "SELECT @@global.gtid_binlog_pos"))
	var g errgroup.Group
	g.Go(func() error {
		defer close(queue)
		r := rand.New(rand.NewPCG(seed, 1))
		began := time.Now()
		for n := 0; ctx.Err() == nil; n++ {
			stmt := m.next(r)
			var pos string
			if _, err := src.ExecContext(context.Background(), stmt); err != nil {
				return fmt.Errorf("%s: %w", stmt, err)
			}
			if err := src.QueryRowContext(context.Background(), "SELECT @@last_gtid").Scan(&pos); err != nil {
				return err
			}
			m.written.Add(1)
			queue <- mirrored{stmt, pos, time.Now().Add(m.lag())}
			time.Sleep(time.Until(began.Add(time.Duration(n+1) * m.pace)))
			for m.written.Load()-m.done.Load() > mostBehind && ctx.Err() == nil { // a machine that is too slow for both
				time.Sleep(m.pace)
			}
		}
		return nil
	})
	g.Go(func() error {
		for x := range queue {
			if ctx.Err() == nil {
				time.Sleep(time.Until(x.at))
			}
			_, err := dst.ExecContext(context.Background(), x.stmt)
			for ask.Number(err) == 1213 || ask.Number(err) == 1205 { // deadlock, lock wait timeout: as any follower does
				_, err = dst.ExecContext(context.Background(), x.stmt)
			}
			if err != nil {
				t.Errorf("the mirror ends: %s: %v", x.stmt, err)
				return err
			}
			m.done.Add(1)
			m.set(t, x.pos)
		}
		return nil
	})
	return func() {
		cancel()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
		src.Close()
		dst.Close()
	}
}

func (m *mirror) set(t testing.TB, pos string) {
	p, err := binlog.ParseMariaDB(pos)
	if err != nil {
		t.Error(err)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.applied = p
}

// busy makes a schema with tables that are written to evenly, and a few rows that are written to all the time.
func busy(t *testing.T, name string) (*mirror, CompareOptions) {
	t.Helper()
	maria, my := schemas(t, name)
	exec(t, maria, "CREATE TABLE a (id INT PRIMARY KEY, n BIGINT NOT NULL, s VARCHAR(40), KEY (n))", "INSERT INTO a SELECT seq, seq, MD5(seq) FROM seq_1_to_30000",
		"CREATE TABLE hot (id INT PRIMARY KEY, n BIGINT NOT NULL)", "INSERT INTO hot SELECT seq, 0 FROM seq_1_to_3",
		"CREATE TABLE q (id BIGINT PRIMARY KEY AUTO_INCREMENT, s VARCHAR(20))",
		"CREATE TABLE u (u UUID PRIMARY KEY, n INT)", "INSERT INTO u SELECT CAST(CONCAT(LPAD(HEX(seq),8,'0'),'-0000-4000-8000-000000000000') AS UUID), 0 FROM seq_1_to_500")
	load1(t, take(t, Options{Schemas: []string{name}}), LoadOptions{})
	var queued int
	m := &mirror{maria: maria, my: my, pace: time.Millisecond}
	m.next = func(r *rand.Rand) string {
		switch r.IntN(10) {
		case 0:
			return fmt.Sprintf("UPDATE hot SET n=n+1 WHERE id=%d", 1+r.IntN(3))
		case 1:
			queued++
			return fmt.Sprintf("INSERT INTO q (id,s) VALUES (%d,'job')", queued)
		case 2:
			return fmt.Sprintf("DELETE FROM q WHERE id=%d", max(1, queued-r.IntN(20)))
		case 3:
			return fmt.Sprintf("REPLACE INTO a VALUES (%d,%d,'new')", 1+r.IntN(40_000), r.IntN(1000))
		case 4:
			return fmt.Sprintf("DELETE FROM a WHERE id=%d", 1+r.IntN(30_000))
		case 5:
			return fmt.Sprintf("UPDATE u SET n=n+1 WHERE u='%08x-0000-4000-8000-000000000000'", 1+r.IntN(500))
		}
		return fmt.Sprintf("UPDATE a SET n=n+%d WHERE id=%d", 1+r.IntN(9), 1+r.IntN(30_000))
	}
	return m, CompareOptions{Schemas: []string{name}, ChunkBytes: 100_000, Workers: 2}
}

func uneven(r *rand.Rand) func() time.Duration {
	return func() time.Duration { return 200*time.Millisecond + time.Duration(r.IntN(600))*time.Millisecond }
}

// TestCompareWhileFollowed: under 1,000 writes a second that reach the target 200 to 800 ms later, nothing is taken for a difference,
// and a planted one is found, with the follower's position known and without.
func TestCompareWhileFollowed(t *testing.T) {
	for _, x := range []struct {
		name    string
		applied bool
	}{{"gtid", true}, {"time", false}} {
		t.Run(x.name, func(t *testing.T) {
			m, o := busy(t, "busy_"+x.name)
			m.lag = uneven(rand.New(rand.NewPCG(7, 7)))
			o.Settle = 8 * time.Second // longer than the mirror ever takes, on a busy machine too
			if x.applied {
				o.Applied = m.position
			}
			began := time.Now()
			stop := m.run(t, 42)
			defer func() { stop() }()
			time.Sleep(time.Second)
			c, found := compared(t, o)
			if found != nil || c.Again.Rows == 0 || c.Again.Ranges == 0 || c.Again.Longest < 100*time.Millisecond || c.Decided != x.name {
				t.Errorf("%q; %+v", found, c.Again)
			}
			t.Logf("%d of %d ranges and %d rows were looked at again, for %s at most; it took %s", c.Again.Ranges, c.Chunks, c.Again.Rows, c.Again.Longest.Round(time.Millisecond), c.Took.Round(time.Millisecond))
			// A column that nobody writes, of a row that is written to; and a row that is missing.
			exec(t, m.my, "UPDATE a SET s='planted' WHERE id=29999", "DELETE FROM u WHERE u='00000007-0000-4000-8000-000000000000'", "INSERT INTO a VALUES (100000,1,'planted')")
			c, found = compared(t, o)
			all := strings.Join(found, "\n")
			for _, w := range []string{"table busy_" + x.name + ".a, row with `id`=100000: only the target has it", ".u, row with `u`=\"00000007-0000-4000-8000-000000000000\": the target hasn't it"} {
				if !strings.Contains(all, w) {
					t.Errorf("%q isn't found; said is:\n%s", w, all)
				}
			}
			if len(found) > 3 || c.Same() {
				t.Errorf("said is:\n%s", all)
			}
			stop()
			stop = func() {}
			rate := float64(m.written.Load()) / time.Since(began).Seconds()
			t.Logf("%d writes, %.0f a second", m.written.Load(), rate)
			if x.applied && m.asked == 0 {
				t.Error("the follower's position was never asked for")
			}
		})
	}
}

// TestCompareHotRow: a row that is wrong and changes all the time is found; one that is right and changes as often isn't.
func TestCompareHotRow(t *testing.T) {
	m, o := busy(t, "hot")
	m.lag = func() time.Duration { return 300 * time.Millisecond }
	m.pace = 10 * time.Millisecond
	m.next = func(r *rand.Rand) string { return fmt.Sprintf("UPDATE hot SET n=n+1 WHERE id=%d", 1+r.IntN(3)) }
	exec(t, m.my, "UPDATE hot SET n=1000000 WHERE id=2")
	stop := m.run(t, 1)
	defer func() { stop() }()
	o.Settle = 2 * time.Second
	for _, applied := range []func(context.Context) (binlog.MariaDB, error){m.position, nil} {
		o.Applied, o.Repair, o.Settle = applied, false, 2*time.Second
		c, found := compared(t, o)
		if len(found) != 1 || !strings.Contains(found[0], "table hot.hot, row with `id`=2: differs in n; it changes all the time") {
			t.Errorf("%q, %+v", found, c)
		}
		// It can't be written anew while it changes at the source; when it has stopped, it can.
		o.Repair, o.Settle = true, 500*time.Millisecond
		if c, found := compared(t, o); len(found) != 1 || c.Same() || !strings.Contains(found[0], "it wasn't repaired: it changed at the source each time that it was to be") {
			t.Errorf("%q", found)
		}
	}
	stop()
	stop = func() {}
	o.Settle = 50 * time.Millisecond
	repaired(t, o, 1)
	dbtest.Equal(t, m.maria, m.my, "hot", "id", "n")
}

// TestCompareFollowerStands: rows that differ while the follower has not come to them aren't differences, and it isn't waited for ever.
func TestCompareFollowerStands(t *testing.T) {
	m, o := busy(t, "stands")
	before := ""
	if err := m.maria.QueryRow("SELECT @@global.gtid_binlog_pos").Scan(&before); err != nil {
		t.Fatal(err)
	}
	m.set(t, before)
	exec(t, m.maria, "UPDATE a SET n=-1 WHERE id=5")
	o.Applied, o.Settle = m.position, 100*time.Millisecond
	stands = 500 * time.Millisecond
	defer func() { stands = mostStanding }()
	c, err := Compare(t.Context(), testSource(), testTarget(), o)
	if !errors.Is(err, ErrFollowerStands) || len(c.Found) != 0 || !strings.Contains(err.Error(), "it has been at "+before) {
		t.Errorf("%v, %q", err, c.Found)
	}
	// It goes on, and the row is as it was.
	o.Settle = 10 * time.Second
	time.AfterFunc(4*time.Second, func() { // by then a row that it had passed would differ for good
		if _, err := m.my.Exec("UPDATE a SET n=-1 WHERE id=5"); err != nil {
			t.Error(err)
		}
	})
	if _, found := compared(t, o); found != nil {
		t.Errorf("%q", found)
	}
	// The follower passes the row's position, and the row differs still: it is known well before the limit.
	exec(t, m.maria, "UPDATE a SET n=-2 WHERE id=5")
	if err := m.maria.QueryRow("SELECT @@global.gtid_binlog_pos").Scan(&before); err != nil {
		t.Fatal(err)
	}
	m.set(t, before)
	o.Settle = time.Minute
	c, found := compared(t, o)
	if len(found) != 1 || !strings.Contains(found[0], "row with `id`=5: differs in n") || c.Took > 20*time.Second {
		t.Errorf("%q in %s", found, c.Took)
	}
}
