//go:build lab

package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/dbpair"
	"github.com/slipway-dev/slipway/internal/lab/sakila"
)

// shopAccount writes on both sides; it is nobody who may write in spite of read_only.
const shopAccount = "shopper"

// switchAccount is Slipway's at the masters.
const switchAccount = "slipway_switch"

// switched is two masters that replicate from each other, a MySQL, a shop that writes to whichever side lets it, and a desk from
// which slipway is typed.
type switched struct {
	*testing.T
	ctx        context.Context
	lab        *dbpair.Lab
	a, b, my   *dbpair.Server
	dir        string
	schemas    []string
	own        []string      // tables that each side writes by itself
	pause      time.Duration // of each customer between two purchases
	ledgers    []string      // queries that give the number of each purchase that is there
	longest    time.Duration // without an answered write
	mu         sync.Mutex
	answered   []string // each write that had an answer: its number
	side       atomic.Int32
	atSide     [2]atomic.Int64 // writes answered by the source, and by the target
	reports    [2]atomic.Int64 // and reports
	stop       chan struct{}
	writers    sync.WaitGroup
	lastAnswer time.Time
}

func newSwitched(t *testing.T, ctx context.Context, schemas ...string) *switched {
	lab, err := dbpair.Open(ctx, "dbswitch", os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lab.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	s := &switched{T: t, ctx: ctx, lab: lab, dir: t.TempDir(), schemas: schemas, stop: make(chan struct{}), pause: 20 * time.Millisecond}
	server := func(start func(context.Context, string, dbpair.Options) (*dbpair.Server, error), name string, args ...string) *dbpair.Server {
		x, err := start(ctx, name, dbpair.Options{Args: args})
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	s.a = server(lab.MariaDB, "a", "--server-id=11", "--gtid-domain-id=11", "--gtid-strict-mode=1", "--event-scheduler=ON")
	s.b = server(lab.MariaDB, "b", "--server-id=12", "--gtid-domain-id=12", "--gtid-strict-mode=1", "--event-scheduler=ON", "--read-only=1")
	s.my = server(lab.MySQL, "my", "--log-bin-trust-function-creators=1", "--event-scheduler=ON")
	for _, x := range [][2]*dbpair.Server{{s.a, s.b}, {s.b, s.a}} {
		_, port, err := net.SplitHostPort(x[1].Addr)
		if err != nil {
			t.Fatal(err)
		}
		s.do(x[0], "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT="+port+", MASTER_USER='root', MASTER_PASSWORD='"+dbpair.Password+"', MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1", "START SLAVE")
	}
	// The accounts are those that docs/database.md asks for.
	s.do(s.a, "CREATE USER "+switchAccount+"@'127.0.0.1' IDENTIFIED BY '"+dbpair.Password+"'",
		"GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, DROP, TRIGGER, SHOW VIEW, EVENT, PROCESS, RELOAD, BINLOG MONITOR, BINLOG ADMIN, SLAVE MONITOR, REPLICATION SLAVE, READ_ONLY ADMIN, CONNECTION ADMIN, CREATE USER, SET USER, SUPER ON *.* TO "+switchAccount+"@'127.0.0.1'")
	s.do(s.my, "GRANT CONNECTION_ADMIN ON *.* TO '"+dbpair.Loader+"'@'127.0.0.1'")
	for _, x := range []*dbpair.Server{s.a, s.my} {
		s.do(x, "CREATE USER "+shopAccount+"@'127.0.0.1' IDENTIFIED BY '"+dbpair.Password+"'")
		for _, schema := range schemas {
			s.do(x, "CREATE DATABASE "+schema, "GRANT ALL ON "+schema+".* TO "+shopAccount+"@'127.0.0.1'")
		}
	}
	return s
}

func (s *switched) open(x *dbpair.Server, user, schema string) *sql.DB {
	s.Helper()
	db, err := x.Open(user, schema)
	if err != nil {
		s.Fatal(err)
	}
	return db
}

func (s *switched) do(x *dbpair.Server, stmts ...string) {
	s.Helper()
	db := s.open(x, dbpair.Root, "")
	defer db.Close()
	for _, st := range stmts {
		if _, err := db.ExecContext(s.ctx, st); err != nil {
			s.Fatalf("%s: %s: %v", x.Name, st, err)
		}
	}
}

// stock fills the shop that sell sells from.
func (s *switched) stock() {
	s.own, s.ledgers = append(s.own, "shop.ticks"), append(s.ledgers, "SELECT no FROM shop.orders")
	s.do(s.a, "CREATE TABLE shop.orders (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, no VARCHAR(30) NOT NULL, item INT NOT NULL, UNIQUE (no)) ENGINE=InnoDB",
		"CREATE TABLE shop.stock (id INT NOT NULL PRIMARY KEY, n INT NOT NULL, sold INT NOT NULL DEFAULT 0) ENGINE=InnoDB", "INSERT INTO shop.stock (id, n) SELECT seq, 1000 FROM shop.seq_1_to_1000",
		"INSERT INTO shop.orders (no, item) SELECT CONCAT('old-', seq), 1 + seq % 1000 FROM shop.seq_1_to_5000",
		"CREATE TABLE shop.ticks (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, server BIGINT NOT NULL) ENGINE=InnoDB", "CREATE EVENT shop.tick ON SCHEDULE EVERY 1 SECOND DO INSERT INTO shop.ticks (server) VALUES (@@server_id)",
		"CREATE TRIGGER shop.sell AFTER INSERT ON shop.orders FOR EACH ROW UPDATE stock SET sold = sold + 1 WHERE id = NEW.item")
}

// sell has customers buy.
func (s *switched) sell(customers int) {
	s.serve(customers, "shop", func(c, n int) (string, []string) {
		no, item := fmt.Sprintf("c%d-%d", c, n), 1+(n*7+c)%1000
		return no, []string{fmt.Sprintf("INSERT INTO orders (no, item) VALUES ('%s', %d)", no, item), fmt.Sprintf("UPDATE stock SET n = n - 1 WHERE id = %d", item)}
	})
}

// serve has customers buy: each writes where it was let in last, and asks at the other side when it isn't any more. A purchase
// counts when its COMMIT was answered.
func (s *switched) serve(customers int, schema string, buy func(c, n int) (no string, stmts []string)) {
	s.lastAnswer = time.Now()
	for c := range customers {
		dbs := [2]*sql.DB{s.open(s.a, shopAccount, schema), s.open(s.my, shopAccount, schema)}
		s.writers.Go(func() {
			defer dbs[0].Close()
			defer dbs[1].Close()
			for n := 0; ; n++ {
				select {
				case <-s.stop:
					return
				case <-time.After(s.pause):
				}
				side := int(s.side.Load())
				no, stmts := buy(c, n)
				if err := inOne(s.ctx, dbs[side], stmts); err != nil {
					s.side.CompareAndSwap(int32(side), int32(1-side))
					continue
				}
				s.answer(side, no)
			}
		})
	}
}

// answer notes that a write was answered.
func (s *switched) answer(side int, no string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answered = append(s.answered, no)
	s.longest, s.lastAnswer = max(s.longest, time.Since(s.lastAnswer)), time.Now()
	s.atSide[side].Add(1)
}

// start types a command.
func (s *switched) start(args ...string) (*exec.Cmd, *bytes.Buffer) {
	s.Helper()
	var out bytes.Buffer
	cmd := exec.CommandContext(s.ctx, "slipway", args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, &out, &out
	dsn := func(user string, x *dbpair.Server) string {
		return user + ":" + dbpair.Password + "@tcp(" + x.Addr + ")/"
	}
	cmd.Env = append(os.Environ(), "SRC="+dsn(switchAccount, s.a), "SRC2="+dsn("slipway_switch", s.b), "DST="+dsn(dbpair.Loader, s.my))
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	return cmd, &out
}

// typed types a command that ends by itself, with a code.
func (s *switched) typed(want int, args ...string) string {
	s.Helper()
	cmd, out := s.start(args...)
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		s.Fatal(err)
	}
	if code := cmd.ProcessState.ExitCode(); code != want {
		s.Fatalf("slipway %q: exit code %d, want %d\n%s", args, code, want, out)
	}
	return out.String()
}

// waits waits until the run waits at a gate.
func (s *switched) waits(run, gate string, carrier *bytes.Buffer) {
	s.Helper()
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		if out := s.typed(exitDone, "gate", "list", run); regexp.MustCompile(`(?m)^` + gate + ` +waiting`).MatchString(out) {
			return
		} else if time.Since(began) > time.Minute {
			s.Fatalf("gate %s isn't open:\n%s\n%s", gate, out, carrier)
		}
	}
}

// sellsAt waits until customers are served at a side, and for some purchases more.
func (s *switched) sellsAt(side int, carrier *bytes.Buffer) {
	s.Helper()
	from := s.atSide[side].Load()
	for began := time.Now(); s.atSide[side].Load() < from+150; time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > 30*time.Second {
			s.Fatalf("nobody is served at side %d; they ask at %d\n%s\n%s", side, s.side.Load(), s.sessions(), carrier)
		}
	}
}

// sells waits for some purchases more, at whichever side.
func (s *switched) sells(carrier *bytes.Buffer) {
	s.Helper()
	from := s.atSide[0].Load() + s.atSide[1].Load()
	for began := time.Now(); s.atSide[0].Load()+s.atSide[1].Load() < from+100; time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > 30*time.Second {
			s.Fatalf("nobody is served; they ask at side %d\n%s\n%s", s.side.Load(), s.sessions(), carrier)
		}
	}
}

// sessions are both sides', for who reads a failure.
func (s *switched) sessions() (out string) {
	for _, x := range []struct {
		server *dbpair.Server
		user   string
	}{{s.a, switchAccount}, {s.b, switchAccount}, {s.my, dbpair.Root}} {
		db := s.open(x.server, x.user, "")
		out += x.server.Name + ": read_only " + strings.Join(every(s.T, db, "SELECT @@global.read_only"), "") + "\n  " +
			strings.Join(every(s.T, db, "SELECT CONCAT_WS(' ', ID, USER, COMMAND, TIME, STATE, INFO) FROM information_schema.PROCESSLIST"), "\n  ") + "\n"
		_ = db.Close() // nothing was written
	}
	return out
}

// same holds when each answered purchase is on both sides and all rows are equal, by an oracle of the test's own.
func (s *switched) same(what string) {
	s.Helper()
	a, y := s.open(s.a, switchAccount, ""), s.open(s.my, dbpair.Root, "") // nobody else may read the source any more
	defer a.Close()
	defer y.Close()
	var there []string
	for _, q := range s.ledgers {
		there = append(there, every(s.T, y, q)...)
	}
	slices.Sort(there)
	lost := 0
	for _, no := range s.answered {
		if _, ok := slices.BinarySearch(there, no); !ok {
			lost++
		}
	}
	rows, tables := 0, every(s.T, a, "SELECT CONCAT(TABLE_SCHEMA, '.', TABLE_NAME) FROM information_schema.TABLES WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA IN ('"+strings.Join(s.schemas, "','")+"')")
	for _, table := range tables {
		if slices.Contains(s.own, table) {
			continue
		}
		one, other := every(s.T, a, "SELECT * FROM "+table), every(s.T, y, "SELECT * FROM "+table)
		slices.Sort(one)
		slices.Sort(other)
		rows += len(one)
		if !slices.Equal(one, other) {
			s.Errorf("%s: table %s isn't the same: %d rows at the source and %d at the target", what, table, len(one), len(other))
		}
	}
	if lost > 0 {
		s.Errorf("%s: %d of %d answered purchases are lost", what, lost, len(s.answered))
	}
	s.Logf("%s: %d purchases answered (%d by the source, %d by the target), none lost; %d rows of %d tables are the same; longest without an answer: %s", what, len(s.answered), s.atSide[0].Load(), s.atSide[1].Load(), rows, len(tables)-len(s.own), s.longest.Round(time.Millisecond))
}

// carry starts run-service.
func (s *switched) carry(run string) (*exec.Cmd, *bytes.Buffer) { return s.start("run-service", run) }

// ended waits for a carrier's end.
func (s *switched) ended(cmd *exec.Cmd, out *bytes.Buffer, want int) {
	s.Helper()
	_ = cmd.Wait() // the code tells
	if code := cmd.ProcessState.ExitCode(); code != want {
		s.Fatalf("run-service ended with %d, want %d\n%s", code, want, out)
	}
}

// TestDBSwitch: a shop that sells all the time, and the sample database's rental shop beside it, are switched to the MySQL, taken back,
// switched again and finalized; the carrier of the run is killed in between. No purchase that was answered is lost, and at the end both
// sides are the same row by row.
func TestDBSwitch(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	s := newSwitched(t, ctx, "shop", sakila.Name)
	s.stock()
	s.sample()
	s.sell(3)
	s.rent(3)
	s.thereBackAndThere()
	// The trigger has fired once for each purchase, on whichever side it was made, and the event on both.
	my := s.open(s.my, dbpair.Root, "shop")
	defer my.Close()
	for query, want := range map[string]string{"SELECT (SELECT SUM(sold) FROM stock) - (SELECT COUNT(*) FROM orders WHERE no NOT LIKE 'old-%')": "0", "SELECT COUNT(DISTINCT server) FROM ticks": "2"} {
		if got := every(t, my, query); len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q, want %s", query, got, want)
		}
	}
	s.rented()
}

// TestDBSwitchSysbench: the same with sysbench's oltp_read_write, in whose transactions a row of a ledger is written, and which
// prints the row's number when its COMMIT was answered.
func TestDBSwitchSysbench(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	s := newSwitched(t, ctx, "sbtest")
	s.sysbench(3)
	s.thereBackAndThere()
}

// db types one of the verbs for the pair.
func (s *switched) db(want int, verb string, more ...string) string {
	s.Helper()
	args := []string{"db", verb, "--source", "env:SRC", "--target", "env:DST"}
	for _, schema := range s.schemas {
		args = append(args, "--schema", schema)
	}
	return s.typed(want, append(args, more...)...)
}

// begin makes the run of a switch, which waits for a carrier then.
func (s *switched) begin() (run string) {
	s.Helper()
	return regexp.MustCompile(`run (\S+), a switch`).FindStringSubmatch(s.db(exitWaiting, "switch", "--standby", "env:SRC2", "--keep", "root"))[1]
}

// thereBackAndThere types the whole way.
func (s *switched) thereBackAndThere() {
	t := s.T
	s.db(exitDone, "copy", "--verify")
	run := s.begin()
	carrier, said := s.carry(run)
	s.waits(run, "go", said)
	if n := s.atSide[1].Load(); n > 0 {
		t.Errorf("%d purchases at the target before it was opened", n)
	}
	if out := s.db(exitDone, "verify"); !strings.Contains(out, "the target has every row that the source has") {
		t.Errorf("verify while it is followed:\n%s", out)
	}
	s.typed(exitDone, "gate", "pass", run, "go", "--why", "the night has come")
	s.waits(run, "finalize", said)
	s.sellsAt(1, said)
	// The carrier is killed; while nobody carries, the shop sells, and what it sells is carried by the next.
	if err := carrier.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = carrier.Wait() // it was killed
	s.sellsAt(1, said)
	carrier, said = s.carry(run)
	s.waits(run, "finalize", said)
	before := s.atSide[0].Load()
	s.sellsAt(1, said)
	if n := s.atSide[0].Load(); n > before {
		t.Errorf("%d purchases at the source while the target is open", n-before)
	}

	// Taken back: the source sells again, with all that was sold at the target.
	s.typed(exitDone, "abort", run, "--why", "the target is slow")
	s.ended(carrier, said, exitRolledBack)
	s.sellsAt(0, said)

	// The second time.
	carrier, said = s.carry(run)
	s.waits(run, "go", said)
	s.sellsAt(0, said)
	s.typed(exitDone, "gate", "pass", run, "go")
	s.waits(run, "finalize", said)
	s.sellsAt(1, said)
	close(s.stop)
	s.writers.Wait()
	s.typed(exitDone, "gate", "pass", run, "finalize", "--why", "it holds")
	s.ended(carrier, said, exitDone)
	s.same("at the end")
	s.typed(exitDone, "journal", "verify", run)
	if _, err := os.Stat(filepath.Join(s.dir, ".slipway", "runs", run, "journal.jsonl")); err != nil {
		t.Error(err)
	}
	t.Log("\n" + strings.TrimSpace(s.typed(exitDone, "status", run)))
}
