//go:build lab

package changes

import (
	"bytes"
	"database/sql"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
	"github.com/slipway-dev/slipway/internal/lab/dbgen"
)

var seedFlag = flag.Uint64("seed", 1, "first seed of the generated tables")

// rowsOf reads a table's rows by SELECT, by the key in their first column.
func rowsOf(t testing.TB, s side, tab Table) map[string][][]byte {
	t.Helper()
	db, err := s.source().Endpoint.Open(dbcopy.RowSession(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), "SELECT "+value.ReadAll(s.flavor, tab.Columns)+" FROM "+ddl.Quote(tab.Schema)+"."+ddl.Quote(tab.Name))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	out := map[string][][]byte{}
	sc := value.NewScanner(tab.Columns)
	for rows.Next() {
		vals, err := sc.Scan(rows)
		if err != nil {
			t.Fatal(err)
		}
		row := make([][]byte, len(vals))
		for i, v := range vals {
			if v != nil {
				row[i] = append([]byte{}, v...)
			}
		}
		out[string(vals[0])] = row
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// same compares a row out of the log with one that was read.
func same(t *testing.T, what string, tab Table, got, want [][]byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d columns, want %d", what, len(got), len(want))
	}
	for i, c := range tab.Columns {
		if (got[i] == nil) != (want[i] == nil) || !bytes.Equal(got[i], want[i]) {
			t.Errorf("%s: column %s %s of %s: the log has %q (NULL %v), SELECT %q (NULL %v)", what, c.Name, c.ColumnType, c.Charset, got[i], got[i] == nil, want[i], want[i] == nil)
		}
	}
}

// wide makes a table of some kinds of columns, generated and invisible ones among them.
type wide struct {
	tab     Table
	kinds   []dbgen.Type
	defs    []string
	stored  []string
	notNull []bool
}

func newWide(t *testing.T, r *rand.Rand, db *sql.DB, name string, kinds []dbgen.Type, maria bool) *wide {
	w := &wide{kinds: kinds}
	defs := []string{"id int unsigned NOT NULL PRIMARY KEY"}
	for i, k := range kinds {
		def := k.Def(r)
		null := r.IntN(3) > 0
		w.notNull = append(w.notNull, !null)
		w.defs = append(w.defs, def)
		c := fmt.Sprintf("c%d", i)
		w.stored = append(w.stored, c)
		nul := " NULL"
		if !null {
			nul = " NOT NULL"
			if strings.HasPrefix(def, "timestamp") {
				nul += " DEFAULT '0000-00-00 00:00:00'"
			}
		}
		if null && r.IntN(6) == 0 {
			nul += " INVISIBLE"
		}
		defs = append(defs, c+" "+def+nul)
	}
	defs = append(defs, "v1 bigint GENERATED ALWAYS AS (id + 7) VIRTUAL", "s1 varchar(60) CHARACTER SET utf8mb4 GENERATED ALWAYS AS (concat('k', id)) STORED", "v2 varchar(60) CHARACTER SET latin1 GENERATED ALWAYS AS (concat(id, ' x')) VIRTUAL", "z int")
	execute(t, db, "CREATE TABLE "+ddl.Quote(name)+" ("+strings.Join(defs, ", ")+")")
	w.tab = describe(t, db, "ch", name)
	return w
}

func (w *wide) value(r *rand.Rand, i int) string {
	if !w.notNull[i] && r.IntN(5) == 0 {
		return "NULL"
	}
	return w.kinds[i].Value(r, w.defs[i])
}

// TestTypes: every type's values out of the log are those that SELECT gives, byte for byte.
func TestTypes(t *testing.T) {
	for _, s := range []side{maria(), my()} {
		t.Run(s.Name, func(t *testing.T) {
			db := schema(t, s, "ch")
			execute(t, db, "SET SESSION sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'")
			var kinds []dbgen.Type
			for _, k := range dbgen.Types {
				if k.Only == "" || k.Only == s.Name {
					kinds = append(kinds, k)
				}
			}
			r := rand.New(rand.NewPCG(*seedFlag, 0))
			var tables []*wide
			for round := range 3 {
				r.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
				for part := range slices.Chunk(slices.Clone(kinds), 12) {
					tables = append(tables, newWide(t, r, db, dbgen.Pick(r, "t", "sel`ect", "größe", "a b")+fmt.Sprint(round, "_", len(tables)), part, s.flavor == value.MariaDB))
				}
			}
			var tabs []Table
			for _, w := range tables {
				tabs = append(tabs, w.tab)
			}
			st := open(t, s, Options{}, tabs...)
			hit := map[string]int{}
			rows := 0
			for _, w := range tables {
				rows += w.run(t, r, s, db, st, hit)
				if t.Failed() {
					t.Fatalf("seed %d", *seedFlag)
				}
			}
			names := slices.Sorted(maps.Keys(hit))
			t.Logf("seed %d: %d tables, %d changes; values that weren't NULL by type: %v", *seedFlag, len(tables), rows, hitList(hit, names))
			for _, k := range kinds {
				for _, of := range []string{"insert ", "update ", "delete "} {
					if hit[of+k.What] == 0 {
						t.Errorf("not hit: %s%s", of, k.What)
					}
				}
			}
		})
	}
}

func hitList(hit map[string]int, names []string) (out []string) {
	for _, n := range names {
		if kind, ok := strings.CutPrefix(n, "insert "); ok {
			out = append(out, fmt.Sprintf("%s:%d", kind, hit[n]))
		}
	}
	return out
}

func (w *wide) run(t *testing.T, r *rand.Rand, s side, db *sql.DB, st *Stream, hit map[string]int) (changes int) {
	q := ddl.Quote(w.tab.Name)
	count := func(kind string, row [][]byte) {
		for i, k := range w.kinds {
			if row[i+1] != nil {
				hit[kind+k.What]++
			}
		}
	}
	var vals []string
	for id := range 8 {
		row := []string{fmt.Sprint(id + 1)}
		for i := range w.kinds {
			row = append(row, w.value(r, i))
		}
		vals = append(vals, "("+strings.Join(row, ",")+")")
	}
	execute(t, db, "INSERT IGNORE INTO "+q+" (id,"+strings.Join(w.stored, ",")+") VALUES "+strings.Join(vals, ","))
	first := rowsOf(t, s, w.tab)
	execute(t, db, "BEGIN")
	for id := range 8 {
		var set []string
		for i, c := range w.stored {
			set = append(set, c+" = "+w.value(r, i))
		}
		execute(t, db, fmt.Sprintf("UPDATE IGNORE %s SET %s, z = %d WHERE id = %d", q, strings.Join(set, ", "), id, id+1))
	}
	execute(t, db, "COMMIT")
	second := rowsOf(t, s, w.tab)
	execute(t, db, "DELETE FROM "+q)
	for n, want := range []Kind{Insert, Update, Delete} {
		tx := next(t, st)
		if tx.Rows != 8 {
			t.Fatalf("%d changes, want 8", tx.Rows)
		}
		for c, err := range tx.Changes {
			if err != nil {
				t.Fatal(err)
			}
			if c.Kind != want || c.Table.Name != w.tab.Name {
				t.Fatalf("kind %d of %s, want %d of %s", c.Kind, c.Table.Name, want, w.tab.Name)
			}
			changes++
			switch n {
			case 0:
				same(t, "insert", w.tab, c.After, first[string(c.After[0])])
				count("insert ", c.After)
			case 1:
				same(t, "update before", w.tab, c.Before, first[string(c.Before[0])])
				same(t, "update after", w.tab, c.After, second[string(c.After[0])])
				count("update ", c.After)
			case 2:
				same(t, "delete", w.tab, c.Before, second[string(c.Before[0])])
				count("delete ", c.Before)
			}
		}
		if err := tx.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return changes
}
