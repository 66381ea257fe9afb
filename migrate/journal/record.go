package journal

import (
	"encoding/json"
	"time"
)

// Kind says what a record records. The list is append-only: a kind is never renamed, reused or taken out, because
// the journals of every earlier version must replay for ever.
type Kind string

const (
	Opened         Kind = "opened"          // a process took the run up; the first one pins the manifest
	Intent         Kind = "intent"          // a step is about to act, with what it wants and how it was before
	Done           Kind = "done"            // a step's result; without an intent before it, what was found
	Failed         Kind = "failed"          // a plan, a run, a verification or a service failed
	Verified       Kind = "verified"        // the result was looked at and holds
	UndoIntent     Kind = "undo-intent"     // a step is about to be undone
	Undone         Kind = "undone"          // a step has been undone, or there was nothing of ours to undo
	UndoFailed     Kind = "undo-failed"     // an undo failed: what the step needs may be held
	ServiceStarted Kind = "service-started" // a service reported for the first time
	ServiceStopped Kind = "service-stopped" // a service was drained to a position, or dropped
	Gate           Kind = "gate"            // a gate was opened, passed, aborted, or its deadline passed
	Operator       Kind = "operator"        // a person decided something, and why
	Turned         Kind = "turned"          // the run changed its direction
	Closed         Kind = "closed"          // the run ended, or stopped for a person
)

// Record is one line of a journal. The order of the fields is the order on the line; crc follows them.
type Record struct {
	// Seq counts from 1 without a gap.
	Seq uint64 `json:"seq"`
	// Prev is the SHA-256, in lower-case hex, of the raw line before without its newline; "" in the first record.
	Prev string `json:"prev"`
	// Run is the run's id: the same in each record of a journal.
	Run string `json:"run"`
	// Fence is the number of the process among those that opened this run, from 1. It never decreases.
	Fence uint64 `json:"fence"`
	// Step is the step, service or gate that the record is about; "" for the run as a whole.
	Step string `json:"step,omitempty"`
	// Attempt counts the step's intents over the whole run, from 1; 0 before the first.
	Attempt int  `json:"attempt,omitempty"`
	Kind    Kind `json:"kind"`
	// Time is the writer's clock, UTC. Order is Seq's, not Time's: clocks step.
	Time time.Time `json:"time"`
	// Who is the person or service on whose behalf the writer ran, as user@host.
	Who string `json:"who,omitempty"`
	// Data is the kind's own part: one JSON object. Its fields are migrate's.
	Data json.RawMessage `json:"data,omitempty"`
}
