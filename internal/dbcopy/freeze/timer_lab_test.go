//go:build lab

package freeze

import (
	"context"
	"database/sql"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/dbpair"
	"github.com/slipway-dev/slipway/internal/lab/dbtest"
)

const timerRun = "20261123-010203-7f3a"

// TestTimerFires: a server that was frozen, its triggers taken away, its events disabled, is by itself as it was before, on that server
// alone and without a line in its log. Who would disarm it then is told.
func TestTimerFires(t *testing.T) {
	a, b := as(t, servers.a, dbpair.Root, ""), as(t, servers.b, dbpair.Root, "")
	exec(t, a, "CREATE DATABASE tm", "CREATE TABLE tm.t (id INT PRIMARY KEY, s VARCHAR(50) CHARACTER SET utf8mb4)", "CREATE USER tm_boss IDENTIFIED BY '"+dbpair.Password+"'", "GRANT READ_ONLY ADMIN, INSERT ON *.* TO tm_boss")
	t.Cleanup(func() { exec(t, a, "DROP DATABASE tm", "DROP USER tm_boss") })
	c, err := as(t, servers.a, dbpair.Root, "tm").Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	exec(t, c, "SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES', NAMES latin1 COLLATE latin1_german1_ci",
		"CREATE TRIGGER \"second one\" BEFORE INSERT ON t FOR EACH ROW SET NEW.s = CONCAT(NEW.s, '2\\', \"s\")",
		"CREATE EVENT \"runs e\" ON SCHEDULE EVERY 1 DAY STARTS '2037-01-01' COMMENT 'c''\\' DO DELETE FROM t",
		"SET NAMES utf8mb4, sql_mode = ''",
		"CREATE DEFINER='nobody'@'nowhere' TRIGGER `it's first` BEFORE INSERT ON t FOR EACH ROW PRECEDES `second one` SET NEW.s = CONCAT(NEW.s, '1ü\\'')")
	m := NewMariaDB(endpoint(servers.a, dbpair.Root))
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	const events = "SELECT GROUP_CONCAT(name, body, definer, COALESCE(starts,''), status, sql_mode, comment, character_set_client, collation_connection ORDER BY name) FROM mysql.event WHERE db = 'tm'"
	const accounts = "SELECT GROUP_CONCAT(User, COALESCE(JSON_VALUE(Priv, '$.account_locked'), '0') ORDER BY User) FROM mysql.global_priv WHERE User IN ('tm_boss', 'root')"
	was, who := dbtest.One(t, a, events), strings.ReplaceAll(dbtest.One(t, a, accounts), "false", "0")
	ts, err := m.Triggers(t.Context(), []string{"tm"})
	must(err)
	es, err := m.Events(t.Context())
	must(err)
	state, err := m.Look(t.Context())
	must(err)
	if len(ts) != 2 || len(es) != 1 || len(state.Above) == 0 {
		t.Fatalf("%+v %+v %+v", ts, es, state)
	}
	timer := Timer{Run: timerRun, After: 4 * time.Second, Triggers: ts, Events: es, Want: state.Want(), SchedulerOff: true}
	must(m.DisableEvents(t.Context(), es))
	must(m.Arm(t.Context(), timer))
	if s, err := m.Timer(t.Context()); err != nil || s.Run != timerRun || !s.Waits || s.Off || s.Lacking != "" {
		t.Errorf("armed: %+v, %v", s, err)
	}
	if es, err := m.Events(t.Context()); err != nil || len(es) > 0 {
		t.Errorf("the timer is taken for an event of the shop's: %+v, %v", es, err)
	}
	other := timer
	other.Run = "20261123-010203-0000"
	if err := m.Arm(t.Context(), other); err == nil || !strings.Contains(err.Error(), "a timer of run "+timerRun+" is there") {
		t.Error(err)
	}
	stopped, err := m.Freeze(t.Context(), timer.Want, Options{})
	must(err)
	must(m.DropTriggers(t.Context(), ts))

	eventually(t, a, "SELECT @@global.read_only", "0")
	if s, err := m.Timer(t.Context()); err != nil || s.Run != timerRun || s.Waits || !s.Off {
		t.Errorf("fired: %+v, %v", s, err)
	}
	if err := m.Disarm(t.Context(), timer); !errors.Is(err, ErrFired) {
		t.Errorf("disarmed after it has fired: %v", err)
	}
	again, err := m.Triggers(t.Context(), []string{"tm"})
	must(err)
	for i := range ts {
		if !asciiOnly(ts[i].Create) {
			ts[i].Charset = "utf8mb4"
		}
	}
	if !reflect.DeepEqual(again, ts) {
		t.Errorf("triggers came back as\n%+v\nand were\n%+v", again, ts)
	}
	if is := dbtest.One(t, a, events); is != was {
		t.Errorf("events came back as\n%s\nand were\n%s", is, was)
	}
	if is := strings.ReplaceAll(dbtest.One(t, a, accounts), "false", "0"); is != who {
		t.Errorf("accounts are %s and were %s", is, who)
	}
	if at := dbtest.One(t, a, "SELECT @@global.gtid_binlog_pos"); at != stopped.At.String() {
		t.Errorf("the log was at %s, and is at %s", stopped.At, at)
	}
	if n := dbtest.One(t, b, "SELECT COUNT(*) FROM mysql.event WHERE name = '_slipway_thaw'"); n != "0" {
		t.Error("the other master has the timer")
	}
	if err := as(t, servers.a, "tm_boss", "tm").PingContext(t.Context()); err != nil {
		t.Errorf("who was locked is still: %v", err)
	}
	for range 2 {
		must(m.DropTimer(t.Context(), timer))
	}
	if s, err := m.Timer(t.Context()); err != nil || s.Run != "" {
		t.Errorf("dropped: %+v, %v", s, err)
	}
}

// TestTimerDisarmed: who disarms it knows what is true from then on, also in the second in which it fires.
func TestTimerDisarmed(t *testing.T) {
	a := as(t, servers.a, dbpair.Root, "")
	t.Cleanup(func() {
		exec(t, a, "SET GLOBAL read_only = 0", "SET GLOBAL event_scheduler = OFF", "DROP EVENT IF EXISTS mysql._slipway_thaw")
	})
	m := NewMariaDB(endpoint(servers.a, dbpair.Root))
	state, err := m.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	timer := Timer{Run: timerRun, After: time.Second, Want: state.Want(), SchedulerOff: true}
	outcomes := map[bool]int{}
	for i := 0; i < 20 && (outcomes[false] < 2 || outcomes[true] < 2); i++ {
		if err := m.Arm(t.Context(), timer); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Freeze(t.Context(), timer.Want, Options{}); err != nil {
			t.Fatal(err)
		}
		// By turns well before it fires, about when it does, and after.
		time.Sleep([]time.Duration{0, 950, 990, 1000, 1010, 1050, 1500}[i%7] * time.Millisecond)
		err := m.Disarm(t.Context(), timer)
		fired := errors.Is(err, ErrFired)
		if err != nil && !fired {
			t.Fatal(err)
		}
		outcomes[fired]++
		time.Sleep(1500 * time.Millisecond)
		if is := dbtest.One(t, a, "SELECT @@global.read_only"); (is == "0") != fired {
			t.Errorf("round %d: fired %t, and then read_only is %s", i, fired, is)
		}
		if err := m.DropTimer(t.Context(), timer); err != nil {
			t.Fatal(err)
		}
		if is := dbtest.One(t, a, "SELECT CONCAT(@@global.event_scheduler, (SELECT COUNT(*) FROM mysql.event WHERE name = '_slipway_thaw'))"); is != "OFF0" {
			t.Errorf("round %d leaves %s", i, is)
		}
		if err := m.Thaw(t.Context(), timer.Want); err != nil {
			t.Fatal(err)
		}
	}
	if outcomes[true] < 2 || outcomes[false] < 2 {
		t.Errorf("%d rounds fired, %d were disarmed: neither may be missing", outcomes[true], outcomes[false])
	}
}

// TestTimerDisarmedWhileItFires: a timer that has begun to fire, and waits for who disarms it, does nothing any more.
func TestTimerDisarmedWhileItFires(t *testing.T) {
	a := as(t, servers.a, dbpair.Root, "")
	m := NewMariaDB(endpoint(servers.a, dbpair.Root))
	timer := Timer{Run: timerRun, After: time.Second}
	if err := m.Arm(t.Context(), timer); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		exec(t, a, "SET GLOBAL read_only = 0", "SET GLOBAL event_scheduler = OFF", "DROP EVENT IF EXISTS mysql._slipway_thaw")
	})
	exec(t, a, "SET GLOBAL read_only = 1")
	err := m.locked(t.Context(), func(c *sql.Conn) error {
		eventually(t, a, "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE = 'User lock'", "1")
		s, err := m.Timer(t.Context())
		if err != nil {
			return err
		}
		soon, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		return dropTimer(soon, c, s, timer)
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, a, "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE = 'User lock' OR INFO LIKE '%_slipway_thaw%' AND ID <> CONNECTION_ID()", "0")
	time.Sleep(300 * time.Millisecond)
	if is := dbtest.One(t, a, "SELECT @@global.read_only"); is != "1" {
		t.Error("it thawed the server after it was disarmed")
	}
}
