package google

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"google.golang.org/api/dns/v1"
)

// ErrChanged: a record set isn't what the change's deletions say, or is there where it should be added: somebody else has changed the
// zone. Nothing was changed; look at the zone again and plan anew.
var ErrChanged = errors.New("the zone is not as it was planned for")

// RecordSet is all records of one name and type, as Cloud DNS keeps them.
type RecordSet struct {
	Name string // with the dot at its end
	Type string
	TTL  int64    // s
	Data []string // in zone file form
}

// ManagedZone is a zone of Cloud DNS.
type ManagedZone struct {
	Name        string // Cloud DNS's name for it
	DNSName     string // "shop.example."
	Nameservers []string
}

// ZoneLooker looks at one zone of Cloud DNS.
type ZoneLooker struct {
	c             *Client
	project, zone string
}

// LookAtZone opens a looker. zone is Cloud DNS's name of the zone, not the domain.
func (c *Client) LookAtZone(project, zone string) ZoneLooker { return ZoneLooker{c, project, zone} }

func (l ZoneLooker) where() string { return "project " + l.project }

// Zone is the zone's own data.
func (l ZoneLooker) Zone(ctx context.Context) (ManagedZone, error) {
	got, err := read(ctx, l.c, nil, "look at zone "+l.zone, func() (*dns.ManagedZone, error) {
		return l.c.dns.ManagedZones.Get(l.project, l.zone).Context(ctx).Do()
	})
	if err != nil {
		return ManagedZone{}, l.c.explain(err, dnsAPI(), "look at zone "+l.zone, l.where())
	}
	return ManagedZone{got.Name, got.DnsName, got.NameServers}, nil
}

// RecordSets are all record sets of the zone. One that routes by policy (weights, places) has no plain data and is an error.
func (l ZoneLooker) RecordSets(ctx context.Context) ([]RecordSet, error) {
	var all []RecordSet
	for token := ""; ; {
		got, err := read(ctx, l.c, nil, "look at the records of zone "+l.zone, func() (*dns.ResourceRecordSetsListResponse, error) {
			return l.c.dns.ResourceRecordSets.List(l.project, l.zone).PageToken(token).Context(ctx).Do()
		})
		if err != nil {
			return nil, l.c.explain(err, dnsAPI(), "look at the records of zone "+l.zone, l.where())
		}
		for _, r := range got.Rrsets {
			if r.RoutingPolicy != nil {
				return nil, fmt.Errorf("zone %s: %s %s routes by policy, which can't be planned for", l.zone, r.Name, r.Type)
			}
			all = append(all, RecordSet{r.Name, r.Type, r.Ttl, r.Rrdatas})
		}
		if token = got.NextPageToken; token == "" {
			return all, nil
		}
	}
}

// ZoneActor changes one zone of Cloud DNS.
type ZoneActor struct{ look ZoneLooker }

// ActOnZone opens an actor. Which zone may be acted on in a rehearsal is decided by who calls this, and by package zone.
func (c *Client) ActOnZone(project, zone string) ZoneActor {
	return ZoneActor{c.LookAtZone(project, zone)}
}

// Change makes all deletions and additions or none: a deletion must match what is there exactly, or it is ErrChanged. It returns when
// Cloud DNS calls the change done, which doesn't mean that its servers answer it.
func (a ZoneActor) Change(ctx context.Context, deletions, additions []RecordSet, tell Tell) error {
	c, op := a.look.c, "change zone "+a.look.zone
	ch := &dns.Change{Deletions: rrsets(deletions), Additions: rrsets(additions)}
	tell(op, 0, 0)
	got, err := c.dns.Changes.Create(a.look.project, a.look.zone, ch).Context(ctx).Do()
	if err != nil {
		err = c.explain(err, dnsAPI(), op, a.look.where())
		var e *Error
		if errors.As(err, &e) && (e.Status == http.StatusPreconditionFailed || e.Status == http.StatusConflict || e.Reason == "conditionNotMet") {
			return fmt.Errorf("%w: %w", ErrChanged, err)
		}
		return err
	}
	o := operation{name: got.Id, kind: "change", target: "zone " + a.look.zone, status: got.Status, done: got.Status == "done"}
	return c.wait(ctx, tell, dnsAPI(), o, func(id string) (operation, error) {
		got, err := c.dns.Changes.Get(a.look.project, a.look.zone, id).Context(ctx).Do()
		if err != nil {
			return operation{}, err
		}
		o.status, o.done = got.Status, got.Status == "done"
		return o, nil
	})
}

func rrsets(sets []RecordSet) []*dns.ResourceRecordSet {
	var out []*dns.ResourceRecordSet
	for _, s := range sets {
		out = append(out, &dns.ResourceRecordSet{Kind: "dns#resourceRecordSet", Name: s.Name, Type: s.Type, Ttl: s.TTL, Rrdatas: s.Data})
	}
	return out
}
