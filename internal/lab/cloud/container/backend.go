package container

import "context"

// Backend runs Kubernetes clusters.
type Backend interface {
	// Versions are the control-plane versions on offer, as 1.37.2-gke.1000000;
	// the first is the default. None: there are no clusters.
	Versions() []string
	// Start brings a cluster up and returns when its API server answers and its
	// nodes are ready. stage is told how far it is. On an error nothing of the
	// cluster is left.
	Start(ctx context.Context, s Spec, stage func(Stage)) (Endpoint, error)
	// Stop ends a cluster and leaves nothing of it.
	Stop(ctx context.Context, name string) error
}

// Spec is what a cluster is to be.
type Spec struct {
	Name     string
	Location string // zone or region
	Version  string // one of Versions
	Nodes    int
	Labels   map[string]string // resourceLabels
}

// Endpoint is how a cluster is reached.
type Endpoint struct {
	Host        string // address of the API server, port 443; its certificate has it as SAN
	CA          []byte // PEM
	PodCIDR     string // as 10.244.0.0/20
	ServiceCIDR string // as 10.96.0.0/20
}

// Stage counts a part of the work, as GKE's progress metrics do.
type Stage struct {
	Name        string // CLUSTER_CONFIGURING, CLUSTER_DEPLOYING or CLUSTER_HEALTHCHECKING
	Done, Total int
}
