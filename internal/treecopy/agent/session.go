package agent

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// session is one agent, seen from here. One operation at a time.
type session struct {
	c     *conn
	mouth *mouth
	ear   *ear
	pid   int
	id    Identity
	quiet chan struct{} // closed when pings are to end
}

// startWithin is what an agent gets to be sent, to start, and to find its root: minutes only where the wire is slow or a disk hangs.
const startWithin = 3 * time.Minute

// open starts an agent and says hello. Errors: tree.ErrLost where there was no greeting or no answer; ErrVersion, ErrProtocol; the agent's own, such
// as tree.ErrNoTree; the context's cause.
func open(ctx context.Context, start Start, live int, h Hello, patience time.Duration) (*session, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startWithin, fmt.Errorf("%w: no agent was up within %s", tree.ErrLost, startWithin))
	defer cancel()
	c := connect(ctx, start, live)
	s := &session{c: c, mouth: newMouth(c.in), ear: &ear{r: bufio.NewReaderSize(c.out, 256<<10)}, quiet: make(chan struct{})}
	unhook := context.AfterFunc(ctx, c.cut)
	err := s.hello(h)
	if !unhook() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, s.failed(ctx, err)
	}
	go s.ping(patience / 4)
	return s, nil
}

func (s *session) hello(h Hello) (err error) {
	if s.pid, err = readGreeting(s.ear.r); err != nil {
		return err
	}
	if err := s.mouth.say(frameHello, h.encode()); err != nil {
		return err
	}
	kind, b, err := s.ear.hear()
	switch {
	case err != nil:
		return err
	case kind == frameFailed:
		return decodeError(b)
	case kind != frameWelcome:
		return fmt.Errorf("%w: frame %q in place of a welcome", ErrProtocol, kind)
	}
	s.id, err = decodeIdentity(b)
	return err
}

// failed closes a session that can't go on, and says why.
func (s *session) failed(ctx context.Context, err error) error {
	why := s.c.close()
	var theirs *remoteError
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &theirs), errors.Is(err, ErrVersion), errors.Is(err, ErrProtocol):
		return err
	case why != nil:
		return why
	}
	return fmt.Errorf("%w: the agent has ended", tree.ErrLost)
}

func (s *session) ping(every time.Duration) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			_ = s.mouth.say(framePing, nil) // whoever waits for an answer sees that the other side is gone
		case <-s.quiet:
			return
		case <-s.c.ended:
			return
		}
	}
}

func (s *session) close() error {
	close(s.quiet)
	return s.c.close()
}

// task is an operation, seen from here.
type task struct {
	kind byte
	send func(io.Writer) error // writes the input; nil: there is none
	// open: send reads what it writes from somebody who may let it wait, so that an answer isn't held up for it
	open bool
	recv func(io.Reader) error // reads the output, to its end
}

// do does an operation. The session can be used again when whole is true.
func (s *session) do(ctx context.Context, t task) (whole bool, err error) {
	unhook := context.AfterFunc(ctx, s.c.cut)
	sent := make(chan error, 1)
	go func() { sent <- s.send(t) }()
	a := &answer{s: s}
	err = t.recv(a)
	if err == nil && !a.done {
		err = fmt.Errorf("%w: operation %q: the output goes on behind its end", ErrProtocol, t.kind)
	}
	if !unhook() {
		return false, context.Cause(ctx)
	}
	if a.lost != nil {
		return false, s.failed(ctx, a.lost)
	}
	var sendErr error
	switch {
	case !a.done: // the caller had enough
		return false, err
	case t.open && err != nil && !errors.Is(err, errInput):
		select {
		case sendErr = <-sent:
		default: // it goes on to read what nobody wants any more
			return false, err
		}
	default:
		sendErr = <-sent
	}
	if sendErr != nil && (err == nil || errors.Is(err, errInput)) {
		err = sendErr
	}
	return true, err
}

// send sends an operation and its input. Its error is that of who gives the input.
func (s *session) send(t task) error {
	in := &input{w: pieces{s.mouth, frameInput}}
	if err := s.mouth.say(t.kind, nil); err != nil || t.send == nil {
		_ = s.mouth.say(frameEnd, nil) // as below
		return nil
	}
	err := t.send(in)
	switch {
	case in.broken: // whoever reads the answer sees that as well, and says it
		return nil
	case err != nil:
		_ = s.mouth.say(frameBroken, nil)
		return err
	}
	_ = s.mouth.say(frameEnd, nil)
	return nil
}

// input notes that the other side takes no more.
type input struct {
	w      io.Writer
	broken bool
}

func (i *input) Write(b []byte) (int, error) {
	n, err := i.w.Write(b)
	i.broken = i.broken || err != nil
	return n, err
}

// answer is an operation's output. It ends with io.EOF when the operation was done, and with its error where it failed.
type answer struct {
	s    *session
	left []byte
	end  error // what it has ended with
	done bool  // the operation was answered
	lost error // or couldn't be
}

func (a *answer) Read(b []byte) (int, error) {
	for len(a.left) == 0 {
		if a.end != nil {
			return 0, a.end
		}
		a.next()
	}
	n := copy(b, a.left)
	a.left = a.left[n:]
	return n, nil
}

// WriteTo saves io.Copy a copy.
func (a *answer) WriteTo(w io.Writer) (total int64, err error) {
	for {
		if len(a.left) > 0 {
			n, err := w.Write(a.left)
			total, a.left = total+int64(n), a.left[n:]
			if err != nil {
				return total, err
			}
			continue
		}
		if errors.Is(a.end, io.EOF) {
			return total, nil
		}
		if a.end != nil {
			return total, a.end
		}
		a.next()
	}
}

func (a *answer) next() {
	kind, b, err := a.s.ear.hear()
	switch {
	case err != nil:
		a.lost, a.end = err, cut(err)
	case kind == frameOutput:
		a.left = b
	case kind == frameDone:
		a.done, a.end = true, io.EOF
	case kind == frameFailed:
		a.done, a.end = true, decodeError(b)
	default:
		a.lost = fmt.Errorf("%w: frame %q in an answer", ErrProtocol, kind)
		a.end = a.lost
	}
}
