package compat

import (
	"context"
	"fmt"
	"strings"

	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
)

// in is the condition that a column of information_schema is exactly this name; its own comparison doesn't know capitals.
func in(column, name string) string {
	return column + " = " + ddl.Literal(name) + " AND BINARY " + column + " = " + ddl.Literal(name)
}

// Variables reads global variables of a server, by name; those that it doesn't have are absent.
func Variables(ctx context.Context, q ask.Queryer, names ...string) (map[string]string, error) {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = ddl.Literal(n)
	}
	rows, err := ask.Rows(ctx, q, "SHOW GLOBAL VARIABLES WHERE Variable_name IN ("+strings.Join(quoted, ",")+")")
	if err != nil {
		return nil, fmt.Errorf("ask for variables: %w", err)
	}
	out := map[string]string{}
	for _, r := range rows {
		out[strings.ToLower(r[0])] = r[1]
	}
	return out, nil
}

// several writes names as "a, b and 3 more".
func several(names []string, most int) string {
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
