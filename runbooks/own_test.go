package runbooks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/google"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/steps/custom"
)

// place notes what is opened and run.
type place struct {
	name string
	log  *[]string
}

func (p place) Do(_ context.Context, c custom.Command) (int, error) {
	*p.log = append(*p.log, p.name+": "+strings.Join(c.Argv, " "))
	return 0, nil
}

func recording(log *[]string) Own[migrate.Rehearsal] {
	on := func(name string) (migrate.Eye[custom.Place], migrate.Hand[migrate.Rehearsal, custom.Place]) {
		*log = append(*log, name+" was opened")
		eye := migrate.Look[custom.Place](name, place{name, log})
		return eye, migrate.NoHands[migrate.Rehearsal](eye)
	}
	return Own[migrate.Rehearsal]{
		LeftOut: RehearsalLeavesOut,
		OnHost: func(o OwnStep) (migrate.Eye[custom.Place], migrate.Hand[migrate.Rehearsal, custom.Place]) {
			return on(o.Host)
		},
		Local: func(OwnStep) (migrate.Eye[custom.Place], migrate.Hand[migrate.Rehearsal, custom.Place]) {
			return on("this machine")
		},
		InPod: func(_ context.Context, c google.Cluster, p PodName) (custom.Place, error) {
			return place{"pod", log}, nil
		},
	}
}

// whole is a runbook of one phase with the user's own steps, and the cluster's before it.
func whole(log *[]string, steps ...OwnStep) *migrate.Runbook[migrate.Rehearsal] {
	rb := migrate.NewRunbook[migrate.Rehearsal]()
	rb.Phase("stand up")
	nothing := migrate.Look("nothing", struct{}{})
	cl := migrate.Add(rb, aCluster{"standup.cluster"}, nothing, migrate.NoHands[migrate.Rehearsal](nothing))
	rel := migrate.Add(rb, aCluster{"standup.release"}, nothing, migrate.NoHands[migrate.Rehearsal](nothing))
	rb.Phase("open")
	own(rb, recording(log), steps, "open", cl, rel.Dep())
	return rb
}

type aCluster struct{ id migrate.StepID }

func (c aCluster) Spec() migrate.Spec { return migrate.Spec{ID: c.id} }
func (aCluster) Plan(context.Context, *migrate.Scope[struct{}], migrate.Recorded[google.Cluster]) (migrate.Plan[google.Cluster], error) {
	return migrate.Done(google.Cluster{}), nil
}
func (aCluster) Run(context.Context, *migrate.Scope[struct{}], google.Cluster) (google.Cluster, error) {
	return google.Cluster{}, errors.New("not called")
}
func (aCluster) Verify(context.Context, *migrate.Scope[struct{}], google.Cluster) error { return nil }
func (aCluster) Undo(context.Context, *migrate.Scope[struct{}], migrate.Recorded[google.Cluster]) error {
	return errors.New("not called")
}

// In a rehearsal nothing but a step that is read-only ever gets a host or this machine, wherever it stands; and what can't be
// undone gets nothing at all.
func TestRehearsalOpensNothingToChange(t *testing.T) {
	for _, readOnly := range []bool{false, true} {
		for _, irreversible := range []bool{false, true} {
			for _, where := range []string{"web1", "this machine", "pod"} {
				o := OwnStep{Phase: "open", Step: custom.Step{ID: "own.x", Title: "x", Where: where, ReadOnly: readOnly, Irreversible: irreversible,
					Argv: custom.Argv{Run: []string{"change"}}}}
				switch where {
				case "web1":
					o.Host = where
				case "pod":
					o.Pod = &PodName{Label: "app=web"}
				default:
					o.Local = true
				}
				var log []string
				rb := whole(&log, o)
				if err := rb.Err(); err != nil {
					t.Fatal(err)
				}
				opened := slices.Contains(log, where+" was opened")
				if may := readOnly && !irreversible && where != "pod"; opened != may {
					t.Errorf("read-only %v, irreversible %v: %s was opened: %v", readOnly, irreversible, where, opened)
				}
				outline, err := rb.Plan(t.Context(), migrate.Options{})
				if err != nil {
					t.Fatal(err)
				}
				steps := outline.Phases[1].Steps
				left := strings.HasPrefix(steps[0].Title, "left out: ") && steps[0].Effects[0].Verb == "leave out" && steps[0].Effects[0].Detail != ""
				if runs := !irreversible && (readOnly || where == "pod"); left == runs {
					t.Errorf("read-only %v, irreversible %v, on %s: %+v", readOnly, irreversible, where, steps[0])
				}
				for _, ts := range rb.Steps() {
					for _, x := range ts.Origin {
						if x.How == migrate.Acted && x.On == migrate.OnReal {
							t.Errorf("acts on the real thing: %+v", x)
						}
					}
				}
			}
		}
	}
}

// A step waits for those that it comes after, and runs in its phase.
func TestOwnOrder(t *testing.T) {
	var log []string
	step := func(id migrate.StepID, after ...migrate.StepID) OwnStep {
		return OwnStep{Phase: "open", Host: "web1", After: after, Step: custom.Step{ID: id, ReadOnly: true, Argv: custom.Argv{Run: []string{string(id)}}}}
	}
	other := step("own.other")
	other.Phase = "flip"
	pod := OwnStep{Phase: "open", Pod: &PodName{}, Step: custom.Step{ID: "own.pod", Argv: custom.Argv{Run: []string{"x"}}}}
	rb := whole(&log, step("own.a"), other, step("own.b", "own.a", "standup.cluster"), pod)
	if err := rb.Err(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range rb.Steps()[2:] {
		got = append(got, fmt.Sprint(s.Phase, " ", s.ID, s.Needs))
	}
	if want := "open own.a[] open own.b[own.a standup.cluster] open own.pod[standup.cluster standup.release]"; strings.Join(got, " ") != want {
		t.Errorf("%q", got)
	}
	if err := whole(&log, step("own.a", "own.nowhere")).Err(); err == nil {
		t.Error("it waits for a step that there isn't")
	}
}

// A pod that is gone does not keep its cluster from being deleted.
func TestFailedUndoInAPodHoldsNothing(t *testing.T) {
	inPod := OwnStep{Phase: "open", Pod: &PodName{}, Step: custom.Step{ID: "own.pod", Argv: custom.Argv{Check: []string{"c"}, Run: []string{"x"}, Undo: []string{"u"}}}}
	if ifNotUndone(inPod) != migrate.GoOn || ifNotUndone(OwnStep{Host: "web1"}) != migrate.Hold {
		t.Error("a pod holds, or a host doesn't")
	}
	inPod.Step.OnUndoFailure = ifNotUndone(inPod)
	if inPod.Step.Spec().OnUndoFailure != migrate.GoOn {
		t.Error("the step's spec doesn't say so")
	}
}
