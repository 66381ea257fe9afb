package migrate

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"time"
)

// Options are what a process brings to a run. The zero value is a run that asks nobody and stops at whatever needs a
// person.
type Options struct {
	// Tool is the program and its version; Config the configuration's settings by digest, never by value. Both are pinned
	// when the run is opened.
	Tool   string
	Config []Setting
	// Ending is pinned when the run is opened; a resume goes by the journal's and ignores this one.
	Ending Ending
	// Who is on whose behalf the process runs, as user@host; Host and PID name the process to a second one.
	Who  string
	Host string
	PID  int
	// Parallel is how many steps run side by side at most; 8 when zero.
	Parallel int
	// Ask asks a person at a gate, and returns when there is an answer, when ctx ends (a deadline, a pause), or at once
	// with NoWord when there is nobody. nil: there is nobody.
	Ask func(context.Context, Question) (Answer, error)
	// OnDrift asks a person about a step that is recorded as done and no longer holds. nil: the run stops.
	OnDrift func(context.Context, Drift) (Verdict, error)
	// Accept is a person's reason to go on with a run although the program, the runbook or the configuration is not what
	// it was opened with. Some differences can't be accepted, because the journal would not fit any more.
	Accept string
}

// Drift is a step that is recorded as done, and what its Plan says now.
type Drift struct {
	Step     StepID
	Title    string
	Recorded json.RawMessage // the recorded result
	Now      json.RawMessage // the result as it is now; nil when there is none
	Effects  []Effect        // what redoing it would do, when there is something to do
}

// Verdict is a person's answer to a drift.
type Verdict struct {
	Choice DriftChoice
	Who    string // empty: the run's own Who
	Why    string // must not be empty unless the run is to stop
}

// DriftChoice is what to do about a drift.
type DriftChoice int

const (
	// DriftStop ends the run with ErrDrift; nothing is changed.
	DriftStop DriftChoice = iota
	// DriftRedo does the step again.
	DriftRedo
	// DriftAccept lets the recorded result stand; the same drift is not asked about again.
	DriftAccept
)

// PlanID is the run's id in a plan that belongs to no run: of the same form and length as a real one.
const PlanID = "00000000-000000-0000"

var legalRun = regexp.MustCompile(`^[0-9]{8}-[0-9]{6}-[0-9a-f]{4}$`)

// NewID makes a run's id of the time it begins, in UTC, and four random digits: "20261123-010203-7f3a". It is lower case,
// 20 characters long, and sorts by time; "slipway-" + id is a legal name for a cluster and a legal label.
func NewID(now time.Time) (string, error) {
	var b [2]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("make a run id: %w", err)
	}
	return now.UTC().Format("20060102-150405-") + hex.EncodeToString(b[:]), nil
}

// ValidID says whether id is of the form that NewID makes.
func ValidID(id string) bool { return legalRun.MatchString(id) }
