//go:build lab

package main

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
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
	"github.com/slipway-dev/slipway/internal/lab/dbtest"
	"github.com/slipway-dev/slipway/internal/lab/sakila"
)

// shopAccount writes on both sides; it is nobody who may write in spite of read_only.
const shopAccount = "shopper"

// switchAccount is Slipway's at the masters.
const switchAccount = "slipway_switch"

// switched is two masters that replicate from each other, the first a desk's MariaDB, and a shop that writes to whichever side lets it.
type switched struct {
	*dbDesk
	b          *dbpair.Server
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
	t.Helper()
	lab := dbtest.Lab(t, "dbswitch")
	a, b, err := dbtest.Circle(ctx, lab, []string{"--gtid-strict-mode=1", "--event-scheduler=ON"}, "--read-only=1")
	if err != nil {
		t.Fatal(err)
	}
	my := dbtest.Server(t, lab.MySQL, "my", dbpair.Options{Args: []string{"--log-bin-trust-function-creators=1", "--event-scheduler=ON"}})
	s := &switched{dbDesk: dbDeskAt(t, ctx, lab, a, my, schemas...), b: b, stop: make(chan struct{}), pause: 20 * time.Millisecond}
	s.set("SRC", a, switchAccount)
	s.set("SRC2", b, switchAccount)
	// The accounts are those that docs/database.md asks for.
	s.do(a, "CREATE USER "+switchAccount+"@'127.0.0.1' IDENTIFIED BY '"+dbpair.Password+"'",
		"GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, DROP, TRIGGER, SHOW VIEW, EVENT, PROCESS, RELOAD, BINLOG MONITOR, BINLOG ADMIN, SLAVE MONITOR, REPLICATION SLAVE, READ_ONLY ADMIN, CONNECTION ADMIN, CREATE USER, SET USER, SUPER ON *.* TO "+switchAccount+"@'127.0.0.1'")
	s.do(my, "GRANT CONNECTION_ADMIN ON *.* TO '"+dbpair.Loader+"'@'127.0.0.1'")
	for _, x := range []*dbpair.Server{a, my} {
		s.do(x, "CREATE USER "+shopAccount+"@'127.0.0.1' IDENTIFIED BY '"+dbpair.Password+"'")
		for _, schema := range schemas {
			s.do(x, "CREATE DATABASE "+schema, "GRANT ALL ON "+schema+".* TO "+shopAccount+"@'127.0.0.1'")
		}
	}
	return s
}

// stock fills the shop that sell sells from.
func (s *switched) stock() {
	s.own, s.ledgers = append(s.own, "shop.ticks"), append(s.ledgers, "SELECT no FROM shop.orders")
	s.do(s.maria, "CREATE TABLE shop.orders (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, no VARCHAR(30) NOT NULL, item INT NOT NULL, UNIQUE (no)) ENGINE=InnoDB",
		"CREATE TABLE shop.stock (id INT NOT NULL PRIMARY KEY, n INT NOT NULL, sold INT NOT NULL DEFAULT 0) ENGINE=InnoDB", "INSERT INTO shop.stock (id, n) SELECT seq, 1000 FROM shop.seq_1_to_1000",
		"INSERT INTO shop.orders (no, item) SELECT CONCAT('old-', seq), 1 + seq % 1000 FROM shop.seq_1_to_5000",
		"CREATE TABLE shop.ticks (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, server BIGINT NOT NULL) ENGINE=InnoDB", "CREATE EVENT shop.tick ON SCHEDULE EVERY 1 SECOND DO INSERT INTO shop.ticks (server) VALUES (@@server_id)",
		"CREATE TRIGGER shop.sell AFTER INSERT ON shop.orders FOR EACH ROW UPDATE stock SET sold = sold + 1 WHERE id = NEW.item")
}

// sell has customers buy.
func (s *switched) sell(customers int) {
	s.serve(customers, s.pause, "shop", func(c, n int) (string, []string) {
		no, item := fmt.Sprintf("c%d-%d", c, n), 1+(n*7+c)%1000
		return no, []string{fmt.Sprintf("INSERT INTO orders (no, item) VALUES ('%s', %d)", no, item), fmt.Sprintf("UPDATE stock SET n = n - 1 WHERE id = %d", item)}
	})
}

// serve has customers buy: each writes where it was let in last, and asks at the other side when it isn't any more. A purchase
// counts when its COMMIT was answered.
func (s *switched) serve(customers int, pause time.Duration, schema string, buy func(c, n int) (no string, stmts []string)) {
	s.lastAnswer = time.Now()
	for c := range customers {
		dbs := s.sides(schema)
		s.writers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-s.stop:
					return
				case <-time.After(pause):
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

// sides are both servers as the shop has them.
func (s *switched) sides(schema string) [2]*sql.DB {
	s.Helper()
	return [2]*sql.DB{dbtest.As(s.T, s.maria, shopAccount, schema), dbtest.As(s.T, s.my, shopAccount, schema)}
}

// answer notes that a write was answered.
func (s *switched) answer(side int, no string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answered = append(s.answered, no)
	s.longest, s.lastAnswer = max(s.longest, time.Since(s.lastAnswer)), time.Now()
	s.atSide[side].Add(1)
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

// pass passes a gate, and waits for the target to come near enough for as long as it is refused for that.
func (s *switched) pass(run, gate string, more ...string) {
	s.Helper()
	for began := time.Now(); ; time.Sleep(500 * time.Millisecond) {
		out, complaints, ended := s.run(append([]string{"gate", "pass", run, gate}, more...)...)
		if ended.ExitCode() == exitDone {
			return
		}
		if !strings.Contains(complaints, " lags by ") || time.Since(began) > 2*time.Minute {
			s.Fatalf("gate %s isn't passed: exit code %d\n%s%s", gate, ended.ExitCode(), out, complaints)
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
	}{{s.maria, switchAccount}, {s.b, switchAccount}, {s.my, dbpair.Root}} {
		db := dbtest.As(s.T, x.server, x.user, "")
		out += x.server.Name + ": read_only " + dbtest.One(s.T, db, "SELECT @@global.read_only") + "\n  " +
			strings.Join(dbtest.Texts(s.T, db, "SELECT CONCAT_WS(' ', ID, USER, COMMAND, TIME, STATE, INFO) FROM information_schema.PROCESSLIST"), "\n  ") + "\n"
	}
	return out
}

// kept holds when each answered purchase is on both sides and all rows are equal, by an oracle of the tests' own.
func (s *switched) kept(what string) {
	s.Helper()
	my := dbtest.Admin(s.T, s.my, "")
	var there []string
	for _, q := range s.ledgers {
		there = append(there, dbtest.Texts(s.T, my, q)...)
	}
	slices.Sort(there)
	lost := 0
	for _, no := range s.answered {
		if _, ok := slices.BinarySearch(there, no); !ok {
			lost++
		}
	}
	if lost > 0 {
		s.Errorf("%s: %d of %d answered purchases are lost", what, lost, len(s.answered))
	}
	rows := s.same(switchAccount, s.own...) // nobody else may read the source any more
	s.Logf("%s: %d purchases answered (%d by the source, %d by the target), %d lost; %d rows are the same; longest without an answer: %s", what, len(s.answered), s.atSide[0].Load(), s.atSide[1].Load(), lost, rows, s.longest.Round(time.Millisecond))
}

// carry starts run-service.
func (s *switched) carry(run string) (*exec.Cmd, *bytes.Buffer) { return s.start("run-service", run) }

// ended waits for a carrier's end.
func (s *switched) ended(cmd *exec.Cmd, out *bytes.Buffer, want int) {
	s.Helper()
	late := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() }) // the code tells
	defer late.Stop()
	_ = cmd.Wait() // the code tells
	if code := cmd.ProcessState.ExitCode(); code != want {
		s.Fatalf("run-service ended with %d, want %d\n%s", code, want, out)
	}
}

// TestDBSwitch: a shop that sells all the time, and the sample database's rental shop beside it, are switched to the MySQL, taken back,
// switched again and finalized; the carrier of the run is killed in between. No purchase that was answered is lost, and at the end both
// sides are the same row by row.
func TestDBSwitch(t *testing.T) {
	s := newSwitched(t, dbtest.Limit(t, 8*time.Minute), "shop", sakila.Name)
	s.stock()
	s.sample()
	s.sell(3)
	s.rent(2)
	s.thereBackAndThere()
	// The trigger has fired once for each purchase, on whichever side it was made, and the event on both.
	my := dbtest.Admin(t, s.my, "shop")
	for query, want := range map[string]string{"SELECT (SELECT SUM(sold) FROM stock) - (SELECT COUNT(*) FROM orders WHERE no NOT LIKE 'old-%')": "0", "SELECT COUNT(DISTINCT server) FROM ticks": "2"} {
		if got := dbtest.One(t, my, query); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	s.rented()
}

// TestDBSwitchSysbench: the same with sysbench's oltp_read_write, in whose transactions a row of a ledger is written, and which
// prints the row's number when its COMMIT was answered.
func TestDBSwitchSysbench(t *testing.T) {
	s := newSwitched(t, dbtest.Limit(t, 8*time.Minute), "sbtest")
	s.sysbench(3)
	s.thereBackAndThere()
}

// db types one of the verbs for both servers.
func (s *switched) db(want int, verb string, more ...string) string {
	s.Helper()
	return s.typed(want, s.verb(verb, more...)...)
}

// begin makes the run of a switch, which waits for a carrier then.
func (s *switched) begin(more ...string) (run string) {
	s.Helper()
	return regexp.MustCompile(`run (\S+), a switch`).FindStringSubmatch(s.db(exitWaiting, "switch", append(more, "--standby", "env:SRC2", "--keep", "root")...))[1]
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
	if out := s.db(exitDone, "status"); !regexp.MustCompile(`(?m)^verified: what was changed since the comparison at \S+, up to \S+; noted \S+ ago$`).MatchString(out) {
		t.Errorf("status doesn't say how far the verification is:\n%s", out)
	}
	s.pass(run, "go", "--why", "the night has come")
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

	// Somebody makes an account there: it is kept off with the others, and let in with them when the target is opened again.
	s.do(s.my, "CREATE USER later@'127.0.0.1' IDENTIFIED BY '"+dbpair.Password+"'")
	laterLocked := func(want string) {
		t.Helper()
		if is := dbtest.One(t, dbtest.Admin(t, s.my, ""), "SELECT account_locked FROM mysql.user WHERE User = 'later'"); is != want {
			t.Errorf("the account that was made while the target was open is locked: %s, want %s", is, want)
		}
	}

	// Taken back: the source sells again, with all that was sold at the target.
	s.typed(exitDone, "abort", run, "--why", "the target is slow")
	s.ended(carrier, said, exitRolledBack)
	s.sellsAt(0, said)
	laterLocked("Y")

	// The second time.
	carrier, said = s.carry(run)
	s.waits(run, "go", said)
	s.sellsAt(0, said)
	s.pass(run, "go")
	s.waits(run, "finalize", said)
	s.sellsAt(1, said)
	laterLocked("N")
	close(s.stop)
	s.writers.Wait()
	s.pass(run, "finalize", "--why", "it holds")
	s.ended(carrier, said, exitDone)
	s.kept("at the end")
	s.typed(exitDone, "journal", "verify", run)
	if _, err := os.Stat(filepath.Join(s.dir, ".slipway", "runs", run, "journal.jsonl")); err != nil {
		t.Error(err)
	}
	t.Log("\n" + strings.TrimSpace(s.typed(exitDone, "status", run)))
}
