package runbooks_test

import (
	"context"
	"fmt"
	"time"

	"github.com/slipway-dev/slipway/internal/google"
	"github.com/slipway-dev/slipway/internal/stamp"
)

const (
	theProject = "shop-project"
	location   = "europe-west1-b"
)

// seeProject is what preflight asks of the project.
type seeProject struct{ w *world }

func (e seeProject) Account() string { return "slipway@" + theProject }

func (e seeProject) MissingPermissions(context.Context, []string) ([]string, error) {
	return ask(e.w, func() ([]string, error) { return nil, nil })
}

func (e seeProject) ClusterNames(context.Context) ([]string, error) {
	return ask(e.w, func() ([]string, error) { return sortedKeys(e.w.clusters), nil })
}

func (e seeProject) KubernetesVersions(context.Context) ([]string, error) {
	return ask(e.w, func() ([]string, error) { return []string{"1.37.2-gke.1"}, nil })
}

func (e seeProject) InstanceNames(context.Context) ([]string, error) {
	return ask(e.w, func() ([]string, error) { return sortedKeys(e.w.servers), nil })
}

func (e seeProject) Flags(context.Context, string) ([]string, error) {
	return ask(e.w, func() ([]string, error) { return []string{"log_bin_trust_function_creators"}, nil })
}

// clusterState is a cluster and all in it.
type clusterState struct {
	google.ClusterState
	until time.Time // its operation ends
	fails bool      // and ends badly
	inside
}

func othersCluster(name string) *clusterState {
	return &clusterState{ClusterState: google.ClusterState{Cluster: google.Cluster{Project: theProject, Name: name, Endpoint: "192.0.2.9", CA: "theirs"}, Status: "RUNNING"}, inside: newInside()}
}

func (c *clusterState) String() string {
	return fmt.Sprintf("cluster %s of %q is %s: %s", c.Name, c.Labels[stamp.RunLabel], c.Status, c.inside.String())
}

// settle says whether the cluster is gone.
func (c *clusterState) settle(w *world, now time.Time) (gone bool) {
	c.inside.settle(now)
	if c.until.IsZero() || now.Before(c.until) {
		return false
	}
	c.until = time.Time{}
	switch {
	case c.Status == "STOPPING":
		w.orphans = append(w.orphans, c.inside.outlives()...)
		return true
	case c.fails:
		c.Status, c.Why = "ERROR", "no machines"
	default:
		c.Status = "RUNNING"
	}
	return false
}

type seeClusters struct{ w *world }

func (e seeClusters) Cluster(_ context.Context, name string) (s google.ClusterState, there bool, err error) {
	s, err = ask(e.w, func() (google.ClusterState, error) {
		c := e.w.clusters[name]
		if there = c != nil; !there {
			return google.ClusterState{}, nil
		}
		return c.ClusterState, nil
	})
	return s, there, err
}

func (e seeClusters) Reach(ctx context.Context, cl google.Cluster) error {
	s, there, err := e.Cluster(ctx, cl.Name)
	if err == nil && (!there || !s.Running()) {
		err = fmt.Errorf("cluster %s: no route to host", cl.Name)
	}
	return err
}

type makeClusters struct {
	seeClusters
	mark stamp.Stamp
}

func (m makeClusters) CreateCluster(ctx context.Context, spec google.ClusterSpec, _ google.Tell) (google.Cluster, error) {
	for begun := false; ; {
		s, there, err := m.Cluster(ctx, spec.Name)
		if err != nil {
			return google.Cluster{}, err
		}
		if !there && begun {
			return google.Cluster{}, google.ErrBroken
		}
		if !there {
			if err := m.begin(spec.Name); err != nil {
				return google.Cluster{}, err
			}
			begun = true
			continue
		}
		if err := m.mark.Admit(s.Labels); err != nil {
			return google.Cluster{}, fmt.Errorf("create cluster %s: %w: %w", spec.Name, google.ErrExists, err)
		}
		switch {
		case s.Running():
			return s.Cluster, nil
		case s.Status == "ERROR":
			if err := m.delete(ctx, spec.Name, "repair: delete the broken cluster"); err != nil {
				return google.Cluster{}, err
			}
		}
		if err := m.w.wait(ctx); err != nil {
			return google.Cluster{}, err
		}
	}
}

// begin asks for a cluster. One whose request was torn is one that GKE gives up.
func (m makeClusters) begin(name string) error {
	put := func(fails bool) {
		m.w.clusters[name] = &clusterState{ClusterState: google.ClusterState{Labels: m.mark.Labels(), Status: "PROVISIONING",
			Cluster: google.Cluster{Project: theProject, Location: location, Name: name, Endpoint: "192.0.2.1", CA: "PEM", Version: "1.37.2-gke.1"}},
			until: m.w.in(4 * time.Minute), fails: fails, inside: newInside()}
	}
	return m.w.act(onProject, m.mark, "create cluster", func() { put(true) }, func() error {
		if m.w.clusters[name] != nil {
			return google.ErrExists
		}
		put(false)
		return nil
	})
}

func (m makeClusters) DeleteCluster(ctx context.Context, name string, _ google.Tell) error {
	return m.delete(ctx, name, "delete cluster")
}

// delete returns when the cluster is gone. GKE refuses to delete while another operation runs.
func (m makeClusters) delete(ctx context.Context, name, what string) error {
	for {
		s, there, err := m.Cluster(ctx, name)
		if err != nil || !there {
			return err
		}
		if err := m.mark.Admit(s.Labels); err != nil {
			return fmt.Errorf("delete cluster %s: %w", name, err)
		}
		if s.Running() || s.Status == "ERROR" {
			err := m.w.act(onProject, m.mark, what, nil, func() error {
				c := m.w.clusters[name]
				if c == nil || !c.until.IsZero() {
					return errBusy
				}
				c.Status, c.until = "STOPPING", m.w.in(2*time.Minute)
				return nil
			})
			if err != nil {
				return err
			}
		}
		if err := m.w.wait(ctx); err != nil {
			return err
		}
	}
}
