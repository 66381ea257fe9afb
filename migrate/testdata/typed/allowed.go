// Package typed has what must compile and what must not: see TestWhatMustNotCompile. An error that must come is named in
// a comment at its line.
package typed

import (
	"context"

	"github.com/slipway-dev/slipway/migrate"
)

// These compile: without them, the others might fail for another reason.

type edge interface{ Where() string }

type edgeActor interface {
	edge
	Point(to string)
}

type step struct{}

type out struct{ Was string }

func (step) Spec() migrate.Spec { return migrate.Spec{ID: "switch"} }
func (step) Plan(context.Context, *migrate.Scope[edge], migrate.Recorded[out]) (migrate.Plan[out], error) {
	return migrate.Plan[out]{}, nil
}
func (step) Run(_ context.Context, _ *migrate.Scope[edgeActor], want out) (out, error) {
	return want, nil
}
func (step) Verify(context.Context, *migrate.Scope[edge], out) error                      { return nil }
func (step) Undo(context.Context, *migrate.Scope[edgeActor], migrate.Recorded[out]) error { return nil }
func openEdge(context.Context, migrate.Stamp) (edgeActor, error)                          { return nil, nil }
func openMade(context.Context, out, migrate.Stamp) (edgeActor, error)                     { return nil, nil }
func marked(context.Context) error                                                        { return nil }
func joined(_ edge, a edgeActor) edgeActor                                                { return a }
func aRehearsal() (*migrate.Runbook[migrate.Rehearsal], migrate.Eye[edge], migrate.Ref[out]) {
	panic("")
}
func aCutover() (*migrate.Runbook[migrate.Cutover], migrate.Eye[edge], migrate.Ref[out]) { panic("") }
func aService() (migrate.Service[edge, edgeActor, int], migrate.ServiceRef[int])         { panic("") }

type wiring[M migrate.Mode] struct{ Edge migrate.Hand[M, edgeActor] }

func rehearse() {
	rb, eye, ref := aRehearsal()
	migrate.Add(rb, step{}, eye, migrate.Shadow("shadow", marked, openEdge))
	migrate.Add(rb, step{}, eye, migrate.Maker[migrate.Rehearsal]("project", openEdge), ref.Dep())
	migrate.Add(rb, step{}, eye, migrate.Created[migrate.Rehearsal](ref, openMade))
	_ = wiring[migrate.Rehearsal]{Edge: migrate.Shadow("shadow", marked, openEdge)}
}

func cutOver() {
	rb, eye, ref := aCutover()
	migrate.Add(rb, step{}, eye, migrate.Real("edge", openEdge))
	migrate.Add(rb, step{}, eye, migrate.With(eye, migrate.Real("edge", openEdge), joined))
	migrate.Add(rb, step{}, eye, migrate.Created[migrate.Cutover](ref, openMade))
	_ = wiring[migrate.Cutover]{Edge: migrate.Real("edge", openEdge)}
}
