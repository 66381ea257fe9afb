package container

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"

	api "google.golang.org/api/container/v1"
)

// newMessage makes the message of a new cluster: what was asked for, and for the
// rest the values that the API shows of a cluster of the channel REGULAR (as
// recorded). Most of them tell of parts that the lab does not have; docs/lab.md
// says which.
func (a *API) newMessage(in *api.Cluster, spec Spec) *api.Cluster {
	network := in.Network
	if network == "" {
		network = "default"
	}
	subnetwork := in.Subnetwork
	if subnetwork == "" {
		subnetwork = "default"
	}
	region := spec.Location
	if kind(region) == "zones" {
		region = region[:len(region)-2]
	}
	subnet := "projects/" + a.o.Project + "/regions/" + region + "/subnetworks/" + subnetwork
	group := "https://www.googleapis.com/compute/v1/projects/" + a.o.Project + "/zones/" + spec.Location + "/instanceGroupManagers/gke-" + spec.Name
	pool := newPool(in, spec, subnet, group)
	logging, monitoring := in.LoggingService, in.MonitoringService
	if logging == "" {
		logging = "logging.googleapis.com/kubernetes"
	}
	if monitoring == "" {
		monitoring = "monitoring.googleapis.com/kubernetes"
	}
	channel := in.ReleaseChannel
	if channel == nil {
		channel = &api.ReleaseChannel{Channel: "REGULAR"}
	}
	var filestore *api.GcpFilestoreCsiDriverConfig
	if in.AddonsConfig != nil {
		filestore = in.AddonsConfig.GcpFilestoreCsiDriverConfig
	}
	return &api.Cluster{
		Name: spec.Name, Description: in.Description, Id: randomHex(32), Status: "PROVISIONING",
		Location: spec.Location, Zone: spec.Location, Locations: []string{spec.Location},
		CreateTime:     a.o.Now().UTC().Format("2006-01-02T15:04:05+00:00"),
		SelfLink:       "https://container.googleapis.com/v1/" + a.name(spec.Location, spec.Name),
		ResourceLabels: spec.Labels, LabelFingerprint: fingerprint(spec.Labels),
		InitialClusterVersion: spec.Version, CurrentMasterVersion: spec.Version, CurrentNodeVersion: spec.Version,
		CurrentNodeCount: int64(spec.Nodes),
		Network:          network, Subnetwork: subnetwork,
		LoggingService: logging, MonitoringService: monitoring, ReleaseChannel: channel,
		NodeConfig: pool.Config, NodePools: []*api.NodePool{pool},
		InstanceGroupUrls: []string{group},

		AddonsConfig: &api.AddonsConfig{
			GcePersistentDiskCsiDriverConfig: &api.GcePersistentDiskCsiDriverConfig{Enabled: true},
			KubernetesDashboard:              &api.KubernetesDashboard{Disabled: true},
			NetworkPolicyConfig:              &api.NetworkPolicyConfig{Disabled: true},
			GcpFilestoreCsiDriverConfig:      filestore,
		},
		AnonymousAuthenticationConfig: &api.AnonymousAuthenticationConfig{Mode: "ENABLED"},
		Autopilot:                     &api.Autopilot{},
		Autoscaling: &api.ClusterAutoscaling{
			AutoscalingProfile: "BALANCED",
			AutoprovisioningNodePoolDefaults: &api.AutoprovisioningNodePoolDefaults{
				ImageType: "COS_CONTAINERD", ServiceAccount: "default", OauthScopes: defaultScopes(),
				Management: &api.NodeManagement{AutoRepair: true, AutoUpgrade: true},
			},
		},
		ControlPlaneEndpointsConfig: &api.ControlPlaneEndpointsConfig{
			DnsEndpointConfig: &api.DNSEndpointConfig{
				Endpoint:        "gke-" + randomHex(6) + "-" + a.o.ProjectNumber + "." + spec.Location + ".gke.goog",
				ForceSendFields: []string{"AllowExternalTraffic", "EnableK8sTokensViaDns"},
			},
			IpEndpointsConfig: &api.IPEndpointsConfig{
				Enabled: true, EnablePublicEndpoint: true,
				AuthorizedNetworksConfig: &api.MasterAuthorizedNetworksConfig{GcpPublicCidrsAccessEnabled: true},
			},
		},
		DatabaseEncryption:             &api.DatabaseEncryption{State: "DECRYPTED", CurrentState: "CURRENT_STATE_DECRYPTED"},
		DefaultMaxPodsConstraint:       &api.MaxPodsConstraint{MaxPodsPerNode: 110},
		EnterpriseConfig:               &api.EnterpriseConfig{ClusterTier: "STANDARD"},
		IpAllocationPolicy:             &api.IPAllocationPolicy{UseIpAliases: true, StackType: "IPV4", PodCidrOverprovisionConfig: &api.PodCIDROverprovisionConfig{}},
		LegacyAbac:                     &api.LegacyAbac{},
		LoggingConfig:                  &api.LoggingConfig{ComponentConfig: &api.LoggingComponentConfig{EnableComponents: []string{"SYSTEM_COMPONENTS", "WORKLOADS"}}},
		MaintenancePolicy:              &api.MaintenancePolicy{ResourceVersion: randomHex(4)},
		MasterAuth:                     &api.MasterAuth{ClientCertificateConfig: &api.ClientCertificateConfig{}},
		MasterAuthorizedNetworksConfig: &api.MasterAuthorizedNetworksConfig{GcpPublicCidrsAccessEnabled: true},
		MonitoringConfig: &api.MonitoringConfig{
			AdvancedDatapathObservabilityConfig: &api.AdvancedDatapathObservabilityConfig{},
			ManagedPrometheusConfig:             &api.ManagedPrometheusConfig{Enabled: true},
			ComponentConfig: &api.MonitoringComponentConfig{EnableComponents: []string{
				"SYSTEM_COMPONENTS", "DAEMONSET", "DEPLOYMENT", "STATEFULSET", "JOBSET", "STORAGE", "HPA", "POD", "CADVISOR", "KUBELET", "DCGM",
			}},
		},
		NetworkConfig:         &api.NetworkConfig{Network: network, Subnetwork: subnet, ServiceExternalIpsConfig: &api.ServiceExternalIPsConfig{}},
		NodePoolAutoConfig:    &api.NodePoolAutoConfig{NodeKubeletConfig: kubelet()},
		NodePoolDefaults:      &api.NodePoolDefaults{NodeConfigDefaults: &api.NodeConfigDefaults{LoggingConfig: &api.NodePoolLoggingConfig{VariantConfig: &api.LoggingVariantConfig{Variant: "DEFAULT"}}, NodeKubeletConfig: kubelet()}},
		NotificationConfig:    &api.NotificationConfig{Pubsub: &api.PubSub{}},
		PodAutoscaling:        &api.PodAutoscaling{HpaProfile: "PERFORMANCE"},
		RbacBindingConfig:     &api.RBACBindingConfig{EnableInsecureBindingSystemAuthenticated: true, EnableInsecureBindingSystemUnauthenticated: true},
		SecurityPostureConfig: &api.SecurityPostureConfig{Mode: "BASIC", VulnerabilityMode: "VULNERABILITY_MODE_UNSPECIFIED"},
		ShieldedNodes:         &api.ShieldedNodes{Enabled: true},
		UserManagedKeysConfig: &api.UserManagedKeysConfig{},
	}
}

// newPool makes the cluster's one node pool.
func newPool(in *api.Cluster, spec Spec, subnet, group string) *api.NodePool {
	pool := api.NodePool{Name: "default-pool"}
	if len(in.NodePools) == 1 {
		pool = *in.NodePools[0]
	}
	config := api.NodeConfig{}
	if pool.Config != nil {
		config = *pool.Config
	}
	orElse(&config.MachineType, "e2-medium")
	orElse(&config.DiskType, "pd-balanced")
	orElse(&config.ImageType, "COS_CONTAINERD")
	orElse(&config.ServiceAccount, "default")
	if config.DiskSizeGb == 0 {
		config.DiskSizeGb = 100
	}
	if config.OauthScopes == nil {
		config.OauthScopes = defaultScopes()
	}
	config.BootDisk = &api.BootDisk{DiskType: config.DiskType, SizeGb: config.DiskSizeGb}
	config.EffectiveCgroupMode = "EFFECTIVE_CGROUP_MODE_V2"
	config.KubeletConfig = kubelet()
	config.KubeletConfig.MaxParallelImagePulls = 2
	config.Metadata = withEntry(config.Metadata, "disable-legacy-endpoints", "true")
	config.ResourceLabels = withEntry(config.ResourceLabels, "goog-gke-node-pool-provisioning-model", "on-demand")
	config.ShieldedInstanceConfig = &api.ShieldedInstanceConfig{EnableIntegrityMonitoring: true}
	config.WindowsNodeConfig = &api.WindowsNodeConfig{}
	pool.Config = &config
	pool.InitialNodeCount = int64(spec.Nodes)
	pool.Version = spec.Version
	pool.Status = "PROVISIONING"
	if pool.Management == nil {
		pool.Management = &api.NodeManagement{AutoRepair: true, AutoUpgrade: true}
	}
	if pool.UpgradeSettings == nil {
		pool.UpgradeSettings = &api.UpgradeSettings{MaxSurge: 1}
	}
	pool.InstanceGroupUrls = []string{group + "-" + pool.Name + "-grp"}
	pool.MaxPodsConstraint = &api.MaxPodsConstraint{MaxPodsPerNode: 110}
	pool.PodIpv4CidrSize = 24
	pool.NetworkConfig = &api.NodeNetworkConfig{
		PodIpv4RangeUtilization: float64(spec.Nodes) / 16,
		PodRange:                pool.Name + "-pods-" + randomHex(4),
		Subnetwork:              subnet,
	}
	return &pool
}

func kubelet() *api.NodeKubeletConfig {
	return &api.NodeKubeletConfig{ForceSendFields: []string{"InsecureKubeletReadonlyPortEnabled"}}
}

func defaultScopes() []string {
	const auth = "https://www.googleapis.com/auth/"
	return []string{auth + "devstorage.read_only", auth + "logging.write", auth + "monitoring", auth + "service.management.readonly", auth + "servicecontrol", auth + "trace.append"}
}

func orElse(field *string, value string) {
	if *field == "" {
		*field = value
	}
}

func withEntry(m map[string]string, key, value string) map[string]string {
	out := map[string]string{key: value}
	for k, v := range m {
		out[k] = v
	}
	return out
}

func fingerprint(labels map[string]string) string {
	raw, err := json.Marshal(labels) // in the order of keys
	if err != nil {
		panic(err) // strings always marshal
	}
	sum := sha256.Sum256(raw)
	return base64.StdEncoding.EncodeToString(sum[:4])
}

// answered is a cluster as it is answered: with its etag, and with two fields
// that the API answers and its v1 discovery document does not list.
type answered struct {
	cluster api.Cluster
}

func shown(m *api.Cluster) *answered {
	out := *m
	raw, err := json.Marshal(m)
	if err != nil {
		panic(err) // generated types always marshal
	}
	sum := sha256.Sum256(raw)
	out.Etag = base64.StdEncoding.EncodeToString(sum[:8])
	return &answered{out}
}

type telemetry struct {
	Type string `json:"type"`
}

type workloadConfig struct {
	AuditMode string `json:"auditMode"`
}

type protectConfig struct {
	WorkloadConfig            workloadConfig `json:"workloadConfig"`
	WorkloadVulnerabilityMode string         `json:"workloadVulnerabilityMode"`
}

// MarshalJSON adds clusterTelemetry and protectConfig.
func (s *answered) MarshalJSON() ([]byte, error) {
	raw, err := json.Marshal(s.cluster)
	if err != nil {
		return nil, err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, err
	}
	for name, value := range map[string]any{
		"clusterTelemetry": telemetry{Type: "ENABLED"},
		"protectConfig": protectConfig{
			WorkloadConfig:            workloadConfig{AuditMode: "BASIC"},
			WorkloadVulnerabilityMode: "WORKLOAD_VULNERABILITY_MODE_UNSPECIFIED",
		},
	} {
		if fields[name], err = json.Marshal(value); err != nil {
			return nil, err
		}
	}
	return json.Marshal(fields)
}

// listed is ListClustersResponse with clusters as they are answered.
type listed struct {
	Clusters []*answered `json:"clusters,omitempty"`
}
