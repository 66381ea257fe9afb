package changes

import (
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/internal/dbcopy/sqltext"
)

// verdict is what a statement in the log is to the follower.
type verdict byte

const (
	pass     verdict = iota // changes no row and no definition that is followed
	begin                   // BEGIN
	commit                  // COMMIT
	rollback                // ROLLBACK: of what the log has of the transaction nothing stays
	inside                  // SAVEPOINT, RELEASE SAVEPOINT, ROLLBACK TO
	xaStart
	xaEnd
	xaCommit
	xaRollback
	definition // changes a definition that is followed, or may
	truncate   // the same, and empties a table
	statement  // changes rows, by its text
	account    // accounts and privileges: passed, and never printed whole
)

// system are the schemas of the servers themselves.
var system = []string{"mysql", "sys", "information_schema", "performance_schema"}

// markSchema is where Slipway keeps its own tables; nothing there is followed.
const markSchema = "_slipway"

// judge says what a statement is. schema is the session's; followed are the schemas whose tables are. Names are compared without
// their case: a wrong stop costs a look, a wrong pass rows.
func judge(text, schema string, followed []string) verdict {
	ps := sqltext.Dense(sqltext.Cut(unwrap(text)))
	if len(ps) == 0 {
		return pass
	}
	is := func(i int, words ...string) bool {
		return i < len(ps) && slices.ContainsFunc(words, ps[i].Is)
	}
	switch {
	case is(0, "BEGIN"), is(0, "START") && is(1, "TRANSACTION"):
		return begin
	case is(0, "COMMIT"):
		return commit
	case is(0, "ROLLBACK") && is(1, "TO"), is(0, "SAVEPOINT", "RELEASE"):
		return inside
	case is(0, "ROLLBACK"):
		return rollback
	case is(0, "XA"):
		switch {
		case is(1, "START", "BEGIN"):
			return xaStart
		case is(1, "END", "PREPARE"):
			return xaEnd
		case is(1, "ROLLBACK"):
			return xaRollback
		}
		return xaCommit
	case is(0, "GRANT", "REVOKE"), is(0, "CREATE", "ALTER", "DROP", "RENAME", "SET") && accountWord(ps):
		return account
	case is(0, "FLUSH", "ANALYZE", "OPTIMIZE", "REPAIR", "CHECK", "CHECKSUM", "RESET", "PURGE", "INSTALL", "UNINSTALL", "KILL", "SHUTDOWN", "BINLOG"):
		return pass
	case is(0, "CREATE", "DROP") && slices.ContainsFunc(ps[:min(4, len(ps))], func(p sqltext.Piece) bool { return p.Is("TEMPORARY") }):
		return pass
	case is(0, "CREATE", "ALTER", "DROP") && eventWord(ps): // what an event does is in the log as rows
		return pass
	case is(0, "ALTER") && is(1, "DATABASE", "SCHEMA"): // a default for tables that are made later, at which it stops
		return pass
	case is(0, "CREATE", "ALTER", "DROP", "RENAME", "TRUNCATE", "COMMENT"):
		if elsewhere(ps, schema, followed) {
			return pass
		}
		if is(0, "TRUNCATE") {
			return truncate
		}
		return definition
	}
	if contains(system, schema) && !names(ps, followed) || contains([]string{markSchema}, schema) {
		return pass
	}
	return statement
}

// accountWord: CREATE USER, DROP ROLE, SET PASSWORD, SET DEFAULT ROLE, RENAME USER, CREATE OR REPLACE USER.
func accountWord(ps []sqltext.Piece) bool {
	for _, p := range ps[1:min(5, len(ps))] {
		if p.Is("USER") || p.Is("ROLE") || p.Is("PASSWORD") {
			return true
		}
		if !p.Is("OR") && !p.Is("REPLACE") && !p.Is("DEFAULT") && !p.Is("RESOURCE") {
			return false
		}
	}
	return false
}

// eventWord: CREATE DEFINER=`a`@`b` EVENT, ALTER EVENT, DROP EVENT. What a statement is about is the first of such words.
func eventWord(ps []sqltext.Piece) bool {
	for _, p := range ps[1:] {
		switch {
		case p.Is("EVENT"):
			return true
		case p.Is("TABLE"), p.Is("TABLES"), p.Is("VIEW"), p.Is("TRIGGER"), p.Is("PROCEDURE"), p.Is("FUNCTION"), p.Is("INDEX"), p.Is("DATABASE"), p.Is("SCHEMA"), p.Is("SEQUENCE"), p.Is("PACKAGE"):
			return false
		}
	}
	return false
}

// unwrap makes version comments (/*!40000 ... */, /*M!...*/) part of the text: the server that logged them acted on them.
func unwrap(text string) string {
	for {
		i := strings.Index(text, "/*")
		if i < 0 || !strings.HasPrefix(strings.TrimPrefix(text[i+2:], "M"), "!") {
			return text
		}
		body := strings.TrimLeft(strings.TrimPrefix(strings.TrimPrefix(text[i+2:], "M"), "!"), "0123456789")
		text = text[:i] + " " + strings.Replace(body, "*/", " ", 1)
	}
}

func contains(list []string, name string) bool {
	return slices.ContainsFunc(list, func(s string) bool { return strings.EqualFold(s, name) })
}

// names: one of the schemas stands somewhere in the statement as a name.
func names(ps []sqltext.Piece, schemas []string) bool {
	return slices.ContainsFunc(ps, func(p sqltext.Piece) bool { return p.Ident() != "" && contains(schemas, p.Ident()) })
}

// elsewhere: the definition that is changed is certainly none of the schemas'. No such schema is named; and either the session's isn't one, or
// what the statement is about is named with its own.
func elsewhere(ps []sqltext.Piece, schema string, followed []string) bool {
	if names(ps, followed) {
		return false
	}
	if !contains(followed, schema) {
		return true
	}
	for i, p := range ps {
		switch {
		case p.Is("DATABASE"), p.Is("SCHEMA"):
			return true // its name isn't one that is followed
		case p.Is("SERVER"), p.Is("TABLESPACE"), p.Is("LOGFILE"), p.Is("INSTANCE"), p.Is("UNDO"):
			if i == 1 {
				return true
			}
		case p.Is("TABLE"), p.Is("TABLES"), p.Is("VIEW"), p.Is("SEQUENCE"):
			return allQualified(ps[i+1:])
		case p.Is("PROCEDURE"), p.Is("FUNCTION"), p.Is("TRIGGER"), p.Is("EVENT"), p.Is("PACKAGE"), p.Is("INDEX"), p.Is("AS"), p.IsMark("("):
			return false // not worth the parsing: it stops
		}
	}
	return false
}

// allQualified: each name of a list ("a.b, c.d", "a.b TO c.d", "a.b ...") has a schema in front.
func allQualified(ps []sqltext.Piece) bool {
	for len(ps) > 0 && (ps[0].Is("IF") || ps[0].Is("NOT") || ps[0].Is("EXISTS")) {
		ps = ps[1:]
	}
	for {
		if len(ps) < 3 || ps[0].Ident() == "" || !ps[1].IsMark(".") || ps[2].Ident() == "" {
			return false
		}
		ps = ps[3:]
		switch {
		case len(ps) == 0:
			return true
		case ps[0].IsMark(","), ps[0].Is("TO"), ps[0].Is("LIKE"):
			ps = ps[1:]
		default: // what an ALTER does: it may RENAME into the session's schema
			return !slices.ContainsFunc(ps, func(p sqltext.Piece) bool { return p.Is("RENAME") || p.Is("EXCHANGE") || p.Is("CONVERT") })
		}
	}
}
