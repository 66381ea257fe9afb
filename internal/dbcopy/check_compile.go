package dbcopy

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/compat"
	"github.com/slipway-dev/slipway/internal/dbcopy/objects"
	"github.com/slipway-dev/slipway/internal/dbcopy/sqltext"
)

// absent: the statement names what isn't there.
func absent(err error) bool { return objects.Absent(ask.Number(err)) }

// compile has the target's compiler judge all tables and views, as the copy would make them, in the scratch schemas.
func (c *checker) compile(ctx context.Context) error {
	c.o.Tell("compiling tables and views at the target")
	home := func(schema string) string { return c.scratch.of[schema] }
	defs, found := define(c.cat, c.has)
	c.rewrites(found)
	c.add(c.still...)
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

// compileStill has the target's compiler judge functions and procedures, before what may call them.
func (c *checker) compileStill(ctx context.Context) (err error) {
	c.still, err = c.compileStored(ctx, objects.Still)
	return err
}

// compileActing has it judge triggers and events, and looks whether both servers run events.
func (c *checker) compileActing(ctx context.Context) error {
	found, err := c.compileStored(ctx, objects.Acting)
	if err != nil {
		return err
	}
	c.add(found...)
	const query = "SELECT @@global.event_scheduler"
	source, err := ask.Each(ctx, here{c.s, c.src}, ask.Text, query)
	if err != nil {
		return fmt.Errorf("ask for event_scheduler: %w", err)
	}
	target, err := ask.Each(ctx, c.t, ask.Text, query)
	if err != nil {
		return fmt.Errorf("ask for event_scheduler: %w", err)
	}
	c.add(c.set.Scheduler(source[0], target[0])...)
	return nil
}

// compileStored makes the objects of a part in the scratch schemas, as they will be made later, but events disabled: they must not run.
func (c *checker) compileStored(ctx context.Context, part objects.Part) (found []Finding, err error) {
	to := objects.To{Has: c.has, Schemas: c.scratch.of, Asleep: true}
	for _, o := range c.set.Of(part) {
		found = append(found, c.set.Text(o)...)
		if o.Unusable() {
			continue
		}
		c.o.Tell("compiling " + o.String())
		w, err := o.Write(to)
		if err == nil {
			err = w.Run(ctx, c.t)
		}
		f, ok := o.Compiled(w, err)
		if !ok {
			return nil, fmt.Errorf("compile %s: %w", o, err)
		}
		if f.What = c.scratch.names(f.What); err == nil {
			c.report.Objects.Compiled++
		}
		if n := ask.Number(err); objects.Absent(n) || n == noSuchRoutine { // what it needs is itself refused
			f.Severity, f.Stops = Warn, ""
		}
		found = append(found, f)
	}
	return found, nil
}
