package recheck

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
)

// table is a table whose changes are read.
type table struct {
	name     string // schema.table
	rows     *dbcopy.Keyed
	key      []int        // the key's columns, in the log's
	columns  []string     // the log's
	children []*reference // foreign keys that refer to it, and that change rows when its rows change
	cascaded uint64       // the last mark that may have changed rows of it of which the log says nothing
}

// What a foreign key does to the rows that refer to one that changes or goes, beside refusing it. "" is nothing.
const (
	cascade = "CASCADE"
	setNull = "SET NULL"
)

// reference is one such foreign key.
type reference struct {
	name           string
	parent         string
	child          *table
	columns, other []string // the child's, and the parent's that they refer to
	onDelete       string
	onUpdate       string
	below          []*table // all that it may change, at whatever level
}

// tables finds the tables of the log among those that are compared.
func tables(rows *dbcopy.Rows, of []changes.Table) (map[string]*table, error) {
	out := map[string]*table{}
	for _, t := range of {
		x := &table{name: t.Schema + "." + t.Name}
		var ok bool
		if x.rows, ok = rows.Table(t.Schema, t.Name); !ok {
			return nil, fmt.Errorf("table %s: %w", x.name, ErrNoKey)
		}
		for _, c := range t.Columns {
			x.columns = append(x.columns, c.Name)
		}
		for _, k := range x.rows.Key {
			i := slices.Index(x.columns, k.Name)
			if i < 0 {
				return nil, fmt.Errorf("table %s: column %s: %w", x.name, k.Name, dbcopy.ErrDefinitions)
			}
			x.key = append(x.key, i)
		}
		out[x.name] = x
	}
	return out, nil
}

// id is the key of a row of the log.
func (t *table) id(vals [][]byte) string {
	key := make([][]byte, len(t.key))
	for i, at := range t.key {
		key[i] = vals[at]
	}
	return string(value.Append(nil, key))
}

// references reads the foreign keys that act, on one side.
func references(ctx context.Context, q ask.Queryer, schemas []string) (out []*reference, child []string, err error) {
	in := make([]string, len(schemas))
	for i, s := range schemas {
		in[i] = ddl.Literal(s)
	}
	acts := func(rule string) string {
		if rule == cascade || rule == setNull {
			return rule
		}
		return ""
	}
	_, err = ask.Each(ctx, q, func(r *sql.Rows) (struct{}, error) {
		var schema, table, name, column, pschema, ptable, other, del, upd string
		if err := r.Scan(&schema, &table, &name, &column, &pschema, &ptable, &other, &del, &upd); err != nil {
			return struct{}{}, err
		}
		if n := len(out) - 1; n < 0 || out[n].name != name || child[n] != schema+"."+table {
			out = append(out, &reference{name: name, parent: pschema + "." + ptable, onDelete: acts(del), onUpdate: acts(upd)})
			child = append(child, schema+"."+table)
		}
		f := out[len(out)-1]
		f.columns, f.other = append(f.columns, column), append(f.other, other)
		return struct{}{}, nil
	}, "SELECT k.TABLE_SCHEMA, k.TABLE_NAME, k.CONSTRAINT_NAME, k.COLUMN_NAME, k.REFERENCED_TABLE_SCHEMA, k.REFERENCED_TABLE_NAME, k.REFERENCED_COLUMN_NAME, r.DELETE_RULE, r.UPDATE_RULE"+
		" FROM information_schema.KEY_COLUMN_USAGE k JOIN information_schema.REFERENTIAL_CONSTRAINTS r ON r.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA AND r.TABLE_NAME = k.TABLE_NAME AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME"+
		" WHERE k.REFERENCED_TABLE_NAME IS NOT NULL AND k.TABLE_SCHEMA IN ("+strings.Join(in, ",")+") AND (r.DELETE_RULE IN ('CASCADE', 'SET NULL') OR r.UPDATE_RULE IN ('CASCADE', 'SET NULL'))"+
		" ORDER BY k.TABLE_SCHEMA, k.TABLE_NAME, k.CONSTRAINT_NAME, k.ORDINAL_POSITION")
	return out, child, err
}

// does says what a foreign key is, to hold one side's against the other's.
func (f *reference) does(child string) string {
	return fmt.Sprintf("%s (%s) REFERENCES %s (%s) ON DELETE %s ON UPDATE %s", child, strings.Join(f.columns, ","), f.parent, strings.Join(f.other, ","), orNothing(f.onDelete), orNothing(f.onUpdate))
}

func orNothing(rule string) string {
	if rule == "" {
		return "nothing"
	}
	return rule
}

// bind hangs the source's foreign keys below their parents. What a key does over several levels can be looked at only so far as the log says which
// rows it did it to; the rest rests on both sides' keys being the same, so that is looked at.
func bind(ctx context.Context, ts map[string]*table, source, target ask.Queryer, schemas []string) error {
	fs, children, err := references(ctx, source, schemas)
	if err != nil {
		return fmt.Errorf("read the source's foreign keys: %w", err)
	}
	there, childrenThere, err := references(ctx, target, schemas)
	if err != nil {
		return fmt.Errorf("read the target's foreign keys: %w", err)
	}
	var is [2][]string
	for i, f := range fs {
		is[0] = append(is[0], f.does(children[i]))
	}
	for i, f := range there {
		is[1] = append(is[1], f.does(childrenThere[i]))
	}
	for side, other := range []int{1, 0} {
		for _, f := range is[side] {
			if !slices.Contains(is[other], f) {
				return fmt.Errorf("%w: the %s alone has %s", ErrCascades, []string{"source", "target"}[side], f)
			}
		}
	}
	for i, f := range fs {
		f.child = ts[children[i]]
		if parent := ts[f.parent]; parent != nil && f.child != nil {
			parent.children = append(parent.children, f)
		}
	}
	for _, f := range fs {
		if f.child != nil {
			f.below = below(f.child, nil)
		}
	}
	return nil
}

func below(t *table, got []*table) []*table {
	if slices.Contains(got, t) {
		return got
	}
	got = append(got, t)
	for _, f := range t.children {
		got = below(f.child, got)
	}
	return got
}

// moved is a column's value before and after a change; known is false where the log doesn't say it.
type moved func(column string) (before, after []byte, known bool)

// mostLevels is over how many levels InnoDB cascades.
const mostLevels = 15

// follows enters what foreign keys did when a row of t went, or changed: MariaDB's log has the parent's row alone. The child's rows are looked at
// by the key's columns, as far as the log says what is in them.
func (b *book) follows(m *mark, t *table, gone bool, is moved, level int) {
	for _, f := range t.children {
		rule := f.onUpdate
		if gone {
			rule = f.onDelete
		}
		before, after := make([][]byte, len(f.other)), make([][]byte, len(f.other))
		some, changed := false, gone
		for i, column := range f.other {
			v, w, known := is(column)
			if !known {
				continue
			}
			before[i], after[i] = v, w
			some = some || v != nil
			changed = changed || (v == nil) != (w == nil) || !bytes.Equal(v, w)
		}
		if rule == "" || !changed {
			continue
		}
		b.cascades(m, f.below)
		if !some {
			continue
		}
		b.change(m, what{f.child, f, string(value.Append(nil, before))}, false)
		if !gone && rule == cascade {
			b.change(m, what{f.child, f, string(value.Append(nil, after))}, false)
		}
		if level == mostLevels {
			continue
		}
		b.follows(m, f.child, gone && rule == cascade, func(column string) (v, w []byte, known bool) {
			i := slices.Index(f.columns, column)
			if i < 0 || before[i] == nil {
				return nil, nil, false
			}
			if rule == setNull || gone {
				return before[i], nil, true
			}
			return before[i], after[i], true
		}, level+1)
	}
}

// enter enters one change of a row.
func (b *book) enter(m *mark, t *table, ch *changes.Change) {
	if ch.Before != nil {
		b.change(m, what{t: t, id: t.id(ch.Before)}, false)
	}
	if ch.After != nil {
		b.change(m, what{t: t, id: t.id(ch.After)}, true)
	}
	if ch.Before == nil || ch.NoForeignKeys || len(t.children) == 0 {
		return
	}
	b.follows(m, t, ch.After == nil, func(column string) (before, after []byte, known bool) {
		i := slices.IndexFunc(t.columns, func(c string) bool { return strings.EqualFold(c, column) })
		if i < 0 {
			return nil, nil, false
		}
		if before = ch.Before[i]; ch.After != nil {
			after = ch.After[i]
		}
		return before, after, true
	}, 1)
}
