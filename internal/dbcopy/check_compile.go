package dbcopy

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/internal/dbcopy/compat"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
	"github.com/slipway-dev/slipway/internal/dbcopy/sqltext"
)

// Errors of a statement that names what isn't there: a table or column that was itself refused, or a temporary one.
func absent(err error) bool {
	switch ErrorNumber(err) {
	case 1049, 1051, 1054, 1109, 1146, 1356: // schema, table, column, table, table, view on what isn't there
		return true
	}
	return false
}

// compile has the target's compiler judge all tables and views, as the copy would make them, in the scratch schemas.
func (c *checker) compile(ctx context.Context) error {
	c.o.Tell("compiling tables and views at the target")
	home := func(schema string) string { return c.scratch.of[schema] }
	defs, found := define(c.cat, c.has)
	c.rewrites(found)
	bad := func(object string) bool {
		return slices.ContainsFunc(found, func(f Finding) bool {
			return f.StopsCopy() && (f.Object == object || strings.HasPrefix(f.Object, object+", "))
		})
	}
	for _, d := range defs.tables {
		if bad(d.String()) { // what can't be written for MySQL isn't compiled
			continue
		}
		for i, k := range d.ForeignKeys {
			d.ForeignKeys[i].SQL = sqltext.Requalify(k.SQL, c.scratch.of)
		}
		d.schema = home(d.schema)
		c.defs.tables = append(c.defs.tables, d)
	}
	for _, v := range defs.views {
		if bad(v.String()) {
			continue
		}
		c.add(compat.Body(v.String(), v.create, nil)...)
		v.create = sqltext.Requalify(v.create, c.homes(v.create))
		v.schema = home(v.schema)
		c.defs.views = append(c.defs.views, v)
	}
	l := &load{ep: c.dst, defs: c.defs, again: "slipway db check"}
	l.meter.tell = func(p Progress) { c.o.Tell(c.scratch.names(p.Doing)) }
	refused, err := l.compileAll(ctx, c.t)
	if err != nil {
		return err
	}
	for i, f := range refused {
		refused[i].Object, refused[i].What, refused[i].Fix = c.scratch.names(f.Object), c.scratch.names(f.What), c.scratch.names(f.Fix)
	}
	// What reads from a refused table fails for that alone, and isn't a finding of its own.
	part := len(defs.tables) > len(c.defs.tables) || slices.ContainsFunc(refused, func(f Finding) bool { return strings.HasPrefix(f.Object, "table ") })
	if part && slices.ContainsFunc(refused, func(f Finding) bool { return strings.HasPrefix(f.Object, "view ") }) {
		refused = slices.DeleteFunc(refused, func(f Finding) bool { return strings.HasPrefix(f.Object, "view ") })
	}
	c.add(refused...)
	c.report.Objects.Compiled += len(c.defs.tables) + len(c.defs.views) - len(refused)
	c.whole = !part && len(refused) == 0 && len(defs.views) == len(c.defs.views)
	if !part {
		return nil
	}
	failed, err := l.createViews(ctx, c.t)
	if err != nil {
		return err
	}
	c.report.Objects.Compiled -= len(failed)
	for _, f := range failed {
		object := c.scratch.names(f.v.String())
		if absent(f.err) {
			c.add(Finding{Check: "compile", Severity: Warn, Object: object, What: "not compiled: it reads from what is refused or isn't there", Will: "check again when the rest is dealt with"})
			continue
		}
		c.add(Finding{Check: "compile", Severity: Refuse, Object: object, What: c.scratch.names(fmt.Sprintf("the target doesn't take its definition: %v", f.err))})
	}
	return nil
}

// rewrites puts what the target's own collations make of the definitions in the place of what the survey guessed.
func (c *checker) rewrites(found []Finding) {
	written := func(f Finding) bool {
		return f.Check == "collation" || f.Severity == Rewrite
	}
	c.report.Findings = slices.DeleteFunc(c.report.Findings, written)
	for _, f := range found {
		if written(f) {
			c.add(f)
		}
	}
}

// homes gives the scratch schemas of all schemas but those whose name is an alias, or an unqualified table's, in a view.
func (c *checker) homes(view string) map[string]string {
	out := map[string]string{}
	for name, home := range c.scratch.of {
		if !sqltext.Bare(view, name) {
			out[name] = home
		}
	}
	return out
}

// compileStored has the target's compiler judge routines, triggers and events.
func (c *checker) compileStored(ctx context.Context) error {
	own := map[string]bool{}
	for _, s := range c.stored {
		if s.Kind == "function" {
			own[strings.ToLower(s.Name)] = true
		}
	}
	for _, s := range c.stored {
		if f, ok := s.Unusable(); !ok {
			c.add(f)
			continue
		}
		c.o.Tell("compiling " + s.Object())
		c.add(compat.Body(s.Object(), s.Create, own)...)
		f, compiled, err := c.compileOne(ctx, s)
		if err != nil {
			return fmt.Errorf("compile %s: %w", s.Object(), err)
		}
		if compiled {
			c.report.Objects.Compiled++
		}
		c.add(f)
	}
	_, err := c.t.ExecContext(ctx, "SET SESSION sql_mode = ''")
	return err
}

// compileOne makes one in its schema's scratch schema. An event is made disabled, or not at all: it must not run there.
func (c *checker) compileOne(ctx context.Context, s compat.Stored) (f Finding, compiled bool, err error) {
	const noTrust = 1419
	f = Finding{Check: s.Kind, Severity: Leave, Object: s.Object()}
	mode, dropped := compat.Modes(s.Mode)
	what := []string{"it isn't carried yet; the target compiles it"}
	if s.Definer != "" {
		what = append(what, "its definer "+s.Definer+" becomes the account that makes it")
	}
	if dropped != nil {
		what = append(what, "without "+strings.Join(dropped, ", ")+" in its sql_mode, which MySQL doesn't have")
	}
	f.What = strings.Join(what, ", ")
	text := sqltext.Requalify(s.WithoutDefiner(), c.scratch.of)
	if s.Kind == "event" {
		var ok bool
		if text, ok = disabled(text); !ok {
			f.What = "it isn't carried yet; not compiled: this program can't read where it is enabled"
			return f, false, nil
		}
	}
	for _, stmt := range []string{"USE " + ddl.Quote(c.scratch.of[s.Schema]), "SET NAMES utf8mb4", "SET SESSION sql_mode = '" + escape(mode) + "'"} {
		if _, err := c.t.ExecContext(ctx, stmt); err != nil {
			return f, false, err
		}
	}
	_, err = c.t.ExecContext(ctx, text)
	switch n := ErrorNumber(err); {
	case err == nil:
		return f, true, nil
	case n == 0 || lostNumber(n):
		return f, false, err
	case n == noTrust:
		f.What = "it isn't carried yet; not compiled: the target lets nobody without SUPER make functions and triggers while it writes a binary log"
		f.Fix = "the target's flag log_bin_trust_function_creators = ON"
	case absent(err):
		f.What = "it isn't carried yet; not compiled: it needs what is refused or isn't there (" + c.scratch.names(err.Error()) + ")"
	case denied(n):
		f.What, f.Fix = "it isn't carried yet; not compiled: "+c.scratch.names(err.Error()), "GRANT CREATE ROUTINE, ALTER ROUTINE, TRIGGER, EVENT ON `\\_slipway\\_check\\_%`.* TO the account, at the target"
	default:
		f.Severity, f.Stops, f.Fix = Refuse, compat.Switch, "the same in what both servers have"
		f.What = "the target doesn't take its text: " + c.scratch.names(err.Error())
	}
	return f, false, nil
}

func denied(n uint16) bool { return n == 1044 || n == 1142 || n == 1227 || n == 1370 }

// disabled is an event's text with DISABLE in the place of ENABLE.
func disabled(text string) (string, bool) {
	ps := sqltext.Cut(text)
	for i, p := range ps {
		switch {
		case p.Is("ENABLE"):
			ps[i].Text = "DISABLE"
			return sqltext.Join(ps), true
		case p.Is("DISABLE"):
			return text, true
		case p.Is("DO"):
			return "", false
		}
	}
	return "", false
}
