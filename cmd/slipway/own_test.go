package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/config"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/runbooks"
)

// What after and phase can name in slipway.yaml is what the runbook has, and nothing of it is called as the user's own are.
func TestBuiltInStepsAreTheRunbooks(t *testing.T) {
	var phases []string
	steps := map[string][]string{}
	for _, s := range runbooks.Phases(runbooks.Wiring[migrate.Rehearsal]{}, runbooks.Site{Schemas: []string{"shop"}}).Steps() {
		if s.Kind == "gate" {
			continue // it can't be named: all that comes after it does so anyway
		}
		if len(phases) == 0 || phases[len(phases)-1] != s.Phase {
			phases = append(phases, s.Phase)
		}
		steps[s.Phase] = append(steps[s.Phase], string(s.ID))
		if strings.HasPrefix(string(s.ID), config.OwnPrefix) {
			t.Errorf("%s is called as the user's own steps are", s.ID)
		}
	}
	var known []string
	for _, p := range config.BuiltIn {
		known = append(known, p.Phase)
		if is, want := strings.Join(steps[p.Phase], " "), strings.Join(p.Steps, " "); is != want {
			t.Errorf("%s: the runbook has %s, and config.BuiltIn %s", p.Phase, is, want)
		}
	}
	if strings.Join(phases, ", ") != strings.Join(known, ", ") {
		t.Errorf("the runbook's phases are %q, config.BuiltIn's %q", phases, known)
	}
}

func TestOwnStepsOfTheConfiguration(t *testing.T) {
	c, err := config.Parse("slipway.yaml", []byte(config.Example+`
steps:
  - {id: a, phase: open, host: web1, read-only: true, run: [mailq]}
  - {id: b, after: [own.a], local: true, check: [c], run: [r], verify: [v], undo: [u], timeout: 90s, env: [{name: X, value: y}]}
  - {id: c, title: see, phase: flip, pod: {label: app=web, container: php}, check: [c], run: [r], irreversible: true}
`))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	all := ownSteps(c, dir)
	a, b, d := all[0], all[1], all[2]
	if a.Step.ID != "own.a" || a.Phase != "open" || a.Host != "web1" || !a.Step.ReadOnly || a.Step.Where != "host web1" || a.Step.Title == "" {
		t.Errorf("%+v", a)
	}
	if b.Phase != "open" || !b.Local || b.After[0] != "own.a" || b.Step.Timeout.Seconds() != 90 || b.Step.Env[0].Value != "y" ||
		b.Step.Argv.Check[0]+b.Step.Argv.Run[0]+b.Step.Argv.Verify[0]+b.Step.Argv.Undo[0] != "crvu" {
		t.Errorf("%+v", b)
	}
	if d.Pod.Container != "php" || !d.Step.Irreversible || d.Step.Title != "see" || d.Phase != "flip" {
		t.Errorf("%+v", d)
	}
	for range 2 {
		if where, err := a.Step.Keep("own.a", []byte("text\n")); where != filepath.Join(dir, "own.a.log") || err != nil {
			t.Fatal(where, err)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "own.a.log"))
	if err != nil || string(text) != "text\ntext\n" {
		t.Errorf("%q %v", text, err)
	}
	if st, err := os.Stat(filepath.Join(dir, "own.a.log")); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", st.Mode(), err)
	}
	if ownSteps(c, "")[0].Step.Keep != nil {
		t.Error("a plan keeps something")
	}
}
