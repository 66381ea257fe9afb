package remote

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// Dialer gives a function that opens TCP connections from host; their addresses are as host sees them, so 127.0.0.1:3306
// is its own MariaDB. It fits mysql.Config.DialFunc and http.Transport.DialContext.
//
// The connections know deadlines in one way only: one that passes ends the connection for good, and reads and writes then
// return os.ErrDeadlineExceeded.
func Dialer(p *Pool, host string) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		m, err := p.member(host)
		if err != nil {
			return nil, err
		}
		c, err := p.get(ctx, m)
		if err != nil {
			return nil, err
		}
		return c.dialTCP(ctx, network, address)
	}
}

func (c *conn) dialTCP(ctx context.Context, network, address string) (net.Conn, error) {
	raw, err := await(ctx, func() (net.Conn, error) { return c.client.Dial(network, address) }, func(n net.Conn) { _ = n.Close() })
	var no *ssh.OpenChannelError
	switch {
	case err == nil:
		return &forwarded{Conn: raw, owner: c}, nil
	case ctx.Err() != nil:
		return nil, stopped(ctx, c.host, "forward to "+address)
	case errors.As(err, &no) && no.Reason == ssh.Prohibited:
		return nil, fail(c.host, ErrForward, err, "forward to %s: sshd does not allow it (AllowTcpForwarding, PermitOpen): %v", address, err)
	case errors.As(err, &no):
		return nil, fail(c.host, ErrForward, err, "forward to %s: %s: look at what listens there: ss -ltn", address, Printable(no.Message, 200))
	case !c.alive():
		return nil, c.lost("forward to " + address)
	}
	return nil, fail(c.host, ErrForward, err, "forward to %s: %v", address, err)
}

// forwarded is a connection through an SSH channel, which itself has no deadlines.
type forwarded struct {
	net.Conn
	owner *conn
	late  atomic.Bool

	mu          sync.Mutex
	read, write *time.Timer
}

func (f *forwarded) Read(b []byte) (int, error) {
	n, err := f.Conn.Read(b)
	return n, f.explain(err)
}

func (f *forwarded) Write(b []byte) (int, error) {
	n, err := f.Conn.Write(b)
	return n, f.explain(err)
}

// explain turns an end that a deadline or a lost connection made into what it was: a plain EOF would pass for a peer that
// has finished.
func (f *forwarded) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case f.late.Load():
		return os.ErrDeadlineExceeded
	}
	// The end of the whole connection is noticed a moment after its channels have ended. An end comes once: the wait costs little.
	select {
	case <-f.owner.dead:
		return f.owner.lost("forwarded connection")
	case <-time.After(50 * time.Millisecond):
		return err
	}
}

func (f *forwarded) SetDeadline(t time.Time) error {
	f.set(&f.read, t)
	f.set(&f.write, t)
	return nil
}

func (f *forwarded) SetReadDeadline(t time.Time) error  { f.set(&f.read, t); return nil }
func (f *forwarded) SetWriteDeadline(t time.Time) error { f.set(&f.write, t); return nil }

func (f *forwarded) set(timer **time.Timer, t time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if *timer != nil {
		(*timer).Stop()
		*timer = nil
	}
	if !t.IsZero() {
		*timer = time.AfterFunc(time.Until(t), func() {
			f.late.Store(true)
			_ = f.Conn.Close() // reads and writes that wait end with it
		})
	}
}

func (f *forwarded) Close() error {
	_ = f.SetDeadline(time.Time{})
	return f.Conn.Close()
}
