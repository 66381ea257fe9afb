package runbooks_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/internal/stamp"
	"github.com/slipway-dev/slipway/internal/web"
	"github.com/slipway-dev/slipway/internal/zone"
)

const (
	production = "shop.example."
	rehearsal  = "rehearsal.example."
)

func set(name, typ string, ttl int, values ...string) zone.Set {
	s, err := zone.NewSet(name, typ, ttl, values...)
	if err != nil {
		panic(err)
	}
	return s
}

func zoneMark() zone.Set { return set(zone.MarkName+"."+rehearsal, "TXT", 60, zone.MarkValue) }

// zoneState is a zone whose changes are staged one by one and then published, as at OVH.
type zoneState struct {
	origin         string
	staged, served []zone.Set
	serial         uint32
}

func newZone(origin, at string, more ...zone.Set) *zoneState {
	sets := append([]zone.Set{set("www."+origin, "A", 300, at), set("www."+origin, "AAAA", 300, "2001:db8::1"), set("api."+origin, "A", 300, at)}, more...)
	return &zoneState{origin: origin, staged: sets, served: slices.Clone(sets), serial: 7}
}

func (z *zoneState) String() string {
	text := func(sets []zone.Set) string {
		var all []string
		for _, s := range sets {
			if !s.Absent() && !strings.HasPrefix(s.Name, "theirs.") {
				all = append(all, s.Name+" "+s.Type+" "+s.Data())
			}
		}
		slices.Sort(all)
		return strings.Join(all, ", ")
	}
	return "zone " + z.origin + ": " + text(z.staged) + " | " + text(z.served)
}

func put(sets []zone.Set, s zone.Set) []zone.Set {
	sets = slices.DeleteFunc(slices.Clone(sets), func(h zone.Set) bool { return h.Name == s.Name && h.Type == s.Type })
	if s.Absent() {
		return sets
	}
	return append(sets, s)
}

// publish is somebody else's change, whole.
func (z *zoneState) publish(s zone.Set) {
	z.staged, z.served, z.serial = put(z.staged, s), put(z.served, s), z.serial+1
}

// seeZone looks at a zone; guarded, it refuses one that isn't there to be rehearsed on, by package zone's own rule.
type seeZone struct {
	w       *world
	origin  string
	guarded bool
}

func (e seeZone) Origin() string { return e.origin }
func (e seeZone) MinTTL() int    { return 60 }

func (e seeZone) Sets(context.Context) ([]zone.Set, error) {
	return ask(e.w, func() ([]zone.Set, error) {
		sets := slices.Clone(e.w.zones[e.origin].staged)
		if e.guarded {
			return sets, zone.Disjoint(e.origin, sets, production, e.w.zones[production].staged)
		}
		return sets, nil
	})
}

func (e seeZone) Nameservers(context.Context) ([]string, error) { return []string{"ns1", "ns2"}, nil }

func (e seeZone) Serials(context.Context) ([]zone.Serial, error) {
	return ask(e.w, func() ([]zone.Serial, error) {
		n := e.w.zones[e.origin].serial
		return []zone.Serial{{Server: "ns1", Number: n}, {Server: "ns2", Number: n}}, nil
	})
}

func (e seeZone) Differences(_ context.Context, want []zone.Set) ([]string, error) {
	return ask(e.w, func() ([]string, error) {
		var out []string
		for _, w := range want {
			if is := zone.Find(e.w.zones[e.origin].served, w.Name, w.Type); !is.Equal(w) {
				out = append(out, fmt.Sprintf("ns1 answers %s %s: %s, not %s", w.Name, w.Type, is.Data(), w.Data()))
			}
		}
		return out, nil
	})
}

// actOnZone changes a zone.
type actOnZone struct {
	seeZone
	on   realm
	mark stamp.Stamp
}

func (h actOnZone) Apply(ctx context.Context, changes zone.Changes, _ zone.Tell) error {
	if err := changes.Check(h.origin, h.MinTTL()); err != nil {
		return err
	}
	if _, err := h.Sets(ctx); err != nil { // the guard
		return err
	}
	z := h.w.zones[h.origin]
	for _, c := range changes {
		is, err := ask(h.w, func() (zone.Set, error) { return zone.Find(z.staged, c.Name, c.Type), nil })
		if err != nil || is.Equal(c.After) {
			if err != nil {
				return err
			}
			continue
		}
		err = h.w.act(h.on, h.mark, "stage "+c.String(), nil, func() error {
			if !zone.Find(z.staged, c.Name, c.Type).Equal(c.Before) {
				return fmt.Errorf("zone %s: %s: %w", h.origin, c, zone.ErrChanged)
			}
			z.staged = put(z.staged, c.After)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return h.w.act(h.on, h.mark, "publish "+h.origin, nil, func() error { z.served, z.serial = slices.Clone(z.staged), z.serial+1; return nil })
}

// site is the new side as a customer's browser sees it.
type site struct{ w *world }

func (s site) Fetch(_ context.Context, at string, r web.Request) (web.Response, error) {
	page := func(status int, body string) web.Response {
		return web.Response{Status: status, Header: http.Header{}, Body: []byte(body), Took: 3 * time.Millisecond}
	}
	up, err := ask(s.w, func() (bool, error) {
		c := s.w.mine()
		return c != nil && at == address && c.helm.address == at && !time.Now().Before(c.helm.ready), nil
	})
	if err != nil || !up {
		return page(503, "not yet"), err
	}
	switch r.Method + " " + r.URL.Path {
	case "GET /product/1":
		return page(200, `<b class="sku">SKU-1</b> <img src="/assets/thumbs/old/kept.png">`), nil
	case "GET /assets/thumbs/old/kept.png":
		return page(200, "kept"), nil
	case "POST /order":
		err := s.w.act(onTarget, stamp.Stamp{}, "smoke: order", nil, func() error {
			for _, v := range s.w.servers {
				if v.Labels != nil {
					v.rows.orders, v.rows.written = v.rows.orders+1, v.rows.written+1
				}
			}
			return nil
		})
		return page(303, ""), err
	}
	return page(404, "no such page"), nil
}
