package dns

import (
	"slices"
	"strings"

	mdns "github.com/miekg/dns"
	"github.com/slipway-dev/slipway/internal/lab/cloud/rest"
	api "google.golang.org/api/dns/v1"
)

const setKind = "dns#resourceRecordSet"

// types are the record types that Cloud DNS and the lab's servers both take.
var types = []string{"A", "AAAA", "CAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "SSHFP", "TLSA", "TXT"}

// check validates a record set that is to be put into a zone; what names it in
// an error.
func check(s *api.ResourceRecordSet, sent rest.Object, zone *api.ManagedZone, what string) *rest.Error {
	for _, name := range []string{"routingPolicy", "signatureRrdatas"} {
		if sent.Has(name) {
			return rest.NotServed("the field %s of a record set", name)
		}
	}
	switch {
	case !validName(s.Name) || s.Name != zone.DnsName && !strings.HasSuffix(s.Name, "."+zone.DnsName):
		return invalid(what+".name", s.Name)
	case !slices.Contains(types, s.Type):
		return invalid(what+".type", s.Type)
	case len(s.Rrdatas) == 0:
		return required(what + ".rrdata")
	case s.Ttl < 0 || s.Ttl > 1<<31-1:
		return legacy(400, "invalid", "Invalid value for '%s.ttl': '%d'", what, s.Ttl)
	}
	for _, data := range s.Rrdatas {
		rr, err := mdns.NewRR(s.Name + " 1 IN " + s.Type + " " + data)
		if err != nil || rr == nil || strings.ContainsAny(data, "\n;") && s.Type != "TXT" {
			return invalid(what+".rrdata", data)
		}
	}
	if (s.Type == "CNAME" || s.Type == "SOA") && len(s.Rrdatas) > 1 {
		return legacy(400, "invalidRecordCount", "Resource record sets of type '%s' may only contain one record.", s.Type)
	}
	return nil
}

// index finds a set by name and type; -1 when it is not there.
func index(sets []*api.ResourceRecordSet, name, typ string) int {
	return slices.IndexFunc(sets, func(s *api.ResourceRecordSet) bool { return s.Name == name && s.Type == typ })
}

// same reports whether a deletion says exactly what is there.
func same(a, b *api.ResourceRecordSet) bool {
	x, y := slices.Sorted(slices.Values(a.Rrdatas)), slices.Sorted(slices.Values(b.Rrdatas))
	return a.Name == b.Name && a.Type == b.Type && a.Ttl == b.Ttl && slices.Equal(x, y)
}

// ordered sorts as rrsets.list answers: the zone's own name first, then by name
// and type.
func ordered(sets []*api.ResourceRecordSet, apex string) []*api.ResourceRecordSet {
	slices.SortFunc(sets, func(a, b *api.ResourceRecordSet) int {
		if (a.Name == apex) != (b.Name == apex) {
			if a.Name == apex {
				return -1
			}
			return 1
		}
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return strings.Compare(a.Type, b.Type)
	})
	return sets
}

func (a *API) listSets(c rest.Call) (rest.Answer, error) {
	if c.Query.Get("filter") != "" {
		return rest.Answer{}, rest.NotServed("dns.resourceRecordSets.list with a filter")
	}
	name, typ := c.Query.Get("name"), c.Query.Get("type")
	if typ != "" && name == "" {
		return rest.Answer{}, legacy(400, "invalid", "The 'parameters.type' parameter requires 'parameters.name'.")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	z, e := a.find(c)
	if e != nil {
		return rest.Answer{}, e
	}
	answer := &api.ResourceRecordSetsListResponse{Kind: "dns#resourceRecordSetsListResponse", ForceSendFields: []string{"Rrsets"}, Rrsets: []*api.ResourceRecordSet{}}
	for _, s := range z.sets {
		if (name == "" || name == s.Name) && (typ == "" || typ == s.Type) {
			answer.Rrsets = append(answer.Rrsets, s)
		}
	}
	from, to, next, e := page(c, len(answer.Rrsets))
	if e != nil {
		return rest.Answer{}, e
	}
	answer.Rrsets, answer.NextPageToken = answer.Rrsets[from:to], next
	return rest.OK(answer)
}

// findSet looks up the record set that a call names. a.mu must be held.
func (a *API) findSet(c rest.Call) (*zone, *api.ResourceRecordSet, *rest.Error) {
	z, e := a.find(c)
	if e != nil {
		return nil, nil, e
	}
	name, typ := c.PathValue("name"), c.PathValue("type")
	i := index(z.sets, name, typ)
	if i < 0 {
		return nil, nil, notFound("The 'parameters.name' resource named '%s (%s)' does not exist.", name, typ)
	}
	return z, z.sets[i], nil
}

func (a *API) getSet(c rest.Call) (rest.Answer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, s, e := a.findSet(c)
	if e != nil {
		return rest.Answer{}, e
	}
	return rest.OK(s)
}

func (a *API) createSet(c rest.Call) (rest.Answer, error) {
	var in api.ResourceRecordSet
	sent, e := rest.Decode(c.Body, &in)
	if e != nil {
		return rest.Answer{}, e
	}
	in.Kind = setKind
	a.mu.Lock()
	defer a.mu.Unlock()
	z, e := a.find(c)
	if e != nil {
		return rest.Answer{}, e
	}
	if e := check(&in, sent, z.message, "entity.rrset"); e != nil {
		return rest.Answer{}, e
	}
	if e := a.change(z, &api.Change{Additions: []*api.ResourceRecordSet{&in}}, "entity.rrset", false); e != nil {
		return rest.Answer{}, e
	}
	return rest.OK(&in)
}

func (a *API) patchSet(c rest.Call) (rest.Answer, error) {
	var in api.ResourceRecordSet
	sent, e := rest.Decode(c.Body, &in)
	if e != nil {
		return rest.Answer{}, e
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	z, old, e := a.findSet(c)
	if e != nil {
		return rest.Answer{}, e
	}
	var next api.ResourceRecordSet
	if e := rest.Merge(old, sent, &next); e != nil {
		return rest.Answer{}, e
	}
	next.Kind = setKind
	if e := check(&next, sent, z.message, "entity.rrset"); e != nil {
		return rest.Answer{}, e
	}
	change := &api.Change{Deletions: []*api.ResourceRecordSet{old}, Additions: []*api.ResourceRecordSet{&next}}
	if e := a.change(z, change, "entity.rrset", false); e != nil {
		return rest.Answer{}, e
	}
	return rest.OK(&next)
}

func (a *API) deleteSet(c rest.Call) (rest.Answer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	z, s, e := a.findSet(c)
	if e != nil {
		return rest.Answer{}, e
	}
	if e := a.change(z, &api.Change{Deletions: []*api.ResourceRecordSet{s}}, "entity.rrset", false); e != nil {
		return rest.Answer{}, e
	}
	return rest.OK(struct{}{})
}
