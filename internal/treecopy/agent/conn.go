package agent

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// Start starts an agent, joins its input and output to in and out, and returns when it has ended, and why: nil where it ended well, an error
// that is tree.ErrLost where another try may help. The agent's first output comes before it takes any input of the protocol's. live is the
// process id of an agent that already runs there, which it may be started from; 0: there is none. It ends with ctx, and leaves nothing behind.
type Start func(ctx context.Context, live int, in io.Reader, out io.Writer) error

// endGrace is what an agent gets to end by itself when its session is closed.
const endGrace = 3 * time.Second

var errClosed = errors.New("the session is closed")

// conn is the streams of an agent that was started.
type conn struct {
	in    *io.PipeWriter
	out   *io.PipeReader
	shut  *io.PipeWriter // out's other side
	stop  context.CancelFunc
	ended chan struct{}
	why   error // once ended is closed
	once  sync.Once
}

// connect starts an agent that outlives ctx.
func connect(ctx context.Context, start Start, live int) *conn {
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	c := &conn{in: inW, out: outR, shut: outW, stop: stop, ended: make(chan struct{})}
	go func() {
		c.why = start(ctx, live, inR, outW)
		close(c.ended)
		outW.CloseWithError(io.EOF)
		inR.CloseWithError(io.ErrClosedPipe)
	}()
	return c
}

// cut ends what reads and writes at once, and the agent soon.
func (c *conn) cut() {
	c.once.Do(func() {
		_ = c.in.Close() // never fails
		c.shut.CloseWithError(errClosed)
	})
}

// close returns when the agent has ended, and why it did.
func (c *conn) close() error {
	c.cut()
	select {
	case <-c.ended:
	case <-time.After(endGrace):
		c.stop()
		<-c.ended
	}
	c.stop()
	return c.why
}
