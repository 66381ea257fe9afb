package names

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
	"github.com/slipway-dev/slipway/internal/lab/machine"
)

// followTimeout bounds how long the secondary may take to have a change.
const followTimeout = 10 * time.Second

// set names a record set.
type set struct {
	name string
	typ  uint16
}

func sets(list []dns.RR) map[set][]dns.RR {
	out := make(map[set][]dns.RR)
	for _, rr := range list {
		k := set{name: dns.CanonicalName(rr.Header().Name), typ: rr.Header().Rrtype}
		out[k] = append(out[k], rr)
	}
	return out
}

// Replace makes a zone consist of exactly the wanted records, in one signed
// update (RFC 2136) that holds only if the zone is still as it was read, and
// returns when the secondary has it too. A wanted SOA changes the zone's but for
// the serial, which the server counts on; without one the SOA stays.
func (s *Servers) Replace(ctx context.Context, zone string, want []dns.RR) error {
	s.change.Lock()
	defer s.change.Unlock()
	now, err := s.Transfer(ctx, zone)
	if err != nil {
		return err
	}
	update, changes := newUpdate(zone, now, want)
	if changes == 0 { // published again: a secondary that missed it the first time is told once more
		if err := rndc(ctx, s.machine(primary), "notify", zone); err != nil {
			return err
		}
		return s.follow(ctx, zone)
	}
	answer, err := s.exchange(ctx, Primary, update, true)
	if err != nil {
		return fmt.Errorf("update zone %s: %w", zone, err)
	}
	if answer.Rcode != dns.RcodeSuccess {
		return fmt.Errorf("update zone %s: the server answers %s", zone, dns.RcodeToString[answer.Rcode])
	}
	return s.follow(ctx, zone)
}

// newUpdate makes the update that leads from one content of a zone to another;
// changes counts the record sets that it touches.
func newUpdate(zone string, now, want []dns.RR) (update *dns.Msg, changes int) {
	apex := dns.CanonicalName(dns.Fqdn(zone))
	update = new(dns.Msg).SetUpdate(apex)
	have, wanted := sets(now), sets(want)
	var keys []set
	for k := range have {
		keys = append(keys, k)
	}
	for k := range wanted {
		if _, ok := have[k]; !ok {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b set) int {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		return int(a.typ) - int(b.typ)
	})
	// All removals come before all additions, or a CNAME could not take another
	// type's place.
	var add []dns.RR
	for _, k := range keys {
		old, next := have[k], wanted[k]
		if k.typ == dns.TypeSOA {
			if soa := nextSOA(old, next); soa != nil {
				add = append(add, soa)
				changes++
			}
			continue
		}
		if sameSet(old, next) {
			continue
		}
		changes++
		if len(old) == 0 {
			update.RRsetNotUsed([]dns.RR{anyOf(k)})
		} else {
			update.Used(clone(old)) // Used rewrites TTL and class
		}
		if k.typ == dns.TypeNS && k.name == apex {
			// The zone's own NS set cannot be removed as a whole (RFC 2136, 3.4.2.3):
			// new ones first, then the old ones singly.
			update.Insert(next)
			update.Remove(without(old, next))
			continue
		}
		if len(old) > 0 {
			update.RemoveRRset([]dns.RR{anyOf(k)})
		}
		add = append(add, next...)
	}
	if len(add) > 0 {
		update.Insert(clone(add))
	}
	return update, changes
}

func anyOf(k set) dns.RR { return &dns.ANY{Hdr: dns.RR_Header{Name: k.name, Rrtype: k.typ}} }

func clone(list []dns.RR) []dns.RR {
	out := make([]dns.RR, len(list))
	for i, rr := range list {
		out[i] = dns.Copy(rr)
	}
	return out
}

// without are the records of a that b has not.
func without(a, b []dns.RR) []dns.RR {
	var out []dns.RR
	for _, x := range a {
		if !slices.ContainsFunc(b, func(y dns.RR) bool { return data(x) == data(y) }) {
			out = append(out, dns.Copy(x))
		}
	}
	return out
}

func sameSet(a, b []dns.RR) bool {
	if len(a) != len(b) || len(a) > 0 && a[0].Header().Ttl != b[0].Header().Ttl {
		return false
	}
	return len(without(a, b)) == 0 && len(without(b, a)) == 0
}

// nextSOA is the SOA that a zone is to get; nil when it stays.
func nextSOA(old, want []dns.RR) dns.RR {
	if len(old) == 0 || len(want) == 0 {
		return nil
	}
	was, ok1 := old[0].(*dns.SOA)
	next, ok2 := dns.Copy(want[0]).(*dns.SOA)
	if !ok1 || !ok2 {
		return nil
	}
	next.Serial = was.Serial
	if next.String() == was.String() {
		return nil
	}
	next.Serial++
	return next
}

// follow waits until the secondary has the primary's serial.
func (s *Servers) follow(ctx context.Context, zone string) error {
	ctx, cancel := context.WithTimeout(ctx, followTimeout)
	defer cancel()
	want, err := s.soa(ctx, Primary, zone)
	if err != nil {
		return err
	}
	err = s.poll(ctx, func() error {
		have, err := s.soa(ctx, Secondary, zone)
		if err == nil && int32(have.Serial-want.Serial) < 0 { // RFC 1982 arithmetic
			err = fmt.Errorf("serial %d, want %d", have.Serial, want.Serial)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("the secondary does not follow in zone %s: %w", zone, err)
	}
	return nil
}

// Has reports whether the servers serve a zone.
func (s *Servers) Has(ctx context.Context, zone string) bool {
	_, err := s.soa(ctx, Primary, zone)
	return err == nil
}

// AddZone makes both servers serve a new zone with the given records, the SOA
// and NS with them.
func (s *Servers) AddZone(ctx context.Context, zone string, records []dns.RR) error {
	s.change.Lock()
	defer s.change.Unlock()
	zone = strings.TrimSuffix(dns.CanonicalName(zone), ".")
	var text strings.Builder
	for _, rr := range records {
		text.WriteString(rr.String() + "\n")
	}
	file := "/var/cache/bind/" + zone + ".zone"
	if err := s.machine(primary).Run(ctx, machine.Cmd{Argv: []string{"tee", "--", file}, Stdin: strings.NewReader(text.String())}); err != nil {
		return fmt.Errorf("add zone %s: %w", zone, err)
	}
	if err := s.machine(primary).Run(ctx, machine.Cmd{Argv: []string{"chown", "bind:bind", "--", file}}); err != nil {
		return fmt.Errorf("add zone %s: %w", zone, err)
	}
	if err := rndc(ctx, s.machine(primary), "addzone", zone, primaryZone(zone)); err != nil {
		return fmt.Errorf("add zone %s to the primary: %w", zone, err)
	}
	if err := rndc(ctx, s.machine(secondary), "addzone", zone, secondaryZone(zone)); err != nil {
		return fmt.Errorf("add zone %s to the secondary: %w", zone, err)
	}
	s.mu.Lock()
	s.zones = append(s.zones, zone)
	s.mu.Unlock()
	return s.follow(ctx, zone)
}

// DropZone makes both servers serve a zone no more and forget it.
func (s *Servers) DropZone(ctx context.Context, zone string) error {
	s.change.Lock()
	defer s.change.Unlock()
	zone = strings.TrimSuffix(dns.CanonicalName(zone), ".")
	s.mu.Lock()
	s.zones = slices.DeleteFunc(s.zones, func(z string) bool { return z == zone })
	s.mu.Unlock()
	for _, m := range []*machine.Machine{s.machine(secondary), s.machine(primary)} {
		if err := rndc(ctx, m, "delzone", "-clean", zone); err != nil {
			return fmt.Errorf("drop zone %s: %w", zone, err)
		}
	}
	return nil
}

func rndc(ctx context.Context, m *machine.Machine, args ...string) error {
	return m.Run(ctx, machine.Cmd{Argv: append([]string{"rndc", "-c", "/etc/bind/rndc.conf"}, args...)})
}

// Addresses are both servers', primary first.
func Addresses() []netip.Addr { return []netip.Addr{Primary, Secondary} }
