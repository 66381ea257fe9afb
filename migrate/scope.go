package migrate

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
)

// Scope is what one call of one step gets. C is what it works with: the looker in Plan and Verify, the actor in Run and
// Undo. It is of no use after the call has returned. It may be used from many goroutines.
type Scope[C any] struct {
	C C

	call *call
}

// Key is the same in every attempt of this step in this run, and in no other: run id + "-" + step id. Names and request
// ids of what is created are made from it, so that a second attempt finds what the first one made.
func (s *Scope[C]) Key() string { return s.call.run + "-" + string(s.call.node.spec.ID) }

// Run is the run's id, as NewID makes them; in a plan without a run it is PlanID.
func (s *Scope[C]) Run() string { return s.call.run }

// Stamp goes into the labels and annotations of what is created. Undo deletes only what carries this run's; an actor
// refuses to act with a Fence that is lower than one it has seen.
func (s *Scope[C]) Stamp() Stamp { return s.call.stamp() }

// Progress says how far the call is. Call it as often as you like: the engine shows a few a second.
func (s *Scope[C]) Progress(p Progress) { s.call.progress(p) }

// Moved adds to what this step has moved. It is recorded with the outcome; what an attempt moved that was killed is not
// counted.
func (s *Scope[C]) Moved(t Tally) { s.call.moved(t) }

// Stamp says who made a thing: which run, which step of it, and which of the processes that worked on the run.
type Stamp struct {
	Run   string
	Step  StepID
	Fence uint64
}

// Progress is how far a call is: "copy table shop.orders", 1200 of 5000 rows. Total is 0 when it isn't known.
type Progress struct {
	What  string `json:"what"`
	Done  int64  `json:"done"`
	Total int64  `json:"total,omitempty"`
	Unit  string `json:"unit,omitempty"` // bytes, rows or files; empty where nothing is counted
}

// Tally is what was moved.
type Tally struct {
	Bytes int64 `json:"bytes,omitempty"`
	Rows  int64 `json:"rows,omitempty"`
	Files int64 `json:"files,omitempty"`
}

// Plus is the sum.
func (t Tally) Plus(u Tally) Tally {
	return Tally{t.Bytes + u.Bytes, t.Rows + u.Rows, t.Files + u.Files}
}

// Value is the recorded result of a step that this one needs. It fails with ErrUndeclaredDep when the step isn't in
// Needs, and with ErrNotRecorded when there is no result yet, which only happens in a plan.
func Value[C, Out any](s *Scope[C], r Ref[Out]) (Out, error) { return value(s.call, r) }

// call is what stands behind the scopes of one call of one step.
type call struct {
	run      string
	fence    uint64
	node     *node
	planning bool                                 // nothing is recorded yet, and nothing will be
	recorded func(StepID) (json.RawMessage, bool) // results of other steps
	tell     func(Progress)                       // nil: nobody listens
	sess     *session                             // nil in a plan

	mu    sync.Mutex
	tally Tally
}

func (c *call) stamp() Stamp { return Stamp{c.run, c.node.spec.ID, c.fence} }

func (c *call) progress(p Progress) {
	if c.tell != nil {
		c.tell(p)
	}
}

func (c *call) moved(t Tally) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tally = c.tally.Plus(t)
}

// took gives what was moved since it was last asked.
func (c *call) took() Tally {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.tally
	c.tally = Tally{}
	return t
}

func value[Out any](c *call, r Ref[Out]) (out Out, err error) {
	if !c.node.reads[r.id] {
		return out, fmt.Errorf("%s asks for the result of %q: %w", c.node.spec.ID, r.id, ErrUndeclaredDep)
	}
	raw, ok := c.recorded(r.id)
	if !ok {
		return out, &notRecorded{r.id}
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		return out, fmt.Errorf("read the result of %s: %w", r.id, err)
	}
	return out, nil
}

// Known is err, but for what only a plan meets: a result that isn't known yet (ErrNotRecorded).
func Known(err error) error {
	if errors.Is(err, ErrNotRecorded) {
		return nil
	}
	return err
}

// notRecorded is ErrNotRecorded with the step whose result is missing.
type notRecorded struct{ step StepID }

func (e *notRecorded) Error() string { return fmt.Sprintf("%s: %v", e.step, ErrNotRecorded) }
func (e *notRecorded) Unwrap() error { return ErrNotRecorded }
