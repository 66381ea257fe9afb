package dns_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/cloud/recordingtest"
	api "google.golang.org/api/dns/v1"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"
)

func refused(t *testing.T, what string, err error, code int, reason string) {
	t.Helper()
	var e *googleapi.Error
	if !errors.As(err, &e) || len(e.Errors) == 0 || e.Code != code || e.Errors[0].Reason != reason {
		t.Errorf("%s: %v, want %d %s", what, err, code, reason)
	}
}

func set(name, typ string, ttl int64, data ...string) *api.ResourceRecordSet {
	return &api.ResourceRecordSet{Name: name, Type: typ, Ttl: ttl, Rrdatas: data}
}

// bubble runs f with a zone "team" for team.example.net in a bubble where time is fake.
func bubble(t *testing.T, f func(t *testing.T, s *servers, c *api.Service)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newServers("a")
		a := newAPI(s)
		defer a.Close()
		c, err := api.NewService(context.Background(), option.WithEndpoint("https://dns.google.lab/"),
			option.WithHTTPClient(&http.Client{Transport: recordingtest.Transport{Handler: a.Handler(), Token: everything}}))
		if err != nil {
			t.Fatal(err)
		}
		z, err := c.ManagedZones.Create(project, &api.ManagedZone{Name: "team", DnsName: "team.example.net.", Description: "d"}).Do()
		if err != nil || z.Id == 0 {
			t.Fatalf("%+v %v", z, err)
		}
		f(t, s, c)
	})
}

// TestChangeIsCompareAndSwap: pending before done, done before the servers
// answer it, deletions exact, all or none.
func TestChangeIsCompareAndSwap(t *testing.T) {
	bubble(t, func(t *testing.T, s *servers, c *api.Service) {
		const zone, www = "team.example.net.", "www.team.example.net."
		change, err := c.Changes.Create(project, "team", &api.Change{Additions: []*api.ResourceRecordSet{set(www, "A", 300, "192.0.2.1", "192.0.2.2")}}).Do()
		if err != nil || change.Status != "pending" || change.Id != "1" || change.Kind != "dns#change" {
			t.Fatalf("%+v %v", change, err)
		}
		for change.Status != "done" {
			time.Sleep(50 * time.Millisecond)
			if change, err = c.Changes.Get(project, "team", "1").Do(); err != nil {
				t.Fatal(err)
			}
		}
		if got := s.answers(zone, www, "A"); got != nil {
			t.Errorf("done, and the servers answer it already: %v", got)
		}
		time.Sleep(time.Second)
		if got := s.answers(zone, www, "A"); !slices.Equal(got, []string{"192.0.2.1", "192.0.2.2"}) {
			t.Errorf("the servers answer %v", got)
		}
		for _, tt := range []struct {
			name   string
			change *api.Change
			code   int
			reason string
		}{
			{"a deletion with another TTL", &api.Change{Deletions: []*api.ResourceRecordSet{set(www, "A", 60, "192.0.2.1", "192.0.2.2")}}, 412, "conditionNotMet"},
			{"a deletion with other data", &api.Change{Deletions: []*api.ResourceRecordSet{set(www, "A", 300, "192.0.2.1")}}, 412, "conditionNotMet"},
			{"a deletion of what is not there", &api.Change{Deletions: []*api.ResourceRecordSet{set("x."+zone, "A", 300, "192.0.2.1")}}, 404, "notFound"},
			{"an addition of what is there", &api.Change{Additions: []*api.ResourceRecordSet{set(www, "A", 300, "192.0.2.9")}}, 409, "alreadyExists"},
			{"a CNAME beside an address", &api.Change{Additions: []*api.ResourceRecordSet{set(www, "CNAME", 300, "x.example.net.")}}, 400, "cnameResourceRecordSetConflict"},
			{"a good one with a bad one", &api.Change{Additions: []*api.ResourceRecordSet{set("a."+zone, "A", 300, "192.0.2.1"), set(www, "A", 300, "192.0.2.9")}}, 409, "alreadyExists"},
			{"no SOA", &api.Change{Deletions: []*api.ResourceRecordSet{set(zone, "SOA", 21600, "ns-cloud-a1.googledomains.com. cloud-dns-hostmaster.google.com. 1 21600 3600 259200 300")}}, 400, "invalidZoneApex"},
			{"nothing", &api.Change{}, 400, "required"},
			{"a name outside", &api.Change{Additions: []*api.ResourceRecordSet{set("www.example.org.", "A", 300, "192.0.2.1")}}, 400, "invalid"},
			{"a name that is not absolute", &api.Change{Additions: []*api.ResourceRecordSet{set("b.team.example.net", "A", 300, "192.0.2.1")}}, 400, "invalid"},
			{"data of another type", &api.Change{Additions: []*api.ResourceRecordSet{set("b."+zone, "A", 300, "x.example.net.")}}, 400, "invalid"},
			{"a type that is none", &api.Change{Additions: []*api.ResourceRecordSet{set("b."+zone, "SPF", 300, "x")}}, 400, "invalid"},
		} {
			_, err := c.Changes.Create(project, "team", tt.change).Do()
			refused(t, tt.name, err, tt.code, tt.reason)
		}
		list, err := c.ResourceRecordSets.List(project, "team").Do()
		if err != nil || len(list.Rrsets) != 3 {
			t.Errorf("the zone has %+v %v", list, err)
		}
		_, err = c.Changes.Create(project, "team", &api.Change{
			Deletions: []*api.ResourceRecordSet{set(www, "A", 300, "192.0.2.2", "192.0.2.1")}, // the order does not count
			Additions: []*api.ResourceRecordSet{set(www, "A", 60, "192.0.2.3")},
		}).Do()
		if err != nil {
			t.Fatal(err)
		}
		err = c.ManagedZones.Delete(project, "team").Do()
		refused(t, "a zone that holds records", err, 400, "containerNotEmpty")
		time.Sleep(time.Second)
		if got := s.answers(zone, www, "A"); !slices.Equal(got, []string{"192.0.2.3"}) {
			t.Errorf("the servers answer %v", got)
		}
		if log, err := c.Changes.List(project, "team").Do(); err != nil || len(log.Changes) != 3 || log.Changes[0].Id != "2" {
			t.Errorf("changes are %+v %v", log, err)
		}
	})
}

func TestZones(t *testing.T) {
	bubble(t, func(t *testing.T, s *servers, c *api.Service) {
		_, err := c.ManagedZones.Create(project, &api.ManagedZone{Name: "team", DnsName: "x.example.net.", Description: "d"}).Do()
		refused(t, "a name that is taken", err, 409, "alreadyExists")
		_, err = c.ManagedZones.Create(project, &api.ManagedZone{Name: "other", DnsName: "x.example.net", Description: "d"}).Do()
		refused(t, "a DNS name that is not absolute", err, 400, "invalid")
		_, err = c.ManagedZones.Create(project, &api.ManagedZone{Name: "other", DnsName: "x.example.net.", Description: "d", Visibility: "private"}).Do()
		refused(t, "a private zone", err, 501, "notImplemented")
		_, err = c.ManagedZones.Get(project, "none").Do()
		refused(t, "a zone that is not there", err, 404, "notFound")
		_, err = c.ManagedZones.List("other").Do()
		refused(t, "another project", err, 403, "forbidden")
		time.Sleep(time.Second)
		if err := c.ManagedZones.Delete(project, "team").Do(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(s.zones) != 0 {
			t.Errorf("the servers still serve %v", s.zones)
		}
	})
}

// TestDeletedBeforeItWasServed: a zone that goes before the servers were told of
// it does not come back.
func TestDeletedBeforeItWasServed(t *testing.T) {
	bubble(t, func(t *testing.T, s *servers, c *api.Service) {
		if err := c.ManagedZones.Delete(project, "team").Do(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if len(s.zones) != 0 {
			t.Errorf("the servers serve %v", s.zones)
		}
	})
}

func TestPages(t *testing.T) {
	bubble(t, func(t *testing.T, s *servers, c *api.Service) {
		var all []*api.ResourceRecordSet
		for _, n := range strings.Split("abcdefg", "") {
			all = append(all, set(n+".team.example.net.", "A", 300, "192.0.2.1"))
		}
		if _, err := c.Changes.Create(project, "team", &api.Change{Additions: all}).Do(); err != nil {
			t.Fatal(err)
		}
		var names []string
		err := c.ResourceRecordSets.List(project, "team").MaxResults(4).Pages(context.Background(), func(p *api.ResourceRecordSetsListResponse) error {
			if len(p.Rrsets) > 4 {
				t.Errorf("a page of %d", len(p.Rrsets))
			}
			for _, s := range p.Rrsets {
				names = append(names, s.Name+s.Type)
			}
			return nil
		})
		if err != nil || len(names) != 9 || len(slices.Compact(slices.Clone(names))) != 9 {
			t.Errorf("%v %v", names, err)
		}
	})
}
