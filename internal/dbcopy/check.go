package dbcopy

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/compat"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
	"github.com/slipway-dev/slipway/internal/dbcopy/objects"
)

// CheckOptions are what is checked and how.
type CheckOptions struct {
	Schemas []string
	SlowLog io.Reader // of the source; nil: queries come from its performance_schema
	Look    compat.LookOptions
	Tell    func(what string) // may be nil: what is being done
}

// Report is what a check found. Its JSON is documented in docs/json.md.
type Report struct {
	Source   ServerVersion `json:"source"`
	Target   ServerVersion `json:"target"`
	Schemas  []string      `json:"schemas"`
	Objects  Objects       `json:"objects"`
	Queries  QueryCount    `json:"queries"`
	Swept    []string      `json:"swept,omitempty"` // schemas of killed checks that were dropped at the target
	Findings []Finding     `json:"findings"`        // refusals first, then rewrites, what is left out, warnings
}

// ServerVersion is one of the two servers.
type ServerVersion struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Objects are what was looked at, and how many of them the target's compiler took.
type Objects struct {
	Tables   int   `json:"tables"`
	Views    int   `json:"views"`
	Stored   int   `json:"stored"`   // routines, triggers, events
	Compiled int   `json:"compiled"` // of all three
	Rows     int64 `json:"rows"`     // as the source estimates
	Bytes    int64 `json:"bytes"`    // as the source estimates
}

// Refused says whether the report has refusals.
func (r *Report) Refused() bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Severity == Refuse })
}

// ErrPrivileges: the account at the source sees a part as if it were all. Nothing was judged; the message has the grants.
var ErrPrivileges = errors.New("the account may not see all that is to be checked")

type checker struct {
	src, dst   Endpoint
	o          CheckOptions
	s          *sql.Conn // at the source
	t          *sql.Conn // at the target
	cat        *Catalog
	defs       definitions // at home in the scratch schemas
	set        objects.Set
	still      []Finding // of its functions and procedures
	report     Report
	collations []string
	scratch    *scratch
	whole      bool // all tables and views are in the scratch schemas
}

// Check looks at the source's schemas and whether the target takes them. It writes nothing at the source, and at the
// target only into schemas of its own, which it drops. What is found is in the report; an error says that the check
// couldn't be made: ErrLogin, ErrLost, ErrPrivileges, ErrDenied at the target, ErrChecking.
func Check(ctx context.Context, src *Source, dst *Target, o CheckOptions) (_ Report, err error) {
	if o.Tell == nil {
		o.Tell = func(string) {}
	}
	c := &checker{src: src.ep, dst: dst.ep, o: o}
	c.report.Schemas = slices.Clone(o.Schemas)
	c.report.Findings = []Finding{}
	for _, x := range []struct {
		ep   Endpoint
		vars Session
		to   **sql.Conn
	}{{c.src, TextSession(), &c.s}, {c.dst, TextSession().With(Session{"foreign_key_checks": "0"}), &c.t}} {
		o.Tell("signing in to " + x.ep.Name)
		db, err := x.ep.Open(x.vars, 1)
		if err != nil {
			return c.report, err
		}
		defer db.Close()
		conn, err := db.Conn(ctx)
		if err != nil {
			return c.report, x.ep.Explain(err)
		}
		defer conn.Close()
		*x.to = conn
	}
	if err := c.source(ctx); err != nil {
		return c.report, c.src.Explain(err)
	}
	if err := c.target(ctx); err != nil {
		if errors.As(err, new(*placed)) {
			return c.report, err
		}
		return c.report, c.dst.Denied(ctx, err, append(SchemaGrants("SELECT", o.Schemas), OwnGrant("SELECT"), "ALL ON `\\_slipway\\_check\\_%`.*")...)
	}
	c.sort()
	return c.report, nil
}

// here is a connection whose errors say which server they come from, where both are asked.
type here struct {
	*sql.Conn
	ep Endpoint
}

// placed is an error that says so already.
type placed struct{ error }

func (p *placed) Unwrap() error { return p.error }

func (h here) QueryContext(ctx context.Context, q string, args ...any) (*sql.Rows, error) {
	rows, err := h.Conn.QueryContext(ctx, q, args...)
	return rows, h.place(err)
}

func (h here) ExecContext(ctx context.Context, q string, args ...any) (sql.Result, error) {
	res, err := h.Conn.ExecContext(ctx, q, args...)
	return res, h.place(err)
}

func (h here) place(err error) error {
	if err == nil {
		return nil
	}
	return &placed{h.ep.Explain(err)}
}

func (c *checker) add(fs ...Finding) { c.report.Findings = append(c.report.Findings, fs...) }

// source is all that the source is asked alone.
func (c *checker) source(ctx context.Context) error {
	c.o.Tell("definitions at the source")
	if _, err := c.s.ExecContext(ctx, "SET SESSION TRANSACTION READ ONLY"); err != nil {
		return err
	}
	sv, err := survey(ctx, c.s, c.o.Schemas)
	if err != nil {
		return err
	}
	c.cat = &sv.Catalog
	c.report.Source = ServerVersion{c.src.Name, sv.Catalog.Server.Version}
	c.report.Objects.Rows, c.report.Objects.Bytes = sv.Rows, sv.Bytes
	if err := sv.Lacks(); err != nil {
		return err
	}
	for _, f := range sv.Findings {
		switch f.Check {
		case string(objects.Function), string(objects.Procedure), string(objects.Trigger), string(objects.Event), string(objects.Package), string(objects.PackageBody):
			// Said below, with what the target makes of their text.
		default:
			c.add(f)
		}
	}
	if len(c.cat.Schemas) < len(c.o.Schemas) { // said among the findings
		return nil
	}
	for _, sc := range c.cat.Schemas {
		if err := c.schema(ctx, sc); err != nil {
			return fmt.Errorf("look at schema %s: %w", sc.Name, err)
		}
	}
	c.set = c.cat.Text
	c.report.Objects.Stored = len(c.set.Objects)
	fs, err := compat.UserFunctions(ctx, c.s)
	c.add(fs...)
	return err
}

func (c *checker) schema(ctx context.Context, sc Schema) error {
	if _, err := c.s.ExecContext(ctx, "USE "+ddl.Quote(sc.Name)); err != nil {
		return err
	}
	fs, err := compat.Columns(ctx, c.s, sc.Name)
	if err != nil {
		return err
	}
	c.add(fs...)
	look := c.o.Look
	look.Tell = c.o.Tell
	if fs, err = compat.Looks(ctx, c.s, sc.Name, look); err != nil {
		return err
	}
	c.add(fs...)
	c.report.Objects.Tables += len(sc.Tables)
	c.report.Objects.Views += len(sc.Views)
	return nil
}

// target is all that the target is asked, alone and beside the source.
func (c *checker) target(ctx context.Context) (err error) {
	c.o.Tell("settings of the target")
	c.report.Target.Name = c.dst.Name
	if err := c.t.QueryRowContext(ctx, "SELECT VERSION()").Scan(&c.report.Target.Version); err != nil {
		return err
	}
	if v := c.report.Target.Version; strings.Contains(v, "MariaDB") || Version(v) < oldest {
		c.add(Finding{Check: "target", Severity: Refuse, Object: "target", What: fmt.Sprintf("it is version %s: this program loads MySQL 8.0.21 and later", v)})
		return nil
	}
	state, err := look(ctx, c.t, c.o.Schemas)
	if err != nil {
		return fmt.Errorf("look at the target: %w", err)
	}
	if len(c.cat.Schemas) < len(c.o.Schemas) || c.report.Source.Version == "" || !strings.Contains(c.report.Source.Version, "MariaDB") {
		return nil
	}
	if n := len(state.Foreign); n > 0 {
		c.add(Finding{Check: "target", Severity: Warn, Object: "target", What: fmt.Sprintf("it isn't empty: it has %d objects in these schemas that no load of Slipway made, such as %s", n, state.Foreign[0]),
			Will: "the check leaves them alone; the copy would refuse them"})
	}
	if c.collations, err = ask.Each(ctx, c.t, ask.Text, "SELECT COLLATION_NAME FROM information_schema.COLLATIONS"); err != nil {
		return err
	}
	fs, err := compat.Compare(ctx, here{c.s, c.src}, c.t, c.cat.tableNames())
	if err != nil {
		return err
	}
	c.add(fs...)
	if fs, err = compat.Reserved(ctx, here{c.s, c.src}, c.t, c.o.Schemas); err != nil {
		return err
	}
	c.add(fs...)
	if fs, err = compat.Accounts(ctx, here{c.s, c.src}, c.t); err != nil {
		return err
	}
	c.add(fs...)
	if bySQL, err := compat.CascadesBySQL(ctx, c.t); err != nil {
		return err
	} else if bySQL {
		if fs, err = compat.Cascades(ctx, here{c.s, c.src}, c.o.Schemas); err != nil {
			return err
		}
		c.add(fs...)
	}
	c.o.Tell("making a schema to compile in at the target")
	if c.scratch, c.report.Swept, err = openScratch(ctx, c.dst, c.t, c.cat.Schemas, c.has); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.scratch.close(ctx)) }()
	for _, step := range []func(context.Context) error{c.compileStill, c.compile, c.compileActing, c.duplicates, c.queries} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) has(collation string) bool { return slices.Contains(c.collations, collation) }

// order is how findings are printed.
var order = []Severity{Refuse, Rewrite, Leave, Warn}

func (c *checker) sort() {
	slices.SortStableFunc(c.report.Findings, func(a, b Finding) int {
		return slices.Index(order, a.Severity) - slices.Index(order, b.Severity)
	})
	for i, f := range c.report.Findings {
		if f.Severity == Refuse && f.Stops == "" {
			c.report.Findings[i].Stops = compat.Copy
		}
	}
}
