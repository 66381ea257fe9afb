package remote

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

var (
	// ErrUnreachable: no connection could be made (down, refused, no route, no answer). Nothing was done there. Look at the
	// host, then try again.
	ErrUnreachable = errors.New("host can't be reached")
	// ErrAuth: the host refused every key that was offered. To fix in slipway.yaml or on the host; trying again won't help.
	ErrAuth = errors.New("login refused")
	// ErrHostKey: the host showed a key that isn't the one pinned. Stop and compare fingerprints; the error says how.
	ErrHostKey = errors.New("host key not accepted")
	// ErrLost: the connection ended while a command ran, so what became of it is unknown. Look before running it again.
	ErrLost = errors.New("connection lost, outcome unknown")
	// ErrTimeout: a time limit passed. It is wrapped beside what waited.
	ErrTimeout = errors.New("timed out")
	// ErrUnknownHost: no host of that name was given to Open. A defect of the caller.
	ErrUnknownHost = errors.New("no such host in the pool")
	// ErrClosed: the pool was closed.
	ErrClosed = errors.New("connection pool is closed")
	// ErrTooMuch: a command printed more than its limit. It was stopped.
	ErrTooMuch = errors.New("more output than expected")
	// ErrForward: the host refused to open a forwarded connection.
	ErrForward = errors.New("forwarding refused")
)

// ExitError is a command that ran and failed. Its text is short; Stderr has all that the command said, up to 64 KiB.
type ExitError struct {
	Host    string
	Command string // what it was, for people: a query's name or the first word of the vector
	Status  int    // exit status; 0 if it was ended by a signal
	Signal  string // without SIG, for instance KILL; "" if it exited by itself
	Stderr  []byte
}

func (e *ExitError) Error() string {
	how := fmt.Sprintf("failed with status %d", e.Status)
	if e.Signal != "" {
		how = "was ended by signal " + e.Signal
	}
	s := fmt.Sprintf("%s: %s %s", e.Host, e.Command, how)
	if line := lastLine(e.Stderr); line != "" {
		s += ": " + line
	}
	return s
}

// lastLine is the last line that isn't blank, which by custom says what went wrong, made fit for a terminal.
func lastLine(b []byte) string {
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return Printable(strings.TrimSpace(lines[len(lines)-1]), 200)
}

// Printable replaces what could move a terminal's cursor or pass for something else, and cuts at limit bytes.
func Printable(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) || r == 0x2028 || r == 0x2029 || (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069) || r == '\uFFFD' {
			return '?'
		}
		return r
	}, s)
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "..."
	}
	return s
}

// hostError is an error on one host: what failed there, why, and the class that callers ask for with errors.Is.
type hostError struct {
	host  string
	what  string
	class error
	cause error // may be nil
}

func (e *hostError) Error() string { return e.host + ": " + e.what }
func (e *hostError) Unwrap() []error {
	if e.cause == nil {
		return []error{e.class}
	}
	return []error{e.class, e.cause}
}

func fail(host string, class, cause error, format string, args ...any) error {
	return &hostError{host, fmt.Sprintf(format, args...), class, cause}
}

// seconds prints a limit as people read it.
func seconds(d time.Duration) string { return d.Round(10 * time.Millisecond).String() }
