package migrate

import (
	"encoding/json"
	"time"
)

// stage is how far a step has got, as the algorithms need it.
type stage int

const (
	stageNone   stage = iota // untouched, or undone
	stageIntent              // begun, no outcome
	stageFailed
	stageDone
	stageVerified
	stageUndoing
	stageUndoFailed
)

// stepState is the fold of the records of one step.
type stepState struct {
	ManifestStep
	in       *phaseState // the phase it stands in
	leg      *phaseState // the leg of the way back in which it is still to be undone
	stage    stage
	attempts int // over the whole run
	intents  int // since the last undone
	want     json.RawMessage
	out      json.RawMessage // the last result, kept for the undo of others even while the step is redone
	complete bool            // out holds, as far as the journal knows
	effects  []Effect        // of the first intent
	accepted json.RawMessage // the drift that a person accepted: asked about once
	undone   StepState       // how it was undone
	window   window          // of its phase, when it was last begun; none once the phase is over

	started, stopped bool // services
	carries          bool // a service: a step that feeds it has begun since it was last undone
	pos              json.RawMessage
	gate             GateDecision
	deadline         time.Time
	opened           time.Time // of a gate
	opening          uint64    // the record that opened it
	word             Passed    // who decided it, when and why, whatever was decided
	request          string    // with which that word came; kept when the gate is undone, so that it can still be answered

	doing             Doing // with since: what runs
	since             time.Time
	run, verify, undo time.Duration
	moved             Tally
	err               string
	errDoing          Doing
	seq               uint64 // of its last record
}

// reset forgets what the undone attempts made; what they took stays, and the request that a gate was decided by.
func (s *stepState) reset(how StepState) {
	*s = stepState{ManifestStep: s.ManifestStep, in: s.in, leg: s.leg, attempts: s.attempts, effects: s.effects, undone: how,
		run: s.run, verify: s.verify, undo: s.undo, moved: s.moved, request: s.request}
}

func (s *stepState) recorded() rawRecorded {
	r := rawRecorded{want: s.want, complete: s.complete, attempts: s.intents}
	if s.complete {
		r.out = s.out
	}
	return r
}

// trace: there is something to undo, or at least to account for.
func (s *stepState) trace() bool { return s.stage != stageNone }

// finished: what needs it may begin.
func (s *stepState) finished() bool { return s.stage == stageVerified }

func (s *stepState) fail(doing Doing, err string) { s.err, s.errDoing = err, doing }

// add counts what was moved, for the step and for its phase.
func (s *stepState) add(t Tally) { s.moved, s.in.moved = s.moved.Plus(t), s.in.moved.Plus(t) }

func (s *stepState) begin(doing Doing, at time.Time) { s.doing, s.since = doing, at }

// end closes the interval that begin opened and returns its length.
func (s *stepState) end(at time.Time) time.Duration {
	if s.since.IsZero() {
		return 0
	}
	took := max(0, at.Sub(s.since))
	switch s.doing {
	case Running:
		s.run += took
	case Verifying:
		s.verify += took
	case Undoing:
		s.undo += took
	}
	s.since = time.Time{}
	return took
}

func (s *stepState) history() StepHistory {
	h := StepHistory{ID: s.ID, Kind: s.Kind, Phase: s.Phase, Title: s.Title, Origin: s.Origin, State: s.state(), Attempts: s.attempts,
		Effects: s.effects, Run: s.run, Verify: s.verify, Undo: s.undo, Moved: s.moved, Error: s.err, Doing: s.errDoing, Deadline: s.deadline,
		Opened: s.opened, Opening: s.opening, Word: s.word, Request: s.request}
	if s.complete {
		h.Out = s.out
	}
	h.Position = s.pos
	return h
}

func (s *stepState) state() StepState {
	switch s.stage {
	case stageNone:
		if s.undone == "" && s.err != "" {
			return StepIsFailed // its plan failed
		}
		return s.undone
	case stageUndoing:
		return StepUndoing
	case stageUndoFailed:
		return StepUndoFailed
	}
	switch nodeKind(s.Kind) {
	case kindGate:
		return map[GateDecision]StepState{GateOpen: GateWaits, GatePassed: GateIsPassed, GateAborted: GateIsAborted, GateExpired: GateIsExpired}[s.gate]
	case kindService:
		if s.started && !s.stopped {
			return ServiceUp
		}
		if s.stopped {
			return ServiceIsDown
		}
	}
	switch s.stage {
	case stageIntent:
		return StepBegun
	case stageFailed:
		return StepIsFailed
	case stageDone:
		return StepIsDone
	}
	if s.intents == 0 && nodeKind(s.Kind) == kindStep {
		return StepFound
	}
	return StepIsVerified
}
