package typed

import (
	"context"

	"github.com/slipway-dev/slipway/migrate"
)

// A hand on production in a rehearsal.
func realInRehearsal() {
	rb, eye, _ := aRehearsal()
	migrate.Add(rb, step{}, eye, migrate.Real("edge", openEdge))                            // error: type migrate.Hand[migrate.Cutover, edgeActor] of migrate.Real("edge", openEdge) does not match inferred type migrate.Hand[migrate.Rehearsal,
	migrate.Add(rb, step{}, eye, migrate.With(eye, migrate.Real("edge", openEdge), joined)) // error: does not match inferred type migrate.Hand[migrate.Rehearsal,
	migrate.Add(rb, step{}, eye, migrate.Maker[migrate.Cutover]("edge", openEdge))          // error: does not match inferred type migrate.Hand[migrate.Rehearsal,
	_ = wiring[migrate.Rehearsal]{Edge: migrate.Real("edge", openEdge)}                     // error: as migrate.Hand[migrate.Rehearsal, edgeActor] value in struct literal
	_ = migrate.Real[migrate.Rehearsal, edgeActor]("edge", openEdge)                        // error: got 2 type arguments but want 1
	migrate.AddService(rb, service(), eye, migrate.Real("edge", openEdge))                  // error: does not match inferred type migrate.Hand[migrate.Rehearsal,
	var hand migrate.Hand[migrate.Rehearsal, edgeActor] = migrate.Real("edge", openEdge)    // error: cannot use migrate.Real("edge", openEdge)
	_ = hand
}

func service() migrate.Service[edge, edgeActor, int] { s, _ := aService(); return s }

// Nor does a conversion make one, of hands, of runbooks, of results or of eyes.
func converted() {
	rb, eye, ref := aRehearsal()
	cut, _, _ := aCutover()
	hand := migrate.Real("edge", openEdge)
	_ = migrate.Hand[migrate.Rehearsal, edgeActor](hand) // error: cannot convert hand
	_ = (*migrate.Runbook[migrate.Cutover])(rb)          // error: cannot convert rb
	_ = (*migrate.Runbook[migrate.Rehearsal])(cut)       // error: cannot convert cut
	_ = migrate.Ref[string](ref)                         // error: cannot convert ref
	_ = migrate.Eye[edgeActor](eye)                      // error: cannot convert eye
	_, sv := aService()
	_ = migrate.ServiceRef[string](sv) // error: cannot convert sv
}

// A shadow in a cut-over: what it changes there would be nothing.
func shadowInCutover() {
	rb, eye, _ := aCutover()
	migrate.Add(rb, step{}, eye, migrate.Shadow("shadow", marked, openEdge)) // error: does not match inferred type migrate.Hand[migrate.Cutover,
}

// There is no third mode.
type practice struct{}

var _ migrate.Hand[practice, edgeActor] // error: practice does not satisfy migrate.Mode

// A hand that acts otherwise than the step does, an eye that sees something else.
func mismatched() {
	rb, eye, ref := aRehearsal()
	migrate.Add(rb, step{}, eye, migrate.NoHands[migrate.Rehearsal](eye)) // error: type migrate.Hand[migrate.Rehearsal, edge] of migrate.NoHands
	_ = func(s *migrate.Scope[edge]) {
		var text string
		text, _ = migrate.Value(s, ref) // error: cannot use migrate.Value(s, ref)
		_ = text
	}
}

// A looker has no way to act, a result is made by nobody but Add, an event by nobody but the engine.
func looked(s *migrate.Scope[edge]) {
	s.C.Point("new") // error: s.C.Point undefined
}

var _ = migrate.Ref[out]{id: "made.up"} // error: cannot refer to unexported field id
var _ = migrate.Dep{id: "made.up"}      // error: cannot refer to unexported field id

type event struct{}

func (event) Name() string { return "mine" }

var _ migrate.Event = event{} // error: event does not implement migrate.Event (missing method when)

// A step that can't be undone must say so in Undo: it can't leave it out.
type noUndo struct{}

func (noUndo) Spec() migrate.Spec { return migrate.Spec{} }
func (noUndo) Plan(context.Context, *migrate.Scope[edge], migrate.Recorded[out]) (migrate.Plan[out], error) {
	return migrate.Plan[out]{}, nil
}
func (noUndo) Run(_ context.Context, _ *migrate.Scope[edgeActor], want out) (out, error) {
	return want, nil
}
func (noUndo) Verify(context.Context, *migrate.Scope[edge], out) error { return nil }

var _ migrate.Step[edge, edgeActor, out] = noUndo{} // error: missing method Undo
