// Package compat says what of a MariaDB doesn't go over to a MySQL as it is: one function for each theme (server, keys,
// columns, stored objects, accounts, two servers' settings, what the rows look like), each of which asks the servers and
// gives findings. What a definition's text shows is found where it is rewritten, in package ddl.
//
// It decides nothing and changes nothing on either server. It imports nothing of Slipway: package dbcopy calls it, in
// the survey before each copy and in the check, so that both refuse the same.
package compat

import "fmt"

// Severity says what a finding means.
type Severity string

// The severities. They are printed and part of the JSON output.
const (
	Refuse  Severity = "refuse"   // what Stops says isn't done until this is dealt with
	Rewrite Severity = "rewrite"  // it is changed on its way, as said
	Leave   Severity = "left out" // it isn't carried
	Warn    Severity = "warn"
)

// Stage is what a refusal stops. Stages are part of the JSON output.
type Stage string

// The stages. A refusal without one stops the copy, and so all.
const (
	Copy   Stage = "copy"   // nothing is moved
	Follow Stage = "follow" // a snapshot can be taken and loaded, but the writes after it can't be followed
	Switch Stage = "switch" // the rows can be copied and followed, but the target isn't ready to be the database
)

// Finding is one thing about the source, or the target, that matters to the move.
type Finding struct {
	Check    string   `json:"check"` // which check found it, a row of docs/database.md
	Severity Severity `json:"severity"`
	Stops    Stage    `json:"stops,omitempty"` // of a refusal; "" is Copy
	Object   string   `json:"object"`          // its place: "table shop.orders, total"
	What     string   `json:"what"`
	Will     string   `json:"will,omitempty"` // what is done about it, where What doesn't say so
	Fix      string   `json:"fix,omitempty"`  // the statement or setting that would mend it
}

func (f Finding) String() string {
	s := fmt.Sprintf("%s: %s: %s", f.Severity, f.Object, f.What)
	if f.Will != "" {
		s += "; " + f.Will
	}
	if f.Fix != "" {
		s += "; fix: " + f.Fix
	}
	return s
}

// StopsCopy: the finding is a refusal, and of more than what comes after the copy.
func (f Finding) StopsCopy() bool {
	return f.Severity == Refuse && (f.Stops == "" || f.Stops == Copy)
}
