package dbcopy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/internal/dbcopy/compat"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
	"github.com/slipway-dev/slipway/internal/dbcopy/objects"
	"github.com/slipway-dev/slipway/internal/snapshot"
)

// definition is a table as the target is to have it.
type definition struct {
	schema string
	table  *Table
	ddl.Output
	// ranges: the target orders the table's key as the source does, so that a chunk is the same rows on both.
	ranges bool
}

func (d *definition) String() string { return "table " + d.schema + "." + d.table.Name }

// viewDefinition is a view as the target is to have it.
type viewDefinition struct {
	schema    string
	view      *View
	create    string
	collation string // for the session that creates it; "": the target hasn't the source's
}

func (v *viewDefinition) String() string { return "view " + v.schema + "." + v.view.Name }

// definitions are all objects of a snapshot, in the catalog's order.
type definitions struct {
	tables []definition
	views  []viewDefinition
}

// rewriteSchema writes a schema's definitions for a target with the given collations (nil: MySQL 9's usual ones).
func rewriteSchema(sc *Schema, has func(string) bool) (definitions, []Finding) {
	var out definitions
	var found []Finding
	add := func(object, part string, f Finding) {
		if f.Object = object; part != "" {
			f.Object += ", " + part
		}
		found = append(found, f)
	}
	unread := func(object string, err error) {
		add(object, "", Finding{Check: "definition", Severity: Refuse, What: fmt.Sprintf("this program can't read its definition: %v", err)})
	}
	rewrites := func(object string, changes []ddl.Rewrite) {
		for _, c := range changes {
			add(object, c.Part, Finding{Check: string(c.Rule), Severity: Rewrite, What: string(c.Rule) + ": " + c.What})
		}
	}
	rw := ddl.NewRewriter(has)
	for i := range sc.Tables {
		t := &sc.Tables[i]
		object := "table " + sc.Name + "." + t.Name
		parsed, err := ddl.ParseTable(t.Create)
		if err == nil {
			err = agree(t, parsed)
		}
		if err != nil {
			unread(object, err)
			continue
		}
		o, changes, refusals := rw.Table(parsed, t.facts())
		rewrites(object, changes)
		for _, r := range refusals {
			f := Finding{Check: r.Check, Severity: Refuse, What: r.What, Fix: r.Fix}
			if r.Follow {
				f.Stops = compat.Follow
			}
			add(object, r.Part, f)
		}
		moved := slices.ContainsFunc(o.Moved, func(c string) bool { return slices.Contains(t.Key, c) })
		out.tables = append(out.tables, definition{sc.Name, t, o, len(t.Key) > 0 && !moved})
	}
	for i := range sc.Views {
		v := &sc.Views[i]
		object := "view " + sc.Name + "." + v.Name
		_, create, changes, err := ddl.View(v.Create)
		if err != nil {
			unread(object, err)
			continue
		}
		rewrites(object, changes)
		vd := viewDefinition{sc.Name, v, create, v.Collation}
		if rest, ok := strings.CutPrefix(vd.collation, "utf8_"); ok { // MariaDB 10.5's name
			vd.collation = "utf8mb3_" + rest
		}
		if has != nil && !has(vd.collation) {
			vd.collation = ""
		}
		out.views = append(out.views, vd)
	}
	return out, found
}

// agree holds what was read out of the definition against what information_schema says: the rows go by the latter.
func agree(t *Table, parsed *ddl.Table) error {
	if len(t.Columns) != len(parsed.Columns) {
		return fmt.Errorf("it has %d columns where the server counts %d", len(parsed.Columns), len(t.Columns))
	}
	for i, c := range parsed.Columns {
		if want := t.Columns[i]; c.Name != want.Name || c.Type != want.Type {
			return fmt.Errorf("its column %d is %s %s where the server says %s %s", i+1, c.Name, c.Type, want.Name, want.Type)
		}
	}
	return nil
}

// notLoaded are the findings of what a snapshot has and a load doesn't make: what acts, and what no MySQL takes, as its text shows.
func notLoaded(text objects.Set) (out []Finding) {
	for _, o := range text.Objects {
		if o.Kind.Part() == objects.Acting {
			out = append(out, Finding{Check: string(o.Kind), Severity: Leave, Object: o.String(), What: "a load doesn't make it: it is made at the switch"})
			continue
		}
		for _, f := range text.Text(o) {
			if f.Severity == Refuse {
				out = append(out, Finding{Check: string(o.Kind), Severity: Leave, Object: o.String(), What: "a load can't make it: " + f.What, Fix: f.Fix})
			}
		}
	}
	return out
}

// define writes all schemas of a catalog for a target.
func define(c *Catalog, has func(string) bool) (definitions, []Finding) {
	var all definitions
	var found []Finding
	for i := range c.Schemas {
		d, f := rewriteSchema(&c.Schemas[i], has)
		all.tables, all.views = append(all.tables, d.tables...), append(all.views, d.views...)
		found = append(found, f...)
	}
	return all, found
}

// Preview says what would be changed in the definitions of an artifact, and what of the source it doesn't have, for a
// target with the collations that a MySQL 9 has.
func Preview(art *snapshot.Artifact) ([]Finding, error) {
	c, err := OpenCatalog(art)
	if err != nil {
		return nil, err
	}
	_, found := define(&c, nil)
	for _, s := range c.Schemas {
		for _, l := range s.LeftOut {
			found = append(found, Finding{Check: l.Kind, Severity: Leave, Object: l.in(s.Name), What: "the snapshot doesn't have it: it was taken before snapshots had any"})
		}
	}
	return append(found, notLoaded(c.Text)...), nil
}
