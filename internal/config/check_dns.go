package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/internal/strictyaml"
)

var recordName = form{regexp.MustCompile(`^(@|[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?)*)$`),
	"write the name relative to the zone in lower case, such as www, or @ for the zone itself"}

// checkDNS also holds the rule that a rehearsal's zone can't hold any name of production's: it is checked here, where it
// was written, and again by the step that would change records.
func (c *Config) checkDNS() {
	d := c.DNS
	c.oneOf("dns.provider", d.Provider, "ovh", "clouddns")
	c.must("dns.production.zone", d.Production.Zone, hostName)
	c.must("dns.rehearsal.zone", d.Rehearsal.Zone, hostName)
	zones := []struct {
		path string
		zone Zone
	}{{"dns.production", d.Production}, {"dns.rehearsal", d.Rehearsal}}
	switch d.Provider {
	case "ovh":
		if d.OVH == nil && !c.file.Has("dns.ovh") {
			c.file.Problem("dns.ovh", "provider ovh needs it", "give it application_key, application_secret and consumer_key")
		}
		for _, z := range zones {
			if z.zone.ManagedZone != "" {
				c.file.Problem(z.path+".managed_zone", "it is for provider clouddns", "take it out")
			}
		}
	case "clouddns":
		if d.OVH != nil {
			c.file.Problem("dns.ovh", "it is for provider ovh", "take it out")
		}
		for _, z := range zones {
			if z.zone.ManagedZone == "" && c.file.Has(z.path) {
				c.file.Problem(z.path+".managed_zone", "provider clouddns needs it", "give it the name that Cloud DNS has for the zone")
			}
		}
	}
	if d.OVH != nil && !slices.Contains([]string{"ovh-eu", "ovh-ca", "ovh-us"}, d.OVH.Endpoint) {
		c.https("dns.ovh.endpoint", d.OVH.Endpoint)
	}
	c.notEmpty("dns.names", len(d.Names))
	once := c.once("name")
	for i, n := range d.Names {
		at := strictyaml.Index("dns.names", i)
		c.must(at, n, recordName)
		once(at, n)
	}
	c.ttl("dns.ttl", d.TTL)
	c.ttl("dns.max_ttl", d.MaxTTL)
	c.apart()
}

func (c *Config) ttl(path string, d strictyaml.Duration) {
	switch ttl := time.Duration(d); {
	case !c.file.Has(path):
	case ttl%time.Second != 0 || ttl < time.Second || ttl > 24*time.Hour:
		c.file.Problem(path, fmt.Sprintf("%s won't do", ttl), "write whole seconds, at most 24h")
	case path == "dns.ttl" && c.DNS.Provider == "ovh" && ttl < time.Minute:
		c.file.Problem(path, fmt.Sprintf("%s won't do: OVH stores a TTL under 60s as 60s and says nothing", ttl), "write 60s or more")
	}
}

// apart refuses a rehearsal zone that could hold a name of production's.
func (c *Config) apart() {
	prod, reh := dnsName(c.DNS.Production.Zone), dnsName(c.DNS.Rehearsal.Zone)
	if prod == "" || reh == "" {
		return
	}
	const path = "dns.rehearsal.zone"
	remedy := "use a zone that has nothing to do with production's"
	switch {
	case reh == prod:
		c.file.Problem(path, reh+" is production's zone", remedy)
	case under(reh, prod):
		c.file.Problem(path, fmt.Sprintf("%s is inside of production's zone, %s", reh, prod), remedy)
	case under(prod, reh):
		c.file.Problem(path, fmt.Sprintf("production's zone, %s, is inside of %s", prod, reh), remedy)
	case under(dnsName(c.Source.Site), reh) || dnsName(c.Source.Site) == reh:
		c.file.Problem(path, fmt.Sprintf("source.site, %s, is inside of %s", c.Source.Site, reh), remedy)
	}
	names := map[string]bool{dnsName(c.Source.Site): true}
	for _, n := range c.DNS.Names {
		names[dnsName(fqdn(n, prod))] = true
	}
	for i, n := range c.DNS.Names {
		if full := dnsName(fqdn(n, reh)); n != "" && names[full] {
			c.file.Problem(strictyaml.Index("dns.names", i), fmt.Sprintf("in the rehearsal zone it would be %s, which is a name of production's", full), remedy)
		}
	}
}

// dnsName is a name as DNS compares it: without regard to case and to the dot at the end.
func dnsName(s string) string { return strings.ToLower(strings.TrimSuffix(s, ".")) }

func under(name, zone string) bool { return zone != "" && strings.HasSuffix(name, "."+zone) }
