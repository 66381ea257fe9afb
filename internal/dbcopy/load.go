package dbcopy

import (
	"cmp"
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
	"github.com/slipway-dev/slipway/internal/snapshot"
)

// LoadOptions are how a target is loaded.
type LoadOptions struct {
	Workers int // connections that send rows at once; 0: 4
	// DeferBytes is from how many bytes of values on a table gets its keys after its rows; 0: 64 MiB.
	DeferBytes int64
	Progress   func(Progress)          // may be nil; called often, by several goroutines
	Moved      func(rows, bytes int64) // may be nil; called for each chunk that is in for good, by several goroutines
}

// defaultWorkers: one connection waits for its commit while others send. defaultDefer: building keys row by row costs
// once they no longer fit the server's memory; below, two more definitions of a table cost more.
const (
	defaultWorkers = 4
	defaultDefer   = 64 << 20
)

// Loaded is what is in a target after a load: from this attempt and those before it.
type Loaded struct {
	Server   string // @@server_uuid
	ID       snapshot.ID
	Digest   string // of the snapshot
	Tables   int64
	Views    int64
	Rows     int64
	Bytes    int64
	Rewrites []string  // what was changed in definitions
	Routines []string  // functions and procedures that are there
	NotMade  []Finding // and those that the target doesn't take
	Grants   []string  // statements for the target: what the source's accounts may on the schemas. nil: it isn't known
}

// oldest is the oldest MySQL that is loaded: 8.0.21 has atomic CREATE TABLE ... SELECT and enforces CHECK.
const oldest = 80021

// Load puts an artifact into the target, each chunk exactly once, and goes on where an earlier attempt of the same run
// with the same artifact stopped. The schemas must be there. A target that has anything else in them is refused
// (*RefusedError), and so is an artifact whose definitions the target's own compiler doesn't take: that is tried on
// the empty target before a row moves, and leaves it empty.
//
// *TargetFullError when its disk is full: nothing is lost, and a resume goes on. ErrOtherRun, ErrFenced; *objects.DifferentError and,
// of views, *objects.NotMadeError. Functions and procedures that the target doesn't take are no error: Loaded.NotMade.
func (t *Target) Load(ctx context.Context, art *snapshot.Artifact, own Owner, o LoadOptions) (Loaded, error) {
	cat, err := OpenCatalog(art)
	if err != nil {
		return Loaded{}, err
	}
	l := &load{ep: t.ep, art: art, cat: &cat, set: cat.Text, own: own, o: o, id: string(art.Manifest.ID), digest: art.Digest}
	if p := art.Manifest.Position; p != nil {
		l.pos = *p
	}
	l.move = l.moveRows
	l.o.Workers, l.o.DeferBytes = cmp.Or(o.Workers, defaultWorkers), cmp.Or(o.DeferBytes, defaultDefer)
	defer l.close()
	out, err := l.run(ctx)
	if err != nil {
		return Loaded{}, explainMade(t.ep, err)
	}
	return out, nil
}

type load struct {
	ep  Endpoint
	art *snapshot.Artifact // nil: the rows are a living source's
	cat *Catalog
	own Owner
	o   LoadOptions
	// id and digest name what is loaded, and pos is where the source's log stood in it.
	id, digest string
	pos        snapshot.Position
	move       func(context.Context, *sql.Conn) error // moves the rows that aren't in yet
	again      string                                 // the command that goes on with this load; "": slipway resume
	// shared: no lock keeps another process of the same owner away, so definitions are changed only under the target's own.
	shared bool
	added  func(d *definition, keys int) // may be nil; told when a table has got keys
	defs   definitions
	// set has what of the source's schemas is text; empty: nothing of that is carried.
	set    objects.Set
	unmade []Finding // of its functions and procedures, that the target doesn't take
	has    func(collation string) bool
	found  []Finding
	db     *sql.DB // for definitions
	rows   *sql.DB // for rows
	meter  meter
	watch  stallWatch
	most   int64 // max_allowed_packet
	room   room
}

func (l *load) close() {
	for _, db := range []*sql.DB{l.db, l.rows} {
		if db != nil {
			db.Close()
		}
	}
}

// schemas are the names of all schemas in the artifact.
func (c *Catalog) schemas() (out []string) {
	for _, s := range c.Schemas {
		out = append(out, s.Name)
	}
	return out
}

func (l *load) openPools() (err error) {
	// foreign_key_checks=0: tables are made and filled in any order. The rows are the source's, which kept its keys, and
	// are verified to be; MySQL would otherwise read each table once more.
	if l.db, err = l.ep.Open(TextSession().With(Session{"foreign_key_checks": "0"}), 2); err != nil {
		return err
	}
	l.rows, err = l.ep.Open(LoadSession(strictMode), l.o.Workers)
	return err
}

func (l *load) run(ctx context.Context) (Loaded, error) {
	if err := l.openPools(); err != nil {
		return Loaded{}, err
	}
	state, err := look(ctx, l.db, l.cat.schemas())
	if err != nil {
		return Loaded{}, fmt.Errorf("look at the target: %w", err)
	}
	if err := l.check(ctx, &state); err != nil {
		return Loaded{}, err
	}
	c, err := l.db.Conn(ctx)
	if err != nil {
		return Loaded{}, err
	}
	defer c.Close()
	var rows, bytes int64
	for _, d := range l.defs.tables {
		rows, bytes = rows+d.table.Rows, bytes+d.table.Bytes
	}
	l.meter.init(rows, bytes, l.o.Progress)
	ctx, stop := l.watch.start(ctx, l)
	defer stop()
	if err := l.phases(ctx, c, &state); err != nil {
		return Loaded{}, l.watch.reason(err)
	}
	made, unmade, err := l.still(ctx, c)
	if err != nil {
		return Loaded{}, l.watch.reason(err)
	}
	grants, err := l.cat.Grants.Statements(ctx, c)
	if err != nil {
		return Loaded{}, err
	}
	out := Loaded{Routines: append(made.There, made.Made...), NotMade: unmade, Grants: grants, Server: state.Server, ID: snapshot.ID(l.id), Digest: l.digest, Tables: int64(len(l.defs.tables)), Views: int64(len(l.defs.views)), Rows: rows, Bytes: bytes}
	for _, f := range l.found {
		if f.Severity == Rewrite {
			out.Rewrites = append(out.Rewrites, f.Object+": "+f.What)
		}
	}
	return out, nil
}

// check refuses all that can be seen to be wrong beforehand, all at once.
func (l *load) check(ctx context.Context, s *State) error {
	if s.Run != "" {
		if err := fenced(l.own, s.Run, s.Fence); err != nil {
			return err
		}
		if s.Digest != l.digest && l.shared {
			return fmt.Errorf("%w; %s", ErrOtherDefinitions, dropped(s.Run))
		}
		if s.Digest != l.digest {
			return fmt.Errorf("%w: this run began to load snapshot %s with digest %.12s, and now has %s with %.12s", ErrOtherRun, s.ID, s.Digest, l.id, l.digest)
		}
	}
	collations, err := ask.Each(ctx, l.db, ask.Text, "SELECT COLLATION_NAME FROM information_schema.COLLATIONS")
	if err != nil {
		return fmt.Errorf("ask for collations: %w", err)
	}
	l.has = func(c string) bool { return slices.Contains(collations, c) }
	l.defs, l.found = define(l.cat, l.has)
	refuse := func(object, fix, f string, a ...any) {
		l.found = append(l.found, Finding{Check: "target", Severity: Refuse, Object: object, What: fmt.Sprintf(f, a...), Fix: fix})
	}
	if strings.Contains(s.Version, "MariaDB") || Version(s.Version) < oldest {
		refuse("server", "", "it is version %s: this program loads MySQL 8.0.21 and later", s.Version)
	}
	for _, m := range s.Missing {
		refuse("schema "+m, "CREATE DATABASE "+ddl.Quote(m), "the target has no such schema")
	}
	for _, f := range s.Foreign {
		refuse(f, "", "the target isn't empty: no load of Slipway made this")
	}
	var lower int
	if err := l.db.QueryRowContext(ctx, "SELECT @@max_allowed_packet, @@lower_case_table_names").Scan(&l.most, &lower); err != nil {
		return fmt.Errorf("ask for limits: %w", err)
	}
	for _, d := range l.defs.tables {
		// A byte takes two at most in a literal; the statement around a single row is short.
		if need := 2*d.table.MaxRow + 64<<10; need > l.most {
			refuse(d.String(), fmt.Sprintf("set the flag max_allowed_packet to at least %d", need), "its largest row has %d bytes, and the target takes statements of at most %d", d.table.MaxRow, l.most)
		}
	}
	l.found = append(l.found, compat.Names(l.cat.Server.LowerCaseNames, lower, l.cat.tableNames())...)
	return refused(l.found)
}

// phases goes on from the phase that the target has. Definitions go over the one connection c: its session has the variables that
// advance and the views set.
func (l *load) phases(ctx context.Context, c *sql.Conn, s *State) error {
	at := s.Phase
	if s.Run == "" {
		var made []object
		for _, d := range l.defs.tables {
			made = append(made, object{Schema: d.schema, Name: d.table.Name})
		}
		for _, v := range l.defs.views {
			made = append(made, object{Schema: v.schema, Name: v.view.Name, View: true})
		}
		if err := mark(ctx, c, l.own, l.id, l.digest, l.pos, made); err != nil {
			return err
		}
		at, s.objects = PhaseCompile, made
	}
	if err := l.claim(ctx, c, s); err != nil {
		return err
	}
	waiting := func(what string) { l.meter.report(what) }
	for _, p := range []struct {
		phase, next Phase
		do          func(context.Context, *sql.Conn) error
	}{
		{PhaseCompile, PhaseRows, func(ctx context.Context, c *sql.Conn) error { return l.compile(ctx, c, s.objects) }},
		{PhaseRows, PhaseKeys, l.move},
		{PhaseKeys, PhaseViews, l.keys},
		{PhaseViews, PhaseLoaded, l.views},
	} {
		if p.phase != at {
			continue
		}
		if err := advance(ctx, c, l.own, at, waiting); err != nil {
			return err
		}
		if err := p.do(ctx, c); err != nil {
			return err
		}
		if err := advance(ctx, c, l.own, p.next, waiting); err != nil {
			return err
		}
		at = p.next
	}
	if at != PhaseLoaded {
		return fmt.Errorf("the target says that its load is in phase %q, which this program doesn't know", at)
	}
	return nil
}

// mine says whether this process still has the load. Where processes share an owner, the one that was overtaken must change no
// definition any more: it holds a lock by name (see seize) until it has stopped.
func (l *load) mine(ctx context.Context, q ask.Queryer) error {
	if !l.shared {
		return nil
	}
	var run string
	var fence uint64
	if err := q.QueryRowContext(ctx, "SELECT `run`, `fence` FROM "+ownTable("load")).Scan(&run, &fence); err != nil {
		return fmt.Errorf("ask whose load it is: %w", err)
	}
	return fenced(l.own, run, fence)
}

// alter changes a definition.
func (l *load) alter(ctx context.Context, c *sql.Conn, stmt string) (sql.Result, error) {
	if err := l.mine(ctx, c); err != nil {
		return nil, err
	}
	return l.watch.exec(ctx, c, stmt)
}

// compile makes every definition on the empty target, whole. What doesn't compile is refused, all of it at once, and the
// target is as it was before. If all tables are small they stay as they are; else all are made again, the large ones
// without their keys.
func (l *load) compile(ctx context.Context, c *sql.Conn, made []object) error {
	drop := func() error {
		if err := l.mine(ctx, c); err != nil {
			return err
		}
		return dropObjects(ctx, c, made)
	}
	if err := drop(); err != nil { // of an attempt that was killed here: no row has moved yet
		return err
	}
	bad, err := l.compileAll(ctx, c)
	if err != nil {
		return err
	}
	if bad == nil && !slices.ContainsFunc(l.defs.tables, func(d definition) bool { return l.deferred(&d) }) {
		return nil
	}
	if err := drop(); err != nil {
		return err
	}
	if bad != nil {
		if _, err := c.ExecContext(ctx, "DROP DATABASE "+ddl.Quote(ownSchema)); err != nil {
			return errors.Join(&RefusedError{bad}, err)
		}
		return &RefusedError{bad}
	}
	for i := range l.defs.tables {
		d := &l.defs.tables[i]
		l.meter.report("making " + d.String())
		err := use(ctx, c, d.schema)
		if err == nil {
			_, err = l.alter(ctx, c, d.Create(!l.deferred(d)))
		}
		if err != nil {
			return fmt.Errorf("make %s: %w", d, cmp.Or(l.full(err), err))
		}
	}
	return nil
}

// deferred: the table gets its keys after its rows.
func (l *load) deferred(d *definition) bool {
	// Chunks of a living source's table are compared, and taken back, by its range key.
	ranged := l.art != nil || len(d.table.Key) == 0 || slices.Equal(d.table.Key, d.table.Primary)
	return max(d.table.Bytes, d.table.estBytes) >= l.o.DeferBytes && len(d.Keys) > 0 && ranged
}

func (l *load) compileAll(ctx context.Context, c *sql.Conn) (bad []Finding, err error) {
	// Functions first: views may call them.
	if _, l.unmade, err = l.still(ctx, c); err != nil {
		return nil, err
	}
	refuse := func(object, stmt string, err error) {
		bad = append(bad, Finding{Check: "compile", Severity: Refuse, Object: object, What: fmt.Sprintf("the target doesn't take its definition: %v\n    %s", err, strings.ReplaceAll(stmt, "\n", "\n    ")), Fix: compileFix(err)})
	}
	try := func(d *definition, stmt string) error {
		l.meter.report("compiling " + d.String())
		if err := use(ctx, c, d.schema); err != nil {
			return err
		}
		_, err := l.alter(ctx, c, stmt)
		switch n := ask.Number(err); {
		case err == nil:
		case n == 0 || lostNumber(n) || l.full(err) != nil:
			return cmp.Or(l.full(err), err)
		default:
			refuse(d.String(), stmt, err)
		}
		return nil
	}
	for i := range l.defs.tables {
		if err := try(&l.defs.tables[i], l.defs.tables[i].Create(true)); err != nil {
			return nil, err
		}
	}
	for i := range l.defs.tables {
		d := &l.defs.tables[i]
		if slices.ContainsFunc(bad, func(f Finding) bool { return f.Object == d.String() }) {
			continue // there is no such table to add to
		}
		for _, stmt := range alters(d, d.ForeignKeys, nil) {
			if err := try(d, stmt); err != nil {
				return nil, err
			}
		}
	}
	if bad != nil {
		return bad, nil // a view's error may come from a table's
	}
	views, err := l.createViews(ctx, c)
	calls := false
	for _, f := range views {
		refuse(f.v.String(), f.v.create, f.err)
		calls = calls || ask.Number(f.err) == noSuchRoutine
	}
	if calls { // for want of a function that could not be made, as it says
		bad = append(bad, l.unmade...)
	}
	return bad, err
}

// noSuchRoutine is the server's error number for a function that isn't there.
const noSuchRoutine = 1305

// compileFix is what mends the known ones of what a compiler refuses.
func compileFix(err error) string {
	const keyTooLong, noUniqueParent = 1071, 6125
	switch ask.Number(err) {
	case keyTooLong:
		return "ALTER TABLE t DROP KEY k, ADD KEY k (c(N)): a key over the column's beginning"
	case noUniqueParent:
		return "ALTER TABLE parent ADD UNIQUE KEY over the columns that the foreign key leads to; or the target's flag restrict_fk_on_non_standard_key = OFF"
	}
	return ""
}

// tableNames are all tables, as "schema.table".
func (c *Catalog) tableNames() (out []string) {
	for _, s := range c.Schemas {
		for _, t := range s.Tables {
			out = append(out, s.Name+"."+t.Name)
		}
	}
	return out
}

func use(ctx context.Context, c *sql.Conn, schema string) error {
	if _, err := c.ExecContext(ctx, "USE "+ddl.Quote(schema)); err != nil {
		return err
	}
	_, err := c.ExecContext(ctx, "SET NAMES utf8mb4") // a view may have set another
	return err
}

// alters are the statements that add a table's clauses, except those that it has.
func alters(d *definition, clauses []ddl.Clause, has []string) (out []string) {
	head := "ALTER TABLE " + ddl.Qualified(d.schema, d.table.Name) + " "
	var together []string
	for _, c := range clauses {
		switch {
		case slices.ContainsFunc(has, func(h string) bool { return strings.EqualFold(h, c.Name) }):
		case c.Alone:
			out = append(out, head+"ADD "+c.SQL)
		default:
			together = append(together, "ADD "+c.SQL)
		}
	}
	if together != nil {
		out = append([]string{head + strings.Join(together, ", ")}, out...)
	}
	return out
}

// keys adds the keys and then the foreign keys that the tables don't have yet. Each statement is atomic in the server,
// so what is there is whole.
func (l *load) keys(ctx context.Context, c *sql.Conn) error {
	for _, kind := range []struct {
		what    string
		clauses func(*definition) []ddl.Clause
		query   string
	}{
		{"keys", func(d *definition) []ddl.Clause { return d.Keys }, "SELECT DISTINCT INDEX_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = '%s' AND TABLE_NAME = '%s'"},
		{"foreign keys", func(d *definition) []ddl.Clause { return d.ForeignKeys }, "SELECT CONSTRAINT_NAME FROM information_schema.TABLE_CONSTRAINTS WHERE CONSTRAINT_TYPE = 'FOREIGN KEY' AND TABLE_SCHEMA = '%s' AND TABLE_NAME = '%s'"},
	} {
		for i := range l.defs.tables {
			d := &l.defs.tables[i]
			has := func() ([]string, error) {
				return ask.Each(ctx, c, ask.Text, fmt.Sprintf(kind.query, ddl.Escape(d.schema), ddl.Escape(d.table.Name)))
			}
			if err := l.addKeys(ctx, c, d, kind.what, kind.clauses(d), has); err != nil {
				return fmt.Errorf("add %s to %s: %w", kind.what, d, err)
			}
		}
	}
	return nil
}

// addKeys adds what is missing. An ALTER that an earlier attempt was killed in may still go on in the server: ours
// waits for it and then finds that its name is taken.
func (l *load) addKeys(ctx context.Context, c *sql.Conn, d *definition, what string, clauses []ddl.Clause, has func() ([]string, error)) error {
	const duplicateKey, duplicateForeignKey = 1061, 1826
	if len(clauses) == 0 {
		return nil
	}
	for try := 1; ; try++ {
		there, err := has()
		if err == nil {
			err = use(ctx, c, d.schema)
		}
		if err != nil {
			return err
		}
		todo := alters(d, clauses, there)
		if len(todo) == 0 {
			return nil
		}
		l.meter.report("adding " + what + " to " + d.String())
		_, err = l.alter(ctx, c, todo[0])
		if err == nil && l.added != nil {
			l.added(d, max(1, len(clauses)/len(todo)))
		}
		if err != nil {
			if n := ask.Number(err); (n == duplicateKey || n == duplicateForeignKey) && try <= len(clauses)+1 {
				continue
			}
			return cmp.Or(l.full(err), err)
		}
	}
}

type failedView struct {
	v   viewDefinition
	err error
}

// views makes the views, and before them the functions that they may call.
func (l *load) views(ctx context.Context, c *sql.Conn) (err error) {
	if _, l.unmade, err = l.still(ctx, c); err != nil {
		return err
	}
	failed, err := l.createViews(ctx, c)
	if err != nil {
		return err
	}
	var bad []Finding
	for _, f := range failed { // they compiled before: somebody changed something since
		bad = append(bad, Finding{Check: "compile", Severity: Refuse, Object: f.v.String(), What: fmt.Sprintf("the target doesn't take its definition: %v", f.err)})
	}
	if bad != nil {
		return &objects.NotMadeError{Findings: bad}
	}
	return nil
}

// createViews goes round until all views are made or a round makes none: one may read from another.
func (l *load) createViews(ctx context.Context, c *sql.Conn) ([]failedView, error) {
	todo := slices.Clone(l.defs.views)
	for len(todo) > 0 {
		var failed []failedView
		for _, v := range todo {
			l.meter.report("making " + v.String())
			err := l.createView(ctx, c, v)
			if err != nil && (ask.Number(err) == 0 || l.full(err) != nil) {
				return nil, cmp.Or(l.full(err), err)
			}
			if err != nil {
				failed = append(failed, failedView{v, err})
			}
		}
		if len(failed) == len(todo) {
			return failed, nil
		}
		todo = todo[:0]
		for _, f := range failed {
			todo = append(todo, f.v)
		}
	}
	return nil, nil
}

func (l *load) createView(ctx context.Context, c *sql.Conn, v viewDefinition) error {
	if err := use(ctx, c, v.schema); err != nil {
		return err
	}
	if v.collation != "" { // the collation that its literals had
		if _, err := c.ExecContext(ctx, "SET collation_connection = '"+ddl.Escape(v.collation)+"'"); err != nil {
			return err
		}
	}
	_, err := l.alter(ctx, c, strings.Replace(v.create, "CREATE ", "CREATE OR REPLACE ", 1))
	return err
}
