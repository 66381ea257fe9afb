//go:build lab

package whole

import (
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/lab/dbgen"
)

// Ways in which a row can be wrong.
const (
	rowLess = iota
	rowMore
	rowOther
	ways
)

// wrong makes one row of the target's table wrong, and says how; "" where it could not.
func (x *round) wrong(of on, way int) string {
	x.t.Helper()
	c, err := x.my.Conn(x.t.Context())
	if err != nil {
		x.t.Fatal(err)
	}
	defer c.Close()
	exec(x.t, c, "SET SESSION sql_mode = 'ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO', foreign_key_checks = 0, time_zone = '+00:00'")
	defer exec(x.t, c, "SET SESSION sql_mode = DEFAULT, foreign_key_checks = 1")
	what, stmt := "a row less", "DELETE FROM "+of.String()+" LIMIT 1"
	switch way {
	case rowMore:
		names, at := of.Stored()
		var vals []string
		for _, i := range at {
			v := of.Columns[i].Value(x.r)
			if of.InKey(i) {
				v = of.Columns[i].New(x.r)
			}
			vals = append(vals, v)
		}
		what, stmt = "a row more", fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", of, strings.Join(names, ","), strings.Join(vals, ","))
	case rowOther:
		can := plain(of.Table)
		if len(can) == 0 {
			return ""
		}
		col := of.Columns[dbgen.Pick(x.r, can...)]
		q := dbgen.Quote(col.Name)
		expr, where := "", ""
		switch word, _, _ := strings.Cut(strings.ReplaceAll(col.Def, "(", " "), " "); {
		case col.Null && x.r.IntN(3) == 0:
			expr, where = "NULL", " WHERE "+q+" IS NOT NULL"
		case word == "decimal" || word == "bit" || strings.HasSuffix(word, "int") && !strings.HasSuffix(word, "point"):
			expr = "IF(" + q + " = 1, 0, 1)"
		case word == "double" || word == "float":
			expr = "IF(" + q + " = 0, 1, -" + q + ")"
		case strings.HasSuffix(word, "char"):
			expr = "CONCAT(" + q + ", ' ')"
		case strings.HasSuffix(word, "text") || strings.HasSuffix(word, "blob") || strings.HasSuffix(word, "binary"):
			expr = "CONCAT(" + q + ", 'x')"
		case strings.HasPrefix(word, "date") || word == "timestamp":
			expr = "IF(" + q + " = '2001-01-01', '2001-01-02', '2001-01-01')"
		case word == "enum" || word == "set":
			expr = "IF(" + q + "+0 = 1, 2, 1)"
		default:
			return ""
		}
		what, stmt = "another value in "+q, "UPDATE "+of.String()+" SET "+q+" = "+expr+where+" LIMIT 1"
	}
	res, err := c.ExecContext(x.t.Context(), stmt)
	if err != nil {
		return "" // a key is in the way, or a value that MySQL hasn't
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return ""
	}
	return what
}

// plant makes a difference of each kind, in three tables, which verify and the oracle must both find, and verify mend.
func (x *round) plant() {
	x.t.Helper()
	var places, what []string
	for way := range ways {
		for try := 0; len(places) == way; try++ {
			if try == 1000 {
				x.t.Fatalf("no difference of kind %d could be made", way)
			}
			s := dbgen.Pick(x.r, x.followed...)
			of := on{s.name, dbgen.Pick(x.r, s.tables...)}
			if slices.Contains(places, of.schema+"."+of.Name) {
				continue
			}
			if done := x.wrong(of, way); done != "" {
				places, what = append(places, of.schema+"."+of.Name), append(what, of.String()+": "+done)
				kind, _, _ := strings.Cut(done, " in ")
				x.hits.add("made at the target: "+kind, 1)
			}
		}
	}
	found, _ := x.oracle()
	if len(found) != ways {
		x.t.Errorf("%q, and the oracle finds %q", what, found)
	}
	for _, w := range what {
		table, _, _ := strings.Cut(w, ": ")
		if !slices.ContainsFunc(found, func(f string) bool { return strings.HasPrefix(f, table+": ") }) {
			x.t.Errorf("%s, and the oracle finds %q", w, found)
		}
	}
	d := x.compare(chunkOf(x.r), true)
	if d.Different != ways || d.Repaired != ways {
		x.t.Errorf("%q, and verify finds %v (%d, %d repaired)", what, d.Found, d.Different, d.Repaired)
	}
	for i, p := range places {
		if !slices.ContainsFunc(d.Found, func(f dbcopy.Difference) bool { return f.Object == "table "+p }) {
			x.t.Errorf("%s, and verify finds %v", what[i], d.Found)
		}
	}
	if found, _ := x.oracle(); found != nil {
		x.t.Errorf("%q, and after the repair the oracle finds %q", what, found)
	}
}
