package migrate

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/slipway-dev/slipway/migrate/journal"
)

// The data of each kind of record: docs/JOURNAL_FORMAT.md describes them. Fields are added, never renamed or reused.
type (
	openedData struct {
		Host     string    `json:"host,omitempty"`
		PID      int       `json:"pid,omitempty"`
		Manifest *Manifest `json:"manifest,omitempty"` // of the first one in a journal
	}
	intentData struct {
		Want    json.RawMessage `json:"want"`
		Effects []Effect        `json:"effects,omitempty"`
		Feeds   []StepID        `json:"feeds,omitempty"` // services that have something to carry from here on
		// Deadline is when the phase must be over, of the intent that begins a phase with a limit.
		Deadline time.Time `json:"deadline,omitzero"`
	}
	doneData struct {
		Out   json.RawMessage `json:"out"`
		Moved Tally           `json:"moved,omitzero"`
	}
	failedData struct {
		Doing Doing  `json:"doing"`
		Error string `json:"error"`
		Moved Tally  `json:"moved,omitzero"`
	}
	verifiedData   struct{}
	undoIntentData struct{}
	undoneData     struct {
		Nothing bool `json:"nothing,omitempty"` // this run had not touched it
	}
	undoFailedData struct {
		Error string `json:"error"`
	}
	serviceStartedData struct {
		Position json.RawMessage `json:"position"`
	}
	serviceStoppedData struct {
		Position json.RawMessage `json:"position,omitempty"`
		Dropped  bool            `json:"dropped,omitempty"` // not drained
	}
	gateData struct {
		Decision GateDecision `json:"decision"`
		Deadline time.Time    `json:"deadline,omitzero"`
		Who      string       `json:"who,omitempty"`
		From     string       `json:"from,omitempty"`
		Why      string       `json:"why,omitempty"`
		Request  string       `json:"request,omitempty"` // with which the word came
	}
	operatorData struct {
		Decision Decision        `json:"decision"`
		Who      string          `json:"who,omitempty"`
		Why      string          `json:"why,omitempty"`
		Recorded json.RawMessage `json:"recorded,omitempty"`
		Now      json.RawMessage `json:"now,omitempty"`
		Effects  []Effect        `json:"effects,omitempty"`
		Differs  []string        `json:"differs,omitempty"`
		Manifest *Manifest       `json:"manifest,omitempty"`
	}
	turnedData struct {
		Direction Direction `json:"direction"`
		Keeps     StepID    `json:"keeps,omitempty"` // this step and all before it stay as they are
		Who       string    `json:"who,omitempty"`
		From      string    `json:"from,omitempty"`
		Why       string    `json:"why,omitempty"`
		Request   string    `json:"request,omitempty"` // with which the wish came
		End       bool      `json:"end,omitempty"`     // the run's own end, not somebody's wish
	}
	closedData struct {
		State State  `json:"state"`
		Why   string `json:"why,omitempty"`
		Todo  []Todo `json:"todo,omitempty"`
	}
)

// GateDecision is what became of a gate.
type GateDecision string

const (
	GateOpen    GateDecision = "open" // it waits
	GatePassed  GateDecision = "pass"
	GateAborted GateDecision = "abort"
	GateExpired GateDecision = "expired"
)

// Decision is what a person decided about a step or about the run.
type Decision string

const (
	Redo           Decision = "redo"            // drift: the step is done again
	Accept         Decision = "accept"          // drift: what is recorded stands
	AcceptManifest Decision = "accept-manifest" // another program or configuration goes on with the run
	Waive          Decision = "waive"           // the step is taken for undone
)

// Direction is where a run is going.
type Direction string

const (
	Forward Direction = "forward"
	Back    Direction = "back"
)

func decode[T any](rec journal.Record) (T, error) {
	var d T
	if err := json.Unmarshal(rec.Data, &d); err != nil {
		return d, fmt.Errorf("data of %s record %d: %w", rec.Kind, rec.Seq, err)
	}
	return d, nil
}
