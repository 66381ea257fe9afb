package custom

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/slipway-dev/slipway/internal/remote"
	"github.com/slipway-dev/slipway/internal/secret"
)

// Place is where commands run. What only looks and what acts differs by the command alone, so this is both what a step
// looks with and what it acts with: what it may act on is decided where the step is bound.
type Place interface {
	// Do runs a command to its end and gives its exit status, whatever that is. An error says that it did not run, that
	// a signal ended it, that ctx ended it, or that what became of it is not known.
	Do(ctx context.Context, c Command) (exit int, err error)
}

// Nowhere is what a plan looks at before there is a place: nothing runs there.
type Nowhere struct{}

// Do fails.
func (Nowhere) Do(context.Context, Command) (int, error) {
	return 0, errors.New("there is no place yet to run a command in")
}

// Command is one command. Out takes both its streams; it is written to from several goroutines.
type Command struct {
	Argv []string
	Env  []Value
	Out  io.Writer
}

// Value is an environment variable with its value.
type Value struct {
	Name  string
	Value secret.String
}

// withEnvironment reads as many variables as its first argument says from its input, one a line, and becomes the command that its
// other arguments are. It is the same text for all commands: their words are its arguments.
const withEnvironment = `n=$1; shift; while [ "$n" -gt 0 ]; do IFS= read -r v || exit 125; export "$v"; n=$((n - 1)); done; exec "$@" </dev/null`

// piped is the command for a place that takes words and an input, and no environment. Values go through the input: words can
// be read by others on a host. A command with an environment therefore needs a POSIX shell there.
func (c Command) piped() (argv []string, in io.Reader, err error) {
	if len(c.Env) == 0 {
		return c.Argv, nil, nil
	}
	var b strings.Builder
	for _, v := range c.Env {
		value := v.Value.Reveal()
		if strings.ContainsAny(value, "\n\x00") {
			return nil, nil, fmt.Errorf("environment variable %s: a value of several lines can't be given to a command there: put it into a file there", v.Name)
		}
		b.WriteString(v.Name + "=" + value + "\n")
	}
	argv = append([]string{"sh", "-c", withEnvironment, "sh", strconv.Itoa(len(c.Env))}, c.Argv...)
	return argv, strings.NewReader(b.String()), nil
}

const (
	keptHead = 256 << 10 // bytes that are kept of what a command prints first,
	keptTail = 64 << 10  // and last
)

// output keeps the beginning and the end of what is written to it. It may be written to from many goroutines.
type output struct {
	mu   sync.Mutex
	head []byte
	tail []byte // its last keptTail bytes count
	all  int64
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := len(b)
	o.all += int64(n)
	room := min(len(b), keptHead-len(o.head))
	o.head, b = append(o.head, b[:room]...), b[room:]
	if o.tail = append(o.tail, b[max(0, len(b)-keptTail):]...); len(o.tail) > 2*keptTail {
		o.tail = append(o.tail[:0], o.tail[len(o.tail)-keptTail:]...)
	}
	return n, nil
}

// String is what was kept, ended by a newline.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	tail := o.tail[max(0, len(o.tail)-keptTail):]
	text := string(o.head)
	if left := o.all - int64(len(o.head)+len(tail)); left > 0 {
		text += fmt.Sprintf("\n[%d bytes were left out here]\n", left)
	}
	text += string(tail)
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text
}

// lastLine is the last line that isn't blank, fit for a terminal.
func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return remote.Printable(strings.TrimSpace(lines[len(lines)-1]), 200)
}
