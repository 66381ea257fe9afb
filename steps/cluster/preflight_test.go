package cluster_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/google"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/steptest"
	"github.com/slipway-dev/slipway/steps/cluster"
)

// project is a Google project that is only looked at.
type project struct {
	p                   *steptest.Process
	lacks               []string
	clusters, instances []string
	versions, flags     []string
	disabled            error
}

func (g *project) Account() string { return "slipway@p" }
func (g *project) MissingPermissions(_ context.Context, want []string) ([]string, error) {
	return slices.DeleteFunc(slices.Clone(want), func(w string) bool { return !slices.Contains(g.lacks, w) }), g.p.Look()
}
func (g *project) ClusterNames(context.Context) ([]string, error) { return g.clusters, g.disabled }
func (g *project) KubernetesVersions(context.Context) ([]string, error) {
	return g.versions, g.p.Look()
}
func (g *project) InstanceNames(context.Context) ([]string, error) { return g.instances, g.p.Look() }
func (g *project) Flags(_ context.Context, version string) ([]string, error) {
	if version != "MYSQL_9_7" {
		return nil, nil
	}
	return g.flags, g.p.Look()
}

func (g *project) add(st cluster.Preflight) func(*migrate.Runbook[migrate.Rehearsal]) {
	return func(rb *migrate.Runbook[migrate.Rehearsal]) {
		eye := migrate.Look("google project", cluster.OnlyProject(g))
		migrate.Add(rb, st, eye, migrate.NoHands[migrate.Rehearsal](eye))
	}
}

var preflight = cluster.Preflight{Project: "p", Cluster: google.ClusterSpec{Version: "1.37"},
	Instance: google.InstanceSpec{Version: "MYSQL_9_7", Flags: []google.Flag{{Name: "log_bin_trust_function_creators", Value: "on"}}}}

func good(p *steptest.Process) *project {
	return &project{p: p, versions: []string{"1.38.0-gke.1", "1.37.2-gke.7"}, flags: []string{"log_bin_trust_function_creators"}, clusters: []string{"prod"}}
}

func TestPreflight(t *testing.T) {
	steptest.Run(t, steptest.Case{New: func(t *testing.T, p *steptest.Process) steptest.World {
		g := good(p)
		return steptest.World{Add: g.add(preflight), State: func() string { return "" }, Found: true, NoSpoil: "what was seen before the run isn't looked at again"}
	}})
}

var errDisabled = errors.New("container.googleapis.com is disabled")

func TestPreflightRun(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*project, *cluster.Preflight)
		want  string
	}{
		"permissions": {func(g *project, _ *cluster.Preflight) {
			g.lacks = []string{"cloudsql.users.create", "container.pods.exec"}
		}, "lacks cloudsql.users.create, container.pods.exec"},
		"disabled":    {func(g *project, _ *cluster.Preflight) { g.disabled = errDisabled }, "container.googleapis.com is disabled"},
		"version":     {func(_ *project, st *cluster.Preflight) { st.Cluster.Version = "1.3" }, "Kubernetes 1.3 can't be had; there is 1.38.0-gke.1, 1.37.2-gke.7"},
		"flag":        {func(_ *project, st *cluster.Preflight) { st.Instance.Flags = []google.Flag{{Name: "nope"}} }, "no flag nope for MYSQL_9_7"},
		"SQL version": {func(_ *project, st *cluster.Preflight) { st.Instance.Version = "MYSQL_5" }, "knows no flags of MYSQL_5"},
		"cluster":     {func(g *project, _ *cluster.Preflight) { g.clusters = []string{"slipway-20261123-010203-0001"} }, "has a cluster slipway-20261123-010203-0001 already"},
		"instance":    {func(g *project, _ *cluster.Preflight) { g.instances = []string{"slipway-20261123-010203-0001"} }, "has an instance"},
		"all at once": {func(g *project, st *cluster.Preflight) {
			g.lacks = []string{"cloudsql.users.create"}
			st.Instance.Flags = []google.Flag{{Name: "nope"}}
		}, "lacks cloudsql.users.create|no flag nope"},
	} {
		g, st := good(&steptest.Process{}), preflight
		c.spoil(g, &st)
		err := runOnce(t, g.add(st))
		for _, want := range strings.Split(c.want, "|") {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", name, err, want)
			}
		}
	}
	if err := runOnce(t, good(&steptest.Process{}).add(preflight)); err != nil {
		t.Errorf("a good project: %v", err)
	}
}
