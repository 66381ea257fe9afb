package objects

import (
	"regexp"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/internal/dbcopy/compat"
	"github.com/slipway-dev/slipway/internal/dbcopy/sqltext"
)

// shape is what of a definition doesn't depend on which server prints it: a routine's head in one form (triggers' and events' heads are
// compared by what information_schema says of them), and the body as it was written.
type shape struct{ head, body string }

// shapeOf reads a definition as a server prints it. ok: it could be read.
func shapeOf(kind Kind, text string) (s shape, ok bool) {
	ps := sqltext.Cut(text)
	switch kind {
	case Trigger:
		for i := range ps {
			if a, b := next(ps, i), 0; ps[i].Is("FOR") && a < len(ps) && ps[a].Is("EACH") {
				if b = next(ps, a); b >= len(ps) || !ps[b].Is("ROW") {
					continue
				}
				at := next(ps, b)
				if at < len(ps) && (ps[at].Is("FOLLOWS") || ps[at].Is("PRECEDES")) {
					at = next(ps, next(ps, at))
				}
				return shape{"", bodyFrom(ps, at)}, at < len(ps)
			}
		}
		return s, false
	case Event:
		for i := range ps {
			if ps[i].Is("DO") {
				at := next(ps, i)
				return shape{"", bodyFrom(ps, at)}, at < len(ps)
			}
		}
		return s, false
	}
	return routine(kind, ps)
}

func bodyFrom(ps []sqltext.Piece, at int) string {
	return strings.TrimSpace(sqltext.Join(ps[min(at, len(ps)):]))
}

// characteristics are what stands between a routine's head and its body, in words; those that are so when nothing is said are left out
// of what is compared.
var characteristics = []struct {
	words []string
	usual bool
}{
	{[]string{"LANGUAGE", "SQL"}, true}, {[]string{"CONTAINS", "SQL"}, true}, {[]string{"NO", "SQL"}, false}, {[]string{"READS", "SQL", "DATA"}, false}, {[]string{"MODIFIES", "SQL", "DATA"}, false},
	{[]string{"DETERMINISTIC"}, false}, {[]string{"NOT", "DETERMINISTIC"}, true}, {[]string{"SQL", "SECURITY", "DEFINER"}, true}, {[]string{"SQL", "SECURITY", "INVOKER"}, false},
	{[]string{"COMMENT", ""}, false}, // and a literal
}

// routine reads CREATE FUNCTION name(parameters) RETURNS type, characteristics, each on its line, and the body.
func routine(kind Kind, ps []sqltext.Piece) (s shape, ok bool) {
	at := slices.IndexFunc(ps, func(p sqltext.Piece) bool { return p.IsMark("(") })
	if at < 0 {
		return s, false
	}
	var parameters []sqltext.Piece
	for depth := 0; at < len(ps); at++ {
		if ps[at].IsMark("(") {
			depth++
		} else if ps[at].IsMark(")") {
			depth--
		}
		parameters = append(parameters, ps[at])
		if depth == 0 {
			break
		}
	}
	head := []string{words(parameters)}
	at = next(ps, at)
	if kind == Function {
		if at >= len(ps) || !ps[at].Is("RETURNS") {
			return s, false
		}
		from := at
		for at++; at < len(ps) && !(ps[at].Kind == sqltext.Space && strings.Contains(ps[at].Text, "\n")); at++ {
		}
		head = append(head, returned(words(ps[from:at])))
		at = next(ps, at-1)
	}
	for at < len(ps) {
		n, end := -1, at
		for i, c := range characteristics {
			if e, fits := follows(ps, at, c.words); fits {
				n, end = i, e
			}
		}
		if n < 0 {
			break
		}
		if !characteristics[n].usual {
			head = append(head, words(ps[at:end]))
		}
		at = next(ps, end-1)
	}
	slices.Sort(head[1:])
	return shape{strings.Join(head, "; "), bodyFrom(ps, at)}, at < len(ps)
}

// follows: the words stand there one behind the other; end is behind the last. "" is any literal.
func follows(ps []sqltext.Piece, at int, words []string) (end int, ok bool) {
	for _, w := range words {
		if at >= len(ps) || w == "" && ps[at].Kind != sqltext.String || w != "" && !ps[at].Is(w) {
			return 0, false
		}
		end, at = at+1, next(ps, at)
	}
	return end, true
}

// words are pieces in one form: without spaces and comments, words in lower case.
func words(ps []sqltext.Piece) string {
	var out []string
	for _, p := range sqltext.Dense(ps) {
		switch p.Kind {
		case sqltext.Word:
			out = append(out, strings.ToLower(p.Text))
		case sqltext.Name:
			out = append(out, strings.ToLower(p.Ident()))
		default:
			out = append(out, p.Text)
		}
	}
	return strings.Join(out, " ")
}

// MySQL prints no display widths, and the servers name one charset in two ways and a collation only where it isn't the default, which
// isn't the same on both.
var (
	width     = regexp.MustCompile(`\b(tinyint|smallint|mediumint|int|bigint|year) \( \d+ \)`)
	collation = regexp.MustCompile(` collate \S+`)
	utf8      = regexp.MustCompile(`\butf8\b`)
)

func returned(words string) string {
	return utf8.ReplaceAllString(collation.ReplaceAllString(width.ReplaceAllString(words, "$1"), ""), "utf8mb3")
}

// differs says what of an object isn't as it was written; nil: all is.
func (o Object) differs(w Written, got Object) (out []string) {
	want, ok := shapeOf(o.Kind, w.Create)
	have, readable := shapeOf(o.Kind, got.Create)
	if !ok || !readable {
		return []string{"its text, which this program can't read"}
	}
	differ := func(what string, is bool) {
		if is {
			out = append(out, what)
		}
	}
	differ("its parameters, or what it says of itself", want.head != have.head)
	differ("its body", want.body != have.body)
	modes, _ := compat.Modes(got.Mode)
	differ("its sql_mode", !sameWords(w.mode, modes))
	differ(literalsDiffer, w.collation != "" && w.collation != got.Collation)
	differ(schemaDiffers, w.SchemaCollation != "" && w.SchemaCollation != got.SchemaCollation)
	if o.Fires != nil && got.Fires != nil {
		differ("when it fires", *o.Fires != *got.Fires)
	}
	if o.Runs != nil && got.Runs != nil {
		a, b := w.runs, *got.Runs
		if a.State = "ENABLED"; w.runs.State != "ENABLED" {
			a.State = "DISABLED"
		}
		if b.State != "ENABLED" {
			b.State = "DISABLED"
		}
		differ(stateDiffers, a.State != b.State)
		a.State, a.Until, a.Originator, b.State, b.Until, b.Originator = "", "", "", "", "", ""
		differ("when it runs", a != b)
	}
	return out
}

// How differs calls these.
const (
	stateDiffers   = "whether it is enabled"
	literalsDiffer = "the collation of its literals"
	schemaDiffers  = "the schema's collation when it was made"
)

// switchedOnly: all that differs is what ALTER EVENT ... ENABLE or DISABLE makes of an event: it sets the collations anew, too.
func switchedOnly(what []string) bool {
	return slices.Contains(what, stateDiffers) && !slices.ContainsFunc(what, func(w string) bool { return w != stateDiffers && w != literalsDiffer && w != schemaDiffers })
}

func sameWords(a, b string) bool {
	x, y := strings.Split(a, ","), strings.Split(b, ",")
	slices.Sort(x)
	slices.Sort(y)
	return slices.Equal(x, y)
}
