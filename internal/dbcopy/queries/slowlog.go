package queries

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/slipway-dev/slipway/internal/dbcopy/sqltext"
)

// ErrNoSlowLog: the file isn't a slow query log, or has no statement in it. Give another one.
var ErrNoSlowLog = errors.New("not a slow query log with statements in it")

// longestStatement bounds one statement of a log, in bytes; one that is longer is left out, and counted.
const longestStatement = 1 << 20

// SlowLog is what a log holds: each query once, in the order in which they came first.
type SlowLog struct {
	Queries []Query
	TooLong int64 // statements of more than 1 MiB, which were left out
}

var (
	schemaField = regexp.MustCompile(`\bSchema: (\S*)`)
	useStmt     = regexp.MustCompile("(?i)^use\\s+`?([^`;]+)`?\\s*;$")
	setTime     = regexp.MustCompile(`(?i)^SET timestamp=[0-9.]+;$`)
)

// ReadSlowLog reads the slow query log of a MariaDB (or MySQL) that logs to a file: blocks of lines that begin with #,
// followed by the statement, which ends in a semicolon at a line's end.
// https://mariadb.com/kb/en/slow-query-log-overview/
func ReadSlowLog(r io.Reader) (SlowLog, error) {
	var out SlowLog
	index := map[[2]string]int{}
	schema, began := "", false
	var stmt strings.Builder
	long := false
	end := func() {
		text := strings.TrimSuffix(strings.TrimSpace(stmt.String()), ";")
		stmt.Reset()
		if long {
			out.TooLong++
			long = false
			return
		}
		if text == "" || !Application(text) {
			return
		}
		key := [2]string{schema, sqltext.Anonymous(text)}
		if i, seen := index[key]; seen {
			out.Queries[i].Calls++
			return
		}
		index[key] = len(out.Queries)
		out.Queries = append(out.Queries, Query{Schema: schema, Text: text, Calls: 1})
	}
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return out, fmt.Errorf("read the slow query log: %w", err)
		}
		last := err != nil
		plain := strings.TrimRight(line, "\r\n")
		switch {
		case strings.HasPrefix(plain, "# ") && stmt.Len() == 0:
			began = true
			if m := schemaField.FindStringSubmatch(plain); m != nil && m[1] != "" {
				schema = m[1]
			}
		case !began, stmt.Len() == 0 && (strings.TrimSpace(plain) == "" || setTime.MatchString(plain)):
		case stmt.Len() == 0 && useStmt.MatchString(plain):
			schema = useStmt.FindStringSubmatch(plain)[1]
		case strings.HasPrefix(plain, "# User@Host: "), strings.HasPrefix(plain, "# Time: "): // the statement before had no end
			end()
		default:
			if long = long || stmt.Len()+len(line) > longestStatement; !long {
				stmt.WriteString(line)
			}
			if strings.HasSuffix(plain, ";") {
				end()
			}
		}
		if last {
			break
		}
	}
	end()
	if len(out.Queries) == 0 {
		return out, ErrNoSlowLog
	}
	return out, nil
}
