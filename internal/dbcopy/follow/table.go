package follow

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
)

// table is a table whose changes are applied: the source's columns, and what the target says about keys.
type table struct {
	of     *changes.Table
	name   string // qualified, in quotes
	stored []int  // columns that are written; the servers compute the others themselves
	touch  []int  // columns that every UPDATE names: a TIMESTAMP that is left out may become the time of the statement
	locate []int  // the columns of the key that a row is found by
	named  []string

	unique     []index // that tell rows apart, at the target
	referenced []index // that other tables refer to
	refers     []index // what this table refers to, by its own columns
	parent     bool    // other rows go or change with its rows
}

// definition is what the target's dictionary has on one table, read once.
type definition struct {
	columns map[string]bool // by name in lower case: whether the target computes it
	keys    []keyDef
	refers  []reference // of this table to others
	parents []reference // of others to this table
}

type keyDef struct {
	name  string
	parts []keyPart
	whole bool // no part can be NULL: rows are told apart by it
}

type keyPart struct {
	column string // "": an expression
	prefix int
}

// reference is one foreign key.
type reference struct {
	child, parent  string // schema.table
	columns, other []string
}

// dictionary is the definitions of the schemas' tables, by schema.table.
type dictionary map[string]*definition

// readDictionary asks the target. It needs a text session.
func readDictionary(ctx context.Context, q ask.Queryer, schemas []string) (dictionary, error) {
	in := make([]string, len(schemas))
	for i, s := range schemas {
		in[i] = ddl.Literal(s)
	}
	of := " IN (" + strings.Join(in, ",") + ")"
	d := dictionary{}
	_, err := ask.Each(ctx, q, func(r *sql.Rows) (struct{}, error) {
		var schema, name, column, extra string
		err := r.Scan(&schema, &name, &column, &extra)
		t := d[schema+"."+name]
		if t == nil {
			t = &definition{columns: map[string]bool{}}
			d[schema+"."+name] = t
		}
		t.columns[strings.ToLower(column)] = strings.Contains(extra, "VIRTUAL GENERATED") || strings.Contains(extra, "STORED GENERATED")
		return struct{}{}, err
	}, "SELECT c.TABLE_SCHEMA, c.TABLE_NAME, c.COLUMN_NAME, c.EXTRA FROM information_schema.COLUMNS c JOIN information_schema.TABLES t"+
		" ON t.TABLE_SCHEMA = c.TABLE_SCHEMA AND t.TABLE_NAME = c.TABLE_NAME WHERE t.TABLE_TYPE = 'BASE TABLE' AND c.TABLE_SCHEMA"+of)
	if err != nil {
		return nil, err
	}
	if err := d.keys(ctx, q, of); err != nil {
		return nil, err
	}
	return d, d.references(ctx, q, of)
}

func (d dictionary) keys(ctx context.Context, q ask.Queryer, of string) error {
	_, err := ask.Each(ctx, q, func(r *sql.Rows) (struct{}, error) {
		var schema, name, key, null string
		var column sql.NullString
		var prefix sql.NullInt64
		if err := r.Scan(&schema, &name, &key, &column, &prefix, &null); err != nil {
			return struct{}{}, err
		}
		t := d[schema+"."+name]
		if t == nil {
			return struct{}{}, nil
		}
		if n := len(t.keys); n == 0 || t.keys[n-1].name != key {
			t.keys = append(t.keys, keyDef{name: key, whole: true})
		}
		k := &t.keys[len(t.keys)-1]
		k.parts = append(k.parts, keyPart{column.String, int(prefix.Int64)})
		k.whole = k.whole && null != "YES" && column.Valid
		return struct{}{}, nil
	}, "SELECT TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, COLUMN_NAME, SUB_PART, NULLABLE FROM information_schema.STATISTICS WHERE NON_UNIQUE = 0 AND TABLE_SCHEMA"+of+
		" ORDER BY TABLE_SCHEMA, TABLE_NAME, INDEX_NAME <> 'PRIMARY', INDEX_NAME, SEQ_IN_INDEX")
	return err
}

func (d dictionary) references(ctx context.Context, q ask.Queryer, of string) error {
	var all []reference
	last := ""
	_, err := ask.Each(ctx, q, func(r *sql.Rows) (struct{}, error) {
		var name, schema, table, column, otherSchema, otherTable, other string
		if err := r.Scan(&name, &schema, &table, &column, &otherSchema, &otherTable, &other); err != nil {
			return struct{}{}, err
		}
		if id := schema + "." + table + "." + name; id != last {
			last = id
			all = append(all, reference{child: schema + "." + table, parent: otherSchema + "." + otherTable})
		}
		f := &all[len(all)-1]
		f.columns, f.other = append(f.columns, column), append(f.other, other)
		return struct{}{}, nil
	}, "SELECT CONSTRAINT_NAME, TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, REFERENCED_TABLE_SCHEMA, REFERENCED_TABLE_NAME, REFERENCED_COLUMN_NAME FROM information_schema.KEY_COLUMN_USAGE"+
		" WHERE REFERENCED_TABLE_NAME IS NOT NULL AND TABLE_SCHEMA"+of+" ORDER BY TABLE_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, ORDINAL_POSITION")
	if err != nil {
		return err
	}
	for _, f := range all {
		if c := d[f.child]; c != nil {
			c.refers = append(c.refers, f)
		}
		if p := d[f.parent]; p != nil {
			p.parents = append(p.parents, f)
		}
	}
	return nil
}

// refused gives the tables that can't be followed, and what mends each.
func (d dictionary) refused() (bad []string) {
	for name, t := range d {
		if !slices.ContainsFunc(t.keys, func(k keyDef) bool { return k.whole }) {
			schema, table, _ := strings.Cut(name, ".")
			bad = append(bad, fmt.Sprintf("table %s has no primary key and no unique one without NULL: a change in the log says not which row it is of; at the source: "+
				"ALTER TABLE %s ADD slipway_id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT INVISIBLE, ADD PRIMARY KEY (slipway_id); then copy again", name, ddl.Qualified(schema, table)))
		}
	}
	slices.Sort(bad)
	return bad
}

// bind makes of a table as the log has it one that changes can be applied to.
func (d dictionary) bind(t *changes.Table) (*table, error) {
	full := t.Schema + "." + t.Name
	def := d[full]
	if def == nil {
		return nil, fmt.Errorf("%w: table %s", ErrNoTable, full)
	}
	out := &table{of: t, name: ddl.Qualified(t.Schema, t.Name), parent: len(def.parents) > 0}
	at := map[string]int{}
	for i, c := range t.Columns {
		computed, there := def.columns[strings.ToLower(c.Name)]
		if !there {
			return nil, fmt.Errorf("%w: column %s of table %s", ErrNoTable, c.Name, full)
		}
		at[strings.ToLower(c.Name)] = i
		if c.Generated || computed {
			continue
		}
		out.stored = append(out.stored, i)
		if c.Type == "timestamp" || c.Type == "datetime" {
			out.touch = append(out.touch, i)
		}
	}
	columns := func(names []string) (cols []part, ok bool) {
		for _, n := range names {
			i, ok := at[strings.ToLower(n)]
			if !ok {
				return nil, false
			}
			cols = append(cols, part{at: i, col: t.Columns[i]})
		}
		return cols, true
	}
	for _, k := range def.keys {
		var names []string
		for _, p := range k.parts {
			names = append(names, p.column)
		}
		cols, ok := columns(names)
		for i := range cols {
			cols[i].prefix = k.parts[i].prefix
		}
		out.unique = append(out.unique, index{id: indexID(append([]string{"key", full}, names...)...), cols: cols, wide: !ok})
		if ok && k.whole && out.locate == nil {
			for _, p := range cols {
				out.locate, out.named = append(out.locate, p.at), append(out.named, p.col.Name)
			}
		}
	}
	if out.locate == nil {
		return nil, fmt.Errorf("%w: table %s", ErrNoKey, full)
	}
	seen := map[uint64]bool{}
	for _, r := range def.parents {
		id := indexID(append([]string{"parent", full}, lower(r.other)...)...)
		if cols, ok := columns(r.other); !seen[id] {
			seen[id] = true
			out.referenced = append(out.referenced, index{id: id, cols: cols, wide: !ok})
		}
	}
	for _, r := range def.refers {
		cols, ok := columns(r.columns)
		out.refers = append(out.refers, index{id: indexID(append([]string{"parent", r.parent}, lower(r.other)...)...), cols: cols, wide: !ok})
	}
	return out, nil
}

func lower(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = strings.ToLower(n)
	}
	return out
}

// key prints the key of a row, for messages. Long values are cut.
func (t *table) key(vals [][]byte) string {
	const most = 64
	var parts []string
	for i, at := range t.locate {
		v := vals[at]
		switch k := t.of.Columns[at].Kind; {
		case v == nil:
			parts = append(parts, ddl.Quote(t.named[i])+"=NULL")
		case k == value.Number || k == value.Bits || k == value.Year:
			parts = append(parts, fmt.Sprintf("%s=%s", ddl.Quote(t.named[i]), v))
		case len(v) > most:
			parts = append(parts, fmt.Sprintf("%s=%q… (%d bytes)", ddl.Quote(t.named[i]), v[:most], len(v)))
		default:
			parts = append(parts, fmt.Sprintf("%s=%q", ddl.Quote(t.named[i]), v))
		}
	}
	return strings.Join(parts, ", ")
}
