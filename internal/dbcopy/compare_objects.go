package dbcopy

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
)

// objects compares what is defined and gives the regions whose rows can be compared.
func (c *compare) objects(ctx context.Context) (regions []*piece, err error) {
	var conns [2]*sql.DB
	for i, s := range []*side{c.src, c.dst} {
		s.say("reading the definitions at " + s.ep.Name)
		if conns[i], err = s.ep.Open(TextSession(), 1); err != nil {
			return nil, err
		}
		defer conns[i].Close()
	}
	if err := c.servers(ctx, conns); err != nil {
		return nil, err
	}
	var cat Catalog
	err = c.src.try(ctx, "", func() (err error) { cat, err = c.catalog(ctx, conns[0]); return err })
	if err != nil {
		return nil, err
	}
	if err := cat.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", c.src.ep.Name, err)
	}
	var there []object
	var collations []string
	columns := [2]map[string][]column{}
	err = c.dst.try(ctx, "", func() (err error) {
		there, collations, columns[1], err = c.target(ctx, conns[1])
		return err
	})
	if err == nil {
		err = c.src.try(ctx, "", func() (err error) {
			columns[0], err = columnsIn(ctx, conns[0], value.MariaDB, c.o.Schemas)
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	has := func(name string) bool { return slices.Contains(collations, name) }
	var found []Finding
	c.defs, found = define(&cat, has)
	if err := refused(found); err != nil {
		return nil, fmt.Errorf("%s: what is defined there can't be compared: %w", c.src.ep.Name, err)
	}
	if err := c.sameObjects(ctx, there); err != nil {
		return nil, err
	}
	for i := range c.defs.tables {
		d := &c.defs.tables[i]
		mine := c.regionsOf(d)
		if mine == nil || !slices.Contains(there, object{Schema: d.schema, Name: d.table.Name}) {
			continue
		}
		c.out.Tables++
		name := d.from()
		if what := otherColumns(columns[0][name], columns[1][name]); what != "" {
			c.note(Difference{Object: d.String(), What: "its columns are others, and its rows were not compared: " + what})
			continue
		}
		c.meter.totalRows += d.table.estRows
		c.meter.totalBytes += d.table.estBytes
		regions = append(regions, mine...)
	}
	for _, r := range c.o.Only {
		if !slices.ContainsFunc(c.defs.tables, func(d definition) bool { return d.schema == r.Schema && d.table.Name == r.Table }) {
			return nil, fmt.Errorf("%s: table %s.%s: %w", c.src.ep.Name, r.Schema, r.Table, ErrDefinitions)
		}
	}
	slices.SortStableFunc(regions, func(a, b *piece) int { return cmp.Compare(b.def.table.estBytes, a.def.table.estBytes) })
	return regions, nil
}

// regionsOf are the regions of a table that are to be compared.
func (c *compare) regionsOf(d *definition) (out []*piece) {
	if len(c.o.Only) == 0 {
		return []*piece{{def: d}}
	}
	for _, r := range c.o.Only {
		if r.Schema != d.schema || r.Table != d.table.Name {
			continue
		}
		if !d.ranges {
			return []*piece{{def: d}}
		}
		out = append(out, &piece{def: d, after: r.After, upTo: r.UpTo})
	}
	return out
}

// servers asks both what they are.
func (c *compare) servers(ctx context.Context, conns [2]*sql.DB) error {
	var is [2][3]string
	for i, s := range []*side{c.src, c.dst} {
		v := &c.out.Source
		if i == 1 {
			v = &c.out.Target
		}
		// Once: one that isn't there from the beginning is a wrong address more often than one that is about to come.
		err := conns[i].QueryRowContext(ctx, "SELECT VERSION(), @@hostname, @@port, @@pid_file").Scan(&v.Version, &is[i][0], &is[i][1], &is[i][2])
		if err != nil {
			return s.ep.Explain(err)
		}
	}
	src, dst := c.out.Source, c.out.Target
	switch {
	case src.Version == dst.Version && is[0] == is[1]:
		return fmt.Errorf("%s and %s: %w", src.Name, dst.Name, ErrOneServer)
	}
	return Kinds(src, dst)
}

// Kinds: the source is a MariaDB and the target a MySQL that this program knows; else ErrKinds.
func Kinds(src, dst ServerVersion) error {
	switch {
	case !strings.Contains(src.Version, "MariaDB"):
		return fmt.Errorf("%w: %s is %s and no MariaDB", ErrKinds, src.Name, src.Version)
	case strings.Contains(dst.Version, "MariaDB") || Version(dst.Version) < oldest:
		return fmt.Errorf("%w: %s is %s and no MySQL of 8.0.21 or later", ErrKinds, dst.Name, dst.Version)
	}
	return nil
}

// catalog reads the source's definitions. What of them matters to a copy alone isn't judged here.
func (c *compare) catalog(ctx context.Context, db *sql.DB) (Catalog, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return Catalog{}, err
	}
	defer conn.Close()
	s := &surveyor{q: conn}
	s.out.Catalog.Checksum = value.ChecksumName
	if err := s.privileges(ctx, c.o.Schemas); err != nil {
		return Catalog{}, fmt.Errorf("look at the account's privileges: %w", err)
	}
	if err := s.out.Lacks(); err != nil {
		return Catalog{}, err
	}
	for _, name := range c.o.Schemas {
		if err := s.schema(ctx, name); err != nil {
			return Catalog{}, fmt.Errorf("look at schema %s: %w", name, err)
		}
		if n := len(s.out.Catalog.Schemas); n == 0 || s.out.Catalog.Schemas[n-1].Name != name {
			return Catalog{}, fmt.Errorf("schema %s: %w", name, ErrNoSchema)
		}
	}
	return s.out.Catalog, nil
}

// target reads the target's.
func (c *compare) target(ctx context.Context, db *sql.DB) (there []object, collations []string, columns map[string][]column, err error) {
	for _, name := range c.o.Schemas {
		known, err := ask.Each(ctx, db, ask.Text, "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE "+named("SCHEMA_NAME", name))
		if err != nil {
			return nil, nil, nil, err
		}
		if len(known) == 0 {
			if _, err := ask.Column(ctx, db, "SHOW TABLES FROM "+ddl.Quote(name)); ask.Denied(err) { // it may be there
				return nil, nil, nil, &placed{c.dst.denied(ctx, ddl.Quote(name)+".*", err)}
			}
			return nil, nil, nil, fmt.Errorf("schema %s: %w", name, ErrNoSchema)
		}
		objects, err := ask.Each(ctx, db, func(r *sql.Rows) (object, error) {
			o := object{Schema: name}
			var kind string
			err := r.Scan(&o.Name, &kind)
			o.View = kind == "VIEW"
			return o, err
		}, "SELECT TABLE_NAME, TABLE_TYPE FROM information_schema.TABLES WHERE "+named("TABLE_SCHEMA", name)+" ORDER BY BINARY TABLE_NAME")
		if err != nil {
			return nil, nil, nil, err
		}
		there = append(there, objects...)
	}
	collations, err = ask.Each(ctx, db, ask.Text, "SELECT COLLATION_NAME FROM information_schema.COLLATIONS")
	if err != nil {
		return nil, nil, nil, err
	}
	columns, err = columnsIn(ctx, db, value.MySQL, c.o.Schemas)
	return there, collations, columns, err
}

// sameObjects notes tables and views that one side alone has. One that the target's account may not see isn't one that isn't there.
func (c *compare) sameObjects(ctx context.Context, there []object) error {
	rest := slices.Clone(there)
	has := func(o object) (bool, error) {
		if i := slices.Index(rest, o); i >= 0 {
			rest = slices.Delete(rest, i, i+1)
			return true, nil
		}
		err := c.dst.try(ctx, o.String(), func() error {
			_, err := ask.Each(ctx, c.dst.db, func(*sql.Rows) (int, error) { return 0, nil }, "SELECT 1 FROM "+o.String()+" LIMIT 0")
			return err
		})
		if errors.Is(err, ErrPrivileges) {
			return false, err
		}
		return false, nil
	}
	for _, d := range c.defs.tables {
		if c.regionsOf(&d) == nil {
			continue
		}
		ok, err := has(object{Schema: d.schema, Name: d.table.Name})
		if err != nil {
			return err
		}
		if !ok {
			c.note(Difference{Object: d.String(), What: "the target hasn't it"})
		}
	}
	if len(c.o.Only) > 0 {
		return nil
	}
	for _, d := range c.defs.views {
		c.out.Views++
		ok, err := has(object{Schema: d.schema, Name: d.view.Name, View: true})
		if err != nil {
			return err
		}
		if !ok {
			c.note(Difference{Object: d.String(), What: "the target hasn't it"})
		}
	}
	for _, o := range rest {
		kind := "table "
		if o.View {
			kind = "view "
		}
		c.note(Difference{Object: kind + o.Schema + "." + o.Name, What: "only the target has it"})
	}
	return nil
}

// column is what of a column's definition both servers must agree on.
type column struct{ name, kind, charset, rest string }

func (x column) String() string { return strings.TrimSpace(x.kind+" "+x.charset) + x.rest }

var (
	// width is how MariaDB prints an integer's display width, and MySQL doesn't.
	width   = regexp.MustCompile(`^(tinyint|smallint|mediumint|int|bigint|year)\(\d+\)`)
	comment = regexp.MustCompile(` ?/\*.*?\*/`)
)

// columnsIn are the columns of the schemas' tables, in their order, in the words that a target has for them.
func columnsIn(ctx context.Context, q ask.Queryer, f value.Flavor, schemas []string) (map[string][]column, error) {
	out := map[string][]column{}
	generated := "IS_GENERATED = 'ALWAYS'"
	if f == value.MySQL {
		generated = "GENERATION_EXPRESSION <> ''"
	}
	for _, s := range schemas {
		rows, err := q.QueryContext(ctx, "SELECT TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, COALESCE(CHARACTER_SET_NAME,''), IS_NULLABLE = 'YES', "+generated+
			" FROM information_schema.COLUMNS WHERE "+named("TABLE_SCHEMA", s)+" ORDER BY TABLE_NAME, ORDINAL_POSITION")
		if err != nil {
			return nil, err
		}
		defer rows.Close()
		for rows.Next() {
			var table string
			var x column
			var null, computed bool
			if err := rows.Scan(&table, &x.name, &x.kind, &x.charset, &null, &computed); err != nil {
				return nil, err
			}
			x.kind = comment.ReplaceAllString(width.ReplaceAllString(x.kind, "$1"), "")
			switch x.kind {
			case "uuid":
				x.kind, x.charset = "varchar(36)", "ascii"
			case "inet6":
				x.kind, x.charset = "varchar(39)", "ascii"
			case "inet4":
				x.kind, x.charset = "varchar(15)", "ascii"
			case "geometrycollection":
				x.kind = "geomcollection"
			}
			if x.charset == "utf8" {
				x.charset = "utf8mb3"
			}
			if !null {
				x.rest = " NOT NULL"
			}
			if computed {
				x.rest += " GENERATED"
			}
			out[ddl.Qualified(s, table)] = append(out[ddl.Qualified(s, table)], x)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// otherColumns says how columns differ, "" when they don't.
func otherColumns(src, dst []column) string {
	var what []string
	for i := range max(len(src), len(dst)) {
		switch {
		case i >= len(dst):
			what = append(what, ddl.Quote(src[i].name)+" is at the source alone")
		case i >= len(src):
			what = append(what, ddl.Quote(dst[i].name)+" is at the target alone")
		case src[i].name != dst[i].name:
			what = append(what, fmt.Sprintf("column %d is %s at the source and %s at the target", i+1, ddl.Quote(src[i].name), ddl.Quote(dst[i].name)))
		case src[i] != dst[i]:
			what = append(what, fmt.Sprintf("%s is %s at the source and %s at the target", ddl.Quote(src[i].name), src[i], dst[i]))
		}
	}
	return strings.Join(what, "; ")
}
