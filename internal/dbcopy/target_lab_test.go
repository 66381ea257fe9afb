//go:build lab

package dbcopy

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/lab/dbtest"
)

// left lists what is in schemas of the target.
func left(t testing.TB, schemas ...string) []string {
	t.Helper()
	return dbtest.Texts(t, admin(t, servers.mysql, ""), "SELECT CONCAT(TABLE_SCHEMA, '.', TABLE_NAME) FROM information_schema.TABLES WHERE TABLE_SCHEMA IN ('"+strings.Join(schemas, "','")+"') UNION SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = '_slipway' ORDER BY 1")
}

// TestTargetRefused: a target with something in it, without the schema, or with limits too low is refused, all at once,
// and nothing is changed.
func TestTargetRefused(t *testing.T) {
	maria, my := schemas(t, "occupied")
	exec(t, maria, "CREATE TABLE a (id INT PRIMARY KEY, x LONGBLOB)", "INSERT INTO a VALUES (1, REPEAT('x', 3000000))")
	art := take(t, Options{Schemas: []string{"occupied"}})
	refuse := func(want ...string) {
		t.Helper()
		before := left(t, "occupied")
		_, err := testTarget().Load(t.Context(), art, testOwner, LoadOptions{})
		var r *RefusedError
		if !errors.As(err, &r) {
			t.Fatalf("not refused: %v", err)
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("not said: %s; but: %v", w, err)
			}
		}
		if after := left(t, "occupied"); !slices.Equal(before, after) {
			t.Errorf("it had %q and has %q", before, after)
		}
	}
	exec(t, my, "CREATE TABLE theirs (id INT)", "CREATE VIEW their_view AS SELECT 1", "CREATE PROCEDURE their_procedure() SELECT 1")
	refuse("occupied.theirs: the target isn't empty", "occupied.their_view: the target isn't empty", "their_procedure")
	exec(t, my, "DROP TABLE theirs", "DROP VIEW their_view", "DROP PROCEDURE their_procedure", "SET GLOBAL max_allowed_packet = 1048576")
	refuse("table occupied.a: its largest row has 3000001 bytes, and the target takes statements of at most 1048576", "max_allowed_packet to at least")
	exec(t, my, "SET GLOBAL max_allowed_packet = DEFAULT", "DROP DATABASE occupied")
	refuse("schema occupied: the target has no such schema; fix: CREATE DATABASE `occupied`")
	exec(t, my, "CREATE DATABASE occupied")
	load1(t, art, LoadOptions{})
}

// TestCompile: what the target's compiler doesn't take is named with the statement and the server's error, all of it at
// once, and the target is as it was.
func TestCompile(t *testing.T) {
	maria, _ := schemas(t, "compile")
	exec(t, maria, "CREATE TABLE fine (id INT PRIMARY KEY)",
		"CREATE TABLE gen (id INT AUTO_INCREMENT PRIMARY KEY, g INT AS (id + 1) VIRTUAL)", // MySQL: no AUTO_INCREMENT in an expression
		"CREATE TABLE child (id INT PRIMARY KEY, p INT, KEY p (p))", "CREATE TABLE parent (id INT PRIMARY KEY, n INT, KEY n (n))",
		"ALTER TABLE child ADD CONSTRAINT loose FOREIGN KEY (p) REFERENCES parent (n)") // MySQL: the key of a parent must be unique
	art := take(t, Options{Schemas: []string{"compile"}})
	_, err := testTarget().Load(t.Context(), art, testOwner, LoadOptions{})
	var r *RefusedError
	if !errors.As(err, &r) || len(r.Findings) != 2 {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"table compile.gen: the target doesn't take its definition: Error 3109", "CREATE TABLE `gen`", "table compile.child: the target doesn't take its definition: Error 6125", "CONSTRAINT `loose` FOREIGN KEY"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("not said: %s; but %v", want, err)
		}
	}
	if l := left(t, "compile"); len(l) > 0 {
		t.Errorf("left: %q", l)
	}
	exec(t, maria, "DROP TABLE gen", "ALTER TABLE child DROP FOREIGN KEY loose",
		"CREATE VIEW z AS SELECT id FROM fine", "CREATE VIEW a AS SELECT id FROM z", // in no order that works by name
		"CREATE VIEW bad AS SELECT JSON_DETAILED('{}') AS j", "CREATE VIEW on_bad AS SELECT j FROM bad") // a function that MySQL hasn't
	art = take(t, Options{Schemas: []string{"compile"}})
	_, err = testTarget().Load(t.Context(), art, testOwner, LoadOptions{})
	if !errors.As(err, &r) || len(r.Findings) != 2 || !strings.Contains(err.Error(), "view compile.bad: the target doesn't take its definition") || !strings.Contains(err.Error(), "json_detailed") {
		t.Fatalf("got %v", err)
	}
	if l := left(t, "compile"); len(l) > 0 {
		t.Errorf("left: %q", l)
	}
	exec(t, maria, "DROP VIEW bad", "DROP VIEW on_bad")
	art = take(t, Options{Schemas: []string{"compile"}})
	for _, d := range []int64{1, 1 << 30} {
		if l := load1(t, art, LoadOptions{DeferBytes: d}); l.Views != 2 || l.Tables != 3 {
			t.Errorf("loaded %+v", l)
		}
		if d := differences(t, art); d != nil {
			t.Error(d)
		}
		if err := testTarget().Drop(t.Context(), testOwner); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOwners: a target is one run's. Another is refused, drops nothing, and says whose it is; a process of the same run
// with a lower fence is stopped.
func TestOwners(t *testing.T) {
	maria, my := schemas(t, "owned")
	exec(t, maria, "CREATE TABLE a (id INT PRIMARY KEY)", "INSERT INTO a VALUES (1)")
	art := take(t, Options{Schemas: []string{"owned"}})
	other, second := Owner{"20261124-010203-0000", 9}, Owner{testOwner.Run, 2}
	if err := testTarget().Drop(t.Context(), testOwner); err != nil {
		t.Errorf("nothing to drop: %v", err)
	}
	load1(t, art, LoadOptions{})
	load1(t, art, LoadOptions{}) // and again: nothing to do
	if _, err := testTarget().Load(t.Context(), art, other, LoadOptions{}); !errors.Is(err, ErrOtherRun) || !strings.Contains(err.Error(), "slipway rollback "+testOwner.Run) {
		t.Errorf("another run: %v", err)
	}
	if err := testTarget().Drop(t.Context(), other); err != nil || len(left(t, "owned")) != 2 {
		t.Errorf("another run dropped it: %v, %q", err, left(t, "owned"))
	}
	exec(t, my, "DELETE FROM _slipway.chunk", "DELETE FROM a", "UPDATE _slipway.`load` SET phase = 'rows', fence = 2")
	if _, err := testTarget().Load(t.Context(), art, testOwner, LoadOptions{}); !errors.Is(err, ErrFenced) {
		t.Errorf("a stale process: %v", err)
	}
	// One that was overtaken while it was at it finds out at its next chunk.
	l := &load{ep: testTarget().ep, art: art, own: testOwner, o: LoadOptions{Workers: 1}, most: 1 << 20}
	var err error
	if l.rows, err = l.ep.Open(LoadSession(strictMode), 1); err != nil {
		t.Fatal(err)
	}
	defer l.close()
	cat, err := OpenCatalog(art)
	if err != nil {
		t.Fatal(err)
	}
	defs, _ := define(&cat, nil)
	w := &rowLoader{load: l}
	defer w.drop()
	if err := w.chunk(t.Context(), &filed{l, &defs.tables[0], &defs.tables[0].table.Chunks[0]}); !errors.Is(err, ErrFenced) {
		t.Errorf("a stale process at a chunk: %v", err)
	}
	if n := len(dbtest.Oracle(t, my, "a", "id")); n != 0 {
		t.Errorf("a stale process put in %d rows", n)
	}
	if _, err := testTarget().Load(t.Context(), art, second, LoadOptions{}); err != nil {
		t.Error(err)
	}
	if d := differences(t, art); d != nil {
		t.Error(d)
	}
	if err := testTarget().Drop(t.Context(), testOwner); !errors.Is(err, ErrFenced) {
		t.Errorf("a stale process dropped it: %v", err)
	}
	if err := testTarget().Drop(t.Context(), second); err != nil || len(left(t, "owned")) != 0 {
		t.Errorf("left %q, %v", left(t, "owned"), err)
	}
	// A mark that was half made is nobody's, and is in nobody's way.
	for _, half := range [][]string{{"CREATE DATABASE _slipway"}, {"CREATE DATABASE _slipway", "CREATE TABLE _slipway.chunk (`file` VARCHAR(100) NOT NULL PRIMARY KEY, `rows` BIGINT NOT NULL, `fence` BIGINT UNSIGNED NOT NULL)"}} {
		exec(t, my, half...)
		load1(t, art, LoadOptions{})
		if err := testTarget().Drop(t.Context(), testOwner); err != nil || len(left(t, "owned")) != 0 {
			t.Errorf("left %q, %v", left(t, "owned"), err)
		}
		exec(t, my, half...)
		if err := testTarget().Drop(t.Context(), testOwner); err != nil || len(left(t, "owned")) != 0 {
			t.Errorf("left %q, %v", left(t, "owned"), err)
		}
	}
}

// TestOtherSnapshot: a run doesn't go on with another artifact than it began with.
func TestOtherSnapshot(t *testing.T) {
	maria, _ := schemas(t, "other")
	exec(t, maria, "CREATE TABLE a (id INT PRIMARY KEY)", "INSERT INTO a VALUES (1)")
	load1(t, take(t, Options{Schemas: []string{"other"}}), LoadOptions{})
	exec(t, maria, "INSERT INTO a VALUES (2)")
	if _, err := testTarget().Load(t.Context(), take(t, Options{Schemas: []string{"other"}}), testOwner, LoadOptions{}); !errors.Is(err, ErrOtherRun) {
		t.Error(err)
	}
}

// TestRowRefused: a value that the target can't hold is named with its table, row and column, and no row of its chunk is
// there.
func TestRowRefused(t *testing.T) {
	maria, my := schemas(t, "value")
	exec(t, maria, "CREATE TABLE a (id INT PRIMARY KEY, tm TIME(6), x INT)", "INSERT INTO a SELECT seq, '10:00:00', seq FROM seq_1_to_500", "UPDATE a SET tm = '838:59:59.000001' WHERE id = 321")
	art := take(t, Options{Schemas: []string{"value"}})
	_, err := testTarget().Load(t.Context(), art, testOwner, LoadOptions{})
	for _, want := range []string{"table value.a", "row with `id`=321", "Incorrect time value: '838:59:59.000001' for column 'tm'"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("not said: %s; but %v", want, err)
		}
	}
	if n := len(dbtest.Oracle(t, my, "a", "id")); n != 0 {
		t.Errorf("%d rows are there", n)
	}
}

// TestOddEnum: the value 0 of an ENUM, which MariaDB stores for a label that it doesn't know, arrives as it is; and the
// other rows are still stored strictly.
func TestOddEnum(t *testing.T) {
	maria, my := schemas(t, "odd")
	maria.SetMaxOpenConns(1)
	exec(t, maria, "SET SESSION sql_mode = ''", "CREATE TABLE a (id INT PRIMARY KEY, e ENUM('a','') NULL)", "INSERT INTO a VALUES (1,'a'),(2,'no such label'),(3,''),(4,NULL),(5,0)")
	art := take(t, Options{Schemas: []string{"odd"}})
	load1(t, art, LoadOptions{})
	if d := differences(t, art); d != nil {
		t.Error(d)
	}
	dbtest.Equal(t, maria, my, "a", "id", "e")
	rows := dbtest.Texts(t, my, "SELECT CONCAT(id, '=', COALESCE(e+0, 'NULL')) FROM a ORDER BY id")
	if want := []string{"1=1", "2=0", "3=2", "4=NULL", "5=0"}; !slices.Equal(rows, want) {
		t.Errorf("got %q", rows)
	}
}

// TestMovedCollation: where the target orders a key otherwise than the source, the table is compared as a whole.
func TestMovedCollation(t *testing.T) {
	maria, my := schemas(t, "moved")
	exec(t, maria, "CREATE TABLE a (k VARCHAR(20) COLLATE utf8mb4_uca1400_ai_ci PRIMARY KEY, x INT)", "INSERT INTO a VALUES ('a',1),('Z',2),('ä b',3),('_',4),('ß',5)",
		"CREATE TABLE u (k VARCHAR(20) COLLATE utf8mb4_nopad_bin PRIMARY KEY)", "INSERT INTO u VALUES ('a'),('a ')")
	art := take(t, Options{Schemas: []string{"moved"}, ChunkBytes: 3})
	l := load1(t, art, LoadOptions{})
	if !slices.ContainsFunc(l.Rewrites, func(r string) bool {
		return strings.Contains(r, "table moved.a, k: collation: utf8mb4_uca1400_ai_ci to utf8mb4_0900_ai_ci")
	}) {
		t.Errorf("rewrites %q", l.Rewrites)
	}
	if d := differences(t, art); d != nil {
		t.Error(d)
	}
	dbtest.Equal(t, maria, my, "a", "k", "x")
	exec(t, my, "UPDATE a SET x = 6 WHERE x = 5")
	d := differences(t, art)
	if len(d) != 2 || !strings.Contains(d[0], "row with `k`=\"ß\": the target hasn't it so") {
		t.Errorf("differences %q", d)
	}
}

// TestRow: the first row of a query, in a transaction that can't write.
func TestRow(t *testing.T) {
	_, my := schemas(t, "ask")
	exec(t, my, "CREATE TABLE a (id INT PRIMARY KEY, s VARCHAR(9))", "INSERT INTO a VALUES (1,'x'),(2,NULL)")
	for _, c := range []struct {
		query string
		args  []string
		want  []string
	}{
		{"SELECT id, s FROM a WHERE id = ?", []string{"1"}, []string{"1", "x"}},
		{"SELECT id, s FROM a WHERE id = ?", []string{"2"}, []string{"2", ""}},
		{"SELECT id FROM a WHERE id = ?", []string{"3"}, nil},
	} {
		got, err := testTarget().Row(t.Context(), "ask", c.query, c.args)
		if err != nil || !slices.Equal(got, c.want) || (got == nil) != (c.want == nil) {
			t.Errorf("%s %q: %q, %v", c.query, c.args, got, err)
		}
	}
	if _, err := testTarget().Row(t.Context(), "ask", "DELETE FROM a", nil); err == nil {
		t.Error("it could write")
	}
}

// TestPositionKept: the target says where the source's log stood in the view that its rows are of. A mark that says less is not
// taken for one.
func TestPositionKept(t *testing.T) {
	maria, my := schemas(t, "position")
	exec(t, maria, "CREATE TABLE a (id INT PRIMARY KEY)", "INSERT INTO a VALUES (1)")
	art := take(t, Options{Schemas: []string{"position"}})
	exec(t, maria, "INSERT INTO a VALUES (2)") // the log goes on
	load1(t, art, LoadOptions{})
	s, err := testTarget().Look(t.Context(), []string{"position"})
	if err != nil {
		t.Fatal(err)
	}
	if want := art.Manifest.Position; s.Position.File != want.File || s.Position.File.IsZero() || s.Position.GTID.String() != want.GTID.String() || s.Position.GTID.String() == "" {
		t.Errorf("the target has %v, the snapshot %v", s.Position, *want)
	}
	exec(t, my, "ALTER TABLE _slipway.`load` DROP COLUMN position")
	if _, err := testTarget().Look(t.Context(), []string{"position"}); err == nil || !strings.Contains(err.Error(), "another version") {
		t.Errorf("a mark without a position: %v", err)
	}
}
