package zone

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// still is a zone that is only looked at.
type still struct {
	origin string
	sets   []Set
}

func (s still) Origin() string                                { return s.origin }
func (s still) MinTTL() int                                   { return 60 }
func (s still) Sets(context.Context) ([]Set, error)           { return s.sets, nil }
func (s still) Nameservers(context.Context) ([]string, error) { return nil, nil }

func set(t *testing.T, name, typ string, ttl int, values ...string) Set {
	t.Helper()
	s, err := NewSet(name, typ, ttl, values...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestCanonical(t *testing.T) {
	for _, c := range []struct{ typ, in, want string }{
		{"A", "192.0.2.1", "192.0.2.1"},
		{"AAAA", "2001:DB8:0::1", "2001:db8::1"},
		{"CNAME", "WWW", "www.shop.example."},
		{"CNAME", "Edge.Example.Net.", "edge.example.net."},
		{"MX", "10 mail", "10 mail.shop.example."},
		{"NS", "NS1", "ns1.shop.example."},
		{"SRV", "0 5 443 Edge", "0 5 443 edge.shop.example."},
		{"TXT", `"v=spf1 -all"`, `"v=spf1 -all"`},
		{"TXT", `"a" "b"`, `"a" "b"`},
	} {
		got, err := canonical("x.shop.example.", c.typ, c.in, "shop.example.")
		if err != nil || got != c.want {
			t.Errorf("%s %s: %q, %v, want %q", c.typ, c.in, got, err, c.want)
		}
	}
	for _, bad := range []string{"", "999.1.1.1", "192.0.2.1\nevil.example. 60 IN A 192.0.2.2", "192.0.2.1 192.0.2.2"} {
		if got, err := canonical("x.shop.example.", "A", bad, "."); err == nil {
			t.Errorf("A %q is taken as %q", bad, got)
		}
	}
}

func TestPoint(t *testing.T) {
	z := still{origin: "shop.example.", sets: []Set{
		set(t, "shop.example.", "A", 3600, "10.77.0.10"),
		set(t, "www.shop.example.", "A", 60, "10.77.0.11", "10.77.0.10"),
		set(t, "www.shop.example.", "AAAA", 60, "2001:db8::1"),
		set(t, "img.shop.example.", "CNAME", 300, "www.shop.example."),
		set(t, "ok.shop.example.", "A", 60, "10.77.3.1"),
	}}
	cs, err := Point(z, z.sets, []string{"@", "www", "img", "ok", "new"}, "10.77.3.1", 60)
	if err != nil {
		t.Fatal(err)
	}
	want := `img.shop.example. A: none -> 60 10.77.3.1
img.shop.example. CNAME: 300 www.shop.example. -> none
new.shop.example. A: none -> 60 10.77.3.1
shop.example. A: 3600 10.77.0.10 -> 60 10.77.3.1
www.shop.example. A: 60 10.77.0.10 10.77.0.11 -> 60 10.77.3.1
www.shop.example. AAAA: 60 2001:db8::1 -> none`
	var got []string
	for _, c := range cs {
		got = append(got, c.String())
	}
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
	back := cs.Reverse()
	if back[4].String() != "www.shop.example. A: 60 10.77.3.1 -> 60 10.77.0.10 10.77.0.11" {
		t.Errorf("reverse %s", back[4])
	}
	if _, err := Point(z, z.sets, []string{"www"}, "10.77.3.1", 10); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "less than 60") {
		t.Errorf("a TTL that isn't kept: %v", err)
	}
	if _, err := Point(z, z.sets, []string{"www.other.example."}, "10.77.3.1", 60); !errors.Is(err, ErrRefused) {
		t.Errorf("a name of another zone: %v", err)
	}
	if _, err := Point(z, z.sets, []string{"www"}, "lb.example.net", 60); err == nil {
		t.Error("a host name is taken for an address")
	}
}

func TestCheck(t *testing.T) {
	a, b := set(t, "www.shop.example.", "A", 60, "192.0.2.1"), set(t, "www.shop.example.", "A", 60, "192.0.2.2")
	ns1, ns2 := set(t, "shop.example.", "NS", 60, "ns1.x."), set(t, "shop.example.", "NS", 60, "ns2.x.")
	mixed := a
	mixed.TTL = MixedTTL
	for name, c := range map[string]struct {
		cs   Changes
		want string
	}{
		"root NS":       {Changes{{"shop.example.", "NS", ns1, ns2}}, "SOA and NS"},
		"SOA":           {Changes{{"shop.example.", "SOA", Set{Name: "shop.example.", Type: "SOA"}, Set{Name: "shop.example.", Type: "SOA", Values: []string{"x"}}}}, "SOA and NS"},
		"twice":         {Changes{{a.Name, "A", a, b}, {a.Name, "A", a, b}}, "named twice"},
		"nothing":       {Changes{{a.Name, "A", a, a}}, "changes nothing"},
		"another's set": {Changes{{"x.shop.example.", "A", a, b}}, "canonical"},
		"mixed TTLs":    {Changes{{a.Name, "A", mixed, b}}, "several TTLs"},
		"outside":       {Changes{{"www.shop.example.", "A", a, b}}, "not in zone"},
	} {
		origin := "shop.example."
		if name == "outside" {
			origin = "rehearsal.example."
		}
		if err := c.cs.Check(origin, 60); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	deleg := set(t, "sub.shop.example.", "NS", 60, "ns1.x.")
	if err := (Changes{{deleg.Name, "NS", Set{Name: deleg.Name, Type: "NS"}, deleg}}).Check("shop.example.", 60); err != nil {
		t.Errorf("a delegation is refused: %v", err)
	}
}

func TestDisjoint(t *testing.T) {
	prod := []Set{set(t, "shop.example.", "A", 60, "192.0.2.1"), set(t, "www.shop.example.", "A", 60, "192.0.2.1")}
	mark := set(t, "_slipway.rehearsal.example.", "TXT", 300, `"rehearsal"`)
	good := []Set{mark, set(t, "www.rehearsal.example.", "A", 60, "192.0.2.1")}
	if err := Disjoint("rehearsal.example.", good, "shop.example.", prod); err != nil {
		t.Errorf("a good zone: %v", err)
	}
	sub := []Set{set(t, "_slipway.try.shop.example.", "TXT", 300, `"rehearsal"`)}
	if err := Disjoint("try.shop.example.", sub, "shop.example.", prod); err != nil {
		t.Errorf("a zone below production's: %v", err)
	}
	for name, c := range map[string]struct {
		origin string
		sets   []Set
		prod   []Set
		want   string
	}{
		"production's":      {"Shop.example", append(prod, set(t, "_slipway.shop.example.", "TXT", 1, `"rehearsal"`)), prod, "it is production's zone"},
		"around it":         {"example.", append(good, set(t, "_slipway.example.", "TXT", 1, `"rehearsal"`)), prod, "lies in it"},
		"holds a name":      {"rehearsal.example.", append(good, set(t, "www.shop.example.", "A", 60, "192.0.2.1")), prod, "it holds www.shop.example."},
		"not marked":        {"rehearsal.example.", good[1:], prod, "has no record _slipway.rehearsal.example."},
		"marked otherwise":  {"rehearsal.example.", []Set{set(t, "_slipway.rehearsal.example.", "TXT", 1, `"no"`)}, prod, "has no record"},
		"production marked": {"rehearsal.example.", good, append(prod, set(t, "_slipway.shop.example.", "TXT", 1, `"rehearsal"`)), "carries the mark"},
	} {
		if err := Disjoint(c.origin, c.sets, "shop.example.", c.prod); !errors.Is(err, ErrProduction) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
