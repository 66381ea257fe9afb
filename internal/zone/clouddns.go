package zone

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/miekg/dns"

	"github.com/slipway-dev/slipway/internal/google"
)

// CloudDNSLooker is what is read of a zone of Cloud DNS; google.ZoneLooker is one.
type CloudDNSLooker interface {
	Zone(ctx context.Context) (google.ManagedZone, error)
	RecordSets(ctx context.Context) ([]google.RecordSet, error)
}

// CloudDNSActor changes a zone of Cloud DNS; google.ZoneActor is one.
type CloudDNSActor interface {
	Change(ctx context.Context, deletions, additions []google.RecordSet, tell google.Tell) error
}

// CloudDNS is one zone at Cloud DNS. A change is atomic there, and its deletions must match what is there: compare and swap.
type CloudDNS struct {
	origin  string
	look    CloudDNSLooker
	act     CloudDNSActor // nil in one that only looks
	servers Servers
	pace    pace
}

// OpenCloudDNS asks Cloud DNS which domain the zone is. act may be nil: then Apply refuses.
func OpenCloudDNS(ctx context.Context, look CloudDNSLooker, act CloudDNSActor, servers Servers) (*CloudDNS, error) {
	z, err := look.Zone(ctx)
	if err != nil {
		return nil, err
	}
	return &CloudDNS{origin: dns.CanonicalName(z.DNSName), look: look, act: act, servers: servers, pace: realPace}, nil
}

// Origin is the zone's domain.
func (z *CloudDNS) Origin() string { return z.origin }

// MinTTL: Cloud DNS keeps any TTL but 0 (https://cloud.google.com/dns/docs/records-overview).
func (z *CloudDNS) MinTTL() int { return 1 }

// Nameservers are the servers that Cloud DNS names for the zone.
func (z *CloudDNS) Nameservers(ctx context.Context) ([]string, error) {
	m, err := z.look.Zone(ctx)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, n := range m.Nameservers {
		out = append(out, dns.CanonicalName(n))
	}
	slices.Sort(out)
	return out, nil
}

// Sets are the zone's record sets.
func (z *CloudDNS) Sets(ctx context.Context) ([]Set, error) {
	recs, err := z.look.RecordSets(ctx)
	if err != nil {
		return nil, err
	}
	return z.parse(recs)
}

func (z *CloudDNS) parse(recs []google.RecordSet) ([]Set, error) {
	var out []Set
	for _, r := range recs {
		if r.Type == "SOA" {
			continue
		}
		s, err := NewSet(r.Name, r.Type, int(r.TTL), r.Data...)
		if err != nil {
			return nil, fmt.Errorf("zone %s: %w", z.origin, err)
		}
		out = append(out, s)
	}
	sortSets(out)
	return out, nil
}

// Apply makes the changes in one atomic request and waits until all servers answer them. Sets that are already as wanted are left out.
func (z *CloudDNS) Apply(ctx context.Context, changes Changes, tell Tell) error {
	if err := changes.Check(z.origin, z.MinTTL()); err != nil {
		return fmt.Errorf("zone %s: %w", z.origin, err)
	}
	if z.act == nil {
		return fmt.Errorf("zone %s: opened to look only: %w", z.origin, ErrRefused)
	}
	raw, err := z.look.RecordSets(ctx)
	if err != nil {
		return err
	}
	now, err := z.parse(raw)
	if err != nil {
		return err
	}
	var del, add []google.RecordSet
	var want []Set
	for _, c := range changes {
		want = append(want, c.After)
		have := Find(now, c.Name, c.Type)
		if have.Equal(c.After) {
			continue
		}
		if !have.Equal(c.Before) {
			return fmt.Errorf("zone %s: %s %s is %s, neither %s nor %s: %w", z.origin, c.Name, c.Type, have.Data(), c.Before.Data(), c.After.Data(), ErrChanged)
		}
		if !c.Before.Absent() {
			// As Cloud DNS wrote it: order and spelling may count.
			i := slices.IndexFunc(raw, func(r google.RecordSet) bool { return dns.CanonicalName(r.Name) == c.Name && r.Type == c.Type })
			del = append(del, raw[i])
		}
		if !c.After.Absent() {
			add = append(add, google.RecordSet{Name: c.Name, Type: c.Type, TTL: int64(c.After.TTL), Data: c.After.Values})
		}
	}
	if len(del)+len(add) > 0 {
		if err := z.act.Change(ctx, del, add, google.Tell(tell)); err != nil {
			if errors.Is(err, google.ErrChanged) {
				err = fmt.Errorf("%w: %w", ErrChanged, err)
			}
			return fmt.Errorf("zone %s: %w", z.origin, err)
		}
	}
	hosts, err := z.Nameservers(ctx)
	if err != nil {
		return err
	}
	// Status "done" doesn't mean that the servers answer it; there is nothing to publish again.
	if err := z.servers.serve(ctx, hosts, want, z.pace, nil, tell); err != nil {
		return fmt.Errorf("zone %s: %w", z.origin, err)
	}
	return nil
}
