//go:build lab

package dbcopy

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
)

// TestCheckCascades: each foreign key that the check names is one by which the MySQL doesn't do what the MariaDB does, and its
// neighbours, of which it says nothing, are done by both. What the check says to type makes it say no more.
func TestCheckCascades(t *testing.T) {
	for _, c := range []struct {
		name   string
		tables []string
		do     string
		number uint16 // the MySQL's error; 0: none
		same   bool   // both have the same rows then
		says   Severity
		key    string
	}{
		{"two siblings with rows below them", []string{"CREATE TABLE a (id INT PRIMARY KEY, p INT, CONSTRAINT k FOREIGN KEY (p) REFERENCES a (id) ON DELETE CASCADE)", "INSERT INTO a VALUES (1,NULL),(2,1),(3,1),(4,2),(5,3)"},
			"DELETE FROM a WHERE id = 1", 6575, false, Warn, "table cascades.a, k"},
		{"a table beside a chain", []string{"CREATE TABLE a (id INT PRIMARY KEY, p INT, CONSTRAINT k FOREIGN KEY (p) REFERENCES a (id) ON DELETE CASCADE)", "CREATE TABLE b (id INT PRIMARY KEY, a INT, FOREIGN KEY (a) REFERENCES a (id) ON DELETE CASCADE)",
			"INSERT INTO a VALUES (1,NULL),(2,1),(3,2)", "INSERT INTO b VALUES (1,1),(2,2),(3,3)"}, "DELETE FROM a WHERE id = 1", 6575, false, Warn, "table cascades.a, k"},
		{"to itself, set to NULL", []string{"CREATE TABLE a (id INT PRIMARY KEY, p INT, CONSTRAINT k FOREIGN KEY (p) REFERENCES a (id) ON DELETE SET NULL)", "INSERT INTO a VALUES (1,NULL),(2,1),(3,1),(4,2),(5,3)"},
			"DELETE FROM a WHERE id = 1", 0, true, "", ""},
		{"two ways to one table", []string{"CREATE TABLE a (id INT PRIMARY KEY)", "CREATE TABLE b (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES a (id) ON DELETE CASCADE)",
			"CREATE TABLE c (id INT PRIMARY KEY, p INT, q INT, FOREIGN KEY (p) REFERENCES b (id) ON DELETE CASCADE, FOREIGN KEY (q) REFERENCES a (id) ON DELETE CASCADE)",
			"INSERT INTO a VALUES (1)", "INSERT INTO b VALUES (1,1),(2,1)", "INSERT INTO c VALUES (1,1,1),(2,2,1),(3,2,NULL)"}, "DELETE FROM a WHERE id = 1", 0, true, "", ""},
		{"a circle", []string{"CREATE TABLE a (id INT PRIMARY KEY, p INT)", "CREATE TABLE b (id INT PRIMARY KEY, p INT, CONSTRAINT kb FOREIGN KEY (p) REFERENCES a (id) ON DELETE CASCADE)", "ALTER TABLE a ADD CONSTRAINT k FOREIGN KEY (p) REFERENCES b (id) ON DELETE CASCADE",
			"INSERT INTO a VALUES (1,NULL)", "INSERT INTO b VALUES (1,1)", "INSERT INTO a VALUES (2,1)", "INSERT INTO b VALUES (3,2)"}, "DELETE FROM a WHERE id = 1", 0, false, Refuse, "table cascades.a, k"},
		{"a circle that ends in NULL", []string{"CREATE TABLE a (id INT PRIMARY KEY, p INT)", "CREATE TABLE b (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES a (id) ON DELETE CASCADE)", "ALTER TABLE a ADD CONSTRAINT k FOREIGN KEY (p) REFERENCES b (id) ON DELETE SET NULL",
			"INSERT INTO a VALUES (1,NULL)", "INSERT INTO b VALUES (1,1)", "INSERT INTO a VALUES (2,1)", "INSERT INTO b VALUES (3,2)"}, "DELETE FROM a WHERE id = 1", 0, false, Refuse, "table cascades.a, k"},
		{"two levels, several rows with one parent", []string{"CREATE TABLE a (x INT PRIMARY KEY)", "CREATE TABLE b (x INT, z INT, PRIMARY KEY (x, z), FOREIGN KEY (x) REFERENCES a (x) ON UPDATE CASCADE)",
			"CREATE TABLE c (id INT PRIMARY KEY, x INT, z INT, CONSTRAINT k FOREIGN KEY (x, z) REFERENCES b (x, z) ON UPDATE CASCADE)", "INSERT INTO a VALUES (1)", "INSERT INTO b VALUES (1,1),(1,2)", "INSERT INTO c VALUES (1,1,1),(2,1,2)"},
			"UPDATE a SET x = 3", 1452, false, Warn, "table cascades.c, k"},
		{"two levels of the same columns", []string{"CREATE TABLE a (x INT, y INT, PRIMARY KEY (x, y))", "CREATE TABLE b (x INT, y INT, PRIMARY KEY (x, y), FOREIGN KEY (x, y) REFERENCES a (x, y) ON UPDATE CASCADE)",
			"CREATE TABLE c (id INT PRIMARY KEY, x INT, y INT, FOREIGN KEY (x, y) REFERENCES b (x, y) ON UPDATE CASCADE)", "INSERT INTO a VALUES (1,1),(1,2)", "INSERT INTO b VALUES (1,1),(1,2)", "INSERT INTO c VALUES (1,1,1),(2,1,2),(3,1,1)"},
			"UPDATE a SET x = 3 WHERE y = 1", 0, true, "", ""},
		{"two levels of other columns", []string{"CREATE TABLE a (x INT PRIMARY KEY)", "CREATE TABLE b (z INT PRIMARY KEY, x INT, FOREIGN KEY (x) REFERENCES a (x) ON UPDATE CASCADE)", "CREATE TABLE c (id INT PRIMARY KEY, z INT, FOREIGN KEY (z) REFERENCES b (z) ON UPDATE CASCADE)",
			"INSERT INTO a VALUES (1)", "INSERT INTO b VALUES (1,1),(2,1)", "INSERT INTO c VALUES (1,1),(2,2)"}, "UPDATE a SET x = 3", 0, true, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			maria, my := schemas(t, "cascades")
			exec(t, maria, c.tables...)
			exec(t, my, c.tables...)
			found := func() (out []Finding) {
				t.Helper()
				r, err := Check(t.Context(), testSource(), testTarget(), CheckOptions{Schemas: []string{"cascades"}})
				if err != nil {
					t.Fatal(err)
				}
				return slices.DeleteFunc(r.Findings, func(f Finding) bool { return f.Check != "cascade" })
			}
			said := found()
			if is := slices.ContainsFunc(said, func(f Finding) bool { return f.Object == c.key && f.Severity == c.says }); is != (c.key != "") || c.key == "" && len(said) > 0 {
				t.Errorf("the check says %v", said)
			}
			exec(t, maria, c.do)
			if _, err := my.ExecContext(t.Context(), c.do); ask.Number(err) != c.number {
				t.Errorf("the MySQL answers %v, want error %d", err, c.number)
			}
			if one, other := everyRow(t, maria), everyRow(t, my); (one == other) != c.same {
				t.Errorf("the MariaDB has %s and the MySQL %s", one, other)
			}
			for _, f := range said {
				fix, _, _ := strings.Cut(f.Fix, "; and the application")
				exec(t, maria, strings.Split(fix, "; ")...)
				if left := found(); slices.ContainsFunc(left, func(g Finding) bool { return g.Object == f.Object }) {
					t.Errorf("after %s the check says %v", fix, left)
				}
			}
		})
	}
}

// everyRow prints the rows of tables a, b and c.
func everyRow(t *testing.T, db *sql.DB) (out string) {
	t.Helper()
	for _, table := range []string{"a", "b", "c"} {
		rows, err := ask.Rows(t.Context(), db, "SELECT * FROM "+table+" ORDER BY 1, 2")
		if ask.Number(err) == 1054 { // one column
			rows, err = ask.Rows(t.Context(), db, "SELECT * FROM "+table+" ORDER BY 1")
		}
		if err != nil && ask.Number(err) != 1146 {
			t.Fatal(err)
		}
		out += fmt.Sprint(table, rows)
	}
	return out
}
