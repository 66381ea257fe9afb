//go:build lab

package whole

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/lab/dbgen"
	"github.com/slipway-dev/slipway/internal/lab/dbtest"
)

// The oracle reads both sides by SELECTs of its own, in the order of a table's key, and compares row with row. Of the rewrites that
// docs/database.md lists one alone changes what a SELECT gives, and to the same text: UUID, INET6 and INET4 become characters. It shares
// nothing with the code under test but the driver.

// sortable is an expression that puts the column's values in the same order on both sides: that of their bytes, in hexadecimal.
func sortable(c *dbgen.Column) string {
	q := dbgen.Quote(c.Name)
	word := c.Def
	if i := strings.IndexAny(word, "( "); i >= 0 {
		word = word[:i]
	}
	switch word {
	case "tinyint", "smallint", "mediumint", "int", "bigint", "bit", "year", "enum":
		return "HEX(" + q + "+0)"
	case "decimal":
		return "HEX(CAST(" + q + "+0 AS CHAR))"
	case "date", "datetime", "timestamp", "time", "uuid", "inet4", "inet6":
		return "HEX(CAST(" + q + " AS CHAR))"
	}
	return "HEX(" + q + ")"
}

// reader streams a table.
type reader struct {
	rows *sql.Rows
	keys int
	cols []string
	key  []string
	text string
	some bool // there is a row
}

func (r *reader) next() error {
	if r.some = r.rows.Next(); !r.some {
		return r.rows.Err()
	}
	vals, ptrs := make([]any, r.keys+len(r.cols)), make([]any, r.keys+len(r.cols))
	for i := range vals {
		ptrs[i] = &vals[i]
	}
	if err := r.rows.Scan(ptrs...); err != nil {
		return err
	}
	r.key = r.key[:0]
	for _, v := range vals[:r.keys] {
		b, ok := v.([]byte)
		if !ok {
			return fmt.Errorf("a key's part is %T", v)
		}
		r.key = append(r.key, string(b))
	}
	r.text = dbtest.Row(r.cols, vals[r.keys:])
	return nil
}

func read(ctx context.Context, c *sql.Conn, t on, cols []string, keys []string) (*reader, error) {
	for _, s := range []string{"SET SESSION sql_mode = 'ALLOW_INVALID_DATES'", "SET SESSION time_zone = '+00:00', character_set_results = NULL"} {
		if _, err := c.ExecContext(ctx, s); err != nil {
			return nil, err
		}
	}
	list := slices.Clone(keys)
	for i, n := range cols {
		q := dbgen.Quote(n)
		if slices.Contains([]string{"uuid", "inet4", "inet6"}, t.Columns[i].Def) { // the rewrite
			q = "CAST(" + q + " AS CHAR)"
		}
		list = append(list, q)
	}
	query := "SELECT " + strings.Join(list, ",") + " FROM " + t.String() + " WHERE 1 = ?" // the parameter makes the driver prepare it
	if len(keys) > 0 {
		query += " ORDER BY " + strings.Join(keys, ",")
	}
	rows, err := c.QueryContext(ctx, query, 1)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", query, err)
	}
	return &reader{rows: rows, keys: len(keys), cols: cols}, nil
}

// differ compares a table's rows and names those that aren't the same, up to some.
func differ(t testing.TB, source, target *sql.DB, of on) (found []string, rows int) {
	t.Helper()
	cols := dbtest.Texts(t, source, "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION", of.schema, of.Name)
	for i := range max(len(cols), len(of.Columns)) {
		if i >= len(cols) || i >= len(of.Columns) || cols[i] != of.Columns[i].Name {
			t.Fatalf("table %s has columns %q, and others were made", of, cols)
		}
	}
	var keys []string
	if len(of.Keys) > 0 && !slices.ContainsFunc(of.Keys[0].Columns, func(i int) bool { return of.Columns[i].Null }) {
		for _, i := range of.Keys[0].Columns {
			keys = append(keys, sortable(&of.Columns[i]))
		}
	}
	var side [2]*reader
	for i, db := range []*sql.DB{source, target} {
		c, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if side[i], err = read(t.Context(), c, of, cols, keys); err != nil {
			t.Fatal(err)
		}
		defer side[i].rows.Close()
	}
	const most = 5
	note := func(f string, a ...any) {
		if len(found) < most {
			found = append(found, of.String()+": "+fmt.Sprintf(f, a...))
		}
	}
	if len(keys) == 0 { // nothing tells its rows apart: all of them, sorted
		var all [2][]string
		for i, s := range side {
			for {
				if err := s.next(); err != nil {
					t.Fatal(err)
				}
				if !s.some {
					break
				}
				all[i] = append(all[i], s.text)
			}
			slices.Sort(all[i])
		}
		if !slices.Equal(all[0], all[1]) {
			note("%d rows at the source, %d at the target, or others", len(all[0]), len(all[1]))
		}
		return found, len(all[0])
	}
	a, b := side[0], side[1]
	step := func(which ...*reader) {
		for _, s := range which {
			last := slices.Clone(s.key)
			had := s.text != ""
			if err := s.next(); err != nil {
				t.Fatalf("%s: %v", of, err)
			}
			if had && s.some && slices.Compare(last, s.key) >= 0 {
				t.Fatalf("%s isn't read in the order of its key: %q, then %q", of, last, s.key)
			}
		}
	}
	step(a, b)
	for a.some || b.some {
		order := 0
		switch {
		case !a.some:
			order = 1
		case !b.some:
			order = -1
		default:
			order = slices.Compare(a.key, b.key)
		}
		switch {
		case order < 0:
			note("the target lacks %s", a.text)
			rows++
			step(a)
		case order > 0:
			note("only the target has %s", b.text)
			step(b)
		default:
			if a.text != b.text {
				note("the source has\n\t%s\nand the target\n\t%s", a.text, b.text)
			}
			rows++
			step(a, b)
		}
	}
	return found, rows
}
