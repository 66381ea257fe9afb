package remote

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"
)

// Looker looks at hosts. It runs nothing but queries, and only this package makes queries.
//
// Errors: *ExitError, ErrTimeout, ErrLost, ErrUnreachable, ErrAuth, *HostKeyError, ErrForward, ErrTooMuch, the context's
// cause.
type Looker interface {
	// Look runs a query and gives what it printed. Output that is over the query's limit is ErrTooMuch, never cut silently.
	Look(ctx context.Context, host string, q Query) (Output, error)
	// Stream runs a query whose input or output is streamed; either may be nil. After an error, what out got is incomplete.
	Stream(ctx context.Context, host string, q Query, in io.Reader, out io.Writer) error
}

// Output is what a query printed.
type Output struct{ Stdout, Stderr []byte }

// Query is one thing that can be looked at on a host without changing it. Its fields can't be set from outside: the
// constructors in this package's look_*.go files are the whole list of what a Looker can run.
type Query struct {
	name    string
	argv    []string
	stdin   string        // a script, for queries that are not streamed
	limit   int           // bytes of output, for Look
	timeout time.Duration // 0: none (streams)
}

// String names the query, for messages and plans.
func (q Query) String() string { return q.name }

// NewLooker gives the pool's hosts to eyes only.
func NewLooker(p *Pool) Looker { return looker{p} }

// looker has no method beyond Looker's: it can't be asserted into more.
type looker struct{ pool *Pool }

func (l looker) Look(ctx context.Context, host string, q Query) (Output, error) {
	out, errs := &bounded{limit: q.limit}, &keep{limit: q.limit}
	err := l.run(ctx, host, q, bytes.NewReader([]byte(q.stdin)), out, errs)
	if err != nil {
		return Output{}, err
	}
	return Output{out.b.Bytes(), errs.bytes()}, nil
}

func (l looker) Stream(ctx context.Context, host string, q Query, in io.Reader, out io.Writer) error {
	return l.run(ctx, host, q, in, out, nil)
}

func (l looker) run(ctx context.Context, host string, q Query, in io.Reader, out, errs io.Writer) error {
	line, err := Quote(q.argv...)
	if err != nil {
		return fail(host, err, nil, "%s: %v", q, err)
	}
	return l.pool.exec(ctx, host, command{name: q.name, line: line, stdin: in, stdout: out, stderr: errs, timeout: q.timeout})
}

// bounded refuses what is over its limit.
type bounded struct {
	b     bytes.Buffer
	limit int
}

func (w *bounded) Write(b []byte) (int, error) {
	if w.b.Len()+len(b) > w.limit {
		return 0, fmt.Errorf("over %d bytes: %w", w.limit, ErrTooMuch)
	}
	return w.b.Write(b)
}

// Argv is what a query runs, for plans, and for tests that run it elsewhere.
func Argv(q Query) []string { return append([]string(nil), q.argv...) }
