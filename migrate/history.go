package migrate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"time"

	"github.com/slipway-dev/slipway/migrate/journal"
)

// State is where a run stands.
//
//	                 Begin
//	                   |
//	  +----------> [running] --------- last step ---------> [done], or [kept] when it ends kept
//	  |              |  |  \                                             |
//	  | Resume       |  |   +-- ends with its rollback --+               | Rollback
//	  |              |  |                                |               |
//	[open] <- stops -+  +-- gate opens --> [waiting] --- abort, deadline-+
//	  |                                      |   pass -> [running]       |
//	  +-------------------- Rollback --------+---------------------------+
//	                                                                     v
//	   [open] <- Rollback to a step, or a phase with a limit
//	             is taken back: all after it is undone ------------- [going back] <- Resume -+
//	   [done] <- the run's own end: all is undone ----------------------/  |  \              |
//	   [rolled back] <- somebody's wish, or a deadline: all is undone ----/    +-> [needs a person]
//
// running: a process holds the lock and goes forward. open: none does; Resume goes forward. waiting: at a gate, with or
// without a process. going back: with or without a process; Resume goes on back. needs a person: the way back ended
// with steps that could not be undone; Resume tries them again. kept, and done without having gone back, wait for a
// Rollback, for ever if need be; nothing else comes after done and rolled back.
//
// What a crash leaves is always one of these, because a state is nothing but the fold of the records and whether the
// lock is held.
type State string

const (
	StateRunning     State = "running"
	StateOpen        State = "open"
	StateWaiting     State = "waiting"
	StateGoingBack   State = "going back"
	StateDone        State = "done"
	StateKept        State = "kept"
	StateRolledBack  State = "rolled back"
	StateNeedsPerson State = "needs a person"
)

// History is what a journal says: the fold of its records. It needs no runbook, so it serves status, runs, journal show
// and the table at a run's end as well as the engine. The zero value is the history of a run without records.
type History struct {
	// Run is the run's id; Who opened it first, Mode, Tool and the rest are of its manifest.
	Run      string
	Who      string
	Manifest *Manifest
	// Started is when it was first opened; Ended when it was last closed, zero while it is not.
	Started, Ended time.Time
	// Lives counts the processes that took it up; it is the last one's fence number.
	Lives uint64
	// Records counts the records, LastRecord is the time of the last.
	Records    uint64
	LastRecord time.Time
	// Direction, and why the run was turned if it was; Keeps is the last step that a rollback leaves, "" for none.
	Direction Direction
	Keeps     StepID
	Why       string
	// TurnedBy is the request that the run was turned back with last, also when it has gone forward again since; "" when it was none.
	TurnedBy string
	// Torn is what ReadHistory left out at the journal's end: a crash's, or a record that is being written right now.
	Torn *journal.Damage

	end    bool  // the turn was the run's own end
	closed State // "" while it is not
	todo   []Todo
	steps  map[StepID]*stepState
	order  []*stepState // as in the manifest
	phases []*phaseState
	legs   []*phaseState // of the latest way back
}

// ReadHistory reads a run's journal. It takes no lock and changes nothing, so it may be used while another process
// writes: a last record that is not written whole is left out, and is in Torn. It fails with ErrNoRun when there are no
// records, and with journal.ErrCorrupt.
func ReadHistory(dir journal.FS) (*History, error) {
	f, err := dir.Open()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoRun
	}
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	defer f.Close()
	h := &History{}
	d := journal.NewDecoder(f)
	for {
		rec, err := d.Next()
		switch {
		case errors.Is(err, io.EOF) && h.Records == 0:
			return nil, ErrNoRun
		case errors.Is(err, io.EOF):
			return h, nil
		case errors.Is(err, journal.ErrTorn):
			errors.As(err, &h.Torn)
			if h.Records == 0 {
				return nil, ErrNoRun
			}
			return h, nil
		case err != nil:
			return nil, fmt.Errorf("read journal: %w", err)
		}
		if _, err := h.Apply(rec); err != nil {
			return nil, fmt.Errorf("record %d: %w", rec.Seq, err)
		}
	}
}

// State is where the run stands; held says whether a process holds its lock.
func (h *History) State(held bool) State {
	switch {
	case h.closed != "":
		return h.closed
	case h.Direction == Back:
		return StateGoingBack
	case h.waiting():
		return StateWaiting
	case held:
		return StateRunning
	}
	return StateOpen
}

func (h *History) waiting() bool {
	return slices.ContainsFunc(h.order, func(s *stepState) bool { return s.gate == GateOpen })
}

// Todo is what the last way back left for a person.
func (h *History) Todo() []Todo { return slices.Clone(h.todo) }

// StepHistory is what a journal says of one step, service, drain or gate.
type StepHistory struct {
	ID    StepID `json:"id"`
	Kind  string `json:"kind"`
	Phase string `json:"phase"`
	Title string `json:"title,omitempty"`
	// Origin in words is Origin.In(mode).
	Origin Origin    `json:"origin,omitempty"`
	State  StepState `json:"state"`
	// Attempts counts the intents over the whole run.
	Attempts int `json:"attempts,omitempty"`
	// Effects are what the first attempt was to do.
	Effects []Effect `json:"effects,omitempty"`
	// Run, Verify and Undo are how long each took, summed over all attempts; an attempt that was killed counts up to the
	// last record before.
	Run    time.Duration `json:"run,omitempty"`
	Verify time.Duration `json:"verify,omitempty"`
	Undo   time.Duration `json:"undo,omitempty"`
	Moved  Tally         `json:"moved,omitzero"`
	// Error is the last failure's, with what failed; empty once the step has got over it.
	Error string `json:"error,omitempty"`
	Doing Doing  `json:"doing,omitempty"`
	// Out is the recorded result, Position a service's last recorded one.
	Out      json.RawMessage `json:"out,omitempty"`
	Position json.RawMessage `json:"position,omitempty"`
	// A gate's: when and with which record it was opened, until when it waits, and who decided it, when and why, whatever
	// was decided; Request is the one that this word came with.
	Opened   time.Time `json:"opened,omitzero"`
	Opening  uint64    `json:"opening,omitempty"`
	Deadline time.Time `json:"deadline,omitzero"`
	Word     Passed    `json:"word,omitzero"`
	Request  string    `json:"request,omitempty"`
}

// StepState is where a step stands.
type StepState string

const (
	StepPending    StepState = ""            // nothing is recorded of it
	StepBegun      StepState = "begun"       // an intent without an outcome: running, or killed
	StepIsFailed   StepState = "failed"      //
	StepIsDone     StepState = "done"        // not verified yet
	StepIsVerified StepState = "verified"    //
	StepFound      StepState = "found"       // verified, and not this run's work
	StepUndoing    StepState = "undoing"     // an undo without an outcome: running, or killed
	StepUndoFailed StepState = "undo failed" //
	StepIsUndone   StepState = "undone"      //
	StepLeft       StepState = "left"        // rolled back without a change: this run had not touched it
	StepWaived     StepState = "waived"      // a person takes it for undone
	ServiceUp      StepState = "up"          // started and not stopped; whether it runs now is the lock's affair
	ServiceIsDown  StepState = "stopped"     //
	GateWaits      StepState = "waiting"     //
	GateIsPassed   StepState = "passed"      //
	GateIsAborted  StepState = "aborted"     //
	GateIsExpired  StepState = "expired"     //
)

// Steps lists all steps in the runbook's order, those that nothing is recorded of included.
func (h *History) Steps() []StepHistory {
	var all []StepHistory
	for _, s := range h.order {
		all = append(all, s.history())
	}
	return all
}

// Step is one of them.
func (h *History) Step(id StepID) (StepHistory, bool) {
	if s := h.steps[id]; s != nil {
		return s.history(), true
	}
	return StepHistory{}, false
}

// PhaseHistory is what a journal says of a phase, or of a leg of the way back.
type PhaseHistory struct {
	Name string `json:"name"`
	Back bool   `json:"back,omitempty"`
	// Steps counts its steps, Left those that have not finished.
	Steps int `json:"steps"`
	Left  int `json:"left"`
	// Took leaves out the time in which no process ran. A phase that goes on counts up to the last record.
	Took  time.Duration `json:"took"`
	Moved Tally         `json:"moved,omitzero"`
	// Deadline is when a phase with a limit must be over, while it is under way: it is taken back then.
	Deadline time.Time `json:"deadline,omitzero"`
}

// Phases lists the phases in order, then the legs of the latest way back.
func (h *History) Phases() []PhaseHistory {
	var all []PhaseHistory
	for _, p := range slices.Concat(h.phases, h.legs) {
		all = append(all, PhaseHistory{p.name, p.back, p.steps, p.left, p.tookBy(h.LastRecord), p.moved, p.window.until})
	}
	return all
}

// RunSummary is a run in one line of a list.
type RunSummary struct {
	ID      string    `json:"id"`
	Kind    string    `json:"kind"` // the mode
	State   State     `json:"state"`
	Started time.Time `json:"started,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
}

// Summary is the run in one line; held says whether a process holds its lock.
func (h *History) Summary(held bool) RunSummary {
	s := RunSummary{ID: h.Run, State: h.State(held), Started: h.Started, Ended: h.Ended}
	if h.Manifest != nil {
		s.Kind = h.Manifest.Mode
	}
	return s
}
