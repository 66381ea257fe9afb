// Package sqltext cuts any SQL text into pieces (words, names, literals, comments) without understanding it: enough to
// look for a function, to put another schema's name in front of a table's, to take the literals out of a statement.
//
// It is for texts that people wrote: bodies of routines, queries. Definitions that are rewritten go through package ddl,
// which refuses what it doesn't know. It does no I/O and imports nothing outside the standard library.
package sqltext

import "strings"

// Kind is what a piece is.
type Kind byte

// The kinds.
const (
	Space  Kind = iota // blanks and comments, version comments (/*! ... */) as a whole
	Word               // keyword, name without quotes, variable, introducer
	Name               // `quoted`
	String             // 'quoted' or "quoted"
	Number             // of digits; a sign is a Mark
	Mark               // any other character
)

// Piece is a part of a text as it was written.
type Piece struct {
	Kind Kind
	Text string
}

// Is: the piece is this word, in any case.
func (p Piece) Is(w string) bool { return p.Kind == Word && strings.EqualFold(p.Text, w) }

// IsMark: the piece is this character.
func (p Piece) IsMark(m string) bool { return p.Kind == Mark && p.Text == m }

// Ident is the name that a word or a quoted name says; "" for others.
func (p Piece) Ident() string {
	switch p.Kind {
	case Word:
		return p.Text
	case Name:
		if len(p.Text) > 1 {
			return strings.ReplaceAll(p.Text[1:len(p.Text)-1], "``", "`")
		}
	}
	return ""
}

// Cut cuts a text. All pieces' texts together are the text. A quote or comment without an end goes to the text's end.
func Cut(text string) (out []Piece) {
	for i := 0; i < len(text); {
		k, n := piece(text[i:])
		out = append(out, Piece{k, text[i : i+n]})
		i += n
	}
	return out
}

func piece(s string) (Kind, int) {
	end := func(n int) int { return min(n, len(s)) }
	until := func(stop string, from int) int {
		if i := strings.Index(s[end(from):], stop); i >= 0 {
			return end(from) + i + len(stop)
		}
		return len(s)
	}
	c := s[0]
	switch {
	case blank(c):
		n := 1
		for n < len(s) && blank(s[n]) {
			n++
		}
		return Space, n
	case strings.HasPrefix(s, "/*"):
		return Space, until("*/", 2)
	case c == '#', strings.HasPrefix(s, "--") && (len(s) == 2 || blank(s[2])):
		return Space, until("\n", 1)
	case c == '`':
		return Name, quoted(s, '`', false)
	case c == '\'', c == '"':
		return String, quoted(s, c, true)
	case c >= '0' && c <= '9', c == '.' && len(s) > 1 && s[1] >= '0' && s[1] <= '9':
		return number(s)
	case wordByte(c):
		n := 1
		for n < len(s) && wordByte(s[n]) {
			n++
		}
		return Word, n
	}
	return Mark, 1
}

func blank(c byte) bool {
	return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f' || c == '\v'
}

func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '$' || c == '@' || c >= 0x80
}

func number(s string) (Kind, int) {
	n, seen := 0, false
	for n < len(s) {
		c := s[n]
		switch {
		case c >= '0' && c <= '9', c == '.' && !seen:
		case (c == 'e' || c == 'E') && n+1 < len(s) && (s[n+1] >= '0' && s[n+1] <= '9' || (s[n+1] == '-' || s[n+1] == '+') && n+2 < len(s) && s[n+2] >= '0' && s[n+2] <= '9'):
			n++
		case wordByte(c): // 0x1f, or a name that begins with digits
			for n < len(s) && wordByte(s[n]) {
				n++
			}
			if strings.HasPrefix(s, "0x") || strings.HasPrefix(s, "0b") {
				return Number, n
			}
			return Word, n
		default:
			return Number, n
		}
		seen = seen || c == '.' || c == 'e' || c == 'E'
		n++
	}
	return Number, n
}

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
	return len(s)
}

// Join puts pieces together again.
func Join(ps []Piece) string {
	var b strings.Builder
	for _, p := range ps {
		b.WriteString(p.Text)
	}
	return b.String()
}

// Dense is the pieces without spaces and comments.
func Dense(ps []Piece) []Piece {
	out := make([]Piece, 0, len(ps))
	for _, p := range ps {
		if p.Kind != Space {
			out = append(out, p)
		}
	}
	return out
}

// Requalify puts another schema's name wherever one of the given stands before a point and a name. to is by name. An alias
// that is spelt like one of the schemas is taken for it.
func Requalify(text string, to map[string]string) string {
	ps := Cut(text)
	next := func(i int) Piece {
		for i++; i < len(ps); i++ {
			if ps[i].Kind != Space {
				return ps[i]
			}
		}
		return Piece{}
	}
	before := Piece{}
	for i, p := range ps {
		if p.Kind == Space {
			continue
		}
		if as, ok := to[p.Ident()]; ok && p.Ident() != "" && next(i).IsMark(".") && !before.IsMark(".") {
			ps[i].Text = "`" + strings.ReplaceAll(as, "`", "``") + "`"
		}
		before = p
	}
	return Join(ps)
}

// Bare says whether a name stands in a text by itself, as that of a table or an alias: neither before nor behind a point.
func Bare(text, name string) bool {
	ps := Dense(Cut(text))
	for i, p := range ps {
		if p.Ident() == name && name != "" && (i == 0 || !ps[i-1].IsMark(".")) && (i+1 == len(ps) || !ps[i+1].IsMark(".")) {
			return true
		}
	}
	return false
}

// Anonymous is a statement with a ? in the place of each literal, one blank between pieces that stood apart, and no
// comments: what two calls of one query have in common.
func Anonymous(text string) string {
	var b strings.Builder
	gap := false
	for _, p := range Cut(text) {
		if p.Kind == Space {
			gap = b.Len() > 0
			continue
		}
		if gap {
			b.WriteByte(' ')
		}
		gap = false
		if p.Kind == String || p.Kind == Number {
			p.Text = "?"
		}
		b.WriteString(p.Text)
	}
	return b.String()
}
