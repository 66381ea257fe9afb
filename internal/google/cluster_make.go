package google

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/api/container/v1"

	"github.com/slipway-dev/slipway/internal/stamp"
)

// ClusterMaker makes clusters with a run's stamp, and deletes only those that carry it.
type ClusterMaker struct {
	look ClusterLooker
	mark stamp.Stamp
}

// MakeClusters opens a maker for a run.
func (c *Client) MakeClusters(project, location string, mark stamp.Stamp) ClusterMaker {
	return ClusterMaker{c.LookAtClusters(project, location), mark}
}

// CreateCluster returns when the cluster runs and can be reached from here. A cluster of that name that this run has begun is waited
// for and not begun again; one that this run has begun and GKE has given up (status ERROR: no quota, no machines) is deleted and begun
// again. Errors: ErrExists when another has the name; ErrBroken when it doesn't come to run; ErrRefused.
func (m ClusterMaker) CreateCluster(ctx context.Context, spec ClusterSpec, tell Tell) (Cluster, error) {
	state, there, err := m.look.Cluster(ctx, spec.Name)
	if err != nil {
		return Cluster{}, err
	}
	if there && state.Status == "ERROR" && m.mark.Admit(state.Labels) == nil {
		tell("cluster "+spec.Name+" is broken ("+state.Why+"); deleting it", 0, 0)
		if err := m.DeleteCluster(ctx, spec.Name, tell); err != nil {
			return Cluster{}, err
		}
		there = false
	}
	if !there {
		if err := m.begin(ctx, spec, tell); err != nil {
			return Cluster{}, err
		}
		if state, there, err = m.look.Cluster(ctx, spec.Name); err != nil {
			return Cluster{}, err
		}
		if !there {
			return Cluster{}, fmt.Errorf("create cluster %s (%s): GKE took the request and knows no such cluster: %w", spec.Name, m.look.where(), ErrBroken)
		}
	}
	if err := m.mark.Admit(state.Labels); err != nil {
		return Cluster{}, fmt.Errorf("create cluster %s (%s): %w: %w", spec.Name, m.look.where(), ErrExists, err)
	}
	if state, err = m.settle(ctx, spec.Name, tell); err != nil {
		return Cluster{}, err
	}
	if !state.Running() {
		return Cluster{}, fmt.Errorf("cluster %s (%s) is %s: %s: %w", spec.Name, m.look.where(), state.Status, state.Why, ErrBroken)
	}
	return state.Cluster, m.reach(ctx, state.Cluster, tell)
}

// begin submits the creation and waits for its operation. An answer that doesn't say what has become of the request is not an error
// when the cluster is there.
func (m ClusterMaker) begin(ctx context.Context, spec ClusterSpec, tell Tell) error {
	c, op := m.look.c, "create cluster "+spec.Name
	tell("asking GKE for cluster "+spec.Name, 0, 0)
	got, sent := submit(ctx, c, tell, op, func() (*container.Operation, error) {
		return c.container.Projects.Locations.Clusters.Create(m.look.parent(), m.request(spec)).Context(ctx).Do()
	})
	if sent == nil {
		return c.wait(ctx, tell, containerAPI(), clusterOperationOf(got), m.look.getOperation(ctx))
	}
	if taken(sent) || passing(sent) && ctx.Err() == nil {
		if _, there, err := m.look.Cluster(ctx, spec.Name); err != nil || there {
			return err
		}
	}
	return c.explain(sent, containerAPI(), op, m.look.where())
}

func (m ClusterMaker) request(spec ClusterSpec) *container.CreateClusterRequest {
	cl := &container.Cluster{
		Name: spec.Name, InitialClusterVersion: spec.Version, Network: spec.Network, Subnetwork: spec.Subnetwork,
		Description:    "made by slipway, run " + m.mark.Run,
		ResourceLabels: m.mark.Labels(),
		// Addresses of pods in the VPC: without it Cloud SQL's private address can't be reached from them.
		IpAllocationPolicy: &container.IPAllocationPolicy{UseIpAliases: true},
		NodePools: []*container.NodePool{{
			Name: "default-pool", InitialNodeCount: spec.Nodes,
			Config: &container.NodeConfig{
				MachineType: spec.Machine, DiskSizeGb: spec.DiskGB, ServiceAccount: spec.NodeAccount,
				OauthScopes:    []string{scope},
				ResourceLabels: m.mark.Labels(),
				Metadata:       map[string]string{"disable-legacy-endpoints": "true"},
			},
			Management: &container.NodeManagement{AutoRepair: true, AutoUpgrade: true},
		}},
	}
	if spec.Channel != "" {
		cl.ReleaseChannel = &container.ReleaseChannel{Channel: spec.Channel}
	}
	if len(spec.AuthorizedNetworks) > 0 {
		an := &container.MasterAuthorizedNetworksConfig{Enabled: true}
		for _, cidr := range spec.AuthorizedNetworks {
			an.CidrBlocks = append(an.CidrBlocks, &container.CidrBlock{CidrBlock: cidr, DisplayName: "slipway"})
		}
		cl.MasterAuthorizedNetworksConfig = an
	}
	if spec.Filestore {
		cl.AddonsConfig = &container.AddonsConfig{GcpFilestoreCsiDriverConfig: &container.GcpFilestoreCsiDriverConfig{Enabled: true}}
	}
	return &container.CreateClusterRequest{Parent: m.look.parent(), Cluster: cl}
}

// settle waits until no operation runs on the cluster and its status is none that passes.
func (m ClusterMaker) settle(ctx context.Context, name string, tell Tell) (ClusterState, error) {
	c, began := m.look.c, time.Now()
	for pause := time.Duration(0); ; {
		op, running, err := m.look.clusterOperation(ctx, name)
		if err != nil {
			return ClusterState{}, err
		}
		if running {
			if err := c.wait(ctx, tell, containerAPI(), op, m.look.getOperation(ctx)); err != nil {
				return ClusterState{}, err
			}
			continue
		}
		state, there, err := m.look.Cluster(ctx, name)
		if err != nil {
			return state, err
		}
		if !there {
			return state, fmt.Errorf("cluster %s (%s): it was there, and now it isn't", name, m.look.where())
		}
		if state.Status != "PROVISIONING" {
			return state, nil
		}
		tell(fmt.Sprintf("waiting for cluster %s: %s, %d s", name, state.Status, int(time.Since(began).Seconds())), 0, 0)
		pause = c.pace.next(pause)
		if err := sleep(ctx, pause); err != nil {
			return state, fmt.Errorf("wait for cluster %s: %w", name, err)
		}
	}
}

func (m ClusterMaker) reach(ctx context.Context, cl Cluster, tell Tell) error {
	c, began := m.look.c, time.Now()
	for pause := time.Duration(0); ; {
		err := m.look.Reach(ctx, cl)
		if err == nil || ctx.Err() != nil || time.Since(began) > c.pace.trouble {
			return err
		}
		tell(fmt.Sprintf("waiting for the API server of cluster %s: %d s (%s)", cl.Name, int(time.Since(began).Seconds()), oneLine(err)), 0, 0)
		pause = c.pace.next(pause)
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// DeleteCluster returns when the cluster is gone. One that isn't there is fine; one without this run's stamp is stamp.ErrForeign. What
// still runs on it (its creation, a repair) is waited for, since GKE refuses to delete meanwhile.
func (m ClusterMaker) DeleteCluster(ctx context.Context, name string, tell Tell) error {
	c, op, began := m.look.c, "delete cluster "+name, time.Now()
	for pause := time.Duration(0); ; {
		state, there, err := m.look.Cluster(ctx, name)
		if err != nil || !there {
			return err
		}
		if err := m.mark.Admit(state.Labels); err != nil {
			return fmt.Errorf("%s (%s): %w", op, m.look.where(), err)
		}
		run, running, err := m.look.clusterOperation(ctx, name)
		if err != nil {
			return err
		}
		if !running && state.Status != "STOPPING" {
			tell("asking GKE to delete cluster "+name, 0, 0)
			got, err := submit(ctx, c, tell, op, func() (*container.Operation, error) {
				return c.container.Projects.Locations.Clusters.Delete(m.look.parent() + "/clusters/" + name).Context(ctx).Do()
			})
			if err != nil && (!passing(err) || ctx.Err() != nil) && !notFound(err) {
				return c.explain(err, containerAPI(), op, m.look.where())
			}
			if running = err == nil; running {
				run = clusterOperationOf(got)
			}
		}
		if running {
			// Another operation that fails, such as a creation, is as good as one that succeeds: the cluster is deleted next.
			if err := c.wait(ctx, tell, containerAPI(), run, m.look.getOperation(ctx)); err != nil && (run.kind == "DELETE_CLUSTER" || ctx.Err() != nil) {
				return err
			}
		}
		tell(fmt.Sprintf("waiting until cluster %s is gone: %s, %d s", name, state.Status, int(time.Since(began).Seconds())), 0, 0)
		pause = c.pace.next(pause)
		if err := sleep(ctx, pause); err != nil {
			return fmt.Errorf("wait until cluster %s is gone: %w", name, err)
		}
	}
}
