package google

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"

	"google.golang.org/api/container/v1"
)

// ClusterSpec is what is asked of GKE. Zero fields are GKE's own defaults.
type ClusterSpec struct {
	Name               string
	Version            string   // "" for the release channel's default
	Channel            string   // RAPID, REGULAR, STABLE; "" for GKE's default
	Nodes              int64    // per zone
	Machine            string   // "e2-standard-4"
	DiskGB             int64    // of a node
	NodeAccount        string   // the nodes' service account; "" for the project's default, which holds more than nodes need
	Network            string   // of the VPC; Cloud SQL's private address is reached through it
	Subnetwork         string   //
	AuthorizedNetworks []string // CIDRs that may reach the API server; none: all
	Filestore          bool     // the CSI driver for ReadWriteMany volumes
}

// Cluster is a cluster as later steps need it: all of it may be journaled.
type Cluster struct {
	Project  string
	Location string
	Name     string
	Endpoint string // address of the API server, without scheme
	CA       string // its certificate authority, PEM
	Version  string
}

// ClusterState is a cluster as it is seen now.
type ClusterState struct {
	Cluster
	Status string            // PROVISIONING, RUNNING, RECONCILING, STOPPING, ERROR, DEGRADED
	Why    string            // GKE's words on a status that isn't RUNNING
	Labels map[string]string // resourceLabels
}

// Running: it serves. RECONCILING is maintenance on a cluster that serves (container v1, Cluster.status).
func (s ClusterState) Running() bool { return s.Status == "RUNNING" || s.Status == "RECONCILING" }

// ClusterLooker looks at clusters of one project and location.
type ClusterLooker struct {
	c                 *Client
	project, location string
}

// LookAtClusters opens a looker for a location, which is a zone or a region.
func (c *Client) LookAtClusters(project, location string) ClusterLooker {
	return ClusterLooker{c, project, location}
}

func (l ClusterLooker) where() string  { return "project " + l.project + ", " + l.location }
func (l ClusterLooker) parent() string { return "projects/" + l.project + "/locations/" + l.location }

// Cluster says what is there under a name; false when nothing is.
func (l ClusterLooker) Cluster(ctx context.Context, name string) (ClusterState, bool, error) {
	got, err := read(ctx, l.c, nil, "look at cluster "+name, func() (*container.Cluster, error) {
		return l.c.container.Projects.Locations.Clusters.Get(l.parent() + "/clusters/" + name).Context(ctx).Do()
	})
	if notFound(err) {
		return ClusterState{}, false, nil
	}
	if err != nil {
		return ClusterState{}, false, l.c.explain(err, containerAPI(), "look at cluster "+name, l.where())
	}
	s := ClusterState{
		Cluster: Cluster{Project: l.project, Location: l.location, Name: got.Name, Endpoint: got.Endpoint, Version: got.CurrentMasterVersion},
		Status:  got.Status, Why: got.StatusMessage, Labels: got.ResourceLabels,
	}
	for _, cond := range got.Conditions {
		if s.Why == "" {
			s.Why = cond.Message
		}
	}
	if got.MasterAuth != nil && got.MasterAuth.ClusterCaCertificate != "" {
		pem, err := base64.StdEncoding.DecodeString(got.MasterAuth.ClusterCaCertificate)
		if err != nil {
			return s, true, fmt.Errorf("cluster %s: its certificate authority isn't base64: %w", name, err)
		}
		s.CA = string(pem)
	}
	return s, true, nil
}

// Reach makes one authorized request to the cluster's API server, through the certificate authority that GKE names: it finds what a cluster that
// GKE calls RUNNING hides, that this machine may not reach it.
func (l ClusterLooker) Reach(ctx context.Context, cl Cluster) error {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(cl.CA)) {
		return fmt.Errorf("cluster %s: GKE names no certificate authority for it", cl.Name)
	}
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	defer base.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+cl.Endpoint+"/api/v1/namespaces/default", nil)
	if err != nil {
		return fmt.Errorf("cluster %s: %w", cl.Name, err)
	}
	tok, err := l.c.tokens.Token()
	if err != nil {
		return l.c.explain(err, containerAPI(), "reach cluster "+cl.Name, cl.Endpoint)
	}
	tok.SetAuthHeader(req)
	req.Header.Set("User-Agent", l.c.agent)
	res, err := base.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("reach the API server of cluster %s at %s: %w; is this machine's address in the cluster's authorized networks", cl.Name, cl.Endpoint, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 4<<10))
	if err != nil {
		return fmt.Errorf("reach the API server of cluster %s at %s: %w", cl.Name, cl.Endpoint, err)
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the API server of cluster %s at %s answers %s to %s: %s; grant %s %s", cl.Name, cl.Endpoint, res.Status, req.URL.Path,
			oneLine(fmt.Errorf("%s", body)), l.c.email, containerAPI().role)
	}
	return nil
}

// clusterOperation finds an operation that runs on a cluster now; "" for none.
func (l ClusterLooker) clusterOperation(ctx context.Context, name string) (operation, bool, error) {
	got, err := read(ctx, l.c, nil, "look for operations on cluster "+name, func() (*container.ListOperationsResponse, error) {
		return l.c.container.Projects.Locations.Operations.List(l.parent()).Context(ctx).Do()
	})
	if err != nil {
		return operation{}, false, l.c.explain(err, containerAPI(), "look for operations on cluster "+name, l.where())
	}
	for _, op := range got.Operations {
		o := clusterOperationOf(op)
		if o.target == name && !o.done {
			return o, true, nil
		}
	}
	return operation{}, false, nil
}

func clusterOperationOf(op *container.Operation) operation {
	o := operation{name: op.Name, kind: op.OperationType, status: op.Status, done: op.Status == "DONE"}
	_, o.target, _ = strings.Cut(op.TargetLink, "/clusters/")
	o.target, _, _ = strings.Cut(o.target, "/") // a node pool's operation is its cluster's
	if o.done && op.Error != nil {              // statusMessage is the field's deprecated form
		if o.failed = op.Error.Message; o.failed == "" {
			o.failed = fmt.Sprintf("code %d %s", op.Error.Code, op.StatusMessage)
		}
	}
	if op.Progress != nil { // pairs X and X_TOTAL, as recorded
		for _, m := range op.Progress.Metrics {
			n := m.IntValue
			if strings.HasSuffix(m.Name, "_TOTAL") {
				o.steps += n
			} else {
				o.step += n
			}
		}
	}
	return o
}

func (l ClusterLooker) getOperation(ctx context.Context) func(string) (operation, error) {
	return func(name string) (operation, error) {
		got, err := l.c.container.Projects.Locations.Operations.Get(l.parent() + "/operations/" + name).Context(ctx).Do()
		if err != nil {
			return operation{}, err
		}
		return clusterOperationOf(got), nil
	}
}
