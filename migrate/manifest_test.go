package migrate_test

import (
	"context"
	"reflect"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/migrate"
)

// Whatever changes of a step is said, but its title, and its stretch, which follows from its place.
func TestEveryFieldOfAStepIsCompared(t *testing.T) {
	full := func() *migrate.Manifest {
		return &migrate.Manifest{Steps: []migrate.ManifestStep{{ID: "a", Kind: "step", Phase: "p", Stretch: 1, Title: "t", Version: 1, Needs: []migrate.StepID{"b"},
			Shape: "{}", Origin: migrate.Origin{{How: migrate.Read, On: migrate.OnReal, Of: "x"}}}}}
	}
	if d := migrate.Differs(full(), full()); len(d) > 0 {
		t.Fatal(d)
	}
	of := reflect.TypeFor[migrate.ManifestStep]()
	for i := range of.NumField() {
		is := full()
		v := reflect.ValueOf(&is.Steps[0]).Elem().Field(i)
		switch v.Kind() {
		case reflect.String:
			v.SetString(v.String() + "x")
		case reflect.Int:
			v.SetInt(v.Int() + 1)
		case reflect.Bool:
			v.SetBool(!v.Bool())
		case reflect.Slice:
			v.SetLen(0)
		default:
			t.Fatalf("field %s: a test for it is missing", of.Field(i).Name)
		}
		d := migrate.Differs(full(), is)
		switch name := of.Field(i).Name; name {
		case "Title", "Stretch":
			if len(d) > 0 {
				t.Errorf("%s: %q", name, d)
			}
		case "ID":
			if len(d) != 2 {
				t.Errorf("%s: %q", name, d)
			}
		default:
			if len(d) != 1 || !strings.HasPrefix(d[0], "step a: ") {
				t.Errorf("%s: %q", name, d)
			}
		}
	}
}

// What a phase has moved is counted on under a manifest that a person accepted.
func TestMovedIsKeptWhenAManifestIsAccepted(t *testing.T) {
	inLab(t, func(l *lab) {
		p := plain{spec: id("a"), run: func(_ context.Context, s *migrate.Scope[struct{}], o plainOut) (plainOut, error) {
			s.Moved(migrate.Tally{Rows: 7})
			return o, nil
		}}
		rb := func() *migrate.Runbook[migrate.Rehearsal] { return book(p, migrate.Gate{ID: "gate"}) }
		l.must(l.run(rb(), migrate.Options{Tool: "slipway 1"}, resume), migrate.ErrWaiting)
		l.must(l.run(rb(), migrate.Options{Tool: "slipway 2", Accept: "a fix"}, resume), migrate.ErrWaiting)
		if got := l.history().Phases()[0].Moved.Rows; got != 7 {
			t.Errorf("%d rows", got)
		}
	})
}
