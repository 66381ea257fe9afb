package dns_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/kube"
	"github.com/slipway-dev/slipway/internal/zone"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal"
	"github.com/slipway-dev/slipway/migrate/steptest"
	"github.com/slipway-dev/slipway/steps/dns"
)

// names is the world: a zone whose changes are staged one by one and then published, as at OVH.
type names struct {
	p       *steptest.Process
	origin  string
	staged  []zone.Set
	served  []zone.Set
	serials []zone.Serial
	refuse  error
}

func set(name, typ string, ttl int, values ...string) zone.Set {
	s, err := zone.NewSet(name, typ, ttl, values...)
	if err != nil {
		panic(err)
	}
	return s
}

func newNames(p *steptest.Process, origin string) *names {
	sets := []zone.Set{set("www."+origin, "A", 300, "10.77.0.10"), set("www."+origin, "AAAA", 300, "2001:db8::1"), set("mail."+origin, "A", 300, "10.77.0.10")}
	return &names{p: p, origin: origin, staged: sets, served: slices.Clone(sets), serials: []zone.Serial{{Server: "ns1", Number: 7}, {Server: "ns2", Number: 7}}}
}

func text(sets []zone.Set) string {
	var all []string
	for _, s := range sets {
		if !s.Absent() {
			all = append(all, s.Name+" "+s.Type+" "+s.Data())
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

func (n *names) String() string { return text(n.staged) + " | " + text(n.served) }

func (n *names) Origin() string { return n.origin }
func (n *names) MinTTL() int    { return 60 }
func (n *names) Sets(context.Context) ([]zone.Set, error) {
	return slices.Clone(n.staged), errors.Join(n.refuse, n.p.Look())
}
func (n *names) Nameservers(context.Context) ([]string, error) { return []string{"ns1", "ns2"}, nil }
func (n *names) Serials(context.Context) ([]zone.Serial, error) {
	return n.serials, n.p.Look()
}
func (n *names) Differences(_ context.Context, want []zone.Set) ([]string, error) {
	var out []string
	for _, w := range want {
		if is := zone.Find(n.served, w.Name, w.Type); !is.Equal(w) {
			out = append(out, fmt.Sprintf("ns1 answers %s %s: %s, not %s", w.Name, w.Type, is.Data(), w.Data()))
		}
	}
	return out, n.p.Look()
}

func put(sets []zone.Set, s zone.Set) []zone.Set {
	sets = slices.DeleteFunc(slices.Clone(sets), func(h zone.Set) bool { return h.Name == s.Name && h.Type == s.Type })
	if s.Absent() {
		return sets
	}
	return append(sets, s)
}

func (n *names) Apply(_ context.Context, changes zone.Changes, _ zone.Tell) error {
	if err := changes.Check(n.origin, 60); err != nil {
		return err
	}
	for _, c := range changes {
		is := zone.Find(n.staged, c.Name, c.Type)
		if is.Equal(c.After) {
			continue
		}
		if !is.Equal(c.Before) {
			return zone.ErrChanged
		}
		if err := n.p.Act("stage "+c.String(), nil, func() error { n.staged = put(n.staged, c.After); return nil }); err != nil {
			return err
		}
	}
	if text(n.staged) == text(n.served) {
		return nil
	}
	return n.p.Act("refresh", nil, func() error { n.served = slices.Clone(n.staged); return nil })
}

const where = "rehearsal.example."

func flip(n *names, st dns.Flip, release kube.Release) func(*migrate.Runbook[migrate.Rehearsal]) {
	return func(rb *migrate.Runbook[migrate.Rehearsal]) {
		st := st
		st.Release = steptest.Given(rb, "standup.release", release)
		migrate.Add(rb, st, migrate.LookShadow("rehearsal zone", dns.OnlyLook(n)),
			migrate.Shadow("rehearsal zone", func(context.Context) error { return nil }, func(context.Context, migrate.Stamp) (dns.Act, error) { return n, nil }))
	}
}

var shop = kube.Release{Namespace: "shop", Name: "shop", Revision: 1, Address: "10.77.3.1"}

func TestFlip(t *testing.T) {
	st := dns.Flip{Names: []string{"www", "img"}, TTL: 60}
	steptest.Run(t, steptest.Case{New: func(t *testing.T, p *steptest.Process) steptest.World {
		n := newNames(p, where)
		return steptest.World{
			Add:        flip(n, st, shop),
			State:      n.String,
			Repeatable: func(effect string) bool { return effect == "refresh" },
			Spoil: []steptest.Spoil{
				{Name: "a server answers the old", Do: func() { n.served = put(n.served, set("www."+where, "A", 300, "10.77.0.10")) }},
				{Name: "the AAAA is back", Do: func() { n.served = put(n.served, set("www."+where, "AAAA", 300, "2001:db8::1")) }},
				{Name: "a name is gone", Do: func() { n.served = put(n.served, zone.Set{Name: "img." + where, Type: "A"}) }},
			},
		}
	}})
}

func outline(t *testing.T, add func(*migrate.Runbook[migrate.Rehearsal])) string {
	t.Helper()
	rb := migrate.NewRunbook[migrate.Rehearsal]()
	rb.Phase("flip")
	add(rb)
	o, err := rb.Plan(context.Background(), migrate.Options{})
	return fmt.Sprintf("%+v %v", o, err)
}

// later is a release that isn't there yet.
type later struct{}

func (later) Spec() migrate.Spec { return migrate.Spec{ID: "standup.release", Title: "x"} }
func (later) Plan(context.Context, *migrate.Scope[struct{}], migrate.Recorded[kube.Release]) (migrate.Plan[kube.Release], error) {
	return migrate.Plan[kube.Release]{Effects: []migrate.Effect{{Verb: "x", Object: "x"}}}, nil
}
func (later) Run(context.Context, *migrate.Scope[struct{}], kube.Release) (kube.Release, error) {
	return shop, nil
}
func (later) Verify(context.Context, *migrate.Scope[struct{}], kube.Release) error { return nil }
func (later) Undo(context.Context, *migrate.Scope[struct{}], migrate.Recorded[kube.Release]) error {
	return nil
}

// Before there is an address the plan already names the exact changes.
func TestFlipPlan(t *testing.T) {
	n := newNames(&steptest.Process{}, where)
	got := outline(t, func(rb *migrate.Runbook[migrate.Rehearsal]) {
		nothing := migrate.Look("nothing", struct{}{})
		rel := migrate.Add(rb, later{}, nothing, migrate.NoHands[migrate.Rehearsal](nothing))
		migrate.Add(rb, dns.Flip{Release: rel, Names: []string{"www", "img"}, TTL: 60}, migrate.LookShadow("rehearsal zone", dns.OnlyLook(n)),
			migrate.Shadow("rehearsal zone", func(context.Context) error { return nil }, func(context.Context, migrate.Stamp) (dns.Act, error) { return nil, errors.New("a plan acts") }))
	})
	for _, want := range []string{
		"add img.rehearsal.example. A: none -> 60 (the address of standup.release)",
		"change www.rehearsal.example. A: 300 10.77.0.10 -> 60 (the address of standup.release)",
		"delete www.rehearsal.example. AAAA: 300 2001:db8::1 -> none",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in %s", want, got)
		}
	}
	n.refuse = zone.ErrProduction
	if got := outline(t, flip(n, dns.Flip{Names: []string{"www"}, TTL: 60}, shop)); !strings.Contains(got, zone.ErrProduction.Error()) {
		t.Errorf("a zone that holds production's names: %s", got)
	}
	n.refuse = nil
	if got := outline(t, flip(n, dns.Flip{Names: []string{"www"}, TTL: 30}, shop)); !strings.Contains(got, "less than 60") {
		t.Errorf("a TTL that isn't kept: %s", got)
	}
}

func run(t *testing.T, add func(*migrate.Runbook[migrate.Rehearsal])) error {
	t.Helper()
	const id = "20261123-010203-0001"
	dir, err := journal.MakeDir(t.TempDir(), id)
	if err != nil {
		t.Fatal(err)
	}
	rb := migrate.NewRunbook[migrate.Rehearsal]()
	rb.Phase("test")
	add(rb)
	r, err := migrate.Begin(dir, id, rb, migrate.Options{Tool: "test", Who: "test", Parallel: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	return r.Resume(context.Background())
}

func preflight(prod, reh *names, st dns.Preflight) func(*migrate.Runbook[migrate.Rehearsal]) {
	return func(rb *migrate.Runbook[migrate.Rehearsal]) {
		eye := migrate.BothEyes(migrate.Look("production's zone", dns.OnlyLook(prod)), migrate.LookShadow("rehearsal zone", dns.OnlyLook(reh)),
			func(p, f dns.Look) dns.Zones { return dns.Zones{Production: p, Flipped: f} })
		migrate.Add(rb, st, eye, migrate.NoHands[migrate.Rehearsal](eye))
	}
}

var look = dns.Preflight{Names: []string{"www"}, TTL: 60, MaxTTL: 300}

func TestPreflight(t *testing.T) {
	steptest.Run(t, steptest.Case{New: func(t *testing.T, p *steptest.Process) steptest.World {
		return steptest.World{Add: preflight(newNames(p, "shop.example."), newNames(p, where), look), State: func() string { return "" }, Found: true,
			NoSpoil: "what was seen before the run isn't looked at again"}
	}})
}

func TestPreflightProblems(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(prod, reh *names, st *dns.Preflight)
		want  string
	}{
		"serials":    {func(p, _ *names, _ *dns.Preflight) { p.serials[1].Number = 6 }, "zone shop.example.: its servers have different serial numbers: ns1 has 7, ns2 has 6"},
		"one server": {func(_, r *names, _ *dns.Preflight) { r.serials = r.serials[:1] }, "zone rehearsal.example.: 1 name server answers"},
		"unpublished": {func(p, _ *names, _ *dns.Preflight) {
			p.staged = put(p.staged, set("new.shop.example.", "A", 60, "192.0.2.1"))
		}, "its provider and its servers disagree"},
		"production":  {func(_, r *names, _ *dns.Preflight) { r.refuse = zone.ErrProduction }, "not a zone to rehearse on"},
		"TTL":         {func(_, _ *names, st *dns.Preflight) { st.TTL = 30 }, "keeps no TTL under 60"},
		"no name":     {func(_, _ *names, st *dns.Preflight) { st.Names = []string{"nope"} }, "no A, AAAA or CNAME record of nope.shop.example."},
		"all at once": {func(p, r *names, _ *dns.Preflight) { p.serials[1].Number = 6; r.refuse = zone.ErrProduction }, "different serial numbers|not a zone to rehearse on"},
	} {
		prod, reh, st := newNames(&steptest.Process{}, "shop.example."), newNames(&steptest.Process{}, where), look
		c.spoil(prod, reh, &st)
		err := run(t, preflight(prod, reh, st))
		for _, want := range strings.Split(c.want, "|") {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", name, err, want)
			}
		}
	}
	if err := run(t, preflight(newNames(&steptest.Process{}, "shop.example."), newNames(&steptest.Process{}, where), look)); err != nil {
		t.Error(err)
	}
}

// Undo refuses a set that somebody has changed since, rather than put an old state over it.
func TestUndoAfterSomebodyElse(t *testing.T) {
	n := newNames(&steptest.Process{}, where)
	was := n.staged[0]
	n.staged = put(n.staged, set(was.Name, "A", 60, "198.51.100.1"))
	cs := zone.Changes{{Name: was.Name, Type: "A", Before: was, After: set(was.Name, "A", 60, "10.77.3.1")}}
	err := dns.Flip{}.Undo(context.Background(), &migrate.Scope[dns.Act]{C: n}, migrate.Recorded[dns.FlipOut]{Want: dns.FlipOut{Changes: cs}})
	if !errors.Is(err, zone.ErrChanged) {
		t.Errorf("%v, want ErrChanged", err)
	}
}
