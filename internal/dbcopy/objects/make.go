package objects

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/compat"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
)

// errUnseen: the server lists an object and shows no text.
var errUnseen = errors.New("the server shows no text: the account lacks a privilege on it (SHOW_ROUTINE, or SELECT on all, for another's routine; TRIGGER; EVENT)")

// Difference is an object that is there and isn't what it should be.
type Difference struct {
	Object string   `json:"object"`
	What   []string `json:"what"`
	Fix    string   `json:"fix"` // the statement after which it is made anew
	state  bool     // an event that was enabled or disabled since, and nothing else
}

// DifferentError: objects are there that aren't what the source has: somebody else made or changed them, or the source's were changed
// since. They were left alone. Drop them as it says, if nobody needs them, and try again.
type DifferentError struct{ Differences []Difference }

func (e *DifferentError) Error() string {
	lines := make([]string, len(e.Differences))
	for i, d := range e.Differences {
		lines[i] = fmt.Sprintf("%s: %s; to have it made anew, type there: %s", d.Object, strings.Join(d.What, ", "), d.Fix)
	}
	return fmt.Sprintf("%d objects are at the target and aren't what the source has; they were left alone:\n  %s", len(e.Differences), strings.Join(lines, "\n  "))
}

// NotMadeError: the target doesn't take these. All others were made. Deal with them, as each says, and try again.
type NotMadeError struct{ Findings []compat.Finding }

func (e *NotMadeError) Error() string {
	lines := make([]string, len(e.Findings))
	for i, f := range e.Findings {
		lines[i] = f.String()
	}
	return fmt.Sprintf("%d objects could not be made at the target; all others were:\n  %s", len(e.Findings), strings.Join(lines, "\n  "))
}

// State is what of a part of a set is at a target. Objects are named as messages call them.
type State struct {
	There   []string     `json:"there"` // and what they should be
	Missing []string     `json:"missing"`
	Differ  []Difference `json:"differ"`
	Over    []string     `json:"over"`  // events whose time has passed: no server keeps them
	Other   []string     `json:"other"` // of the part's kinds, in the set's schemas, that the set hasn't
	// Scheduler is the target's event_scheduler: without ON no event runs.
	Scheduler string `json:"event_scheduler"`
	// Trusts: accounts without SUPER may make functions and triggers.
	Trusts  bool `json:"trusts_creators"`
	there   []Object
	missing []Object
}

// Look says what of a part is there, at a MySQL.
func Look(ctx context.Context, q ask.Queryer, s Set, p Part, to To) (State, error) {
	st := State{There: []string{}, Missing: []string{}, Differ: []Difference{}, Over: []string{}, Other: []string{}}
	var now string
	if err := q.QueryRowContext(ctx, "SELECT @@global.event_scheduler, @@global.log_bin_trust_function_creators OR NOT @@global.log_bin, UTC_TIMESTAMP()").Scan(&st.Scheduler, &st.Trusts, &now); err != nil {
		return st, err
	}
	have, err := there(ctx, q, s.Schemas)
	if err != nil {
		return st, err
	}
	rest := have.Of(p)
	for _, o := range s.Of(p) {
		i := slices.IndexFunc(rest, func(x Object) bool { return x.Kind == o.Kind && x.Schema == o.Schema && x.Name == o.Name })
		if i < 0 && o.Runs != nil && o.Runs.Until != "" && o.Runs.Until <= now && o.Runs.Completion != "PRESERVE" {
			st.Over = append(st.Over, o.String())
			continue
		}
		if i < 0 {
			st.Missing, st.missing = append(st.Missing, o.String()), append(st.missing, o)
			continue
		}
		w, err := o.Write(to)
		what := []string{"this program can't write it"}
		if err == nil {
			what = o.differs(w, rest[i])
		}
		if what != nil {
			st.Differ = append(st.Differ, Difference{o.String(), what, o.drop(), switchedOnly(what)})
		} else {
			st.There = append(st.There, o.String())
		}
		if what == nil || switchedOnly(what) {
			st.there = append(st.there, o)
		}
		rest = slices.Delete(rest, i, i+1)
	}
	for _, o := range rest {
		st.Other = append(st.Other, o.String())
	}
	return st, nil
}

// Made is what a call made, and what was there.
type Made struct {
	Made  []string `json:"made"`
	There []string `json:"there"`
	Over  []string `json:"over"` // events whose time has passed
}

// Make makes what of a part is missing. What is there and is what it should be stays; it can be killed at any instant and called
// again. alter runs a statement that changes a definition; nil: c does.
//
// *DifferentError before anything is made; *NotMadeError after all others were.
func Make(ctx context.Context, c *sql.Conn, s Set, p Part, to To, alter func(context.Context, string) error, tell func(string)) (Made, error) {
	if alter == nil {
		alter = func(ctx context.Context, stmt string) error { _, err := c.ExecContext(ctx, stmt); return err }
	}
	d := defaults{c: c, alter: alter}
	out := Made{Made: []string{}}
	if err := d.restore(ctx); err != nil {
		return out, err
	}
	st, err := Look(ctx, c, s, p, to)
	if err != nil {
		return out, err
	}
	out.There, out.Over = st.There, st.Over
	if len(st.Differ) > 0 {
		return out, &DifferentError{st.Differ}
	}
	var bad []compat.Finding
	if p == Acting && !to.Asleep {
		bad = append(bad, Set{Objects: st.missing}.Scheduler("ON", st.Scheduler)...)
	}
	for _, o := range st.missing {
		f, err := makeOne(ctx, c, s, o, to, &d, alter, tell)
		if err != nil {
			return out, errors.Join(fmt.Errorf("make %s: %w", o, err), d.restored(ctx))
		}
		if f != nil {
			bad = append(bad, f...)
			continue
		}
		out.Made = append(out.Made, o.String())
	}
	if err := d.restore(ctx); err != nil {
		return out, err
	}
	if bad != nil {
		return out, &NotMadeError{bad}
	}
	return out, nil
}

// makeOne makes one; findings say why it can't be.
func makeOne(ctx context.Context, c *sql.Conn, s Set, o Object, to To, d *defaults, alter func(context.Context, string) error, tell func(string)) ([]compat.Finding, error) {
	bad := slices.DeleteFunc(s.Text(o), func(f compat.Finding) bool { return f.Severity != compat.Refuse })
	if len(bad) > 0 {
		return bad, nil
	}
	if tell != nil {
		tell("making " + o.String())
	}
	w, err := o.Write(to)
	if err == nil {
		if w.SchemaCollation != "" {
			if err := d.set(ctx, to.home(o.Schema), w.SchemaCollation); err != nil {
				return nil, err
			}
		}
		err = w.run(ctx, c, alter)
	}
	if err == nil {
		return nil, nil
	}
	if f, ok := o.Compiled(w, err); ok {
		return []compat.Finding{f}, nil
	}
	return nil, err
}

// Run makes it over a connection, whose session is then as it was.
func (w Written) Run(ctx context.Context, c *sql.Conn) error {
	return w.run(ctx, c, func(ctx context.Context, stmt string) error { _, err := c.ExecContext(ctx, stmt); return err })
}

func (w Written) run(ctx context.Context, c *sql.Conn, alter func(context.Context, string) error) (err error) {
	defer func() {
		for _, stmt := range []string{"SET SESSION sql_mode = '', time_zone = '+00:00'", "SET NAMES utf8mb4"} {
			_, again := c.ExecContext(context.WithoutCancel(ctx), stmt)
			if err == nil {
				err = again
			}
		}
	}()
	for _, stmt := range w.Session {
		if _, err := c.ExecContext(ctx, stmt); err != nil {
			return err
		}
	}
	return alter(ctx, w.Create)
}

// Altered are those that differ in more than being enabled or disabled.
func (st State) Altered() []Difference {
	return slices.DeleteFunc(slices.Clone(st.Differ), func(d Difference) bool { return d.state })
}

// Switch enables the events of a set that are enabled at the source, or disables them; what isn't there is passed over. Else they
// stay as they were made: their schedules too.
func Switch(ctx context.Context, c *sql.Conn, s Set, on bool, to To) error {
	to.Asleep = false
	alter := func(ctx context.Context, stmt string) error { _, err := c.ExecContext(ctx, stmt); return err }
	d := defaults{c: c, alter: alter}
	if err := d.restore(ctx); err != nil {
		return err
	}
	st, err := Look(ctx, c, s, Timed, to)
	if err != nil {
		return err
	}
	for _, o := range st.there {
		if o.Runs.State != "ENABLED" || slices.Contains(st.There, o.String()) == on {
			continue
		}
		if err := switchOne(ctx, c, o, on, to, &d); err != nil {
			return errors.Join(fmt.Errorf("%s: %w", o, err), d.restored(ctx))
		}
	}
	return d.restore(ctx)
}

// switchOne enables or disables one. An ALTER takes the session's settings and the schema's default collation as a CREATE does.
func switchOne(ctx context.Context, c *sql.Conn, o Object, on bool, to To, d *defaults) error {
	w, err := o.Write(to)
	if err == nil && w.SchemaCollation != "" {
		err = d.set(ctx, to.home(o.Schema), w.SchemaCollation)
	}
	if err != nil {
		return err
	}
	w.Create = "ALTER EVENT " + ddl.Quote(to.home(o.Schema)) + "." + ddl.Quote(o.Name) + map[bool]string{true: " ENABLE", false: " DISABLE"}[on]
	return w.Run(ctx, c)
}

// Drop drops what of a part is there and is the set's, in reverse. Events that were enabled or disabled since are the set's. What
// isn't there is none the worse; what was changed since is left, and named in *DifferentError when all else is dropped.
func Drop(ctx context.Context, c *sql.Conn, s Set, p Part, to To) error {
	d := defaults{c: c, alter: func(ctx context.Context, stmt string) error { _, err := c.ExecContext(ctx, stmt); return err }}
	if err := d.restore(ctx); err != nil {
		return err
	}
	st, err := Look(ctx, c, s, p, to)
	if err != nil {
		return err
	}
	for _, o := range slices.Backward(st.there) {
		if _, err := c.ExecContext(ctx, strings.Replace(o.drop(), strings.ToUpper(string(o.Kind))+" ", strings.ToUpper(string(o.Kind))+" IF EXISTS ", 1)); err != nil {
			return fmt.Errorf("drop %s: %w", o, err)
		}
	}
	left := slices.DeleteFunc(st.Differ, func(d Difference) bool { return d.state })
	if len(left) > 0 {
		return &DifferentError{left}
	}
	return nil
}

// defaults sets the default collation of schemas for a while: a routine's variables and parameters have that of its schema, and MySQL
// knows no other way to say it. What it was is noted before, in a table of Slipway's own, so that whoever comes after a kill puts it
// back.
type defaults struct {
	c     *sql.Conn
	alter func(context.Context, string) error
}

// noteTable is there only while a default is another.
const noteTable = "`_slipway`.`default_collation`"

func (d *defaults) set(ctx context.Context, schema, collation string) error {
	var now string
	if err := d.c.QueryRowContext(ctx, "SELECT DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?", schema).Scan(&now); err != nil {
		return fmt.Errorf("ask for the default collation of schema %s: %w", schema, err)
	}
	if now == collation {
		return nil
	}
	for _, stmt := range []string{
		"CREATE DATABASE IF NOT EXISTS `_slipway` DEFAULT CHARACTER SET utf8mb4",
		"CREATE TABLE IF NOT EXISTS " + noteTable + " (`schema` VARCHAR(64) NOT NULL PRIMARY KEY, `was` VARCHAR(64) NOT NULL) ENGINE=InnoDB COLLATE utf8mb4_bin COMMENT='default collations that are to be put back'",
		"INSERT IGNORE INTO " + noteTable + " VALUES (" + ddl.Literal(schema) + ", " + ddl.Literal(now) + ")",
		"ALTER DATABASE " + ddl.Quote(schema) + " COLLATE " + collation,
	} {
		if err := d.alter(ctx, stmt); err != nil {
			return fmt.Errorf("set the default collation of schema %s for a while: %w", schema, err)
		}
	}
	return nil
}

// restore puts all defaults back that are noted.
func (d *defaults) restore(ctx context.Context) error {
	const noSchema, noTable = 1049, 1146
	noted, err := ask.Rows(ctx, d.c, "SELECT `schema`, `was` FROM "+noteTable+" ORDER BY 1")
	if n := ask.Number(err); n == noSchema || n == noTable {
		return nil
	}
	if err != nil {
		return fmt.Errorf("ask which default collations are to be put back: %w", err)
	}
	for _, r := range noted {
		if err := d.alter(ctx, "ALTER DATABASE "+ddl.Quote(r[0])+" COLLATE "+r[1]); err != nil && ask.Number(err) != noSchema {
			return fmt.Errorf("put the default collation of schema %s back to %s: %w", r[0], r[1], err)
		}
	}
	if err := d.alter(ctx, "DROP TABLE "+noteTable); err != nil {
		return fmt.Errorf("forget the default collations: %w", err)
	}
	return nil
}

// restored is restore after an error; where it fails, the next call does it.
func (d *defaults) restored(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return d.restore(ctx)
}
