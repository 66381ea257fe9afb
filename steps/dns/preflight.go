package dns

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-multierror"

	"github.com/slipway-dev/slipway/internal/errlist"
	"github.com/slipway-dev/slipway/internal/zone"
	"github.com/slipway-dev/slipway/migrate"
)

// Zones are what preflight looks at: production's zone, and the one whose names are flipped in this run. In a cut-over they are the same.
type Zones struct {
	Production Look
	Flipped    Look
}

// Preflight looks whether the zones can be read, whether their servers agree with one another and with the provider, and at the TTLs of the
// names that a cut-over flips.
type Preflight struct {
	Names  []string // relative to each zone
	TTL    int      // that the flipped names will get, s
	MaxTTL int      // of production's names on the night, s: longer ones are noted
}

// PreflightOut is what was seen.
type PreflightOut struct {
	Zones []ZoneSeen
	Notes []string // what isn't wrong yet, and must be done before the night
}

// ZoneSeen is one zone.
type ZoneSeen struct {
	Origin  string
	Sets    int
	Servers []zone.Serial
	Names   []NameSeen
}

// NameSeen is one of the names to be flipped, as it is.
type NameSeen struct{ Name, Now string }

// Spec: it changes nothing.
func (st Preflight) Spec() migrate.Spec {
	return migrate.Spec{ID: "preflight.dns", Version: 1, Title: "look at the zones and their servers", Timeout: 10 * time.Minute, OnUndoFailure: migrate.GoOn}
}

// Plan: there is nothing to do but look, which Run does. What was seen holds for the moment before the run and isn't looked at again.
func (st Preflight) Plan(_ context.Context, _ *migrate.Scope[Zones], rec migrate.Recorded[PreflightOut]) (migrate.Plan[PreflightOut], error) {
	if rec.Complete {
		return migrate.Done(rec.Out), nil
	}
	return migrate.Plan[PreflightOut]{}, nil
}

// Run looks; all problems come at once.
func (st Preflight) Run(ctx context.Context, s *migrate.Scope[Zones], _ PreflightOut) (PreflightOut, error) {
	var out PreflightOut
	var all *multierror.Error
	looks := []Look{s.C.Production}
	if s.C.Flipped.Origin() != s.C.Production.Origin() {
		looks = append(looks, s.C.Flipped)
	}
	for i, l := range looks {
		s.Tell("zone "+l.Origin(), int64(i), int64(len(looks)))
		seen, err := st.see(ctx, l)
		if err != nil {
			all = multierror.Append(all, err)
		}
		out.Zones = append(out.Zones, seen)
	}
	if min := s.C.Flipped.MinTTL(); st.TTL < min {
		all = multierror.Append(all, fmt.Errorf("zone %s: its provider keeps no TTL under %d s, and %d s is asked for", s.C.Flipped.Origin(), min, st.TTL))
	}
	notes, err := st.ttls(ctx, s.C.Production)
	if err != nil {
		all = multierror.Append(all, err)
	}
	out.Notes = notes
	return out, errlist.OrNil(all)
}

func (st Preflight) see(ctx context.Context, l Look) (ZoneSeen, error) {
	seen := ZoneSeen{Origin: l.Origin()}
	var all *multierror.Error
	sets, err := l.Sets(ctx)
	if err != nil {
		all = multierror.Append(all, fmt.Errorf("zone %s: %w", l.Origin(), err))
	}
	seen.Sets = len(sets)
	for _, n := range st.Names {
		name := zone.Absolute(n, l.Origin())
		var now []string
		for _, t := range []string{"A", "AAAA", "CNAME"} {
			if s := zone.Find(sets, name, t); !s.Absent() {
				now = append(now, t+" "+s.Data())
			}
		}
		seen.Names = append(seen.Names, NameSeen{name, strings.Join(now, ", ")})
	}
	if seen.Servers, err = l.Serials(ctx); err != nil {
		all = multierror.Append(all, fmt.Errorf("zone %s: %w", l.Origin(), err))
	}
	if err := agree(l.Origin(), seen.Servers); err != nil {
		all = multierror.Append(all, err)
	}
	if errlist.OrNil(all) != nil {
		return seen, errlist.OrNil(all)
	}
	diffs, err := l.Differences(ctx, sets)
	if err == nil && len(diffs) > 0 {
		err = fmt.Errorf("zone %s: its provider and its servers disagree (edits that nobody has published, or a server that lags): %s", l.Origin(), strings.Join(diffs, "; "))
	}
	return seen, err
}

// agree: all servers have the same serial number, and there are at least two.
func agree(origin string, serials []zone.Serial) error {
	if len(serials) < 2 {
		return fmt.Errorf("zone %s: %d name server answers, and there should be two at least", origin, len(serials))
	}
	if slices.ContainsFunc(serials, func(s zone.Serial) bool { return s.Number != serials[0].Number }) {
		var each []string
		for _, s := range serials {
			each = append(each, fmt.Sprintf("%s has %d", s.Server, s.Number))
		}
		return fmt.Errorf("zone %s: its servers have different serial numbers: %s", origin, strings.Join(each, ", "))
	}
	return nil
}

// ttls notes production's names whose answers live longer in caches than the night allows.
func (st Preflight) ttls(ctx context.Context, production Look) ([]string, error) {
	sets, err := production.Sets(ctx)
	if err != nil {
		return nil, fmt.Errorf("zone %s: %w", production.Origin(), err)
	}
	var notes []string
	for _, n := range st.Names {
		name := zone.Absolute(n, production.Origin())
		found := false
		for _, t := range []string{"A", "AAAA", "CNAME"} {
			s := zone.Find(sets, name, t)
			if s.Absent() {
				continue
			}
			found = true
			if s.TTL <= 0 || s.TTL > st.MaxTTL {
				notes = append(notes, fmt.Sprintf("lower the TTL of %s %s from %d to %d s, and wait %d s, before the cut-over", name, t, s.TTL, st.MaxTTL, s.TTL))
			}
		}
		if !found {
			return notes, fmt.Errorf("zone %s has no A, AAAA or CNAME record of %s, which is to be flipped", production.Origin(), name)
		}
	}
	return notes, nil
}

// Verify: what was seen is complete.
func (st Preflight) Verify(_ context.Context, _ *migrate.Scope[Zones], out PreflightOut) error {
	if len(out.Zones) == 0 {
		return fmt.Errorf("no zone was looked at")
	}
	return nil
}

// Undo: there is nothing to undo.
func (st Preflight) Undo(context.Context, *migrate.Scope[Zones], migrate.Recorded[PreflightOut]) error {
	return nil
}
