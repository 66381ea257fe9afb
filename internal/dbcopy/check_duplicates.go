package dbcopy

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
)

// mostKeys is how many values of a unique key are tried at the target; a key with more is tried in part, and that is said.
const mostKeys = 100_000

// uniqueKey is a unique key of a table with the columns that its collation's change touches.
type uniqueKey struct {
	name    string
	columns []string
	parts   []int64 // how many characters of the column; 0: all
}

// duplicates looks for values that a unique key tells apart at the source and that are equal in the target's collation:
// the keys' values are put into a table of the scratch schema, and the target groups them.
func (c *checker) duplicates(ctx context.Context) error {
	for i := range c.defs.tables {
		d := &c.defs.tables[i]
		moved := slices.DeleteFunc(slices.Clone(d.Moved), func(name string) bool {
			return !slices.ContainsFunc(d.table.Columns, func(col value.Column) bool {
				return col.Name == name && col.Collation != "" && (col.Kind == value.Short || col.Kind == value.Long)
			})
		})
		if len(moved) == 0 {
			continue
		}
		schema := c.scratch.names(d.schema)
		keys, err := c.uniqueKeys(ctx, schema, d.table.Name)
		if err != nil {
			return err
		}
		for _, k := range keys {
			if !slices.ContainsFunc(k.columns, func(name string) bool { return slices.Contains(moved, name) }) {
				continue
			}
			c.o.Tell(fmt.Sprintf("values of key %s of table %s.%s in the target's collation", k.name, schema, d.table.Name))
			if err := c.tryKey(ctx, d, schema, k); err != nil {
				return fmt.Errorf("try key %s of table %s.%s: %w", k.name, schema, d.table.Name, err)
			}
		}
	}
	return nil
}

func (c *checker) uniqueKeys(ctx context.Context, schema, table string) (out []uniqueKey, err error) {
	type part struct {
		index, column string
		chars         int64
	}
	parts, err := ask.Each(ctx, here{c.s, c.src}, func(r *sql.Rows) (p part, err error) { err = r.Scan(&p.index, &p.column, &p.chars); return p, err },
		"SELECT INDEX_NAME, COLUMN_NAME, COALESCE(SUB_PART, 0) FROM information_schema.STATISTICS WHERE NON_UNIQUE = 0 AND INDEX_TYPE = 'BTREE' AND "+named("TABLE_SCHEMA", schema)+" AND "+named("TABLE_NAME", table)+" ORDER BY INDEX_NAME, SEQ_IN_INDEX")
	for _, p := range parts {
		if n := len(out); n == 0 || out[n-1].name != p.index {
			out = append(out, uniqueKey{name: p.index})
		}
		k := &out[len(out)-1]
		k.columns, k.parts = append(k.columns, p.column), append(k.parts, p.chars)
	}
	return out, err
}

// tryTable is the table of the scratch schema that the values are put into.
const tryTable = "_slipway_values"

func (c *checker) tryKey(ctx context.Context, d *definition, schema string, k uniqueKey) error {
	into := ddl.Qualified(d.schema, tryTable)
	var names, group, there []string
	for i, n := range k.columns {
		q := ddl.Quote(n)
		names, there = append(names, q), append(there, q+" IS NOT NULL") // NULL equals nothing
		if k.parts[i] > 0 {
			q = fmt.Sprintf("LEFT(%s, %d)", q, k.parts[i])
		}
		group = append(group, q)
	}
	list := strings.Join(names, ", ")
	for _, stmt := range []string{"DROP TABLE IF EXISTS " + into, "CREATE TABLE " + into + " AS SELECT " + list + " FROM " + ddl.Qualified(d.schema, d.table.Name) + " WHERE 0"} {
		if _, err := c.t.ExecContext(ctx, stmt); err != nil {
			return err
		}
	}
	rows, err := here{c.s, c.src}.QueryContext(ctx, fmt.Sprintf("SELECT %s FROM %s WHERE %s LIMIT %d", list, ddl.Qualified(schema, d.table.Name), strings.Join(there, " AND "), mostKeys))
	if err != nil {
		return err
	}
	defer rows.Close()
	vals, ptrs := make([]sql.RawBytes, len(names)), make([]any, len(names))
	for i := range vals {
		ptrs[i] = &vals[i]
	}
	const batch = 256 << 10 // bytes of a statement; far below what any server takes
	head := "INSERT INTO " + into + " VALUES "
	stmt, n := []byte(head), 0
	flush := func() error {
		if len(stmt) == len(head) {
			return nil
		}
		_, err := c.t.ExecContext(ctx, string(stmt))
		stmt = stmt[:len(head)]
		return err
	}
	for ; rows.Next(); n++ {
		if err := rows.Scan(ptrs...); err != nil {
			return err
		}
		for i, v := range vals {
			stmt = append(stmt, map[bool]string{true: "(", false: ","}[i == 0]...)
			stmt = ddl.AppendLiteral(stmt, v)
		}
		if stmt = append(stmt, ')', ','); len(stmt) > batch {
			stmt = stmt[:len(stmt)-1]
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if len(stmt) > len(head) {
		stmt = stmt[:len(stmt)-1]
	}
	if err := flush(); err != nil {
		return err
	}
	return c.grouped(ctx, d, schema, k, into, list, strings.Join(group, ", "), n)
}

// grouped has the target say which of the values are equal.
func (c *checker) grouped(ctx context.Context, d *definition, schema string, k uniqueKey, into, list, group string, n int) error {
	equal, err := ask.Each(ctx, c.t, ask.Text, "SELECT GROUP_CONCAT(CONCAT_WS(' + ', "+list+") SEPARATOR ' = ') FROM "+into+" GROUP BY "+group+" HAVING COUNT(*) > 1 ORDER BY 1 LIMIT 1000")
	if err != nil {
		return err
	}
	object := "table " + schema + "." + d.table.Name + ", " + k.name
	if len(equal) > 0 {
		some := equal[:min(3, len(equal))]
		c.add(Finding{Check: "new-duplicates", Severity: Refuse, Object: object, What: fmt.Sprintf("in the target's collation values are equal that this unique key tells apart: %d groups, such as %s; %d values were tried", len(equal), strings.Join(some, "; "), n),
			Fix: "make them differ in more than that, or drop the key, at the source"})
	}
	if n == mostKeys {
		c.add(Finding{Check: "new-duplicates", Severity: Warn, Object: object, What: fmt.Sprintf("only the first %d of its values were tried in the target's collation", n), Will: "two of the others may be equal there; the load would be refused by the key then"})
	}
	return nil
}
