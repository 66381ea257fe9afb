//go:build recordings

package google

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestZoneAsRecorded(t *testing.T) {
	all := recording(t, "dns-record-set-crud.http.log")
	zones := recording(t, "dns-managed-zone-crud.http.log")
	_, c := newScript(t, find(t, zones, "GET", "/managedZones/test-zone-x", 0).call(), find(t, all, "GET", "/rrsets", 0).call())
	l := c.LookAtZone("p", "test-zone-x")
	z, err := l.Zone(context.Background())
	if err != nil || z.DNSName != "test-x.example.com." || len(z.Nameservers) != 4 {
		t.Errorf("%+v, %v", z, err)
	}
	sets, err := l.RecordSets(context.Background())
	if err != nil || len(sets) != 3 {
		t.Fatalf("%+v, %v", sets, err)
	}
	if want := (RecordSet{"www.test-x.example.com.", "A", 600, []string{"5.6.7.8"}}); !reflect.DeepEqual(sets[2], want) {
		t.Errorf("%+v, want %+v", sets[2], want)
	}
}

func TestZoneChange(t *testing.T) {
	const changes = "/dns/v1/projects/p/managedZones/z/changes"
	was := []RecordSet{{"www.z.", "A", 60, []string{"192.0.2.1"}}}
	is := []RecordSet{{"www.z.", "A", 60, []string{"192.0.2.2"}}}
	s, c := newScript(t,
		call{want: "POST " + changes, body: `"deletions":[{"kind":"dns#resourceRecordSet","name":"www.z.","rrdatas":["192.0.2.1"],"ttl":60,"type":"A"}]`, answer: `{"id":"7","status":"pending"}`},
		call{want: "GET " + changes + "/7", answer: `{"id":"7","status":"done"}`})
	var p told
	a := c.ActOnZone("p", "z")
	if err := a.Change(context.Background(), was, is, p.tell); err != nil {
		t.Error(err)
	}
	for _, status := range []int{409, 412} {
		s.calls = []call{{want: "POST " + changes, status: status, answer: `{"error":{"code":412,"message":"Precondition not met for 'entity.change.deletions[0]'","errors":[{"reason":"conditionNotMet"}]}}`}}
		if err := a.Change(context.Background(), was, is, p.tell); !errors.Is(err, ErrChanged) {
			t.Errorf("HTTP %d: %v, want ErrChanged", status, err)
		}
	}
}

func TestZoneWithAPolicy(t *testing.T) {
	_, c := newScript(t, call{want: "GET /dns/v1/projects/p/managedZones/z/rrsets", answer: `{"rrsets":[{"name":"www.z.","type":"A","ttl":60,"routingPolicy":{"wrr":{}}}]}`})
	if _, err := c.LookAtZone("p", "z").RecordSets(context.Background()); err == nil || !strings.Contains(err.Error(), "routes by policy") {
		t.Error(err)
	}
}
