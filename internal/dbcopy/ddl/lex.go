// Package ddl reads what MariaDB prints for SHOW CREATE TABLE and SHOW CREATE VIEW and writes what MySQL takes.
//
// It knows an allow-list: a word that it doesn't know is refused with its place, because a schema that is rewritten
// by leaving out what wasn't understood is a schema that nobody asked for. Each thing that it does change has a name
// (see Rule). What it lets pass is compiled by the target itself before a row moves.
//
// The text it reads must have been printed with sql_mode=” and sql_quote_show_create=1, as utf8mb4. It does no I/O
// and imports nothing outside the standard library.
package ddl

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// token is a piece of SQL as it was written. gap: there was space before it.
type token struct {
	kind kind
	text string
	gap  bool
	at   int // its first byte in the statement
}

type kind byte

const (
	word       kind = iota // keyword, unquoted name, introducer
	quotedName             // `quoted`
	str                    // 'quoted'
	number                 // digits, point, exponent; no sign
	punct                  // one character
)

// is: the token is this keyword, in either case.
func (t token) is(w string) bool { return t.kind == word && strings.EqualFold(t.text, w) }
func (t token) isPunct(c string) bool {
	return t.kind == punct && t.text == c
}

// lex cuts text into tokens. The bodies of version comments (/*!100301 ...*/, /*M!100301 ...*/) are tokens like any
// other, since the server that printed them acts on them; other comments are dropped.
func lex(text string) ([]token, error) {
	if !utf8.ValidString(text) {
		return nil, fmt.Errorf("the statement isn't UTF-8")
	}
	var out []token
	gap, inVersion := false, false
	for i := 0; i < len(text); {
		c := text[i]
		var n int
		k := punct
		switch {
		case c == ' ' || c == '\n' || c == '\t' || c == '\r':
			gap = true
			i++
			continue
		case strings.HasPrefix(text[i:], "/*"):
			body := strings.TrimPrefix(text[i+2:], "M")
			if !strings.HasPrefix(body, "!") {
				end := strings.Index(text[i+2:], "*/")
				if end < 0 {
					return nil, fmt.Errorf("a comment at byte %d has no end", i)
				}
				i += 2 + end + 2
				gap = true
				continue
			}
			if inVersion {
				return nil, fmt.Errorf("a version comment at byte %d is inside another", i)
			}
			inVersion, gap = true, true
			i = len(text) - len(body) + 1
			for i < len(text) && text[i] >= '0' && text[i] <= '9' {
				i++
			}
			continue
		case inVersion && strings.HasPrefix(text[i:], "*/"):
			inVersion, gap = false, true
			i += 2
			continue
		case c == '`':
			n, k = quoted(text[i:], '`', false), quotedName
		case c == '\'':
			n, k = quoted(text[i:], '\'', true), str
		case c >= '0' && c <= '9' || c == '.' && i+1 < len(text) && text[i+1] >= '0' && text[i+1] <= '9':
			n, k = numeral(text[i:])
		case wordByte(c):
			for n = 1; i+n < len(text) && wordByte(text[i+n]); n++ {
			}
			k = word
		default:
			n = 1
		}
		if n < 0 {
			return nil, fmt.Errorf("a quote at byte %d has no end", i)
		}
		out = append(out, token{k, text[i : i+n], gap, i})
		gap = false
		i += n
	}
	if inVersion {
		return nil, fmt.Errorf("a version comment has no end")
	}
	return out, nil
}

func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '$' || c == '@' || c >= 0x80
}

// numeral: digits with a point and an exponent; or a word that begins with digits.
func numeral(s string) (int, kind) {
	n, digits := 0, func(n int) int {
		for n < len(s) && s[n] >= '0' && s[n] <= '9' {
			n++
		}
		return n
	}
	n = digits(0)
	if n < len(s) && s[n] == '.' {
		n = digits(n + 1)
	}
	if n < len(s) && (s[n] == 'e' || s[n] == 'E') {
		e := n + 1
		if e < len(s) && (s[e] == '+' || s[e] == '-') {
			e++
		}
		if end := digits(e); end > e {
			n = end
		}
	}
	if n < len(s) && wordByte(s[n]) {
		for n < len(s) && wordByte(s[n]) {
			n++
		}
		return n, word
	}
	return n, number
}

// quoted is the length of a quoted text that s begins with, or -1.
func quoted(s string, q byte, backslash bool) int {
	for i := 1; i < len(s); i++ {
		switch {
		case backslash && s[i] == '\\':
			i++
		case s[i] == q && i+1 < len(s) && s[i+1] == q:
			i++
		case s[i] == q:
			return i + 1
		}
	}
	return -1
}

// unquote is the name in a name token.
func (t token) unquote() string {
	if t.kind != quotedName {
		return t.text
	}
	return strings.ReplaceAll(t.text[1:len(t.text)-1], "``", "`")
}

// Quote writes an identifier for either server.
func Quote(ident string) string { return "`" + strings.ReplaceAll(ident, "`", "``") + "`" }

// text puts tokens together again; what stood apart stands apart.
func text(ts []token) string {
	var b strings.Builder
	for i, t := range ts {
		if t.gap && i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(t.text)
	}
	return b.String()
}

// Qualified is a name with its schema's.
func Qualified(schema, name string) string { return Quote(schema) + "." + Quote(name) }

// AppendLiteral appends bytes as a literal, for a session that takes backslashes in literals (no NO_BACKSLASH_ESCAPES) and
// whose character_set_client is ASCII in all bytes below 0x80, such as utf8mb4.
func AppendLiteral(to, v []byte) []byte {
	to = append(to, '\'')
	for {
		i := bytes.IndexAny(v, "'\\\x00")
		if i < 0 {
			return append(append(to, v...), '\'')
		}
		to = append(to, v[:i]...)
		if v[i] == 0 {
			to = append(to, '\\', '0')
		} else {
			to = append(to, '\\', v[i])
		}
		v = v[i+1:]
	}
}

// Literal is a text as a literal, for the same.
func Literal(text string) string { return string(AppendLiteral(nil, []byte(text))) }

// Escape is a text as it stands between the quotes of such a literal.
func Escape(text string) string {
	q := Literal(text)
	return q[1 : len(q)-1]
}
