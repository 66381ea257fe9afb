// Package stamp is the mark that a run leaves on what it creates, so that a later attempt knows its own work and a deletion takes
// nothing else. It imports nothing of the project, so that clients of a cloud or a cluster can use it without knowing the engine.
package stamp

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The labels of a stamp. They are legal keys of Google Cloud labels (https://cloud.google.com/resource-manager/docs/labels-overview:
// lower case, digits, '-' and '_', 63 characters) and of Kubernetes labels, so that one search finds all that a run has made.
const (
	RunLabel   = "slipway-run"
	StepLabel  = "slipway-step"
	FenceLabel = "slipway-fence"
)

// ErrForeign says that a thing carries no stamp, or another run's. What is foreign is never changed or deleted: stop.
var ErrForeign = errors.New("not made by this run")

// Stamp names the run and the step that made a thing, and the fence under which the run was held then.
type Stamp struct {
	Run   string
	Step  string
	Fence uint64
}

// Labels are the stamp as labels. Dots of a step's id become underscores, which ids don't have, because Google's labels allow no dots.
func (s Stamp) Labels() map[string]string {
	return map[string]string{
		RunLabel:   s.Run,
		StepLabel:  strings.ReplaceAll(s.Step, ".", "_"),
		FenceLabel: strconv.FormatUint(s.Fence, 10),
	}
}

// Check returns nil when labels are those of a thing that this run made, and otherwise an error that wraps ErrForeign and says whose
// it is. The fence isn't compared: an earlier attempt's work is this run's.
func (s Stamp) Check(labels map[string]string) error {
	switch run := labels[RunLabel]; {
	case s.Run == "":
		return fmt.Errorf("%w: the asker has no run id", ErrForeign)
	case run == "":
		return fmt.Errorf("%w: it has no label %s", ErrForeign, RunLabel)
	case run != s.Run:
		return fmt.Errorf("%w but by run %s", ErrForeign, run)
	}
	return nil
}
