// Package queries gets the statements of an application out of what its server kept of them: the digests of
// performance_schema, or a slow query log; and makes of each a text that a server can prepare, or explain.
//
// It does no I/O but reading what it is given, and imports nothing of Slipway but package sqltext.
package queries

import (
	"regexp"
	"strings"

	"github.com/slipway-dev/slipway/internal/dbcopy/sqltext"
)

// Query is one statement, as often as it was called.
type Query struct {
	Schema string // the session's default one
	Text   string // with its literals, or ? and (...) in their places
	Calls  int64
	Digest bool // Text is a digest: lists of literals are (...)
}

// Shown is the query for people: without literals, at most n bytes.
func (q Query) Shown(n int) string {
	text := q.Text
	if !q.Digest {
		text = sqltext.Anonymous(text)
	}
	if len(text) <= n {
		return text
	}
	for n > 0 && text[n]&0xC0 == 0x80 {
		n--
	}
	return text[:n] + "..."
}

// Cut says that a server kept only the beginning of a digest.
func (q Query) Cut() bool {
	text := strings.TrimSpace(q.Text)
	return q.Digest && strings.HasSuffix(text, "...") && !strings.HasSuffix(text, "?, ...") // a list at the end
}

// verbs are statements that can be prepared and do no more than use the schema.
var verbs = strings.Fields("SELECT INSERT REPLACE UPDATE DELETE WITH CALL")

// Application says whether the text is a statement of an application's: of data, and not about the server.
func Application(text string) bool {
	ps := sqltext.Dense(sqltext.Cut(text))
	for len(ps) > 0 && ps[0].IsMark("(") {
		ps = ps[1:]
	}
	if len(ps) == 0 {
		return false
	}
	verb := false
	for _, v := range verbs {
		verb = verb || ps[0].Is(v)
	}
	for i, p := range ps {
		switch strings.ToLower(p.Ident()) {
		case "information_schema", "performance_schema", "mysql", "sys":
			if i+1 < len(ps) && ps[i+1].IsMark(".") {
				return false
			}
		}
		if strings.HasPrefix(p.Text, "@@") {
			return false
		}
	}
	return verb
}

// Selects says whether the query only reads, so that both servers can explain it without leave to write.
func (q Query) Selects() bool {
	ps := sqltext.Dense(sqltext.Cut(q.Text))
	for len(ps) > 0 && ps[0].IsMark("(") {
		ps = ps[1:]
	}
	return len(ps) > 0 && (ps[0].Is("SELECT") || ps[0].Is("WITH"))
}

// introducer stands before a literal's charset: _utf8mb4 ?.
var introducer = regexp.MustCompile(`(^|[\s(,=])_[a-z0-9]+ \?`)

// Listed says whether the query has lists whose length its digest doesn't say.
func (q Query) Listed() bool { return q.Digest && strings.Contains(q.Text, "(...)") }

// Prepared is a text to prepare, with lists of n literals where the digest doesn't say how many there were.
func (q Query) Prepared(n int) string {
	if !q.Digest {
		return q.Text
	}
	text := strings.ReplaceAll(q.Text, "(...)", "("+strings.TrimPrefix(strings.Repeat(",?", max(n, 1)), ",")+")")
	text = strings.ReplaceAll(text, "?, ...", "?")
	text = introducer.ReplaceAllString(text, "$1?")
	return text
}

// Explained is a text to explain: a value in the place of each ?. It is a date, so that it can be compared with columns of
// any type, and a 1 where a number must stand.
func (q Query) Explained() string {
	ps := sqltext.Cut(q.Prepared(1))
	limit := false
	for i, p := range ps {
		switch {
		case p.Kind == sqltext.Space:
		case p.Is("LIMIT"), p.Is("OFFSET"):
			limit = true
		case p.IsMark("?") && limit:
			ps[i].Text = "1"
		case p.IsMark("?"):
			ps[i].Text = "'2020-01-01'"
		case p.IsMark(","): // LIMIT ?, ?
		default:
			limit = false
		}
	}
	return sqltext.Join(ps)
}
