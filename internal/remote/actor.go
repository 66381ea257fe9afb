package remote

import (
	"context"
	"io"
	"time"
)

// Actor runs any command on a host. It is a hand on it: see the package's comment on where it may be constructed.
type Actor interface {
	// Run runs the command and waits for its end. Errors as Looker's.
	Run(ctx context.Context, host string, c Cmd) error
}

// Cmd is a command to run. Nothing secret belongs in Argv: other users of the host can read it.
type Cmd struct {
	Argv    []string
	Stdin   io.Reader // nil: empty
	Stdout  io.Writer // nil: dropped
	Stderr  io.Writer // besides the 64 KiB that an ExitError keeps
	Timeout time.Duration
}

// NewActor gives the pool's hosts into hands.
func NewActor(p *Pool) Actor { return actor{p} }

type actor struct{ pool *Pool }

func (a actor) Run(ctx context.Context, host string, c Cmd) error {
	line, err := Quote(c.Argv...)
	if err != nil {
		return fail(host, err, nil, "%v", err)
	}
	return a.pool.exec(ctx, host, command{name: Printable(c.Argv[0], 60), line: line, stdin: c.Stdin, stdout: c.Stdout, stderr: c.Stderr, timeout: c.Timeout})
}
