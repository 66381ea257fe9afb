package zone

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-multierror"
	"github.com/miekg/dns"

	"github.com/slipway-dev/slipway/internal/errlist"
)

// Servers asks authoritative servers, each by itself and without any cache in between.
type Servers struct {
	// Resolve gives the addresses of a server's host name; nil is the system's resolver.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	Port    uint16        // 0: 53
	Timeout time.Duration // of one exchange; 0: 2 s
	Tries   int           // over UDP, before TCP is tried; 0: 2
}

// Answer is what one server says of one set.
type Answer struct {
	Server string // "ns1.shop.example. (10.77.0.71)"
	Set    Set
}

// Serial is the serial number of the zone's SOA at one server.
type Serial struct {
	Server string
	Number uint32
}

type address struct {
	label string
	at    string
}

// find gives one address for each server that is to be asked: all of IPv4, or those of IPv6 where there is no other.
func (s Servers) find(ctx context.Context, hosts []string) ([]address, error) {
	resolve := s.Resolve
	if resolve == nil {
		resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", strings.TrimSuffix(host, "."))
		}
	}
	if len(hosts) == 0 {
		return nil, errors.New("the zone names no authoritative servers")
	}
	port := s.Port
	if port == 0 {
		port = 53
	}
	var out []address
	hosts = slices.Sorted(slices.Values(hosts))
	for _, h := range hosts {
		ips, err := resolve(ctx, h)
		if err != nil {
			return nil, fmt.Errorf("address of name server %s: %w", h, err)
		}
		var v4, v6 []netip.Addr
		for _, ip := range ips {
			if ip = ip.Unmap(); ip.Is4() {
				v4 = append(v4, ip)
			} else {
				v6 = append(v6, ip)
			}
		}
		if len(v4) == 0 {
			v4 = v6
		}
		if len(v4) == 0 {
			return nil, fmt.Errorf("name server %s has no address", h)
		}
		slices.SortFunc(v4, netip.Addr.Compare)
		for _, ip := range v4 {
			out = append(out, address{fmt.Sprintf("%s (%s)", h, ip), netip.AddrPortFrom(ip, port).String()})
		}
	}
	return out, nil
}

// Ask asks every server for one set. A server that doesn't answer, answers SERVFAIL or REFUSED, or isn't authoritative is an error that
// names it; all such errors come at once.
func (s Servers) Ask(ctx context.Context, hosts []string, name, typ string) ([]Answer, error) {
	addrs, err := s.find(ctx, hosts)
	if err != nil {
		return nil, err
	}
	var all *multierror.Error
	var out []Answer
	for _, a := range addrs {
		set, err := s.ask(ctx, a, name, typ)
		if err != nil {
			all = multierror.Append(all, err)
			continue
		}
		out = append(out, Answer{a.label, set})
	}
	return out, errlist.OrNil(all)
}

// Serials asks every server for the zone's serial number.
func (s Servers) Serials(ctx context.Context, hosts []string, origin string) ([]Serial, error) {
	addrs, err := s.find(ctx, hosts)
	if err != nil {
		return nil, err
	}
	var all *multierror.Error
	var out []Serial
	for _, a := range addrs {
		m, err := s.exchange(ctx, a, origin, dns.TypeSOA)
		if err != nil {
			all = multierror.Append(all, err)
			continue
		}
		soa := uint32(0)
		found := false
		for _, rr := range m.Answer {
			if r, ok := rr.(*dns.SOA); ok {
				soa, found = r.Serial, true
			}
		}
		if !found {
			all = multierror.Append(all, fmt.Errorf("name server %s: answers no SOA for %s", a.label, origin))
			continue
		}
		out = append(out, Serial{a.label, soa})
	}
	return out, errlist.OrNil(all)
}

func (s Servers) ask(ctx context.Context, a address, name, typ string) (Set, error) {
	set := Set{Name: dns.CanonicalName(name), Type: typ}
	qtype, ok := dns.StringToType[typ]
	if !ok {
		return set, fmt.Errorf("%q is not a type of record", typ)
	}
	m, err := s.exchange(ctx, a, set.Name, qtype)
	if err != nil {
		return set, err
	}
	for _, rr := range m.Answer {
		if rr.Header().Rrtype == qtype && dns.CanonicalName(rr.Header().Name) == set.Name {
			set.TTL = int(rr.Header().Ttl)
			set.Values = append(set.Values, rdata(rr))
		}
	}
	slices.Sort(set.Values)
	return set, nil
}

func (s Servers) exchange(ctx context.Context, a address, name string, qtype uint16) (*dns.Msg, error) {
	timeout, tries := s.Timeout, s.Tries
	if timeout == 0 {
		timeout = 2 * time.Second
	}
	if tries == 0 {
		tries = 2
	}
	q := new(dns.Msg).SetQuestion(name, qtype)
	q.RecursionDesired = false
	q.SetEdns0(1232, false) // https://www.dnsflagday.net/2020/
	var last error
	for try := range tries + 1 {
		c := &dns.Client{Net: "udp", Timeout: timeout}
		if try == tries {
			c.Net = "tcp"
		}
		m, _, err := c.ExchangeContext(ctx, q, a.at)
		if err == nil && m.Truncated && c.Net == "udp" {
			c.Net = "tcp"
			m, _, err = c.ExchangeContext(ctx, q, a.at)
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("name server %s: ask for %s %s: %w", a.label, name, dns.TypeToString[qtype], context.Cause(ctx))
		}
		if err != nil {
			last = fmt.Errorf("over %s: %w", c.Net, err)
			continue
		}
		switch {
		case m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError:
			last = fmt.Errorf("it answers %s", dns.RcodeToString[m.Rcode])
			if m.Rcode == dns.RcodeServerFailure {
				continue // it may be loading the zone
			}
		case !m.Authoritative:
			last = errors.New("its answer isn't authoritative")
		default:
			return m, nil
		}
		break
	}
	return nil, fmt.Errorf("name server %s: ask for %s %s: %w", a.label, name, dns.TypeToString[qtype], last)
}

// Differences asks all servers for all sets and says which server answers which set differently; none when all answer as wanted.
func (s Servers) Differences(ctx context.Context, hosts []string, want []Set) ([]string, error) {
	var out []string
	for _, w := range want {
		answers, err := s.Ask(ctx, hosts, w.Name, w.Type)
		if err != nil {
			return out, err
		}
		for _, a := range answers {
			if !served(w, a.Set) {
				out = append(out, fmt.Sprintf("%s answers %s %s: %s, not %s", a.Server, w.Name, w.Type, a.Set.Data(), w.Data()))
			}
		}
	}
	return out, nil
}

// served compares what is wanted with what a server answers. A wanted TTL of 0 is the provider's default, which only its servers tell, and of several TTLs the server picks one.
func served(want, got Set) bool {
	if want.TTL <= 0 {
		want.TTL = got.TTL
	}
	return want.Equal(got)
}

// serve waits until all servers answer all sets as wanted. When they don't for a while, republish is called, since a failed publication
// has been silent; at most so often. The error is ErrNotServed with each server's answer.
func (s Servers) serve(ctx context.Context, hosts []string, want []Set, p pace, republish func() error, tell Tell) error {
	began, published, times := time.Now(), time.Now(), 1
	for pause := p.first; ; pause = min(pause*3/2, p.most) {
		diffs, err := s.Differences(ctx, hosts, want)
		if err == nil && len(diffs) == 0 {
			return nil
		}
		if err != nil {
			if ctx.Err() != nil {
				return err
			}
			diffs = append(diffs, strings.Join(strings.Fields(err.Error()), " "))
		}
		if republish != nil && time.Since(published) > p.republish && times < 3 {
			tell(fmt.Sprintf("publishing again: after %d s %s", int(time.Since(published).Seconds()), diffs[0]), 0, 0)
			if err := republish(); err != nil {
				return err
			}
			published, times = time.Now(), times+1
		}
		if time.Since(began) > p.patience {
			return fmt.Errorf("%w after %d s, published %d times: %s", ErrNotServed, int(time.Since(began).Seconds()), times, strings.Join(diffs, "; "))
		}
		tell(fmt.Sprintf("waiting until all name servers answer the change: %d s (%s)", int(time.Since(began).Seconds()), diffs[0]), 0, 0)
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return fmt.Errorf("%w yet: %s: %w", ErrNotServed, strings.Join(diffs, "; "), context.Cause(ctx))
		}
	}
}

// pace says how often servers are asked, when a publication is repeated, and when it is given up.
type pace struct{ first, most, republish, patience time.Duration }

var realPace = pace{first: 100 * time.Millisecond, most: 2 * time.Second, republish: 30 * time.Second, patience: 5 * time.Minute}
