package cloud

import (
	"context"
	"fmt"
	"strings"

	mdns "github.com/miekg/dns"

	"github.com/slipway-dev/slipway/internal/lab/cloud/dns"
	"github.com/slipway-dev/slipway/internal/lab/cloud/ovh"
	"github.com/slipway-dev/slipway/internal/lab/names"
)

// cloudZones has the name servers serve the zones of Cloud DNS.
type cloudZones struct{ servers *names.Servers }

func (z cloudZones) NameServers() []string { return names.GoogleNames }

func (z cloudZones) Serve(ctx context.Context, zone string, sets []dns.RecordSet) error {
	var records []mdns.RR
	for _, s := range sets {
		for _, data := range s.Data {
			rr, err := mdns.NewRR(fmt.Sprintf("%s %d IN %s %s", s.Name, s.TTL, s.Type, data))
			if err != nil {
				return fmt.Errorf("record %s %s: %w", s.Name, s.Type, err)
			}
			records = append(records, rr)
		}
	}
	if z.servers.Has(ctx, zone) {
		return z.servers.Replace(ctx, zone, records)
	}
	return z.servers.AddZone(ctx, zone, records)
}

func (z cloudZones) Drop(ctx context.Context, zone string) error {
	return z.servers.DropZone(ctx, zone)
}

// ovhZones has the name servers serve what OVH's API has published.
type ovhZones struct{ servers *names.Servers }

func (z ovhZones) Records(ctx context.Context, zone string) ([]ovh.Data, error) {
	list, err := z.servers.Transfer(ctx, zone)
	if err != nil {
		return nil, err
	}
	var out []ovh.Data
	for _, rr := range list {
		h := rr.Header()
		if h.Rrtype == mdns.TypeSOA {
			continue
		}
		out = append(out, ovh.Data{
			Name: strings.TrimSuffix(strings.TrimSuffix(h.Name, zone+"."), "."), Type: mdns.TypeToString[h.Rrtype], TTL: h.Ttl,
			Target: strings.TrimPrefix(rr.String(), h.String()),
		})
	}
	return out, nil
}

func (z ovhZones) Replace(ctx context.Context, zone string, records []ovh.Data) error {
	var list []mdns.RR
	for _, d := range records {
		name := zone + "."
		if d.Name != "" {
			name = d.Name + "." + name
		}
		rr, err := mdns.NewRR(fmt.Sprintf("%s %d IN %s %s", name, d.TTL, d.Type, d.Target))
		if err != nil {
			return fmt.Errorf("record %s %s: %w", name, d.Type, err)
		}
		list = append(list, rr)
	}
	return z.servers.Replace(ctx, zone, list)
}

func (z ovhZones) SOA(ctx context.Context, zone string) (ovh.SOA, error) {
	soa, err := z.servers.SOA(ctx, zone)
	if err != nil {
		return ovh.SOA{}, err
	}
	return ovh.SOA{
		Server: soa.Ns, Email: soa.Mbox, Serial: soa.Serial, Refresh: soa.Refresh, Expire: soa.Expire, NXDomainTTL: soa.Minttl, TTL: soa.Hdr.Ttl,
	}, nil
}
