// Package zone changes DNS zones exactly: a plan names each record set as it is and as it shall be, and nothing else is changed. OVH's zone
// API and Cloud DNS stand behind one interface; what they report is believed only when the authoritative servers answer it. It imports
// no engine and no step.
package zone

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

var (
	// ErrChanged: the zone isn't as the plan's before-image says; somebody else has changed it. Nothing was published. Look, and plan anew.
	ErrChanged = errors.New("the zone is not as it was planned for")
	// ErrRefused: the change set contains what is never changed here. Fix the configuration.
	ErrRefused = errors.New("refused")
	// ErrNotServed: the change was published and not all authoritative servers answer it. Look at the servers; a repeated run publishes again.
	ErrNotServed = errors.New("not served")
	// ErrUnpublished: somebody has edits in the zone that were not published; publishing this change would publish theirs. Publish or reset them first.
	ErrUnpublished = errors.New("the zone holds unpublished edits of others")
)

// Tell takes progress: what is waited for, and how far it is (total 0: not known).
type Tell func(what string, done, total int64)

// Looker looks at one zone.
type Looker interface {
	Origin() string                                    // "shop.example."
	MinTTL() int                                       // the smallest TTL that the provider keeps, s
	Sets(ctx context.Context) ([]Set, error)           // all record sets but the SOA, sorted by name and type
	Nameservers(ctx context.Context) ([]string, error) // host names of the authoritative servers
}

// Zone changes one zone.
type Zone interface {
	Looker
	// Apply makes the changes, publishes them and returns when all authoritative servers answer them. Each set must be as Before says, or
	// already as After says, as it is when an earlier attempt was killed half way.
	Apply(ctx context.Context, changes Changes, tell Tell) error
}

// MixedTTL stands for a set whose records have several TTLs, which only some providers' databases allow. Such a set is never changed.
const MixedTTL = -1

// Set is all records of one name and type. One without values is absent.
type Set struct {
	Name   string   // canonical: lower case, with the dot at its end
	Type   string   // "A"
	TTL    int      // s; 0 is the provider's default
	Values []string // in zone file form with absolute names, sorted
}

// Absent: there is no such set.
func (s Set) Absent() bool { return len(s.Values) == 0 }

// Equal compares all of a set; TTLs of absent sets don't count.
func (s Set) Equal(o Set) bool {
	return s.Name == o.Name && s.Type == o.Type && slices.Equal(s.Values, o.Values) && (s.Absent() || s.TTL == o.TTL)
}

// Data is the set without its name: "60 192.0.2.1 192.0.2.2", or "none".
func (s Set) Data() string {
	if s.Absent() {
		return "none"
	}
	return fmt.Sprintf("%d %s", s.TTL, strings.Join(s.Values, " "))
}

// Change is one set as it is and as it shall be.
type Change struct {
	Name   string
	Type   string
	Before Set
	After  Set
}

func (c Change) String() string {
	return fmt.Sprintf("%s %s: %s -> %s", c.Name, c.Type, c.Before.Data(), c.After.Data())
}

// Changes is an exact change set, sorted by name and type.
type Changes []Change

// Reverse undoes the changes.
func (cs Changes) Reverse() Changes {
	out := make(Changes, 0, len(cs))
	for _, c := range cs {
		out = append(out, Change{c.Name, c.Type, c.After, c.Before})
	}
	return out
}

func (cs Changes) sort() {
	slices.SortFunc(cs, func(a, b Change) int {
		// The deletions of a name come first: a CNAME stands beside nothing.
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return strings.Compare(a.Type, b.Type)
	})
}

// Check refuses change sets that are malformed, leave the zone, or touch what is never touched: the SOA and the NS of the zone itself.
func (cs Changes) Check(origin string, minTTL int) error {
	seen := map[string]bool{}
	for _, c := range cs {
		key := c.Name + " " + c.Type
		for _, s := range []Set{c.Before, c.After} {
			if s.Name != c.Name || s.Type != c.Type || s.Name != dns.CanonicalName(s.Name) || !slices.IsSorted(s.Values) {
				return fmt.Errorf("change %s: the set %s %s isn't in canonical form: %w", key, s.Name, s.Type, ErrRefused)
			}
		}
		switch {
		case seen[key]:
			return fmt.Errorf("change %s: named twice: %w", key, ErrRefused)
		case !dns.IsSubDomain(origin, c.Name):
			return fmt.Errorf("change %s: not in zone %s: %w", key, origin, ErrRefused)
		case c.Type == "SOA", c.Type == "NS" && c.Name == origin:
			return fmt.Errorf("change %s: the zone's own SOA and NS are never changed: %w", key, ErrRefused)
		case c.Before.TTL < 0 || c.After.TTL < 0:
			return fmt.Errorf("change %s: its records have several TTLs, which can't be put back exactly; give them one: %w", key, ErrRefused)
		case c.Before.Equal(c.After):
			return fmt.Errorf("change %s: changes nothing: %w", key, ErrRefused)
		case !c.After.Absent() && c.After.TTL > 0 && c.After.TTL < minTTL:
			return fmt.Errorf("change %s: TTL %d is less than %d, which is the least that the provider keeps: %w", key, c.After.TTL, minTTL, ErrRefused)
		}
		seen[key] = true
	}
	return nil
}

// Point plans that names have the one address and no other way to reach them: their A, AAAA and CNAME sets are replaced by one A. names
// are relative to the zone ("www"; "@" is the zone itself). What is so already isn't in the result.
func Point(z Looker, sets []Set, names []string, address string, ttl int) (Changes, error) {
	var cs Changes
	for _, n := range names {
		name := Absolute(n, z.Origin())
		want, err := NewSet(name, "A", ttl, address)
		if err != nil {
			return nil, err
		}
		for _, t := range []string{"A", "AAAA", "CNAME"} {
			before, after := Find(sets, name, t), Set{Name: name, Type: t}
			if t == "A" {
				after = want
			}
			if !before.Equal(after) {
				cs = append(cs, Change{name, t, before, after})
			}
		}
	}
	cs.sort()
	return cs, cs.Check(z.Origin(), z.MinTTL())
}

// Find gives a set of a list, or the absent one.
func Find(sets []Set, name, typ string) Set {
	for _, s := range sets {
		if s.Name == name && s.Type == typ {
			return s
		}
	}
	return Set{Name: name, Type: typ}
}

// Absolute makes a name of a zone canonical and absolute.
func Absolute(name, origin string) string {
	switch {
	case name == "@" || name == "":
		return dns.CanonicalName(origin)
	case strings.HasSuffix(name, "."):
		return dns.CanonicalName(name)
	}
	return dns.CanonicalName(name + "." + origin)
}

// NewSet makes a set of values in zone file form; names in them must be absolute.
func NewSet(name, typ string, ttl int, values ...string) (Set, error) {
	s := Set{Name: dns.CanonicalName(name), Type: typ, TTL: ttl}
	for _, v := range values {
		c, err := canonical(s.Name, typ, v, ".")
		if err != nil {
			return s, err
		}
		s.Values = append(s.Values, c)
	}
	slices.Sort(s.Values)
	s.Values = slices.Compact(s.Values)
	return s, nil
}

// canonical writes a value in the one form in which it can be compared with another: parsed and printed, relative names completed, names lower case.
func canonical(name, typ, value, origin string) (string, error) {
	p := dns.NewZoneParser(strings.NewReader(fmt.Sprintf("%s 60 IN %s %s\n", name, typ, value)), origin, "")
	rr, ok := p.Next()
	if err := p.Err(); err != nil {
		return "", fmt.Errorf("record %s %s %q: %w", name, typ, value, err)
	}
	if !ok || rr == nil {
		return "", fmt.Errorf("record %s %s %q: not a record", name, typ, value)
	}
	if _, more := p.Next(); more {
		return "", fmt.Errorf("record %s %s %q: more than one record", name, typ, value)
	}
	return rdata(rr), nil
}

func rdata(rr dns.RR) string {
	switch r := rr.(type) {
	case *dns.CNAME:
		return dns.CanonicalName(r.Target)
	case *dns.NS:
		return dns.CanonicalName(r.Ns)
	case *dns.MX:
		return fmt.Sprintf("%d %s", r.Preference, dns.CanonicalName(r.Mx))
	case *dns.SRV:
		return fmt.Sprintf("%d %d %d %s", r.Priority, r.Weight, r.Port, dns.CanonicalName(r.Target))
	}
	return strings.TrimPrefix(rr.String(), rr.Header().String())
}

func sortSets(sets []Set) {
	slices.SortFunc(sets, func(a, b Set) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return strings.Compare(a.Type, b.Type)
	})
}
