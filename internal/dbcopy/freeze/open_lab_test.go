//go:build lab

package freeze

import (
	"context"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/dbpair"
	"github.com/slipway-dev/slipway/internal/lab/dbtest"
)

// TestTargetFreeze: an instance whose accounts are those of Cloud SQL: writers are gone, and come back; who is kept goes on.
func TestTargetFreeze(t *testing.T) {
	root := as(t, servers.my, dbpair.Root, "")
	exec(t, root, "CREATE DATABASE target", "CREATE TABLE target.t (id INT AUTO_INCREMENT PRIMARY KEY, n INT)")
	t.Cleanup(func() { exec(t, root, "DROP DATABASE target") })
	for _, u := range []string{"web", "batch", "follower", "gone", "keeper"} {
		exec(t, root, "CREATE USER "+u+"@'%' IDENTIFIED BY '"+dbpair.Password+"'", "GRANT ALL ON target.* TO "+u+"@'%'")
		t.Cleanup(func() { exec(t, root, "DROP USER "+u+"@'%'") })
	}
	exec(t, root, "ALTER USER gone@'%' ACCOUNT LOCK", "GRANT CREATE USER, PROCESS, CONNECTION_ADMIN ON *.* TO keeper@'%'", "GRANT SELECT ON mysql.user TO keeper@'%'",
		"GRANT SELECT ON performance_schema.* TO keeper@'%'")
	// Root and the lab's loader stand for accounts that a real instance hasn't.
	keep := []string{"follower", "root", "loader"}
	m := NewMySQL(endpoint(servers.my, "keeper"))
	s, err := m.Look(t.Context(), keep)
	if err != nil {
		t.Fatal(err)
	}
	if names(s.Open) != "batch@% web@%" {
		t.Fatalf("open: %s", names(s.Open))
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for _, u := range []string{"web", "batch"} {
		db := as(t, servers.my, u, "target")
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := db.ExecContext(context.Background(), "INSERT INTO t (n) VALUES (0)"); err != nil {
					time.Sleep(5 * time.Millisecond)
				}
			}
		})
	}
	open, err := as(t, servers.my, "web", "target").Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	exec(t, open, "BEGIN", "INSERT INTO t (id, n) VALUES (1000000, 1)")
	time.Sleep(300 * time.Millisecond)
	at, ended, err := m.Freeze(t.Context(), s.Open, keep, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(ended) < 3 {
		t.Errorf("ended %v", ended)
	}
	rows := dbtest.One(t, root, "SELECT CONCAT(COUNT(*), ' ', COALESCE(MAX(id), 0)) FROM target.t")
	time.Sleep(500 * time.Millisecond)
	if now := dbtest.One(t, root, "SELECT CONCAT(COUNT(*), ' ', COALESCE(MAX(id), 0)) FROM target.t"); now != rows {
		t.Errorf("%s when it was frozen, %s after", rows, now)
	}
	if now := strings.ReplaceAll(dbtest.One(t, root, "SELECT @@global.gtid_executed"), "\n", ""); now != at.String() {
		t.Errorf("the log ended at %s, and now at %s", at, now)
	}
	if n := dbtest.One(t, root, "SELECT COUNT(*) FROM target.t WHERE id = 1000000"); n != "0" {
		t.Error("an open transaction was kept")
	}
	exec(t, as(t, servers.my, "follower", "target"), "INSERT INTO t (n) VALUES (1)")
	if err := as(t, servers.my, "web", "").PingContext(t.Context()); err == nil {
		t.Error("a writer signs in")
	}
	if err := m.Thaw(t.Context(), s.Open); err != nil {
		t.Fatal(err)
	}
	close(stop)
	wg.Wait()
	exec(t, as(t, servers.my, "web", "target"), "INSERT INTO t (n) VALUES (1)")
	if err := as(t, servers.my, "gone", "").PingContext(t.Context()); err == nil {
		t.Error("the thaw unlocked an account that was locked before the freeze")
	}
	again, err := m.Look(t.Context(), keep)
	if err != nil || !reflect.DeepEqual(again.Open, s.Open) {
		t.Errorf("after the thaw: %+v, %v", again, err)
	}
}

// TestTriggersComeBack as they were, in the order in which they fire, and are gone at this server alone meanwhile.
func TestTriggersComeBack(t *testing.T) {
	a, b := as(t, servers.a, dbpair.Root, ""), as(t, servers.b, dbpair.Root, "")
	exec(t, a, "CREATE DATABASE tr", "CREATE TABLE tr.t (id INT PRIMARY KEY, s VARCHAR(50) CHARACTER SET utf8mb4)")
	t.Cleanup(func() { exec(t, a, "DROP DATABASE tr") })
	c, err := as(t, servers.a, dbpair.Root, "tr").Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	exec(t, c, "SET sql_mode = 'ANSI_QUOTES', NAMES latin1 COLLATE latin1_german1_ci",
		"CREATE DEFINER='nobody'@'nowhere' TRIGGER \"second one\" BEFORE INSERT ON t FOR EACH ROW SET NEW.s = CONCAT(NEW.s, '2\xfc')", // ü, as that session types it
		"SET NAMES utf8mb4, sql_mode = ''",
		"CREATE TRIGGER `first` BEFORE INSERT ON t FOR EACH ROW PRECEDES `second one` SET NEW.s = CONCAT(NEW.s, '1ü')")
	m := NewMariaDB(endpoint(servers.a, dbpair.Root))
	ts, err := m.Triggers(t.Context(), []string{"tr"})
	if err != nil {
		t.Fatal(err)
	}
	if len(ts) != 2 || ts[0].Name != "first" || ts[1].Charset != "latin1" || ts[1].Collation != "latin1_german1_ci" || !strings.Contains(ts[1].Mode, "ANSI_QUOTES") {
		t.Fatalf("%+v", ts)
	}
	eventually(t, b, "SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = 'tr'", "2")
	for range 2 { // a second time changes nothing
		if err := m.DropTriggers(t.Context(), ts); err != nil {
			t.Fatal(err)
		}
	}
	if n := dbtest.One(t, a, "SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = 'tr'"); n != "0" {
		t.Errorf("%s triggers are left", n)
	}
	for range 2 {
		if err := m.RestoreTriggers(t.Context(), ts); err != nil {
			t.Fatal(err)
		}
	}
	again, err := m.Triggers(t.Context(), []string{"tr"})
	ts[1].Charset = "utf8mb4"
	if err != nil || !reflect.DeepEqual(again, ts) {
		t.Errorf("they came back as\n%+v\nand were\n%+v (%v)", again, ts, err)
	}
	exec(t, a, "FLUSH TABLES") // what was logged until now is applied by the time the mark is
	exec(t, a, "CREATE TABLE tr.mark (i INT)")
	eventually(t, b, "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'tr' AND TABLE_NAME = 'mark'", "1")
	if n := dbtest.One(t, b, "SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = 'tr'"); n != "2" {
		t.Errorf("the other master has %s triggers", n)
	}
}

// TestCounters: the target opens above what the source gave out, deleted and rolled back numbers too; none is lowered.
func TestCounters(t *testing.T) {
	a, my := as(t, servers.a, dbpair.Root, ""), as(t, servers.my, dbpair.Root, "")
	exec(t, a, "CREATE DATABASE cnt")
	exec(t, my, "CREATE DATABASE cnt")
	t.Cleanup(func() { exec(t, a, "DROP DATABASE cnt"); exec(t, my, "DROP DATABASE cnt") })
	for _, table := range []string{"deleted", "high", "none"} {
		key := " AUTO_INCREMENT"
		if table == "none" {
			key = ""
		}
		exec(t, a, "CREATE TABLE cnt."+table+" (id INT"+key+" PRIMARY KEY, n INT)")
		exec(t, my, "CREATE TABLE cnt."+table+" (id INT"+key+" PRIMARY KEY, n INT)")
	}
	exec(t, a, "INSERT INTO cnt.deleted (n) VALUES (1),(2),(3),(4),(5)", "DELETE FROM cnt.deleted WHERE id > 1", "INSERT INTO cnt.high (n) VALUES (1)")
	exec(t, my, "INSERT INTO cnt.deleted VALUES (1,1)", "INSERT INTO cnt.high VALUES (500, 1)")
	from, err := Counters(t.Context(), endpoint(servers.a, dbpair.Root), []string{"cnt"})
	if err != nil || !reflect.DeepEqual(from, []Counter{{"cnt", "deleted", 6}, {"cnt", "high", 2}}) {
		t.Fatal(from, err)
	}
	for range 2 {
		if err := Raise(t.Context(), endpoint(servers.my, dbpair.Root), from); err != nil {
			t.Fatal(err)
		}
	}
	exec(t, my, "INSERT INTO cnt.deleted (n) VALUES (7)", "INSERT INTO cnt.high (n) VALUES (7)")
	if got := dbtest.One(t, my, "SELECT CONCAT((SELECT MAX(id) FROM cnt.deleted), ' ', (SELECT MAX(id) FROM cnt.high))"); got != "6 501" {
		t.Errorf("the next numbers are %s", got)
	}
}

// TestEventsComeBack: the events that run are disabled at this server alone, those of a definer that read_only doesn't bind among them,
// and come back as they were in all that the server keeps of them.
func TestEventsComeBack(t *testing.T) {
	a, b := as(t, servers.a, dbpair.Root, ""), as(t, servers.b, dbpair.Root, "")
	exec(t, a, "CREATE DATABASE ev", "CREATE TABLE ev.t (id INT AUTO_INCREMENT PRIMARY KEY)", "SET GLOBAL event_scheduler = ON")
	t.Cleanup(func() { exec(t, a, "SET GLOBAL event_scheduler = OFF", "DROP DATABASE ev") })
	c, err := as(t, servers.a, dbpair.Root, "ev").Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	exec(t, c, "SET sql_mode = 'ANSI_QUOTES', NAMES latin1 COLLATE latin1_german1_ci, time_zone = '+03:00'", "CREATE EVENT \"runs e\" ON SCHEDULE EVERY 1 SECOND COMMENT 'c' DO INSERT INTO t VALUES ()",
		"SET NAMES utf8mb4, sql_mode = ''", "CREATE DEFINER='nobody'@'nowhere' EVENT `grün` ON SCHEDULE EVERY 1 DAY ON COMPLETION PRESERVE DO SELECT 'ü'", "CREATE EVENT sleeps ON SCHEDULE EVERY 1 SECOND DISABLE DO INSERT INTO t VALUES ()")
	m := NewMariaDB(endpoint(servers.a, dbpair.Root))
	es, err := m.Events(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(es) != 2 || es[0].Name != "grün" || es[0].Definer != (Account{"nobody", "nowhere"}) || es[1].Name != "runs e" || es[1].Charset != "latin1" {
		t.Fatalf("%+v", es)
	}
	kept := func() string {
		return dbtest.One(t, a, "SELECT GROUP_CONCAT(name, '|', body, '|', definer, '|', COALESCE(interval_value,''), '|', created, '|', starts, '|', status, '|', on_completion, '|', sql_mode, '|', comment, '|', originator, '|', time_zone, '|', character_set_client, '|', collation_connection, '|', db_collation, '|', body_utf8 ORDER BY name SEPARATOR '\n') FROM mysql.event WHERE db = 'ev'")
	}
	before := kept()
	eventually(t, a, "SELECT COUNT(*) > 0 FROM ev.t", "1")
	const changed = "SELECT GROUP_CONCAT(name, modified ORDER BY name) FROM mysql.event WHERE db = 'ev'"
	eventually(t, b, "SELECT COUNT(*) > 0 FROM ev.t", "1")
	there := dbtest.One(t, b, changed)
	time.Sleep(1100 * time.Millisecond) // it is noted in seconds
	for range 2 {
		if err := m.DisableEvents(t.Context(), es); err != nil {
			t.Fatal(err)
		}
	}
	if now, err := m.Events(t.Context()); err != nil || len(now) > 0 {
		t.Errorf("still enabled: %+v, %v", now, err)
	}
	time.Sleep(time.Second) // one that had begun
	n := dbtest.One(t, a, "SELECT COUNT(*) FROM ev.t")
	time.Sleep(2500 * time.Millisecond)
	if now := dbtest.One(t, a, "SELECT COUNT(*) FROM ev.t"); now != n {
		t.Errorf("%s rows, then %s: an event ran", n, now)
	}
	for range 2 {
		if err := m.RestoreEvents(t.Context(), append(es, Event{Schema: "ev", Name: "gone", Definer: es[0].Definer, Charset: "utf8mb4", Collation: "utf8mb4_general_ci"})); err != nil {
			t.Fatal(err)
		}
	}
	if after := kept(); after != before {
		t.Errorf("they came back as\n%s\nand were\n%s", after, before)
	}
	eventually(t, a, "SELECT COUNT(*) > "+n+" FROM ev.t", "1")
	exec(t, a, "CREATE TABLE ev.mark (i INT)")
	eventually(t, b, "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'ev' AND TABLE_NAME = 'mark'", "1")
	if got := dbtest.One(t, b, changed); got != there {
		t.Errorf("at the other master they were changed: %s, and were %s", got, there)
	}
	if got := dbtest.One(t, b, "SELECT GROUP_CONCAT(DISTINCT STATUS) FROM information_schema.EVENTS WHERE EVENT_SCHEMA = 'ev'"); got != "SLAVESIDE_DISABLED" {
		t.Errorf("at the other master they are %s", got)
	}
}

// TestShutLooksShut: a target whose accounts are locked has no sessions, though a shop asks for its database all the time.
func TestShutLooksShut(t *testing.T) {
	root := as(t, servers.my, dbpair.Root, "")
	exec(t, root, "CREATE USER asker@'%' IDENTIFIED BY '"+dbpair.Password+"' ACCOUNT LOCK")
	t.Cleanup(func() { exec(t, root, "DROP USER asker@'%'") })
	stop := make(chan struct{})
	var asking sync.WaitGroup
	for range 12 {
		db := as(t, servers.my, "asker", "")
		asking.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					if db.PingContext(context.Background()) == nil {
						t.Error("a locked account signed in")
						return
					}
				}
			}
		})
	}
	m := NewMySQL(endpoint(servers.my, dbpair.Root))
	for range 100 {
		s, err := m.Look(t.Context(), []string{"loader"})
		if err != nil {
			t.Fatal(err)
		}
		if s.Sessions > 0 {
			t.Errorf("%d sessions", s.Sessions)
			break
		}
	}
	close(stop)
	asking.Wait()
}
