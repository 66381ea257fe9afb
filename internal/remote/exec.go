package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

const (
	stderrLimit = 64 << 10 // bytes kept for ExitError; the rest is dropped

	// What a command gets to end by itself after SIGTERM, and then after SIGKILL, when its context ends.
	termGrace = 2 * time.Second
	killGrace = time.Second
)

// command is what exec runs: a line that Quote made, and a name for it in messages.
type command struct {
	name    string
	line    string
	stdin   io.Reader // nil: empty
	stdout  io.Writer // nil: dropped
	stderr  io.Writer // nil: kept for the error alone
	timeout time.Duration
}

// exec runs a command and waits for its end. Errors: *ExitError if it ran and failed; ErrLost if what became of it is
// unknown; ErrTimeout and the context's cause, after it was told to end; what stdout's Write returned, after it was told to
// end; and those of connecting.
func (p *Pool) exec(ctx context.Context, host string, cmd command) error {
	m, err := p.member(host)
	if err != nil {
		return err
	}
	c, err := p.get(ctx, m)
	if err != nil {
		return err
	}
	if cmd.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, cmd.timeout, fmt.Errorf("did not end within %s: %w", seconds(cmd.timeout), ErrTimeout))
		defer cancel()
	}
	return c.exec(ctx, cmd)
}

func (c *conn) exec(ctx context.Context, cmd command) error {
	s, release, err := c.session(ctx, cmd.name)
	if err != nil {
		return err
	}
	defer release()
	defer s.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	out := &sink{w: cmd.stdout, broken: cancel}
	kept := &keep{limit: stderrLimit}
	errs := &sink{w: kept, broken: cancel}
	if cmd.stderr != nil {
		errs.w = io.MultiWriter(kept, cmd.stderr)
	}
	s.Stdout, s.Stderr = out, errs
	in, err := s.StdinPipe()
	if err != nil {
		return fail(c.host, ErrLost, err, "%s: %v", cmd.name, err)
	}
	done := make(chan error, 1)
	go func() {
		if err := s.Start(cmd.line); err != nil {
			done <- &startError{err}
			return
		}
		go feed(in, cmd.stdin, cancel)
		done <- s.Wait()
	}()

	select {
	case err := <-done:
		return c.ended(cmd, kept, err)
	case <-ctx.Done():
		return c.abort(ctx, s, cmd, done)
	}
}

// startError is a command that the host did not start.
type startError struct{ err error }

func (e *startError) Error() string { return e.err.Error() }
func (e *startError) Unwrap() error { return e.err }

// feed copies a command's input. A write that fails is no error: the command may rightly end without reading all. A read that
// fails ends the command, without an end of input first: it must not take what came so far for the whole.
func feed(in io.WriteCloser, r io.Reader, broken context.CancelCauseFunc) {
	if r != nil {
		src := &source{r: r}
		_, _ = io.Copy(in, src)
		if src.err != nil {
			broken(fmt.Errorf("its input could not be read: %w", src.err))
			return
		}
	}
	_ = in.Close()
}

// source keeps the reader's own error apart from the writer's.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

func (c *conn) ended(cmd command, stderr *keep, err error) error {
	var exit *ssh.ExitError
	var start *startError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &start) && c.alive():
		return fail(c.host, ErrUnreachable, start.err, "%s: the host refuses to run commands (ForceCommand, a login shell that is missing?): %v", cmd.name, start.err)
	case errors.As(err, &exit):
		return &ExitError{Host: c.host, Command: cmd.name, Status: exit.ExitStatus(), Signal: exit.Signal(), Stderr: stderr.bytes()}
	case !c.alive():
		return c.lost(cmd.name)
	}
	// The channel was closed without a status. Where it was the whole connection, that is only noticed a moment later.
	select {
	case <-c.dead:
		return c.lost(cmd.name)
	case <-time.After(100 * time.Millisecond):
	}
	return fail(c.host, ErrLost, err, "%s: ended without an exit status: whether it did its work is unknown", cmd.name)
}

// abort ends the remote process when ctx has ended, be it that it was only just being started: SIGTERM, then SIGKILL, to its process group (sshd does so since
// OpenSSH 7.9), then the channel is closed. It says so where the end could not be confirmed: a process of another user
// (sudo) or one that ignores its closed pipes goes on.
func (c *conn) abort(ctx context.Context, s *ssh.Session, cmd command, done <-chan error) error {
	cause := context.Cause(ctx)
	class := cause
	if errors.Is(cause, context.DeadlineExceeded) || errors.Is(cause, ErrTimeout) {
		class = ErrTimeout
	}
	for _, step := range []struct {
		signal ssh.Signal
		grace  time.Duration
	}{{ssh.SIGTERM, termGrace}, {ssh.SIGKILL, killGrace}} {
		go func() { _ = s.Signal(step.signal) }() // may block on a dead link; done says whether it helped
		select {
		case <-done:
			return fail(c.host, class, cause, "%s: %v; it was ended", cmd.name, cause)
		case <-c.dead:
			return fail(c.host, class, c.lost(cmd.name), "%s: %v; the connection is lost, so it may still run there", cmd.name, cause)
		case <-time.After(step.grace):
		}
	}
	return fail(c.host, class, cause, "%s: %v; it did not end on SIGTERM and SIGKILL and may still run there", cmd.name, cause)
}

// sink writes until a write fails; then it ends the command and drops what still comes, so that the channel's window never
// fills up and the exit status still arrives.
type sink struct {
	w      io.Writer
	failed bool
	broken context.CancelCauseFunc
}

func (s *sink) Write(b []byte) (int, error) {
	if s.w == nil || s.failed {
		return len(b), nil
	}
	if _, err := s.w.Write(b); err != nil {
		s.failed = true
		s.broken(fmt.Errorf("its output could not be taken: %w", err))
	}
	return len(b), nil
}

// keep holds the first limit bytes.
type keep struct {
	mu    sync.Mutex
	b     []byte
	limit int
}

func (k *keep) Write(b []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.b = append(k.b, b[:min(len(b), max(k.limit-len(k.b), 0))]...)
	return len(b), nil
}

func (k *keep) bytes() []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]byte(nil), k.b...)
}
