package migrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Outline is a plan: what a run would do, or what a rollback would undo, in order. The same world gives the same outline,
// byte for byte.
type Outline struct {
	Mode   string         `json:"mode"`
	Phases []OutlinePhase `json:"phases"`
	// Back is how the run is rolled back, or rolls itself back at its end.
	Back []OutlinePhase `json:"back,omitempty"`
}

// OutlinePhase is a phase or a leg of the way back.
type OutlinePhase struct {
	Name string `json:"name"`
	// Within is the limit of a phase that is taken back when it isn't over by then.
	Within time.Duration `json:"within,omitempty"`
	Steps  []OutlineStep `json:"steps"`
}

// OutlineStep is what one step would do.
type OutlineStep struct {
	ID     StepID `json:"id"`
	Kind   string `json:"kind"`
	Title  string `json:"title,omitempty"`
	Origin Origin `json:"origin,omitempty"`
	// Holds: it is done already, and there is nothing to do.
	Holds bool `json:"holds,omitempty"`
	// After is the step without whose result more can't be known.
	After   StepID   `json:"after,omitempty"`
	Effects []Effect `json:"effects,omitempty"`
	// Error is why the step can't be planned.
	Error string `json:"error,omitempty"`
	// State is where the step stands, in the outline of a rollback.
	State StepState `json:"state,omitempty"`
	// Irreversible: a rollback can't undo it.
	Irreversible bool `json:"irreversible,omitempty"`
}

// Plan looks at every step, in order, as a run would, and changes nothing. An outline comes back even when steps can't be
// planned: the error has all of their problems, and the outline each at its place.
func (rb *Runbook[M]) Plan(ctx context.Context, o Options) (*Outline, error) {
	b := &rb.book
	if err := b.check(); err != nil {
		return nil, err
	}
	if err := o.Ending.check(b); err != nil {
		return nil, err
	}
	out := &Outline{Mode: b.mode}
	known := map[StepID]json.RawMessage{} // results that hold already: later steps may read them
	bad := problems{}
	for _, n := range b.nodes {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		step, err := n.outline(ctx, known)
		if err != nil {
			bad.err(err)
		}
		out.Phases = addTo(out.Phases, n.phase, step)
		out.Phases[len(out.Phases)-1].Within = n.limit
	}
	if o.Ending.Turn {
		for _, n := range slices.Backward(b.nodes) {
			if n.kind != kindGate {
				out.Back = addTo(out.Back, o.Ending.legOf(b.phases, n.phase), n.bare())
			}
		}
	}
	return out, bad.orNil()
}

func addTo(phases []OutlinePhase, name string, s OutlineStep) []OutlinePhase {
	if len(phases) == 0 || phases[len(phases)-1].Name != name {
		phases = append(phases, OutlinePhase{Name: name})
	}
	p := &phases[len(phases)-1]
	p.Steps = append(p.Steps, s)
	return phases
}

func (n *node) bare() OutlineStep {
	return OutlineStep{ID: n.spec.ID, Kind: string(n.kind), Title: n.spec.Title, Origin: n.origin, Irreversible: n.spec.PointOfNoReturn}
}

func (n *node) outline(ctx context.Context, known map[StepID]json.RawMessage) (OutlineStep, error) {
	step := n.bare()
	if n.kind == kindGate {
		step.Effects = []Effect{{Verb: "wait", Object: "for a person's word", Detail: n.gate.patience()}}
		return step, nil
	}
	c := &call{run: PlanID, node: n, planning: true, recorded: func(id StepID) (json.RawMessage, bool) {
		raw, ok := known[id]
		return raw, ok
	}}
	ctx, cancel := context.WithTimeoutCause(ctx, n.timeout(), fmt.Errorf("%w: more than %s", ErrTimeout, n.timeout()))
	defer cancel()
	p, err := n.plan(ctx, c, rawRecorded{})
	var missing *notRecorded
	switch {
	case errors.As(err, &missing):
		step.After = missing.step
		return step, nil
	case err != nil:
		if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
			err = fmt.Errorf("%w: %w", cause, err)
		}
		step.Error = err.Error()
		return step, &StepError{n.spec.ID, Planning, err}
	case p.done != nil && n.kind == kindStep:
		known[n.spec.ID], step.Holds = p.done, true
	default:
		step.Effects = p.effects
	}
	return step, nil
}

// patience says how long a gate waits, in words.
func (g *Gate) patience() string {
	var limits []string
	if g.Within > 0 {
		limits = append(limits, "at most "+g.Within.String())
	}
	if !g.By.IsZero() {
		limits = append(limits, "until "+g.By.UTC().Format(time.RFC3339))
	}
	if len(limits) == 0 {
		return "for as long as it takes"
	}
	return strings.Join(limits, " and ") + ", and then the run goes back"
}

// PlanRollback says what a rollback would undo, in order: each step with the effects that the run recorded for it. Steps
// that the run found done, and leaves alone, hold. It needs no runbook and no lock: it may be asked while another process
// works on the run. It fails with ErrIrreversible when a point of no return is in the way; the outline marks it.
func (h *History) PlanRollback(keeps StepID) (*Outline, error) {
	keep, err := h.lastKept(keeps)
	if err != nil {
		return nil, err
	}
	if h.Direction == Back {
		keep = h.Keeps
	}
	out := &Outline{Mode: h.Manifest.Mode}
	names := h.phaseNames()
	for _, s := range slices.Backward(h.above(keep)) {
		if nodeKind(s.Kind) == kindGate && !s.noReturn() {
			continue
		}
		step := OutlineStep{ID: s.ID, Kind: s.Kind, Title: s.Title, Origin: s.Origin, State: s.state(), Effects: s.effects,
			Holds: nodeKind(s.Kind) == kindStep && s.intents == 0, Irreversible: s.noReturn()}
		out.Back = addTo(out.Back, h.Manifest.Ending.legOf(names, s.Phase), step)
	}
	return out, h.reversible(keep)
}

// PlanRollback is the same for the run at hand.
func (r *Run) PlanRollback(keeps StepID) (*Outline, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.h.PlanRollback(keeps)
}
