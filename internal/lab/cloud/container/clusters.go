package container

import (
	"context"
	"encoding/base64"
	"maps"
	"regexp"
	"slices"

	"github.com/slipway-dev/slipway/internal/lab/cloud/rest"
	api "google.golang.org/api/container/v1"
)

var (
	clusterName  = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$`)
	locationName = regexp.MustCompile(`^[a-z]+-[a-z]+\d+(-[a-z])?$`)
	labelKey     = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)
	labelValue   = regexp.MustCompile(`^[a-z0-9_-]{0,63}$`)
)

// maxNodes bounds a cluster: the lab's machine carries no more.
const maxNodes = 13

func (a *API) create(c rest.Call) (rest.Answer, error) {
	if e := a.checkProject(c, "container.clusters.create"); e != nil {
		return rest.Answer{}, e
	}
	var body api.CreateClusterRequest
	sent, e := rest.Decode(c.Body, &body)
	if e != nil {
		return rest.Answer{}, e
	}
	location := c.PathValue("location")
	if want := "projects/" + a.o.Project + "/locations/" + location; body.Parent != "" && body.Parent != want {
		return rest.Answer{}, badRequest("The parent %q does not match the URL.", body.Parent)
	}
	spec, e := a.checkCreate(location, &body, sent)
	if e != nil {
		return rest.Answer{}, e
	}
	message := a.newMessage(body.Cluster, spec)

	a.mu.Lock()
	defer a.mu.Unlock()
	key := location + "/" + spec.Name
	if _, ok := a.clusters[key]; ok {
		return rest.Answer{}, exists(a.name(location, spec.Name))
	}
	k := &cluster{message: message}
	var at Endpoint
	op, e := a.begin(k, "CREATE_CLUSTER", func(ctx context.Context, stage func(Stage)) error {
		var err error
		at, err = a.o.Backend.Start(ctx, spec, stage)
		return err
	}, func(err error) {
		next := *k.message
		if err != nil {
			next.Status, next.StatusMessage = "ERROR", err.Error()
		} else {
			k.up = true
			reached(&next, at)
		}
		k.message = &next
	})
	if e != nil {
		return rest.Answer{}, e
	}
	a.clusters[key] = k
	return rest.OK(op)
}

// Fields of a new cluster that the lab takes; another is 501, since it would
// have an effect at Google that the lab cannot give.
var (
	clusterFields = []string{"name", "description", "initialNodeCount", "nodePools", "resourceLabels", "network", "subnetwork",
		"initialClusterVersion", "releaseChannel", "ipAllocationPolicy", "addonsConfig", "loggingService", "monitoringService"}
	poolFields = []string{"name", "initialNodeCount", "config", "management", "upgradeSettings", "version"}
	nodeFields = []string{"machineType", "diskSizeGb", "diskType", "imageType", "oauthScopes", "serviceAccount", "labels", "metadata", "resourceLabels", "tags"}
	ipFields   = []string{"useIpAliases", "stackType"}
	// A cluster of the lab always has a StorageClass for ReadWriteMany.
	addonFields = []string{"gcpFilestoreCsiDriverConfig"}
)

func served(o map[string]any, list []string, path string) *rest.Error {
	for _, name := range slices.Sorted(maps.Keys(o)) {
		if !slices.Contains(list, name) && o[name] != nil {
			return rest.NotServed("the field %s%s of a cluster", path, name)
		}
	}
	return nil
}

func (a *API) checkCreate(location string, body *api.CreateClusterRequest, sent rest.Object) (Spec, *rest.Error) {
	in := body.Cluster
	if in == nil {
		return Spec{}, badRequest("Cluster is required.")
	}
	fields, _ := sent["cluster"].(map[string]any)
	if e := served(fields, clusterFields, "cluster."); e != nil {
		return Spec{}, e
	}
	ip, _ := fields["ipAllocationPolicy"].(map[string]any)
	if e := served(ip, ipFields, "cluster.ipAllocationPolicy."); e != nil {
		return Spec{}, e
	}
	addons, _ := fields["addonsConfig"].(map[string]any)
	if e := served(addons, addonFields, "cluster.addonsConfig."); e != nil {
		return Spec{}, e
	}
	pools, _ := fields["nodePools"].([]any)
	for _, p := range pools {
		pool, _ := p.(map[string]any)
		if e := served(pool, poolFields, "cluster.nodePools."); e != nil {
			return Spec{}, e
		}
		config, _ := pool["config"].(map[string]any)
		if e := served(config, nodeFields, "cluster.nodePools.config."); e != nil {
			return Spec{}, e
		}
	}
	switch {
	case !locationName.MatchString(location):
		return Spec{}, badRequest("Location %q does not exist.", location)
	case !clusterName.MatchString(in.Name):
		return Spec{}, badRequest("Invalid value for field \"cluster.name\": %q. Must be a match of regex '(?:[a-z](?:[-a-z0-9]{0,38}[a-z0-9])?)' (only alphanumerics and hyphens allowed, starting with a letter, no more than 40 characters).", in.Name)
	case len(in.NodePools) > 1:
		return Spec{}, rest.NotServed("a cluster of more than one node pool")
	case len(in.NodePools) == 1 && in.InitialNodeCount != 0:
		return Spec{}, badRequest("cluster.initial_node_count must not be set when cluster.node_pools is set.")
	}
	for _, key := range slices.Sorted(maps.Keys(in.ResourceLabels)) {
		if !labelKey.MatchString(key) || !labelValue.MatchString(in.ResourceLabels[key]) {
			return Spec{}, badRequest("Invalid field 'resource_labels': label %q=%q.", key, in.ResourceLabels[key])
		}
	}
	spec := Spec{Name: in.Name, Location: location, Version: in.InitialClusterVersion, Labels: in.ResourceLabels}
	spec.Nodes = int(in.InitialNodeCount)
	if len(in.NodePools) == 1 {
		spec.Nodes = int(in.NodePools[0].InitialNodeCount)
	}
	if spec.Nodes < 1 || spec.Nodes > maxNodes {
		return Spec{}, badRequest("Node pool's initial node count must be between 1 and %d (the lab's bound).", maxNodes)
	}
	versions := a.o.Backend.Versions()
	if len(versions) == 0 {
		return Spec{}, noVersions()
	}
	if spec.Version == "" || spec.Version == "-" || spec.Version == "latest" {
		spec.Version = versions[0]
	}
	if !slices.Contains(versions, spec.Version) {
		return Spec{}, badRequest("Master version %q is unsupported.", spec.Version)
	}
	return spec, nil
}

// reached puts what is known of a running cluster into its message.
func reached(m *api.Cluster, at Endpoint) {
	m.Status = "RUNNING"
	m.Endpoint = at.Host
	m.MasterAuth = &api.MasterAuth{
		ClientCertificateConfig: &api.ClientCertificateConfig{},
		ClusterCaCertificate:    base64.StdEncoding.EncodeToString(at.CA),
	}
	m.ClusterIpv4Cidr, m.ServicesIpv4Cidr = at.PodCIDR, at.ServiceCIDR
	policy := *m.IpAllocationPolicy
	policy.ClusterIpv4Cidr, policy.ClusterIpv4CidrBlock = at.PodCIDR, at.PodCIDR
	policy.ServicesIpv4Cidr, policy.ServicesIpv4CidrBlock = at.ServiceCIDR, at.ServiceCIDR
	m.IpAllocationPolicy = &policy
	m.PrivateClusterConfig = &api.PrivateClusterConfig{PrivateEndpoint: at.Host, PublicEndpoint: at.Host}
	endpoints := *m.ControlPlaneEndpointsConfig
	ip := *endpoints.IpEndpointsConfig
	ip.PrivateEndpoint, ip.PublicEndpoint = at.Host, at.Host
	endpoints.IpEndpointsConfig = &ip
	m.ControlPlaneEndpointsConfig = &endpoints
	pools := make([]*api.NodePool, len(m.NodePools))
	for i, p := range m.NodePools {
		pool := *p
		pool.Status = "RUNNING"
		network := *p.NetworkConfig
		network.PodIpv4CidrBlock = at.PodCIDR
		pool.NetworkConfig = &network
		pools[i] = &pool
	}
	m.NodePools = pools
}

func (a *API) get(c rest.Call) (rest.Answer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	k, e := a.find(c)
	if e != nil {
		return rest.Answer{}, e
	}
	return rest.OK(shown(k.message))
}

func (a *API) list(c rest.Call) (rest.Answer, error) {
	if e := a.checkProject(c, "container.clusters.list"); e != nil {
		return rest.Answer{}, e
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	answer := &listed{}
	for _, key := range slices.Sorted(maps.Keys(a.clusters)) {
		k := a.clusters[key]
		if at := c.PathValue("location"); at == "-" || at == k.message.Location {
			answer.Clusters = append(answer.Clusters, shown(k.message))
		}
	}
	return rest.OK(answer)
}

// update serves the one change that is recorded: whether the DNS endpoint takes
// traffic from outside. There is no such endpoint in the lab; the value is kept
// and shown.
func (a *API) update(c rest.Call) (rest.Answer, error) {
	var body api.UpdateClusterRequest
	sent, e := rest.Decode(c.Body, &body)
	if e != nil {
		return rest.Answer{}, e
	}
	change, _ := sent["update"].(map[string]any)
	if e := served(change, []string{"desiredControlPlaneEndpointsConfig"}, "update."); e != nil {
		return rest.Answer{}, e
	}
	wanted, _ := change["desiredControlPlaneEndpointsConfig"].(map[string]any)
	if e := served(wanted, []string{"dnsEndpointConfig"}, "update.desiredControlPlaneEndpointsConfig."); e != nil {
		return rest.Answer{}, e
	}
	dns, _ := wanted["dnsEndpointConfig"].(map[string]any)
	if e := served(dns, []string{"allowExternalTraffic"}, "update.desiredControlPlaneEndpointsConfig.dnsEndpointConfig."); e != nil {
		return rest.Answer{}, e
	}
	if dns == nil {
		return rest.Answer{}, badRequest("Must specify a field to update.")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	k, e := a.find(c)
	if e != nil {
		return rest.Answer{}, e
	}
	op, e := a.begin(k, "UPDATE_CLUSTER", func(context.Context, func(Stage)) error { return nil }, func(error) {
		next := *k.message
		endpoints := *next.ControlPlaneEndpointsConfig
		at := *endpoints.DnsEndpointConfig
		at.AllowExternalTraffic = body.Update.DesiredControlPlaneEndpointsConfig.DnsEndpointConfig.AllowExternalTraffic
		endpoints.DnsEndpointConfig = &at
		next.ControlPlaneEndpointsConfig = &endpoints
		k.message = &next
	})
	if e != nil {
		return rest.Answer{}, e
	}
	return rest.OK(op)
}

func (a *API) delete(c rest.Call) (rest.Answer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	k, e := a.find(c)
	if e != nil {
		return rest.Answer{}, e
	}
	before := k.message
	leaving := *before
	leaving.Status = "STOPPING"
	op, e := a.begin(k, "DELETE_CLUSTER", func(ctx context.Context, _ func(Stage)) error {
		if !k.up {
			return nil // it never came up
		}
		return a.o.Backend.Stop(ctx, leaving.Name)
	}, func(err error) {
		if err != nil {
			failed := *before
			failed.Status, failed.StatusMessage = "ERROR", err.Error()
			k.message = &failed
			return
		}
		delete(a.clusters, leaving.Location+"/"+leaving.Name)
	})
	if e != nil {
		return rest.Answer{}, e
	}
	k.message = &leaving
	return rest.OK(op)
}
