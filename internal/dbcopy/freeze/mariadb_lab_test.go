//go:build lab

package freeze

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/dbpair"
	"github.com/slipway-dev/slipway/internal/lab/dbtest"
)

// shop makes a schema and accounts of all sorts on the first master: replication brings them to the second.
func shop(t testing.TB, name string) {
	t.Helper()
	root := as(t, servers.a, dbpair.Root, "")
	root.SetMaxOpenConns(1) // @@last_gtid is the session's
	users := []string{"app", "boss", "chief", "old", "locked"}
	clean := func() {
		exec(t, root, "DROP DATABASE IF EXISTS "+name, "DROP ROLE IF EXISTS chiefs")
		for _, u := range users {
			exec(t, root, "DROP USER IF EXISTS "+u+"@'127.0.0.1'")
		}
	}
	clean()
	t.Cleanup(clean)
	exec(t, root, "CREATE DATABASE "+name, "CREATE TABLE "+name+".t (id INT AUTO_INCREMENT PRIMARY KEY, n INT NOT NULL)", "INSERT INTO "+name+".t (n) VALUES (1),(2),(3)")
	for _, u := range users {
		exec(t, root, "CREATE USER "+u+"@'127.0.0.1' IDENTIFIED BY '"+dbpair.Password+"'", "GRANT ALL ON "+name+".* TO "+u+"@'127.0.0.1'")
	}
	exec(t, root, "CREATE ROLE chiefs", "GRANT READ_ONLY ADMIN ON *.* TO chiefs", "GRANT chiefs TO chief@'127.0.0.1'", "SET DEFAULT ROLE chiefs FOR chief@'127.0.0.1'",
		"GRANT READ_ONLY ADMIN ON *.* TO boss@'127.0.0.1'", "GRANT SUPER ON *.* TO old@'127.0.0.1'",
		"GRANT READ_ONLY ADMIN ON *.* TO locked@'127.0.0.1'", "ALTER USER locked@'127.0.0.1' ACCOUNT LOCK")
	if got := dbtest.One(t, as(t, servers.b, dbpair.Root, ""), "SELECT MASTER_GTID_WAIT('"+dbtest.One(t, root, "SELECT @@last_gtid")+"', 20)"); got != "0" {
		t.Fatal("the second master doesn't apply")
	}
}

func frozen(t testing.TB, m *MariaDB, o Options) (Want, Stopped) {
	t.Helper()
	s, err := m.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w := s.Want()
	t.Cleanup(func() {
		if err := m.Thaw(context.Background(), w); err != nil {
			t.Error(err)
		}
	})
	st, err := m.Freeze(t.Context(), w, o)
	if err != nil {
		t.Fatal(err)
	}
	return w, st
}

// TestWhoWritesInSpite: through a privilege, through a role; not who was locked before, not who asks, and SUPER alone no more.
func TestWhoWritesInSpite(t *testing.T) {
	shop(t, "who")
	m := NewMariaDB(endpoint(servers.a, dbpair.Root))
	s, err := m.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := names(s.Above), "boss@127.0.0.1 chief@127.0.0.1 root@::1 root@localhost"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	exec(t, as(t, servers.a, dbpair.Root, ""), "GRANT READ_ONLY ADMIN ON *.* TO PUBLIC")
	all, err := m.Look(t.Context())
	exec(t, as(t, servers.a, dbpair.Root, ""), "REVOKE READ_ONLY ADMIN ON *.* FROM PUBLIC")
	if err != nil || !strings.Contains(names(all.Above), "app@") {
		t.Errorf("granted to everybody, and these are named: %s (%v)", names(all.Above), err)
	}
}

// TestFreezeStopsEverybody: ordinary writers, privileged ones with sessions of before, open transactions.
// After the freeze not a row changes; after the thaw all is as it was.
func TestFreezeStopsEverybody(t *testing.T) {
	shop(t, "everybody")
	m := NewMariaDB(endpoint(servers.a, dbpair.Root))
	var wg sync.WaitGroup
	stop := make(chan struct{})
	var acknowledged atomic.Int64
	for _, user := range []string{"app", "app", "boss", "chief", "old"} {
		db := as(t, servers.a, user, "everybody")
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := db.ExecContext(context.Background(), "INSERT INTO t (n) VALUES (0)"); err == nil {
					acknowledged.Add(1)
				} else {
					time.Sleep(5 * time.Millisecond)
				}
			}
		})
	}
	open, err := as(t, servers.a, "app", "everybody").Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	exec(t, open, "BEGIN", "UPDATE t SET n = 77 WHERE id = 1")
	time.Sleep(300 * time.Millisecond)
	before := acknowledged.Load()
	if before == 0 {
		t.Fatal("nobody wrote before the freeze")
	}
	w, st := frozen(t, m, Options{})
	rows := dbtest.One(t, as(t, servers.a, dbpair.Root, ""), "SELECT COUNT(*) FROM everybody.t")
	time.Sleep(700 * time.Millisecond)
	if now := dbtest.One(t, as(t, servers.a, dbpair.Root, ""), "SELECT COUNT(*) FROM everybody.t"); now != rows {
		t.Errorf("%s rows when it was frozen, and %s after", rows, now)
	}
	if at := dbtest.One(t, as(t, servers.a, dbpair.Root, ""), "SELECT @@gtid_binlog_pos"); at != st.At.String() {
		t.Errorf("the log ended at %s when it was frozen, and at %s after", st.At, at)
	}
	if n := dbtest.One(t, as(t, servers.a, dbpair.Root, ""), "SELECT n FROM everybody.t WHERE id = 1"); n != "1" {
		t.Errorf("an open transaction was kept: %s", n)
	}
	if len(st.Ended) == 0 || len(w.Lock) == 0 {
		t.Errorf("ended %v, locked %v", st.Ended, w.Lock)
	}
	// What was acknowledged is there; beside it at most one row of each writer, whose session was ended before the answer.
	close(stop)
	wg.Wait()
	n, err := strconv.ParseInt(rows, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if unknown := n - 3 - acknowledged.Load(); unknown < 0 || unknown > 5 {
		t.Errorf("%d rows beside the three of before, %d acknowledged", n-3, acknowledged.Load())
	}
	// Once more changes nothing and is no error.
	if _, err := m.Freeze(t.Context(), w, Options{}); err != nil {
		t.Error(err)
	}
	if err := m.Thaw(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	exec(t, as(t, servers.a, "app", "everybody"), "INSERT INTO t (n) VALUES (5)")
	exec(t, as(t, servers.a, "boss", "everybody"), "INSERT INTO t (n) VALUES (5)")
	if err := as(t, servers.a, "locked", "").PingContext(t.Context()); err == nil {
		t.Error("the thaw unlocked an account that was locked before the freeze")
	}
	// The accounts were locked on this server alone.
	if got := dbtest.One(t, as(t, servers.b, dbpair.Root, ""), "SELECT COUNT(*) FROM mysql.global_priv WHERE JSON_VALUE(Priv, '$.account_locked') IN ('1','true') AND User IN ('boss','chief')"); got != "0" {
		t.Errorf("%s accounts are locked at the other master", got)
	}
}

// TestFreezeEndsWhatHoldsItUp: tables that a session has locked, after the patience and not before.
func TestFreezeEndsWhatHoldsItUp(t *testing.T) {
	shop(t, "held")
	holder, err := as(t, servers.a, "app", "held").Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	exec(t, holder, "LOCK TABLES t WRITE")
	began := time.Now()
	_, st := frozen(t, NewMariaDB(endpoint(servers.a, dbpair.Root)), Options{Patience: 1500 * time.Millisecond})
	if took := time.Since(began); took < 1500*time.Millisecond {
		t.Errorf("it was ended after %s", took)
	}
	if !slices.ContainsFunc(st.Ended, func(e Ended) bool { return e.User == "app" }) {
		t.Errorf("ended %v", st.Ended)
	}
	if err := holder.PingContext(t.Context()); err == nil {
		t.Error("the session that held the table is still there")
	}
}

// TestFreezeThatCantBe ends with the server writable: a prepared transaction before anything is changed, and an account that is
// beyond the limit's reach.
func TestFreezeThatCantBe(t *testing.T) {
	shop(t, "cant")
	m := NewMariaDB(endpoint(servers.a, dbpair.Root))
	s, err := m.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	writable := func() {
		t.Helper()
		exec(t, as(t, servers.a, "app", "cant"), "INSERT INTO t (n) VALUES (5)")
		exec(t, as(t, servers.a, "boss", "cant"), "INSERT INTO t (n) VALUES (5)")
	}
	x, err := as(t, servers.a, "app", "cant").Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	exec(t, x, "XA START 'half'", "UPDATE t SET n = 9 WHERE id = 2", "XA END 'half'", "XA PREPARE 'half'")
	var prepared *PreparedError
	if _, err := m.Freeze(t.Context(), s.Want(), Options{}); !errors.As(err, &prepared) || len(prepared.XIDs) != 1 || prepared.XIDs[0] != "half" {
		t.Errorf("with a prepared transaction: %v", err)
	}
	writable()
	exec(t, x, "XA ROLLBACK 'half'")
	// A limit that is over before a session's statement is.
	slow := as(t, servers.a, "app", "cant")
	done := make(chan error, 1)
	go func() {
		_, err := slow.ExecContext(context.Background(), "UPDATE t SET n = n + SLEEP(3) WHERE id = 3")
		done <- err
	}()
	eventually(t, as(t, servers.a, dbpair.Root, ""), "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'UPDATE t SET n = n + SLEEP%'", "1")
	_, err = m.Freeze(t.Context(), s.Want(), Options{Patience: time.Minute, Limit: time.Second})
	if !errors.Is(err, ErrTooLong) {
		t.Errorf("past the limit: %v", err)
	}
	if err := <-done; err != nil {
		t.Errorf("a statement that was to be waited for: %v", err)
	}
	writable()
	if got, err := m.Look(t.Context()); err != nil || got.ReadOnly || names(got.Above) != names(s.Above) {
		t.Errorf("after it: %+v, %v", got, err)
	}
}

// TestDrained: both masters are written, both are frozen while the other has not applied all, and the position is reached by
// both. One that still writes, one that was written to after, and one that has stopped applying are found.
func TestDrained(t *testing.T) {
	shop(t, "drained")
	a, b := NewMariaDB(endpoint(servers.a, dbpair.Root)), NewMariaDB(endpoint(servers.b, dbpair.Root))
	rootA, rootB := as(t, servers.a, dbpair.Root, "drained"), as(t, servers.b, dbpair.Root, "drained")
	// Both are behind: neither applies for a moment.
	exec(t, rootA, "STOP SLAVE SQL_THREAD")
	exec(t, rootB, "STOP SLAVE SQL_THREAD")
	for range 50 {
		exec(t, rootA, "INSERT INTO t (n) VALUES (11)")
	}
	exec(t, rootB, "INSERT INTO t (id, n) VALUES (100001, 12)")
	wa, atA := frozen(t, a, Options{})
	_, atB := frozen(t, b, Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var stopped *ReplicationError
	if _, err := Drained(ctx, a, b, atA, atB, nil); !errors.As(err, &stopped) || stopped.Server != "b" {
		t.Fatalf("with b not applying: %v", err)
	}
	exec(t, rootB, "START SLAVE")
	if _, err := Drained(ctx, a, b, atA, atB, nil); !errors.As(err, &stopped) || stopped.Server != "a" {
		t.Fatalf("with a not applying: %v", err)
	}
	exec(t, rootA, "START SLAVE")
	at, err := Drained(ctx, a, b, atA, atB, nil)
	if err != nil {
		t.Fatal(err)
	}
	const sum = "SELECT CONCAT(COUNT(*), ' ', SUM(n), ' ', MAX(id)) FROM t"
	if x, y := dbtest.One(t, rootA, sum), dbtest.One(t, rootB, sum); x != y || !strings.HasPrefix(x, "54 ") {
		t.Errorf("drained, and the masters have %s and %s", x, y)
	}
	if at.String() != dbtest.One(t, rootA, "SELECT @@gtid_binlog_pos") || at.String() != dbtest.One(t, rootB, "SELECT @@gtid_binlog_pos") {
		t.Errorf("drained to %s, and the logs end at %s and %s", at, dbtest.One(t, rootA, "SELECT @@gtid_binlog_pos"), dbtest.One(t, rootB, "SELECT @@gtid_binlog_pos"))
	}
	// Root still may: that is found.
	exec(t, rootA, "INSERT INTO t (n) VALUES (13)")
	if _, err := Drained(ctx, a, b, atA, atB, nil); err == nil || !strings.Contains(err.Error(), "written to after") {
		t.Errorf("written after the freeze: %v", err)
	}
	if err := a.Thaw(ctx, wa); err != nil {
		t.Fatal(err)
	}
	sa, err := a.Look(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Drained(ctx, a, b, Stopped{Own: sa.Own}, atB, nil); err == nil || !strings.Contains(err.Error(), "isn't") {
		t.Errorf("with a thawed: %v", err)
	}
}

// TestThawLeavesWhatWas: a standby that was read only before stays so, also when it is thawed twice.
func TestThawLeavesWhatWas(t *testing.T) {
	shop(t, "standby")
	m := NewMariaDB(endpoint(servers.b, dbpair.Root))
	root := as(t, servers.b, dbpair.Root, "")
	exec(t, root, "SET GLOBAL read_only = 1")
	t.Cleanup(func() { exec(t, root, "SET GLOBAL read_only = 0") })
	w, _ := frozen(t, m, Options{})
	for range 2 {
		if err := m.Thaw(t.Context(), w); err != nil {
			t.Fatal(err)
		}
	}
	if s, err := m.Look(t.Context()); err != nil || !s.ReadOnly || !strings.Contains(names(s.Above), "boss@") {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestOneDomain: two masters in one domain are refused with the statement that mends it.
func TestOneDomain(t *testing.T) {
	a := State{ServerID: 1, Domain: 5}
	if err := OneDomain(a, State{ServerID: 2, Domain: 6}, "db1", "db2"); err != nil {
		t.Error(err)
	}
	if err := OneDomain(a, State{ServerID: 2, Domain: 5}, "db1", "db2"); !errors.Is(err, ErrOneDomain) || !strings.Contains(err.Error(), "SET GLOBAL gtid_domain_id = 6 on db2") {
		t.Error(err)
	}
}
