package migrate

import (
	"context"
	"encoding/json"
	"time"
)

// Service goes on beside the steps: it follows rows or files until it is told where to stop. Pos is a position in what
// it follows. Its progress must live where its effect is (the position in the transaction of the rows), so that each
// change is applied exactly once however often Follow is started.
type Service[L, A, Pos any] interface {
	Spec() Spec
	// Plan looks, as a step's Plan does; its Want is the position to begin at. Done is not asked for.
	Plan(ctx context.Context, s *Scope[L], rec Recorded[Pos]) (Plan[Pos], error)
	// Follow applies changes from where its effect says it is, and reports each to f. When f.Until yields, it applies
	// exactly to there and no further, reports, and returns nil. It returns an error to be started again, with a
	// growing pause; and ctx's when ctx ends.
	Follow(ctx context.Context, s *Scope[A], f *Feed[Pos]) error
	// Tip is the end of what it follows, now.
	Tip(ctx context.Context, s *Scope[L]) (Pos, error)
	// Verify looks whether everything up to at has been applied, and nothing after it.
	Verify(ctx context.Context, s *Scope[L], at Pos) error
	// Undo is called after the service has stopped, and takes away what following left behind besides the changes.
	Undo(ctx context.Context, s *Scope[A], rec Recorded[Pos]) error
}

// Feed is how a service and the engine talk.
type Feed[Pos any] struct {
	report func(json.RawMessage, error, time.Duration)
	until  <-chan Pos
}

// Applied reports that everything up to at is durable where it belongs, and how far behind that is. The first report
// means that the service has started. It never blocks.
func (f *Feed[Pos]) Applied(at Pos, lag time.Duration) {
	raw, err := encodeOut(at)
	f.report(raw, err, lag)
}

// Until yields once, when the service is to stop, the position at which to stop.
func (f *Feed[Pos]) Until() <-chan Pos { return f.until }

// Gate waits for a person's word. It waits for all that was added before it, and all that is added after it waits for
// the gate.
type Gate struct {
	ID    StepID
	Title string
	// PointOfNoReturn: what was passed here is not rolled back any more. Such a gate has no deadline, and a rehearsal
	// that ends with its own rollback turns here instead of passing.
	PointOfNoReturn bool
	// Healthy are services that must be up, and at most MaxLag behind, at the moment of the pass.
	Healthy []Dep
	MaxLag  time.Duration
	// Within and By are the deadline, the earlier of the two: so long after the gate opened, or that time. When it has
	// passed, the run turns back by itself. Opening the gate records it; a change of configuration does not move it.
	Within time.Duration
	By     time.Time
	// Show gives lines for the person who decides, from what the journal says at that moment. May be nil.
	Show func(context.Context, *History) ([]string, error)
}

// Passed is a gate's result.
type Passed struct {
	Who string    `json:"who"`
	At  time.Time `json:"at"`
	Why string    `json:"why,omitempty"`
}

// Question is what a gate asks.
type Question struct {
	Gate            StepID
	Title           string
	PointOfNoReturn bool

	// Opening is the number of the record that opened the gate: a word that was meant for another opening is no answer.
	Opening  uint64
	Opened   time.Time
	Deadline time.Time // zero: none
	Services []Health
	Lines    []string
	// Refused says why a pass that was given before was not taken: a service was not healthy at that moment.
	Refused string
}

// Health is how a service does.
type Health struct {
	Service StepID        `json:"service"`
	Up      bool          `json:"up"`
	Lag     time.Duration `json:"lag"`
	Error   string        `json:"error,omitempty"` // of the last failure, while it is not up
}

// Answer is a person's word at a gate.
type Answer struct {
	Word Word
	Who  string // empty: the run's own Who
	From string // terminal or host from which it was given
	Why  string
	// Request is the id of the request that the word came with, where it came with one; it is recorded.
	Request string
}

// Word is what a person says at a gate.
type Word int

const (
	// NoWord: nobody is there to answer. The run stops with ErrWaiting and can be resumed.
	NoWord Word = iota
	// Pass opens the way.
	Pass
	// Abort turns the run back.
	Abort
	// Again is no decision: the question is asked anew, with health and lines as they are by then.
	Again
)
