package compat

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
)

// compared are the variables that Compare reads.
var compared = []string{"time_zone", "system_time_zone", "explicit_defaults_for_timestamp", "lower_case_table_names", "sql_mode", "event_scheduler", "version"}

// Compare holds two servers' settings side by side. tables are the tables' names, as "schema.table".
func Compare(ctx context.Context, source, target ask.Queryer, tables []string) ([]Finding, error) {
	src, err := Variables(ctx, source, compared...)
	if err != nil {
		return nil, fmt.Errorf("at the source: %w", err)
	}
	dst, err := Variables(ctx, target, compared...)
	if err != nil {
		return nil, fmt.Errorf("at the target: %w", err)
	}
	return compare(src, dst, tables), nil
}

func compare(src, dst map[string]string, tables []string) (out []Finding) {
	warn := func(object, will, fix, f string, a ...any) {
		out = append(out, Finding{Check: "server-settings", Severity: Warn, Object: object, What: fmt.Sprintf(f, a...), Will: will, Fix: fix})
	}
	if a, b := zone(src), zone(dst); a != b {
		warn("time_zone", "TIMESTAMP values go over in UTC and are the same instants; what the application sees of them, and NOW(), follows the session's zone", "the target's flag default_time_zone, or SET time_zone in the application",
			"it is %s at the source and %s at the target", a, b)
	}
	if a, b := src["explicit_defaults_for_timestamp"], dst["explicit_defaults_for_timestamp"]; a != b {
		warn("explicit_defaults_for_timestamp", "tables are made with their defaults written out; tables that the application makes itself may differ", "the target's flag explicit_defaults_for_timestamp, to the source's value",
			"it is %s at the source and %s at the target", a, b)
	}
	have := strings.Split(src["sql_mode"], ",")
	var more []string
	for _, m := range strings.Split(dst["sql_mode"], ",") {
		if m != "" && !slices.Contains(have, m) {
			more = append(more, m)
		}
	}
	if more != nil {
		warn("sql_mode", "rows are copied in a mode of the copy's own; statements of the application may be refused that the source takes", "the target's flag sql_mode, to the source's value as far as the target knows it",
			"the target has %s, which the source hasn't", strings.Join(more, ", "))
	}
	lower := func(v map[string]string) int { return int(v["lower_case_table_names"][0] - '0') }
	return append(out, Names(lower(src), lower(dst), tables)...)
}

// zone is the zone that the server's sessions begin with; different names of UTC are one.
func zone(v map[string]string) string {
	z := v["time_zone"]
	if z == "SYSTEM" {
		z = v["system_time_zone"]
	}
	switch strings.ToUpper(z) {
	case "UTC", "GMT", "+00:00", "ETC/UTC", "ZULU":
		return "UTC"
	}
	return z
}

// Names refuses tables whose names have capitals where one server tells names apart by them and the other doesn't;
// source and target are their lower_case_table_names.
func Names(source, target int, tables []string) (out []Finding) {
	if (source == 0) == (target == 0) {
		return nil
	}
	for _, t := range tables {
		if t != strings.ToLower(t) {
			out = append(out, Finding{Check: "name-case", Severity: Refuse, Object: "table " + t,
				What: fmt.Sprintf("names are told apart by capitals on one side only (lower_case_table_names is %d at the source, %d at the target)", source, target),
				Fix:  "a target that was made with the source's lower_case_table_names; it can't be changed later"})
		}
	}
	return out
}

// Reserved looks for names of tables and columns that are reserved words of the target and not of the source: the
// application's queries may have them without quotes.
func Reserved(ctx context.Context, source, target ask.Queryer, schemas []string) ([]Finding, error) {
	words, err := ask.Rows(ctx, target, "SELECT LOWER(WORD) FROM information_schema.KEYWORDS WHERE RESERVED = 1")
	if err != nil {
		return nil, fmt.Errorf("ask the target for its reserved words: %w", err)
	}
	reserved := map[string]bool{}
	for _, w := range words {
		reserved[w[0]] = true
	}
	var out []Finding
	asked := map[string]bool{} // the source's answers
	for _, schema := range schemas {
		names, err := ask.Rows(ctx, source, "SELECT 'table', TABLE_NAME, TABLE_NAME FROM information_schema.TABLES WHERE "+in("TABLE_SCHEMA", schema)+
			" UNION ALL SELECT 'column', TABLE_NAME, COLUMN_NAME FROM information_schema.COLUMNS WHERE "+in("TABLE_SCHEMA", schema)+" ORDER BY 2, 1 DESC, 3")
		if err != nil {
			return nil, fmt.Errorf("ask for names: %w", err)
		}
		for _, n := range names {
			word := strings.ToLower(n[2])
			if !reserved[word] {
				continue
			}
			if _, done := asked[word]; !done {
				// A reserved word can't be an alias without quotes. It is in the target's list, so it is a word and no more.
				_, err := ask.Rows(ctx, source, "SELECT 1 FROM (SELECT 1 AS x) AS "+word)
				if err != nil && ask.Number(err) != 1064 {
					return nil, fmt.Errorf("ask whether %s is reserved: %w", word, err)
				}
				asked[word] = err != nil
			}
			if asked[word] {
				continue
			}
			object := "table " + schema + "." + n[1]
			if n[0] == "column" {
				object += ", " + n[2]
			}
			out = append(out, Finding{Check: "reserved-word", Severity: Warn, Object: object, What: strings.ToUpper(word) + " is a reserved word of the target, and isn't one of the source",
				Will: "it keeps its name; queries of the application that have it without quotes fail", Fix: "`" + word + "` in the application's queries"})
		}
	}
	return out, nil
}
