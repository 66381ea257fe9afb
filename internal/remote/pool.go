package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/go-multierror"

	"github.com/slipway-dev/slipway/internal/errlist"
)

// Host is one machine to log in to. Address is an IP address or a name; Port 0 is 22; User "" is the pool's.
type Host struct {
	Name    string
	Address string
	Port    int
	User    string
}

func (h Host) hostport() string {
	port := h.Port
	if port == 0 {
		port = 22
	}
	return net.JoinHostPort(h.Address, strconv.Itoa(port))
}

// Config is what all connections have in common. The zero value of a limit is its default.
type Config struct {
	User        string
	KnownHosts  string // file
	Keys        []Key
	AgentSocket string // "": the agent isn't used
	// Jump hosts, outermost first. All hosts that aren't one of them are reached through the last. Their keys are pinned
	// in the same file.
	Jump []Host

	DialTimeout time.Duration // to connect, shake hands and log in, per host; default 10 s
	KeepAlive   time.Duration // between signs of life; three missed in a row end the connection; default 5 s
	Sessions    int           // commands at once per host; default 8 (OpenSSH's MaxSessions is 10)

	// Dial makes the first connection (to the jump host if there is one). Nil: the operating system's.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

const (
	defaultDial      = 10 * time.Second
	defaultKeepAlive = 5 * time.Second
	defaultSessions  = 8
	missedKeepAlives = 3
)

// Pool holds at most one connection per host. It does nothing by itself: see NewLooker, NewActor and Dialer. It may be
// used by many goroutines at once.
type Pool struct {
	cfg   Config
	ring  *keyring
	ids   *identities
	hosts map[string]*member

	closing chan struct{}
	once    sync.Once
	wg      sync.WaitGroup
}

// member is a host and its connection, if there is one.
type member struct {
	host Host
	via  *member // the jump host; nil: directly

	mu      sync.Mutex
	conn    *conn
	dialing *dialing
}

// dialing is a connection being made, shared by all who wait for it.
type dialing struct {
	done chan struct{}
	conn *conn
	err  error
}

// Open checks the configuration, reads keys and known hosts, and dials nothing. All problems come at once.
func Open(cfg Config, hosts []Host) (*Pool, error) {
	var all *multierror.Error
	bad := func(err error) {
		if err != nil {
			all = multierror.Append(all, err)
		}
	}
	if cfg.DialTimeout <= 0 {
		cfg.DialTimeout = defaultDial
	}
	if cfg.KeepAlive <= 0 {
		cfg.KeepAlive = defaultKeepAlive
	}
	if cfg.Sessions < 1 {
		cfg.Sessions = defaultSessions
	}
	if cfg.Dial == nil {
		cfg.Dial = (&net.Dialer{}).DialContext
	}
	p := &Pool{cfg: cfg, hosts: map[string]*member{}, closing: make(chan struct{})}
	var err error
	p.ring, err = readKnownHosts(cfg.KnownHosts)
	bad(err)
	p.ids, err = loadKeys(cfg.Keys, cfg.AgentSocket)
	var several *multierror.Error
	if errors.As(err, &several) {
		all = multierror.Append(all, several.Errors...)
	} else {
		bad(err)
	}
	var via *member
	for _, h := range cfg.Jump {
		m, err := p.add(h, via)
		bad(err)
		via = m
	}
	for _, h := range hosts {
		_, err := p.add(h, via)
		bad(err)
	}
	if err := errlist.OrNil(all); err != nil {
		if p.ids != nil {
			p.ids.close()
		}
		return nil, err
	}
	return p, nil
}

func (p *Pool) add(h Host, via *member) (*member, error) {
	if h.User == "" {
		h.User = p.cfg.User
	}
	switch {
	case h.Name == "" || h.Address == "":
		return nil, fmt.Errorf("ssh host %q: name or address is missing", h.Name+h.Address)
	case h.User == "":
		return nil, fmt.Errorf("ssh host %s: no user to log in as", h.Name)
	case p.hosts[h.Name] != nil:
		if old := p.hosts[h.Name]; old.host == h {
			return old, nil // a jump host that is also in the inventory
		}
		return nil, fmt.Errorf("ssh host %s is there twice, with different addresses or users", h.Name)
	}
	m := &member{host: h, via: via}
	p.hosts[h.Name] = m
	return m, nil
}

// Close ends all connections and everything that runs over them, and waits until they have ended.
func (p *Pool) Close() error {
	p.once.Do(func() { close(p.closing) })
	for _, m := range p.hosts {
		m.mu.Lock()
		c := m.conn
		m.mu.Unlock()
		if c != nil {
			c.lose(ErrClosed)
		}
	}
	p.wg.Wait()
	p.ids.close()
	return nil
}

// get gives host's connection, making it if there's none or it was lost. Those who wait for one that is being made share
// its outcome; one who gives up waiting doesn't stop it for the others.
func (p *Pool) get(ctx context.Context, m *member) (*conn, error) {
	m.mu.Lock()
	if m.conn != nil && m.conn.alive() {
		defer m.mu.Unlock()
		return m.conn, nil
	}
	select {
	case <-p.closing:
		m.mu.Unlock()
		return nil, fail(m.host.Name, ErrClosed, nil, "%v", ErrClosed)
	default:
	}
	d := m.dialing
	if d == nil {
		d = &dialing{done: make(chan struct{})}
		m.dialing = d
		p.wg.Go(func() { p.make(ctx, m, d) })
	}
	m.mu.Unlock()
	select {
	case <-d.done:
		return d.conn, d.err
	case <-ctx.Done():
		return nil, stopped(ctx, m.host.Name, "connect")
	}
}

func (p *Pool) make(ctx context.Context, m *member, d *dialing) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	go func() {
		select {
		case <-p.closing:
			cancel()
		case <-ctx.Done():
		}
	}()
	d.conn, d.err = p.dial(ctx, m)
	m.mu.Lock()
	m.dialing = nil
	if d.err == nil {
		m.conn = d.conn
	}
	m.mu.Unlock()
	close(d.done)
	select {
	case <-p.closing:
		if d.conn != nil {
			d.conn.lose(ErrClosed)
		}
	default:
	}
}

func (p *Pool) member(host string) (*member, error) {
	m := p.hosts[host]
	if m == nil {
		return nil, fail(host, ErrUnknownHost, nil, "%v", ErrUnknownHost)
	}
	return m, nil
}

// stopped is the error of a wait that the caller's context ended.
func stopped(ctx context.Context, host, what string) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, context.DeadlineExceeded) || errors.Is(cause, ErrTimeout) {
		return fail(host, ErrTimeout, cause, "%s: %v", what, ErrTimeout)
	}
	return fail(host, cause, nil, "%s: %v", what, cause)
}
