package migrate

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/go-multierror"
)

// What a run can end with. The exit code is cmd's; it is named here because the codes are part of the contract.
var (
	// ErrWaiting: the run waits at a gate and nobody is there to answer. Exit 3. Answer, then resume.
	ErrWaiting = errors.New("waiting at a gate")
	// ErrRolledBack: everything this run did has been undone; that was asked for, or a gate's deadline passed. Exit 4.
	// Stop: the run is over. Where the error says as far as the end of which step it went back, only what came after that
	// has been undone, and the run is open: look at why, then resume.
	ErrRolledBack = errors.New("rolled back")
	// ErrNeedsPerson: the way back is blocked or incomplete; see NeedsPerson for what is left. Exit 5. Fix what it names,
	// then resume; or waive it with a reason.
	ErrNeedsPerson = errors.New("needs a person")
	// ErrDigest: the program, its runbook or its configuration is not what the run was opened with. Exit 2. Use the
	// program and configuration that opened it, or accept the difference with a reason.
	ErrDigest = errors.New("not what the run was opened with")
	// ErrDrift: what is recorded as done no longer holds. Exit 1. Look at what differs, then resume with redo or accept.
	ErrDrift = errors.New("recorded as done, but the world has changed")
	// ErrPaused: the run was asked to pause and has stopped at a safe point. Exit 1. Resume when you like.
	ErrPaused = errors.New("paused")
	// ErrExists: there is a run with that id. Resume it, or begin one with another id.
	ErrExists = errors.New("run exists")
	// ErrNoRun: there is no run with that id, or it never got as far as its first record. Begin one.
	ErrNoRun = errors.New("no such run")
	// ErrNewer: the journal was written by a newer program. Use that one.
	ErrNewer = errors.New("journal was written by a newer program")
)

// What a step can meet or answer.
var (
	// ErrNotRecorded: the step whose result is asked for has none yet. Only a plan meets it: name what you can.
	ErrNotRecorded = errors.New("not known yet")
	// ErrUndeclaredDep: the step asks for a result that isn't in its Needs. Fix the step.
	ErrUndeclaredDep = errors.New("not in the step's needs")
	// ErrReadOnly: a looker can do more than look. Fix the wiring.
	ErrReadOnly = errors.New("a looker must only look")
	// ErrIrreversible: what was done can't be undone. A person decides.
	ErrIrreversible = errors.New("cannot be undone")
	// ErrTimeout: a call of a step took longer than its Timeout. Resume tries again.
	ErrTimeout = errors.New("took too long")
	// ErrTransient marks errors that are worth another try; see Transient.
	ErrTransient = errors.New("worth another try")
	// ErrNotData: an Out can't be recorded: it would come back different, or it must never be written. Fix the step.
	ErrNotData = errors.New("not data that a journal can hold")
)

// Transient marks err as worth another try: a connection that dropped, a service that was busy. The engine tries again
// as often as the step's Spec.Tries says, after a growing pause.
func Transient(err error) error {
	if err == nil {
		return nil
	}
	return &transient{err}
}

type transient struct{ err error }

func (t *transient) Error() string        { return t.err.Error() }
func (t *transient) Unwrap() error        { return t.err }
func (t *transient) Is(target error) bool { return target == ErrTransient }

// StepError is a step's failure, with what the step was doing.
type StepError struct {
	Step  StepID
	Doing Doing
	Err   error
}

func (e *StepError) Error() string { return fmt.Sprintf("%s: %s: %v", e.Step, e.Doing, e.Err) }
func (e *StepError) Unwrap() error { return e.Err }

// reason is a step's error without the step: a record and a list name that already.
func reason(err error) string {
	if se := (*StepError)(nil); errors.As(err, &se) {
		return se.Err.Error()
	}
	return err.Error()
}

// Doing is which of a step's methods ran.
type Doing string

const (
	Planning  Doing = "plan"
	Running   Doing = "run"
	Verifying Doing = "verify"
	Undoing   Doing = "undo"
	Following Doing = "follow"
)

// NeedsPerson is ErrNeedsPerson with what is left to do.
type NeedsPerson struct {
	// Why is set when the way back could not begin, and nothing has been undone.
	Why  error
	Todo []Todo
}

// Todo is one step that has not been undone.
type Todo struct {
	Step StepID `json:"step"`
	// HeldBy is the step whose failed undo keeps this one from being undone; empty where this one's own undo failed.
	HeldBy StepID `json:"held_by,omitempty"`
	// Error is the failed undo's.
	Error string `json:"error,omitempty"`
}

func (e *NeedsPerson) Error() string {
	if e.Why != nil {
		return fmt.Sprintf("%v: nothing has been undone: %v", ErrNeedsPerson, e.Why)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%v: %d steps are not undone", ErrNeedsPerson, len(e.Todo))
	for _, t := range e.Todo {
		if t.HeldBy != "" {
			fmt.Fprintf(&b, "\n  %s: held by %s", t.Step, t.HeldBy)
		} else {
			fmt.Fprintf(&b, "\n  %s: %s", t.Step, t.Error)
		}
	}
	return b.String()
}

func (e *NeedsPerson) Unwrap() []error {
	if e.Why != nil {
		return []error{ErrNeedsPerson, e.Why}
	}
	return []error{ErrNeedsPerson}
}

// problems collects what is wrong, all at once.
type problems struct{ all *multierror.Error }

func (p *problems) add(format string, a ...any) { p.err(fmt.Errorf(format, a...)) }

func (p *problems) err(err error) {
	p.all = multierror.Append(p.all, err)
	p.all.ErrorFormat = lines
}

func (p *problems) orNil() error { return p.all.ErrorOrNil() }

// lines prints one problem a line.
func lines(errs []error) string {
	var b strings.Builder
	for i, err := range errs {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(err.Error())
	}
	return b.String()
}
