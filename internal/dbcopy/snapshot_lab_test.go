//go:build lab

package dbcopy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/binlog"
	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/compat"
	"github.com/slipway-dev/slipway/internal/lab/dbpair"
	"github.com/slipway-dev/slipway/internal/lab/dbtest"
	"github.com/slipway-dev/slipway/internal/secret"
	"github.com/slipway-dev/slipway/internal/snapshot"
)

// TestSnapshotUnderWrites takes snapshots while writers move money between accounts, each movement with an entry in a
// ledger, and note the GTID of each. A snapshot is right when the money adds up, each account is what the ledger makes
// of it, and the ledger has exactly the movements up to the snapshot's GTID position: no later one, none missing.
func TestSnapshotUnderWrites(t *testing.T) {
	maria, _ := schemas(t, "bank")
	const accounts, start = 50, 1000
	exec(t, maria, "CREATE TABLE account (id INT PRIMARY KEY, amount INT NOT NULL)", "CREATE TABLE ledger (id BIGINT AUTO_INCREMENT PRIMARY KEY, a INT, b INT, n INT)",
		fmt.Sprintf("INSERT INTO account SELECT seq, %d FROM seq_1_to_%d", start, accounts))
	type entry struct{ id, seq uint64 }
	ctx, stop := context.WithCancel(t.Context())
	var mu sync.Mutex
	var noted []entry
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(3, uint64(w)))
			c, err := maria.Conn(ctx)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			for ctx.Err() == nil {
				a, b := 1+r.IntN(accounts), 1+r.IntN(accounts)
				n := r.IntN(100)
				var gtid string
				var id uint64
				for _, s := range []string{"START TRANSACTION", fmt.Sprintf("SELECT 1 FROM account WHERE id IN (%d,%d) FOR UPDATE", a, b), fmt.Sprintf("UPDATE account SET amount = amount - %d WHERE id = %d", n, a),
					fmt.Sprintf("UPDATE account SET amount = amount + %d WHERE id = %d", n, b), fmt.Sprintf("INSERT INTO ledger (a, b, n) VALUES (%d, %d, %d)", a, b, n), "COMMIT"} {
					if _, err = c.ExecContext(context.Background(), s); err != nil {
						break
					}
				}
				if ask.Number(err) == 1213 { // deadlock
					continue
				}
				if err == nil {
					err = c.QueryRowContext(context.Background(), "SELECT @@last_gtid, LAST_INSERT_ID()").Scan(&gtid, &id)
				}
				g, perr := binlog.ParseGTID(gtid)
				if err != nil || perr != nil {
					t.Error(err, perr)
					return
				}
				mu.Lock()
				noted = append(noted, entry{id, g.Seq})
				mu.Unlock()
			}
		})
	}
	defer func() { stop(); wg.Wait() }()
	type taken struct {
		pos     snapshot.Position
		ledger  map[uint64][3]int
		amounts map[int]int
		conns   int
	}
	var all []taken
	for i := range 8 {
		time.Sleep(150 * time.Millisecond)
		art := take(t, Options{Schemas: []string{"bank"}, Connections: 1 + i%3, ChunkBytes: 1000})
		cat, err := OpenCatalog(art)
		if err != nil {
			t.Fatal(err)
		}
		s := taken{pos: *art.Manifest.Position, ledger: map[uint64][3]int{}, amounts: map[int]int{}, conns: cat.Server.Connections}
		for _, table := range cat.Schemas[0].Tables {
			for _, c := range table.Chunks {
				if c.File == "" {
					continue
				}
				readFile(t, art, c.File, len(table.Columns), func(v [][]byte) error {
					n := make([]int, len(v))
					for i := range v {
						if n[i], err = strconv.Atoi(string(v[i])); err != nil {
							return err
						}
					}
					if table.Name == "account" {
						s.amounts[n[0]] = n[1]
					} else {
						s.ledger[uint64(n[0])] = [3]int{n[1], n[2], n[3]}
					}
					return nil
				})
			}
		}
		all = append(all, s)
	}
	stop()
	wg.Wait()
	for i, s := range all {
		sum, want := 0, map[int]int{}
		for id := 1; id <= accounts; id++ {
			want[id] = start
		}
		for _, e := range s.ledger {
			want[e[0]] -= e[2]
			want[e[1]] += e[2]
		}
		for id, a := range s.amounts {
			sum += a
			if a != want[id] {
				t.Errorf("snapshot %d: account %d has %d, its ledger says %d", i, id, a, want[id])
			}
		}
		if sum != accounts*start || len(s.amounts) != accounts {
			t.Errorf("snapshot %d: the money adds up to %d in %d accounts", i, sum, len(s.amounts))
		}
		last := s.pos.GTID.Last()
		if len(last) != 1 {
			t.Fatalf("position %s", s.pos.GTID)
		}
		later := 0
		for _, e := range noted {
			if _, in := s.ledger[e.id]; in != (e.seq <= last[0].Seq) {
				t.Errorf("snapshot %d at %s: transaction %d is in it: %v", i, s.pos.GTID, e.seq, in)
			}
			if e.seq > last[0].Seq {
				later++
			}
		}
		t.Logf("snapshot %d: %d connections at %s, %s: %d movements in it, %d after it", i, s.conns, s.pos.File, s.pos.GTID, len(s.ledger), later)
		if i > 0 {
			if o, err := all[i-1].pos.GTID.Compare(s.pos.GTID); err != nil || o == binlog.After {
				t.Errorf("positions go from %s to %s: %v, %v", all[i-1].pos.GTID, s.pos.GTID, o, err)
			}
		}
	}
	if len(noted) < 100 {
		t.Errorf("only %d movements: the writers hardly wrote", len(noted))
	}
}

func readFile(t testing.TB, art *snapshot.Artifact, name string, columns int, do func([][]byte) error) {
	t.Helper()
	f, err := art.File(name)
	if err != nil {
		t.Fatal(err)
	}
	r, err := art.Read(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := eachRow(r, columns, do); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, r); n != 0 || err != nil {
		t.Fatal(n, err)
	}
}

// TestDefinitionsHeld: while a snapshot is read, nobody changes a definition under it: not by ALTER, and not by renaming
// two tables crosswise, which no server would notice.
func TestDefinitionsHeld(t *testing.T) {
	maria, _ := schemas(t, "held")
	exec(t, maria, "CREATE TABLE a (id INT PRIMARY KEY, x INT)", "CREATE TABLE b (id INT PRIMARY KEY, x INT)", "INSERT INTO a VALUES (1,1)", "INSERT INTO b VALUES (1,2),(2,2)")
	src := testSource()
	sv, err := src.Survey(t.Context(), []string{"held"})
	if err != nil {
		t.Fatal(err)
	}
	// A definition that changed since it was first looked at: it is looked at again.
	exec(t, maria, "ALTER TABLE a ADD COLUMN y INT")
	v, err := src.begin(t.Context(), &sv, Options{Schemas: []string{"held"}, Connections: 2})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(sv.Catalog.Schemas[0].Tables[0].Columns); n != 3 {
		t.Errorf("the catalog has %d columns of a, want 3", n)
	}
	for _, ddl := range []string{"ALTER TABLE a ADD COLUMN z INT", "RENAME TABLE a TO c, b TO a, c TO b", "TRUNCATE TABLE b", "DROP TABLE b"} {
		c, err := maria.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		exec(t, c, "SET lock_wait_timeout = 1")
		if _, err := c.ExecContext(t.Context(), ddl); ask.Number(err) != lockWaitTimeout {
			t.Errorf("%s went through under a snapshot: %v", ddl, err)
		}
		c.Close()
	}
	v.close()
	exec(t, maria, "ALTER TABLE a ADD COLUMN z INT") // and afterwards they may
	// A DDL that is under way holds us up, and we say so instead of waiting for ever.
	c, err := maria.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	exec(t, c, "LOCK TABLES a WRITE")
	if _, err := src.begin(t.Context(), &sv, Options{Schemas: []string{"held"}, Connections: 1}); ask.Number(err) != lockWaitTimeout || !strings.Contains(err.Error(), "`held`.`a`") {
		t.Errorf("with a locked: %v", err)
	}
}

// TestArtifactAltered: an altered or missing file is found before any of its rows is committed.
func TestArtifactAltered(t *testing.T) {
	maria, my := schemas(t, "altered")
	exec(t, maria, "CREATE TABLE a (id INT PRIMARY KEY, x VARCHAR(100))", "INSERT INTO a SELECT seq, REPEAT(seq, 10) FROM seq_1_to_1000")
	art := take(t, Options{Schemas: []string{"altered"}, ChunkBytes: 1 << 20})
	if len(art.Manifest.Files) != 1 {
		t.Fatal(art.Manifest.Files)
	}
	path := filepath.Join(art.Path(), art.Manifest.Files[0].Name)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"cut": good[:len(good)-1], "altered at its end": append(slices.Clone(good[:len(good)-1]), good[len(good)-1]^1), "longer": append(slices.Clone(good), 0)} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := testTarget().Load(t.Context(), art, testOwner, LoadOptions{})
		if !errors.Is(err, snapshot.ErrDamaged) || !strings.Contains(err.Error(), "table altered.a") {
			t.Errorf("%s: %v", name, err)
		}
		var n int
		if err := my.QueryRow("SELECT COUNT(*) FROM a").Scan(&n); err != nil || n != 0 {
			t.Errorf("%s: %d rows were committed, %v", name, n, err)
		}
	}
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	load1(t, art, LoadOptions{})
}

// TestSourceRefused: what makes a snapshot impossible or wrong is refused, all of it at once, with the statement that
// mends it.
func TestSourceRefused(t *testing.T) {
	maria, _ := schemas(t, "bad")
	exec(t, maria, "CREATE TABLE m (id INT PRIMARY KEY) ENGINE=MyISAM", "CREATE TABLE ar (id INT PRIMARY KEY) ENGINE=Aria", "CREATE TABLE v (id INT PRIMARY KEY) WITH SYSTEM VERSIONING",
		"CREATE SEQUENCE s", "CREATE TABLE n (id INT PRIMARY KEY DEFAULT NEXTVAL(s))", "CREATE TABLE h (t TEXT, UNIQUE (t))", "CREATE TABLE y (y YEAR(2))", "CREATE TABLE d (d DECIMAL(38,38))",
		"CREATE TABLE nopad (x VARCHAR(9)) COLLATE latin1_swedish_nopad_ci", "CREATE TABLE ok (id INT PRIMARY KEY)",
		"CREATE TRIGGER tr BEFORE INSERT ON ok FOR EACH ROW SET NEW.id = 1", "CREATE PROCEDURE p() SELECT 1", "CREATE FUNCTION f() RETURNS INT DETERMINISTIC RETURN 1", "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO SELECT 1")
	store, err := snapshot.At(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	_, err = testSource().Take(t.Context(), store, testRun, Options{Schemas: []string{"bad", "absent"}})
	var r *RefusedError
	if !errors.As(err, &r) {
		t.Fatal(err)
	}
	for _, want := range []string{"table bad.m: its engine is MyISAM", "ALTER TABLE `m` ENGINE=InnoDB", "table bad.ar: its engine is Aria", "table bad.v: the table keeps its rows' history", "sequence bad.s: MySQL has no sequence",
		"table bad.n, id: its default takes numbers from a sequence", "table bad.h, t: a unique key over a hash", "table bad.y, y: MySQL has no YEAR(2)", "table bad.d, d: MySQL keeps at most 30 digits", "no collation latin1_swedish_nopad_ci",
		"schema absent: the server has no such schema"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("not said: %s", want)
		}
	}
	if strings.Contains(err.Error(), "bad.ok") {
		t.Error("what is right is refused too")
	}
	if e, err := store.Look(t.Context(), testRun, snapshot.MariaDB); err != nil || e.State != snapshot.Absent {
		t.Errorf("something was left: %v, %v", e.State, err)
	}
	exec(t, maria, "DROP TABLE m, ar, v, n, h, y, d, nopad", "DROP SEQUENCE s")
	out, err := testSource().Take(t.Context(), store, testRun, Options{Schemas: []string{"bad"}})
	want := []string{"trigger bad.tr", "event bad.e"}
	if err != nil || !slices.Equal(out.LeftOut, want) || out.Routines != 2 {
		t.Errorf("left out %q, want %q; %d routines; %v", out.LeftOut, want, out.Routines, err)
	}
}

// TestReaderLacks: with fewer privileges the server shows less, as if it were all. Each missing one is named.
func TestReaderLacks(t *testing.T) {
	maria, _ := schemas(t, "lacks")
	exec(t, maria, "CREATE TABLE a (id INT PRIMARY KEY)", "CREATE OR REPLACE USER poor@'127.0.0.1' IDENTIFIED BY '"+dbpair.Password+"'")
	t.Cleanup(func() { admin(t, servers.maria, "").ExecContext(context.Background(), "DROP USER poor@'127.0.0.1'") })
	grants := []string{"SELECT", "SHOW VIEW", "TRIGGER", "EVENT"}
	for i, lack := range append(grants, "SLAVE MONITOR", "mysql.proc", "") {
		exec(t, maria, "REVOKE ALL PRIVILEGES, GRANT OPTION FROM poor@'127.0.0.1'", "GRANT PROCESS, BINLOG MONITOR ON *.* TO poor@'127.0.0.1'")
		for k, g := range grants {
			if k != i {
				exec(t, maria, "GRANT "+g+" ON lacks.* TO poor@'127.0.0.1'")
			}
		}
		if lack != "SLAVE MONITOR" {
			exec(t, maria, "GRANT SLAVE MONITOR ON *.* TO poor@'127.0.0.1'")
		}
		if lack != "mysql.proc" {
			exec(t, maria, "GRANT SELECT ON mysql.proc TO poor@'127.0.0.1'")
		}
		sv, err := NewSource(endpoint(servers.maria, "poor")).Survey(t.Context(), []string{"lacks"})
		if err != nil {
			t.Fatalf("without %q: %v", lack, err)
		}
		err = sv.Refused()
		if lack == "" {
			if err != nil {
				t.Errorf("with all of them: %v", err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), "GRANT ") || !strings.Contains(err.Error(), lack) {
			t.Errorf("without %s: %v", lack, err)
		}
	}
}

// TestServerSettings: a log that is off or lacks what is replicated, and a replica that stands still, are refused.
func TestServerSettings(t *testing.T) {
	ctx := deadline(t, 3*time.Minute)
	s := dbtest.Server(t, servers.lab.MariaDB, "odd", dbpair.Options{Args: []string{"--skip-log-bin", "--skip-log-slave-updates", "--binlog-format=MIXED"}})
	db := admin(t, s, "")
	exec(t, db, "CREATE DATABASE odd", "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_USER='x', MASTER_PASSWORD='y'")
	sv, err := NewSource(endpoint(s, dbpair.Reader)).Survey(ctx, []string{"odd"})
	if err != nil {
		t.Fatal(err)
	}
	err = sv.Refused()
	for _, want := range []string{"the binary log is off", "isn't in this server's own log", "it isn't running"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("not said: %s (%v)", want, err)
		}
	}
	if !slices.ContainsFunc(sv.Findings, func(f Finding) bool {
		return f.Severity == Refuse && f.Stops == compat.Follow && f.Object == "binlog_format"
	}) {
		t.Errorf("no refusal of the follow for the binlog format: %v", sv.Findings)
	}
}

// TestLogin: a wrong password, a server that isn't there and one that is no MariaDB are told apart, and no message has
// the password.
func TestLogin(t *testing.T) {
	const wrong = "hunter2-is-wrong"
	e := endpoint(servers.maria, dbpair.Reader)
	e.Password = secret.New(wrong)
	_, err := NewSource(e).Survey(t.Context(), []string{"x"})
	if !errors.Is(err, ErrLogin) || strings.Contains(err.Error(), wrong) || !strings.Contains(err.Error(), "maria") {
		t.Errorf("wrong password at the source: %v", err)
	}
	e = endpoint(servers.mysql, dbpair.Loader)
	e.Password = secret.New(wrong)
	if _, err := NewTarget(e).Look(t.Context(), nil); !errors.Is(err, ErrLogin) || strings.Contains(err.Error(), wrong) {
		t.Errorf("wrong password at the target: %v", err)
	}
	e.Addr = "127.0.0.1:1"
	if _, err := NewTarget(e).Look(t.Context(), nil); !errors.Is(err, ErrLost) {
		t.Errorf("nobody there: %v", err)
	}
	sv, err := NewSource(endpoint(servers.mysql, dbpair.Loader)).Survey(t.Context(), []string{"x"})
	if err == nil {
		err = sv.Refused()
	}
	if err == nil || !strings.Contains(err.Error(), "no MariaDB") {
		t.Errorf("a MySQL as the source: %v", err)
	}
}

// TestSetOf64: the last label's bit is the highest of 64, which a signed number and a DOUBLE don't have.
func TestSetOf64(t *testing.T) {
	maria, my := schemas(t, "sets")
	var labels []string
	for i := range 64 {
		labels = append(labels, fmt.Sprintf("'l%d'", i))
	}
	exec(t, maria, "CREATE TABLE s (id INT PRIMARY KEY, v SET("+strings.Join(labels, ",")+"))",
		"INSERT INTO s VALUES (1, 18446744073709551615), (2, 9223372036854775808), (3, 9223372036854775809), (4, 1), (5, 0), (6, NULL), (7, 9007199254740993)")
	load1(t, take(t, Options{Schemas: []string{"sets"}}), LoadOptions{})
	if n := dbtest.Equal(t, maria, my, "s", "id", "v"); n != 7 {
		t.Errorf("%d rows", n)
	}
	if c, err := Compare(t.Context(), testSource(), testTarget(), CompareOptions{Schemas: []string{"sets"}}); err != nil || !c.Same() {
		t.Errorf("%+v, %v", c, err)
	}
}
