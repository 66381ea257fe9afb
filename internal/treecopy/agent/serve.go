package agent

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// Patience is how long an agent lives on without a word from the other side. Pings come four times as often.
const Patience = 60 * time.Second

// grace is what an operation gets to take away what it has half made, once the other side is gone.
const grace = 10 * time.Second

// ErrSilent: nothing was heard for Patience.
var ErrSilent = errors.New("the other side has gone silent")

// Server is an agent's end.
type Server struct {
	Build    string // for messages
	Patience time.Duration
	// Open opens the tree, as hello asks for.
	Open func(Hello) (tree.Target, Identity, error)
}

// Serve speaks with the other side until that closes the session, which is no error. It may leave a goroutine behind that reads in, and one
// that works on what hangs: end the process.
func (s Server) Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	m := newMouth(out)
	worked := make(chan error, 1)
	ops := make(chan operation)
	e := &ear{r: bufio.NewReaderSize(&patient{in, s.Patience, func() { cancel(ErrSilent) }}, 256<<10)}
	go func() {
		cancel(listen(ctx, e, ops))
		close(ops)
	}()
	go func() {
		if _, err := io.WriteString(out, greet(os.Getpid(), s.Build)); err != nil {
			worked <- err
			return
		}
		worked <- s.work(ctx, m, ops)
	}()
	select {
	case err := <-worked:
		if err != nil {
			return err
		}
	case <-ctx.Done():
		select {
		case <-worked:
		case <-time.After(grace):
		}
	}
	if err := context.Cause(ctx); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// patient calls silent when a Read has waited for too long. While nobody reads, nothing can be heard, and that isn't held against the other side.
type patient struct {
	r      io.Reader
	wait   time.Duration
	silent func()
}

func (p *patient) Read(b []byte) (int, error) {
	t := time.AfterFunc(p.wait, p.silent)
	defer t.Stop()
	return p.r.Read(b)
}

// operation is what the other side asks for.
type operation struct {
	kind byte
	what []byte         // of hello
	in   *io.PipeReader // its input; reading ends with errInput where that broke off
}

// listen hands on operations and their input until the session ends, which is io.EOF where the other side closed it.
func listen(ctx context.Context, e *ear, ops chan<- operation) (err error) {
	var input *io.PipeWriter // of the operation that goes on and whose input hasn't ended
	defer func() {
		if input != nil {
			input.CloseWithError(cut(err))
		}
	}()
	for {
		kind, b, err := e.hear()
		if err != nil {
			return err
		}
		switch kind {
		case framePing:
		case frameInput, frameEnd, frameBroken:
			if input == nil {
				return fmt.Errorf("%w: frame %q without an operation", ErrProtocol, kind)
			}
			if kind == frameInput {
				_, _ = input.Write(b) // one that was answered already takes no more, and that is fine
				continue
			}
			input.CloseWithError(map[byte]error{frameEnd: io.EOF, frameBroken: errInput}[kind])
			input = nil
		default:
			if input != nil {
				return fmt.Errorf("%w: frame %q in the input of an operation", ErrProtocol, kind)
			}
			op := operation{kind: kind, what: append([]byte(nil), b...)}
			if op.in, input = io.Pipe(); kind == frameHello {
				input = nil // it has none
			}
			select {
			case ops <- op:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
}

// work does operations, one after the other.
func (s Server) work(ctx context.Context, m *mouth, ops <-chan operation) error {
	hello, ok := <-ops
	if !ok {
		return nil
	}
	if hello.kind != frameHello {
		return fmt.Errorf("%w: frame %q before hello", ErrProtocol, hello.kind)
	}
	h, err := decodeHello(hello.what)
	if err != nil {
		return err
	}
	t, id, err := s.Open(h)
	if err != nil {
		return m.say(frameFailed, encodeError(err))
	}
	if err := m.say(frameWelcome, id.encode()); err != nil {
		return err
	}
	for {
		var op operation
		select {
		case op, ok = <-ops:
		case <-ctx.Done():
		}
		if !ok || ctx.Err() != nil {
			return nil
		}
		err := do(ctx, t, h.ReadOnly, op, pieces{m, frameOutput})
		op.in.CloseWithError(io.ErrClosedPipe) // what still comes is thrown away
		if ctx.Err() != nil {                  // an answer would say that the operation failed, and not that this program ends
			return nil
		}
		if err != nil {
			err = m.say(frameFailed, encodeError(err))
		} else {
			err = m.say(frameDone, nil)
		}
		if err != nil {
			return err
		}
	}
}
