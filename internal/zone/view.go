package zone

import (
	"context"
	"errors"
	"fmt"
)

// View is a zone with its servers: what a step looks at.
type View struct {
	zone    Looker
	servers Servers
	allow   func(ctx context.Context, origin string, sets []Set) error
}

// See opens a view of a zone.
func See(z Looker, s Servers) View {
	return View{z, s, func(context.Context, string, []Set) error { return nil }}
}

// SeeRehearsal opens a view of a zone to rehearse on. Each look at its sets compares them with production's zone as it is then, and is
// ErrProduction when it holds one of production's names.
func SeeRehearsal(z, production Looker, s Servers) View { return View{z, s, disjoint(production)} }

func disjoint(production Looker) func(context.Context, string, []Set) error {
	return func(ctx context.Context, origin string, sets []Set) error {
		theirs, err := production.Sets(ctx)
		if err != nil {
			return fmt.Errorf("compare rehearsal zone %s with production's: %w", origin, err)
		}
		return Disjoint(origin, sets, production.Origin(), theirs)
	}
}

// Origin is the zone's name.
func (v View) Origin() string { return v.zone.Origin() }

// MinTTL is the least that the provider keeps.
func (v View) MinTTL() int { return v.zone.MinTTL() }

// Nameservers are the zone's servers.
func (v View) Nameservers(ctx context.Context) ([]string, error) { return v.zone.Nameservers(ctx) }

// Sets are the zone's record sets at the provider.
func (v View) Sets(ctx context.Context) ([]Set, error) {
	sets, err := v.zone.Sets(ctx)
	if err != nil {
		return nil, err
	}
	return sets, v.allow(ctx, v.zone.Origin(), sets)
}

// Differences asks every authoritative server for sets and says which answers otherwise.
func (v View) Differences(ctx context.Context, want []Set) ([]string, error) {
	hosts, err := v.zone.Nameservers(ctx)
	if err != nil {
		return nil, err
	}
	return v.servers.Differences(ctx, hosts, want)
}

// Serials asks every authoritative server for the zone's serial number.
func (v View) Serials(ctx context.Context) ([]Serial, error) {
	hosts, err := v.zone.Nameservers(ctx)
	if err != nil {
		return nil, err
	}
	return v.servers.Serials(ctx, hosts, v.zone.Origin())
}

// Hand changes a zone that is rehearsed on. Each change compares the zone with production's first, as it is then.
type Hand struct {
	zone       Zone
	production Looker
}

// HandOnRehearsal opens one. A cut-over's hand is the Zone itself.
func HandOnRehearsal(z Zone, production Looker) Hand { return Hand{z, production} }

// Apply is Zone.Apply, refused with ErrProduction where the zone isn't one to rehearse on.
func (h Hand) Apply(ctx context.Context, changes Changes, tell Tell) error {
	if err := h.Marked(ctx); err != nil {
		return err
	}
	return h.zone.Apply(ctx, changes, tell)
}

// Marked is nil when the zone says of itself that it is there to be rehearsed on, and holds none of production's names.
func (h Hand) Marked(ctx context.Context) error {
	if h.production == nil {
		return errors.New("a rehearsal's hand on a zone needs production's zone to compare with")
	}
	sets, err := h.zone.Sets(ctx)
	if err != nil {
		return err
	}
	return disjoint(h.production)(ctx, h.zone.Origin(), sets)
}
