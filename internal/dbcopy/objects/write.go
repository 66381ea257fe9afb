package objects

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/internal/dbcopy/compat"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
	"github.com/slipway-dev/slipway/internal/dbcopy/sqltext"
)

// To says where objects are made.
type To struct {
	Has     func(collation string) bool // which collations the target has
	Schemas map[string]string           // the schema to be used in the place of one of the source's; others keep their names
	Asleep  bool                        // events are made disabled, whatever they are at the source
}

func (t To) home(schema string) string {
	if home, ok := t.Schemas[schema]; ok {
		return home
	}
	return schema
}

// Written is an object as a MySQL takes it.
type Written struct {
	Session []string // statements for the session that makes it, in order
	Create  string
	// SchemaCollation is what the schema's default must be while it is made; "": the target hasn't it.
	SchemaCollation string
	Changes         []string // what is another, in words
	mode            string
	collation       string
	runs            Runs
}

// definer, as both servers print it in any sql_mode, and as people write it.
var definer = regexp.MustCompile("(?is)^(CREATE\\s+(?:OR\\s+REPLACE\\s+)?)DEFINER\\s*=\\s*(?:`(?:[^`]|``)*`(?:@`(?:[^`]|``)*`)?|\"(?:[^\"]|\"\")*\"(?:@\"(?:[^\"]|\"\")*\")?|\\S+)\\s+")

// withoutDefiner is the text for an account that may not set a definer: the object becomes its maker's.
func (o Object) withoutDefiner() string { return definer.ReplaceAllString(o.Create, "$1") }

// Write writes an object for a MySQL. An error says that this program can't: where an event's state stands isn't found.
func (o Object) Write(to To) (w Written, err error) {
	var out []string
	w.mode, out = compat.Modes(o.Mode)
	if o.Definer != "" {
		w.Changes = append(w.Changes, "its definer "+o.Definer+" becomes the account that makes it")
	}
	if out != nil {
		w.Changes = append(w.Changes, "without "+strings.Join(out, ", ")+" in its sql_mode, which MySQL doesn't have")
	}
	near := func(from string) string {
		as, ok := ddl.Nearest(from, to.Has)
		if !ok {
			return ""
		}
		return as
	}
	w.collation, w.SchemaCollation = near(o.Collation), near(o.SchemaCollation)
	w.Create = sqltext.Requalify(o.withoutDefiner(), to.Schemas)
	w.Create = collations(w.Create, func(from string) string {
		as := near(from)
		if as == "" || strings.EqualFold(as, from) {
			return from
		}
		w.Changes = append(w.Changes, from+" becomes "+as)
		return as
	})
	w.Session = []string{"USE " + ddl.Quote(to.home(o.Schema)), "SET NAMES utf8mb4"}
	if w.collation != "" {
		w.Session = append(w.Session, "SET SESSION collation_connection = "+ddl.Literal(w.collation))
	}
	w.Session = append(w.Session, "SET SESSION sql_mode = "+ddl.Literal(w.mode))
	if o.Runs != nil {
		w.runs = *o.Runs
		w.Session = append(w.Session, "SET SESSION time_zone = "+ddl.Literal(w.runs.Zone))
		switch {
		case w.runs.State == notHere:
			w.Changes = append(w.Changes, "it is made disabled, because only server_id "+w.runs.Originator+" knows whether it runs")
			w.runs.State = "DISABLED"
		case w.runs.State != "ENABLED" || to.Asleep:
			w.runs.State = "DISABLED"
		}
		var ok bool
		if w.Create, ok = withState(w.Create, w.runs.State); !ok {
			return w, fmt.Errorf("this program can't read where it is enabled")
		}
	}
	return w, nil
}

// collations puts others in the place of the collations that stand in a text.
func collations(text string, as func(string) string) string {
	ps := sqltext.Cut(text)
	for i, last := 0, ""; i < len(ps); i++ {
		if ps[i].Kind == sqltext.Space {
			continue
		}
		if name := ps[i].Ident(); strings.EqualFold(last, "COLLATE") && name != "" {
			if to := as(name); to != name {
				ps[i].Text = to
			}
		}
		last = ps[i].Text
	}
	return sqltext.Join(ps)
}

// withState is an event's text with its state in the place of the one that stands there.
func withState(text, state string) (string, bool) {
	ps := sqltext.Cut(text)
	word := map[bool]string{true: "ENABLE", false: "DISABLE"}[state == "ENABLED"]
	for i, p := range ps {
		switch {
		case p.Is("ENABLE"), p.Is("DISABLE"):
			// DISABLE ON SLAVE: two more words.
			rest, n := i+1, next(ps, i)
			if n < len(ps) && ps[n].Is("ON") {
				rest = next(ps, n) + 1
			}
			return sqltext.Join(ps[:i]) + word + sqltext.Join(ps[min(rest, len(ps)):]), true
		case p.Is("DO"):
			return "", false
		}
	}
	return "", false
}

// next is the place of the piece behind the i-th that is no space.
func next(ps []sqltext.Piece, i int) int {
	for i++; i < len(ps) && ps[i].Kind == sqltext.Space; i++ {
	}
	return i
}

// Aggregate functions have FETCH GROUP NEXT ROW in their body and AGGREGATE in their head.
var aggregate = regexp.MustCompile(`(?i)^CREATE\s+(OR\s+REPLACE\s+)?AGGREGATE\s`)

// Unusable: it can't be in MySQL at all, whatever its text.
func (o Object) Unusable() bool { _, bad := o.unusable(); return bad }

// unusable says what of it can't.
func (o Object) unusable() (f compat.Finding, bad bool) {
	f = compat.Finding{Check: string(o.Kind), Severity: compat.Refuse, Stops: compat.Switch, Object: o.String()}
	switch {
	case o.Kind == Package || o.Kind == PackageBody:
		f.What, f.Fix = "MySQL has no packages", "procedures and functions of its own in the package's place"
	case aggregate.MatchString(o.withoutDefiner()):
		f.What, f.Fix = "MySQL has no stored aggregate functions", "DROP FUNCTION "+o.qualified()+", and the computation in the queries that use it"
	case slices.Contains(strings.Split(o.Mode, ","), "ORACLE"):
		f.What, f.Fix = "it is written in Oracle's language (sql_mode=ORACLE), which MySQL doesn't read", "the same in SQL/PSM, made without that sql_mode"
	default:
		return compat.Finding{}, false
	}
	return f, true
}

// otherCharset refuses literals whose bytes are said to be of another character set than the text's, where they aren't ASCII: the text
// goes over as characters, and would give them other bytes.
func (o Object) otherCharset() []compat.Finding {
	if strings.HasPrefix(o.Charset, "utf8") || o.Charset == "" {
		return nil
	}
	ps := sqltext.Dense(sqltext.Cut(o.Create))
	for i, p := range ps {
		if i > 0 && p.Kind == sqltext.String && ps[i-1].Kind == sqltext.Word && strings.HasPrefix(ps[i-1].Text, "_") && !strings.EqualFold(ps[i-1].Text, "_"+o.Charset) &&
			strings.ContainsFunc(p.Text, func(r rune) bool { return r >= 0x80 }) {
			return []compat.Finding{{Check: string(o.Kind), Severity: compat.Refuse, Stops: compat.Switch, Object: o.String(),
				What: "it was made in " + o.Charset + " and has a literal of " + ps[i-1].Text[1:] + " that isn't ASCII: its bytes would become others", Fix: "the literal in hexadecimal, X'...'"}}
		}
	}
	return nil
}
