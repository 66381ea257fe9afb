package dbgen

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// Column is a column of a made-up table.
type Column struct {
	Name      string
	Type      Type
	Def       string // Type's
	Generated bool
	Auto      bool // AUTO_INCREMENT
	Null      bool
	// pool are the only values of a column that a key tells rows apart by, or refers by: so few that they meet.
	pool []string
}

// autoRange is up to where numbers of AUTO_INCREMENT columns are named.
const autoRange = 60

// Value is an expression to store.
func (c *Column) Value(r *rand.Rand) string {
	switch {
	case c.Auto && r.IntN(8) > 0:
		return "NULL"
	case c.Null && r.IntN(5) == 0:
		return "NULL"
	}
	return c.Known(r)
}

// Known is one that isn't NULL, and that rows may have already if the column is in a key.
func (c *Column) Known(r *rand.Rand) string {
	switch {
	case c.Auto:
		return strconv.Itoa(1 + r.IntN(autoRange))
	case c.pool != nil:
		return Pick(r, c.pool...)
	}
	return c.Type.Value(r, c.Def)
}

// New is one that no row has, as far as the type has many.
func (c *Column) New(r *rand.Rand) string {
	if c.Auto {
		return strconv.Itoa(1<<24 + r.IntN(1<<24))
	}
	return c.Type.Value(r, c.Def)
}

// Key is one that tells rows apart.
type Key struct {
	Columns []int // of Table.Columns
	Whole   bool  // no part may be NULL or is a prefix
}

// Reference is a foreign key.
type Reference struct {
	Parent    *Table
	Columns   []int // of the child
	Of        []int // of the parent
	OnDelete  string
	OnUpdate  string
	InPrimary bool
}

// Table is a made-up table.
type Table struct {
	Name    string
	Columns []Column
	Create  string
	What    []string // what it has, for lists of what was hit
	Rows    int      // to begin with, as far as keys let them in
	Keys    []Key    // that tell rows apart, the one that rows are found by first; none in a table without
	Refs    []Reference

	defs, keys  []string
	partitioned bool
}

// KeyKinds are the ways in which a table may be keyed. Rows of the last ones aren't told apart by anything.
var KeyKinds = []string{"auto", "one column", "two columns", "three columns", "unique", "unique, two columns", "enum", "prefix", "descending", "of a parent", "unique with NULL", "none"}

// Keyless are those of KeyKinds that can't be followed.
var Keyless = []string{"unique with NULL", "none"}

// Extras are what else a table may have, beside types and keys.
var Extras = []string{"generated VIRTUAL", "generated STORED", "unique over generated", "fulltext key", "spatial key", "ignored key", "several unique", "unique with NULL beside", "composite unique", "invisible column", "check",
	"default expression", "on update", "partitions", "name that needs quotes"}

// References are the kinds of foreign keys.
var References = []string{"on delete CASCADE", "on delete SET NULL", "on delete RESTRICT", "on update CASCADE", "on update SET NULL", "on update RESTRICT", "of several columns", "to a unique key", "to itself", "in the primary key"}

func (t *Table) hit(what string) { t.What = append(t.What, what) }

func integer(gt Type) bool {
	return slices.Contains([]string{"tinyint", "smallint", "mediumint", "int", "bigint"}, gt.What)
}

// column adds one of a type.
func (t *Table) column(r *rand.Rand, gt Type, def string, notNull bool) int {
	i := len(t.Columns)
	c := Column{Name: Pick(r, "c", "order", "col`umn", "größe", "a b", "per%cent") + strconv.Itoa(i), Type: gt, Def: def, Null: !notNull}
	full := " " + def + map[bool]string{true: " NOT NULL", false: " NULL"}[notNull]
	time := strings.HasPrefix(def, "timestamp")
	switch {
	case (time || strings.HasPrefix(def, "datetime")) && r.IntN(3) == 0:
		now := "CURRENT_TIMESTAMP" + strings.TrimLeft(strings.TrimPrefix(strings.TrimPrefix(def, "timestamp"), "datetime"), " ")
		full += " DEFAULT " + now + " ON UPDATE " + now
		t.hit("on update")
	case time && notNull: // else it gets a default of its own
		full += " DEFAULT '0000-00-00 00:00:00'"
	case !notNull && r.IntN(3) == 0 && strings.HasPrefix(gt.What, "varchar"):
		full += " DEFAULT (concat('x', 1 + 1))"
		t.hit("default expression")
	case !notNull && r.IntN(12) == 0:
		full += " INVISIBLE"
		t.hit("invisible column")
	case !notNull:
		full += " DEFAULT NULL"
	}
	if integer(gt) && r.IntN(6) == 0 {
		full += " CHECK (" + Quote(c.Name) + " is null or " + Quote(c.Name) + " <> 3)"
		t.hit("check")
	}
	t.Columns = append(t.Columns, c)
	t.hit(gt.What)
	t.defs = append(t.defs, Quote(c.Name)+full)
	return i
}

// fresh adds a column of any of the types.
func (t *Table) fresh(r *rand.Rand, types []Type, notNull bool) int {
	gt := Pick(r, types...)
	for t.partitioned && slices.Contains(shapes, gt.What) { // no server takes them there
		gt = Pick(r, types...)
	}
	return t.column(r, gt, gt.Def(r), notNull)
}

// filled gives columns the few values that they have.
func (t *Table) filled(r *rand.Rand, columns []int) {
	n := Pick(r, 8, 16, 100)
	if len(columns) > 1 {
		n = 5
	}
	for _, i := range columns {
		c := &t.Columns[i]
		for c.pool == nil || len(c.pool) < n {
			c.pool = append(c.pool, c.Type.Value(r, c.Def))
		}
	}
}

func (t *Table) names(columns []int) []string {
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = Quote(t.Columns[c].Name)
	}
	return out
}

// keyed adds the key that rows are told apart by.
func (t *Table) keyed(r *rand.Rand, kind string, parents []*Table) {
	t.hit("key: " + kind)
	var at []int
	suffix := ""
	switch kind {
	case "auto":
		t.Columns = append(t.Columns, Column{Name: "id", Type: Type{What: "auto_increment"}, Def: "int unsigned", Auto: true})
		t.defs, at = append(t.defs, "`id` int unsigned NOT NULL AUTO_INCREMENT"), []int{0}
	case "one column", "two columns", "three columns", "unique", "unique, two columns", "unique with NULL", "descending":
		n := map[string]int{"two columns": 2, "three columns": 3, "descending": 2, "unique, two columns": 2}[kind]
		for range max(n, 1) {
			at = append(at, t.fresh(r, keyable, kind != "unique with NULL"))
		}
		if kind == "descending" {
			suffix = " DESC"
		}
	case "enum":
		at = []int{t.fresh(r, named("enum utf8mb4"), true), t.fresh(r, named("int"), true)}
	case "prefix":
		at = []int{t.fresh(r, named("text utf8mb4", "mediumtext latin1", "blob", "longtext utf8mb3"), true)}
		suffix = "(5)"
	case "of a parent":
		t.reference(r, Pick(r, parents...), true)
		at = append(append(at, t.Refs[0].Columns...), t.fresh(r, named("smallint"), true))
	case "none":
		return
	}
	if t.Columns[at[0]].pool == nil && !t.Columns[at[0]].Auto {
		t.filled(r, at)
	} else if kind == "of a parent" {
		t.filled(r, at[len(at)-1:])
	}
	word := "PRIMARY KEY"
	if strings.HasPrefix(kind, "unique") {
		word = "UNIQUE KEY `u`"
	}
	t.keys = append(t.keys, word+" ("+strings.Join(t.names(at), ",")+suffix+")")
	t.Keys = append(t.Keys, Key{at, kind != "unique with NULL" && kind != "prefix" && kind != "descending"})
}

// beside adds what else there may be: keys, computed columns.
func (t *Table) beside(r *rand.Rand) {
	several := 0
	add := func(f string, a ...any) { t.keys = append(t.keys, fmt.Sprintf(f, a...)) }
	for i := range len(t.Columns) {
		c := &t.Columns[i]
		if c.Auto || c.pool != nil {
			continue
		}
		q := Quote(c.Name)
		switch {
		case c.Type.Key && r.IntN(4) == 0:
			add("KEY `k%d` (%s)%s", i, q, t.ignored(r))
		case c.Type.Key && r.IntN(4) == 0:
			t.filled(r, []int{i})
			add("UNIQUE KEY `k%d` (%s)", i, q)
			t.Keys = append(t.Keys, Key{[]int{i}, !c.Null})
			several++
			if c.Null {
				t.hit("unique with NULL beside")
			}
		case strings.HasPrefix(c.Type.What, "text utf8mb") && r.IntN(2) == 0:
			add("FULLTEXT KEY `f%d` (%s)", i, q)
			t.hit("fulltext key")
		case slices.Contains(shapes, c.Type.What) && !c.Null && r.IntN(2) == 0:
			add("SPATIAL KEY `s%d` (%s)", i, q)
			t.hit("spatial key")
		}
		expr, typ := "", ""
		switch {
		case r.IntN(3) == 0:
		case integer(c.Type):
			expr, typ = q+" is null or "+q+" > 5", "tinyint"
		case slices.Contains([]string{"varchar utf8mb4", "varchar utf8mb3", "varchar latin1", "varchar ascii", "varchar, long, utf8mb4", "varchar, long, utf8mb3"}, c.Type.What):
			expr, typ = "concat(left("+q+",3),'-')", "varchar(60) CHARACTER SET utf8mb4"
		}
		if expr != "" {
			how := Pick(r, "VIRTUAL", "STORED")
			t.hit("generated " + how)
			name := "g" + strconv.Itoa(i)
			t.Columns = append(t.Columns, Column{Name: name, Type: Type{What: "generated"}, Generated: true, Null: true})
			t.defs = append(t.defs, fmt.Sprintf("`%s` %s GENERATED ALWAYS AS (%s) %s", name, typ, expr, how))
			if typ != "tinyint" && r.IntN(2) == 0 {
				add("UNIQUE KEY `ug%d` (`%s`)", i, name)
				t.hit("unique over generated")
			}
		}
	}
	if several > 1 || several == 1 && len(t.Keys) > 1 {
		t.hit("several unique")
	}
}

func (t *Table) ignored(r *rand.Rand) string {
	if r.IntN(4) > 0 {
		return ""
	}
	t.hit("ignored key")
	return " IGNORED"
}

// composite adds a unique key over two columns that are there.
func (t *Table) composite(r *rand.Rand) {
	var can []int
	for i := range t.Columns {
		if c := &t.Columns[i]; c.Type.Key && !c.Auto && !c.Generated {
			can = append(can, i)
		}
	}
	if len(can) < 2 || r.IntN(3) > 0 {
		return
	}
	r.Shuffle(len(can), func(i, j int) { can[i], can[j] = can[j], can[i] })
	at := can[:2]
	t.keys = append(t.keys, "UNIQUE KEY `cu` ("+strings.Join(t.names(at), ",")+")")
	t.Keys = append(t.Keys, Key{at, !t.Columns[at[0]].Null && !t.Columns[at[1]].Null})
	t.hit("composite unique")
}

// reference adds a foreign key to a table's first key, with columns of its own.
func (t *Table) reference(r *rand.Rand, p *Table, primary bool) {
	k := p.Keys[0]
	if p != t && len(p.Keys) > 1 && p.Keys[1].Whole && r.IntN(2) == 0 && !primary {
		k = p.Keys[1]
		t.hit("reference to a unique key")
	}
	ref := Reference{Parent: p, Of: k.Columns, InPrimary: primary, OnDelete: Pick(r, "CASCADE", "CASCADE", "SET NULL", "RESTRICT"), OnUpdate: Pick(r, "CASCADE", "CASCADE", "SET NULL", "RESTRICT")}
	if primary {
		ref.OnDelete, ref.OnUpdate = Pick(r, "CASCADE", "CASCADE", "RESTRICT"), Pick(r, "CASCADE", "CASCADE", "RESTRICT")
		t.hit("reference in the primary key")
	}
	if p == t {
		ref.OnDelete, ref.OnUpdate = Pick(r, "CASCADE", "SET NULL"), "RESTRICT"
		t.hit("reference to itself")
	}
	for _, at := range k.Columns {
		of := p.Columns[at]
		def, typ := of.Def, of.Type
		if of.Auto {
			typ = Type{What: "int unsigned", Value: func(r *rand.Rand, _ string) string { return of.Known(r) }}
		}
		c := Column{Name: fmt.Sprintf("r%d", len(t.Columns)), Type: typ, Def: def, Null: !primary, pool: of.pool}
		full := " NULL DEFAULT NULL"
		if primary {
			full = " NOT NULL"
			if strings.HasPrefix(def, "timestamp") {
				full += " DEFAULT '0000-00-00 00:00:00'"
			}
		}
		if of.Auto {
			for n := range autoRange {
				c.pool = append(c.pool, strconv.Itoa(n+1))
			}
		}
		ref.Columns = append(ref.Columns, len(t.Columns))
		t.Columns = append(t.Columns, c)
		t.defs = append(t.defs, Quote(c.Name)+" "+def+full)
	}
	if len(k.Columns) > 1 {
		t.hit("reference of several columns")
	}
	if p != t { // what is drawn for one to itself may yet change
		t.hit("reference on delete " + ref.OnDelete)
	}
	t.hit("reference on update " + ref.OnUpdate)
	t.Refs = append(t.Refs, ref)
}

// constraints are the foreign keys' definitions.
func (t *Table) constraints(unique string) (out []string) {
	for i, f := range t.Refs {
		out = append(out, fmt.Sprintf("KEY `fk%d` (%s)", i, strings.Join(t.names(f.Columns), ",")),
			fmt.Sprintf("CONSTRAINT `%s_%d` FOREIGN KEY (%s) REFERENCES %s (%s) ON DELETE %s ON UPDATE %s", unique, i, strings.Join(t.names(f.Columns), ","), Quote(f.Parent.Name), strings.Join(f.Parent.names(f.Of), ","), f.OnDelete, f.OnUpdate))
	}
	return out
}

// Stored are the names of the columns that are written, and where they are.
func (t *Table) Stored() (names []string, at []int) {
	for i, c := range t.Columns {
		if !c.Generated {
			names, at = append(names, Quote(c.Name)), append(at, i)
		}
	}
	return names, at
}

// Row is values for the columns that are written, in parentheses.
func (t *Table) Row(r *rand.Rand) string {
	var vals []string
	for i := range t.Columns {
		if !t.Columns[i].Generated {
			vals = append(vals, t.Columns[i].Value(r))
		}
	}
	return "(" + strings.Join(vals, ",") + ")"
}

// Inserts are the statements that fill the table; what a key refuses is left out by the server.
func (t *Table) Inserts(r *rand.Rand) (out []string) {
	names, _ := t.Stored()
	for range t.Rows {
		out = append(out, "INSERT IGNORE INTO "+Quote(t.Name)+" ("+strings.Join(names, ",")+") VALUES "+t.Row(r))
	}
	return out
}

// InKey says whether a column is in a key that tells rows apart, or refers.
func (t *Table) InKey(i int) bool {
	return slices.ContainsFunc(t.Keys, func(k Key) bool { return slices.Contains(k.Columns, i) }) || slices.ContainsFunc(t.Refs, func(f Reference) bool { return slices.Contains(f.Columns, i) })
}
