//go:build lab

package recheck

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
	"github.com/slipway-dev/slipway/internal/lab/dbpair"
)

var orders = []string{"CREATE TABLE orders (id INT NOT NULL PRIMARY KEY, no VARCHAR(40) NOT NULL, n INT NOT NULL)",
	"INSERT INTO orders VALUES (1, 'one', 1), (2, 'two', 2), (3, 'three', 3), (4, 'four', 4), (5, 'five', 5)"}

// TestPassedBy: a follower that passes a change by is found, whatever the change, and the row is named.
func TestPassedBy(t *testing.T) {
	for _, x := range []struct{ name, do, want string }{
		{"update", "UPDATE orders SET n = 33 WHERE id = 3", "table shop.orders, row with `id`=3: differs in n"},
		{"insert", "INSERT INTO orders VALUES (6, 'six', 6)", "table shop.orders, row with `id`=6: the target hasn't it"},
		{"delete", "DELETE FROM orders WHERE id = 3", "table shop.orders, row with `id`=3: only the target has it"},
	} {
		t.Run(x.name, func(t *testing.T) {
			p := newPair(t, orders...)
			c := p.check(p.link)
			p.do(p.maria, "UPDATE orders SET n = n + 1 WHERE id = 1")
			at := p.caughtUp()
			c.reaches(at, 20*time.Second)
			p.passBy(func(*changes.Change) bool { return true })
			p.do(p.maria, x.do)
			p.names(c.end(20*time.Second), x.want)
			if v, err := p.link.Verified(t.Context(), p.from); err != nil || v.MariaDB.String() != at.MariaDB.String() {
				t.Errorf("verified up to %s, %v; want %s", v, err, at)
			}
		})
	}
}

// TestAltered: a row that somebody altered at the target is found when the source changes it, and not before.
func TestAltered(t *testing.T) {
	p := newPair(t, orders...)
	c := p.check(p.link)
	p.do(p.my, "UPDATE orders SET no = 'somebody' WHERE id = 4")
	p.do(p.maria, "UPDATE orders SET n = 11 WHERE id = 1")
	c.reaches(p.caughtUp(), 20*time.Second)
	p.do(p.maria, "UPDATE orders SET n = 44 WHERE id = 4")
	p.names(c.end(20*time.Second), "table shop.orders, row with `id`=4: differs in no")

	// Repaired, it goes on from where all was right.
	p.do(p.my, "UPDATE orders SET no = 'four' WHERE id = 4")
	if err := p.check(p.link).drain(); err != nil {
		t.Error(err)
	}
}

// TestDrainIsStrict: when the source is frozen a row that isn't the same is named at once, and a position that was verified is kept.
func TestDrainIsStrict(t *testing.T) {
	p := newPair(t, orders...)
	c := p.check(p.link)
	p.do(p.maria, "UPDATE orders SET n = 11 WHERE id = 1")
	c.reaches(p.caughtUp(), 20*time.Second)
	p.passBy(func(*changes.Change) bool { return true })
	p.do(p.maria, "UPDATE orders SET n = 22 WHERE id = 2")
	to := p.caughtUp()
	began := time.Now()
	c.until <- to
	p.names(c.end(20*time.Second), "table shop.orders, row with `id`=2: differs in n")
	if took := time.Since(began); took > firstPause*3 {
		t.Errorf("it took %s", took)
	}
	p.do(p.my, "UPDATE orders SET n = 22 WHERE id = 2")
	c = p.check(p.link)
	c.until <- to
	if err := c.end(20 * time.Second); err != nil {
		t.Fatal(err)
	}
	if v, err := p.link.Verified(t.Context(), p.from); err != nil || v.MariaDB.String() != to.MariaDB.String() {
		t.Errorf("verified up to %s, %v; want %s", v, err, to)
	}
	// Who goes on from another comparison begins there.
	if v, err := p.link.Verified(t.Context(), to); err != nil || v.MariaDB.String() != to.MariaDB.String() {
		t.Errorf("after another comparison: verified up to %s, %v", v, err)
	}
}

// shop is tables with all sorts of keys, and foreign keys that act over two levels.
var shop = []string{
	"CREATE TABLE parent (id INT PRIMARY KEY, name VARCHAR(30), UNIQUE KEY (name))",
	"CREATE TABLE child (id INT PRIMARY KEY, p INT, note VARCHAR(40), KEY (p), CONSTRAINT cp FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE ON UPDATE CASCADE)",
	"CREATE TABLE grand (id INT PRIMARY KEY, c INT, KEY (c), CONSTRAINT gc FOREIGN KEY (c) REFERENCES child (id) ON DELETE SET NULL)",
	"CREATE TABLE pair (a VARCHAR(20) COLLATE utf8mb4_general_ci NOT NULL, b VARBINARY(20) NOT NULL, n INT NOT NULL, PRIMARY KEY (a, b))",
	"CREATE TABLE money (d DECIMAL(12,3) NOT NULL, at DATETIME(6) NOT NULL, e ENUM('a','b') NOT NULL, f DOUBLE, twice INT AS (d * 2) STORED, PRIMARY KEY (d, at, e))",
	"CREATE TABLE hot (id INT PRIMARY KEY, n BIGINT NOT NULL)", "INSERT INTO hot VALUES (1, 0), (2, 0)",
}

var shopTables = []string{"parent", "child", "grand", "pair", "money", "hot"}

// customers write until stop is called.
func (p *pair) customers(n int, seed uint64) (stop func()) {
	ctx, cancel := context.WithCancel(p.Context())
	var g errgroup.Group
	for i := range n {
		db, err := servers.maria.Open(dbpair.Root, schema)
		if err != nil {
			p.Fatal(err)
		}
		db.SetMaxOpenConns(1)
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		g.Go(func() error {
			defer db.Close()
			for ctx.Err() == nil {
				buy(context.WithoutCancel(ctx), db, r)
				time.Sleep(2 * time.Millisecond) // so that the follower keeps up
			}
			return nil
		})
	}
	return func() { cancel(); _ = g.Wait() } // they give no errors
}

// buy is one statement; what the server refuses of it is part of it.
func buy(ctx context.Context, db *sql.DB, r *rand.Rand) {
	n := r.IntN
	text := func() string {
		return []string{"'anna'", "'ANNA'", "'ann\xc3\xa4'", "'a b '", "CONCAT('x', FLOOR(RAND() * 40))"}[n(5)]
	}
	stmt := []string{
		fmt.Sprintf("INSERT INTO parent VALUES (%d, %s)", n(40), text()),
		fmt.Sprintf("REPLACE INTO parent VALUES (%d, %s)", n(40), text()),
		fmt.Sprintf("DELETE FROM parent WHERE id = %d", n(40)),
		fmt.Sprintf("UPDATE parent SET id = %d WHERE id = %d", n(40), n(40)),
		fmt.Sprintf("INSERT INTO child VALUES (%d, %d, %s)", n(90), n(40), text()),
		fmt.Sprintf("UPDATE child SET note = %s WHERE p = %d", text(), n(40)),
		fmt.Sprintf("DELETE FROM child WHERE id = %d", n(90)),
		fmt.Sprintf("INSERT INTO grand VALUES (%d, %d) ON DUPLICATE KEY UPDATE c = VALUES(c)", n(90), n(90)),
		fmt.Sprintf("INSERT INTO pair VALUES (%s, x'%02x', 1) ON DUPLICATE KEY UPDATE n = n + 1", text(), n(4)),
		fmt.Sprintf("UPDATE pair SET a = %s WHERE b = x'%02x' LIMIT 1", text(), n(4)),
		fmt.Sprintf("INSERT INTO money (d, at, e, f) VALUES (%d.%03d, NOW(6), %d, RAND())", n(5), n(5), 1+n(2)),
		fmt.Sprintf("DELETE FROM money WHERE d = %d.%03d", n(5), n(5)),
		fmt.Sprintf("UPDATE hot SET n = n + 1 WHERE id = %d", 1+n(2)),
	}[n(13)]
	_, _ = db.ExecContext(ctx, stmt) // as said
}

// TestWhileSold: while customers write to all of a shop's tables nothing is found, what is verified keeps up with them, and in the end it is all.
func TestWhileSold(t *testing.T) {
	p := newPair(t, shop...)
	c := p.check(p.link)
	stop := p.customers(3, 1)
	for range 3 {
		time.Sleep(time.Second)
		c.reaches(p.tip(), 30*time.Second)
	}
	stop()
	if err := c.drain(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d rows are the same at the end, %s", p.equal(shopTables...), p.tip())
}

// TestHotRow: a row that changes all the time is verified all the same.
func TestHotRow(t *testing.T) {
	p := newPair(t, "CREATE TABLE hot (id INT PRIMARY KEY, n BIGINT NOT NULL)", "INSERT INTO hot VALUES (1, 0)")
	c := p.check(p.link)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() {
		n := 0
		for ; ctx.Err() == nil; n++ {
			if _, err := p.maria.ExecContext(context.WithoutCancel(ctx), "UPDATE hot SET n = n + 1"); err != nil {
				t.Error(err)
				break
			}
			time.Sleep(time.Millisecond)
		}
		ended <- n
	}()
	began := time.Now()
	for range 4 {
		time.Sleep(time.Second)
		at := p.link
		now, err := changes.Tip(t.Context(), at.from)
		if err != nil {
			t.Fatal(err)
		}
		c.reaches(now, 20*time.Second)
	}
	took := time.Since(began)
	cancel()
	t.Logf("%d changes in %s", <-ended, took.Round(time.Millisecond))
	if err := c.drain(); err != nil {
		t.Error(err)
	}
}
