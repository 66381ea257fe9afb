package scan

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/slipway-dev/slipway/internal/remote"
	"github.com/slipway-dev/slipway/internal/secret"
	"github.com/slipway-dev/slipway/inventory"
)

// dialer opens TCP connections from one host: what remote.Dialer gives.
type dialer = func(ctx context.Context, network, address string) (net.Conn, error)

// Source is what a scan looks with.
type Source struct {
	Inventory *inventory.Inventory
	Looker    remote.Looker
	// Dial gives a dialer from a host, for Redis and MariaDB, which have rights of their own.
	Dial func(host string) func(ctx context.Context, network, address string) (net.Conn, error)
	// AtOnce is how many hosts are asked at once; under 1 is all.
	AtOnce int
	// RedisPassword may be zero.
	RedisPassword secret.String
}

// Hosts are the inventory's hosts as internal/remote wants them; user is for those that have none of their own.
func Hosts(inv *inventory.Inventory, user string) []remote.Host {
	out := make([]remote.Host, len(inv.Hosts))
	for i, h := range inv.Hosts {
		out[i] = remote.Host{Name: h.Name, Address: h.Address, Port: h.Port, User: h.User}
		if h.User == "" {
			out[i].User = user
		}
	}
	return out
}

// Fleet is what a scan of all hosts found.
type Fleet struct {
	At      time.Time `json:"at"` // when it began, by this machine's clock
	Hosts   []Facts   `json:"hosts"`
	Virtual []Virtual `json:"virtual"`
	Drift   []Drift   `json:"drift"`
	// Apart is the largest difference between two hosts' clocks, and Give the two uncertainties together.
	Apart Apart `json:"apart"`
}

// Virtual is an address that keepalived moves, and who has it now: one host if all is well.
type Virtual struct {
	Group   string     `json:"group"`
	Address netip.Addr `json:"address"`
	Holders []string   `json:"holders"`
}

// Apart is the two hosts whose clocks differ most.
type Apart struct {
	Ahead       string        `json:"ahead,omitempty"`
	Behind      string        `json:"behind,omitempty"`
	By          time.Duration `json:"by_ns"`
	Uncertainty time.Duration `json:"uncertainty_ns"`
}

// Fleet reads the facts of all hosts at once. tell is called when a host is done; it may be nil. Hosts that couldn't be
// read aren't in the result, and the error has all of them (a *multierror.Error, in the inventory's order).
func (s Source) Fleet(ctx context.Context, tell func(done, total int)) (*Fleet, error) {
	f := &Fleet{At: time.Now()}
	var done atomic.Int64
	all, err := remote.Each(ctx, s.Inventory.Names(), s.AtOnce, func(ctx context.Context, host string) (*Facts, error) {
		facts, err := s.host(ctx, host)
		if n := done.Add(1); tell != nil {
			tell(int(n), len(s.Inventory.Hosts))
		}
		return facts, err
	})
	for _, h := range all {
		if h != nil {
			f.Hosts = append(f.Hosts, *h)
		}
	}
	f.Virtual = virtual(s.Inventory, f.Hosts)
	f.Drift = drift(f.Hosts)
	f.Apart = apart(f.Hosts)
	return f, err
}

func (s Source) host(ctx context.Context, name string) (*Facts, error) {
	h, ok := s.Inventory.Host(name)
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, remote.ErrUnknownHost)
	}
	clock, err := askClock(ctx, s.Looker, name)
	if err != nil {
		return nil, err
	}
	out, err := s.Looker.Look(ctx, name, remote.HostFacts())
	if err != nil {
		return nil, err
	}
	f, err := parseFacts(out.Stdout, out.Stderr)
	if err != nil {
		return nil, fmt.Errorf("%s: facts: %w", name, err)
	}
	f.Host, f.Address, f.Roles, f.Clock = h.Name, h.Address, h.Roles, clock
	for i, r := range f.Redis {
		f.Redis[i] = askRedis(ctx, s.Dial(name), r, s.RedisPassword)
	}
	return f, nil
}

func virtual(inv *inventory.Inventory, hosts []Facts) []Virtual {
	var out []Virtual
	for _, g := range inv.Groups {
		if !g.Virtual.IsValid() {
			continue
		}
		v := Virtual{Group: g.Name, Address: g.Virtual}
		for _, h := range hosts {
			if h.Holds(g.Virtual) {
				v.Holders = append(v.Holders, h.Host)
			}
		}
		out = append(out, v)
	}
	return out
}

func apart(hosts []Facts) Apart {
	if len(hosts) < 2 {
		return Apart{}
	}
	less := func(a, b Facts) int { return int(a.Clock.Offset - b.Clock.Offset) }
	lo, hi := slices.MinFunc(hosts, less), slices.MaxFunc(hosts, less)
	return Apart{Ahead: hi.Host, Behind: lo.Host, By: hi.Clock.Offset - lo.Clock.Offset, Uncertainty: hi.Clock.Uncertainty + lo.Clock.Uncertainty}
}

// Host finds a host's facts.
func (f *Fleet) Host(name string) (*Facts, bool) {
	for i := range f.Hosts {
		if f.Hosts[i].Host == name {
			return &f.Hosts[i], true
		}
	}
	return nil, false
}
