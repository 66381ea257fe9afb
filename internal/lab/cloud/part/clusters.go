package part

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/slipway-dev/slipway/internal/lab/cloud"
	"github.com/slipway-dev/slipway/internal/lab/cloud/container"
	"github.com/slipway-dev/slipway/internal/lab/kubernetes"
	"github.com/slipway-dev/slipway/internal/lab/progress"
)

// Clusters are the lab's Kubernetes clusters as the backend of the Kubernetes
// Engine API.
type Clusters struct {
	Kubernetes *kubernetes.Clusters
	CA         []byte // PEM of the lab's authority, which signs the token-review endpoint's certificate
}

var _ container.Backend = Clusters{}

// Versions is the one version that the lab builds, in GKE's form.
func (c Clusters) Versions() []string {
	return []string{strings.TrimPrefix(kubernetes.Version, "v") + "-gke.1000000"}
}

// Start implements container.Backend.
func (c Clusters) Start(ctx context.Context, s container.Spec, stage func(container.Stage)) (container.Endpoint, error) {
	stage(container.Stage{Name: "CLUSTER_CONFIGURING", Done: 1, Total: 1})
	spec := kubernetes.Spec{Name: s.Name, Nodes: s.Nodes, Webhook: kubernetes.Webhook{URL: cloud.TokenReviewURL, CA: c.CA}}
	at, err := c.Kubernetes.Start(ctx, spec, func(r progress.Report) {
		if r.Total > 0 {
			stage(container.Stage{Name: "CLUSTER_DEPLOYING", Done: int(r.Done), Total: int(r.Total)})
		}
	})
	if err != nil {
		return container.Endpoint{}, err
	}
	pods, services, err := ranges(at.Host)
	if err != nil {
		return container.Endpoint{}, err
	}
	stage(container.Stage{Name: "CLUSTER_HEALTHCHECKING", Done: 1, Total: 1})
	return container.Endpoint{Host: at.Host, CA: at.CA, PodCIDR: pods, ServiceCIDR: services}, nil
}

// ranges of a cluster follow from the address of its control plane, which is the
// first of the 16 of its slot (package kubernetes).
func ranges(host string) (pods, services string, err error) {
	addr, err := netip.ParseAddr(host)
	if err != nil || !addr.Is4() {
		return "", "", fmt.Errorf("address of the control plane: %q is no IPv4 address", host)
	}
	slot := (addr.As4()[3] - 1) / 16
	return fmt.Sprintf("10.244.%d.0/20", 16*slot), fmt.Sprintf("10.96.%d.0/20", 16*slot), nil
}

// Stop implements container.Backend.
func (c Clusters) Stop(ctx context.Context, name string) error { return c.Kubernetes.Stop(ctx, name) }
