package compat

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
)

// Parents looks for foreign keys whose parent columns are not a whole unique key. MySQL refuses them since 8.4 unless its
// restrict_fk_on_non_standard_key is off; its compiler has the last word.
func Parents(ctx context.Context, q ask.Queryer, schema string) ([]Finding, error) {
	rows, err := ask.Rows(ctx, q, "SELECT CONSTRAINT_NAME, TABLE_NAME, REFERENCED_TABLE_SCHEMA, REFERENCED_TABLE_NAME, REFERENCED_COLUMN_NAME FROM information_schema.KEY_COLUMN_USAGE"+
		" WHERE "+in("TABLE_SCHEMA", schema)+" AND REFERENCED_TABLE_NAME IS NOT NULL ORDER BY TABLE_NAME, CONSTRAINT_NAME, ORDINAL_POSITION")
	if err != nil {
		return nil, fmt.Errorf("ask for foreign keys: %w", err)
	}
	type parent struct{ name, child, schema, table string }
	var order []parent
	columns := map[parent][]string{}
	for _, r := range rows {
		p := parent{r[0], r[1], r[2], r[3]}
		if len(columns[p]) == 0 {
			order = append(order, p)
		}
		columns[p] = append(columns[p], r[4])
	}
	var out []Finding
	unique := map[[2]string][][]string{}
	for _, p := range order {
		at := [2]string{p.schema, p.table}
		if _, asked := unique[at]; !asked {
			if unique[at], err = uniqueKeys(ctx, q, p.schema, p.table); err != nil {
				return nil, err
			}
		}
		if slices.ContainsFunc(unique[at], func(k []string) bool { return slices.Equal(k, columns[p]) }) {
			continue
		}
		var quoted []string
		for _, c := range columns[p] {
			quoted = append(quoted, ddl.Quote(c))
		}
		list := strings.Join(quoted, ", ")
		out = append(out, Finding{Check: "foreign-key-parent", Severity: Warn, Object: fmt.Sprintf("table %s.%s, %s", schema, p.child, p.name),
			What: fmt.Sprintf("the foreign key leads to %s of table %s.%s, which is no unique key", list, p.schema, p.table),
			Will: "the target decides when it compiles it: it refuses while its restrict_fk_on_non_standard_key is on",
			Fix:  fmt.Sprintf("ALTER TABLE %s.%s ADD UNIQUE KEY (%s)", ddl.Quote(p.schema), ddl.Quote(p.table), list)})
	}
	return out, nil
}

// uniqueKeys are the columns of a table's unique keys, in order. A key over a column's beginning isn't one over the column.
func uniqueKeys(ctx context.Context, q ask.Queryer, schema, name string) ([][]string, error) {
	rows, err := ask.Rows(ctx, q, "SELECT INDEX_NAME, COLUMN_NAME, COALESCE(SUB_PART, 0) FROM information_schema.STATISTICS WHERE NON_UNIQUE = 0 AND "+
		in("TABLE_SCHEMA", schema)+" AND "+in("TABLE_NAME", name)+" ORDER BY INDEX_NAME, SEQ_IN_INDEX")
	if err != nil {
		return nil, fmt.Errorf("ask for keys of %s.%s: %w", schema, name, err)
	}
	var out [][]string
	for i, r := range rows {
		if i == 0 || rows[i-1][0] != r[0] {
			out = append(out, nil)
		}
		if r[2] != "0" {
			r[1] = "" // matches no column
		}
		out[len(out)-1] = append(out[len(out)-1], r[1])
	}
	return out, nil
}
