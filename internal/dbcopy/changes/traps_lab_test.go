//go:build lab

package changes

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// trap is something that comes in a log, and what the reader makes of it.
type trap struct {
	name   string
	tables string // of the schema ch that are followed; "t" if empty
	make   []string
	do     []string // on one connection
	// What comes: for each transaction its changes, as kind:table ("1:t 3:u"), "-" for none; or the kind of the stop that ends it.
	want []string
	stop StopKind
	says []string // parts of the stop's message
	not  []string // what mustn't be in it
}

const plainTable = "CREATE TABLE ch.t (id int PRIMARY KEY, v varchar(20)) ENGINE=InnoDB"

func kinds(t *testing.T, tx *Transaction) string {
	t.Helper()
	var out []string
	for c, err := range tx.Changes {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%d:%s", c.Kind, c.Table.Name))
	}
	if int64(len(out)) != tx.Rows {
		t.Errorf("%d changes, and Rows says %d", len(out), tx.Rows)
	}
	if out == nil {
		return "-"
	}
	return strings.Join(out, " ")
}

func (c trap) run(t *testing.T, s side) {
	db := schema(t, s, "ch")
	schema(t, s, "other")
	execute(t, db, c.make...)
	var tables []Table
	for name := range strings.FieldsSeq(c.tables + map[bool]string{true: "t"}[c.tables == ""]) {
		tables = append(tables, describe(t, db, "ch", name))
	}
	st := open(t, s, Options{}, tables...)
	execute(t, db, c.do...)
	for i, want := range c.want {
		tx, err := try(t, st)
		if err != nil {
			t.Fatalf("transaction %d, want %s: %v", i+1, want, err)
		}
		if got := kinds(t, tx); got != want {
			t.Fatalf("transaction %d (%s) has %s, want %s", i+1, tx.GTID, got, want)
		}
	}
	if c.stop == "" {
		execute(t, db, "CREATE TABLE other.last (i int)") // nothing was left in between
		if tx := next(t, st); tx.Rows != 0 {
			t.Errorf("%d rows that were not to be", tx.Rows)
		}
		return
	}
	tx, err := try(t, st)
	var stop *StopError
	if !errors.As(err, &stop) {
		t.Fatalf("no stop but %v, %v", tx, err)
	}
	t.Log(stop)
	if stop.Kind != c.stop || stop.GTID == "" || !strings.Contains(stop.At, ":") {
		t.Errorf("kind %s (GTID %q at %q), want %s", stop.Kind, stop.GTID, stop.At, c.stop)
	}
	for _, part := range c.says {
		if !strings.Contains(stop.Error(), part) {
			t.Errorf("it doesn't say %q", part)
		}
	}
	for _, part := range c.not {
		if strings.Contains(stop.Error(), part) {
			t.Errorf("it says %q", part)
		}
	}
	if _, err := try(t, st); !errors.As(err, &stop) || stop.Kind != c.stop {
		t.Errorf("the second time: %v", err)
	}
}

var bothTraps = []trap{
	{name: "DDL", make: []string{plainTable}, do: []string{"INSERT INTO t VALUES (1,'x')", "ALTER TABLE t ADD z int"}, want: []string{"1:t"}, stop: StopDDL, says: []string{"ALTER TABLE t ADD z int", "go on after it"}},
	{name: "DDL by its full name", make: []string{plainTable}, do: []string{"USE other", "ALTER TABLE ch.t ADD z int", "USE ch"}, stop: StopDDL, says: []string{"ALTER TABLE ch.t"}},
	{name: "RENAME across", make: []string{plainTable, "CREATE TABLE other.x (i int)"}, do: []string{"USE other", "RENAME TABLE other.x TO ch.x", "USE ch"}, stop: StopDDL},
	{name: "new table", make: []string{plainTable}, do: []string{"CREATE TABLE n (i int)"}, stop: StopDDL},
	{name: "drop schema", make: []string{plainTable}, do: []string{"DROP DATABASE ch", "CREATE DATABASE ch"}, stop: StopDDL},
	{name: "index", make: []string{plainTable}, do: []string{"CREATE INDEX k ON t (v)"}, stop: StopDDL},
	{name: "view", make: []string{plainTable}, do: []string{"CREATE VIEW w AS SELECT 1 AS a"}, stop: StopDDL},
	{name: "CREATE TABLE AS SELECT", make: []string{plainTable}, do: []string{"CREATE TABLE n AS SELECT 1 AS a"}, stop: StopDDL},
	{name: "DDL elsewhere", make: []string{plainTable}, do: []string{"CREATE TABLE other.n (i int)", "ALTER TABLE other.n ADD z int", "USE other", "CREATE TABLE m (i int)", "USE ch", "DROP TABLE other.n, other.m", "CREATE DATABASE third", "DROP DATABASE third"},
		want: []string{"-", "-", "-", "-", "-", "-"}},
	{name: "TRUNCATE", make: []string{plainTable}, do: []string{"TRUNCATE TABLE t"}, stop: StopTruncate, says: []string{"TRUNCATE TABLE t"}},
	{name: "TRUNCATE elsewhere", make: []string{plainTable, "CREATE TABLE other.x (i int)"}, do: []string{"TRUNCATE TABLE other.x"}, want: []string{"-"}},
	{name: "accounts and maintenance", make: []string{plainTable}, do: []string{"CREATE USER 'u9'@'127.0.0.9' IDENTIFIED BY 'top secret'", "GRANT SELECT ON ch.* TO 'u9'@'127.0.0.9'", "ANALYZE TABLE t", "OPTIMIZE TABLE t", "FLUSH TABLES", "DROP USER 'u9'@'127.0.0.9'"},
		want: []string{"-", "-", "-", "-", "-", "-"}},
	{name: "temporary tables", make: []string{plainTable}, do: []string{"CREATE TEMPORARY TABLE tmp (i int)", "INSERT INTO tmp VALUES (1)", "INSERT INTO t VALUES (1,'x')", "DROP TEMPORARY TABLE tmp"}, want: nil, stop: ""},
	{name: "another schema's rows", make: []string{plainTable, "CREATE TABLE other.x (i int)"}, do: []string{"INSERT INTO other.x VALUES (1)", "BEGIN", "INSERT INTO other.x VALUES (2)", "INSERT INTO t VALUES (1,'x'),(2,'y')", "UPDATE t SET v = 'z' WHERE id = 1", "DELETE FROM other.x", "DELETE FROM t WHERE id = 2", "COMMIT"},
		want: []string{"-", "1:t 1:t 2:t 3:t"}},
	{name: "savepoint", make: []string{plainTable}, do: []string{"BEGIN", "INSERT INTO t VALUES (1,'x')", "SAVEPOINT a", "INSERT INTO t VALUES (2,'y')", "ROLLBACK TO a", "INSERT INTO t VALUES (3,'z')", "COMMIT"}, want: []string{"1:t 1:t"}},
	{name: "savepoint over a temporary table", make: []string{plainTable}, do: []string{"BEGIN", "INSERT INTO t VALUES (1,'x')", "SAVEPOINT a", "INSERT INTO t VALUES (2,'y')", "CREATE TEMPORARY TABLE tmp (i int)", "ROLLBACK TO a", "COMMIT", "DROP TEMPORARY TABLE tmp"}, want: []string{"1:t"}},
	{name: "trigger", tables: "t u", make: []string{plainTable, "CREATE TABLE u (id int PRIMARY KEY)", "CREATE TRIGGER g AFTER INSERT ON t FOR EACH ROW INSERT INTO u VALUES (NEW.id)"}, do: []string{"INSERT INTO t VALUES (1,'x')"}, want: []string{"1:t 1:u"}},
	{name: "partial image", make: []string{plainTable}, do: []string{"INSERT INTO t VALUES (1,'x')", "SET SESSION binlog_row_image = 'MINIMAL'", "UPDATE t SET v = 'y' WHERE id = 1", "SET SESSION binlog_row_image = 'FULL'"}, want: []string{"1:t"}, stop: StopImage, says: []string{"table ch.t", "binlog_row_image"}},
	{name: "table not followed", make: []string{plainTable, "CREATE TABLE u (id int PRIMARY KEY)"}, do: []string{"INSERT INTO u VALUES (1)"}, stop: StopTable, says: []string{"table ch.u"}},
	{name: "XA", make: []string{plainTable}, do: []string{"XA START 'a'", "INSERT INTO t VALUES (1,'x')", "XA END 'a'", "XA PREPARE 'a'", "XA COMMIT 'a'"}, stop: StopXA, says: []string{"1 rows", "x'61'"}},
	{name: "XA elsewhere", make: []string{plainTable, "CREATE TABLE other.x (i int) ENGINE=InnoDB"}, do: []string{"XA START 'a'", "INSERT INTO other.x VALUES (1)", "XA END 'a'", "XA PREPARE 'a'", "XA COMMIT 'a'"}, want: []string{"-", "-"}},
	{name: "foreign key", tables: "t u", make: []string{plainTable, "CREATE TABLE u (id int PRIMARY KEY, t int, FOREIGN KEY (t) REFERENCES t (id) ON DELETE CASCADE)", "INSERT INTO t VALUES (1,'x')", "INSERT INTO u VALUES (1,1)"}, do: []string{"DELETE FROM t WHERE id = 1"}},
}

var mariaTraps = []trap{
	{name: "rollback over a temporary table", make: []string{plainTable}, do: []string{"BEGIN", "INSERT INTO t VALUES (1,'x')", "CREATE TEMPORARY TABLE tmp (i int)", "ROLLBACK", "INSERT INTO t VALUES (2,'y')", "DROP TEMPORARY TABLE tmp"}, want: []string{"-", "1:t"}},
	{name: "statement format", make: []string{plainTable}, do: []string{"SET SESSION binlog_format = 'STATEMENT'", "INSERT INTO t VALUES (1,'a name')", "SET SESSION binlog_format = 'ROW'"}, stop: StopStatement, says: []string{"INSERT INTO t"}, not: []string{"a name"}},
	{name: "statement elsewhere", make: []string{plainTable, "CREATE TABLE other.x (i int)"}, do: []string{"SET SESSION binlog_format = 'STATEMENT'", "INSERT INTO other.x VALUES (1)", "SET SESSION binlog_format = 'ROW'"}, stop: StopStatement},
	{name: "compressed column", make: []string{"CREATE TABLE t (id int PRIMARY KEY, v varchar(200) COMPRESSED, w text COMPRESSED)"}, do: []string{"INSERT INTO t VALUES (1,REPEAT('x',150),'')"}, stop: StopCompressed, says: []string{"column v", "COMPRESSED"}},
	{name: "compressed column elsewhere", make: []string{plainTable, "CREATE TABLE other.x (id int PRIMARY KEY, v varchar(200) COMPRESSED, w text COMPRESSED, d decimal(5,2))"}, do: []string{"INSERT INTO other.x VALUES (1,REPEAT('x',150),'',1)"}, want: []string{"-"}},
	{name: "unique by hash", make: []string{"CREATE TABLE t (id int PRIMARY KEY, v text, UNIQUE (v) USING HASH)"}, do: []string{"INSERT INTO t VALUES (1,'x')"}, stop: StopDefinition, says: []string{"3 columns", "USING HASH"}},
	{name: "two-phase ALTER", make: []string{plainTable}, do: []string{"SET SESSION binlog_alter_two_phase = 1", "ALTER TABLE t ADD z int", "SET SESSION binlog_alter_two_phase = 0"}, stop: StopDDL, says: []string{"ALTER TABLE t ADD z int"}},
	{name: "sequence", make: []string{plainTable, "CREATE SEQUENCE q CACHE 10"}, do: []string{"SELECT NEXTVAL(q)"}, stop: StopTable, says: []string{"table ch.q"}},
	{name: "MyISAM elsewhere", make: []string{plainTable, "CREATE TABLE other.x (i int) ENGINE=MyISAM"}, do: []string{"INSERT INTO other.x VALUES (1)", "BEGIN", "INSERT INTO t VALUES (1,'x')", "INSERT INTO other.x VALUES (2)", "COMMIT"}, want: []string{"-", "-", "1:t"}},
}

func TestTraps(t *testing.T) {
	for _, s := range []side{maria(), my()} {
		for _, c := range append(bothTraps[:len(bothTraps):len(bothTraps)], map[string][]trap{"maria": mariaTraps}[s.Name]...) {
			switch c.name {
			case "temporary tables":
				c.want = map[string][]string{"maria": {"1:t"}, "mysql": {"1:t"}}[s.Name]
			case "foreign key": // MariaDB logs the parent's row only, MySQL since 9.6 the children's too
				c.want = map[string][]string{"maria": {"3:t"}, "mysql": {"3:u 3:t"}}[s.Name]
			}
			t.Run(s.Name+" "+c.name, func(t *testing.T) { c.run(t, s) })
		}
	}
}
