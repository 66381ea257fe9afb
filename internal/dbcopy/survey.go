package dbcopy

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/compat"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
	"github.com/slipway-dev/slipway/internal/dbcopy/objects"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
)

// Survey is what is in the source's schemas, and what about them matters to the copy.
type Survey struct {
	Catalog  Catalog
	Findings []Finding
	Rows     int64 // as the server estimates
	Bytes    int64 // as the server estimates: pages of tables, without other indexes
}

// Refused gives what must be dealt with before a snapshot as a *RefusedError, or nil.
func (s *Survey) Refused() error { return refused(s.Findings) }

// lacks are the refusals of privileges that the account lacks. Where there are any, definitions weren't looked at.
func (s *Survey) lacks() (out []Finding) {
	for _, f := range s.Findings {
		if f.Check == "privileges" {
			out = append(out, f)
		}
	}
	return out
}

// Lacks gives them as an ErrPrivileges, or nil.
func (s *Survey) Lacks() error {
	if lacks := s.lacks(); lacks != nil {
		return fmt.Errorf("%w: %w", ErrPrivileges, &RefusedError{lacks})
	}
	return nil
}

// surveyor reads definitions over one connection with a text session.
type surveyor struct {
	q   ask.Queryer
	out Survey
}

func (s *surveyor) found(check string, sev Severity, object, fix, f string, a ...any) {
	s.out.Findings = append(s.out.Findings, Finding{Check: check, Severity: sev, Object: object, What: fmt.Sprintf(f, a...), Fix: fix})
}

// survey looks at the server and the schemas and refuses nothing by itself.
func survey(ctx context.Context, q ask.Queryer, schemas []string) (Survey, error) {
	s := &surveyor{q: q}
	s.out.Catalog.Checksum = value.ChecksumName
	if len(schemas) == 0 {
		return s.out, errors.New("no schema was named to copy")
	}
	if err := s.server(ctx); err != nil {
		return s.out, fmt.Errorf("look at the server: %w", err)
	}
	if !strings.Contains(s.out.Catalog.Server.Version, "MariaDB") {
		s.found("server", Refuse, "server", "", "it is %s and no MariaDB: this program reads snapshots from MariaDB only", s.out.Catalog.Server.Version)
		return s.out, nil // the rest would be asked in MariaDB's words
	}
	if err := s.privileges(ctx, schemas); err != nil {
		return s.out, fmt.Errorf("look at the account's privileges: %w", err)
	}
	if s.out.lacks() != nil { // what it would see is a part
		return s.out, nil
	}
	for _, name := range schemas {
		if err := s.schema(ctx, name); err != nil {
			return s.out, fmt.Errorf("look at schema %s: %w", name, err)
		}
	}
	s.rewrites()
	var err error
	if s.out.Catalog.Text, err = objects.Read(ctx, q, s.out.Catalog.schemas()); err != nil {
		return s.out, err
	}
	s.out.Findings = append(s.out.Findings, notLoaded(s.out.Catalog.Text)...)
	return s.out, nil
}

func (s *surveyor) server(ctx context.Context) error {
	var logBin, logUpdates bool
	srv := &s.out.Catalog.Server
	if err := s.q.QueryRowContext(ctx, "SELECT VERSION()").Scan(&srv.Version); err != nil {
		return err
	}
	if !strings.Contains(srv.Version, "MariaDB") {
		return nil
	}
	row := s.q.QueryRowContext(ctx, "SELECT @@server_id, @@lower_case_table_names, @@log_bin, @@log_slave_updates")
	if err := row.Scan(&srv.ServerID, &srv.LowerCaseNames, &logBin, &logUpdates); err != nil {
		return err
	}
	if !logBin {
		s.found("binlog", Refuse, "log_bin", "log_bin in the server's configuration, and a restart", "the binary log is off: a snapshot would have no position to follow from")
	}
	replica, err := s.replication(ctx, logUpdates)
	if err != nil {
		return err
	}
	found, err := compat.Server(ctx, s.q, replica)
	s.out.Findings = append(s.out.Findings, found...)
	return err
}

// replication: on a replica, the log must have what it replicates, and it must be replicating.
func (s *surveyor) replication(ctx context.Context, logUpdates bool) (replica bool, err error) {
	masters, err := ask.Masters(ctx, s.q)
	if ask.Number(err) == 1227 { // access denied
		grantee, err := ask.Grantee(ctx, s.q)
		s.found("privileges", Refuse, "account", "GRANT "+compat.SlaveMonitor(Version(s.out.Catalog.Server.Version))+" ON *.* TO "+grantee, "it can't see whether the server replicates")
		return false, err
	}
	if err != nil {
		return false, err
	}
	for _, m := range masters {
		from := "replication from " + m.Host
		if !logUpdates {
			s.found("binlog", Refuse, "log_slave_updates", "log_slave_updates in the server's configuration, and a restart", "%s isn't in this server's own log: the snapshot's position would say nothing about those rows", from)
		}
		if m.IORunning != "Yes" || m.SQLRunning != "Yes" {
			s.found("replication", Refuse, from, "SHOW ALL SLAVES STATUS says why; then START SLAVE", "it isn't running (IO %s, SQL %s %s%s): the rows would be old",
				m.IORunning, m.SQLRunning, m.LastIOErr, m.LastSQLErr)
		}
	}
	return len(masters) > 0, nil
}

// privileges: without these, the server doesn't refuse to list objects but lists fewer of them.
func (s *surveyor) privileges(ctx context.Context, schemas []string) error {
	grantee, err := ask.Grantee(ctx, s.q)
	if err != nil {
		return err
	}
	global, err := ask.Each(ctx, s.q, ask.Text, "SELECT PRIVILEGE_TYPE FROM information_schema.USER_PRIVILEGES WHERE GRANTEE = '"+ddl.Escape(grantee)+"'")
	if err != nil {
		return err
	}
	for _, schema := range schemas {
		own, err := ask.Each(ctx, s.q, ask.Text, "SELECT PRIVILEGE_TYPE FROM information_schema.SCHEMA_PRIVILEGES WHERE GRANTEE = '"+ddl.Escape(grantee)+
			"' AND '"+ddl.Escape(schema)+"' LIKE TABLE_SCHEMA")
		if err != nil {
			return err
		}
		for _, p := range []string{"SELECT", "SHOW VIEW", "TRIGGER", "EVENT"} {
			if !slices.Contains(global, p) && !slices.Contains(own, p) {
				s.found("privileges", Refuse, "account", "GRANT "+p+" ON "+ddl.Quote(schema)+".* TO "+grantee, "%s lacks %s on %s, and the server would show a part of the schema as if it were all", grantee, p, schema)
			}
		}
	}
	if _, err := ask.Each(ctx, s.q, ask.Text, "SELECT name FROM mysql.proc LIMIT 0"); err != nil {
		if ask.Number(err) != 1142 { // SELECT denied
			return err
		}
		s.found("privileges", Refuse, "account", "GRANT SELECT ON mysql.proc TO "+grantee, "%s can't see routines, and the server would show none as if there were none", grantee)
	}
	return nil
}

// named is the condition that a column of information_schema is exactly this name. Its own comparison doesn't know
// capitals; the first half is what the server finds the directory by.
func named(column, name string) string {
	lit := ddl.Literal(name)
	return column + " = " + lit + " AND BINARY " + column + " = " + lit
}

func (s *surveyor) schema(ctx context.Context, name string) error {
	sc := Schema{Name: name, Tables: []Table{}, Views: []View{}}
	err := s.q.QueryRowContext(ctx, "SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE "+named("SCHEMA_NAME", name)).Scan(&sc.Charset, &sc.Collation)
	if errors.Is(err, sql.ErrNoRows) {
		s.found("schema", Refuse, "schema "+name, "", "the server has no such schema")
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := s.q.ExecContext(ctx, "USE "+ddl.Quote(name)); err != nil { // so that views name their tables without it
		return err
	}
	type object struct {
		name, kind, collation string
		rows, bytes           int64
	}
	list, err := ask.Each(ctx, s.q, func(r *sql.Rows) (o object, err error) {
		err = r.Scan(&o.name, &o.kind, &o.collation, &o.rows, &o.bytes)
		return o, err
	}, "SELECT TABLE_NAME, TABLE_TYPE, COALESCE(TABLE_COLLATION,''), COALESCE(TABLE_ROWS,0), COALESCE(DATA_LENGTH,0) FROM information_schema.TABLES"+
		" WHERE "+named("TABLE_SCHEMA", name)+" AND TABLE_TYPE <> 'TEMPORARY' ORDER BY BINARY TABLE_NAME")
	if err != nil {
		return err
	}
	for _, o := range list {
		switch o.kind {
		case "BASE TABLE", "SYSTEM VERSIONED":
			t, err := s.table(ctx, name, o.name, o.collation)
			if err != nil {
				return fmt.Errorf("look at table %s: %w", o.name, err)
			}
			t.estRows, t.estBytes = o.rows, o.bytes
			s.out.Rows, s.out.Bytes = s.out.Rows+o.rows, s.out.Bytes+o.bytes
			sc.Tables = append(sc.Tables, t)
		case "VIEW":
			v, err := s.view(ctx, name, o.name)
			if err != nil {
				return fmt.Errorf("look at view %s: %w", o.name, err)
			}
			sc.Views = append(sc.Views, v)
		default:
			fix := ""
			if o.kind == "SEQUENCE" {
				fix = "an AUTO_INCREMENT column in its place, then DROP SEQUENCE " + ddl.Qualified(name, o.name)
			}
			s.found(strings.ToLower(o.kind), Refuse, strings.ToLower(o.kind)+" "+name+"."+o.name, fix, "MySQL has no %s", strings.ToLower(o.kind))
		}
	}
	parents, err := compat.Parents(ctx, s.q, name)
	if err != nil {
		return err
	}
	s.out.Findings = append(s.out.Findings, parents...)
	s.out.Catalog.Schemas = append(s.out.Catalog.Schemas, sc)
	return nil
}

func (s *surveyor) view(ctx context.Context, schema, name string) (View, error) {
	v := View{Name: name}
	var skip string
	err := s.q.QueryRowContext(ctx, "SHOW CREATE VIEW "+ddl.Qualified(schema, name)).Scan(&skip, &v.Create, &skip, &v.Collation)
	return v, err
}

func (s *surveyor) table(ctx context.Context, schema, name, collation string) (Table, error) {
	t := Table{Name: name, Collation: collation, Chunks: []Chunk{}}
	object := "table " + schema + "." + name
	var skip string
	if err := s.q.QueryRowContext(ctx, "SHOW CREATE TABLE "+ddl.Qualified(schema, name)).Scan(&skip, &t.Create); err != nil {
		return t, err
	}
	var err error
	t.Columns, err = ask.Each(ctx, s.q, func(r *sql.Rows) (c value.Column, err error) {
		var null, generated string
		if err := r.Scan(&c.Name, &c.Type, &c.ColumnType, &null, &c.Charset, &c.Collation, &generated); err != nil {
			return c, err
		}
		var known bool
		if c.Kind, known = value.KindOf(c.Type); !known {
			s.found("type", Refuse, object+", column "+c.Name, "", "its type %s can't be carried", c.Type)
		}
		c.Null, c.Generated = null == "YES", generated == "ALWAYS"
		c.Zerofill = strings.Contains(c.ColumnType, "zerofill")
		return c, nil
	}, "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, IS_NULLABLE, COALESCE(CHARACTER_SET_NAME,''), COALESCE(COLLATION_NAME,''), IS_GENERATED FROM information_schema.COLUMNS"+
		" WHERE "+named("TABLE_SCHEMA", schema)+" AND "+named("TABLE_NAME", name)+" ORDER BY ORDINAL_POSITION")
	if err != nil {
		return t, err
	}
	return t, s.keys(ctx, schema, &t)
}

// keys chooses the key that chunks are ranges of: the primary key, or else the first unique one without NULL, if both
// servers agree on its order and an index serves it.
func (s *surveyor) keys(ctx context.Context, schema string, t *Table) error {
	type part struct {
		index, column, direction, kind string
		prefix                         sql.NullInt64
		null                           string
	}
	parts, err := ask.Each(ctx, s.q, func(r *sql.Rows) (p part, err error) {
		err = r.Scan(&p.index, &p.column, &p.direction, &p.prefix, &p.null, &p.kind)
		return p, err
	}, "SELECT INDEX_NAME, COLUMN_NAME, COALESCE(COLLATION,''), SUB_PART, NULLABLE, INDEX_TYPE FROM information_schema.STATISTICS"+
		" WHERE NON_UNIQUE = 0 AND "+named("TABLE_SCHEMA", schema)+" AND "+named("TABLE_NAME", t.Name)+
		" ORDER BY INDEX_NAME <> 'PRIMARY', INDEX_NAME, SEQ_IN_INDEX")
	if err != nil {
		return err
	}
	for from := 0; from < len(parts); {
		to := from
		var names []string
		fit, whole := true, true
		for ; to < len(parts) && parts[to].index == parts[from].index; to++ {
			p := parts[to]
			names = append(names, p.column)
			i := slices.IndexFunc(t.Columns, func(c value.Column) bool { return c.Name == p.column })
			whole = whole && p.null == "" && p.kind == "BTREE"
			fit = fit && i >= 0 && t.Columns[i].Orders() && !p.prefix.Valid && p.direction == "A" && p.null == "" && p.kind == "BTREE"
		}
		if parts[from].index == "PRIMARY" {
			t.Primary = names
		}
		if fit && t.Key == nil {
			t.Key = names
		}
		if whole && t.apart == nil {
			t.apart = names
		}
		from = to
	}
	if t.apart == nil {
		object := "table " + schema + "." + t.Name
		s.out.Findings = append(s.out.Findings, Finding{Check: "no-key", Severity: Refuse, Stops: compat.Follow, Object: object, What: "it has no primary key and no unique one without NULL: a change in the log says not which row it is of",
			Fix: "ALTER TABLE " + ddl.Qualified(schema, t.Name) + " ADD slipway_id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT INVISIBLE, ADD PRIMARY KEY (slipway_id)"})
	}
	if t.Key == nil {
		s.found("range-key", Warn, "table "+schema+"."+t.Name, "", "it has no key that its rows can be read by in ranges: it is read in one go, by one connection, and compared as a whole")
	}
	return nil
}

// rewrites says what would be changed on the way to a MySQL 9 whose collations are the usual ones, and what can't be
// carried; the target itself is asked again when it is loaded.
func (s *surveyor) rewrites() {
	for i := range s.out.Catalog.Schemas {
		sc := &s.out.Catalog.Schemas[i]
		_, found := rewriteSchema(sc, nil)
		s.out.Findings = append(s.out.Findings, found...)
	}
}
