package zone

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/google"
	"github.com/slipway-dev/slipway/internal/lab/cloud/ovh"
)

// cloud is Cloud DNS: a change happens whole or not at all, and its deletions must match.
type cloud struct {
	w        *world
	sets     []google.RecordSet
	deaf     bool // changes are called done and don't reach the servers
	requests int
}

func (c *cloud) Zone(context.Context) (google.ManagedZone, error) {
	return google.ManagedZone{Name: "rehearsal", DNSName: c.w.origin, Nameservers: c.w.hosts()}, nil
}

func (c *cloud) RecordSets(context.Context) ([]google.RecordSet, error) {
	soa := google.RecordSet{Name: c.w.origin, Type: "SOA", TTL: 21600, Data: []string{"ns1. root. 1 21600 3600 259200 300"}}
	return append([]google.RecordSet{soa}, c.sets...), nil
}

func (c *cloud) Change(_ context.Context, del, add []google.RecordSet, _ google.Tell) error {
	c.requests++
	next := slices.Clone(c.sets)
	same := func(a, b google.RecordSet) bool {
		return a.Name == b.Name && a.Type == b.Type && a.TTL == b.TTL && slices.Equal(a.Data, b.Data)
	}
	for _, d := range del {
		i := slices.IndexFunc(next, func(s google.RecordSet) bool { return same(s, d) })
		if i < 0 {
			return google.ErrChanged
		}
		next = slices.Delete(next, i, i+1)
	}
	for _, a := range add {
		if slices.ContainsFunc(next, func(s google.RecordSet) bool { return s.Name == a.Name && s.Type == a.Type }) {
			return google.ErrChanged
		}
		next = append(next, a)
	}
	c.sets = next
	if c.deaf {
		return nil
	}
	var data []ovh.Data
	for _, s := range next {
		for _, v := range s.Data {
			data = append(data, ovh.Data{Name: s.Name, Type: s.Type, TTL: uint32(s.TTL), Target: v})
		}
	}
	return c.w.Replace(context.Background(), "", data)
}

func newCloud(t *testing.T) (*cloud, *CloudDNS) {
	t.Helper()
	c := &cloud{w: newWorld(t, "rehearsal.example.")}
	at := "rehearsal.example."
	if err := c.Change(context.Background(), nil, []google.RecordSet{{Name: at, Type: "NS", TTL: 21600, Data: []string{"ns1." + at, "ns2." + at}},
		{Name: "www." + at, Type: "A", TTL: 300, Data: []string{"10.77.0.11", "10.77.0.10"}}, {Name: "www." + at, Type: "AAAA", TTL: 300, Data: []string{"2001:db8::1"}}}, nil); err != nil {
		t.Fatal(err)
	}
	c.requests = 0
	z, err := OpenCloudDNS(context.Background(), c, c, c.w.servers())
	if err != nil {
		t.Fatal(err)
	}
	z.pace = pace{first: 5 * time.Millisecond, most: 20 * time.Millisecond, patience: 300 * time.Millisecond}
	return c, z
}

func TestCloudDNSThereAndBack(t *testing.T) {
	c, z := newCloud(t)
	ctx := context.Background()
	was := all(t, z)
	sets, err := z.Sets(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cs, err := Point(z, sets, []string{"www"}, "10.77.3.1", 5)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := z.Apply(ctx, cs, quietly); err != nil {
			t.Fatal(err)
		}
		if got := c.w.served(t, "www", "A") + ", " + c.w.served(t, "www", "AAAA"); got != "5 10.77.3.1, none" {
			t.Errorf("www is %s", got)
		}
	}
	for range 2 {
		if err := z.Apply(ctx, cs.Reverse(), quietly); err != nil {
			t.Fatal(err)
		}
		if got := all(t, z); got != was {
			t.Errorf("after the way back\n%s\nwant\n%s", got, was)
		}
	}
	if c.requests != 2 {
		t.Errorf("%d changes were sent, want 2", c.requests)
	}
}

func TestCloudDNSRefusals(t *testing.T) {
	c, z := newCloud(t)
	ctx := context.Background()
	sets, err := z.Sets(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cs, err := Point(z, sets, []string{"www"}, "10.77.3.1", 60)
	if err != nil {
		t.Fatal(err)
	}
	looker, err := OpenCloudDNS(ctx, c, nil, c.w.servers())
	if err != nil {
		t.Fatal(err)
	}
	if err := looker.Apply(ctx, cs, quietly); !errors.Is(err, ErrRefused) {
		t.Errorf("a zone opened to look: %v", err)
	}
	c.sets[1].Data = []string{"192.0.2.9"}
	if err := z.Apply(ctx, cs, quietly); !errors.Is(err, ErrChanged) || c.requests != 0 {
		t.Errorf("changed since the plan: %v after %d requests", err, c.requests)
	}
	c.sets[1].Data = []string{"10.77.0.10", "10.77.0.11"}
	c.deaf = true
	if err := z.Apply(ctx, cs, quietly); !errors.Is(err, ErrNotServed) || !strings.Contains(err.Error(), "ns1.rehearsal.example. (127.0.0.1) answers") {
		t.Errorf("done and not served: %v", err)
	}
}
