package runbooks

import (
	"context"

	"github.com/slipway-dev/slipway/internal/google"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/steps/custom"
)

// OwnStep is a step of the user's own, and where it belongs. Exactly one of Host, Local and Pod is set.
type OwnStep struct {
	Step  custom.Step // its After and LeftOut are filled in here
	Phase string
	After []migrate.StepID
	Host  string
	Local bool
	Pod   *PodName
}

// PodName says which pod: the first of the release's namespace, by name, that has the label and is ready.
type PodName struct{ Label, Container string }

// Own is with what the user's own steps are run.
type Own[M migrate.Mode] struct {
	// LeftOut says why this mode leaves a step out; "" when it doesn't. A step that is left out is in the runbook, the plan
	// and the journal all the same, and runs no command.
	LeftOut func(OwnStep) string
	// OnHost and Local bind what runs on a host of the source and on this machine.
	OnHost func(OwnStep) (migrate.Eye[custom.Place], migrate.Hand[M, custom.Place])
	Local  func(OwnStep) (migrate.Eye[custom.Place], migrate.Hand[M, custom.Place])
	// InPod opens a pod of a cluster that the run made.
	InPod func(context.Context, google.Cluster, PodName) (custom.Place, error)
}

// own adds the user's own steps of a phase, at its end: in their order, each after those that it names. What pods need is
// in after: the cluster's own steps.
func own[M migrate.Mode](rb *migrate.Runbook[M], w Own[M], steps []OwnStep, phase string, cl migrate.Ref[google.Cluster], after ...migrate.Dep) {
	for _, o := range steps {
		if o.Phase != phase {
			continue
		}
		o.Step.LeftOut = w.LeftOut(o)
		o.Step.OnUndoFailure = ifNotUndone(o)
		for _, id := range o.After {
			if d, ok := rb.Dep(id); ok {
				o.Step.After = append(o.Step.After, d)
			} else {
				o.Step.After = append(o.Step.After, migrate.Dep{}) // the runbook's own check refuses it
			}
		}
		eye, hand := bound(w, o, cl)
		if o.Pod != nil {
			migrate.Add(rb, o.Step, eye, hand, after...)
		} else {
			migrate.Add(rb, o.Step, eye, hand)
		}
	}
}

// ifNotUndone: what a step did in a pod goes with the cluster, so a pod that can't be asked any more must not keep the cluster
// from being deleted. What a step did elsewhere holds what it was done on top of.
func ifNotUndone(o OwnStep) migrate.UndoPolicy {
	if o.Pod != nil {
		return migrate.GoOn
	}
	return migrate.Hold
}

func bound[M migrate.Mode](w Own[M], o OwnStep, cl migrate.Ref[google.Cluster]) (migrate.Eye[custom.Place], migrate.Hand[M, custom.Place]) {
	switch {
	case o.Step.LeftOut != "":
		nothing := migrate.Look[custom.Place]("nothing", custom.Nowhere{})
		return nothing, migrate.NoHands[M](nothing)
	case o.Pod != nil:
		open := func(ctx context.Context, c google.Cluster) (custom.Place, error) { return w.InPod(ctx, c, *o.Pod) }
		eye := migrate.LookAt(cl, custom.Place(custom.Nowhere{}), open)
		if o.Step.ReadOnly {
			return eye, migrate.NoHands[M](eye)
		}
		return eye, migrate.Created[M](cl, func(ctx context.Context, c google.Cluster, _ migrate.Stamp) (custom.Place, error) {
			return open(ctx, c)
		})
	case o.Local:
		return w.Local(o)
	}
	return w.OnHost(o)
}

// RehearsalLeavesOut says why a rehearsal leaves out a step of the user's own; "" when it runs it. What it runs where
// production can be reached only reads; all else it runs in what it has made.
func RehearsalLeavesOut(o OwnStep) string {
	switch {
	case o.Step.Irreversible:
		return "it can't be undone, and a rehearsal undoes all that it does"
	case o.Step.ReadOnly || o.Pod != nil:
		return ""
	case o.Local:
		return "it isn't read-only, and from this machine production can be reached"
	}
	return "it isn't read-only, and a rehearsal changes nothing on the source's hosts"
}
