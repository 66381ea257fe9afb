//go:build lab

package recheck

import (
	"errors"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
	"github.com/slipway-dev/slipway/internal/lab/dbtest"
)

// TestOneAtATime: who takes the verification up has it alone. The one before stops, and notes nothing any more.
func TestOneAtATime(t *testing.T) {
	p := newPair(t, orders...)
	first := p.check(p.link)
	p.do(p.maria, "UPDATE orders SET n = 11 WHERE id = 1")
	first.reaches(p.caughtUp(), 20*time.Second)
	second := p.check(p.link)
	if err := first.end(20 * time.Second); !errors.Is(err, dbcopy.ErrFenced) {
		t.Errorf("the first ended with %v", err)
	}
	p.do(p.maria, "UPDATE orders SET n = 22 WHERE id = 2")
	if err := second.drain(); err != nil {
		t.Error(err)
	}
}

// TestNotVisibleYet: a transaction is in the log, and at the target, and for seconds not to be seen at the source, whose replica doesn't answer.
// That is no difference.
func TestNotVisibleYet(t *testing.T) {
	p := newPair(t, orders...)
	c := p.check(p.link)
	p.do(p.maria, "UPDATE orders SET n = 11 WHERE id = 1")
	c.reaches(p.caughtUp(), 20*time.Second)
	p.do(p.maria, "SET GLOBAL rpl_semi_sync_master_wait_point = 'AFTER_SYNC'", "SET GLOBAL rpl_semi_sync_master_timeout = 6000", "SET GLOBAL rpl_semi_sync_master_enabled = ON")
	defer p.do(p.maria, "SET GLOBAL rpl_semi_sync_master_enabled = OFF")
	began := time.Now()
	p.do(p.maria, "UPDATE orders SET n = 22 WHERE id = 2", "INSERT INTO orders VALUES (6, 'six', 6)", "DELETE FROM orders WHERE id = 3") // the first waits
	if took := time.Since(began); took < 5*time.Second {
		t.Fatalf("the source waited for no replica: %s", took)
	}
	if err := c.drain(); err != nil {
		t.Error(err)
	}
}

// TestLogSaysOtherwise: a row that both sides have, or haven't, and of which the log says the opposite, isn't verified.
func TestLogSaysOtherwise(t *testing.T) {
	p := newPair(t, orders...)
	c := p.check(p.link)
	p.do(p.maria, "UPDATE orders SET n = 11 WHERE id = 1")
	c.reaches(p.caughtUp(), 20*time.Second)
	p.passBy(func(*changes.Change) bool { return true })
	p.do(p.maria, "INSERT INTO orders VALUES (6, 'six', 6)", "SET SESSION sql_log_bin = 0", "DELETE FROM orders WHERE id = 6", "SET SESSION sql_log_bin = 1")
	p.names(c.end(20*time.Second), "table shop.orders, row with `id`=6: the log says that it is there, and neither side has it")

	// When the log says so too, it is.
	p.passBy(nil)
	p.do(p.maria, "INSERT INTO orders VALUES (6, 'six', 6)")
	if err := p.check(p.link).drain(); err != nil {
		t.Error(err)
	}
}

// TestBehindDDL: a definition that was changed, and that a person passed by in the follow, is passed by here, when all before it is verified;
// behind it rows are read by the new one.
func TestBehindDDL(t *testing.T) {
	p := newPair(t, orders...)
	c := p.check(p.link)
	p.do(p.maria, "UPDATE orders SET n = 11 WHERE id = 1")
	c.reaches(p.caughtUp(), 20*time.Second)
	stands := func() (gtid string) {
		t.Helper()
		var stop *changes.StopError
		dbtest.Eventually(t, p.my, "SELECT COUNT(*) FROM `_slipway`.follow WHERE stopped LIKE '%ALTER TABLE%'", "1")
		if err := p.unfollow(); !errors.As(err, &stop) {
			t.Fatalf("the follower ended with %v", err)
		}
		return stop.GTID
	}
	const more = "ALTER TABLE orders ADD m INT NOT NULL DEFAULT 0 FIRST"
	p.do(p.maria, more, "UPDATE orders SET m = 5 WHERE id = 2")
	var stop *changes.StopError
	if err := c.end(20 * time.Second); !errors.As(err, &stop) {
		t.Fatalf("at a changed definition it ended with %v", err)
	}
	gtid := stands()
	p.do(p.my, more)
	p.follow(gtid)
	if err := p.check(p.link).drain(); err != nil {
		t.Fatal(err)
	}

	// What was changed before it, and isn't the same, is found all the same.
	const another = "ALTER TABLE orders ADD k INT NOT NULL DEFAULT 0 FIRST"
	p.do(p.my, "UPDATE orders SET no = 'somebody' WHERE id = 4")
	p.do(p.maria, "UPDATE orders SET n = 44 WHERE id = 4", another)
	gtid = stands()
	p.do(p.my, another)
	p.follow(gtid)
	p.names(p.check(p.link).end(20*time.Second), "table shop.orders, row with `id`=4: differs in no")
	p.do(p.my, "UPDATE orders SET no = 'four' WHERE id = 4")
	if err := p.check(p.link).drain(); err != nil {
		t.Fatal(err)
	}
	c = p.check(p.link)
	p.passBy(func(*changes.Change) bool { return true })
	p.do(p.maria, "UPDATE orders SET k = 6 WHERE id = 2")
	p.names(c.end(20*time.Second), "table shop.orders, row with `id`=2: differs in k")
}
