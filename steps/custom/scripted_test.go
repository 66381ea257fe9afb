package custom_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal"
	"github.com/slipway-dev/slipway/migrate/journal/crashfs"
	"github.com/slipway-dev/slipway/steps/custom"
)

// scripted is a place whose commands end as they are told, with 0 where nothing is said.
type scripted struct {
	exits map[string]int
	say   string
	err   error // with which fill ends besides
	ran   []string
	env   string
}

func (p *scripted) Do(_ context.Context, c custom.Command) (int, error) {
	p.ran = append(p.ran, c.Argv[0])
	for _, v := range c.Env {
		p.env += v.Name + "=" + v.Value.Reveal() + " "
	}
	say := p.say
	if say == "" {
		say = "cannot tell"
	}
	fmt.Fprintf(c.Out, "line one\n%s\n\n", say)
	if c.Argv[0] == "fill" && p.err != nil {
		return 0, p.err
	}
	return p.exits[c.Argv[0]], nil
}

// methods has the step's methods called by the engine, which alone can make a Scope.
type methods struct {
	st   custom.Step
	rec  migrate.Recorded[custom.Out]
	errs map[string]error
	plan migrate.Plan[custom.Out]
}

func (m *methods) Spec() migrate.Spec { return migrate.Spec{ID: "own.fill"} }

func (m *methods) Plan(ctx context.Context, s *migrate.Scope[custom.Place], _ migrate.Recorded[custom.Out]) (migrate.Plan[custom.Out], error) {
	m.plan, m.errs["Plan"] = m.st.Plan(ctx, s, m.rec)
	return migrate.Plan[custom.Out]{}, nil
}

func (m *methods) Run(ctx context.Context, s *migrate.Scope[custom.Place], want custom.Out) (custom.Out, error) {
	_, m.errs["Run"] = m.st.Run(ctx, s, want)
	m.errs["Verify"] = m.st.Verify(ctx, s, want)
	m.errs["Undo"] = m.st.Undo(ctx, s, m.rec)
	return want, nil
}

func (m *methods) Verify(context.Context, *migrate.Scope[custom.Place], custom.Out) error { return nil }

func (m *methods) Undo(context.Context, *migrate.Scope[custom.Place], migrate.Recorded[custom.Out]) error {
	return errors.New("not called")
}

func (p *scripted) call(t *testing.T, st custom.Step, rec migrate.Recorded[custom.Out]) *methods {
	t.Helper()
	m := &methods{st: st, rec: rec, errs: map[string]error{}}
	rb := migrate.NewRunbook[migrate.Rehearsal]()
	rb.Phase("one")
	migrate.Add(rb, m, migrate.Look[custom.Place]("place", closed{p}), migrate.Maker[migrate.Rehearsal]("place", func(context.Context, migrate.Stamp) (custom.Place, error) { return p, nil }))
	d := &crashfs.Disk{}
	r, err := migrate.Begin(d.Process(crashfs.NewLife(0)), "20261123-010203-0001", rb, migrate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.Resume(t.Context()), r.Close()); err != nil {
		t.Fatal(err)
	}
	return m
}

// all gives what each of the step's methods says.
func (p *scripted) all(t *testing.T, st custom.Step, rec migrate.Recorded[custom.Out]) map[string]error {
	t.Helper()
	return p.call(t, st, rec).errs
}

func (p *scripted) plan(t *testing.T, st custom.Step, rec migrate.Recorded[custom.Out]) (migrate.Plan[custom.Out], error) {
	t.Helper()
	m := p.call(t, st, rec)
	return m.plan, m.errs["Plan"]
}

// open opens the run in dir with one step of the user's own, or begins it.
func open(dir, id string, st custom.Step, p custom.Place) (*migrate.Run, error) {
	rb := migrate.NewRunbook[migrate.Rehearsal]()
	rb.Phase("one")
	add(rb, st, p)
	d, err := journal.MakeDir(dir, id)
	if errors.Is(err, os.ErrExist) {
		if d, err = journal.OpenDir(filepath.Join(dir, id)); err != nil {
			return nil, err
		}
		return migrate.Open(d, rb, migrate.Options{})
	}
	if err != nil {
		return nil, err
	}
	return migrate.Begin(d, id, rb, migrate.Options{Ending: migrate.EndKept()})
}

func resumed(t *testing.T, dir, id string, st custom.Step, p custom.Place) error {
	t.Helper()
	r, err := open(dir, id, st, p)
	if err != nil {
		t.Fatal(err)
	}
	err = r.Resume(t.Context())
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return err
}
