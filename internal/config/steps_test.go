package config_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/config"
	"github.com/slipway-dev/slipway/internal/strictyaml"
)

// ownSteps is a part of a slipway.yaml with two steps that are right.
const ownSteps = `steps:
  - id: warm-cache
    title: warm the page cache
    after: [open.release]
    pod: {label: app=web, container: web}
    check: [warm, --is-it]
    run: [warm]
    undo: [cool]
    timeout: 10m
    env: [{name: TOKEN, from: env:TOKEN}, {name: MODE, value: fast}]
  - id: count-mails
    phase: preflight
    host: web1
    read-only: true
    run: [mailq]

`

func TestOwnSteps(t *testing.T) {
	const mark = "# Copies of the source"
	for _, c := range []struct{ from, to, says string }{
		{"", "", ""},
		{"id: warm-cache", "id: flip.dns", "flip.dns is a built-in step"},
		{"id: warm-cache", "id: own.x", "use lower-case letters"},
		{"id: warm-cache", "id: a-name-that-is-longer-than-36-letters", "at most 36"},
		{"id: count-mails", "id: warm-cache", "step warm-cache is there already, at "},
		{"[open.release]", "[open.releese]", "open.releese is no step that can come before this one; did you mean open.release"},
		{"[open.release]", "[nonsense]", "nonsense is no step that can come before this one; known here: preflight.hosts"},
		{"[open.release]", "[own.count-mails]", "own.count-mails is no step that can come before"}, // it stands below
		{"[open.release]", "[own.warm-cache]", "own.warm-cache is no step"},
		{"    phase: preflight", "    after: [warm-cache]", "did you mean own.warm-cache"},
		{"    phase: preflight", "    after: [own.warm-cache]", ""},
		{"    phase: preflight", "    after: [own.warm-cache]\n    phase: copy", "own.warm-cache runs in a later phase than copy"},
		{"    phase: preflight", "    after: [own.warm-cache]\n    phase: flip", ""},
		{"    phase: preflight", "    phase: prefight", "write one of preflight, stand up, copy, open, flip"},
		{"    phase: preflight\n", "", "it has no place in the order; give it after or phase"},
		{"    host: web1\n", "", "it doesn't say where it runs"},
		{"    host: web1", "    host: web1\n    local: true", "it has several of host, local and pod"},
		{"    host: web1", "    host: wbe1", "wbe1 is not a host of the inventory; did you mean web1"},
		{"    host: web1", "    local: true", ""},
		{"label: app=web", "label: web", "write KEY=VALUE"},
		{"    after: [open.release]", "    phase: preflight", "in preflight there is no pod yet"},
		{"    after: [open.release]", "    after: [preflight.dns]", "in preflight there is no pod yet"},
		{"    after: [open.release]", "    after: [preflight.dns]\n    phase: open", ""},
		{"    undo: [cool]\n", "", "it has no undo; give it one; or, when nothing can undo it, write irreversible: true"},
		{"    undo: [cool]\n", "    irreversible: true\n", ""},
		{"    undo: [cool]\n", "    undo: [cool]\n    irreversible: true\n", "it has an undo; take one of the two out"},
		{"    check: [warm, --is-it]\n", "", "it has no check"},
		{"    run: [mailq]", "    run: [mailq]\n    undo: [x]", "a step that is read-only changes nothing, and so has no undo"},
		{"    run: [mailq]", "    run: [mailq]\n    check: [x]", "and so has no check"},
		{"    run: [mailq]", "    run: [mailq]\n    irreversible: true", "and so has no irreversible"},
		{"    run: [mailq]", "    run: mailq", "a text where a list is expected"},
		{"    run: [mailq]", "    run: []", "the list is empty"},
		{"    run: [mailq]", `    run: ["a\0b"]`, "NUL"},
		{"    run: [mailq]\n", "", "run: the key is missing"},
		{"    read-only: true", "    read_only: true", "unknown key; did you mean read-only"},
		{"timeout: 10m", "timeout: 0s", "no time at all"},
		{"timeout: 10m", "timeout: 10", "steps[0].timeout"},
		{"name: MODE", "name: TOKEN", "variable TOKEN is there already"},
		{"name: MODE", "name: MO-DE", "use letters, digits and underscores"},
		{"from: env:TOKEN", "value: x, from: env:TOKEN", "it needs one of value and from"},
		{", value: fast", "", "it needs one of value and from"},
		{"from: env:TOKEN", "from: hunter2", "not a reference"},
	} {
		own := ownSteps
		if c.from != "" {
			if !strings.Contains(own, c.from) {
				t.Fatalf("%q is not there", c.from)
			}
			own = strings.Replace(own, c.from, c.to, 1)
		}
		err := edit(t, mark, own+mark)
		if c.says == "" {
			if err != nil {
				t.Errorf("%q: %v", c.to, err)
			}
			continue
		}
		var ps strictyaml.Problems
		if !errors.As(err, &ps) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: got %v, want %q", c.to, err, c.says)
			continue
		}
		for _, p := range ps {
			if p.Line < 100 || strings.Contains(p.String(), "hunter2") {
				t.Errorf("%q: %s", c.to, p)
			}
		}
	}
}

// A step's definition is a setting of its own: a resume names the step that has changed.
func TestOwnStepsDigests(t *testing.T) {
	digests := func(own string) map[string]string {
		c, err := config.Parse("slipway.yaml", []byte(config.Example+"\n"+own))
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]string{}
		for _, d := range c.Digests() {
			all[d.Name] = d.SHA256
		}
		return all
	}
	base := digests(ownSteps)
	for _, change := range []struct{ from, to string }{{"[warm]", "[warm, up]"}, {"[cool]", "[cold]"}, {"env:TOKEN", "env:OTHER"}, {"app=web", "app=api"}, {"10m", "11m"}, {"[warm, --is-it]", "[warmed]"}} {
		for name, sum := range digests(strings.Replace(ownSteps, change.from, change.to, 1)) {
			if (base[name] != sum) != (name == "steps.warm-cache") {
				t.Errorf("%q: %s", change.to, name)
			}
		}
	}
}

func TestPhaseOf(t *testing.T) {
	c, err := config.Parse("slipway.yaml", []byte(config.Example+"\n"+strings.Replace(ownSteps, "phase: preflight", "after: [preflight.dns, own.warm-cache]", 1)))
	if err != nil || c.PhaseOf(c.Steps[0]) != "open" || c.PhaseOf(c.Steps[1]) != "open" {
		t.Errorf("%q %q %v", c.PhaseOf(c.Steps[0]), c.PhaseOf(c.Steps[1]), err)
	}
}
