// Package dns looks at the zones and flips names to the new address. It must not import another step package; providers' API types stay in
// internal/zone.
package dns

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/internal/kube"
	"github.com/slipway-dev/slipway/internal/zone"
	"github.com/slipway-dev/slipway/migrate"
)

// Look looks at one zone: at its provider, and at each of its authoritative servers.
type Look interface {
	Origin() string
	MinTTL() int
	// Sets are all record sets at the provider; zone.ErrProduction when a zone for rehearsals holds production's names.
	Sets(ctx context.Context) ([]zone.Set, error)
	Nameservers(ctx context.Context) ([]string, error)
	// Differences asks every server; each line says which server answers what otherwise.
	Differences(ctx context.Context, want []zone.Set) ([]string, error)
	Serials(ctx context.Context) ([]zone.Serial, error)
}

// Act changes one zone.
type Act interface {
	// Apply makes exactly the changes; each set must be as Before says or already as After says, else zone.ErrChanged.
	Apply(ctx context.Context, changes zone.Changes, tell zone.Tell) error
}

type onlyLook struct{ Look }

// OnlyLook closes a looker that can do more.
func OnlyLook(l Look) Look { return onlyLook{l} }

// Flip points names of the zone at the release's address.
type Flip struct {
	Release migrate.Ref[kube.Release]
	Names   []string // relative to the zone; "@" is the zone itself
	TTL     int      // s
	After   []migrate.Dep
}

// FlipOut is the exact change that was made, with the sets as they were.
type FlipOut struct {
	Zone    string
	Address string
	Changes zone.Changes
	Serve   []zone.Set // what every server answers of the names, what didn't have to be changed with it
}

// Spec: names that can't be taken back hold the release that they point at.
func (st Flip) Spec() migrate.Spec {
	return migrate.Spec{ID: "flip.dns", Version: 1, Title: "flip the names", Timeout: 20 * time.Minute, Needs: append([]migrate.Dep{st.Release.Dep()}, st.After...)}
}

// Plan names the exact changes of record sets. The first intent's before-image is kept: what an attempt changed half way is seen as such.
func (st Flip) Plan(ctx context.Context, s *migrate.Scope[Look], rec migrate.Recorded[FlipOut]) (migrate.Plan[FlipOut], error) {
	p := migrate.Plan[FlipOut]{Want: FlipOut{Zone: s.C.Origin()}}
	sets, err := s.C.Sets(ctx)
	if err != nil {
		return p, err
	}
	rel, err := migrate.Value(s, st.Release)
	if errors.Is(err, migrate.ErrNotRecorded) { // a plan, before there is an address
		return st.unaddressed(s.C, sets)
	}
	if err != nil {
		return p, err
	}
	p.Want.Address = rel.Address
	if rec.Attempts > 0 {
		p.Want = rec.Want
	} else if err := st.want(s.C, sets, &p.Want); err != nil {
		return p, err
	}
	todo := open(p.Want.Changes, sets)
	if len(todo) == 0 {
		diffs, err := s.C.Differences(ctx, p.Want.Serve)
		if err != nil {
			return p, err
		}
		if len(diffs) == 0 {
			return migrate.Done(p.Want), nil
		}
		p.Effects = []migrate.Effect{{Verb: "publish", Object: "zone " + s.C.Origin(), Detail: strings.Join(diffs, "; ")}}
		return p, nil
	}
	for _, c := range todo {
		p.Effects = append(p.Effects, effect(c))
	}
	return p, nil
}

// unaddressed plans before there is an address: with one of those that are kept for documentation (RFC 5737), which no zone holds.
func (st Flip) unaddressed(l Look, sets []zone.Set) (migrate.Plan[FlipOut], error) {
	const stand = "192.0.2.0"
	p := migrate.Plan[FlipOut]{Want: FlipOut{Zone: l.Origin()}}
	cs, err := zone.Point(l, sets, st.Names, stand, st.TTL)
	if err != nil {
		return p, err
	}
	for _, c := range cs {
		e := effect(c)
		e.Detail = strings.ReplaceAll(e.Detail, stand, "(the address of "+string(st.Release.Dep().Step())+")")
		p.Effects = append(p.Effects, e)
	}
	return p, nil
}

func effect(c zone.Change) migrate.Effect {
	verb := "change"
	switch {
	case c.Before.Absent():
		verb = "add"
	case c.After.Absent():
		verb = "delete"
	}
	return migrate.Effect{Verb: verb, Object: c.Name + " " + c.Type, Detail: c.Before.Data() + " -> " + c.After.Data()}
}

// want fills in the changes and what is served after them.
func (st Flip) want(l Look, sets []zone.Set, out *FlipOut) (err error) {
	if out.Changes, err = zone.Point(l, sets, st.Names, out.Address, st.TTL); err != nil {
		return err
	}
	for _, n := range st.Names {
		a, err := zone.NewSet(zone.Absolute(n, l.Origin()), "A", st.TTL, out.Address)
		if err != nil {
			return err
		}
		out.Serve = append(out.Serve, a)
	}
	for _, c := range out.Changes {
		if c.After.Absent() {
			out.Serve = append(out.Serve, c.After)
		}
	}
	return nil
}

// open gives the changes that are not made yet at the provider.
func open(cs zone.Changes, sets []zone.Set) zone.Changes {
	var todo zone.Changes
	for _, c := range cs {
		if !zone.Find(sets, c.Name, c.Type).Equal(c.After) {
			todo = append(todo, c)
		}
	}
	return todo
}

// Run makes the changes; it returns when all authoritative servers answer them.
func (st Flip) Run(ctx context.Context, s *migrate.Scope[Act], want FlipOut) (FlipOut, error) {
	if len(want.Changes) == 0 {
		return want, nil
	}
	return want, s.C.Apply(ctx, want.Changes, s.Tell)
}

// Verify asks every authoritative server.
func (st Flip) Verify(ctx context.Context, s *migrate.Scope[Look], out FlipOut) error {
	diffs, err := s.C.Differences(ctx, out.Serve)
	if err == nil && len(diffs) > 0 {
		err = fmt.Errorf("zone %s: %s", out.Zone, strings.Join(diffs, "; "))
	}
	return err
}

// Undo puts every set back exactly as it was. A set that somebody has changed since is neither: that is zone.ErrChanged, and a person's.
func (st Flip) Undo(ctx context.Context, s *migrate.Scope[Act], rec migrate.Recorded[FlipOut]) error {
	if len(rec.Want.Changes) == 0 {
		return nil
	}
	return s.C.Apply(ctx, rec.Want.Changes.Reverse(), s.Tell)
}
