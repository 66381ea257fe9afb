package compat

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
)

var jsonCheck = regexp.MustCompile("(?i)^json_valid\\(`((?:[^`]|``)*)`\\)$")

// Columns looks at columns that go over as they are, and that a person should know of.
func Columns(ctx context.Context, q ask.Queryer, schema string) ([]Finding, error) {
	rows, err := ask.Rows(ctx, q, "SELECT C.TABLE_NAME, C.COLUMN_NAME, C.DATA_TYPE, COALESCE(C.CHARACTER_SET_NAME,''), C.EXTRA FROM information_schema.COLUMNS C"+
		" JOIN information_schema.TABLES T ON T.TABLE_SCHEMA = C.TABLE_SCHEMA AND T.TABLE_NAME = C.TABLE_NAME AND T.TABLE_TYPE IN ('BASE TABLE','SYSTEM VERSIONED')"+
		" WHERE "+in("C.TABLE_SCHEMA", schema)+" ORDER BY BINARY C.TABLE_NAME, C.ORDINAL_POSITION")
	if err != nil {
		return nil, fmt.Errorf("ask for columns: %w", err)
	}
	checks, err := ask.Rows(ctx, q, "SELECT TABLE_NAME, CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS WHERE "+in("CONSTRAINT_SCHEMA", schema))
	if err != nil {
		return nil, fmt.Errorf("ask for checks: %w", err)
	}
	json := map[[2]string]bool{}
	for _, c := range checks {
		if m := jsonCheck.FindStringSubmatch(c[1]); m != nil {
			json[[2]string{c[0], strings.ReplaceAll(m[1], "``", "`")}] = true
		}
	}
	spatial, err := ask.Rows(ctx, q, "SELECT TABLE_NAME, COLUMN_NAME FROM information_schema.STATISTICS WHERE INDEX_TYPE = 'SPATIAL' AND "+in("TABLE_SCHEMA", schema))
	if err != nil {
		return nil, fmt.Errorf("ask for spatial keys: %w", err)
	}
	indexed := map[[2]string]bool{}
	for _, s := range spatial {
		indexed[[2]string{s[0], s[1]}] = true
	}
	return columns(schema, rows, json, indexed), nil
}

// notes are the columns of one table that one thing is to be said of.
type notes struct {
	check, what, will, fix string
	is                     func(at [2]string, dataType, charset, extra string) bool
}

func columns(schema string, rows [][]string, json, indexed map[[2]string]bool) (out []Finding) {
	isGeometry := func(dataType string) bool {
		switch dataType {
		case "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection":
			return true
		}
		return false
	}
	kinds := []notes{
		{"json", "JSON is LONGTEXT with a CHECK in MariaDB", "it stays LONGTEXT with that CHECK, byte for byte; MySQL's JSON functions read it, and no MySQL JSON value changes its text", "",
			func(at [2]string, _, _, _ string) bool { return json[at] }},
		{"utf8mb3", "the charset is utf8mb3, which MySQL has and will drop", "it stays", "ALTER TABLE t CONVERT TO CHARACTER SET utf8mb4, at the source or later at the target",
			func(_ [2]string, _, charset, _ string) bool { return charset == "utf8mb3" || charset == "utf8" }},
		{"invisible-column", "the column is INVISIBLE", "it stays so; rows are read and written with all columns named", "",
			func(_ [2]string, _, _, extra string) bool {
				return strings.Contains(strings.ToUpper(extra), "INVISIBLE")
			}},
		{"geometry", "geometry: MySQL computes on the ellipsoid and takes latitude first where a value's SRID says so (4326), MariaDB always in the plane", "values go over bit by bit, SRID and all", "",
			func(_ [2]string, dataType, _, _ string) bool { return isGeometry(dataType) }},
		{"spatial-index", "MySQL keeps a spatial index over a column without SRID attribute, and doesn't use it", "the index is made all the same", "at the target, where all values have one SRID: ALTER TABLE t MODIFY c POINT NOT NULL SRID 0 (or 4326)",
			func(at [2]string, _, _, _ string) bool { return indexed[at] }},
	}
	for from := 0; from < len(rows); {
		to := from
		for to < len(rows) && rows[to][0] == rows[from][0] {
			to++
		}
		for _, k := range kinds {
			var names []string
			for _, r := range rows[from:to] {
				if k.is([2]string{r[0], r[1]}, r[2], r[3], r[4]) {
					names = append(names, r[1])
				}
			}
			if names != nil {
				out = append(out, Finding{Check: k.check, Severity: Warn, Object: "table " + schema + "." + rows[from][0] + ", " + several(names, 8), What: k.what, Will: k.will, Fix: k.fix})
			}
		}
		from = to
	}
	return out
}
