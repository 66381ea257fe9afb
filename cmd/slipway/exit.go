package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal"
)

// The exit codes. They are part of the contract: scripts rely on them.
const (
	exitDone       = 0
	exitFailed     = 1
	exitUsage      = 2
	exitWaiting    = 3
	exitRolledBack = 4
	exitPerson     = 5
	exitLocked     = 6
)

const exitCodes = `Exit codes:
  0  done
  1  failed, and safe to resume
  2  wrong usage or configuration; nothing was begun
  3  waiting at a gate
  4  rolled back, where the run was to go forward; slipway rollback itself ends with 0
  5  needs a person
  6  another writer holds the run`

// usageError is a wrong call; command is the one that was called.
type usageError struct {
	err     error
	command string
}

func (e *usageError) Error() string { return e.command + ": " + e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// configError is a configuration or an inventory that can't be used.
type configError struct{ err error }

func (e *configError) Error() string { return e.err.Error() }
func (e *configError) Unwrap() error { return e.err }

// hinted is an error with what to type next.
type hinted struct {
	err  error
	hint string
}

func (e *hinted) Error() string { return e.err.Error() }
func (e *hinted) Unwrap() error { return e.err }

// told is an error of a run whose steps' own errors stand above it already.
type told struct {
	err   error
	short string
}

func (e *told) Error() string { return e.err.Error() }
func (e *told) Unwrap() error { return e.err }

// hint says what to type next beside err.
func hint(err error, format string, a ...any) error {
	if err == nil {
		return nil
	}
	return &hinted{err, fmt.Sprintf(format, a...)}
}

// errOvertaken: another process does this now, to the same target, without a run.
type errOvertaken struct{ error }

func (e *errOvertaken) Unwrap() error { return e.error }

// code is the exit code that belongs to err.
func code(err error) int {
	var usage *usageError
	var conf *configError
	var person *errPerson
	var overtaken *errOvertaken
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &person):
		return exitPerson
	case errors.As(err, &usage), errors.As(err, &conf), errors.Is(err, migrate.ErrDigest), errors.Is(err, migrate.ErrNoRun), errors.Is(err, migrate.ErrNewer):
		return exitUsage
	case errors.Is(err, journal.ErrLocked), errors.As(err, &overtaken):
		return exitLocked
	case errors.Is(err, migrate.ErrNeedsPerson), errors.Is(err, journal.ErrCorrupt):
		return exitPerson
	case errors.Is(err, migrate.ErrRolledBack):
		return exitRolledBack
	case errors.Is(err, migrate.ErrWaiting):
		return exitWaiting
	case strings.HasPrefix(err.Error(), "unknown command"): // cobra has no type for it
		return exitUsage
	}
	return exitFailed
}

// failure is an error as --output json prints it, on standard error.
type failure struct {
	Error string `json:"error"`
	Hint  string `json:"hint,omitempty"`
	Exit  int    `json:"exit"`
}

// fail prints err and gives the exit code.
func (p *program) fail(err error) int {
	if err == nil {
		return exitDone
	}
	f := failure{Error: err.Error(), Exit: code(err)}
	var h *hinted
	var usage *usageError
	switch {
	case errors.As(err, &h):
		f.Hint = h.hint
	case errors.As(err, &usage):
		f.Hint = "type: " + usage.command + " --help"
	case f.Exit == exitUsage && strings.HasPrefix(f.Error, "unknown command"):
		f.Hint = "type: slipway --help"
	}
	if p.output == asJSON {
		if b, err := json.Marshal(f); err == nil {
			fmt.Fprintf(p.err, "%s\n", b)
			return f.Exit
		}
	}
	if t := (*told)(nil); errors.As(err, &t) {
		f.Error = t.short
	}
	fmt.Fprintf(p.err, "error: %s\n", strings.TrimRight(f.Error, "\n"))
	if f.Hint != "" {
		fmt.Fprintf(p.err, "hint: %s\n", f.Hint)
	}
	return f.Exit
}
