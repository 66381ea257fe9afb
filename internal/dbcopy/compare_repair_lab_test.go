//go:build lab

package dbcopy

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/dbpair"
	"github.com/slipway-dev/slipway/internal/lab/dbtest"
)

// TestCompareRepairsWhileFollowed: rows are repaired under 500 writes a second whose effect depends on what they find. A row written
// from the source before the follower has come to it would be wrong for good; by the oracle none is.
func TestCompareRepairsWhileFollowed(t *testing.T) {
	m, o := busy(t, "mend")
	m.lag = uneven(rand.New(rand.NewPCG(8, 8)))
	o.Applied, o.Repair, o.Settle = m.position, true, 8*time.Second
	m.pace = 2 * time.Millisecond
	stop := m.run(t, 43)
	defer func() { stop() }()
	time.Sleep(time.Second)
	var planted int64
	for id := 1000; id < 1200; id += 10 {
		exec(t, m.my, fmt.Sprintf("UPDATE a SET n=n+1000000 WHERE id=%d", id), fmt.Sprintf("UPDATE u SET n=n+1000000 WHERE u='%08x-0000-4000-8000-000000000000'", id/10))
	}
	exec(t, m.my, "DELETE FROM a WHERE id BETWEEN 2000 AND 2020", "INSERT INTO a SELECT id+1000000, n, s FROM a WHERE id BETWEEN 3000 AND 3020", "DELETE FROM u WHERE u LIKE '000001f%'")
	var c Comparison
	for range 5 { // a row that changes at the source while it is to be repaired is left to another time
		var found []string
		c, found = compared(t, o)
		planted += c.Repaired
		if c.Same() {
			break
		}
		t.Logf("%d of %d were repaired: %q", c.Repaired, c.Different, found)
	}
	if !c.Same() || planted < 50 {
		t.Errorf("%d were repaired; the last comparison: %+v", planted, c)
	}
	stop()
	stop = func() {}
	rows := 0
	for _, table := range []string{"a", "hot", "q"} {
		rows += dbtest.Equal(t, m.maria, m.my, table)
	}
	// The source's UUID is bytes in the binary protocol: as text, in the session's own words.
	text := func(i int) []string {
		db := m.maria
		if i == 1 {
			db = m.my
		}
		return dbtest.Texts(t, db, "SELECT CONCAT(CAST(u AS CHAR),' ',n) FROM u ORDER BY 1")
	}
	if a, b := text(0), text(1); !slices.Equal(a, b) {
		t.Errorf("table u differs: %d rows and %d", len(a), len(b))
	}
	t.Logf("%d rows were repaired among %d writes; %d rows are the same", planted, m.written.Load(), rows)
}

// TestCompareRepairs: what a unique key, foreign keys, an ENUM without a label or a generated column makes of a repair; and what can't
// be repaired.
func TestCompareRepairs(t *testing.T) {
	maria, my := schemas(t, "repairs")
	exec(t, maria, "SET SESSION sql_mode=''",
		"CREATE TABLE un (id INT PRIMARY KEY, k INT NOT NULL, e ENUM('a','b') NULL, g INT AS (k*2) STORED, bl LONGBLOB, d DOUBLE, UNIQUE (k))", "INSERT INTO un (id,k,e,bl,d) SELECT seq, seq, IF(seq=3,'none','a'), REPEAT(CHAR(seq%256),2000), seq/3 FROM seq_1_to_500",
		"CREATE TABLE parent (id INT PRIMARY KEY, x INT)", "CREATE TABLE child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE)",
		"INSERT INTO parent VALUES (1,1),(2,2)", "INSERT INTO child VALUES (1,1),(2,2),(3,2)",
		// Told apart by a unique key alone, which both servers order each in its way.
		"CREATE TABLE apart (u UUID NOT NULL, e ENUM('z','a') NOT NULL, x INT, UNIQUE (u, e))", "INSERT INTO apart SELECT UUID(), 1 + seq % 2, seq FROM seq_1_to_20",
		"CREATE TABLE heap (x INT)", "INSERT INTO heap VALUES (1),(1)")
	load1(t, take(t, Options{Schemas: []string{"repairs"}}), LoadOptions{})
	o := CompareOptions{Schemas: []string{"repairs"}, ChunkBytes: 20_000}
	gtid := func() string { t.Helper(); return dbtest.One(t, my, "SELECT @@global.gtid_executed") }
	exec(t, my, "UPDATE apart SET x = 0 WHERE x = 5; DELETE FROM apart WHERE x = 6; INSERT INTO apart VALUES ('00000000-0000-0000-0000-000000000001', 'a', 7)")
	exec(t, my, "SET SESSION foreign_key_checks=0; UPDATE parent SET x=9 WHERE id=2; DELETE FROM child WHERE id=3; DELETE FROM parent WHERE id=1; INSERT INTO child VALUES (7,77)")
	// Every row of un has another's unique value, and those are in other batches.
	exec(t, my, "UPDATE un SET k=-k; UPDATE un SET k=IF(id=500,1,id+1)", "SET SESSION sql_mode=''; UPDATE un SET e='b', d=-d WHERE id=3")
	was := gtid()
	if _, found := compared(t, o); len(found) != defaultMost {
		t.Errorf("%q", found)
	}
	if now := gtid(); now != was {
		t.Errorf("without --repair the target was written to: %s, then %s", was, now)
	}
	repaired(t, o, 500+4+3)
	for _, table := range []string{"un", "parent", "child", "apart"} {
		dbtest.Equal(t, maria, my, table)
	}
	exec(t, my, "UPDATE heap SET x=2 LIMIT 1")
	o.Repair = true
	if c, found := compared(t, o); c.Same() || len(found) != 2 || !strings.Contains(found[0], "it isn't repaired: the table has no key to do it by") {
		t.Errorf("%q", found)
	}
	exec(t, my, "DELETE FROM heap", "INSERT INTO heap VALUES (1),(1)")
	// A unique value that a row has which the source hasn't differently: no row of the batch may be lost for it.
	exec(t, my, "ALTER TABLE parent ADD UNIQUE (x)", "UPDATE parent SET x=3 WHERE id=1")
	exec(t, maria, "UPDATE parent SET x=2 WHERE id=1")
	if c, found := compared(t, o); c.Same() || len(found) != 1 || !strings.Contains(found[0], "another row of the target has a value of it that must be unique") {
		t.Errorf("%q", found)
	}
	// An account that may only read.
	few := admin(t, servers.mysql, "")
	exec(t, few, "DROP USER IF EXISTS 'reads'@'127.0.0.1'", "CREATE USER 'reads'@'127.0.0.1' IDENTIFIED BY 'only-in-tests'", "GRANT SELECT ON repairs.* TO 'reads'@'127.0.0.1'")
	defer exec(t, few, "DROP USER 'reads'@'127.0.0.1'")
	dst := testTarget().ep
	dst.User = "reads"
	o.Settle = 50 * time.Millisecond
	if _, err := Compare(t.Context(), testSource(), NewTarget(dst), o); !errors.Is(err, ErrPrivileges) || !strings.Contains(fmt.Sprint(err), "ON `repairs`.`parent` TO 'reads'@'127.0.0.1'") {
		t.Errorf("%v", err)
	}
}

// TestCompareLostServer: a server that is killed and comes again is waited for; one that stays away ends it with ErrLost.
func TestCompareLostServer(t *testing.T) {
	maria, my := schemas(t, "lost")
	exec(t, maria, "CREATE TABLE a (id INT PRIMARY KEY, x INT)", "INSERT INTO a SELECT seq, seq FROM seq_1_to_20000")
	load1(t, take(t, Options{Schemas: []string{"lost"}}), LoadOptions{})
	exec(t, my, "UPDATE a SET x=0 WHERE id=19999")
	o := CompareOptions{Schemas: []string{"lost"}, ChunkBytes: 3000, Workers: 2, Settle: 50 * time.Millisecond}
	for _, s := range []*dbpair.Server{servers.mysql, servers.maria} {
		t.Run(s.Name, func(t *testing.T) {
			var said atomic.Int64
			var once atomic.Bool
			ended := make(chan error, 1)
			again := make(chan error, 1)
			o.Tell = func(p CompareProgress) {
				if p.Chunks > 0 && once.CompareAndSwap(false, true) {
					ended <- s.Kill()
					go func() { time.Sleep(time.Second); again <- s.Start(t.Context()) }()
				}
				if strings.Contains(p.Say, "connection lost") && strings.Contains(p.Say, "trying again for") {
					said.Add(1)
				}
			}
			c, err := Compare(t.Context(), testSource(), testTarget(), o)
			if !once.Load() {
				t.Fatal("it was over before the server could be killed: nothing is proven")
			}
			if err := errors.Join(<-ended, <-again); err != nil {
				t.Fatal(err)
			}
			if err != nil || len(c.Found) != 1 || c.Rows != 20_000 || said.Load() == 0 {
				t.Errorf("%v, %q, %d rows; said %d times that it is lost", err, c.Found, c.Rows, said.Load())
			}
		})
	}
	o.Patience = 300 * time.Millisecond
	var once atomic.Bool
	o.Tell = func(p CompareProgress) {
		if p.Chunks > 0 && once.CompareAndSwap(false, true) {
			if err := servers.mysql.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	_, err := Compare(t.Context(), testSource(), testTarget(), o)
	if !errors.Is(err, ErrLost) || !strings.Contains(fmt.Sprint(err), "mysql: ") || !strings.Contains(fmt.Sprint(err), "it was tried again for") {
		t.Errorf("%v", err)
	}
	if err := servers.mysql.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestCompareRounds: rounds go on until the caller has enough.
func TestCompareRounds(t *testing.T) {
	maria, my := schemas(t, "rounds")
	exec(t, maria, "CREATE TABLE a (id INT PRIMARY KEY)", "INSERT INTO a VALUES (1)")
	exec(t, my, "CREATE TABLE a (id INT PRIMARY KEY)")
	var was []bool
	for c, err := range Rounds(t.Context(), testSource(), testTarget(), CompareOptions{Schemas: []string{"rounds"}, Settle: 50 * time.Millisecond}, time.Millisecond) {
		if err != nil {
			t.Fatal(err)
		}
		if was = append(was, c.Same()); len(was) == 3 {
			break
		}
		exec(t, my, "REPLACE INTO a VALUES (1)")
	}
	if !slices.Equal(was, []bool{false, true, true}) {
		t.Errorf("%v", was)
	}
}
