package steptest_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/steptest"
)

// shelf is the world: files by name, with who wrote them.
type shelf struct {
	p     *steptest.Process
	files map[string]string
}

type shelfLook interface {
	Files() (map[string]string, error)
}

type shelfAct interface {
	shelfLook
	Put(name, owner string) error
	Drop(name string) error
}

type onlyLooks struct{ shelfLook }

func (s *shelf) Files() (map[string]string, error) {
	return maps.Clone(s.files), s.p.Look()
}

func (s *shelf) Put(name, owner string) error {
	return s.p.Act("put "+name, func() { s.files[name] = "half" }, func() error {
		if was := s.files[name]; was != "" && was != "half" {
			return errors.New(name + " is there already")
		}
		s.files[name] = owner
		return nil
	})
}

func (s *shelf) Drop(name string) error {
	return s.p.Act("drop "+name, nil, func() error {
		if s.files[name] == "" {
			return errors.New(name + " is not there")
		}
		delete(s.files, name)
		return nil
	})
}

// fill puts three files on the shelf, one of which may be there before. Its flaw is what the suite must find.
type fill struct {
	clerk migrate.Ref[clerkOut]
	flaw  string
	calls *int
}

type (
	clerkOut struct{ Name string }
	fillOut  struct {
		Mine  []string // what this run puts there
		Owner string
		Note  string
	}
)

var wanted = []string{"a", "b", "c"}

const password = "correct horse battery staple"

func (f fill) Spec() migrate.Spec {
	return migrate.Spec{ID: "shelf.fill", Title: "fill the shelf", Needs: []migrate.Dep{f.clerk.Dep()}, Timeout: time.Minute}
}

func (f fill) Plan(_ context.Context, s *migrate.Scope[shelfLook], rec migrate.Recorded[fillOut]) (p migrate.Plan[fillOut], err error) {
	*f.calls++
	owner := s.Run()
	there, err := s.C.Files()
	if err != nil {
		return p, err
	}
	p.Want = fillOut{Owner: owner, Mine: []string{}}
	todo := 0
	for _, name := range wanted {
		switch there[name] {
		case "", "half":
			todo++
			p.Want.Mine = append(p.Want.Mine, name)
			p.Effects = append(p.Effects, migrate.Effect{Verb: "put", Object: "file " + name})
		case owner:
			p.Want.Mine = append(p.Want.Mine, name)
		}
	}
	switch f.flaw {
	case "plan is not stable":
		p.Effects = append(p.Effects, migrate.Effect{Verb: "count", Object: fmt.Sprint(*f.calls)})
	case "plan changes the world":
		if a, ok := s.C.(onlyLooks).shelfLook.(*shelf); ok {
			a.files["z"] = "plan"
		}
	case "plan leaks":
		p.Effects = append(p.Effects, migrate.Effect{Verb: "log in", Object: password})
	case "plan never says done":
		return p, nil
	case "plan says done with another out":
		if todo == 0 {
			p.Want.Note = fmt.Sprint(*f.calls)
		}
	case "plan takes half for whole":
		if len(there) >= len(wanted) {
			return migrate.Done(p.Want), nil
		}
	}
	if todo == 0 {
		return migrate.Done(p.Want), nil
	}
	return p, nil
}

func (f fill) Run(_ context.Context, s *migrate.Scope[shelfAct], want fillOut) (fillOut, error) {
	there, err := s.C.Files()
	if err != nil {
		return want, err
	}
	for _, name := range want.Mine {
		if f.flaw == "run looks at nothing" {
			delete(there, name)
		}
		if f.flaw == "run does too little" && name == "c" {
			break
		}
		if there[name] == want.Owner {
			continue
		}
		if err := s.C.Put(name, want.Owner); err != nil && f.flaw != "run swallows errors" {
			return want, fmt.Errorf("put %s: %w", name, err)
		}
	}
	if f.flaw == "run leaks" {
		want.Note = password
	}
	return want, nil
}

func (f fill) Verify(_ context.Context, s *migrate.Scope[shelfLook], out fillOut) error {
	there, err := s.C.Files()
	if err != nil || f.flaw == "verify sees nothing" || f.flaw == "run does too little" || f.flaw == "run swallows errors" {
		return err
	}
	for _, name := range wanted {
		if there[name] == "" || there[name] == "half" {
			return fmt.Errorf("file %s is missing", name)
		}
	}
	if f.flaw == "error leaks" {
		return errors.New("could not log in with " + password)
	}
	return nil
}

func (f fill) Undo(_ context.Context, s *migrate.Scope[shelfAct], rec migrate.Recorded[fillOut]) error {
	there, err := s.C.Files()
	if err != nil {
		return err
	}
	mine := rec.Want.Mine
	switch f.flaw {
	case "undo forgets":
		mine = mine[:len(mine)-1]
	case "undo only knows what is complete":
		if !rec.Complete {
			return nil
		}
	case "undo takes what was there before":
		mine = wanted
	case "undo of the second attempt's image":
		mine = rec.Out.Mine
	case "undo looks at nothing":
		for _, name := range mine {
			there[name] = rec.Want.Owner
		}
	}
	for _, name := range mine {
		if there[name] == "" {
			continue
		}
		if err := s.C.Drop(name); err != nil {
			return fmt.Errorf("drop %s: %w", name, err)
		}
	}
	return nil
}

func shelfCase(flaw string) steptest.Case {
	calls := 0
	return steptest.Case{New: func(t *testing.T, p *steptest.Process) steptest.World {
		w := &shelf{p: p, files: map[string]string{"b": "before"}}
		return steptest.World{
			Add: func(rb *migrate.Runbook[migrate.Rehearsal]) {
				clerk := steptest.Given(rb, "shelf.clerk", clerkOut{"smith"})
				migrate.Add(rb, fill{clerk, flaw, &calls}, migrate.Look[shelfLook]("shelf", onlyLooks{w}),
					migrate.Created[migrate.Rehearsal](clerk, func(context.Context, clerkOut, migrate.Stamp) (shelfAct, error) { return w, nil }))
			},
			State: func() string {
				var all []string
				for _, name := range slices.Sorted(maps.Keys(w.files)) {
					all = append(all, name+"="+w.files[name])
				}
				return strings.Join(all, " ")
			},
			Spoil:   []steptest.Spoil{{Name: "file a is gone", Do: func() { delete(w.files, "a") }}, {Name: "file b is gone", Do: func() { delete(w.files, "b") }}},
			Secrets: []string{password},
		}
	}}
}

func TestGoodStep(t *testing.T) { steptest.Run(t, shelfCase("")) }

const flawVariable = "STEPTEST_FLAW"

// TestFlawedStep is run by TestSuiteFindsFlaws, in a process of its own, because it must fail.
func TestFlawedStep(t *testing.T) {
	if flaw := os.Getenv(flawVariable); flaw != "" {
		steptest.Run(t, shelfCase(flaw))
	}
}

func TestSuiteFindsFlaws(t *testing.T) {
	for _, x := range []struct{ flaw, part, says string }{
		{"plan is not stable", "plan", "the plan is not the same twice"},
		{"plan changes the world", "plan", "the plan changed the world"},
		{"plan leaks", "secrets", "a secret is in the plan"},
		{"plan never says done", "again", "does not say Done with the same Out"},
		{"plan says done with another out", "again", "does not say Done with the same Out"},
		{"plan takes half for whole", "killed", "verify: file c is missing"},
		{"run looks at nothing", "killed", "is there already"},
		{"run does too little", "verify", "verify did not find"},
		{"run swallows errors", "failed", "would put file a"},
		{"run leaks", "secrets", "a secret is in the journal"},
		{"error leaks", "secrets", "a secret is in the error"},
		{"verify sees nothing", "verify", "verify did not find"},
		{"undo forgets", "undone", "the world is"},
		{"undo only knows what is complete", "undone", "the world is"},
		{"undo takes what was there before", "undone", "the world is"},
		{"undo of the second attempt's image", "undone", "the world is"},
		{"undo looks at nothing", "killed_in_undo", "is not there"},
	} {
		t.Run(x.flaw, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^TestFlawedStep$/^"+x.part+"$", "-test.v")
			cmd.Env = append(os.Environ(), flawVariable+"="+x.flaw)
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatalf("the suite passes a step whose flaw is that %s", x.flaw)
			}
			if text := string(out); !strings.Contains(text, "--- FAIL: TestFlawedStep/"+x.part) || !strings.Contains(text, x.says) {
				t.Errorf("the suite did not say %q in %s:\n%.3000s", x.says, x.part, text)
			}
		})
	}
}
