package main

import (
	"context"

	"github.com/hashicorp/go-multierror"

	"github.com/slipway-dev/slipway/internal/config"
	"github.com/slipway-dev/slipway/internal/errlist"
	"github.com/slipway-dev/slipway/internal/zone"
)

// zones are production's zone, which a rehearsal only looks at, and the one that it rehearses on. A mix-up of the two doesn't
// compile.
type zones struct {
	production zone.Looker
	rehearsal  zone.Zone
	see        zone.View // of production's, which refuses a credential that could change it where the provider says so
}

// ovhAccess is how OVH's API is reached; nothing where another provider serves the zones.
func ovhAccess(c *config.Config) (a zone.OVHAccess, err error) {
	if c.DNS.Provider == "clouddns" {
		return a, nil
	}
	var all *multierror.Error
	a = zone.OVHAccess{Endpoint: c.DNS.OVH.Endpoint, UserAgent: userAgent()}
	a.AppKey = resolve(&all, c, "dns.ovh.application_key", c.DNS.OVH.ApplicationKey)
	a.AppSecret = resolve(&all, c, "dns.ovh.application_secret", c.DNS.OVH.ApplicationSecret)
	a.ConsumerKey = resolve(&all, c, "dns.ovh.consumer_key", c.DNS.OVH.ConsumerKey)
	return a, errlist.OrNil(all)
}

func openZones(ctx context.Context, c *config.Config, t *target, a zone.OVHAccess) (z zones, err error) {
	a.Roots = t.roots
	open := func(d config.Zone, act bool) (zone.Zone, error) {
		if c.DNS.Provider == "clouddns" {
			var hand zone.CloudDNSActor
			if act {
				hand = t.google.ActOnZone(c.Google.Project, d.ManagedZone)
			}
			return zone.OpenCloudDNS(ctx, t.google.LookAtZone(c.Google.Project, d.ManagedZone), hand, zone.Servers{})
		}
		return zone.NewOVH(a, d.Zone, zone.Servers{})
	}
	if z.production, err = open(c.DNS.Production, false); err != nil {
		return z, err
	}
	z.see = zone.See(z.production, zone.Servers{})
	if confined, ok := z.production.(zone.Confined); ok {
		z.see = zone.SeeOnly(confined, zone.Servers{})
	}
	z.rehearsal, err = open(c.DNS.Rehearsal, true)
	return z, err
}
