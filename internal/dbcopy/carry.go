package dbcopy

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/compat"
	"github.com/slipway-dev/slipway/internal/dbcopy/objects"
)

// Objects reads the functions, procedures, triggers and events of schemas. An account that may not see all of them is ErrPrivileges.
//
// Of two masters each knows alone whether the events run that were made there: see objects.Set.With.
func (s *Source) Objects(ctx context.Context, schemas []string) (set objects.Set, err error) {
	err = oneText(ctx, s.ep, func(c *sql.Conn) error {
		if _, err := c.ExecContext(ctx, "SET SESSION TRANSACTION READ ONLY"); err != nil {
			return err
		}
		see := &surveyor{q: c}
		if err := see.privileges(ctx, schemas); err != nil {
			return fmt.Errorf("look at the account's privileges: %w", err)
		}
		if err := see.out.Lacks(); err != nil {
			return err
		}
		set, err = objects.Read(ctx, c, schemas)
		return err
	})
	if err != nil {
		return objects.Set{}, s.ep.Explain(err)
	}
	return set, nil
}

// LookObjects says what of a part of a set is at the target. It changes nothing.
func (t *Target) LookObjects(ctx context.Context, set objects.Set, part objects.Part) (st objects.State, err error) {
	err = t.withObjects(ctx, "look at what is at the target", func(c *sql.Conn, to objects.To) error {
		st, err = objects.Look(ctx, c, set, part, to)
		return err
	})
	return st, err
}

// MakeObjects makes what of a part of a set isn't at the target. It can be killed at any instant and called again; what is there and
// is what it should be stays. Triggers and events are for when the target is not followed, and opens: what makes them is in the
// target's log as definitions, at which whoever follows it stops, so its position is to be taken after. asleep: no event is enabled.
//
// *objects.DifferentError, *objects.NotMadeError, ErrLost, ErrLogin.
func (t *Target) MakeObjects(ctx context.Context, set objects.Set, part objects.Part, asleep bool, tell func(string)) (m objects.Made, err error) {
	err = t.withObjects(ctx, "make at the target", func(c *sql.Conn, to objects.To) error {
		to.Asleep = asleep
		m, err = objects.Make(ctx, c, set, part, to, nil, tell)
		return err
	})
	return m, err
}

// SwitchEvents enables the events that are enabled at the source, or disables them.
func (t *Target) SwitchEvents(ctx context.Context, set objects.Set, on bool) error {
	return t.withObjects(ctx, "switch events at the target", func(c *sql.Conn, to objects.To) error {
		return objects.Switch(ctx, c, set, on, to)
	})
}

// DropObjects drops what of a part of a set is at the target, and nothing else. What somebody changed there since is left:
// *objects.DifferentError, when all else is dropped.
func (t *Target) DropObjects(ctx context.Context, set objects.Set, part objects.Part) error {
	return t.withObjects(ctx, "drop at the target", func(c *sql.Conn, to objects.To) error { return objects.Drop(ctx, c, set, part, to) })
}

func (t *Target) withObjects(ctx context.Context, what string, do func(*sql.Conn, objects.To) error) error {
	err := oneText(ctx, t.ep, func(c *sql.Conn) error {
		collations, err := ask.Each(ctx, c, ask.Text, "SELECT COLLATION_NAME FROM information_schema.COLLATIONS")
		if err != nil {
			return fmt.Errorf("ask for collations: %w", err)
		}
		return do(c, objects.To{Has: func(name string) bool { return slices.Contains(collations, name) }})
	})
	var differ *objects.DifferentError
	var not *objects.NotMadeError
	if err == nil || errors.As(err, &differ) || errors.As(err, &not) {
		return explainMade(t.ep, err)
	}
	return t.ep.Explain(fmt.Errorf("%s: %w", what, err))
}

// explainMade is Endpoint.Explain for errors that may be of objects: the servers' numbers in those are no reasons to explain.
func explainMade(ep Endpoint, err error) error {
	var differ *objects.DifferentError
	var not *objects.NotMadeError
	if errors.As(err, &differ) || errors.As(err, &not) {
		return fmt.Errorf("%s: %w", ep.Name, err)
	}
	return ep.Explain(err)
}

// oneText does something over one connection with a text session.
func oneText(ctx context.Context, ep Endpoint, do func(*sql.Conn) error) error {
	db, err := ep.Open(TextSession(), 1)
	if err != nil {
		return err
	}
	defer db.Close()
	c, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	return do(c)
}

// still makes the functions and procedures that aren't there. The findings are of those that the target doesn't take, and of those that
// are others there.
func (l *load) still(ctx context.Context, c *sql.Conn) (objects.Made, []Finding, error) {
	if l.set.Objects == nil {
		return objects.Made{}, nil, nil
	}
	alter := func(ctx context.Context, stmt string) error {
		_, err := l.alter(ctx, c, stmt)
		return cmp.Or(l.full(err), err)
	}
	m, err := objects.Make(ctx, c, l.set, objects.Still, objects.To{Has: l.has}, alter, func(what string) { l.meter.report(what) })
	var not *objects.NotMadeError
	if errors.As(err, &not) {
		return m, not.Findings, nil
	}
	return m, nil, err
}

// claim notes in the mark that functions and procedures are this load's which the source has since the mark was made.
func (l *load) claim(ctx context.Context, c *sql.Conn, s *State) error {
	var more []object
	for _, o := range l.set.Of(objects.Still) {
		if x := (object{Schema: o.Schema, Name: o.Name, Routine: string(o.Kind)}); !slices.Contains(s.objects, x) {
			more = append(more, x)
		}
	}
	if more == nil {
		return nil
	}
	s.objects = append(s.objects, more...)
	if err := l.mine(ctx, c); err != nil {
		return err
	}
	return noteObjects(ctx, c, l.own, s.objects)
}

// grants reads what the applications' accounts may; nil: the account may not look at others'.
func (s *Source) grants(ctx context.Context, schemas []string) (g *compat.Grants, err error) {
	err = oneText(ctx, s.ep, func(q *sql.Conn) error {
		g, err = compat.ReadGrants(ctx, here{q, s.ep}, schemas)
		return err
	})
	return g, err
}
