package config

import (
	"fmt"
	"net"
	"regexp"
	"strconv"
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
	c.zone("dns.production", d.Production.Zone, d.Production.Nameservers)
	c.zone("dns.rehearsal", d.Rehearsal.Zone, d.Rehearsal.Nameservers)
	switch r := d.Rehearsal; {
	case d.Provider == "ovh" && r.OVH == nil && c.file.Has("dns.rehearsal"):
		c.file.Problem("dns.rehearsal", "provider ovh needs the key ovh", "give it application_key, application_secret and consumer_key")
	case d.Provider == "ovh" && r.ManagedZone != "":
		c.file.Problem("dns.rehearsal.managed_zone", "it is for provider clouddns", "take it out")
	case d.Provider == "clouddns" && r.ManagedZone == "" && c.file.Has("dns.rehearsal"):
		c.file.Problem("dns.rehearsal", "provider clouddns needs the key managed_zone", "give it the name that Cloud DNS has for the zone")
	case d.Provider == "clouddns" && r.OVH != nil:
		c.file.Problem("dns.rehearsal.ovh", "it is for provider ovh", "take it out")
	}
	if d.Rehearsal.OVH != nil {
		c.https("dns.rehearsal.ovh.endpoint", d.Rehearsal.OVH.Endpoint)
	}
	c.records()
	c.apart()
}

func (c *Config) zone(path, zone string, servers []string) {
	c.must(path+".zone", zone, hostName)
	c.notEmpty(path+".nameservers", len(servers))
	once := c.once("name server")
	for i, s := range servers {
		at := strictyaml.Index(path+".nameservers", i)
		once(at, s)
		host := s
		if h, port, err := net.SplitHostPort(s); err == nil {
			host = h
			if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
				c.file.Problem(at, fmt.Sprintf("%q has no port that could be", s), "write an address or a name, and :port where it isn't 53")
			}
		}
		c.address(at, strings.TrimSuffix(host, "."))
	}
}

func (c *Config) records() {
	c.notEmpty("dns.records", len(c.DNS.Records))
	once := c.once("record")
	for i, r := range c.DNS.Records {
		at := strictyaml.Index("dns.records", i)
		c.must(at+".name", r.Name, recordName)
		once(at+".name", r.Name+" "+r.Type)
		c.oneOf(at+".type", r.Type, "A") // what a LoadBalancer's address is; AAAA when the cluster has one
		ttl := time.Duration(r.TTL)
		switch {
		case !c.file.Has(at + ".ttl"):
		case ttl%time.Second != 0 || ttl < time.Second || ttl > 24*time.Hour:
			c.file.Problem(at+".ttl", fmt.Sprintf("%s won't do", ttl), "write whole seconds, at most 24h")
		case c.DNS.Provider == "ovh" && ttl < time.Minute:
			c.file.Problem(at+".ttl", fmt.Sprintf("%s won't do: OVH stores a TTL under 60s as 60s and says nothing", ttl), "write 60s or more")
		}
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
	for _, r := range c.DNS.Records {
		names[dnsName(fqdn(r.Name, prod))] = true
	}
	for i, r := range c.DNS.Records {
		if n := dnsName(fqdn(r.Name, reh)); r.Name != "" && names[n] {
			c.file.Problem(strictyaml.Index("dns.records", i)+".name", fmt.Sprintf("in the rehearsal zone it would be %s, which is a name of production's", n), remedy)
		}
	}
	// A name server that serves production can serve the rehearsal's zone too: OVH's do. That is no reason to refuse.
}

// dnsName is a name as DNS compares it: without regard to case and to the dot at the end.
func dnsName(s string) string { return strings.ToLower(strings.TrimSuffix(s, ".")) }

func under(name, zone string) bool { return zone != "" && strings.HasSuffix(name, "."+zone) }
