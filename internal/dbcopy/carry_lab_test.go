//go:build lab

package dbcopy

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy/compat"
	"github.com/slipway-dev/slipway/internal/dbcopy/objects"
	"github.com/slipway-dev/slipway/internal/lab/dbpair"
	"github.com/slipway-dev/slipway/internal/lab/dbtest"
	"github.com/slipway-dev/slipway/internal/lab/sakila"
)

// carried has objects of every kind, in a schema whose collation isn't the target's default: made in other character sets, in modes
// that change how the text reads, in an order in which none could be made.
func carried(t testing.TB, maria *sql.DB) {
	t.Helper()
	maria.SetMaxOpenConns(1)
	exec(t, maria,
		"CREATE TABLE a (id INT AUTO_INCREMENT PRIMARY KEY, x VARCHAR(99), KEY x (x))", "CREATE TABLE log (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(200))", "INSERT INTO a (x) VALUES ('one'), ('zwölf'), (NULL)",
		"CREATE FUNCTION twice(n INT UNSIGNED, s VARCHAR(20)) RETURNS VARCHAR(60) CHARSET utf8mb4 DETERMINISTIC NO SQL COMMENT 'it''s; one' RETURN CONCAT(s, n * 2, '\\'', \"q\")",
		// Its variable has the schema's collation: with another it can't be compared with the column.
		"CREATE FUNCTION has(s VARCHAR(99)) RETURNS INT READS SQL DATA BEGIN DECLARE v VARCHAR(99); DECLARE n INT; SET v = s; SELECT COUNT(*) INTO n FROM a WHERE a.x = v; RETURN n; END",
		"CREATE FUNCTION none() RETURNS BIGINT(20) UNSIGNED READS SQL DATA RETURN has('nobody')", "CREATE PROCEDURE add_one(IN s VARCHAR(99), OUT n INT) SQL SECURITY INVOKER BEGIN INSERT INTO a (x) VALUES (s); SELECT COUNT(*) INTO n FROM a; END",
		"SET SESSION sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT,NO_AUTO_CREATE_USER'", `CREATE FUNCTION "od d"() RETURNS VARCHAR(20) CHARSET utf8mb4 DETERMINISTIC RETURN 'a' || 'b'`, "SET SESSION sql_mode = ''",
		"SET NAMES latin1 COLLATE latin1_german1_ci", "CREATE FUNCTION umlaut() RETURNS VARCHAR(20) CHARSET utf8mb4 DETERMINISTIC RETURN 'gr\xfcn'", "SET NAMES utf8mb4",
		"CREATE VIEW b_first AS SELECT id, x, twice(id, x) AS t FROM a", "CREATE VIEW a_second AS SELECT id, t, has(x) AS h FROM b_first",
		"CREATE TRIGGER z BEFORE INSERT ON a FOR EACH ROW SET NEW.x = CONCAT(NEW.x, '-z')", "CREATE TRIGGER y BEFORE INSERT ON a FOR EACH ROW FOLLOWS z SET NEW.x = CONCAT(NEW.x, '-y')",
		"CREATE TRIGGER b BEFORE INSERT ON car.a FOR EACH ROW PRECEDES z BEGIN /* first; */ SET NEW.x = CONCAT(NEW.x, '-b'); END", "CREATE TRIGGER l AFTER DELETE ON a FOR EACH ROW INSERT INTO log (what) VALUES (CONCAT(OLD.id, ' gone'))",
		"SET time_zone = '+05:00'", "CREATE EVENT runs ON SCHEDULE EVERY 1 SECOND COMMENT 'ENABLE; DO' DO INSERT INTO log (what) VALUES ('event')", "CREATE EVENT sleeps ON SCHEDULE EVERY '1:30' HOUR_MINUTE STARTS '2020-01-01 01:02:03' ENDS '2037-01-01' ON COMPLETION PRESERVE DISABLE DO DELETE FROM log",
		"CREATE EVENT later ON SCHEDULE AT '2037-05-05 05:05:05' DO DELETE FROM log",
		"CREATE EVENT passed ON SCHEDULE AT NOW() + INTERVAL 1 SECOND DO DELETE FROM log", "SET time_zone = '+00:00'") // the source's scheduler is off: it stays there
}

func made(t testing.TB, set objects.Set, part objects.Part) objects.Made {
	t.Helper()
	m, err := testTarget().MakeObjects(t.Context(), set, part, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func set(t testing.TB, schema string) objects.Set {
	t.Helper()
	s, err := testSource().Objects(t.Context(), []string{schema})
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(s)
	var back objects.Set // as a journal gives it back
	if err := errors.Join(err, json.Unmarshal(b, &back)); err != nil || !reflect.DeepEqual(back, s) {
		t.Fatalf("through JSON it is another: %v", err)
	}
	return back
}

// TestCarryObjects: after the copy views, functions and procedures give the same on both sides. Triggers and events are not there until
// they are made; then they do what they do at the source; they can be dropped and made again.
func TestCarryObjects(t *testing.T) {
	trusting(t)
	maria, my := schemas(t, "car")
	exec(t, my, "ALTER DATABASE car COLLATE utf8mb4_0900_ai_ci") // as a schema is that was made for it
	carried(t, maria)
	exec(t, maria, "CREATE USER shop@'%' IDENTIFIED BY 'x'", "GRANT SELECT, EXECUTE, DELETE HISTORY ON car.* TO shop@'%'", "GRANT EXECUTE ON FUNCTION car.none TO shop@'%'")
	t.Cleanup(func() {
		if _, err := maria.ExecContext(context.Background(), "DROP USER shop@'%'"); err != nil {
			t.Error(err)
		}
	})
	got := copyAll(t, small("car", true))
	want := []string{"function car.has", "function car.none", "function car.od d", "function car.twice", "function car.umlaut", "procedure car.add_one"}
	if !slices.Equal(got.Objects, want) || len(got.NotMade) > 0 || got.Views != 2 || !slices.Equal(got.LeftOut, []string{"trigger car.l", "trigger car.b", "trigger car.z", "trigger car.y", "event car.later", "event car.passed", "event car.runs", "event car.sleeps"}) {
		t.Errorf("%+v", got)
	}
	if !slices.Contains(got.Grants, "GRANT EXECUTE, SELECT ON `car`.* TO 'shop'@'%'") || !slices.Contains(got.Grants, "GRANT EXECUTE ON FUNCTION `car`.`none` TO 'shop'@'%'") || strings.Contains(strings.Join(got.Grants, " "), "slipway") {
		t.Errorf("grants: %q", got.Grants)
	}
	if again := copyAll(t, small("car", true)); !again.Already || !slices.Equal(again.Objects, want) {
		t.Errorf("again: %+v", again)
	}
	for _, v := range []string{"a_second", "b_first"} {
		if n := dbtest.Equal(t, maria, my, v); n != 3 {
			t.Errorf("view %s has %d rows", v, n)
		}
	}
	for _, q := range []string{"SELECT car.twice(21, 'x')", "SELECT car.has('ONE')", "SELECT car.none()", "SELECT car.`od d`()", "SELECT HEX(car.umlaut())", "SELECT COLLATION(car.umlaut()) LIKE 'utf8mb4%'"} {
		if a, b := dbtest.One(t, maria, q), dbtest.One(t, my, q); a != b || a == "" {
			t.Errorf("%s: %q at the source, %q at the target", q, a, b)
		}
	}
	if c := dbtest.One(t, my, "SELECT DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = 'car'"); c != "utf8mb4_0900_ai_ci" {
		t.Errorf("the schema's default collation is left as %s", c)
	}
	s := set(t, "car")
	look := func(part objects.Part) objects.State {
		t.Helper()
		st, err := testTarget().LookObjects(t.Context(), s, part)
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	if st := look(objects.Still); len(st.There) != 6 || len(st.Missing)+len(st.Differ)+len(st.Other) > 0 {
		t.Errorf("still: %+v", st)
	}
	time.Sleep(1500 * time.Millisecond) // until its time has passed
	if st := look(objects.Acting); len(st.Missing) != 7 || !slices.Equal(st.Over, []string{"event car.passed"}) || len(st.There)+len(st.Differ)+len(st.Other) > 0 || st.Scheduler != "ON" || !st.Trusts {
		t.Errorf("acting, before: %+v", st)
	}
	loader, err := servers.mysql.Open(dbpair.Loader, "car")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { loader.Close() })
	insert := "INSERT INTO a (x) VALUES ('new')"
	exec(t, maria, insert)
	for round := range 2 {
		if m := made(t, s, objects.Acting); len(m.Made) != 7 || len(m.There) > 0 {
			t.Errorf("round %d: %+v", round, m)
		}
		if m := made(t, s, objects.Acting); len(m.Made) > 0 || len(m.There) != 7 {
			t.Errorf("round %d, a second time: %+v", round, m)
		}
		if st := look(objects.Acting); len(st.There) != 7 || len(st.Missing)+len(st.Differ)+len(st.Other) > 0 {
			t.Errorf("round %d: %+v", round, st)
		}
		exec(t, my, insert, "DELETE FROM a WHERE x LIKE 'new%' ORDER BY id DESC LIMIT 1", insert)
		q := "SELECT x FROM a WHERE x LIKE 'new%' ORDER BY id DESC LIMIT 1"
		if a, b := dbtest.One(t, maria, q), dbtest.One(t, my, q); a != "new-b-z-y" || b != a {
			t.Errorf("round %d: %s at the source, %s at the target", round, a, b)
		}
		if n := dbtest.One(t, my, "SELECT COUNT(*) FROM log WHERE what LIKE '% gone'"); n == "0" {
			t.Error("the trigger on DELETE didn't fire")
		}
		states := dbtest.One(t, my, "SELECT GROUP_CONCAT(EVENT_NAME, ' ', STATUS ORDER BY EVENT_NAME) FROM information_schema.EVENTS WHERE EVENT_SCHEMA = 'car'")
		if states != "later ENABLED,runs ENABLED,sleeps DISABLED" {
			t.Errorf("round %d: %s", round, states)
		}
		exec(t, loader, "ALTER EVENT runs DISABLE") // somebody's doing at the target, which isn't another event
		if st := look(objects.Acting); len(st.Differ) != 1 || st.Differ[0].Object != "event car.runs" {
			t.Errorf("one that was disabled since: %+v", st)
		}
		for range 2 {
			if err := testTarget().DropObjects(t.Context(), s, objects.Acting); err != nil {
				t.Fatal(err)
			}
		}
		if st := look(objects.Acting); len(st.Missing) != 7 {
			t.Errorf("round %d, dropped: %+v", round, st)
		}
	}
	if st := look(objects.Still); len(st.There) != 6 {
		t.Errorf("dropping what acts took what is still: %+v", st)
	}
}

// TestObjectsThatDiffer: what isn't the set's is left and named; dropping takes nothing else.
func TestObjectsThatDiffer(t *testing.T) {
	trusting(t)
	maria, my := schemas(t, "car")
	carried(t, maria)
	s := set(t, "car")
	exec(t, my, "CREATE TABLE a (id INT AUTO_INCREMENT PRIMARY KEY, x VARCHAR(99))", "CREATE TABLE log (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(200))",
		"CREATE TRIGGER z BEFORE INSERT ON a FOR EACH ROW SET NEW.x = 'theirs'", "CREATE TRIGGER own AFTER UPDATE ON a FOR EACH ROW SET @a = 1", "CREATE FUNCTION none() RETURNS BIGINT UNSIGNED NO SQL RETURN 7",
		"CREATE EVENT later ON SCHEDULE AT '2037-05-05 05:05:05' DO DELETE FROM log")
	_, err := testTarget().MakeObjects(t.Context(), s, objects.Acting, false, nil)
	var differ *objects.DifferentError
	if !errors.As(err, &differ) || len(differ.Differences) != 2 || differ.Differences[0].Object != "trigger car.z" || !slices.Contains(differ.Differences[0].What, "its body") ||
		!strings.Contains(err.Error(), "DROP TRIGGER `car`.`z`") || differ.Differences[1].Object != "event car.later" {
		t.Errorf("%v", err)
	}
	if n := dbtest.One(t, my, "SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = 'car'"); n != "2" {
		t.Errorf("%s triggers: some were made", n)
	}
	exec(t, my, "DROP TRIGGER z", "DROP EVENT later")
	// A target that runs no events isn't ready; all that can be made is.
	exec(t, my, "SET GLOBAL event_scheduler = OFF")
	t.Cleanup(func() { my.ExecContext(context.Background(), "SET GLOBAL event_scheduler = ON") })
	var not *objects.NotMadeError
	if _, err := testTarget().MakeObjects(t.Context(), s, objects.Acting, false, nil); !errors.As(err, &not) || len(not.Findings) != 1 || not.Findings[0].Fix != "the target's flag event_scheduler = ON" {
		t.Errorf("%v", err)
	}
	exec(t, my, "SET GLOBAL event_scheduler = ON")
	if m := made(t, s, objects.Acting); len(m.Made) > 0 {
		t.Errorf("made again: %q", m.Made)
	}
	exec(t, my, "DROP TRIGGER l", "CREATE TRIGGER l AFTER DELETE ON a FOR EACH ROW INSERT INTO log (what) VALUES ('changed since')")
	if err := testTarget().DropObjects(t.Context(), s, objects.Acting); !errors.As(err, &differ) || len(differ.Differences) != 1 || differ.Differences[0].Object != "trigger car.l" {
		t.Errorf("%v", err)
	}
	if left := dbtest.One(t, my, "SELECT GROUP_CONCAT(TRIGGER_NAME ORDER BY 1) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = 'car'"); left != "l,own" {
		t.Errorf("left: %s", left)
	}
	if _, err := testTarget().MakeObjects(t.Context(), s, objects.Still, false, nil); !errors.As(err, &differ) || differ.Differences[0].Object != "function car.none" {
		t.Errorf("%v", err)
	}
}

// TestObjectsCutShort: broken off before any of its statements, making goes on where it was, and leaves the schema as it was.
func TestObjectsCutShort(t *testing.T) {
	trusting(t)
	maria, my := schemas(t, "car")
	exec(t, my, "ALTER DATABASE car COLLATE utf8mb4_0900_ai_ci", "CREATE TABLE a (id INT AUTO_INCREMENT PRIMARY KEY, x VARCHAR(99))", "CREATE TABLE log (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(200))")
	carried(t, maria)
	s := set(t, "car")
	killed := errors.New("killed")
	for _, part := range []objects.Part{objects.Still, objects.Acting} {
		for at := 0; ; at++ {
			n := 0
			err := testTarget().withObjects(t.Context(), "make", func(c *sql.Conn, to objects.To) error {
				_, err := objects.Make(t.Context(), c, s, part, to, func(ctx context.Context, stmt string) error {
					if n++; n > at {
						return killed
					}
					_, err := c.ExecContext(ctx, stmt)
					return err
				}, nil)
				var session string
				if ask := c.QueryRowContext(t.Context(), "SELECT CONCAT(@@sql_mode, '|', @@time_zone, '|', @@character_set_client)").Scan(&session); ask != nil || session != "|+00:00|utf8mb4" {
					t.Errorf("%s, after %d statements the session is %s, %v", part, at, session, ask)
				}
				return err
			})
			if err == nil {
				if at < 8 {
					t.Errorf("%s: only %d statements", part, at)
				}
				break
			}
			if !errors.Is(err, killed) {
				t.Fatalf("%s, after %d statements: %v", part, at, err)
			}
			if at%2 == 1 { // the next goes on with half of them there, or from nothing
				continue
			}
			made(t, s, part)
			if st, err := testTarget().LookObjects(t.Context(), s, part); err != nil || len(st.Missing)+len(st.Differ)+len(st.Other) > 0 {
				t.Fatalf("%s, after %d statements: %+v, %v", part, at, st, err)
			}
			if c := dbtest.One(t, my, "SELECT CONCAT(DEFAULT_COLLATION_NAME, (SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = '_slipway')) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = 'car'"); c != "utf8mb4_0900_ai_ci0" {
				t.Errorf("%s, after %d statements the schema is %s", part, at, c)
			}
			if err := testTarget().DropObjects(t.Context(), s, part); err != nil {
				t.Fatal(err)
			}
		}
	}
	// What a killed one left of the schema's default is put back also by one that is refused.
	if err := testTarget().DropObjects(t.Context(), s, objects.Still); err != nil {
		t.Fatal(err)
	}
	exec(t, my, "CREATE FUNCTION none() RETURNS BIGINT UNSIGNED NO SQL RETURN 7", "CREATE DATABASE IF NOT EXISTS _slipway", "CREATE TABLE _slipway.default_collation (`schema` VARCHAR(64) PRIMARY KEY, was VARCHAR(64))",
		"INSERT INTO _slipway.default_collation VALUES ('car', 'utf8mb4_0900_ai_ci')", "ALTER DATABASE car COLLATE utf8mb4_general_ci")
	var differ *objects.DifferentError
	if _, err := testTarget().MakeObjects(t.Context(), s, objects.Still, false, nil); !errors.As(err, &differ) {
		t.Errorf("%v", err)
	}
	if c := dbtest.One(t, my, "SELECT DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = 'car'"); c != "utf8mb4_0900_ai_ci" {
		t.Errorf("the schema is left %s", c)
	}
}

// TestCopyObjectsRefused: what the target doesn't take is named in the check's words and doesn't stop the rows; it is made by a later
// call when it can be.
func TestCopyObjectsRefused(t *testing.T) {
	maria, my := schemas(t, "car")
	maria.SetMaxOpenConns(1)
	exec(t, maria, "CREATE TABLE a (id INT PRIMARY KEY)", "INSERT INTO a VALUES (1)", "CREATE PROCEDURE fine() SELECT id FROM a", "CREATE PROCEDURE loops() BEGIN FOR i IN 1..3 DO SELECT i; END FOR; END", "CREATE FUNCTION f() RETURNS INT DETERMINISTIC RETURN 1", "CREATE FUNCTION v() RETURNS INT DETERMINISTIC RETURN NVL(1, 2)")
	got := copyAll(t, small("car", false))
	r := checked(t, CheckOptions{Schemas: []string{"car"}})
	said := func() (out []string) {
		for _, f := range got.NotMade {
			if !slices.ContainsFunc(r.Findings, func(c Finding) bool { return c == f }) {
				t.Errorf("the check doesn't say: %s", f)
			}
			out = append(out, f.Object)
		}
		return out
	}
	if n := said(); !slices.Equal(n, []string{"function car.f", "function car.v", "procedure car.loops"}) || !slices.Equal(got.Objects, []string{"procedure car.fine"}) || got.Rows != 1 {
		t.Errorf("not made: %q, made: %q", n, got.Objects)
	}
	trusting(t)
	exec(t, maria, "DROP FUNCTION v", "CREATE PROCEDURE since() SELECT 2")
	got = copyAll(t, small("car", false))
	if n := said(); !slices.Equal(n, []string{"procedure car.loops"}) || !slices.Equal(got.Objects, []string{"procedure car.fine", "function car.f", "procedure car.since"}) || !got.Already {
		t.Errorf("later, not made: %q, made: %q, %+v", n, got.Objects, got)
	}
	// A view that calls what could not be made stops the copy, and both are named.
	exec(t, my, "DROP DATABASE _slipway", "DROP PROCEDURE fine", "DROP PROCEDURE since", "DROP FUNCTION f", "DROP TABLE a")
	exec(t, maria, "CREATE FUNCTION odd() RETURNS INT DETERMINISTIC RETURN NVL(1, 2)", "CREATE VIEW calls AS SELECT odd() AS o", "CREATE TABLE gone (x INT)", "CREATE VIEW broken AS SELECT x FROM gone", "DROP TABLE gone")
	_, err := Copy(t.Context(), testSource(), testTarget(), small("car", false))
	var refused *RefusedError
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "view car.calls") || !strings.Contains(err.Error(), "view car.broken") || !strings.Contains(err.Error(), "NVL: MySQL has none") {
		t.Errorf("%v", err)
	}
	if l := left(t, "car"); len(l) > 0 {
		t.Errorf("left: %q", l)
	}
	if n := dbtest.One(t, my, "SELECT COUNT(*) FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = 'car'"); n != "0" {
		t.Errorf("%s functions and procedures are left", n)
	}
	if !slices.ContainsFunc(refused.Findings, func(f Finding) bool { return f.Stops == compat.Switch }) {
		t.Errorf("%v", refused.Findings)
	}
}

// TestCarrySakila: a sample that others made, and a small one. Views, functions and triggers do the same on both sides.
func TestCarrySakila(t *testing.T) {
	trusting(t)
	for _, c := range []struct {
		name   string
		load   func(testing.TB)
		calls  []string
		writes []string
		wrote  string
	}{
		{"rental", loadRental, []string{"SELECT rental.held(1)"}, []string{"INSERT INTO film (title, text) VALUES ('made', 'by hand')", "UPDATE film SET title = 'changed' WHERE title = 'made'"}, "SELECT CONCAT(title, text) FROM film_text ORDER BY film DESC LIMIT 1"},
		{sakila.Name, loadSakila, []string{"SELECT sakila.get_customer_balance(5, '2005-08-01')", "SELECT sakila.inventory_in_stock(10)", "SELECT sakila.inventory_held_by_customer(9)", "SELECT SUM(sakila.inventory_in_stock(inventory_id)) FROM sakila.inventory WHERE inventory_id < 200",
			"SELECT GROUP_CONCAT(film_id ORDER BY film_id) FROM sakila.film_text WHERE MATCH (title, description) AGAINST ('database drama')", "SELECT GROUP_CONCAT(ST_X(location), ' ', ST_Y(location) ORDER BY address_id) FROM sakila.address WHERE address_id < 20"},
			[]string{"INSERT INTO film (title, description, language_id) VALUES ('made', 'by hand', 1)", "UPDATE film SET title = 'changed' WHERE title = 'made'"}, "SELECT CONCAT(title, description) FROM film_text ORDER BY film_id DESC LIMIT 1"},
	} {
		maria, my := schemas(t, c.name)
		c.load(t)
		got := copyAll(t, CopyOptions{Schemas: []string{c.name}, Again: "slipway db copy"})
		if len(got.NotMade) > 0 || len(got.Objects) == 0 {
			t.Errorf("%s: %+v", c.name, got)
		}
		for _, v := range viewsOf(t, maria, c.name) {
			if a, b := unordered(dbtest.Oracle(t, maria, v)), unordered(dbtest.Oracle(t, my, v)); !slices.Equal(a, b) || len(a) == 0 {
				t.Errorf("view %s isn't the same: %d rows and %d", v, len(a), len(b))
			}
		}
		for _, q := range c.calls {
			if a, b := dbtest.One(t, maria, q), dbtest.One(t, my, q); a != b || a == "" {
				t.Errorf("%s: %q at the source, %q at the target", q, a, b)
			}
		}
		s := set(t, c.name)
		for range 2 {
			if m := made(t, s, objects.Acting); len(m.Made) == 0 {
				t.Errorf("%s: %+v", c.name, m)
			}
			exec(t, my, c.writes...)
			if w := dbtest.One(t, my, c.wrote); w != "changedby hand" {
				t.Errorf("%s: what the triggers wrote is %q", c.name, w)
			}
			if err := testTarget().DropObjects(t.Context(), s, objects.Acting); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// unordered puts the bytes of each row in one order: GROUP_CONCAT without ORDER BY gives its parts in any.
func unordered(rows []string) []string {
	for i, r := range rows {
		b := []byte(r)
		slices.Sort(b)
		rows[i] = string(b)
	}
	slices.Sort(rows)
	return rows
}

func viewsOf(t testing.TB, db *sql.DB, schema string) []string {
	t.Helper()
	out := dbtest.Texts(t, db, "SELECT TABLE_NAME FROM information_schema.VIEWS WHERE TABLE_SCHEMA = ? ORDER BY 1", schema)
	if len(out) == 0 {
		t.Fatal("schema " + schema + " has no views")
	}
	return out
}

// TestObjectsUnseen: an account that sees a part is refused, and nothing is taken for what isn't there.
func TestObjectsUnseen(t *testing.T) {
	maria, _ := schemas(t, "car")
	exec(t, maria, "CREATE USER blind@'127.0.0.1' IDENTIFIED BY '"+dbpair.Password+"'", "GRANT SELECT ON car.* TO blind@'127.0.0.1'")
	t.Cleanup(func() {
		if _, err := maria.ExecContext(context.Background(), "DROP USER blind@'127.0.0.1'"); err != nil {
			t.Error(err)
		}
	})
	if _, err := NewSource(endpoint(servers.maria, "blind")).Objects(t.Context(), []string{"car"}); !errors.Is(err, ErrPrivileges) || !strings.Contains(err.Error(), "GRANT TRIGGER") {
		t.Errorf("%v", err)
	}
}
