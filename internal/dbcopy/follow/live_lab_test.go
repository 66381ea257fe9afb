//go:build lab

package follow

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
	"github.com/slipway-dev/slipway/internal/lab/dbpair"
	"github.com/slipway-dev/slipway/internal/lab/dbtest"
)

// The live schema: what a shop does to its tables, and every kind of column. The sides differ as a copy makes them differ.
func liveTables(maria bool) []string {
	uuid, ip := "VARCHAR(36) CHARACTER SET ascii COLLATE ascii_general_ci", "VARCHAR(39) CHARACTER SET ascii COLLATE ascii_general_ci"
	if maria {
		uuid, ip = "UUID", "INET6"
	}
	return []string{
		"CREATE TABLE parent (id INT PRIMARY KEY, name VARCHAR(30) COLLATE utf8mb4_general_ci, score INT NOT NULL DEFAULT 0, UNIQUE KEY (name))",
		"CREATE TABLE child (id INT PRIMARY KEY, p INT, note VARCHAR(40), KEY (p), CONSTRAINT cp FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE ON UPDATE CASCADE)",
		"CREATE TABLE grand (id INT PRIMARY KEY, c INT, KEY (c), CONSTRAINT gc FOREIGN KEY (c) REFERENCES child (id) ON DELETE SET NULL)",
		"CREATE TABLE tree (id INT PRIMARY KEY, up INT, KEY (up), CONSTRAINT tu FOREIGN KEY (up) REFERENCES tree (id) ON DELETE CASCADE)",
		"CREATE TABLE pair (a VARCHAR(20) COLLATE utf8mb4_general_ci NOT NULL, b VARBINARY(20) NOT NULL, n INT NOT NULL, at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3), PRIMARY KEY (a, b))",
		"CREATE TABLE counter (id INT PRIMARY KEY, n BIGINT NOT NULL)",
		"CREATE TABLE witness (id BIGINT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(20))",
		"CREATE TABLE kinds (id INT PRIMARY KEY, i BIGINT UNSIGNED, d DECIMAL(30,10), b BIT(13), y YEAR, f FLOAT, g DOUBLE, da DATE, ti TIME(6), dt DATETIME(6), ts TIMESTAMP NULL," +
			" c CHAR(5) CHARACTER SET latin1, v VARCHAR(50), bi BINARY(4), vb VARBINARY(30), t TEXT, bl MEDIUMBLOB, e ENUM('a','b','ü'), s SET('x','y','z'), p POINT, u " + uuid + ", ip " + ip + "," +
			" j LONGTEXT, gen INT AS (id * 2) STORED, vir INT AS (id + 1) VIRTUAL, z INT(6) ZEROFILL, UNIQUE KEY (u))",
	}
}

var liveNames = []string{"parent", "child", "grand", "tree", "pair", "counter", "witness", "kinds"}

// live makes the schema on both servers.
func live(t testing.TB, maria, my *dbpair.Server) (source, target *sql.DB) {
	t.Helper()
	source, target = schema(t, maria, "live"), schema(t, my, "live")
	exec(t, source, "SET GLOBAL sql_mode = 'NO_ENGINE_SUBSTITUTION'")
	for _, s := range liveTables(true) {
		exec(t, source, s)
	}
	for _, s := range liveTables(false) {
		exec(t, target, s)
	}
	return source, target
}

// customer writes random statements until ctx ends. Errors of the server are part of it: they roll back.
type customer struct {
	r  *rand.Rand
	c  *sql.Conn
	no int
}

func (u *customer) do(ctx context.Context, format string, a ...any) {
	// A statement that was given up would go on in the server, after the test believes that all is written.
	_, _ = u.c.ExecContext(context.WithoutCancel(ctx), fmt.Sprintf(format, a...)) // refused by a key, a lock, the server's end: all are part of it
}

func (u *customer) value() string {
	return []string{"'anna'", "'ANNA '", "'ann\xc3\xa4'", "'it''s'", "'back\\\\slash'", "'nul\\0'", "''", "NULL", "CONCAT('x', FLOOR(RAND() * 40))"}[u.r.IntN(9)]
}

func (u *customer) kinds() string {
	one := func(xs ...string) string { return xs[u.r.IntN(len(xs))] }
	return strings.Join([]string{
		one("0", "18446744073709551615", "7"), one("-12345678901234567890.0123456789", "0.5", "NULL"), one("b'1010101010101'", "0"), one("2024", "0", "1901"),
		one("1.1", "-0.0", "3.4e38", "RAND()"), one("1.1", "-0.0", "1.1888468626894595e281", "RAND() / 3", "NULL"), one("'2024-02-29'", "'0000-00-00'", "'2023-02-00'"),
		one("'-838:59:59'", "'12:00:00.000001'"), one("NOW(6)", "'0000-00-00 00:00:00'", "'9999-12-31 23:59:59.999999'"), one("NOW()", "NULL"),
		one("_latin1 x'e4f6'", "'a  '", "''"), u.value(), one("x'00ff'", "'ab'"), one("x''", "x'275c00ff'", "x'0a'"), one("REPEAT('\xf0\x9f\x9a\xa2', 100)", "''", "NULL"),
		one("REPEAT(x'00275c', 1000)", "''"), one("'a'", "'\xc3\xbc'", "'nonsense'", "NULL"), one("'x,z'", "''", "7"), one("POINT(1.5, -0.0)", "NULL", "ST_GeomFromText('POINT(3 4)', 4326)"),
		one("UUID()", "'00000000-0000-0000-0000-000000000000'", "NULL"), one("'::1'", "'::ffff:10.0.0.1'", "'2001:db8::'"), one(`'{"a": [1, 2.50]}'`, "'null'"), one("42", "NULL"),
	}, ",")
}

const kindNames = "id,i,d,b,y,f,g,da,ti,dt,ts,c,v,bi,vb,t,bl,e,s,p,u,ip,j,z"

func (u *customer) statement(ctx context.Context) {
	n := func(n int) int { return u.r.IntN(n) }
	switch n(24) {
	case 0, 1:
		u.do(ctx, "INSERT INTO parent (id, name) VALUES (%d, %s), (%d, %s)", n(30), u.value(), n(30), u.value())
	case 2:
		u.do(ctx, "REPLACE INTO parent (id, name, score) VALUES (%d, %s, %d)", n(30), u.value(), n(9))
	case 3:
		u.do(ctx, "INSERT INTO parent (id, name) VALUES (%d, %s) ON DUPLICATE KEY UPDATE score = score + 1", n(30), u.value())
	case 4:
		u.do(ctx, "UPDATE parent SET score = score + 1 WHERE id > %d", n(30))
	case 5:
		u.do(ctx, "UPDATE parent SET id = %d WHERE id = %d", n(30), n(30))
	case 6:
		u.do(ctx, "DELETE FROM parent WHERE id IN (%d, %d)", n(30), n(30))
	case 7, 8:
		u.do(ctx, "INSERT INTO child VALUES (%d, %d, %s)", n(60), n(30), u.value())
	case 9:
		u.do(ctx, "UPDATE child SET p = %d WHERE id BETWEEN %d AND %d", n(30), n(60), n(60))
	case 10:
		u.do(ctx, "INSERT INTO grand VALUES (%d, %d) ON DUPLICATE KEY UPDATE c = VALUES(c)", n(60), n(60))
	case 11:
		u.do(ctx, "DELETE FROM child WHERE id = %d", n(60))
	case 12, 13:
		u.do(ctx, "INSERT INTO tree VALUES (%d, %d)", n(40), n(40))
		u.do(ctx, "INSERT INTO tree VALUES (%d, NULL)", n(40))
	case 14:
		u.do(ctx, "DELETE FROM tree WHERE id > %d LIMIT 4", n(40))
	case 15:
		u.do(ctx, "INSERT INTO pair (a, b, n) VALUES (COALESCE(%s, 'q'), x'%02x', 1) ON DUPLICATE KEY UPDATE n = n + 1", u.value(), n(4))
	case 16:
		u.do(ctx, "UPDATE pair SET at = at, n = n + 1")
	case 17:
		u.do(ctx, "UPDATE pair SET a = CONCAT(a, 'z') WHERE LENGTH(a) < 15 LIMIT 2")
	case 18:
		u.do(ctx, "UPDATE counter SET n = n + 1 WHERE id = %d", n(3))
	case 19, 20:
		u.do(ctx, "REPLACE INTO kinds (%s) VALUES (%d,%s)", kindNames, n(50), u.kinds())
	case 21:
		u.do(ctx, "UPDATE kinds SET g = RAND(), e = 'nonsense', bl = x'5c27' WHERE id %% 7 = %d", n(7))
	case 22:
		u.do(ctx, "DELETE FROM kinds WHERE id = %d", n(50))
	case 23:
		if n(80) == 0 {
			u.do(ctx, "INSERT INTO witness (what) SELECT 'big' FROM seq_1_to_%d", mostClaims/4+n(900)) // a barrier
		}
	}
}

func (u *customer) shop(ctx context.Context) {
	for ctx.Err() == nil {
		u.no++
		u.do(ctx, "START TRANSACTION")
		u.do(ctx, "INSERT INTO witness (what) VALUES ('%d')", u.no)
		for range u.r.IntN(4) {
			if u.r.IntN(6) == 0 {
				u.do(ctx, "SAVEPOINT s")
				u.statement(ctx)
				u.do(ctx, "ROLLBACK TO s")
			}
			u.statement(ctx)
		}
		if u.r.IntN(12) == 0 {
			u.do(ctx, "ROLLBACK")
		}
		u.do(ctx, "COMMIT")
		time.Sleep(time.Duration(u.r.IntN(4)) * time.Millisecond)
	}
}

// shoppers write at a server until stop is called.
func shoppers(t testing.TB, db *sql.DB, n int, seed uint64) (stop func()) {
	t.Helper()
	exec(t, db, "INSERT IGNORE INTO counter VALUES (0, 0), (1, 0), (2, 0)")
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for i := range n {
		c, err := db.Conn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		exec(t, c, "SET SESSION innodb_lock_wait_timeout = 1")
		all.Go(func() {
			defer c.Close()
			(&customer{r: rand.New(rand.NewPCG(seed, uint64(i))), c: c}).shop(ctx)
		})
	}
	return func() { cancel(); all.Wait() }
}

// equal fails the test where the two sides differ.
func equal(t testing.TB, a, b *sql.DB) (rows int) {
	t.Helper()
	for _, table := range liveNames {
		rows += dbtest.Equal(t, a, b, table)
	}
	return rows
}

// follower is one that can be killed.
const follower dbtest.Child[followerOrder] = "SLIPWAY_TEST_FOLLOWER"

type followerOrder struct {
	Source, Target string
	From           string // "": what is recorded
	Until          string
	Workers        int
}

func at1(addr string) *dbpair.Server { return &dbpair.Server{Name: "server " + addr, Addr: addr} }

func (o followerOrder) run() error {
	ctx := context.Background()
	tell := func(s string) { fmt.Fprintln(os.Stderr, s) }
	source, target := endpoint(at1(o.Source), dbpair.Root), endpoint(at1(o.Target), dbpair.Loader)
	log, err := Forward(ctx, source, []string{"live"}, tell)
	if err != nil {
		return err
	}
	opts := Options{Stream: "forward", Schemas: []string{"live"}, Workers: o.Workers, Skip: CameBack, Tell: tell}
	if o.From != "" {
		p, err := ParsePosition(o.From)
		if err != nil {
			return err
		}
		opts.From = &p
	}
	f, err := Open(ctx, target, opts)
	if err != nil {
		return err
	}
	defer f.Close()
	if o.Until == "" {
		return f.Run(ctx, log, nil)
	}
	p, err := ParsePosition(o.Until)
	if err != nil {
		return err
	}
	return f.Drain(ctx, log, p)
}

func tip(t testing.TB, s *dbpair.Server, f value.Flavor) changes.Position {
	t.Helper()
	p, err := changes.Tip(t.Context(), changes.Source{Endpoint: endpoint(s, dbpair.Root), Flavor: f})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// drained runs a follower up to where the source is now.
func drained(t testing.TB, o followerOrder, source *dbpair.Server) {
	t.Helper()
	o.Until = tip(t, source, value.MariaDB).String()
	c, out := follower.Start(t, o)
	timer := time.AfterFunc(2*time.Minute, func() { c.Process.Kill() })
	defer timer.Stop()
	if err := c.Wait(); err != nil {
		t.Fatalf("drain: %v\n%s", err, out)
	}
}

// seqOf is how many transactions the shared target has.
func seqOf(t testing.TB) uint64 {
	s, err := Read(t.Context(), endpoint(servers.mysql, dbpair.Loader), "forward")
	if err != nil && !errors.Is(err, ErrNoStream) {
		t.Fatal(err)
	}
	return s.Seq
}

// TestKillFollower kills a follower with SIGKILL at random instants under load and starts it again. Each transaction of the
// load adds a row with a key of its own, which a second time would be refused: a follower that ends by itself fails the test.
func TestKillFollower(t *testing.T) {
	source, target := live(t, servers.maria, servers.mysql)
	o := followerOrder{Source: servers.maria.Addr, Target: servers.mysql.Addr, Workers: 4}
	first := o
	first.From = tip(t, servers.maria, value.MariaDB).String()
	stop := shoppers(t, source, 4, 1)
	defer stop()
	r := rand.New(rand.NewPCG(3, 3))
	moved, last := 0, uint64(0)
	for i := range 32 {
		run := o
		if last == 0 { // not even the stream may be there
			run = first
		}
		c, out := follower.Start(t, run)
		dead := make(chan error, 1)
		go func() { dead <- c.Wait() }()
		if i%4 > 0 { // not before it has applied something
			for seqOf(t) == last && len(dead) == 0 && t.Context().Err() == nil {
				time.Sleep(5 * time.Millisecond)
			}
		}
		time.Sleep(time.Duration(r.IntN(250)) * time.Millisecond)
		_ = c.Process.Kill() // it is gone already: found out below
		err := <-dead
		if c.ProcessState.ExitCode() != -1 {
			t.Fatalf("follower %d ended by itself: %v\n%s", i+1, err, out)
		}
		if n := seqOf(t); n > last {
			moved, last = moved+1, n
		}
	}
	stop()
	drained(t, o, servers.maria)
	rows := equal(t, source, target)
	s, err := Read(t.Context(), endpoint(servers.mysql, dbpair.Loader), "forward")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("killed 32 times, %d of them after it had applied something; %d transactions, %d row changes, %d rows compared", moved, s.Seq, s.Rows, rows)
	if moved < 20 {
		t.Errorf("only %d of the kills came after something was applied", moved)
	}
	if dbtest.One(t, source, "SELECT COUNT(*) FROM kinds WHERE e = 0 OR f = 0 OR da = '0000-00-00'") == "0" {
		t.Error("no odd values were among the rows")
	}
}
