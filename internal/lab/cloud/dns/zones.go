package dns

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	mdns "github.com/miekg/dns"
	"github.com/slipway-dev/slipway/internal/lab/cloud/rest"
	api "google.golang.org/api/dns/v1"
)

var zoneName = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)

// Fields of a managed zone that the lab takes.
var zoneFields = []string{"name", "dnsName", "description", "visibility", "kind", "labels"}

func checkZoneFields(sent rest.Object) *rest.Error {
	for _, name := range slices.Sorted(maps.Keys(sent)) {
		if !slices.Contains(zoneFields, name) {
			return rest.NotServed("the field %s of a managed zone", name)
		}
	}
	return nil
}

func (a *API) createZone(c rest.Call) (rest.Answer, error) {
	if e := a.checkProject(c); e != nil {
		return rest.Answer{}, e
	}
	var in api.ManagedZone
	sent, e := rest.Decode(c.Body, &in)
	if e != nil {
		return rest.Answer{}, e
	}
	if e := checkZoneFields(sent); e != nil {
		return rest.Answer{}, e
	}
	switch {
	case in.Name == "":
		return rest.Answer{}, required("entity.managedZone.name")
	case !zoneName.MatchString(in.Name):
		return rest.Answer{}, invalid("entity.managedZone.name", in.Name)
	case in.DnsName == "":
		return rest.Answer{}, required("entity.managedZone.dnsName")
	case !validName(in.DnsName):
		return rest.Answer{}, invalid("entity.managedZone.dnsName", in.DnsName)
	case !sent.Has("description"):
		return rest.Answer{}, required("entity.managedZone.description")
	case in.Visibility != "" && in.Visibility != "public":
		return rest.Answer{}, rest.NotServed("zones of visibility %s", in.Visibility)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.zones[in.Name]; ok {
		return rest.Answer{}, exists("entity.managedZone", in.Name)
	}
	for _, other := range a.zones {
		if other.message.DnsName == in.DnsName {
			return rest.Answer{}, rest.NotServed("two zones of one DNS name")
		}
	}
	a.next++
	servers := a.o.Backend.NameServers()
	z := &zone{
		message: &api.ManagedZone{
			Kind: "dns#managedZone", Id: a.next, Name: in.Name, DnsName: in.DnsName, Description: in.Description, Labels: in.Labels,
			CreationTime: stamp(a.o.Now()), NameServers: servers, Visibility: "public",
			CloudLoggingConfig: &api.ManagedZoneCloudLoggingConfig{Kind: "dns#managedZoneCloudLoggingConfig"},
			ForceSendFields:    []string{"Description"},
		},
		sets: []*api.ResourceRecordSet{
			{Kind: setKind, Name: in.DnsName, Type: "NS", Ttl: 21600, Rrdatas: servers},
			{Kind: setKind, Name: in.DnsName, Type: "SOA", Ttl: 21600, Rrdatas: []string{servers[0] + " cloud-dns-hostmaster.google.com. 1 21600 3600 259200 300"}},
		},
	}
	// Google logs the making of the two records as change 0.
	z.changes = []*api.Change{{Kind: "dns#change", Id: "0", StartTime: stamp(a.o.Now()), Status: "done", Additions: z.sets}}
	a.zones[in.Name] = z
	a.follow(z, a.o.Lag)
	return rest.OK(z.message)
}

// validName reports whether a name is absolute and has the form of a host or
// service name.
func validName(name string) bool {
	_, ok := mdns.IsDomainName(name)
	return ok && strings.HasSuffix(name, ".") && name == strings.ToLower(name) && !strings.ContainsAny(name, " \t\\")
}

func (a *API) getZone(c rest.Call) (rest.Answer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	z, e := a.find(c)
	if e != nil {
		return rest.Answer{}, e
	}
	return rest.OK(z.message)
}

func (a *API) listZones(c rest.Call) (rest.Answer, error) {
	if e := a.checkProject(c); e != nil {
		return rest.Answer{}, e
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	answer := &api.ManagedZonesListResponse{Kind: "dns#managedZonesListResponse", ForceSendFields: []string{"ManagedZones"}, ManagedZones: []*api.ManagedZone{}}
	for _, name := range slices.Sorted(maps.Keys(a.zones)) {
		m := a.zones[name].message
		if want := c.Query.Get("dnsName"); want == "" || want == m.DnsName {
			answer.ManagedZones = append(answer.ManagedZones, m)
		}
	}
	from, to, next, e := page(c, len(answer.ManagedZones))
	if e != nil {
		return rest.Answer{}, e
	}
	answer.ManagedZones, answer.NextPageToken = answer.ManagedZones[from:to], next
	return rest.OK(answer)
}

// page cuts a list of n by maxResults and pageToken; a token is an index.
func page(c rest.Call, n int) (from, to int, next string, e *rest.Error) {
	to = n
	if token := c.Query.Get("pageToken"); token != "" {
		at, err := strconv.Atoi(token)
		if err != nil || at < 0 || at > n {
			return 0, 0, "", invalid("parameters.pageToken", token)
		}
		from = at
	}
	if text := c.Query.Get("maxResults"); text != "" {
		most, err := strconv.Atoi(text)
		if err != nil || most < 1 {
			return 0, 0, "", invalid("parameters.maxResults", text)
		}
		if from+most < n {
			to = from + most
			next = strconv.Itoa(to)
		}
	}
	return from, to, next, nil
}

func (a *API) patchZone(c rest.Call) (rest.Answer, error) {
	var in api.ManagedZone
	sent, e := rest.Decode(c.Body, &in)
	if e != nil {
		return rest.Answer{}, e
	}
	if e := checkZoneFields(sent); e != nil {
		return rest.Answer{}, e
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	z, e := a.find(c)
	if e != nil {
		return rest.Answer{}, e
	}
	old := z.message
	if in.Name != "" && in.Name != old.Name || in.DnsName != "" && in.DnsName != old.DnsName || in.Visibility != "" && in.Visibility != old.Visibility {
		return rest.Answer{}, legacy(400, "invalid", "The name, dnsName and visibility of a managed zone cannot be changed.")
	}
	next := *old
	if sent.Has("description") {
		next.Description = in.Description
	}
	if sent.Has("labels") {
		next.Labels = in.Labels
	}
	z.message = &next
	a.next++
	return rest.OK(&api.Operation{
		Kind: "dns#operation", Id: strconv.FormatUint(a.next, 10), StartTime: stamp(a.o.Now()), Status: "done", Type: "UPDATE",
		User: c.Principal.Email, ZoneContext: &api.OperationManagedZoneContext{OldValue: old, NewValue: &next},
	})
}

func (a *API) deleteZone(c rest.Call) (rest.Answer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	z, e := a.find(c)
	if e != nil {
		return rest.Answer{}, e
	}
	if len(z.sets) > 2 {
		return rest.Answer{}, legacy(400, "containerNotEmpty", "The resource named '%s' cannot be deleted because it contains one or more 'resource record sets'.", z.message.Name)
	}
	delete(a.zones, z.message.Name)
	z.gone = true
	name := z.message.DnsName
	a.work.Go(func(ctx context.Context) {
		z.serving.Lock()
		defer z.serving.Unlock()
		if err := a.o.Backend.Drop(ctx, name); err != nil {
			a.o.Log.Error("the name servers do not drop a zone", "zone", name, "error", err.Error())
		}
	})
	return rest.OK(struct{}{})
}
