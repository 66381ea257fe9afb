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

// ErrFenced says that a process with a higher fence has worked on a thing: this one was cut off, and another goes on. Stop.
var ErrFenced = errors.New("another process has taken this run over")

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
// it is. The fence isn't compared: an earlier attempt's work is this run's. It is for those who look; see Admit.
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

// Admit is Check for those who act: it also refuses, with ErrFenced, what a process with a higher fence has worked on.
func (s Stamp) Admit(labels map[string]string) error {
	if err := s.Check(labels); err != nil {
		return err
	}
	there, err := fenceOf(labels)
	if err == nil && there > s.Fence {
		err = fmt.Errorf("%w: its fence is %d, this process has %d", ErrFenced, there, s.Fence)
	}
	return err
}

// Raises says that a thing carries a lower fence than this process has, or none: who acts on it, or on what is in it, first
// puts its own there.
func (s Stamp) Raises(labels map[string]string) bool {
	there, err := fenceOf(labels)
	return err == nil && there < s.Fence
}

// fenceOf is 0 for a thing that has no fence.
func fenceOf(labels map[string]string) (uint64, error) {
	text, ok := labels[FenceLabel]
	if !ok {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: its label %s is %q, which Slipway never writes", ErrForeign, FenceLabel, text)
	}
	return n, nil
}
