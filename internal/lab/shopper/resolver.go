package shopper

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// DialFunc makes a connection, as net.Dialer.DialContext does.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// A resolver asks one name server and keeps an answer exactly as long as its TTL says, and a failure not at all:
// how fast customers follow a change of address is what a cut-over wants to know.
type resolver struct {
	server netip.AddrPort
	dial   DialFunc
	now    func() time.Time

	mu    sync.Mutex
	cache map[string]answer
}

type answer struct {
	addrs []netip.Addr
	until time.Time
}

func newResolver(server netip.AddrPort, dial DialFunc) *resolver {
	return &resolver{server: server, dial: dial, now: time.Now, cache: map[string]answer{}}
}

// lookup returns the IPv4 addresses of a name, in the order of the answer.
func (r *resolver) lookup(ctx context.Context, name string) ([]netip.Addr, error) {
	r.mu.Lock()
	kept, ok := r.cache[name]
	r.mu.Unlock()
	if ok && r.now().Before(kept.until) {
		return kept.addrs, nil
	}
	asked := r.now()
	addrs, ttl, err := r.ask(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("resolve %s at %s: %w", name, r.server, err)
	}
	r.mu.Lock()
	r.cache[name] = answer{addrs, asked.Add(ttl)}
	r.mu.Unlock()
	return addrs, nil
}

// ask sends the question up to three times, two seconds each: UDP loses packets.
func (r *resolver) ask(ctx context.Context, name string) ([]netip.Addr, time.Duration, error) {
	question := new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.TypeA)
	var failed error
	for range 3 {
		reply, err := r.exchange(ctx, question)
		if err == nil {
			return readAnswer(reply)
		}
		if failed = errors.Join(failed, err); ctx.Err() != nil {
			break
		}
	}
	return nil, 0, failed
}

func (r *resolver) exchange(ctx context.Context, question *dns.Msg) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	conn, err := r.dial(ctx, "udp", r.server.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	reply, _, err := new(dns.Client).ExchangeWithConnContext(ctx, question, &dns.Conn{Conn: conn})
	return reply, err
}

// readAnswer takes the addresses, and the smallest TTL on the way to them.
func readAnswer(reply *dns.Msg) ([]netip.Addr, time.Duration, error) {
	if reply.Rcode != dns.RcodeSuccess {
		return nil, 0, errors.New(dns.RcodeToString[reply.Rcode])
	}
	var addrs []netip.Addr
	ttl := time.Duration(-1)
	for _, rr := range reply.Answer {
		if t := time.Duration(rr.Header().Ttl) * time.Second; ttl < 0 || t < ttl {
			ttl = t
		}
		if a, ok := rr.(*dns.A); ok {
			if addr, ok := netip.AddrFromSlice(a.A.To4()); ok {
				addrs = append(addrs, addr)
			}
		}
	}
	if len(addrs) == 0 {
		return nil, 0, errors.New("it has no address")
	}
	return addrs, ttl, nil
}

// connect dials a host by name, trying its addresses in order; it says which one answered.
func (r *resolver) connect(ctx context.Context, host, port string) (net.Conn, netip.Addr, error) {
	addrs, err := r.lookup(ctx, host)
	if err != nil {
		return nil, netip.Addr{}, err
	}
	var failed error
	for _, a := range addrs {
		conn, err := r.dial(ctx, "tcp", net.JoinHostPort(a.String(), port))
		if err == nil {
			return conn, a, nil
		}
		failed = errors.Join(failed, err)
	}
	return nil, netip.Addr{}, failed
}
