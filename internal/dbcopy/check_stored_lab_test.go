//go:build lab

package dbcopy

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/compat"
	"github.com/slipway-dev/slipway/internal/lab/dbpair"
	"github.com/slipway-dev/slipway/internal/lab/dbtest"
	"github.com/slipway-dev/slipway/internal/lab/sakila"
)

// trusting lets accounts without SUPER make functions and triggers at the target, as an instance's flag does.
func trusting(t testing.TB) {
	t.Helper()
	db := admin(t, servers.mysql, "")
	exec(t, db, "SET GLOBAL log_bin_trust_function_creators = ON")
	t.Cleanup(func() { db.ExecContext(context.Background(), "SET GLOBAL log_bin_trust_function_creators = OFF") })
}

// TestCheckStored: routines, triggers and events, each compiled by the target or refused with its reason.
func TestCheckStored(t *testing.T) {
	trusting(t)
	maria, _ := schemas(t, "sto")
	maria.SetMaxOpenConns(1)
	exec(t, maria, "CREATE TABLE a (id INT PRIMARY KEY, x VARCHAR(99))",
		"SET SESSION sql_mode = 'STRICT_TRANS_TABLES,NO_AUTO_CREATE_USER'", "CREATE PROCEDURE fine() SELECT id FROM a", "CREATE FUNCTION one() RETURNS INT DETERMINISTIC RETURN 1",
		"CREATE TRIGGER trg BEFORE INSERT ON a FOR EACH ROW SET NEW.x = UPPER(NEW.x)", "CREATE EVENT ev ON SCHEDULE EVERY 1 SECOND DO DELETE FROM sto.a", "CREATE EVENT ev2 ON SCHEDULE EVERY 1 SECOND DO DELETE FROM sto.a", "SET SESSION sql_mode = ''",
		"CREATE PROCEDURE loops() BEGIN FOR i IN 1..3 DO SELECT i; END FOR; END",
		"CREATE PROCEDURE imm() EXECUTE IMMEDIATE 'SELECT 1'",
		"CREATE PROCEDURE typed() BEGIN DECLARE v TYPE OF a.x; SELECT v; END",
		"CREATE PROCEDURE ret() DELETE FROM a WHERE id = 1 RETURNING id",
		"CREATE FUNCTION fn() RETURNS INT DETERMINISTIC RETURN NVL(NULL, 1)", "CREATE FUNCTION rx() RETURNS VARCHAR(9) DETERMINISTIC RETURN REGEXP_REPLACE('foobar', 'foo\\\\Kbar', 'x')",
		"CREATE AGGREGATE FUNCTION agg(x INT) RETURNS INT DETERMINISTIC BEGIN DECLARE n INT DEFAULT 0; DECLARE CONTINUE HANDLER FOR NOT FOUND RETURN n; LOOP FETCH GROUP NEXT ROW; SET n = n + x; END LOOP; END",
		"SET SESSION sql_mode = 'ORACLE'", "CREATE PACKAGE pk AS FUNCTION f RETURN INT; END", "CREATE PACKAGE BODY pk AS FUNCTION f RETURN INT AS BEGIN RETURN 1; END; END", "CREATE PROCEDURE ora AS BEGIN NULL; END", "SET SESSION sql_mode = ''")
	// An event that is made to be compiled must not run: it might name a schema that is there.
	events, awake := 0, 0
	r := checked(t, CheckOptions{Schemas: []string{"sto"}, Tell: func(what string) {
		if what == "compiling event sto.ev2" {
			if err := admin(t, servers.mysql, "").QueryRow("SELECT COUNT(*), COALESCE(SUM(STATUS <> 'DISABLED'), 0) FROM information_schema.EVENTS WHERE EVENT_SCHEMA = '_slipway_check_1'").Scan(&events, &awake); err != nil {
				t.Error(err)
			}
		}
	}})
	if events != 1 || awake != 0 {
		t.Errorf("%d events were made, %d of them enabled", events, awake)
	}
	const s = compat.Switch
	wantAll(t, r, []finding{
		{"procedure", Rewrite, "", "procedure sto.fine", "it is made after the rows; the target compiles it, its definer root@127.0.0.1 becomes the account that makes it, without NO_AUTO_CREATE_USER in its sql_mode"},
		{"function", Rewrite, "", "function sto.one", "the target compiles it"}, {"trigger", Leave, "", "trigger sto.trg", "it is made at the switch, because what it does is in the log that is followed; the target compiles it"}, {"event", Leave, "", "event sto.ev", "the target compiles it"},
		{"event", Warn, "", "event_scheduler", "begin to run at the switch"},
		{"procedure", Refuse, s, "procedure sto.loops", "doesn't take its text"}, {"procedure", Refuse, s, "procedure sto.imm", "doesn't take its text"}, {"procedure", Refuse, s, "procedure sto.typed", "doesn't take its text"},
		{"procedure", Refuse, s, "procedure sto.ret", "doesn't take its text"},
		{"function", Refuse, s, "function sto.fn", "NVL: MySQL has none"}, {"regular-expression", Refuse, s, "function sto.rx", "ICU"},
		{"function", Refuse, s, "function sto.agg", "aggregate"}, {"package", Refuse, s, "package sto.pk", "no packages"}, {"package body", Refuse, s, "package body sto.pk", "no packages"}, {"procedure", Refuse, s, "procedure sto.ora", "sql_mode=ORACLE"},
	})
	if slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.StopsCopy() }) {
		t.Errorf("a copy is refused: %v", r.Findings)
	}
	// Where nobody without SUPER may make them, that is said, and the target isn't ready for the switch.
	exec(t, admin(t, servers.mysql, ""), "SET GLOBAL log_bin_trust_function_creators = OFF")
	r = checked(t, CheckOptions{Schemas: []string{"sto"}})
	wantAll(t, r, []finding{{"trigger", Refuse, s, "trigger sto.trg", "fix: the target's flag log_bin_trust_function_creators = ON"}, {"event", Leave, "", "event sto.ev", "the target compiles it"}})
}

// TestCheckFunctions: each function of the list is there in MariaDB, as far as 10.11 has it, and not in MySQL.
func TestCheckFunctions(t *testing.T) {
	maria, my := schemas(t, "fun")
	there := 0
	for _, f := range compat.OnlyMariaDB() {
		if _, err := my.ExecContext(t.Context(), "DO `"+f+"`()"); ask.Number(err) != 1305 {
			t.Errorf("MySQL has %s: %v", f, err)
		}
		_, err := maria.ExecContext(t.Context(), "DO "+f+"()")
		if ask.Number(err) != 1305 && ask.Number(err) != 1630 { // no such function
			there++
		}
	}
	if there < len(compat.OnlyMariaDB())/2 {
		t.Errorf("MariaDB has only %d of %d", there, len(compat.OnlyMariaDB()))
	}
}

// TestCheckManySchemas: names of one schema in another's definitions are those of the scratch schemas, and a schema that
// isn't checked isn't reached.
func TestCheckManySchemas(t *testing.T) {
	schemas(t, "one")
	maria, _ := schemas(t, "two")
	exec(t, maria, "CREATE TABLE one.p (id INT PRIMARY KEY)", "CREATE TABLE two.c (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES one.p (id))", "CREATE TABLE two.two (id INT PRIMARY KEY)", "CREATE VIEW two.same AS SELECT two.id FROM two.two AS two", "CREATE VIEW two.v AS SELECT c.id FROM two.c AS c JOIN one.p ON p.id = c.p")
	r := checked(t, CheckOptions{Schemas: []string{"one", "two"}})
	if r.Refused() || r.Objects.Compiled != 5 || r.Objects.Tables != 3 || r.Objects.Views != 2 {
		t.Errorf("%+v", r)
	}
	r = checked(t, CheckOptions{Schemas: []string{"two"}})
	wantAll(t, r, []finding{{"compile", Refuse, compat.Copy, "view two.v", "one"}})
}

// TestCheckScratch: what a killed check left is dropped by the next; what is somebody's is left; one check at a time.
func TestCheckScratch(t *testing.T) {
	maria, my := schemas(t, "scr")
	exec(t, maria, "CREATE TABLE a (id INT PRIMARY KEY)")
	exec(t, my, "CREATE DATABASE _slipway_check_1", "CREATE TABLE _slipway_check_1._slipway_scratch (made DATETIME)", "CREATE TABLE _slipway_check_1.a (id INT)", "CREATE DATABASE _slipway_check_3",
		"CREATE DATABASE _slipway_check_2", "CREATE TABLE _slipway_check_2.theirs (id INT)", "CREATE DATABASE _slipway_check_mine")
	t.Cleanup(func() {
		db := admin(t, servers.mysql, "")
		for _, s := range []string{"_slipway_check_2", "_slipway_check_mine"} {
			if _, err := db.ExecContext(context.Background(), "DROP DATABASE "+s); err != nil {
				t.Error(err)
			}
		}
	})
	o := CheckOptions{Schemas: []string{"scr"}}
	r, err := Check(t.Context(), testSource(), testTarget(), o)
	if err != nil || !slices.Equal(r.Swept, []string{"_slipway_check_1", "_slipway_check_3"}) {
		t.Errorf("swept %q, %v", r.Swept, err)
	}
	if left := scratchLeft(t); !slices.Equal(left, []string{"_slipway_check_2", "_slipway_check_mine"}) {
		t.Errorf("left: %q", left)
	}
	// Interrupted in the middle of a statement, which costs it its connection: its schemas are dropped all the same.
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	held, err := my.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	seen := false
	o.Tell = func(what string) {
		if !seen && strings.HasPrefix(what, "compiling") {
			seen = slices.Contains(scratchLeft(t), "_slipway_check_1")
			exec(t, held, "LOCK INSTANCE FOR BACKUP") // definitions wait
			time.AfterFunc(300*time.Millisecond, func() {
				stop()
				if _, err := held.ExecContext(context.Background(), "UNLOCK INSTANCE"); err != nil {
					t.Error(err)
				}
			})
		}
	}
	if _, err := Check(ctx, testSource(), testTarget(), o); err == nil || !seen {
		t.Errorf("interrupted: %v; it had a schema: %v", err, seen)
	}
	if left := scratchLeft(t); !slices.Equal(left, []string{"_slipway_check_2", "_slipway_check_mine"}) {
		t.Errorf("left by an interrupted one: %q", left)
	}
	// While one runs, another is refused and drops nothing of it.
	o.Tell = func(what string) {
		if strings.HasPrefix(what, "compiling") {
			if _, err := Check(t.Context(), testSource(), testTarget(), CheckOptions{Schemas: o.Schemas}); err == nil || !strings.Contains(err.Error(), "another check uses this target") {
				t.Errorf("a second one: %v", err)
			}
		}
	}
	if r, err := Check(t.Context(), testSource(), testTarget(), o); err != nil || r.Refused() {
		t.Errorf("%v, %v", r.Findings, err)
	}
}

// TestCheckQueries: what the target doesn't prepare, what loses its key, what can't be judged.
func TestCheckQueries(t *testing.T) {
	ctx := deadline(t, 5*time.Minute)
	s := dbtest.Server(t, servers.lab.MariaDB, "digests", dbpair.Options{Args: []string{"--performance-schema=ON"}})
	schemas(t, "que")
	db := admin(t, s, "")
	db.SetMaxOpenConns(1)
	exec(t, db, "CREATE DATABASE que", "USE que", "CREATE TABLE a (id INT PRIMARY KEY, x VARCHAR(20), n INT, KEY x (x), KEY n (n))", "CREATE TABLE g (id INT AUTO_INCREMENT PRIMARY KEY, p POINT NOT NULL, SPATIAL KEY (p))",
		"INSERT INTO a SELECT seq, seq, seq FROM seq_1_to_2000", "INSERT INTO g (p) SELECT POINT(seq, seq) FROM seq_1_to_2000", "CREATE TABLE gone (id INT)")
	queries := []string{"SELECT COUNT(*), MAX(x) FROM a WHERE x = 'v17' AND id IN (1, 2, 3)", "SELECT * FROM a WHERE n > 5 ORDER BY id LIMIT 3, 4", "INSERT INTO a VALUES (5001, 'x', 1), (5002, 'y', 2)", "INSERT INTO a (id, x) VALUES (5003, 'x')",
		"UPDATE a SET x = CONCAT('a', 'b', 'c') WHERE id = 1", "DELETE FROM a WHERE id = 2 RETURNING id", "SELECT JSON_DETAILED('{}') FROM a LIMIT 1", "SELECT id FROM a WHERE x = 'hunter2' LIMIT 1 OFFSET 2", "SELECT * FROM gone",
		"SELECT id FROM g WHERE MBRContains(ST_GeomFromText('POLYGON((0 0, 0 5, 5 5, 5 0, 0 0))'), p)", "WITH RECURSIVE c AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM c WHERE n < 3) SELECT * FROM c", "SELECT x, n FROM a GROUP BY x",
		"SELECT * FROM a WHERE id = 17", "SELECT a.id FROM que.a AS a JOIN que.g AS g ON g.id = a.id WHERE a.n BETWEEN 3 AND 4", "SELECT NVL(x, 'a') FROM a WHERE id = 3", "SELECT COUNT(*) FROM seq_1_to_10"}
	for _, q := range queries {
		rows, err := db.QueryContext(ctx, q)
		if err != nil {
			t.Fatalf("%s: %v", q, err)
		}
		for rows.Next() {
		}
		rows.Close()
	}
	exec(t, db, "DROP TABLE gone")
	src := NewSource(endpoint(s, dbpair.Reader))
	slow := "# Time: 261123  8:00:01\n# User@Host: x[x] @ h []\n# Thread_id: 9  Schema: que  QC_hit: No\n" + strings.Join(queries, ";\n# User@Host: x[x] @ h []\n# Thread_id: 9  Schema: que  QC_hit: No\n") + ";\n"
	for _, from := range []string{"performance_schema", "slow log"} {
		o := CheckOptions{Schemas: []string{"que"}}
		if from == "slow log" {
			o.SlowLog = strings.NewReader(slow)
		}
		r, err := Check(ctx, src, testTarget(), o)
		if err != nil {
			t.Fatal(err)
		}
		var failed, lost []string
		for _, f := range r.Findings {
			switch f.Check {
			case "query":
				failed = append(failed, f.String())
			case "query-index":
				lost = append(lost, f.String())
			}
			if strings.Contains(f.String(), "hunter2") {
				t.Errorf("%s: a literal is shown: %s", from, f)
			}
		}
		slices.Sort(failed)
		for i, want := range []string{"RETURNING", "JSON_DETAILED", "NVL", "GROUP BY", "seq_1_to_10"} {
			if !slices.ContainsFunc(failed, func(f string) bool {
				return strings.Contains(f, want) && strings.Contains(f, "the target doesn't take it")
			}) {
				t.Errorf("%s: query %d with %s isn't among the failed:\n  %s", from, i, want, strings.Join(failed, "\n  "))
			}
		}
		if len(failed) != 5 || r.Queries.Failed != 5 {
			t.Errorf("%s: %d failed (%d counted):\n  %s", from, len(failed), r.Queries.Failed, strings.Join(failed, "\n  "))
		}
		// A digest doesn't say which polygon it was, and no text of the program's own is one: both refuse to explain it.
		if from == "performance_schema" {
			if lost != nil {
				t.Errorf("lost keys: %q", lost)
			}
		} else if len(lost) != 1 || !strings.Contains(lost[0], "rows of g up by key p (range)") || r.Queries.LostIndex != 1 {
			t.Errorf("%s: lost keys: %q", from, lost)
		}
		unjudged := map[string]int{"slow log": 1, "performance_schema": 3}[from] // what is gone; and two that fill the tables, which the account may not prepare at the source
		if q := r.Queries; q.From != from || q.Tried < len(queries) || q.NotJudged != unjudged || q.Explained < 5 {
			t.Errorf("%s: %+v", from, q)
		}
		t.Logf("%s: %+v", from, r.Queries)
	}
	var n int
	if err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM que.a").Scan(&n); err != nil || n != 2002 {
		t.Errorf("the source has %d rows, %v", n, err)
	}
}

// TestCheckSakila: a sample that others made, and a small one, with views over views, triggers, routines with a DEFINER, ENUM, SET and
// full text; the first has geometry too.
func TestCheckSakila(t *testing.T) {
	trusting(t)
	for _, c := range []struct {
		name                  string
		load                  func(testing.TB)
		tables, views, stored int
	}{{"rental", loadRental, 4, 2, 4}, {sakila.Name, loadSakila, 16, 7, 12}} {
		schemas(t, c.name)
		c.load(t)
		r := checked(t, CheckOptions{Schemas: []string{c.name}})
		if r.Refused() {
			t.Errorf("%s: refused: %v", c.name, r.Findings)
		}
		if o := r.Objects; o.Tables != c.tables || o.Views != c.views || o.Stored != c.stored || o.Compiled != c.tables+c.views+c.stored {
			t.Errorf("%s: %+v, %v", c.name, o, r.Findings)
		}
		if c.name == sakila.Name {
			wantAll(t, r, []finding{{"geometry", Warn, "", "table sakila.address, location", ""}})
		}
	}
}

// loadRental fills the small sample's schema, which is there.
func loadRental(t testing.TB) {
	t.Helper()
	text, err := os.ReadFile("testdata/rental.sql")
	if err != nil {
		t.Fatal(err)
	}
	db := admin(t, servers.maria, "rental")
	db.SetMaxOpenConns(1)
	exec(t, db, sakila.Cut(string(text))...)
	exec(t, db, "INSERT INTO country (name) VALUES ('Österreich'), ('Italien')", "INSERT INTO customer (country, name, made) VALUES (1, 'müller', NOW()), (2, 'huber', NOW())")
}

func loadSakila(t testing.TB) {
	t.Helper()
	if err := sakila.Load(t.Context(), servers.maria); err != nil {
		t.Fatal(err)
	}
}
