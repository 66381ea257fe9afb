package dbtest

import (
	"database/sql"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// Row is a row by the binary protocol as text: what the server stores, as far as that can be told apart.
func Row(names []string, vals []any) string {
	var b strings.Builder
	for i, v := range vals {
		fmt.Fprintf(&b, "%s=", names[i])
		switch v := v.(type) {
		case []byte:
			b.WriteString("bytes:" + hex.EncodeToString(v))
		case float64:
			fmt.Fprintf(&b, "double:%016x", math.Float64bits(v))
		case float32:
			fmt.Fprintf(&b, "float:%08x", math.Float32bits(v))
		default:
			fmt.Fprintf(&b, "%T:%v", v, v)
		}
		b.WriteByte(' ')
	}
	return b.String()
}

// Oracle reads a table or a view of the pool's schema by the binary protocol, with no expression over its columns, and gives its rows as
// text, sorted. No columns are all, invisible ones too.
func Oracle(t testing.TB, db *sql.DB, table string, columns ...string) (out []string) {
	t.Helper()
	c, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	Exec(t, c, "SET character_set_results = NULL, time_zone = '+00:00'")
	if len(columns) == 0 {
		columns = Texts(t, c, "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION", table)
	}
	quoted := make([]string, len(columns))
	for i, n := range columns {
		quoted[i] = quote(n)
	}
	// The parameter makes the driver prepare the statement.
	rows, err := c.QueryContext(t.Context(), "SELECT "+strings.Join(quoted, ",")+" FROM "+quote(table)+" WHERE 1 = ?", 1)
	if err != nil {
		t.Fatalf("table %s: %v", table, err)
	}
	defer rows.Close()
	for rows.Next() {
		vals, ptrs := make([]any, len(columns)), make([]any, len(columns))
		for i := range vals {
			ptrs[i] = &vals[i]
		}
		if err := rows.Scan(ptrs...); err != nil {
			t.Fatal(err)
		}
		out = append(out, Row(columns, vals))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(out)
	return out
}

func quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// Equal fails the test where a table isn't the same on both sides, and gives the number of its rows.
func Equal(t testing.TB, source, target *sql.DB, table string, columns ...string) (rows int) {
	t.Helper()
	a, b := Oracle(t, source, table, columns...), Oracle(t, target, table, columns...)
	if x, y, differ := first(a, b); differ {
		t.Fatalf("table %s: %d rows at the source, %d at the target; the first that differs:\n%s\n%s", table, len(a), len(b), x, y)
	}
	return len(a)
}

// first is the first row in which two sides differ.
func first(a, b []string) (x, y string, differ bool) {
	nth := func(rows []string, i int) string {
		if i < len(rows) {
			return rows[i]
		}
		return "(none)"
	}
	for i := range max(len(a), len(b)) {
		if x, y := nth(a, i), nth(b, i); x != y {
			return x, y, true
		}
	}
	return "", "", false
}

// EqualTables does so with all tables of the source's pool's schema but some. None at all fails too.
func EqualTables(t testing.TB, source, target *sql.DB, but ...string) (rows int) {
	t.Helper()
	tables := Texts(t, source, "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE = 'BASE TABLE'")
	if len(tables) <= len(but) {
		t.Fatalf("the source has only tables %q", tables)
	}
	for _, table := range tables {
		if !slices.Contains(but, table) {
			rows += Equal(t, source, target, table)
		}
	}
	return rows
}
