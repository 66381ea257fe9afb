package runbooks_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	mdns "github.com/miekg/dns"

	"github.com/slipway-dev/slipway/internal/google"
	"github.com/slipway-dev/slipway/internal/lab/cloud/ovh"
	"github.com/slipway-dev/slipway/internal/secret"
	"github.com/slipway-dev/slipway/internal/zone"
	"github.com/slipway-dev/slipway/inventory"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/runbooks"
	"github.com/slipway-dev/slipway/steps/cloudsql"
	"github.com/slipway-dev/slipway/steps/cluster"
	"github.com/slipway-dev/slipway/steps/dns"
)

// nameServers serve the two zones, and are what OVH's API publishes to.
type nameServers struct {
	mu      sync.Mutex
	records map[string][]ovh.Data // by zone, without the dot
	serial  uint32
	port    uint16
}

func (n *nameServers) Records(_ context.Context, zone string) ([]ovh.Data, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.records[zone]), nil
}

func (n *nameServers) Replace(_ context.Context, zone string, records []ovh.Data) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.records[zone], n.serial = slices.Clone(records), n.serial+1
	return nil
}

func (n *nameServers) SOA(context.Context, string) (ovh.SOA, error) { return ovh.SOA{}, nil }

// text is a zone's records.
func (n *nameServers) text(zone string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []string
	for _, r := range n.records[zone] {
		all = append(all, fmt.Sprint(r))
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

func (n *nameServers) ServeDNS(w mdns.ResponseWriter, q *mdns.Msg) {
	n.mu.Lock()
	defer n.mu.Unlock()
	m := new(mdns.Msg).SetReply(q)
	m.Authoritative = true
	name, typ := mdns.CanonicalName(q.Question[0].Name), q.Question[0].Qtype
	for _, origin := range sortedKeys(n.records) {
		if !mdns.IsSubDomain(origin+".", name) {
			continue
		}
		if typ == mdns.TypeSOA {
			if rr, err := mdns.NewRR(fmt.Sprintf("%s. 3600 IN SOA ns1.%s. root.%s. %d 1 1 1 60", origin, origin, origin, n.serial)); err == nil {
				m.Answer = append(m.Answer, rr)
			}
		}
		for _, r := range n.records[origin] {
			if zone.Absolute(r.Name, origin+".") != name || mdns.StringToType[r.Type] != typ {
				continue
			}
			if rr, err := mdns.NewRR(fmt.Sprintf("%s %d IN %s %s", name, r.TTL, r.Type, r.Target)); err == nil {
				m.Answer = append(m.Answer, rr)
			}
		}
	}
	_ = w.WriteMsg(m)
}

func serveNames(t *testing.T) *nameServers {
	t.Helper()
	n := &nameServers{records: map[string][]ovh.Data{}, serial: 1}
	for _, origin := range []string{"shop.example", "rehearsal.example"} {
		n.records[origin] = []ovh.Data{{Type: "NS", TTL: 3600, Target: "ns1." + origin + "."}, {Type: "NS", TTL: 3600, Target: "ns2." + origin + "."},
			{Name: "www", Type: "A", TTL: 300, Target: "10.77.0.10"}, {Name: "www", Type: "AAAA", TTL: 300, Target: "2001:db8::1"}, {Name: "api", Type: "A", TTL: 300, Target: "10.77.0.10"}}
	}
	n.records["rehearsal.example"] = append(n.records["rehearsal.example"], ovh.Data{Name: zone.MarkName, Type: "TXT", TTL: 60, Target: zone.MarkValue})
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n.port = uint16(pc.LocalAddr().(*net.UDPAddr).Port)
	ready := make(chan struct{})
	srv := &mdns.Server{PacketConn: pc, Handler: n, NotifyStartedFunc: func() { close(ready) }}
	go func() { _ = srv.ActivateAndServe() }()
	<-ready
	t.Cleanup(func() { _ = srv.Shutdown() })
	return n
}

// servers asks both names at the one address.
func (n *nameServers) servers() zone.Servers {
	return zone.Servers{Port: n.port, Timeout: time.Second, Resolve: func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	}}
}

// netWorld is the world with Google and OVH behind their real clients. What runs in the cluster and in the instance is the
// world's.
type netWorld struct {
	w       *world
	wires   *wires
	names   *nameServers
	google  *google.Client
	guarded bool
	production,
	flipped *zone.OVH
	were map[string]string // zones
}

func newNet(t *testing.T) *netWorld {
	t.Helper()
	w := newWorld(t)
	w.fast = 10000
	w.ticks = 1000 // nobody else makes anything: it would have to go through the APIs
	never := func() bool { return false }
	n := &netWorld{w: w, wires: &wires{t: t, fail: never, lose: never}, names: serveNames(t), guarded: true}
	n.google = cloud(t, n.wires, w)
	api, err := ovh.New(t.Context(), ovh.Options{Zones: []string{"shop.example", "rehearsal.example"}, NameServers: []string{"ns1.example", "ns2.example"},
		Backend: n.names, Log: slog.New(slog.DiscardHandler), Delay: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.Close)
	var rules []ovh.Rule
	for _, m := range []string{"GET", "POST", "PUT", "DELETE"} {
		rules = append(rules, ovh.Rule{Method: m, Path: "/domain/zone/*"}) // one key serves both zones, as it well may
	}
	cred, err := api.Grant(rules...)
	if err != nil {
		t.Fatal(err)
	}
	srv := n.wires.serve("ovh", api.Handler())
	open := func(name string) *zone.OVH {
		z, err := zone.NewOVH(zone.OVHAccess{Endpoint: srv.URL + "/1.0", AppKey: secret.New(cred.ApplicationKey), AppSecret: secret.New(cred.ApplicationSecret),
			ConsumerKey: secret.New(cred.ConsumerKey), Roots: n.wires.pool, UserAgent: "slipway/test"}, name, n.names.servers())
		if err != nil {
			t.Fatal(err)
		}
		return z
	}
	n.production, n.flipped = open("shop.example"), open("rehearsal.example")
	n.were = map[string]string{}
	for _, z := range []string{"shop.example", "rehearsal.example"} {
		n.were[z] = n.names.text(z)
	}
	return n
}

// asBefore: both zones are, and nothing is left in the project.
func (n *netWorld) asBefore(t *testing.T) {
	t.Helper()
	for _, z := range sortedKeys(n.were) {
		if is := n.names.text(z); is != n.were[z] {
			t.Errorf("zone %s was\n%s\nand is\n%s", z, n.were[z], is)
		}
	}
	n.w.own(func() {
		if got := strings.Join(append(sortedKeys(n.w.clusters), sortedKeys(n.w.servers)...), " "); got != "prod prod" || len(n.w.orphans) > 0 {
			t.Errorf("left in the project: %s, and %q", got, n.w.orphans)
		}
	})
}

// wire is as the program's.
func (n *netWorld) wire(inv *inventory.Inventory) runbooks.Wiring[migrate.Rehearsal] {
	r, servers := wire(n.w, inv), n.names.servers()
	r.Project = migrate.Look("google project", cluster.OnlyProject(n.google.LookAtProject(theProject, location)))
	r.Clusters = migrate.Look("google project", cluster.OnlyLook(n.google.LookAtClusters(theProject, location)))
	r.MakeClusters = migrate.Maker[migrate.Rehearsal]("google project", func(_ context.Context, s migrate.Stamp) (cluster.Make, error) {
		return n.google.MakeClusters(theProject, location, markOf(s)), nil
	})
	r.SQL = migrate.Look("google project", cloudsql.OnlyAdmin(loginOnWorld{n.google.LookAtSQL(theProject), n.w}))
	r.MakeSQL = migrate.Maker[migrate.Rehearsal]("google project", func(_ context.Context, s migrate.Stamp) (cloudsql.AdminMake, error) {
		return n.google.MakeSQL(theProject, markOf(s)), nil
	})
	flip := zone.HandOnRehearsal(n.flipped, n.production)
	r.Production = migrate.Look("production's zone", dns.OnlyLook(zone.See(n.production, servers)))
	r.Flipped = migrate.LookShadow("rehearsal zone", dns.OnlyLook(zone.SeeRehearsal(n.flipped, n.production, servers)))
	r.Flip = migrate.Shadow("rehearsal zone", flip.Marked, func(context.Context, migrate.Stamp) (dns.Act, error) { return flip, nil })
	if !n.guarded {
		r.Flipped = migrate.LookShadow("rehearsal zone", dns.OnlyLook(zone.See(n.flipped, servers)))
		r.Flip = migrate.Shadow("rehearsal zone", func(context.Context) error { return nil }, func(context.Context, migrate.Stamp) (dns.Act, error) { return n.flipped, nil })
	}
	return r
}
