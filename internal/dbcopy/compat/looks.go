package compat

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
)

// LookOptions bound what looking at rows costs the source.
type LookOptions struct {
	// Longest is how long one table may be read; 0: 10 s. A table that takes longer is looked at in its first Sample rows.
	Longest time.Duration
	Sample  int               // 0: 10,000
	Tell    func(what string) // may be nil: which table is read
}

const (
	defaultLongest = 10 * time.Second
	defaultSample  = 10_000
)

// look is one thing to count in a column's rows.
type look struct {
	column string // quoted
	expr   string // 1 for a row that has it, else 0 or NULL
	f      Finding
}

// Looks reads the rows of a schema's tables, each once and for a bounded time, for values that arrive as they are and
// surprise there, or that don't arrive. A finding says how many rows were looked at.
func Looks(ctx context.Context, q ask.Queryer, schema string, o LookOptions) ([]Finding, error) {
	if o.Longest == 0 {
		o.Longest = defaultLongest
	}
	if o.Sample == 0 {
		o.Sample = defaultSample
	}
	rows, err := ask.Rows(ctx, q, "SELECT C.TABLE_NAME, C.COLUMN_NAME, C.DATA_TYPE, COALESCE(C.CHARACTER_SET_NAME,''), C.EXTRA FROM information_schema.COLUMNS C"+
		" JOIN information_schema.TABLES T ON T.TABLE_SCHEMA = C.TABLE_SCHEMA AND T.TABLE_NAME = C.TABLE_NAME AND T.TABLE_TYPE = 'BASE TABLE'"+
		" WHERE "+in("C.TABLE_SCHEMA", schema)+" ORDER BY BINARY C.TABLE_NAME, C.ORDINAL_POSITION")
	if err != nil {
		return nil, fmt.Errorf("ask for columns: %w", err)
	}
	var out []Finding
	for from := 0; from < len(rows); {
		to := from
		var looks []look
		name := rows[from][0]
		for ; to < len(rows) && rows[to][0] == name; to++ {
			looks = append(looks, looksAt("table "+schema+"."+name, rows[to][1], rows[to][2], rows[to][3], rows[to][4])...)
		}
		from = to
		if looks == nil {
			continue
		}
		if o.Tell != nil {
			o.Tell("rows of table " + schema + "." + name)
		}
		found, err := lookAt(ctx, q, ddl.Quote(schema)+"."+ddl.Quote(name), "table "+schema+"."+name, looks, o)
		if err != nil {
			return nil, fmt.Errorf("look at the rows of table %s.%s: %w", schema, name, err)
		}
		out = append(out, found...)
	}
	return out, nil
}

// latest is the last second that a TIMESTAMP has in MySQL; MariaDB has more since 11.5.
const latest = "2038-01-19 03:14:07"

func looksAt(object, name, dataType, charset, extra string) (out []look) {
	c := ddl.Quote(name)
	add := func(expr string, f Finding) {
		f.Object = object + ", " + name
		if f.Severity == "" {
			f.Severity = Warn
		}
		out = append(out, look{c, expr, f})
	}
	switch dataType {
	case "date", "datetime", "timestamp":
		add("MONTH("+c+") = 0 OR DAYOFMONTH("+c+") = 0 OR DAYOFMONTH("+c+") > DAYOFMONTH(LAST_DAY(DATE_FORMAT("+c+", '%Y-%m-01')))", Finding{Check: "zero-date", What: "a date that is none (0000-00-00, a month or day 0, the 31st of February)",
			Will: "it goes over as it is; the application can't write such a date there under the target's sql_mode", Fix: "UPDATE it to NULL or a date; or the target's flag sql_mode without NO_ZERO_DATE, NO_ZERO_IN_DATE"})
	}
	if dataType == "timestamp" {
		add(c+" > '"+latest+"'", Finding{Check: "timestamp-2038", Severity: Refuse, What: "a TIMESTAMP after " + latest + " UTC, which MySQL doesn't have", Fix: "ALTER TABLE ... MODIFY " + c + " DATETIME"})
	}
	if charset == "latin1" {
		bytes, utf8 := "CAST("+c+" AS BINARY)", "CONVERT(CAST("+c+" AS BINARY) USING utf8mb4)"
		// Valid UTF-8 comes back as it was, and has characters of more than one byte.
		add("CAST("+utf8+" AS BINARY) = "+bytes+" AND CHAR_LENGTH("+utf8+") < LENGTH("+bytes+")", Finding{Check: "latin1-utf8", What: "latin1 text whose bytes are UTF-8",
			Will: "the bytes go over as they are, as latin1: what the application does about it today it must go on doing", Fix: "ALTER TABLE ... MODIFY " + c + " as BLOB, then as text of utf8mb4; together with the application"})
	}
	if strings.Contains(strings.ToLower(extra), "auto_increment") {
		add(c+" = 0", Finding{Check: "auto-increment-zero", What: "AUTO_INCREMENT with the value 0", Will: "it goes over as 0 (the copy loads with NO_AUTO_VALUE_ON_ZERO); a dump that is loaded without would number it anew"})
	}
	switch dataType {
	case "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection":
		add("ST_SRID("+c+") <> 0", Finding{Check: "srid", What: "geometry with an SRID other than 0", Will: "it goes over bit by bit; where MySQL knows the SRID it computes on the ellipsoid, in meters, latitude first, and it refuses an SRID that it doesn't know"})
	}
	return out
}

const tooLong = 1969 // max_statement_time

func lookAt(ctx context.Context, q ask.Queryer, name, object string, looks []look, o LookOptions) ([]Finding, error) {
	counts := make([]string, len(looks))
	var columns []string // by name: * leaves invisible ones out
	for i, l := range looks {
		if !slices.Contains(columns, l.column) {
			columns = append(columns, l.column)
		}
		counts[i] = "COALESCE(SUM(" + l.expr + "), 0)"
	}
	list := "COUNT(*), " + strings.Join(counts, ", ")
	limit := func(d time.Duration) string {
		return "SET STATEMENT max_statement_time = " + strconv.FormatFloat(d.Seconds(), 'f', 3, 64) + " FOR "
	}
	row, err := ask.Rows(ctx, q, limit(o.Longest)+"SELECT "+list+" FROM "+name)
	scope := "all %s rows were looked at"
	var partly []Finding
	if ask.Number(err) == tooLong {
		scope = fmt.Sprintf("the first %%s rows were looked at, since all would have taken more than %s", o.Longest)
		row, err = ask.Rows(ctx, q, limit(o.Longest)+fmt.Sprintf("SELECT %s FROM (SELECT %s FROM %s LIMIT %d) AS t", list, strings.Join(columns, ", "), name, o.Sample))
		if err == nil {
			partly = append(partly, Finding{Check: "looked-at", Severity: Warn, Object: object, What: fmt.Sprintf("only its first %s rows were looked at: all of them would have taken more than %s", row[0][0], o.Longest),
				Will: "what its other rows have isn't known"})
		}
	}
	if ask.Number(err) == tooLong {
		return []Finding{{Check: "looked-at", Severity: Warn, Object: object, What: fmt.Sprintf("none of its rows were looked at: the first %d would have taken more than %s", o.Sample, o.Longest), Will: "what its rows have isn't known"}}, nil
	}
	if err != nil {
		return nil, err
	}
	var out []Finding
	for i, l := range looks {
		if n := row[0][i+1]; n != "0" {
			l.f.What += ": in " + n + " rows; " + fmt.Sprintf(scope, row[0][0])
			out = append(out, l.f)
		}
	}
	return append(out, partly...), nil
}
