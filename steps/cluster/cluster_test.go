package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/google"
	"github.com/slipway-dev/slipway/internal/stamp"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/steptest"
	"github.com/slipway-dev/slipway/steps/cluster"
)

func markOf(s migrate.Stamp) stamp.Stamp {
	return stamp.Stamp{Run: s.Run, Step: string(s.Step), Fence: s.Fence}
}

// gke is the world: clusters by name.
type gke struct {
	p        *steptest.Process
	clusters map[string]*google.ClusterState
	deaf     bool // the API server can't be reached from here
}

func (g *gke) Cluster(_ context.Context, name string) (google.ClusterState, bool, error) {
	if err := g.p.Look(); err != nil {
		return google.ClusterState{}, false, err
	}
	if c := g.clusters[name]; c != nil {
		return *c, true, nil
	}
	return google.ClusterState{}, false, nil
}

func (g *gke) Reach(_ context.Context, cl google.Cluster) error {
	if c := g.clusters[cl.Name]; c == nil || g.deaf {
		return errors.New("no route to host")
	}
	return g.p.Look()
}

func (g *gke) String() string {
	var all []string
	for _, name := range []string{"slipway-20261123-010203-0001", "slipway-20261124-010203-0002", "prod"} {
		if c := g.clusters[name]; c != nil {
			all = append(all, name+" "+c.Status+" of "+c.Labels[stamp.RunLabel])
		}
	}
	return strings.Join(all, ", ")
}

// hand makes and deletes clusters for one run.
type hand struct {
	*gke
	mark stamp.Stamp
}

func (h hand) CreateCluster(_ context.Context, spec google.ClusterSpec, _ google.Tell) (google.Cluster, error) {
	at := google.Cluster{Project: "p", Location: "l", Name: spec.Name, Endpoint: "192.0.2.1", CA: "PEM", Version: "1.37.2"}
	if c := h.clusters[spec.Name]; c != nil {
		if err := h.mark.Check(c.Labels); err != nil {
			return at, fmt.Errorf("%w: %w", google.ErrExists, err)
		}
		if c.Running() {
			return c.Cluster, nil
		}
		if c.Status == "ERROR" {
			if err := h.delete("delete broken cluster "+spec.Name, spec.Name); err != nil {
				return at, err
			}
		}
	}
	put := func(status string) {
		h.clusters[spec.Name] = &google.ClusterState{Cluster: at, Status: status, Labels: h.mark.Labels()}
	}
	err := h.p.Act("create cluster "+spec.Name, func() { put("PROVISIONING") }, func() error { put("RUNNING"); return nil })
	return at, err
}

func (h hand) DeleteCluster(_ context.Context, name string, _ google.Tell) error {
	c := h.clusters[name]
	if c == nil {
		return h.p.Look()
	}
	if err := h.mark.Check(c.Labels); err != nil {
		return err
	}
	return h.delete("delete cluster "+name, name)
}

func (h hand) delete(what, name string) error {
	c := h.clusters[name]
	half := c.Status
	if half == "RUNNING" {
		half = "STOPPING"
	}
	return h.p.Act(what, func() { c.Status = half }, func() error { delete(h.clusters, name); return nil })
}

func (g *gke) world(st cluster.Cluster) func(rb *migrate.Runbook[migrate.Rehearsal]) {
	return func(rb *migrate.Runbook[migrate.Rehearsal]) {
		migrate.Add(rb, st, migrate.Look("google project", cluster.OnlyLook(g)),
			migrate.Maker[migrate.Rehearsal]("google project", func(_ context.Context, s migrate.Stamp) (cluster.Make, error) { return hand{g, markOf(s)}, nil }))
	}
}

var step = cluster.Cluster{Project: "p", Location: "europe-west1-b", Shape: google.ClusterSpec{Nodes: 2, Machine: "e2-standard-4"}}

func TestCluster(t *testing.T) {
	const mine = "slipway-20261123-010203-0001"
	steptest.Run(t, steptest.Case{New: func(t *testing.T, p *steptest.Process) steptest.World {
		g := &gke{p: p, clusters: map[string]*google.ClusterState{"prod": {Cluster: google.Cluster{Name: "prod"}, Status: "RUNNING"}}}
		return steptest.World{
			Add:   g.world(step),
			State: g.String,
			Spoil: []steptest.Spoil{
				{Name: "deleted", Do: func() { delete(g.clusters, mine) }},
				{Name: "broken", Do: func() { g.clusters[mine].Status = "ERROR" }},
				{Name: "another", Do: func() { g.clusters[mine].CA = "another" }},
				{Name: "out of reach", Do: func() { g.deaf = true }},
			},
		}
	}})
}

// A cluster that GKE has given up is deleted and created again, and the plan says so.
func TestBrokenCluster(t *testing.T) {
	steptest.Run(t, steptest.Case{NotTwice: "the broken cluster is the first run's", New: func(t *testing.T, p *steptest.Process) steptest.World {
		const mine = "slipway-20261123-010203-0001"
		g := &gke{p: p, clusters: map[string]*google.ClusterState{}}
		broken := false
		return steptest.World{
			Add: func(rb *migrate.Runbook[migrate.Rehearsal]) {
				if !broken {
					broken = true
					g.clusters[mine] = &google.ClusterState{Cluster: google.Cluster{Name: mine}, Status: "ERROR", Why: "no quota",
						Labels: stamp.Stamp{Run: "20261123-010203-0001", Step: "standup.cluster"}.Labels()}
				}
				g.world(step)(rb)
			},
			// What Undo leaves is nothing; the broken one, of this run, is deleted by either way.
			State: func() string { return strings.Replace(g.String(), mine+" ERROR of 20261123-010203-0001", "", 1) },
			Spoil: []steptest.Spoil{{Name: "deleted", Do: func() { delete(g.clusters, mine) }}},
		}
	}})
}

func plan(t *testing.T, add func(*migrate.Runbook[migrate.Rehearsal])) (string, error) {
	t.Helper()
	rb := migrate.NewRunbook[migrate.Rehearsal]()
	rb.Phase("stand up")
	add(rb)
	o, err := rb.Plan(context.Background(), migrate.Options{})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%+v", o), nil
}

func TestClusterOfAnother(t *testing.T) {
	g := &gke{p: &steptest.Process{}, clusters: map[string]*google.ClusterState{"slipway-" + migrate.PlanID: {Status: "RUNNING"}}}
	if o, err := plan(t, g.world(step)); !errors.Is(err, google.ErrExists) && !strings.Contains(o, google.ErrExists.Error()) {
		t.Errorf("%v, %s", err, o)
	}
}
