package custom_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/secret"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/steptest"
	"github.com/slipway-dev/slipway/steps/custom"
)

// tank is a fake place with one thing in it that commands fill, empty and look at. It knows no other command.
type tank struct {
	p      *steptest.Process
	full   bool
	broken bool // the fill is there, and does not hold
	ran    []string
	env    string
}

func (k *tank) Do(_ context.Context, c custom.Command) (int, error) {
	k.ran = append(k.ran, strings.Join(c.Argv, " "))
	for _, v := range c.Env {
		k.env += v.Name + "=" + v.Value.Reveal() + " "
		fmt.Fprintf(c.Out, "I was told %s\n", v.Value.Reveal())
	}
	var err error
	exit := 0
	switch strings.Join(c.Argv, " ") {
	case "is-full":
		if err = k.p.Look(); err == nil && !k.full {
			exit = 1
		}
	case "is-sound":
		if err = k.p.Look(); err == nil && k.broken {
			exit = 1
		}
	case "fill":
		err = k.p.Act("fill", nil, func() error {
			if k.full {
				return errors.New("it would overflow")
			}
			k.full = true
			return nil
		})
	case "empty":
		err = k.p.Act("empty", nil, func() error {
			if !k.full {
				return errors.New("it is empty")
			}
			k.full = false
			return nil
		})
	case "look":
		err = k.p.Look()
	default:
		return 0, errors.New("a command that nobody named")
	}
	return exit, err
}

// closed has no method beyond Place's.
type closed struct{ custom.Place }

func filling() custom.Step {
	return custom.Step{ID: "own.fill", Title: "fill the tank", Where: "host tank",
		Argv: custom.Argv{Check: []string{"is-full"}, Run: []string{"fill"}, Verify: []string{"is-sound"}, Undo: []string{"empty"}}}
}

func add(rb *migrate.Runbook[migrate.Rehearsal], st custom.Step, p custom.Place) {
	if st.ReadOnly || st.LeftOut != "" {
		eye := migrate.Look("tank", p)
		migrate.Add(rb, st, eye, migrate.NoHands[migrate.Rehearsal](eye))
		return
	}
	migrate.Add(rb, st, migrate.Look("tank", p), migrate.Maker[migrate.Rehearsal]("tank", func(context.Context, migrate.Stamp) (custom.Place, error) { return p, nil }))
}

func world(st custom.Step, more func(*tank, *steptest.World)) steptest.Case {
	return steptest.Case{NotTwice: "it is filled once", New: func(t *testing.T, p *steptest.Process) steptest.World {
		k := &tank{p: p}
		w := steptest.World{
			Add:   func(rb *migrate.Runbook[migrate.Rehearsal]) { add(rb, st, closed{k}) },
			State: func() string { return fmt.Sprint(k.full) },
			Spoil: []steptest.Spoil{
				{Name: "emptied", Do: func() { k.full = false }},
				{Name: "leaks", Do: func() { k.broken = true }},
			},
		}
		if more != nil {
			more(k, &w)
		}
		return w
	}}
}

func TestStep(t *testing.T) { steptest.Run(t, world(filling(), nil)) }

// Without a verification of its own the check is one.
func TestStepWithoutVerify(t *testing.T) {
	st := filling()
	st.Argv.Verify = nil
	steptest.Run(t, world(st, func(_ *tank, w *steptest.World) { w.Spoil = w.Spoil[:1] }))
}

func TestReadOnly(t *testing.T) {
	st := custom.Step{ID: "own.look", Where: "host tank", ReadOnly: true, Argv: custom.Argv{Run: []string{"look"}, Verify: []string{"is-sound"}}}
	steptest.Run(t, world(st, func(k *tank, w *steptest.World) { w.Found, w.Spoil = true, w.Spoil[1:] }))
}

// What is left out runs no command at all, whatever becomes of the run, and says why.
func TestLeftOut(t *testing.T) {
	st := filling()
	st.LeftOut, st.Irreversible = "it isn't read-only", true
	var tanks []*tank
	steptest.Run(t, world(st, func(k *tank, w *steptest.World) {
		tanks = append(tanks, k)
		w.Found, w.NoSpoil, w.Spoil = true, "it does nothing", nil
	}))
	for _, k := range tanks {
		if len(k.ran) > 0 {
			t.Fatal(k.ran)
		}
	}
	o := outline(t, st, &tank{})
	if s := o.Phases[0].Steps[0]; s.Title != "left out: fill the tank" || s.Effects[0].String() != "leave out fill: it isn't read-only" || s.Irreversible {
		t.Errorf("%+v", s)
	}
}

func outline(t *testing.T, st custom.Step, k *tank) *migrate.Outline {
	t.Helper()
	rb := migrate.NewRunbook[migrate.Rehearsal]()
	rb.Phase("one")
	add(rb, st, closed{k})
	o, err := rb.Plan(t.Context(), migrate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// slipway plan names the command, and runs none: the tank has no process, and a look at it would panic.
func TestPlanRunsNothing(t *testing.T) {
	for _, readOnly := range []bool{false, true} {
		st := filling()
		st.ReadOnly = readOnly
		st.Argv.Run = []string{"fill", "to the brim", "$HOME"}
		k := &tank{}
		want := `run fill "to the brim" "$HOME": host tank`
		if !readOnly {
			want += ", unless its check says that it is done"
		}
		if s := outline(t, st, k).Phases[0].Steps[0]; len(k.ran) > 0 || s.Effects[0].String() != want {
			t.Errorf("%q %+v", k.ran, s)
		}
	}
}

// A check that says neither yes nor no keeps everything from running.
func TestCheckThatCannotSay(t *testing.T) {
	for _, exit := range []int{2, 126, 127, 255} {
		p := &scripted{exits: map[string]int{"is-full": exit}}
		rec := migrate.Recorded[custom.Out]{Complete: true, Attempts: 1}
		st := filling()
		var keptAt migrate.StepID
		st.Keep = func(step migrate.StepID, text []byte) (string, error) { keptAt = step; return "runs/own.fill.log", nil }
		for name, err := range p.all(t, st, rec) {
			if name == "Run" {
				continue // Plan comes before it
			}
			if !errors.Is(err, custom.ErrCheck) || !strings.Contains(err.Error(), fmt.Sprintf("check is-full: exit status %d: cannot tell; what it printed is in runs/own.fill.log", exit)) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if keptAt != "own.fill" {
			t.Error("nothing was kept")
		}
		for _, c := range p.ran {
			if c == "empty" || c == "is-sound" {
				t.Errorf("%s ran though the check could not tell", c)
			}
		}
	}
}

// An undo that leaves the check saying yes has not undone.
func TestUndoIsChecked(t *testing.T) {
	p := &scripted{exits: map[string]int{}}
	err := p.all(t, filling(), migrate.Recorded[custom.Out]{Complete: true, Attempts: 1})["Undo"]
	if err == nil || !strings.Contains(err.Error(), "its check says that it is still done") {
		t.Error(err)
	}
}

func TestIrreversible(t *testing.T) {
	st := filling()
	st.Irreversible, st.Argv.Undo = true, nil
	p := &scripted{exits: map[string]int{}}
	if err := p.all(t, st, migrate.Recorded[custom.Out]{Complete: true, Attempts: 1})["Undo"]; !errors.Is(err, migrate.ErrIrreversible) {
		t.Error(err)
	}
	if !st.Spec().PointOfNoReturn {
		t.Error("it is no point of no return")
	}
}

// A command that fails is the step's failure, with the last thing that it said, and where the rest is.
func TestFailures(t *testing.T) {
	st := filling()
	st.Keep = func(migrate.StepID, []byte) (string, error) { return "x.log", nil }
	for what, argv := range map[string]string{"Run": "fill", "Verify": "is-sound", "Undo": "empty"} {
		p := &scripted{exits: map[string]int{argv: 3}}
		err := p.all(t, st, migrate.Recorded[custom.Out]{Complete: true, Attempts: 1})[what]
		if err == nil || !strings.HasSuffix(err.Error(), argv+": exit status 3: cannot tell; what it printed is in x.log") {
			t.Errorf("%s: %v", what, err)
		}
	}
	// What can't be kept is an error too: somebody will look for it.
	st.Keep = func(migrate.StepID, []byte) (string, error) { return "", errors.New("disk full") }
	if err := (&scripted{}).all(t, st, migrate.Recorded[custom.Out]{})["Run"]; err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Error(err)
	}
}

// Found by the check before any attempt, it is left alone; an attempt's own is not.
func TestFoundAndResumed(t *testing.T) {
	p := &scripted{exits: map[string]int{}}
	st := filling()
	for _, rec := range []migrate.Recorded[custom.Out]{{}, {Attempts: 1, Want: custom.Out{Where: "first"}}, {Attempts: 1, Complete: true, Out: custom.Out{Where: "recorded"}}} {
		want := custom.Out{Where: "host tank"}
		if rec.Attempts > 0 {
			want = rec.Want
		}
		if rec.Complete {
			want = rec.Out
		}
		plan, err := p.plan(t, st, rec)
		if err != nil || plan.Done == nil || *plan.Done != want {
			t.Errorf("%+v: %+v %v", rec, plan.Done, err)
		}
	}
}

// Secrets reach the command, and nothing else: not what is kept, not an error.
func TestSecretsOfCommands(t *testing.T) {
	t.Setenv("OWN_TEST_TOKEN", "hunter2")
	from, err := secret.ParseRef("env:OWN_TEST_TOKEN")
	if err != nil {
		t.Fatal(err)
	}
	st := filling()
	var kept strings.Builder
	st.Env = []custom.Variable{{Name: "TOKEN", From: from}, {Name: "MODE", Value: "fast"}}
	st.Keep = func(_ migrate.StepID, text []byte) (string, error) { kept.Write(text); return "x.log", nil }
	p := &scripted{exits: map[string]int{"fill": 3}, say: "no entry with hunter2", err: errors.New("lost while saying hunter2")}
	for name, err := range p.all(t, st, migrate.Recorded[custom.Out]{Complete: true, Attempts: 1}) {
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if strings.Contains(kept.String(), "hunter2") || !strings.Contains(kept.String(), "no entry with [secret]") {
		t.Errorf("kept: %s", kept.String())
	}
	if !strings.Contains(p.env, "TOKEN=hunter2 MODE=fast ") {
		t.Errorf("it got %q", p.env)
	}
	t.Setenv("OWN_TEST_TOKEN", "")
	ran := len(p.ran)
	if err := p.all(t, st, migrate.Recorded[custom.Out]{})["Run"]; !errors.Is(err, secret.ErrMissing) || len(p.ran) > ran {
		t.Errorf("%v, and %d commands ran without their secret", err, len(p.ran)-ran)
	}
}
