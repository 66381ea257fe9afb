package migrate_test

import (
	"context"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal"
)

type cl interface{ Find(string) bool }
type cm interface {
	cl
	Make(string)
	Drop(string)
}
type w struct{ m map[string]bool }

func (w w) Find(s string) bool { return w.m[s] }
func (w w) Make(s string)      { w.m[s] = true }
func (w w) Drop(s string)      { delete(w.m, s) }

type only struct{ cl }
type out struct{ Name string }
type st struct{ id migrate.StepID }

func (s st) Spec() migrate.Spec { return migrate.Spec{ID: s.id} }
func (st) Plan(_ context.Context, s *migrate.Scope[cl], _ migrate.Recorded[out]) (migrate.Plan[out], error) {
	o := out{s.Key()}
	if s.C.Find(o.Name) {
		return migrate.Done(o), nil
	}
	return migrate.Plan[out]{Want: o, Effects: []migrate.Effect{{"create", o.Name, ""}}}, nil
}
func (st) Run(_ context.Context, s *migrate.Scope[cm], want out) (out, error) {
	s.C.Make(want.Name)
	s.Progress(migrate.Progress{What: "x", Done: 1, Total: 2})
	s.Moved(migrate.Tally{Bytes: 7})
	return want, nil
}
func (st) Verify(_ context.Context, s *migrate.Scope[cl], o out) error { return nil }
func (st) Undo(_ context.Context, s *migrate.Scope[cm], rec migrate.Recorded[out]) error {
	s.C.Drop(rec.Want.Name)
	return nil
}

func TestSmoke(t *testing.T) {
	wd := w{map[string]bool{}}
	mk := func() *migrate.Runbook[migrate.Rehearsal] {
		rb := migrate.NewRunbook[migrate.Rehearsal]()
		rb.Phase("one")
		r := migrate.Add(rb, st{"a.a"}, migrate.Look[cl]("w", only{wd}), migrate.Maker[migrate.Rehearsal]("w", func(context.Context, migrate.Stamp) (cm, error) { return wd, nil }))
		rb.Phase("two")
		migrate.Add(rb, st{"b.b"}, migrate.LookAt(r, cl(only{wd}), func(context.Context, out) (cl, error) { return only{wd}, nil }),
			migrate.Created[migrate.Rehearsal](r, func(context.Context, out, migrate.Stamp) (cm, error) { return wd, nil }))
		return rb
	}
	p, err := mk().Plan(context.Background(), migrate.Options{})
	t.Logf("%+v %v", p, err)
	root := t.TempDir()
	id, _ := migrate.NewID(time.Now())
	dir, err := journal.MakeDir(root, id)
	if err != nil {
		t.Fatal(err)
	}
	r, err := migrate.Begin(dir, id, mk(), migrate.Options{Who: "me", Ending: migrate.EndWithRollback(migrate.Leg{Name: "rollback", DownTo: "one"}, migrate.Leg{Name: "clean up"})})
	if err != nil {
		t.Fatal(err)
	}
	r.Listen(func(e migrate.Event) {
		b, err := migrate.EventJSON(e)
		t.Log(string(b), err)
	})
	if err := r.Resume(context.Background()); err != nil {
		t.Fatal(err)
	}
	h, err := r.History()
	t.Log(h.Phases(), err, h.State(false))
	for _, s := range h.Steps() {
		t.Logf("%+v", s)
	}
	r.Close()
}
