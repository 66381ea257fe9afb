package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// conn is one SSH connection, logged in.
type conn struct {
	host   string
	client *ssh.Client
	slots  chan struct{} // a token for each command that may run at once

	mu    sync.Mutex
	limit int // tokens that exist: those in slots and those in use

	dead  chan struct{}
	once  sync.Once
	cause atomic.Pointer[error] // why it was ended on our side, if it was
}

// dial connects, checks the host key and logs in. The jump host's connection has a time limit of its own.
func (p *Pool) dial(ctx context.Context, m *member) (*conn, error) {
	dial := p.cfg.Dial
	if m.via != nil {
		via, err := p.get(ctx, m.via)
		if err != nil {
			return nil, fmt.Errorf("%s: through %w", m.host.Name, err)
		}
		dial = via.dialTCP
	}
	ctx, cancel := context.WithTimeoutCause(ctx, p.cfg.DialTimeout, ErrTimeout)
	defer cancel()
	h, addr := m.host, m.host.hostport()
	raw, err := dial(ctx, "tcp", addr)
	if err != nil {
		return nil, p.unreachable(ctx, h, err)
	}
	tap := &tap{Conn: raw}
	// A deadline doesn't do: a forwarded connection has none. Closing ends the handshake in any case.
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	offered, err := p.ids.offer()
	if err != nil {
		stop()
		_ = raw.Close()
		return nil, fail(h.Name, ErrAuth, err, "%v", err)
	}
	var keyErr error
	verify := p.ring.verify(h.Name)
	signers := make([]ssh.Signer, len(offered))
	for i, id := range offered {
		signers[i] = id.signer
	}
	sc, chans, reqs, err := ssh.NewClientConn(tap, addr, &ssh.ClientConfig{
		User:              h.User,
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(signers...)},
		HostKeyAlgorithms: p.ring.algorithms(addr),
		HostKeyCallback: func(address string, remote net.Addr, key ssh.PublicKey) error {
			keyErr = verify(address, remote, key)
			return keyErr
		},
	})
	if !stop() && err == nil { // the limit passed just now: the connection is closed or about to be
		_ = sc.Close()
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = raw.Close()
		if keyErr != nil {
			return nil, keyErr
		}
		return nil, p.refused(ctx, h, tap, offered, err)
	}
	c := &conn{host: h.Name, client: ssh.NewClient(sc, chans, reqs), slots: make(chan struct{}, p.cfg.Sessions), limit: p.cfg.Sessions, dead: make(chan struct{})}
	for range p.cfg.Sessions {
		c.slots <- struct{}{}
	}
	p.wg.Go(func() {
		_ = c.client.Wait() // its error is what lose was told, or that the other side ended it
		c.once.Do(func() { close(c.dead) })
	})
	p.wg.Go(func() { c.keepAlive(p.cfg.KeepAlive) })
	return c, nil
}

// unreachable says why there is no TCP connection.
func (p *Pool) unreachable(ctx context.Context, h Host, err error) error {
	// The dialer has the context's deadline and may notice it a moment before the context does.
	var slow net.Error
	switch {
	case errors.Is(context.Cause(ctx), ErrTimeout), ctx.Err() == nil && errors.As(err, &slow) && slow.Timeout():
		return fail(h.Name, ErrUnreachable, ErrTimeout, "%s does not answer (waited %s): the host is down, or the network or a firewall drops it", h.hostport(), seconds(p.cfg.DialTimeout))
	case ctx.Err() != nil:
		return stopped(ctx, h.Name, "connect")
	case errors.Is(err, syscall.ECONNREFUSED):
		return fail(h.Name, ErrUnreachable, err, "%s refuses the connection: the host is up, and nothing listens there; look at: systemctl status ssh", h.hostport())
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return fail(h.Name, ErrUnreachable, err, "no route to %s: the host is down, or this machine isn't in its network", h.hostport())
	}
	return fail(h.Name, ErrUnreachable, err, "connect to %s: %v", h.hostport(), err)
}

// refused says why there is no login on a connection that was made.
func (p *Pool) refused(ctx context.Context, h Host, t *tap, offered []identity, err error) error {
	addr, text := h.hostport(), err.Error()
	var algo *ssh.AlgorithmNegotiationError
	switch {
	case ctx.Err() != nil && errors.Is(context.Cause(ctx), ErrTimeout) && t.read.Load() == 0:
		return fail(h.Name, ErrUnreachable, ErrTimeout, "%s accepted the connection but sent no SSH banner within %s: its sshd hangs, or it isn't one", addr, seconds(p.cfg.DialTimeout))
	case ctx.Err() != nil && errors.Is(context.Cause(ctx), ErrTimeout):
		return fail(h.Name, ErrUnreachable, ErrTimeout, "%s did not finish the SSH login within %s", addr, seconds(p.cfg.DialTimeout))
	case ctx.Err() != nil:
		return stopped(ctx, h.Name, "log in")
	case errors.As(err, &algo) && strings.Contains(text, "host key"):
		return fail(h.Name, ErrHostKey, err, "%s has no host key of a type that %s pins: it offers %s; nothing was sent to it; compare and pin one of its keys", addr, p.ring.file, strings.Join(algo.RequestedAlgorithms, ", "))
	case strings.Contains(text, "unable to authenticate"), strings.Contains(text, "oo many authentication"), strings.Contains(text, "no supported methods"):
		return fail(h.Name, ErrAuth, err, "%s refuses user %s with %d keys: %s; add one to ~%s/.ssh/authorized_keys there", addr, h.User, len(offered), describe(offered), h.User)
	case t.read.Load() == 0:
		return fail(h.Name, ErrUnreachable, err, "%s closed the connection before its SSH banner (sshd's MaxStartups or a firewall)", addr)
	}
	return fail(h.Name, ErrUnreachable, err, "log in to %s: %v", addr, err)
}

// tap counts what was read.
type tap struct {
	net.Conn
	read atomic.Int64
}

func (t *tap) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	t.read.Add(int64(n))
	return n, err
}

func (c *conn) alive() bool {
	select {
	case <-c.dead:
		return false
	default:
		return true
	}
}

// lose ends the connection for a reason. What runs over it fails with ErrLost.
func (c *conn) lose(why error) {
	c.cause.CompareAndSwap(nil, &why)
	c.once.Do(func() { close(c.dead) })
	_ = c.client.Close() // it is given up: whatever this says changes nothing
}

// lost is the error of a command whose connection ended.
func (c *conn) lost(what string) error {
	why := errors.New("the host or the network ended it")
	if p := c.cause.Load(); p != nil {
		why = *p
	}
	return fail(c.host, ErrLost, why, "%s: connection lost (%v): whether it ran to its end is unknown", what, why)
}

// keepAlive asks for a sign of life every interval, and gives the connection up when missedKeepAlives in a row stay
// without one. Any answer is one, a refusal too (RFC 4254, 4: a server answers every request that wants it).
func (c *conn) keepAlive(every time.Duration) {
	limit := every * missedKeepAlives
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-c.dead:
			return
		case <-tick.C:
		}
		answer := make(chan error, 1)
		go func() {
			_, _, err := c.client.SendRequest("keepalive@openssh.com", true, nil)
			answer <- err
		}()
		late := time.NewTimer(limit)
		select {
		case <-c.dead:
		case err := <-answer:
			if err != nil {
				c.lose(err)
			}
		case <-late.C:
			c.lose(fmt.Errorf("no sign of life for %s", seconds(limit)))
		}
		late.Stop()
	}
}

// session opens a channel for one command. release gives its place back.
func (c *conn) session(ctx context.Context, what string) (s *ssh.Session, release func(), err error) {
	const tries = 5
	pause := 50 * time.Millisecond
	for try := 1; ; try++ {
		select {
		case <-c.slots:
		case <-c.dead:
			return nil, nil, c.lost(what)
		case <-ctx.Done():
			return nil, nil, stopped(ctx, c.host, what)
		}
		release = func() { c.slots <- struct{}{} }
		s, err = await(ctx, c.client.NewSession, func(s *ssh.Session) { _ = s.Close() })
		var no *ssh.OpenChannelError
		switch {
		case err == nil:
			return s, release, nil
		case ctx.Err() != nil:
			release()
			return nil, nil, stopped(ctx, c.host, what)
		case !errors.As(err, &no):
			release()
			return nil, nil, c.lost(what)
		case try == tries:
			release()
			return nil, nil, fail(c.host, ErrUnreachable, err, "%s: the host opens no session (sshd's MaxSessions?): %v", what, err)
		}
		if !c.giveUpSlot() {
			release()
		}
		select {
		case <-time.After(pause):
			pause *= 2
		case <-c.dead:
		case <-ctx.Done():
		}
	}
}

// giveUpSlot is asked when the host refused a session. Its MaxSessions is below ours, or it hasn't noticed yet that another
// command ended. With others running, this token is given up for good, and the call waits for one of theirs.
func (c *conn) giveUpSlot() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.limit-len(c.slots) < 2 {
		return false
	}
	c.limit--
	return true
}

// await runs fn, which knows no context, until it ends or ctx does. What comes too late goes to drop.
func await[T any](ctx context.Context, fn func() (T, error), drop func(T)) (T, error) {
	type result struct {
		v   T
		err error
	}
	ch := make(chan result)
	go func() {
		v, err := fn()
		select {
		case ch <- result{v, err}:
		case <-ctx.Done():
			if err == nil {
				drop(v)
			}
		}
	}()
	select {
	case r := <-ch:
		return r.v, r.err
	case <-ctx.Done():
		var zero T
		return zero, ctx.Err()
	}
}
