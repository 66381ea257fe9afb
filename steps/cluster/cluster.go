// Package cluster stands up the throwaway cluster: the cluster itself, the namespace in it and the Secrets that the release refers to; and
// it looks, before, whether the Google project allows all of that. It must not import another step package, nor a client-go or Google
// API type: those stay in internal/kube and internal/google.
package cluster

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/internal/google"
	"github.com/slipway-dev/slipway/migrate"
)

// Look looks at clusters of one project and location.
type Look interface {
	Cluster(ctx context.Context, name string) (google.ClusterState, bool, error)
	// Reach makes one authorized request to the cluster's API server from here.
	Reach(ctx context.Context, cl google.Cluster) error
}

// Make makes clusters with this run's stamp, and deletes only those.
type Make interface {
	// CreateCluster finds what an earlier attempt has begun; it returns when the cluster serves.
	CreateCluster(ctx context.Context, spec google.ClusterSpec, tell google.Tell) (google.Cluster, error)
	// DeleteCluster returns when the cluster is gone; absent is fine.
	DeleteCluster(ctx context.Context, name string, tell google.Tell) error
}

type onlyLook struct{ Look }

// OnlyLook closes a looker that can do more.
func OnlyLook(l Look) Look { return onlyLook{l} }

// Name is the cluster's and the Cloud SQL instance's name in a run: legal for both (GKE: 40 characters).
func Name(run string) string { return "slipway-" + run }

// Cluster creates a GKE cluster of this run's own.
type Cluster struct {
	Project  string
	Location string             // a zone or a region
	Shape    google.ClusterSpec // without a name
}

// Spec: the deletion goes on whatever else fails; it takes with it what is in the cluster.
func (st Cluster) Spec() migrate.Spec {
	return migrate.Spec{ID: "standup.cluster", Version: 1, Title: "create the cluster", Timeout: 45 * time.Minute, OnUndoFailure: migrate.GoOn}
}

// Plan looks for the cluster by the run's name. One of this run's that GKE has given up is deleted and created again.
func (st Cluster) Plan(ctx context.Context, s *migrate.Scope[Look], rec migrate.Recorded[google.Cluster]) (migrate.Plan[google.Cluster], error) {
	var p migrate.Plan[google.Cluster]
	name := Name(s.Run())
	p.Want = google.Cluster{Project: st.Project, Location: st.Location, Name: name}
	state, there, err := s.C.Cluster(ctx, name)
	if err != nil {
		return p, fmt.Errorf("look at cluster %s: %w", name, err)
	}
	create := migrate.Effect{Verb: "create", Object: "cluster " + name, Detail: st.describe()}
	switch {
	case !there:
		p.Effects = []migrate.Effect{create}
	case ofAnother(state.Labels, s.Stamp()) != nil:
		return p, fmt.Errorf("cluster %s in project %s, %s: %w: %w", name, st.Project, st.Location, google.ErrExists, ofAnother(state.Labels, s.Stamp()))
	case state.Status == "ERROR":
		p.Effects = []migrate.Effect{{Verb: "delete", Object: "cluster " + name, Detail: "broken: " + state.Why}, create}
	case !state.Running():
		p.Effects = []migrate.Effect{{Verb: "wait for", Object: "cluster " + name, Detail: "begun by an earlier attempt, " + state.Status}}
	case rec.Complete && state.Endpoint == rec.Out.Endpoint && state.CA == rec.Out.CA:
		return migrate.Done(rec.Out), nil // versions are raised by GKE as time goes by
	case rec.Attempts > 0 && !rec.Complete:
		return migrate.Done(state.Cluster), nil
	default:
		p.Effects = []migrate.Effect{{Verb: "take over", Object: "cluster " + name, Detail: "it carries this run's stamp and isn't recorded as it is"}}
	}
	return p, nil
}

func (st Cluster) describe() string {
	d := []string{st.Location, fmt.Sprintf("%d nodes %s", st.Shape.Nodes, st.Shape.Machine)}
	if st.Shape.Version != "" {
		d = append(d, "Kubernetes "+st.Shape.Version)
	}
	if len(st.Shape.AuthorizedNetworks) > 0 {
		d = append(d, "API server open to "+strings.Join(st.Shape.AuthorizedNetworks, " "))
	}
	return strings.Join(d, ", ")
}

// Run creates it, or finishes what an earlier attempt began.
func (st Cluster) Run(ctx context.Context, s *migrate.Scope[Make], want google.Cluster) (google.Cluster, error) {
	spec := st.Shape
	spec.Name = want.Name
	return s.C.CreateCluster(ctx, spec, s.Tell)
}

// Verify: it runs, it is the one that is recorded, and its API server answers from here.
func (st Cluster) Verify(ctx context.Context, s *migrate.Scope[Look], out google.Cluster) error {
	state, there, err := s.C.Cluster(ctx, out.Name)
	if err != nil {
		return err
	}
	if !there || !state.Running() {
		return fmt.Errorf("cluster %s: it doesn't run: %q %s", out.Name, state.Status, state.Why)
	}
	if state.Endpoint != out.Endpoint || state.CA != out.CA {
		return fmt.Errorf("cluster %s: its address or its certificate authority has changed: it isn't the one that was created", out.Name)
	}
	return s.C.Reach(ctx, out)
}

// Undo deletes the cluster of this run's name, if it carries this run's stamp.
func (st Cluster) Undo(ctx context.Context, s *migrate.Scope[Make], rec migrate.Recorded[google.Cluster]) error {
	return s.C.DeleteCluster(ctx, rec.Want.Name, s.Tell)
}
