package steptest_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/steptest"
)

// A step that changes several things, of which a kill leaves some: names that are flipped one by one.

// ZoneLook reads the records of one zone.
type ZoneLook interface {
	// Records gives the addresses by name.
	Records(ctx context.Context) (map[string]string, error)
}

// ZoneAct changes them.
type ZoneAct interface {
	ZoneLook
	// Set gives name the address to, if it has the address was now; ErrChanged if it hasn't. It returns when both name
	// servers answer with it.
	Set(ctx context.Context, name, was, to string) error
}

// ErrChanged: somebody else has changed the record meanwhile. A person must look.
var ErrChanged = errors.New("record has changed meanwhile")

// Flip points names at the new load balancer.
type Flip struct {
	Names   []string
	Release migrate.Ref[Release] // has the load balancer's address
}

// Release is what the step before it made; here to keep the example whole.
type Release struct{ Address string }

// FlipOut is which records point where now, and pointed before.
type FlipOut struct{ Records []Record }

// Record is one record, before and after.
type Record struct{ Name, Was, To string }

func (f Flip) Spec() migrate.Spec {
	return migrate.Spec{ID: "flip.dns", Version: 1, Title: "point the names at the new load balancer",
		Needs: []migrate.Dep{f.Release.Dep()}, Timeout: 10 * time.Minute}
}

func (f Flip) Plan(ctx context.Context, s *migrate.Scope[ZoneLook], rec migrate.Recorded[FlipOut]) (migrate.Plan[FlipOut], error) {
	release, err := migrate.Value(s, f.Release)
	if errors.Is(err, migrate.ErrNotRecorded) {
		release.Address = "the address of " + string(f.Release.Dep().Step()) // slipway plan: there is none yet
	} else if err != nil {
		return migrate.Plan[FlipOut]{}, err
	}
	have, err := s.C.Records(ctx)
	if err != nil {
		return migrate.Plan[FlipOut]{}, err
	}
	var p migrate.Plan[FlipOut]
	for _, name := range f.Names {
		p.Want.Records = append(p.Want.Records, Record{name, have[name], release.Address})
		if have[name] != release.Address {
			p.Effects = append(p.Effects, migrate.Effect{Verb: "set", Object: "A " + name, Detail: have[name] + " -> " + release.Address})
		}
	}
	switch {
	case len(p.Effects) > 0:
		return p, nil
	case rec.Complete:
		return migrate.Done(rec.Out), nil // the very result that is recorded
	case rec.Attempts > 0:
		return migrate.Done(rec.Want), nil // an attempt did it all and was killed: its before-image is the true one
	}
	return migrate.Done(p.Want), nil // somebody else did it: found
}

func (f Flip) Run(ctx context.Context, s *migrate.Scope[ZoneAct], want FlipOut) (FlipOut, error) {
	have, err := s.C.Records(ctx)
	if err != nil {
		return want, err
	}
	for i, r := range want.Records {
		s.Progress(migrate.Progress{What: "set " + r.Name, Done: int64(i), Total: int64(len(want.Records))})
		if have[r.Name] == r.To {
			continue // an earlier attempt did this one
		}
		if err := s.C.Set(ctx, r.Name, have[r.Name], r.To); err != nil {
			return want, fmt.Errorf("set %s: %w", r.Name, err)
		}
	}
	return want, nil
}

func (f Flip) Verify(ctx context.Context, s *migrate.Scope[ZoneLook], out FlipOut) error {
	have, err := s.C.Records(ctx)
	if err != nil {
		return err
	}
	for _, r := range out.Records {
		if have[r.Name] != r.To {
			return fmt.Errorf("%s points at %s, not at %s", r.Name, have[r.Name], r.To)
		}
	}
	return nil
}

func (f Flip) Undo(ctx context.Context, s *migrate.Scope[ZoneAct], rec migrate.Recorded[FlipOut]) error {
	have, err := s.C.Records(ctx)
	if err != nil {
		return err
	}
	for _, r := range rec.Want.Records { // Want, not Out: Run may have been killed
		if have[r.Name] != r.To || r.Was == r.To {
			continue // not reached, undone already, or not this run's work
		}
		if err := s.C.Set(ctx, r.Name, r.To, r.Was); err != nil {
			return fmt.Errorf("set %s back: %w", r.Name, err)
		}
	}
	return nil
}

type fakeZone struct {
	p       *steptest.Process
	records map[string]string
}

func (z *fakeZone) Records(context.Context) (map[string]string, error) {
	return maps.Clone(z.records), z.p.Look()
}

func (z *fakeZone) Set(_ context.Context, name, was, to string) error {
	return z.p.Act("set "+name+" to "+to, nil, func() error {
		if z.records[name] != was {
			return ErrChanged // as strict as the real one
		}
		z.records[name] = to
		return nil
	})
}

type onlyZone struct{ ZoneLook }

func TestFlip(t *testing.T) {
	steptest.Run(t, steptest.Case{New: func(t *testing.T, p *steptest.Process) steptest.World {
		zone := &fakeZone{p, map[string]string{"www": "192.0.2.1", "api": "192.0.2.1", "img": "192.0.2.9", "mail": "192.0.2.2"}}
		return steptest.World{
			Add: func(rb *migrate.Runbook[migrate.Rehearsal]) {
				release := steptest.Given(rb, "standup.release", Release{Address: "192.0.2.9"})
				migrate.Add(rb, Flip{Names: []string{"www", "api", "img"}, Release: release},
					migrate.LookShadow[ZoneLook]("rehearsal zone", onlyZone{zone}),
					migrate.Shadow("rehearsal zone", func(context.Context) error { return nil },
						func(context.Context, migrate.Stamp) (ZoneAct, error) { return zone, nil }))
			},
			State: func() string {
				var all []string
				for _, name := range slices.Sorted(maps.Keys(zone.records)) {
					all = append(all, name+"="+zone.records[name])
				}
				return strings.Join(all, " ")
			},
			Spoil: []steptest.Spoil{
				{Name: "a record set back by hand", Do: func() { zone.records["api"] = "192.0.2.1" }},
				{Name: "a record deleted", Do: func() { delete(zone.records, "www") }},
			},
		}
	}})
}
