package proof

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/internal/lab/fleet"
	"github.com/slipway-dev/slipway/internal/lab/verb"
)

// eachDatabase runs statements on every MariaDB server, on one connection of the lab's own account that logs nothing for the replicas: they keep logs of their own.
func (p *Proof) eachDatabase(ctx context.Context, f func(context.Context, fleet.Host, *sql.Conn) error) error {
	for _, h := range fleet.Hosts() {
		if h.Role != fleet.Database {
			continue
		}
		if err := p.onDatabase(ctx, h, f); err != nil {
			return fmt.Errorf("general log of %s: %w", h.Name, err)
		}
	}
	return nil
}

func (p *Proof) onDatabase(ctx context.Context, h fleet.Host, f func(context.Context, fleet.Host, *sql.Conn) error) error {
	db, err := p.source.Fleet.DB(h.Name, "mysql")
	if err != nil {
		return err
	}
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := execAll(ctx, conn, "SET SESSION sql_log_bin = 0"); err != nil {
		return err
	}
	return f(ctx, h, conn)
}

// startLog has a server write every statement, with its account, into the table mysql.general_log, before it is executed or refused.
func startLog(ctx context.Context, _ fleet.Host, conn *sql.Conn) error {
	return execAll(ctx, conn, "SET GLOBAL general_log = OFF", "TRUNCATE mysql.general_log", "SET GLOBAL log_output = 'TABLE'", "SET GLOBAL general_log = ON")
}

func stopLog(ctx context.Context, _ fleet.Host, conn *sql.Conn) error {
	return execAll(ctx, conn, "SET GLOBAL general_log = OFF", "TRUNCATE mysql.general_log")
}

func execAll(ctx context.Context, conn *sql.Conn, statements ...string) error {
	for _, s := range statements {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

// statements reads what Slipway's account asked of the servers; what isn't a read is a finding.
func (p *Proof) statements(ctx context.Context, out *verb.Proof) error {
	return p.eachDatabase(ctx, func(ctx context.Context, h fleet.Host, conn *sql.Conn) error {
		var on bool
		if err := conn.QueryRowContext(ctx, "SELECT @@general_log").Scan(&on); err != nil {
			return err
		}
		if !on {
			out.Findings = append(out.Findings, verb.Finding{Where: h.Name, What: "the general log was switched off meanwhile (a restart does that too): its statements are not known"})
		}
		list, err := readLog(ctx, conn)
		if err != nil {
			return err
		}
		for _, s := range list {
			if s.reads() {
				out.Statements++
			} else {
				out.Findings = append(out.Findings, verb.Finding{Where: h.Name, What: fmt.Sprintf("slipway's account: %s %s", s.command, s.text)})
			}
		}
		return stopLog(ctx, h, conn)
	})
}

// statement is a line of the general log.
type statement struct{ command, text string }

func readLog(ctx context.Context, conn *sql.Conn) ([]statement, error) {
	// user_host is "account[login] @ host [address]".
	rows, err := conn.QueryContext(ctx, "SELECT command_type, CONVERT(argument USING utf8mb4) FROM mysql.general_log WHERE user_host LIKE 'slipway[%' OR user_host LIKE '[slipway]%'")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []statement
	for rows.Next() {
		var s statement
		if err := rows.Scan(&s.command, &s.text); err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, rows.Err()
}

// Commands of the protocol that change nothing by themselves.
var harmless = []string{"Connect", "Quit", "Init DB", "Ping", "Statistics", "Prepare", "Close stmt", "Reset stmt", "Reset connection", "Field List", "Binlog Dump", "Register Slave"}

// reads says whether a statement reads alone. What it doesn't know, it takes for a change.
func (s statement) reads() bool {
	switch s.command {
	case "Query", "Execute":
		return readsOnly(s.text)
	case "Prepare": // it may be executed
		return readsOnly(s.text)
	}
	return slices.Contains(harmless, s.command)
}

var (
	comment  = regexp.MustCompile(`(?s)^\s*(/\*[^!M].*?\*/|--[^\n]*\n|#[^\n]*\n)`)
	executed = regexp.MustCompile(`/\*M?!`) // a comment that the server executes

	// reading are whole statements or their beginnings, of what changes nothing.
	reading = regexp.MustCompile(`(?i)^(SELECT\b|\(\s*SELECT\b|SHOW\b|DESC(RIBE)?\b|USE\b|VALUES\b|WITH\b|EXPLAIN\s+(EXTENDED\s+|FORMAT\s*=\s*JSON\s+)?SELECT\b|` +
		`(BEGIN|COMMIT|ROLLBACK)(\s+WORK)?\s*$|START\s+TRANSACTION(\s+(WITH\s+CONSISTENT\s+SNAPSHOT|READ\s+ONLY)\s*,?)*\s*$|` +
		`SET\s+STATEMENT\s+\S+\s*=\s*\S+\s+FOR\s+SELECT\b)`)
	// changing are words that make a change of what begins like a read.
	changing = regexp.MustCompile(`(?i)\bINTO\s+(OUTFILE|DUMPFILE)\b|\bFOR\s+UPDATE\b|\bNEXTVAL\b|\bNEXT\s+VALUE\b|\bSETVAL\b|\b(INSERT|UPDATE|DELETE|REPLACE)\s+(INTO|FROM|LOW_PRIORITY|IGNORE|\S+\s+SET)\b`)

	// session is what a session may set for itself, and elsewhere what no SET of a reader has.
	session   = regexp.MustCompile(`(?i)^SET\s+(NAMES|SESSION|TRANSACTION|autocommit|@@session\.|@[a-z_]|sql_mode|time_zone|character_set_|net_|lock_wait_timeout|innodb_lock_wait_timeout|max_statement_time|wait_timeout)`)
	elsewhere = regexp.MustCompile(`(?i)\b(GLOBAL|PERSIST)\b|@@global\.|\bsql_log_bin\b|\bPASSWORD\b|\bROLE\b`)
)

func readsOnly(text string) bool {
	for comment.MatchString(text) {
		text = comment.ReplaceAllString(text, "")
	}
	text = strings.TrimSpace(text)
	plain := unquoted(text)
	switch {
	case executed.MatchString(text):
		return false
	case reading.MatchString(text):
		return !changing.MatchString(plain)
	}
	return session.MatchString(text) && !elsewhere.MatchString(plain)
}

var quoted = regexp.MustCompile("(?s)'(?:[^'\\\\]|\\\\.|'')*'|\"(?:[^\"\\\\]|\\\\.|\"\")*\"|`[^`]*`")

// unquoted empties what stands in quotes: names and texts may say anything.
func unquoted(text string) string { return quoted.ReplaceAllString(text, "''") }
