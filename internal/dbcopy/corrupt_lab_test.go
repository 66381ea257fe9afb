//go:build lab

package dbcopy

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/dbcopy/value"
)

// TestCorruption alters a verified target in one way at a time. Each must be found, and the rows named.
func TestCorruption(t *testing.T) {
	maria, my := schemas(t, "corrupt")
	corruptible(t, maria)
	art := take(t, Options{Schemas: []string{"corrupt"}, ChunkBytes: 4000})
	load1(t, art, LoadOptions{DeferBytes: 1})
	if d := differences(t, art); d != nil {
		t.Fatalf("before anything was altered: %q", d)
	}
	for _, c := range corruptions {
		t.Run(c.name, func(t *testing.T) {
			exec(t, my, "SET @@sql_mode=''; "+c.do)
			found := strings.Join(differences(t, art), "\n")
			for _, w := range c.want {
				if !strings.Contains(found, w) {
					t.Errorf("not found: %q; verify says:\n%s", w, found)
				}
			}
			exec(t, my, c.undo)
			if d := differences(t, art); d != nil {
				t.Errorf("restored, but verify says %q", d)
			}
		})
	}
	t.Logf("%d corruptions, each found and its rows named", len(corruptions))
}

// TestManyDifferences: what is printed is bounded, and says that there is more.
func TestManyDifferences(t *testing.T) {
	maria, my := schemas(t, "many")
	exec(t, maria, "CREATE TABLE a (id INT PRIMARY KEY, x LONGTEXT)", "INSERT INTO a SELECT seq, 'x' FROM seq_1_to_1000")
	art := take(t, Options{Schemas: []string{"many"}, ChunkBytes: 500})
	load1(t, art, LoadOptions{})
	exec(t, my, "UPDATE a SET x='y'")
	_, err := testTarget().Verify(t.Context(), art, VerifyOptions{Most: 10})
	var d *DifferentError
	if !errors.As(err, &d) || len(d.Differences) != 10 || !d.More || !strings.Contains(err.Error(), "and more") {
		t.Errorf("got %v", err)
	}
	exec(t, my, "UPDATE a SET x='x'")
	got, err := testTarget().Verify(t.Context(), art, VerifyOptions{})
	if err != nil || got.Rows != 1000 || got.Tables != 1 || got.GTID.IsZero() || got.Server == "" {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestSourceChecksumsAreTheServers: what the source server adds up is what this program adds up, and a difference ends the dump.
func TestSourceChecksumsAreTheServers(t *testing.T) {
	maria, _ := schemas(t, "sums")
	exec(t, maria, "CREATE TABLE a (id INT PRIMARY KEY, x VARCHAR(10))", "INSERT INTO a VALUES (1,'x'),(2,NULL)")
	src := testSource()
	sv, err := src.Survey(t.Context(), []string{"sums"})
	if err != nil {
		t.Fatal(err)
	}
	v, err := src.begin(t.Context(), &sv, Options{Schemas: []string{"sums"}, Connections: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer v.close()
	table := &sv.Catalog.Schemas[0].Tables[0]
	h := value.Hasher{Columns: table.Columns}
	var want value.Sum
	want.Add(h.Row([][]byte{[]byte("1"), []byte("x")}))
	want.Add(h.Row([][]byte{[]byte("2"), nil}))
	rows, sum, err := serverSum(t.Context(), v.conns[0], value.MariaDB, "sums", table, nil, nil, nil)
	if err != nil || rows != 2 || sum != want {
		t.Errorf("the server says %d rows, %s; want 2, %s (%v)", rows, sum, want, err)
	}
	// A dump that reads something else is not kept.
	d := &dump{ep: src.ep, o: Options{ChunkBytes: 100}}
	r := &tableDump{dump: d, conn: v.conns[0], schema: "sums", t: table}
	for name, c := range map[string]Chunk{"another sum": {Rows: 2}, "a row less": {Rows: 1, Sum: want}} {
		if err := r.hold(t.Context(), "chunk 1", c, nil); !errors.Is(err, ErrReadWrong) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// corruptible fills the schema that the corruptions are of.
func corruptible(t testing.TB, maria *sql.DB) {
	t.Helper()
	maria.SetMaxOpenConns(1)
	exec(t, maria, "SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO', time_zone = '+00:00'",
		`CREATE TABLE a (id INT PRIMARY KEY, x INT NOT NULL, y INT NOT NULL, s VARCHAR(40) COLLATE utf8mb4_general_ci, n VARCHAR(40) NULL, d DOUBLE, f FLOAT, dt DATETIME(6), ts TIMESTAMP(6) NULL,
			de DECIMAL(20,6), b BIT(8), bl LONGBLOB, e ENUM('a','b',''), st SET('p','q'), g POINT, j JSON, l VARCHAR(10) CHARACTER SET latin1, bi BINARY(4), vb VARBINARY(8),
			t TEXT, tm TIME(6), yy YEAR, bu BIGINT UNSIGNED, v INT AS (x+1) VIRTUAL, u UUID)`,
		"CREATE TABLE heap (x INT, s VARCHAR(10))",
		"CREATE TABLE k (k VARCHAR(20) COLLATE utf8mb4_general_ci PRIMARY KEY, v INT)",
		"CREATE TABLE empty (id INT PRIMARY KEY)",
		"CREATE VIEW v AS SELECT id FROM a",
		"INSERT INTO heap VALUES (1,'a'),(1,'a'),(2,NULL),(2,''),(3,'c')",
		"INSERT INTO k VALUES ('a',1),('b',2),('C',3),('é',4)")
	for id := range 200 {
		exec(t, maria, fmt.Sprintf(`INSERT INTO a (id,x,y,s,n,d,f,dt,ts,de,b,bl,e,st,g,j,l,bi,vb,t,tm,yy,bu,u) VALUES (%d,%d,%d,'name','',%d.1,0.1,'2020-01-01 00:00:00.000001','2020-06-01 12:00:00',1.5,5,x'00ff01','a','p,q',
			POINT(1,2),'{"a": 1}',_latin1 x'e9',x'01',x'0100','text','10:00:00.5',2020,18446744073709551615,'00112233-4455-6677-8899-aabbccddeeff')`, id, id, 1000-id, id))
	}
}

const row7 = "table corrupt.a, row with `id`=7: differs in "

// corruptions are ways in which a target may differ.
var corruptions = []struct {
	name string
	do   string
	undo string
	want []string
}{
	{"two rows with the same error", "UPDATE a SET x=x+1 WHERE id IN (7,8)", "UPDATE a SET x=x-1 WHERE id IN (7,8)", []string{row7 + "x, v", "`id`=8: differs in x, v"}},
	{"errors that cancel in a sum of values", "UPDATE a SET x=x+IF(id=7,1,-1) WHERE id IN (7,8)", "UPDATE a SET x=id WHERE id IN (7,8)", []string{row7 + "x", "`id`=8"}},
	{"the same error in two equal rows without a key", "UPDATE heap SET s='b' WHERE x=1", "UPDATE heap SET s='a' WHERE x=1", []string{"the target hasn't it so, or not so often", "only the target has it so, or so often"}},
	{"two columns swapped in one row", "UPDATE a SET x=y, y=1000-id WHERE id=0; UPDATE a SET x=993, y=7 WHERE id=7", "UPDATE a SET x=id, y=1000-id", []string{row7 + "x, y"}},
	{"two columns swapped in all rows", "UPDATE a SET x=1000-id, y=id", "UPDATE a SET x=id, y=1000-id", []string{row7 + "x, y"}},
	{"two rows swapped", "UPDATE a SET x=IF(id=7,8,7) WHERE id IN (7,8)", "UPDATE a SET x=id", []string{row7 + "x"}},
	{"NULL for empty", "UPDATE a SET n=NULL WHERE id=7", "UPDATE a SET n='' WHERE id=7", []string{row7 + "n"}},
	{"empty for NULL, without a key", "UPDATE heap SET s='' WHERE s IS NULL", "UPDATE heap SET s=NULL WHERE x=2 LIMIT 1", []string{"heap"}},
	{"the last bit of a double", "UPDATE a SET d='7.1000000000000005' WHERE id=7", "UPDATE a SET d='7.1' WHERE id=7", []string{row7 + "d"}},
	{"the last bit of a float", "UPDATE a SET f='0.10000000894069672' WHERE id=7", "UPDATE a SET f='0.1' WHERE id=7", []string{row7 + "f"}},
	{"a trailing space", "UPDATE a SET s='name ' WHERE id=7", "UPDATE a SET s='name' WHERE id=7", []string{row7 + "s"}},
	{"a capital that the collation doesn't see", "UPDATE a SET s='Name' WHERE id=7", "UPDATE a SET s='name' WHERE id=7", []string{row7 + "s"}},
	{"a capital in a key", "UPDATE k SET k='B' WHERE k='b'", "UPDATE k SET k='b' WHERE k='b'", []string{"row with `k`=\"B\": only the target has it", "row with `k`=\"b\": the target hasn't it"}},
	{"another byte of latin1", "UPDATE a SET l=_latin1 x'e8' WHERE id=7", "UPDATE a SET l=_latin1 x'e9' WHERE id=7", []string{row7 + "l"}},
	{"a microsecond", "UPDATE a SET dt='2020-01-01 00:00:00.000002' WHERE id=7", "UPDATE a SET dt='2020-01-01 00:00:00.000001' WHERE id=7", []string{row7 + "dt"}},
	{"an hour of a timestamp", "UPDATE a SET ts='2020-06-01 13:00:00' WHERE id=7", "UPDATE a SET ts='2020-06-01 12:00:00' WHERE id=7", []string{row7 + "ts"}},
	{"a time's fraction", "UPDATE a SET tm='10:00:00.500001' WHERE id=7", "UPDATE a SET tm='10:00:00.5' WHERE id=7", []string{row7 + "tm"}},
	{"a decimal's last digit", "UPDATE a SET de=1.500001 WHERE id=7", "UPDATE a SET de=1.5 WHERE id=7", []string{row7 + "de"}},
	{"a bit", "UPDATE a SET b=4 WHERE id=7", "UPDATE a SET b=5 WHERE id=7", []string{row7 + "b"}},
	{"a byte of a blob", "UPDATE a SET bl=x'00ff00' WHERE id=7", "UPDATE a SET bl=x'00ff01' WHERE id=7", []string{row7 + "bl"}},
	{"a zero byte more", "UPDATE a SET vb=x'010000' WHERE id=7", "UPDATE a SET vb=x'0100' WHERE id=7", []string{row7 + "vb"}},
	{"another label", "UPDATE a SET e='b' WHERE id=7", "UPDATE a SET e='a' WHERE id=7", []string{row7 + "e"}},
	{"a set's member", "UPDATE a SET st='p' WHERE id=7", "UPDATE a SET st='p,q' WHERE id=7", []string{row7 + "st"}},
	{"a point's last bit", "UPDATE a SET g=POINT(1.0000000000000002,2) WHERE id=7", "UPDATE a SET g=POINT(1,2) WHERE id=7", []string{row7 + "g"}},
	{"a space in JSON", `UPDATE a SET j='{"a":1}' WHERE id=7`, `UPDATE a SET j='{"a": 1}' WHERE id=7`, []string{row7 + "j"}},
	{"a year", "UPDATE a SET yy=2021 WHERE id=7", "UPDATE a SET yy=2020 WHERE id=7", []string{row7 + "yy"}},
	{"one of 2^64", "UPDATE a SET bu=18446744073709551614 WHERE id=7", "UPDATE a SET bu=18446744073709551615 WHERE id=7", []string{row7 + "bu"}},
	{"a UUID's capitals", "UPDATE a SET u=UPPER(u) WHERE id=7", "UPDATE a SET u=LOWER(u) WHERE id=7", []string{row7 + "u"}},
	{"a long text", "UPDATE a SET t='test' WHERE id=7", "UPDATE a SET t='text' WHERE id=7", []string{row7 + "t"}},
	{"a row gone", "CREATE TABLE keep AS SELECT x FROM heap LIMIT 0; DROP TABLE keep; DELETE FROM k WHERE k='C'", "INSERT INTO k VALUES ('C',3)", []string{"row with `k`=\"C\": the target hasn't it"}},
	{"a row more before the first", "INSERT INTO k VALUES ('0',1)", "DELETE FROM k WHERE k='0'", []string{"row with `k`=\"0\": only the target has it"}},
	{"a row more after the last", "INSERT INTO k VALUES ('zz',1)", "DELETE FROM k WHERE k='zz'", []string{"row with `k`=\"zz\": only the target has it"}},
	{"a row in an empty table", "INSERT INTO `empty` VALUES (1)", "DELETE FROM `empty`", []string{"table corrupt.empty, row with `id`=1: only the target has it"}},
	{"a row twice, without a key", "INSERT INTO heap VALUES (3,'c')", "DELETE FROM heap WHERE x=3 LIMIT 1", []string{"only the target has it so, or so often"}},
	{"another generated column", "ALTER TABLE a DROP COLUMN v, ADD COLUMN v INT AS (x+2) VIRTUAL AFTER bu", "ALTER TABLE a DROP COLUMN v, ADD COLUMN v INT AS (x+1) VIRTUAL AFTER bu", []string{row7 + "v"}},
	{"a table more", "CREATE TABLE more (id INT)", "DROP TABLE more", []string{"corrupt.more: only the target has it"}},
	{"a table gone", "RENAME TABLE k TO k2", "RENAME TABLE k2 TO k", []string{"table corrupt.k: the target hasn't it", "corrupt.k2: only the target has it"}},
	{"a view gone", "DROP VIEW v", "CREATE VIEW v AS SELECT id FROM a", []string{"view corrupt.v: the target hasn't it"}},
	{"a column gone", "ALTER TABLE heap RENAME COLUMN s TO s2", "ALTER TABLE heap RENAME COLUMN s2 TO s", []string{"table corrupt.heap: its columns are others"}},
}
