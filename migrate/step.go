package migrate

import (
	"context"
	"time"
)

// StepID names a step, a service or a gate in runbooks, journals and commands, for ever: an id is never renamed, and
// never reused for something else. It is lower-case words of letters, digits and dashes, joined by dots, 40 characters
// at most: "standup.sql-instance".
type StepID string

// Mode is what a run is. It brands the runbook, and the hands that may be bound in it. There are no other modes of
// acting: a plan is a runbook that is only looked at, a rollback is a run that was turned.
type Mode interface{ Rehearsal | Cutover }

type (
	// Rehearsal reads the real source, and acts on a shadow and on what it creates.
	Rehearsal struct{}
	// Cutover acts on production. It happens once.
	Cutover struct{}
)

// Step changes one thing. L is what it may look with, A what it may act with: small interfaces of the step's own
// package. Out is its result, the only thing that later steps learn of it: plain data that survives JSON.
//
// The engine calls Plan; then, unless Plan says Done, it makes the intent durable and calls Run; then it makes the
// outcome durable and calls Verify. A process that is killed anywhere in between leaves the step to the next one,
// which begins with Plan again. So the rule for authors: whatever state the world is in, Plan must see it, Run must
// finish it, Undo must take it back.
type Step[L, A, Out any] interface {
	// Spec is constant for a value of the step.
	Spec() Spec

	// Plan looks at the world and says what is to be done. It changes nothing. It is called before Run, after a crash in
	// or after Run (rec.Attempts > 0 and not rec.Complete: find what the attempt before left), and again in each later
	// process to see whether what is recorded still holds (rec.Complete). Then, and after every successful Run, it
	// answers Done with the very Out that is recorded; anything else is drift.
	//
	// In slipway plan it also runs before what it looks at exists: its looker is then the absent one, and Value gives
	// ErrNotRecorded for what is not known yet. It still names exact effects where it can.
	Plan(ctx context.Context, s *Scope[L], rec Recorded[Out]) (Plan[Out], error)

	// Run brings the world to want, which is what the latest Plan returned, and returns the result. It must finish what
	// an earlier attempt began, without doing any of it twice.
	Run(ctx context.Context, s *Scope[A], want Out) (Out, error)

	// Verify looks whether out is true, thoroughly; what it cannot prove it must not pass.
	Verify(ctx context.Context, s *Scope[L], out Out) error

	// Undo brings the world back to how it was before the first attempt: rec.Want has it. It works whether Run completed
	// or was killed anywhere (rec.Complete is false then), may be called again after it was killed itself, and touches
	// only what this run made. What cannot be undone returns ErrIrreversible.
	Undo(ctx context.Context, s *Scope[A], rec Recorded[Out]) error
}

// Plan is a step's answer to the question what is to be done.
type Plan[Out any] struct {
	// Done is set when it already holds: its result. Done without any intent on record means that it was found, the
	// work of somebody else: rollback leaves it alone.
	Done *Out
	// Want is what Run is to make, with the before-image that Undo will need. It is durable before Run is called.
	Want Out
	// Effects are what Run will do, in order; the same for the same world, byte for byte.
	Effects []Effect
}

// Done is the plan of a step that has nothing to do: out holds already.
func Done[Out any](out Out) Plan[Out] { return Plan[Out]{Done: &out} }

// Effect is one thing that a step will do: "create", "cluster slipway-20261123-010203-7f3a", "2 nodes e2-standard-4".
type Effect struct {
	Verb   string `json:"verb"`
	Object string `json:"object"`
	Detail string `json:"detail,omitempty"`
}

func (e Effect) String() string {
	s := e.Verb + " " + e.Object
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	return s
}

// Recorded is what the journal knows of a step.
type Recorded[Out any] struct {
	// Want is of the first intent since the step was last undone: its before-image is the true one. Zero without one.
	Want Out
	// Out is the result; zero unless Complete.
	Out      Out
	Complete bool
	// Attempts counts the intents since the step was last undone: 0 means that this run has not touched it.
	Attempts int
}

// Spec is what the engine knows of a step.
type Spec struct {
	ID StepID
	// Version is raised when what the step does or what its Out means changes; a run that is open across such a change
	// is resumed only when a person accepts it.
	Version int
	// Title is for people: "stand up the cluster".
	Title string
	// Needs are the steps whose results this one reads (Value), or after which it must come. What an Eye or a Hand was
	// made from is added by itself.
	Needs []Dep
	// Ends are earlier steps whose results no longer hold once this one has begun, rightly: a resume does not take that
	// for drift.
	Ends []Dep
	// Feeds are services that carry what can happen once this step has begun. Before any step that feeds a service has begun,
	// there is nothing for it to carry: it needn't be up to go back then, and is stopped and not drained.
	Feeds []Dep
	// Timeout bounds each single call of Plan, Run, Verify and Undo; DefaultTimeout when zero. It ends in an error that
	// is ErrTimeout.
	Timeout time.Duration
	// Tries is how often Plan and Run are tried in one process while they fail with a Transient error; 1 when zero.
	Tries int
	// OnUndoFailure says what becomes of the steps below when this one can't be undone.
	OnUndoFailure UndoPolicy
	// OnRollback says how a service ends on the way back.
	OnRollback StopPolicy
	// PointOfNoReturn marks a step after which there is no rollback. It must have a gate before it that is marked so.
	PointOfNoReturn bool
}

// DefaultTimeout bounds a call of a step that names no Timeout.
const DefaultTimeout = 30 * time.Minute

// UndoPolicy says what a step's failed undo does to the steps that it needs, and to all in the phases before it.
type UndoPolicy int

const (
	// Hold keeps them from being undone: a source is not thawed with writes undrained. The default.
	Hold UndoPolicy = iota
	// GoOn undoes them all the same: for steps that only clean up.
	GoOn
)

// StopPolicy says how a service ends on the way back.
type StopPolicy int

const (
	// Drain brings it to its Tip first, and must be up before the first thing is undone. The default.
	Drain StopPolicy = iota
	// Stop just stops it.
	Stop
)

// Dep is a step, service or gate that must have come first.
type Dep struct{ id StepID }

// Step is the id of what must have come first.
func (d Dep) Step() StepID { return d.id }

// Ref is the promise of a step's result. The zero-length field makes Out part of the type's structure: without it, Go
// would convert one Ref into another.
type Ref[Out any] struct {
	_  [0]*Out
	id StepID
}

// Dep is met when the step has been verified.
func (r Ref[Out]) Dep() Dep { return Dep{r.id} }

// ServiceRef is a service that was added to a runbook.
type ServiceRef[Pos any] struct {
	_  [0]*Pos
	id StepID
}

// Dep is met when the service has started, that is when it has reported a position once.
func (r ServiceRef[Pos]) Dep() Dep { return Dep{r.id} }
