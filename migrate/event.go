package migrate

import (
	"encoding/json"
	"fmt"
	"time"
)

// Event is one thing that happened. The terminal, the JSON output and the page render the same events. There are two
// sorts. Those that were born of a record carry its Seq; each listener gets all of them, in order, because it reads
// them from the journal, which is the queue: a slow listener costs the run nothing, and none is ever lost. The passing
// ones (Seq is 0: looking, progress, health) are only worth something now; of each sort and step only the latest waits
// for a listener.
type Event interface {
	// Name is the event's name in JSON: "step-done".
	Name() string
	when() When
}

// When is what every event has.
type When struct {
	Seq  uint64    `json:"seq,omitempty"` // of the record; 0 for a passing event
	Time time.Time `json:"time"`
}

func (w When) when() When { return w }

// Events that are born of records.
type (
	// RunOpened: a process took the run up; Life counts them from 1.
	RunOpened struct {
		When
		Run    string   `json:"run"`
		Mode   string   `json:"mode"`
		Tool   string   `json:"tool"`
		Who    string   `json:"who"`
		Host   string   `json:"host,omitempty"`
		Life   uint64   `json:"life"`
		Phases []string `json:"phases"`
	}
	// RunTurned: the run goes the other way from now on.
	RunTurned struct {
		When
		Direction Direction `json:"direction"`
		Keeps     StepID    `json:"keeps,omitempty"`
		Who       string    `json:"who,omitempty"`
		From      string    `json:"from,omitempty"`
		Why       string    `json:"why,omitempty"`
		End       bool      `json:"end,omitempty"` // the run's own end
		// Request is the one that it was turned with, from another terminal.
		Request string `json:"request,omitempty"`
	}
	// RunClosed: the run has ended, or stopped for a person.
	RunClosed struct {
		When
		State State  `json:"state"`
		Why   string `json:"why,omitempty"`
		Todo  []Todo `json:"todo,omitempty"`
	}
	// PhaseStarted: a phase, or a leg of the way back, begins or goes on in a new process.
	PhaseStarted struct {
		When
		Phase   string `json:"phase"`
		Back    bool   `json:"back,omitempty"`
		Resumed bool   `json:"resumed,omitempty"`
		Steps   int    `json:"steps"` // that are left in it
	}
	// PhaseEnded: all of it has finished. Took leaves out the time in which no process ran.
	PhaseEnded struct {
		When
		Phase string        `json:"phase"`
		Back  bool          `json:"back,omitempty"`
		Took  time.Duration `json:"took"`
		Moved Tally         `json:"moved,omitzero"`
	}
	// StepStarted: the intent is durable, Run begins.
	StepStarted struct {
		When
		Step    StepID   `json:"step"`
		Phase   string   `json:"phase"`
		Title   string   `json:"title,omitempty"`
		Attempt int      `json:"attempt"`
		Effects []Effect `json:"effects,omitempty"`
		// Deadline is when the phase must be over, of the step that begins a phase with a limit.
		Deadline time.Time `json:"deadline,omitzero"`
	}
	// StepDone: the outcome is durable. Found: it held already, by somebody else's work.
	StepDone struct {
		When
		Step  StepID        `json:"step"`
		Phase string        `json:"phase"`
		Title string        `json:"title,omitempty"`
		Found bool          `json:"found,omitempty"`
		Took  time.Duration `json:"took"`
		Moved Tally         `json:"moved,omitzero"`
	}
	// StepVerified: the result was looked at and holds. The step has finished.
	StepVerified struct {
		When
		Step StepID        `json:"step"`
		Took time.Duration `json:"took"`
	}
	// StepFailed: a plan, a run, a verification or an attempt of a service failed.
	StepFailed struct {
		When
		Step  StepID `json:"step"`
		Doing Doing  `json:"doing"`
		Error string `json:"error"`
	}
	// UndoStarted: Undo begins.
	UndoStarted struct {
		When
		Step  StepID `json:"step"`
		Title string `json:"title,omitempty"`
	}
	// StepUndone: the step is as it was before. Nothing: this run had not touched it.
	StepUndone struct {
		When
		Step    StepID        `json:"step"`
		Nothing bool          `json:"nothing,omitempty"`
		Took    time.Duration `json:"took"`
	}
	// UndoFailed: the undo failed, and what the step needs may be held.
	UndoFailed struct {
		When
		Step  StepID `json:"step"`
		Error string `json:"error"`
	}
	// ServiceStarted: the service has reported a position.
	ServiceStarted struct {
		When
		Service  StepID          `json:"service"`
		Title    string          `json:"title,omitempty"`
		Position json.RawMessage `json:"position"`
	}
	// ServiceStopped: it was drained to a position, or dropped.
	ServiceStopped struct {
		When
		Service  StepID          `json:"service"`
		Position json.RawMessage `json:"position,omitempty"`
		Dropped  bool            `json:"dropped,omitempty"`
	}
	// GateOpened: the run waits for a person's word.
	GateOpened struct {
		When
		Gate     StepID    `json:"gate"`
		Title    string    `json:"title,omitempty"`
		Deadline time.Time `json:"deadline,omitzero"`
	}
	// GateDecided: the word was given, or the deadline has passed.
	GateDecided struct {
		When
		Gate     StepID       `json:"gate"`
		Decision GateDecision `json:"decision"`
		Who      string       `json:"who,omitempty"`
		From     string       `json:"from,omitempty"`
		Why      string       `json:"why,omitempty"`
		Request  string       `json:"request,omitempty"` // the one that the word came with
	}
	// Decided: a person decided something about a step, or about the run when Step is empty.
	Decided struct {
		When
		Step     StepID   `json:"step,omitempty"`
		Decision Decision `json:"decision"`
		Who      string   `json:"who,omitempty"`
		Why      string   `json:"why,omitempty"`
		Differs  []string `json:"differs,omitempty"`
	}
)

// Passing events.
type (
	// StepLooking: Plan runs. Again: the step is recorded as done, and is looked at to see whether that still holds.
	StepLooking struct {
		When
		Step  StepID `json:"step"`
		Again bool   `json:"again,omitempty"`
	}
	// StepLooked: Plan has returned, and there is nothing that would be recorded: what was looked at again still holds, or
	// a person is asked about it. After any other look a record follows.
	StepLooked struct {
		When
		Step StepID `json:"step"`
	}
	// StepProgress: how far a call is.
	StepProgress struct {
		When
		Step StepID `json:"step"`
		Progress
	}
	// StepRetrying: a call failed in a way that is worth another try, and waits for it.
	StepRetrying struct {
		When
		Step  StepID        `json:"step"`
		Wait  time.Duration `json:"wait"`
		Error string        `json:"error"`
	}
	// StepStuck: a call was told to stop that long ago, and has not returned. Nothing can go on before it does.
	StepStuck struct {
		When
		Step  StepID        `json:"step"`
		Doing Doing         `json:"doing"`
		For   time.Duration `json:"for"`
	}
	// ServiceHealth: how a service does.
	ServiceHealth struct {
		When
		Health
	}
	// RunHeld: another process holds the run than before; or none does, and Held is false. Only Follow gives it.
	RunHeld struct {
		When
		Held  bool      `json:"held"`
		Who   string    `json:"who,omitempty"`
		Host  string    `json:"host,omitempty"`
		PID   int       `json:"pid,omitempty"`
		Since time.Time `json:"since,omitzero"`
	}
	// StreamBroken: this listener gets no more, because the journal can't be read. The run is not affected.
	StreamBroken struct {
		When
		Error string `json:"error"`
	}
)

func (RunOpened) Name() string      { return "run-opened" }
func (RunTurned) Name() string      { return "run-turned" }
func (RunClosed) Name() string      { return "run-closed" }
func (PhaseStarted) Name() string   { return "phase-started" }
func (PhaseEnded) Name() string     { return "phase-ended" }
func (StepStarted) Name() string    { return "step-started" }
func (StepDone) Name() string       { return "step-done" }
func (StepVerified) Name() string   { return "step-verified" }
func (StepFailed) Name() string     { return "step-failed" }
func (UndoStarted) Name() string    { return "undo-started" }
func (StepUndone) Name() string     { return "step-undone" }
func (UndoFailed) Name() string     { return "undo-failed" }
func (ServiceStarted) Name() string { return "service-started" }
func (ServiceStopped) Name() string { return "service-stopped" }
func (GateOpened) Name() string     { return "gate-opened" }
func (GateDecided) Name() string    { return "gate-decided" }
func (Decided) Name() string        { return "decided" }
func (StepLooking) Name() string    { return "step-looking" }
func (StepLooked) Name() string     { return "step-looked" }
func (StepProgress) Name() string   { return "step-progress" }
func (StepRetrying) Name() string   { return "step-retrying" }
func (StepStuck) Name() string      { return "step-stuck" }
func (ServiceHealth) Name() string  { return "service-health" }
func (RunHeld) Name() string        { return "run-held" }
func (StreamBroken) Name() string   { return "stream-broken" }

// EventWhen is when an event happened.
func EventWhen(e Event) When { return e.when() }

// EventJSON is the event as one JSON object on one line: its name under "event", then its fields. Durations are in
// nanoseconds.
func EventJSON(e Event) ([]byte, error) {
	b, err := compact(e)
	if err != nil {
		return nil, fmt.Errorf("event %s: %w", e.Name(), err)
	}
	return append(fmt.Appendf(nil, `{"event":%q,`, e.Name()), b[1:]...), nil
}
