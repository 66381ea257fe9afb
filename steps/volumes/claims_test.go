package volumes_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/google"
	"github.com/slipway-dev/slipway/internal/kube"
	"github.com/slipway-dev/slipway/internal/stamp"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/steptest"
	"github.com/slipway-dev/slipway/steps/volumes"
)

// storage is the world: claims, and the volumes behind them.
type storage struct {
	p       *steptest.Process
	claims  map[string]*kube.ClaimState
	volumes map[string]bool
}

func (s *storage) String() string {
	var all []string
	for _, k := range slices.Sorted(maps.Keys(s.claims)) {
		all = append(all, k+" "+s.claims[k].Phase)
	}
	return strings.Join(append(all, slices.Sorted(maps.Keys(s.volumes))...), " ")
}

func (s *storage) Claim(_ context.Context, namespace, name string) (kube.ClaimState, bool, error) {
	c, ok := s.claims[namespace+"/"+name]
	if !ok {
		return kube.ClaimState{}, false, s.p.Look()
	}
	return *c, true, s.p.Look()
}

type hand struct {
	*storage
	mark stamp.Stamp
}

func (h hand) ApplyClaim(_ context.Context, want kube.Claim, _ kube.Tell) (kube.ClaimState, error) {
	name := want.Namespace + "/" + want.Name
	if c, ok := h.claims[name]; ok {
		if err := h.mark.Check(c.Labels); err != nil {
			return *c, kube.ErrExists
		}
		if c.Ready() {
			return *c, nil
		}
	}
	put := func(phase string) {
		h.claims[name] = &kube.ClaimState{Claim: want, Phase: phase, Labels: h.mark.Labels()}
		h.volumes["pv-"+want.Name] = phase == "Bound"
	}
	err := h.p.Act("create claim "+name, func() { put("Pending") }, func() error { put("Bound"); return nil })
	if err != nil {
		return kube.ClaimState{}, err
	}
	return *h.claims[name], nil
}

func (h hand) DeleteClaim(_ context.Context, namespace, name string, _ kube.Tell) error {
	key := namespace + "/" + name
	c, ok := h.claims[key]
	if ok {
		if err := h.mark.Check(c.Labels); err != nil {
			return err
		}
	}
	if _, pv := h.volumes["pv-"+name]; !ok && !pv {
		return h.p.Look()
	}
	// Killed in the middle, the claim is gone and its volume isn't yet.
	return h.p.Act("delete claim "+key, func() { delete(h.claims, key) }, func() error { delete(h.claims, key); delete(h.volumes, "pv-"+name); return nil })
}

func TestClaims(t *testing.T) {
	st := volumes.Claims{Namespace: "shop", Claims: []kube.Claim{
		{Name: "shop-assets", Class: "filestore", Mode: "ReadWriteMany", Size: "50Gi"},
		{Name: "shop-rabbitmq", Mode: "ReadWriteOnce", Size: "5Gi"},
	}}
	mine := map[string]string{stamp.RunLabel: "20261123-010203-0001"}
	steptest.Run(t, steptest.Case{NotTwice: "each run has a cluster of its own", New: func(t *testing.T, p *steptest.Process) steptest.World {
		s := &storage{p: p, claims: map[string]*kube.ClaimState{"other/x": {Phase: "Bound"}}, volumes: map[string]bool{"pv-x": true}}
		return steptest.World{
			Add: func(rb *migrate.Runbook[migrate.Rehearsal]) {
				cl := steptest.Given(rb, "standup.cluster", google.Cluster{Name: "c"})
				migrate.Add(rb, st,
					migrate.LookAt(cl, volumes.ClaimLook(volumes.NoClaims{}), func(context.Context, google.Cluster) (volumes.ClaimLook, error) { return volumes.OnlyClaims(s), nil }),
					migrate.Created[migrate.Rehearsal](cl, func(_ context.Context, _ google.Cluster, m migrate.Stamp) (volumes.ClaimMake, error) {
						return hand{s, stamp.Stamp{Run: m.Run}}, nil
					}))
			},
			State: s.String,
			Spoil: []steptest.Spoil{
				{Name: "deleted", Do: func() { delete(s.claims, "shop/shop-assets") }},
				{Name: "lost", Do: func() { s.claims["shop/shop-rabbitmq"].Phase = "Lost" }},
				{Name: "another mode", Do: func() {
					c := s.claims["shop/shop-assets"]
					s.claims["shop/shop-assets"] = &kube.ClaimState{Claim: kube.Claim{Class: c.Class, Mode: "ReadWriteOnce", Size: c.Size}, Phase: "Bound", Labels: mine}
				}},
			},
		}
	}})
}

func TestClaimsOfAnother(t *testing.T) {
	mine := map[string]string{stamp.RunLabel: migrate.PlanID}
	for name, c := range map[string]struct {
		have kube.ClaimState
		want string
	}{
		"another's": {kube.ClaimState{Phase: "Bound"}, "the name is taken"},
		"smaller":   {kube.ClaimState{Claim: kube.Claim{Mode: "ReadWriteOnce", Size: "1Gi"}, Phase: "Bound", Labels: mine}, "size 1Gi, not 5Gi"},
	} {
		s := &storage{p: &steptest.Process{}, claims: map[string]*kube.ClaimState{"shop/a": &c.have}}
		rb := migrate.NewRunbook[migrate.Rehearsal]()
		rb.Phase("stand up")
		migrate.Add(rb, volumes.Claims{Namespace: "shop", Claims: []kube.Claim{{Name: "a", Mode: "ReadWriteOnce", Size: "5Gi"}}}, migrate.Look("cluster", volumes.OnlyClaims(s)),
			migrate.Maker[migrate.Rehearsal]("cluster", func(context.Context, migrate.Stamp) (volumes.ClaimMake, error) { return nil, errors.New("a plan acts") }))
		o, err := rb.Plan(context.Background(), migrate.Options{})
		if text := fmt.Sprintf("%+v %v", o, err); !strings.Contains(text, c.want) {
			t.Errorf("%s: %s", name, text)
		}
	}
}
