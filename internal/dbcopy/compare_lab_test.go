//go:build lab

package dbcopy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy/value"
	"github.com/slipway-dev/slipway/internal/lab/dbtest"
)

// compared compares the two servers with a short settle limit, and gives what differs.
func compared(t testing.TB, o CompareOptions) (Comparison, []string) {
	t.Helper()
	if o.Settle == 0 {
		o.Settle = 50 * time.Millisecond
	}
	c, err := Compare(t.Context(), testSource(), testTarget(), o)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, d := range c.Found {
		out = append(out, d.String())
	}
	return c, out
}

// heapSays are what is said of rows of a table without a key.
var heapSays = map[string]string{
	"the target hasn't it so, or not so often": "the source has it 2 times and the target 0 times",
	"only the target has it so, or so often":   "the source has it ",
}

// TestCompareCorruption alters the target in one way at a time, as TestCorruption does. Each must be found, and the rows named.
func TestCompareCorruption(t *testing.T) {
	maria, my := schemas(t, "corrupt")
	corruptible(t, maria)
	load1(t, take(t, Options{Schemas: []string{"corrupt"}}), LoadOptions{})
	o := CompareOptions{Schemas: []string{"corrupt"}, ChunkBytes: 4000, Most: 500}
	c, found := compared(t, o)
	if found != nil || !c.Same() || c.Tables != 4 || c.Views != 1 || c.Rows != 200+5+4 || c.Chunks < 10 || c.Decided != "time" || c.Position == "" {
		t.Fatalf("before anything was altered: %q, %+v", found, c)
	}
	more := corruptions[:0:0]
	for _, x := range []struct{ name, do, undo, want string }{
		{"minus zero", "UPDATE a SET d='-0' WHERE id=0", "UPDATE a SET d='0.1' WHERE id=0", "`id`=0: differs in d"},
		{"an ENUM's label", "ALTER TABLE a MODIFY e ENUM('a','x','')", "ALTER TABLE a MODIFY e ENUM('a','b','')", "its columns are others, and its rows were not compared: `e` is enum('a','b','') utf8mb4 at the source and enum('a','x','') utf8mb4 at the target"},
		{"a wider column", "ALTER TABLE heap MODIFY s VARCHAR(11) COLLATE utf8mb4_general_ci", "ALTER TABLE heap MODIFY s VARCHAR(10) COLLATE utf8mb4_general_ci", "`s` is varchar(10) utf8mb4 at the source and varchar(11) utf8mb4 at the target"},
		{"a column more", "ALTER TABLE heap ADD z INT", "ALTER TABLE heap DROP z", "`z` is at the target alone"},
		{"a column that may be NULL", "ALTER TABLE a MODIFY y INT", "ALTER TABLE a MODIFY y INT NOT NULL", "`y` is int NOT NULL at the source and int at the target"},
	} {
		more = append(more, corruptions[0])
		n := &more[len(more)-1]
		n.name, n.do, n.undo, n.want = x.name, x.do, x.undo, []string{x.want}
	}
	exec(t, maria, "UPDATE a SET d=0 WHERE id=0")
	exec(t, my, "UPDATE a SET d=0 WHERE id=0")
	more[0].undo = "UPDATE a SET d='0' WHERE id=0"
	for _, x := range append(slices.Clone(corruptions), more...) {
		t.Run(x.name, func(t *testing.T) {
			exec(t, my, "SET @@sql_mode=''; "+x.do)
			c, found := compared(t, o)
			all := strings.Join(found, "\n")
			for _, w := range x.want {
				if says, ok := heapSays[w]; ok {
					w = says
				}
				if !strings.Contains(all, w) {
					t.Errorf("not found: %q; said is:\n%s", w, all)
				}
			}
			if c.Same() || len(found) == 0 || c.Different != int64(len(found)) && !c.More {
				t.Errorf("%d differ, %d are named", c.Different, len(found))
			}
			exec(t, my, x.undo)
		})
	}
	if _, found := compared(t, o); found != nil {
		t.Errorf("all is undone, and %q differ", found)
	}
	t.Logf("%d corruptions, each found and its rows named", len(corruptions)+len(more))
}

// TestCompareKeys: tables of all sorts of keys, with rows on one side alone, more than are read at once, and with rows that a
// collation takes for equal.
func TestCompareKeys(t *testing.T) {
	maria, my := schemas(t, "keys")
	exec(t, maria, "SET SESSION sql_mode=''",
		"CREATE TABLE u (u UUID PRIMARY KEY, x INT)", "INSERT INTO u SELECT CAST(CONCAT(LPAD(HEX(seq),8,'0'),'-0000-4000-8000-000000000000') AS UUID), seq FROM seq_1_to_3000",
		"CREATE TABLE e (e ENUM('a','b') CHARACTER SET latin1, d DOUBLE, f FLOAT, y YEAR, b BIT(9), x INT, PRIMARY KEY (e,d,f,y,b))", "INSERT INTO e SELECT 1+seq%2, seq/7, seq/3, 1999, seq%500, seq FROM seq_1_to_2500",
		"CREATE TABLE p (t TEXT COLLATE utf8mb4_general_ci, x INT, PRIMARY KEY (t(20)))", "INSERT INTO p SELECT CONCAT('é', seq), seq FROM seq_1_to_100",
		"CREATE TABLE m (a SMALLINT UNSIGNED, b VARCHAR(20) CHARACTER SET latin1, c DATETIME(3), d DECIMAL(10,2), v VARBINARY(8), x INT, PRIMARY KEY (a,b,c,d,v))",
		"INSERT INTO m SELECT seq%7, CONCAT(CHAR(233 USING latin1), seq), '2020-01-01' + INTERVAL seq SECOND, seq/4, UNHEX(HEX(seq)), seq FROM seq_1_to_5000",
		"CREATE TABLE n (id INT NOT NULL, k BINARY(4) NOT NULL, x INT, UNIQUE (id))", "INSERT INTO n SELECT seq, seq, seq FROM seq_1_to_5000",
		"CREATE TABLE z (id INT PRIMARY KEY, x INT)")
	load1(t, take(t, Options{Schemas: []string{"keys"}}), LoadOptions{})
	o := CompareOptions{Schemas: []string{"keys"}, ChunkBytes: 20_000, Workers: 2}
	if c, found := compared(t, o); found != nil || c.Tables != 6 || c.Rows != 3000+2500+100+5000+5000 {
		t.Fatalf("%q, %+v", found, c)
	}
	damage := []struct{ do, want string }{
		{"UPDATE u SET x=0 WHERE u='000000ff-0000-4000-8000-000000000000'", "table keys.u, row with `u`=\"000000ff-0000-4000-8000-000000000000\": differs in x"},
		{"DELETE FROM u WHERE u='00000001-0000-4000-8000-000000000000'", "table keys.u, row with `u`=\"00000001-0000-4000-8000-000000000000\": the target hasn't it"},
		{"UPDATE e SET x=0 WHERE x=1234", "table keys.e, row with `e`=\"1=a\", `d`=176.285714285, `f`=411.3333435058594, `y`=1999, `b`=234: differs in x"},
		{"DELETE FROM e WHERE x=1235", "the target hasn't it"},
		{"UPDATE p SET t='e7' WHERE x=7", "table keys.p, row with `t`=\"é7\": the target hasn't it"},
		{"UPDATE p SET x=0 WHERE x=8", "table keys.p, row with `t`=\"é8\": differs in x"},
		{"UPDATE m SET x=0 WHERE x=77", "table keys.m, row with `a`=0, `b`=\"\\xe977\", `c`=\"2020-01-01 00:01:17.000\", `d`=19.25, `v`=\"M\": differs in x"},
		{"DELETE FROM n WHERE id=4321", "table keys.n, row with `id`=4321: the target hasn't it"},
		{"INSERT INTO n VALUES (-5,'a',1)", "table keys.n, row with `id`=-5: only the target has it"},
	}
	for _, d := range damage {
		exec(t, my, "SET @@sql_mode=''; "+d.do)
	}
	check := func() {
		t.Helper()
		c, found := compared(t, o)
		all := strings.Join(found, "\n")
		for _, d := range damage {
			if !strings.Contains(all, d.want) {
				t.Errorf("after %s, %q isn't found; said is:\n%s", d.do, d.want, all)
			}
		}
		if c.Different != int64(len(damage)+1) { // one key became another: a row is missing and one is too many
			t.Errorf("%d differ:\n%s", c.Different, all)
		}
	}
	check()
	// Many rows that only the target has, all in one range or none.
	exec(t, my, "SET SESSION cte_max_recursion_depth=300000; INSERT INTO z WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM s WHERE n<250000) SELECT n, n FROM s")
	c, found := compared(t, CompareOptions{Schemas: []string{"keys"}, Only: []Region{{Schema: "keys", Table: "z"}}})
	if len(found) != defaultMost || !c.More || !strings.Contains(found[0], "table keys.z, row with `id`=") || c.Tables != 1 || c.Views != 0 {
		t.Errorf("%d found, %+v", len(found), c.Again)
	}
	exec(t, my, "TRUNCATE TABLE z")
	c, found = compared(t, CompareOptions{Schemas: []string{"keys"}, Only: []Region{{Schema: "keys", Table: "n", After: value.Bound{[]byte("10")}, UpTo: value.Bound{[]byte("4321")}}}})
	if len(found) != 1 || c.Rows != 4311 {
		t.Errorf("of a range: %q, %d rows", found, c.Rows)
	}
	repaired(t, o, len(damage)+1)
	for _, table := range []string{"e", "p", "m", "n", "z"} {
		dbtest.Equal(t, maria, my, table)
	}
}

// repaired repairs and looks whether it says so.
func repaired(t testing.TB, o CompareOptions, want int) {
	t.Helper()
	o.Repair = true
	c, found := compared(t, o)
	for _, d := range c.Found {
		if !d.Repaired {
			t.Errorf("not repaired: %s", d)
		}
	}
	if c.Different != int64(want) || c.Repaired != c.Different || !c.Same() {
		t.Errorf("%d repaired of %d, want %d: %q", c.Repaired, c.Different, want, found)
	}
	o.Repair = false
	if _, found := compared(t, o); found != nil {
		t.Errorf("repaired, and %q differ", found)
	}
}

// TestCompareMost: what is named is bounded, and no more is looked for.
func TestCompareMost(t *testing.T) {
	maria, my := schemas(t, "most")
	exec(t, maria, "CREATE TABLE a (id INT PRIMARY KEY, x INT)", "INSERT INTO a SELECT seq, seq FROM seq_1_to_3000")
	load1(t, take(t, Options{Schemas: []string{"most"}}), LoadOptions{})
	exec(t, my, "UPDATE a SET x=-1")
	c, found := compared(t, CompareOptions{Schemas: []string{"most"}, ChunkBytes: 20_000, Most: 7})
	if len(found) != 7 || !c.More || c.Same() {
		t.Errorf("%q, %+v", found, c)
	}
	c, _ = compared(t, CompareOptions{Schemas: []string{"most"}, Most: 7, Repair: true})
	if c.Different != 3000 || c.Repaired != 3000 || len(c.Found) != 7 || !c.More || !c.Same() {
		t.Errorf("repaired: %+v", c)
	}
	dbtest.Equal(t, maria, my, "a", "id", "x")
}

// TestCompareRefuses: what can't be compared is said, with what mends it.
func TestCompareRefuses(t *testing.T) {
	maria, my := schemas(t, "refuse")
	exec(t, maria, "CREATE TABLE a (id INT PRIMARY KEY)", "CREATE TABLE b (id INT PRIMARY KEY)")
	exec(t, my, "CREATE TABLE a (id INT PRIMARY KEY)", "CREATE TABLE b (id INT PRIMARY KEY)")
	rm, rd := admin(t, servers.maria, ""), admin(t, servers.mysql, "")
	exec(t, rm, "CREATE OR REPLACE USER 'few'@'127.0.0.1' IDENTIFIED BY 'only-in-tests'", "GRANT SELECT ON refuse.a TO 'few'@'127.0.0.1'")
	exec(t, rd, "DROP USER IF EXISTS 'few'@'127.0.0.1'", "CREATE USER 'few'@'127.0.0.1' IDENTIFIED BY 'only-in-tests'", "GRANT SELECT ON refuse.a TO 'few'@'127.0.0.1'", "DROP DATABASE IF EXISTS refuse_none", "CREATE DATABASE refuse_none")
	t.Cleanup(func() {
		if _, err := rm.ExecContext(context.Background(), "DROP USER 'few'@'127.0.0.1'"); err != nil {
			t.Error(err)
		}
		for _, s := range []string{"DROP USER 'few'@'127.0.0.1'", "DROP DATABASE refuse_none"} {
			if _, err := rd.ExecContext(context.Background(), s); err != nil {
				t.Error(err)
			}
		}
	})
	few := func(s Endpoint) Endpoint { s.User = "few"; return s }
	src, dst := testSource().ep, testTarget().ep
	for _, x := range []struct {
		name     string
		src, dst Endpoint
		schema   string
		is       error
		says     string
	}{
		{"one server", src, src, "refuse", ErrOneServer, "are one"},
		{"two names of one server", dst, few(dst), "refuse", ErrOneServer, "same server"},
		{"the wrong way round", dst, src, "refuse", ErrKinds, "and no MariaDB"},
		{"no schema at the source", src, dst, "refuse_none", ErrNoSchema, "maria: "},
		{"no schema at the target", src, dst, "mysql", ErrDefinitions, ""},
		{"no privileges at the source", few(src), dst, "refuse", ErrPrivileges, "GRANT SELECT ON `refuse`.* TO 'few'@'127.0.0.1'"},
		{"no privileges on a table of the target", src, few(dst), "refuse", ErrPrivileges, "type there: GRANT SELECT ON `refuse`.`b` TO 'few'@'127.0.0.1'"},
	} {
		if x.name == "no schema at the target" {
			exec(t, rd, "DROP DATABASE refuse_none")
			exec(t, rm, "CREATE DATABASE IF NOT EXISTS refuse_none")
			x.schema, x.is, x.says = "refuse_none", ErrNoSchema, "mysql: "
		}
		_, err := Compare(t.Context(), NewSource(x.src), NewTarget(x.dst), CompareOptions{Schemas: []string{x.schema}})
		if !errors.Is(err, x.is) || !strings.Contains(fmt.Sprint(err), x.says) {
			t.Errorf("%s: %v", x.name, err)
		}
		if x.name == "no schema at the target" {
			exec(t, rm, "DROP DATABASE refuse_none")
			exec(t, rd, "CREATE DATABASE refuse_none")
		}
	}
}
