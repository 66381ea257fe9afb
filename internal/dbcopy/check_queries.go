package dbcopy

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/compat"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
	"github.com/slipway-dev/slipway/internal/dbcopy/objects"
	"github.com/slipway-dev/slipway/internal/dbcopy/queries"
	"github.com/slipway-dev/slipway/internal/dbcopy/sqltext"
)

// QueryCount is what became of the application's queries.
type QueryCount struct {
	From      string `json:"from"`       // "performance_schema", "slow log", or "" when there are none
	Tried     int    `json:"tried"`      // prepared on the target
	Failed    int    `json:"failed"`     // that the source prepares and the target doesn't
	NotJudged int    `json:"not_judged"` // cut off, of tables that aren't there, or not prepared by the source either
	Explained int    `json:"explained"`  // on both servers
	LostIndex int    `json:"lost_index"`
}

// mostQueries bounds how many of the source's queries are tried, those that were called most often first.
const mostQueries = 2000

// queries prepares the source's statements on the target, and has both explain those that read.
func (c *checker) queries(ctx context.Context) error {
	list, err := c.gather(ctx)
	if err != nil || len(list) == 0 {
		return err
	}
	slices.SortStableFunc(list, func(a, b queries.Query) int { return int(min(1, max(-1, b.Calls-a.Calls))) })
	if n := len(list); n > mostQueries {
		list = list[:mostQueries]
		c.add(Finding{Check: "query", Severity: Warn, Object: "queries", What: fmt.Sprintf("only the %d that were called most often of %d were tried", mostQueries, n), Will: "what the others do isn't known"})
	}
	// The mode is the one that the application gets. A digest has blanks in front of its parentheses: COUNT (*).
	for _, conn := range []*sql.Conn{c.s, c.t} {
		if _, err := conn.ExecContext(ctx, "SET SESSION sql_mode = CONCAT(@@GLOBAL.sql_mode, ',IGNORE_SPACE')"); err != nil {
			return err
		}
	}
	for i, q := range list {
		c.o.Tell(fmt.Sprintf("query %d of %d", i+1, len(list)))
		if err := c.query(ctx, q); err != nil {
			return fmt.Errorf("try a query: %w", err)
		}
	}
	c.report.Queries.Failed = c.count("query")
	c.report.Queries.LostIndex = c.count("query-index")
	return nil
}

func (c *checker) count(check string) (n int) {
	for _, f := range c.report.Findings {
		if f.Check == check && strings.HasPrefix(f.Object, "query in ") {
			n++
		}
	}
	return n
}

// gather reads the queries of the schemas.
func (c *checker) gather(ctx context.Context) ([]queries.Query, error) {
	const none = "the application's queries weren't looked at: "
	if c.o.SlowLog != nil {
		c.report.Queries.From = "slow log"
		log, err := queries.ReadSlowLog(c.o.SlowLog)
		if err != nil {
			return nil, err
		}
		if log.TooLong > 0 {
			c.add(Finding{Check: "query", Severity: Warn, Object: "queries", What: fmt.Sprintf("%d statements of the slow log are longer than 1 MiB and weren't tried", log.TooLong)})
		}
		all := len(log.Queries)
		mine := slices.DeleteFunc(log.Queries, func(q queries.Query) bool { return !slices.Contains(c.o.Schemas, q.Schema) })
		if len(mine) == 0 {
			c.add(Finding{Check: "query", Severity: Warn, Object: "queries", What: fmt.Sprintf(none+"none of the %d in the slow log was in one of these schemas", all)})
		}
		return mine, nil
	}
	v, err := compat.Variables(ctx, here{c.s, c.src}, "performance_schema")
	if err != nil {
		return nil, err
	}
	if v["performance_schema"] != "ON" {
		c.add(Finding{Check: "query", Severity: Warn, Object: "queries", What: none + "performance_schema is off at the source, and no slow log was given",
			Fix: "performance_schema=ON in the server's configuration, and a restart; or SET GLOBAL slow_query_log = ON, long_query_time = 0 for a while, and --slow-log FILE"})
		return nil, nil
	}
	c.report.Queries.From = "performance_schema"
	quoted := make([]string, len(c.o.Schemas))
	for i, s := range c.o.Schemas {
		quoted[i] = ddl.Literal(s)
	}
	list, err := ask.Each(ctx, here{c.s, c.src}, func(r *sql.Rows) (queries.Query, error) {
		q := queries.Query{Digest: true}
		err := r.Scan(&q.Schema, &q.Text, &q.Calls)
		return q, err
	}, "SELECT SCHEMA_NAME, DIGEST_TEXT, COUNT_STAR FROM performance_schema.events_statements_summary_by_digest WHERE DIGEST_TEXT IS NOT NULL AND SCHEMA_NAME IN ("+strings.Join(quoted, ",")+") ORDER BY COUNT_STAR DESC, DIGEST")
	if objects.Denied(ask.Number(err)) {
		c.add(Finding{Check: "query", Severity: Warn, Object: "queries", What: none + "the account may not read performance_schema", Fix: "GRANT SELECT ON performance_schema.* TO the account"})
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ask for statement digests: %w", err)
	}
	list = slices.DeleteFunc(list, func(q queries.Query) bool { return !queries.Application(q.Text) })
	if len(list) == 0 {
		c.add(Finding{Check: "query", Severity: Warn, Object: "queries", What: none + "performance_schema has none of these schemas yet", Fix: "check again when the application has run for a while with performance_schema on"})
	}
	return list, nil
}

// query tries one. The target fails it only when the source prepares the very text.
func (c *checker) query(ctx context.Context, q queries.Query) error {
	if q.Cut() {
		c.report.Queries.NotJudged++
		return nil
	}
	if err := c.useBoth(ctx, q.Schema); err != nil {
		return err
	}
	terr, err := c.prepare(ctx, c.t, q, func(s string) string { return sqltext.Requalify(s, c.scratch.of) })
	if err != nil {
		return err
	}
	c.report.Queries.Tried++
	if terr != nil {
		serr, err := c.prepare(ctx, c.s, q, func(s string) string { return s })
		if err != nil {
			return here{c.s, c.src}.place(err)
		}
		// Where the source may not say, because the account only reads, the target's word counts.
		if lists(ask.Number(terr)) || serr != nil && (absent(terr) || !objects.Denied(ask.Number(serr))) || absent(terr) && !c.whole {
			c.report.Queries.NotJudged++
			return nil
		}
		c.add(Finding{Check: "query", Severity: Warn, Object: c.queryName(q), What: "the target doesn't take it: " + c.scratch.names(terr.Error()), Fix: "change it in the application to what both servers take"})
		return nil
	}
	if !q.Selects() {
		return nil
	}
	return c.explainBoth(ctx, q)
}

func (c *checker) queryName(q queries.Query) string {
	return fmt.Sprintf("query in %s, %d calls: %s", q.Schema, q.Calls, q.Shown(300))
}

func (c *checker) useBoth(ctx context.Context, schema string) error {
	if _, err := (here{c.s, c.src}).ExecContext(ctx, "USE `"+strings.ReplaceAll(schema, "`", "``")+"`"); err != nil {
		return err
	}
	_, err := c.t.ExecContext(ctx, "USE `"+c.scratch.of[schema]+"`")
	return err
}

// lists: a list of literals hasn't the length that it needs; a digest doesn't say.
func lists(n uint16) bool { return n == 1136 || n == 1241 || n == 1582 || n == 1058 || n == 1583 }

// mostListed is how long lists are tried to be.
const mostListed = 64

// prepare has a server prepare a query; refused is what it says against it.
func (c *checker) prepare(ctx context.Context, conn *sql.Conn, q queries.Query, at func(string) string) (refused, err error) {
	most := 1
	if q.Listed() {
		most = mostListed
	}
	for n := 1; n <= most; n++ {
		stmt, err := conn.PrepareContext(ctx, at(q.Prepared(n)))
		if err == nil {
			return nil, stmt.Close()
		}
		if ask.Number(err) == 0 || lostNumber(ask.Number(err)) {
			return nil, err
		}
		if refused = err; !lists(ask.Number(err)) {
			break
		}
	}
	return refused, nil
}

// lookedUp are the ways in which a key serves a condition, as EXPLAIN calls them. A scan of a whole key isn't one.
var lookedUp = []string{"const", "eq_ref", "ref", "ref_or_null", "range", "fulltext", "index_merge", "unique_subquery", "index_subquery"}

// explained is one line of EXPLAIN.
type explained struct{ table, access, possible, key string }

// explainBoth compares what keys can serve a query's conditions. The target has no rows, so what it would choose says
// nothing; what it could choose does: where the source looks rows up by a key, and the target has none that it could use
// for that table, the key is lost. An EXPLAIN that one of the servers refuses isn't counted.
func (c *checker) explainBoth(ctx context.Context, q queries.Query) error {
	text := q.Explained()
	src, err := c.explain(ctx, c.s, "SET STATEMENT max_statement_time = 5 FOR EXPLAIN "+text)
	if err != nil || src == nil {
		return here{c.s, c.src}.place(err)
	}
	dst, err := c.explain(ctx, c.t, "EXPLAIN FORMAT=TRADITIONAL "+sqltext.Requalify(text, c.scratch.of))
	if err != nil || dst == nil {
		return err
	}
	c.report.Queries.Explained++
	for _, s := range lost(src, dst) {
		c.add(Finding{Check: "query-index", Severity: Warn, Object: c.queryName(q), What: fmt.Sprintf("the source looks rows of %s up by key %s (%s); the target has no key that it could use for that", s.table, s.key, s.access),
			Will: "it would read the whole table", Fix: "another condition in the query, or another key at the target"})
	}
	return nil
}

// lost are the lines of the source's plan, one for each table, whose key the target has none in place of.
func lost(src, dst []explained) (out []explained) {
	for _, s := range src {
		if s.key == "" || !slices.Contains(lookedUp, s.access) || slices.ContainsFunc(out, func(o explained) bool { return o.table == s.table }) {
			continue
		}
		there, can := false, false
		for _, d := range dst {
			if d.table == s.table {
				there, can = true, can || d.possible != "" || d.key != ""
			}
		}
		if there && !can {
			out = append(out, s)
		}
	}
	return out
}

// Explain gives nil when the server doesn't explain the text.
func (c *checker) explain(ctx context.Context, conn *sql.Conn, stmt string) ([]explained, error) {
	rows, err := conn.QueryContext(ctx, stmt)
	if err != nil {
		if n := ask.Number(err); n == 0 || lostNumber(n) {
			return nil, err
		}
		return nil, nil
	}
	defer rows.Close()
	cols, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	out := []explained{}
	for rows.Next() {
		vals, ptrs := make([]sql.NullString, len(cols)), make([]any, len(cols))
		for i := range vals {
			ptrs[i] = &vals[i]
		}
		if err := rows.Scan(ptrs...); err != nil {
			return nil, err
		}
		get := func(name string) string { return vals[slices.Index(cols, name)].String }
		for _, need := range []string{"table", "type", "possible_keys", "key"} {
			if !slices.Contains(cols, need) {
				return nil, fmt.Errorf("its EXPLAIN has no column %s", need)
			}
		}
		out = append(out, explained{get("table"), get("type"), get("possible_keys"), get("key")})
	}
	return out, rows.Err()
}
