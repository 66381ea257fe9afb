package dns

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/cloud/background"
	"github.com/slipway-dev/slipway/internal/lab/cloud/rest"
	api "google.golang.org/api/dns/v1"
)

// Backend has name servers serve the API's zones.
type Backend interface {
	// NameServers are the host names of the servers, as in managedZone.nameServers.
	NameServers() []string
	// Serve makes the servers serve exactly these records for a zone, SOA and NS
	// with them, all or none. A zone that they do not serve yet is added.
	Serve(ctx context.Context, zone string, sets []RecordSet) error
	// Drop makes the servers serve a zone no more.
	Drop(ctx context.Context, zone string) error
}

// RecordSet is all records of one name and type.
type RecordSet struct {
	Name string // with the dot at the end
	Type string // as A
	TTL  int64  // seconds
	Data []string
}

// Options is what an API is made of.
type Options struct {
	Project string
	Backend Backend
	Auth    rest.Authenticator
	Log     *slog.Logger
	// Pending is how long a change stays pending; 0: 300 ms. The real API takes
	// from one second to a minute.
	Pending time.Duration
	// Lag is how long after a change is done the name servers are told; 0: 200 ms.
	Lag time.Duration
	Now func() time.Time // nil: time.Now
}

// API is the Cloud DNS API of one project.
type API struct {
	o    Options
	work background.Work // operations

	mu    sync.Mutex
	zones map[string]*zone // by resource name
	next  uint64           // last id that was given out
}

// zone is a managed zone with its content and the log of its changes.
type zone struct {
	message *api.ManagedZone
	sets    []*api.ResourceRecordSet // ordered
	changes []*api.Change            // by id
	serving sync.Mutex               // held while the servers are told
	told    int                      // length of changes that they were told last; under serving
	gone    bool                     // deleted; under API.mu
}

// New makes the API with no zone.
func New(o Options) *API {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Pending == 0 {
		o.Pending = 300 * time.Millisecond
	}
	if o.Lag == 0 {
		o.Lag = 200 * time.Millisecond
	}
	a := &API{o: o, zones: make(map[string]*zone), next: 1000000000000000000}
	return a
}

// Close stops telling the name servers and waits until none is being told. The
// zones stay on the servers, which end with the lab.
func (a *API) Close() {
	a.work.Close()
}

// Handler is the API over HTTP.
func (a *API) Handler() http.Handler {
	const zones = "/dns/v1/projects/{project}/managedZones"
	const one = zones + "/{zone}"
	const set = one + "/rrsets/{name}/{type}"
	client := []string{"clientOperationId"}
	list := []string{"maxResults", "pageToken", "name", "type", "filter"}
	return rest.Service{
		Name: "dns.googleapis.com", Server: "ESF", Auth: a.o.Auth, Log: a.o.Log, Forbidden: forbidden,
		Scopes: []string{"https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/ndev.clouddns.readwrite"},
		Routes: []rest.Route{
			{ID: "dns.managedZones.create", Method: "POST", Path: zones, Permission: "dns.managedZones.create", Query: client, Serve: a.createZone},
			{ID: "dns.managedZones.list", Method: "GET", Path: zones, Permission: "dns.managedZones.list", Query: []string{"maxResults", "pageToken", "dnsName"}, Serve: a.listZones},
			{ID: "dns.managedZones.get", Method: "GET", Path: one, Permission: "dns.managedZones.get", Query: client, Serve: a.getZone},
			{ID: "dns.managedZones.patch", Method: "PATCH", Path: one, Permission: "dns.managedZones.update", Query: client, Serve: a.patchZone},
			{ID: "dns.managedZones.delete", Method: "DELETE", Path: one, Permission: "dns.managedZones.delete", Query: client, Serve: a.deleteZone},
			{ID: "dns.resourceRecordSets.create", Method: "POST", Path: one + "/rrsets", Permission: "dns.resourceRecordSets.create", Query: client, Serve: a.createSet},
			{ID: "dns.resourceRecordSets.list", Method: "GET", Path: one + "/rrsets", Permission: "dns.resourceRecordSets.list", Query: list, Serve: a.listSets},
			{ID: "dns.resourceRecordSets.get", Method: "GET", Path: set, Permission: "dns.resourceRecordSets.get", Query: client, Serve: a.getSet},
			{ID: "dns.resourceRecordSets.patch", Method: "PATCH", Path: set, Permission: "dns.resourceRecordSets.update", Query: client, Serve: a.patchSet},
			{ID: "dns.resourceRecordSets.delete", Method: "DELETE", Path: set, Permission: "dns.resourceRecordSets.delete", Query: client, Serve: a.deleteSet},
			{ID: "dns.changes.create", Method: "POST", Path: one + "/changes", Permission: "dns.changes.create", Query: client, Serve: a.createChange},
			{ID: "dns.changes.get", Method: "GET", Path: one + "/changes/{change}", Permission: "dns.changes.get", Query: client, Serve: a.getChange},
			{ID: "dns.changes.list", Method: "GET", Path: one + "/changes", Permission: "dns.changes.list", Query: []string{"maxResults", "pageToken", "sortBy", "sortOrder"}, Serve: a.listChanges},
		},
		NotServed: []rest.Route{
			{ID: "dns.managedZones.update", Method: "PUT", Path: one},
			{ID: "dns.managedZoneOperations.list", Method: "GET", Path: one + "/operations"},
			{ID: "dns.managedZoneOperations.get", Method: "GET", Path: one + "/operations/{operation}"},
			{ID: "dns.dnsKeys.list", Method: "GET", Path: one + "/dnsKeys"},
			{ID: "dns.projects.get", Method: "GET", Path: "/dns/v1/projects/{project}"},
			{ID: "dns.policies.list", Method: "GET", Path: "/dns/v1/projects/{project}/policies"},
			{ID: "dns.responsePolicies.list", Method: "GET", Path: "/dns/v1/projects/{project}/responsePolicies"},
		},
	}.Handler()
}

// find looks up the zone that a call names. a.mu must be held.
func (a *API) find(c rest.Call) (*zone, *rest.Error) {
	if e := a.checkProject(c); e != nil {
		return nil, e
	}
	name := c.PathValue("zone")
	z, ok := a.zones[name]
	if !ok {
		return nil, notFound("The 'parameters.managedZone' resource named '%s' does not exist.", name)
	}
	return z, nil
}

func (a *API) checkProject(c rest.Call) *rest.Error {
	if c.PathValue("project") != a.o.Project {
		return forbidden(c.Principal, rest.Route{})
	}
	return nil
}

// follow has the name servers brought to the zone's state as it is now, after a
// while. What has overtaken it by then counts. a.mu must be held.
func (a *API) follow(z *zone, after time.Duration) {
	name, sets, upTo := z.message.DnsName, recordSets(z.sets), len(z.changes)
	a.work.Go(func(ctx context.Context) {
		select {
		case <-time.After(after):
		case <-ctx.Done():
			return
		}
		z.serving.Lock()
		defer z.serving.Unlock()
		a.mu.Lock()
		gone := z.gone
		a.mu.Unlock()
		if gone || z.told >= upTo {
			return
		}
		if err := a.o.Backend.Serve(ctx, name, sets); err != nil {
			a.o.Log.Error("the name servers do not follow", "zone", name, "error", err.Error())
			return
		}
		z.told = upTo
	})
}

func recordSets(sets []*api.ResourceRecordSet) []RecordSet {
	out := make([]RecordSet, 0, len(sets))
	for _, s := range sets {
		out = append(out, RecordSet{Name: s.Name, Type: s.Type, TTL: s.Ttl, Data: s.Rrdatas})
	}
	return out
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
