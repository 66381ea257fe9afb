package migrate

import (
	"fmt"
	"slices"
	"strings"
)

// Format is the version of the records' data that this program writes. It reads this version and all before it.
const Format = 1

// Manifest is what a run was opened with. The opening record pins it; a resume compares.
type Manifest struct {
	Format int    `json:"format"`
	Mode   string `json:"mode"`
	// Tool is the program and its version.
	Tool string `json:"tool"`
	// Config is the configuration's settings by name and digest, sorted by name; never a value.
	Config []Setting `json:"config,omitempty"`
	// Arguments are what the run was told when it was opened and a resume must be told again, in the clear.
	Arguments []Argument     `json:"arguments,omitempty"`
	Steps     []ManifestStep `json:"steps"`
	Ending    Ending         `json:"ending,omitzero"`
}

// Argument is what a run was told on its command line: the snapshot that it uses again. It is never a secret.
type Argument struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Setting is a part of the configuration and the digest of its value.
type Setting struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
}

// ManifestStep is a step, service, drain or gate as a manifest has it.
type ManifestStep struct {
	ID      StepID   `json:"id"`
	Kind    string   `json:"kind"` // step, service, drain or gate
	Phase   string   `json:"phase"`
	Stretch int      `json:"stretch"` // steps of one stretch run side by side
	Title   string   `json:"title,omitempty"`
	Version int      `json:"version,omitempty"`
	Needs   []StepID `json:"needs,omitempty"`
	Shape   string   `json:"shape,omitempty"` // of its Out
	Origin  Origin   `json:"origin,omitempty"`
	// NoReturn: a rollback does not go past it once it is passed.
	NoReturn bool `json:"no_return,omitempty"`
}

func (b *book) manifestSteps() []ManifestStep {
	var steps []ManifestStep
	for _, n := range b.nodes {
		steps = append(steps, ManifestStep{n.spec.ID, string(n.kind), n.phase, n.stretch, n.spec.Title, n.spec.Version, n.needs, n.shape, n.origin,
			n.spec.PointOfNoReturn})
	}
	return steps
}

func (b *book) manifest(o Options) *Manifest {
	config := slices.Clone(o.Config)
	slices.SortStableFunc(config, func(x, y Setting) int { return strings.Compare(x.Name, y.Name) })
	return &Manifest{Format, b.mode, o.Tool, config, slices.Clone(o.Arguments), b.manifestSteps(), o.Ending}
}

// Argument is the value of one of the arguments; "" when there is none of that name.
func (m *Manifest) Argument(name string) string {
	if i := slices.IndexFunc(m.Arguments, func(a Argument) bool { return a.Name == name }); i >= 0 {
		return m.Arguments[i].Value
	}
	return ""
}

func (m *Manifest) byID() map[StepID]ManifestStep {
	steps := make(map[StepID]ManifestStep, len(m.Steps))
	for _, s := range m.Steps {
		steps[s.ID] = s
	}
	return steps
}

// differs says in words, in the runbook's order, what is now other than it was. Titles may change.
func (m *Manifest) differs(now *Manifest) (d []string) {
	say := func(what string, was, is any) {
		if w, i := fmt.Sprint(was), fmt.Sprint(is); w != i {
			d = append(d, fmt.Sprintf("%s: was %s, is %s", what, orNone(w), orNone(i)))
		}
	}
	say("mode", m.Mode, now.Mode)
	say("program", m.Tool, now.Tool)
	say("arguments", m.Arguments, now.Arguments)
	d = append(d, settingsDiffer(m.Config, now.Config)...)
	wasSteps, isSteps := m.byID(), now.byID()
	for _, s := range m.Steps {
		is, there := isSteps[s.ID]
		if !there {
			d = append(d, fmt.Sprintf("step %s: is gone", s.ID))
			continue
		}
		if s.same(is) {
			continue
		}
		what := "step " + string(s.ID) + ": "
		say(what+"kind", s.Kind, is.Kind)
		say(what+"phase", s.Phase, is.Phase)
		say(what+"version", s.Version, is.Version)
		say(what+"needs", s.Needs, is.Needs)
		say(what+"result", s.Shape, is.Shape)
		say(what+"origin", s.Origin, is.Origin)
		say(what+"point of no return", s.NoReturn, is.NoReturn)
	}
	for _, s := range now.Steps {
		if _, there := wasSteps[s.ID]; !there {
			d = append(d, fmt.Sprintf("step %s: is new", s.ID))
		}
	}
	return d
}

// same: there is nothing that differs would say. A manifest has many steps, and printing them all to compare them takes
// longer than all the rest of a replay.
func (s ManifestStep) same(is ManifestStep) bool {
	return s.Kind == is.Kind && s.Phase == is.Phase && s.Version == is.Version && slices.Equal(s.Needs, is.Needs) && s.Shape == is.Shape &&
		slices.Equal(s.Origin, is.Origin) && s.NoReturn == is.NoReturn
}

func settingsDiffer(was, is []Setting) (d []string) {
	for len(was) > 0 || len(is) > 0 {
		switch {
		case len(is) == 0 || len(was) > 0 && was[0].Name < is[0].Name:
			d, was = append(d, "configuration: "+was[0].Name+" is gone"), was[1:]
		case len(was) == 0 || is[0].Name < was[0].Name:
			d, is = append(d, "configuration: "+is[0].Name+" is new"), is[1:]
		default:
			if was[0].Digest != is[0].Digest {
				d = append(d, "configuration: "+was[0].Name+" has changed")
			}
			was, is = was[1:], is[1:]
		}
	}
	return d
}

func orNone(s string) string {
	if s == "" || s == "[]" {
		return "none"
	}
	return s
}

// Ending is what happens after the last step forward, and how the way back is cut into legs. It is pinned when the run
// is opened.
type Ending struct {
	// Turn: the run rolls itself back, and is then done. Keep: it stays as it is, and is kept. Neither: it is done.
	Turn bool  `json:"turn,omitempty"`
	Keep bool  `json:"keep,omitempty"`
	Legs []Leg `json:"legs,omitempty"`
}

// Leg is a named part of the way back, timed as a phase of its own.
type Leg struct {
	Name string `json:"name"`
	// DownTo is the last phase that this leg leaves as it is: it undoes what came after that phase. Empty: it undoes
	// all that is left. Where the last leg has a DownTo, a rollback goes no further by itself.
	DownTo string `json:"down_to,omitempty"`
}

// EndDone closes the run after its last step: a cut-over. legs are for a rollback, should one be asked for.
func EndDone(legs ...Leg) Ending { return Ending{Legs: legs} }

// EndKept leaves standing what the run made, until a rollback is asked for: rehearse --keep.
func EndKept(legs ...Leg) Ending { return Ending{Keep: true, Legs: legs} }

// EndWithRollback turns the run after its last step forward, or before a gate that is a point of no return: what it did
// is undone leg by leg, and then the run is done. So a rehearsal ends.
func EndWithRollback(legs ...Leg) Ending { return Ending{Turn: true, Legs: legs} }

func (e Ending) check(b *book) error {
	bad := problems{}
	last := len(b.phases)
	for i, l := range e.Legs {
		at := slices.Index(b.phases, l.DownTo)
		switch {
		case l.Name == "":
			bad.add("leg %d of the way back has no name", i+1)
		case l.DownTo == "" && i < len(e.Legs)-1:
			bad.add("leg %q of the way back undoes all, and is not the last", l.Name)
		case l.DownTo != "" && at < 0:
			bad.add("leg %q of the way back goes down to %q, which is no phase", l.Name, l.DownTo)
		case l.DownTo != "" && at >= last:
			bad.add("leg %q of the way back begins above where it ends", l.Name)
		}
		last = at
	}
	if n := len(e.Legs); e.Turn && n > 0 && e.Legs[n-1].DownTo != "" {
		bad.add("a run that ends with its rollback must undo all: leg %q stops at %q", e.Legs[n-1].Name, e.Legs[n-1].DownTo)
	}
	return bad.orNil()
}

// stop is the last phase that a rollback leaves as it is unless it is told more; "" when it goes all the way.
func (e Ending) stop() string {
	if n := len(e.Legs); n > 0 {
		return e.Legs[n-1].DownTo
	}
	return ""
}

// legOf names the leg in which a phase is undone. phases are the runbook's in order.
func (e Ending) legOf(phases []string, phase string) string {
	at := slices.Index(phases, phase)
	for _, l := range e.Legs {
		if at > slices.Index(phases, l.DownTo) {
			return l.Name
		}
	}
	if len(e.Legs) > 0 {
		return e.Legs[len(e.Legs)-1].Name // below where it stops by itself: it was told to go further
	}
	return "rollback"
}
