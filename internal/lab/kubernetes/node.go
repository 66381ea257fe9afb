package kubernetes

import (
	"fmt"
	"net/netip"
	"path"
	"strings"

	"github.com/slipway-dev/slipway/internal/lab/image"
	"github.com/slipway-dev/slipway/internal/lab/machine"
)

// clusterDomain is the ending of Services' names.
const clusterDomain = "cluster.local"

// node is what a node's machine gets and runs.
type node struct {
	plan     plan
	index    int
	ca       *authority
	resolver netip.Addr
	clampOOM bool // the process may not lower oom scores
}

func (n node) name() string     { return n.plan.nodeName(n.index) }
func (n node) addr() netip.Addr { return n.plan.node(n.index) }

// containerdConfig: everything where Debian has it. A pod range comes from the controller manager through the kubelet, hence the template.
const containerdConfig = `version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  restrict_oom_score_adj = %t
  enable_unprivileged_ports = true
  enable_unprivileged_icmp = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/etc/cni/net.d"
    conf_template = "/etc/cni/lab.conflist.template"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
`

// networkTemplate gives each pod a cable of its own to the node, which routes: what goes from pod to pod on one node passes the node's packet filter, where
// kube-proxy translates Services. Nothing is hidden behind the node's address, as in a VPC-native GKE cluster.
const networkTemplate = `{"cniVersion": "0.4.0", "name": "lab", "plugins": [
  {"type": "ptp", "ipMasq": false, "ipam": {"type": "host-local", "ranges": [[{"subnet": "{{.PodCIDR}}"}]], "routes": [{"dst": "0.0.0.0/0"}]}}
]}
`

// kubeletConfig keeps the kubelet off settings of this computer that are not the machine's own: protectKernelDefaults makes it look at them only, and the
// machine shows it what it wants to see (kernelDefaults). Disk pressure is this computer's, and images are not its to delete.
const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupsPerQOS: true
enforceNodeAllocatable: []
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: %[1]s/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: %[1]s/kubelet.crt
tlsPrivateKeyFile: %[1]s/kubelet.key
clusterDomain: %[2]s
clusterDNS: [%[3]q]
resolvConf: /etc/resolv.conf
failSwapOn: false
protectKernelDefaults: true
makeIPTablesUtilChains: false
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
evictionHard: {memory.available: 50Mi, nodefs.available: 1%%, imagefs.available: 1%%, nodefs.inodesFree: 0%%}
registryPullQPS: 0
eventRecordQPS: 0
`

const proxyConfig = `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clientConnection: {kubeconfig: %[1]s/kube-proxy.conf}
clusterCIDR: %[2]s
hostnameOverride: %[3]s
conntrack: {maxPerCore: 0}
healthzBindAddress: 0.0.0.0:%[4]d
`

// proxyHealthPort is where kube-proxy says whether it keeps up: where a cloud's load balancer asks, too.
const proxyHealthPort = 10256

// kernelDefaults are the settings that a kubelet insists on (setupKernelTunables in pkg/kubelet/cm). They hold for the whole computer: the machine shows the
// kubelet files in their place, and the real ones stay as they are.
var kernelDefaults = []machine.Sysctl{
	{Key: "vm/overcommit_memory", Value: "1"}, {Key: "vm/panic_on_oom", Value: "0"},
	{Key: "kernel/panic", Value: "10"}, {Key: "kernel/panic_on_oops", Value: "1"},
	{Key: "kernel/keys/root_maxkeys", Value: "1000000"}, {Key: "kernel/keys/root_maxbytes", Value: "25000000"},
}

func (n node) files() ([]machine.File, error) {
	serving, err := n.ca.server("system:node:"+n.name(), []string{n.name()}, n.addr())
	if err != nil {
		return nil, err
	}
	kubelet, err := n.ca.client("system:node:"+n.name(), "system:nodes")
	if err != nil {
		return nil, err
	}
	proxy, err := n.ca.client("system:kube-proxy")
	if err != nil {
		return nil, err
	}
	server := netip.AddrPortFrom(n.plan.controlPlane(), apiPort)
	return []machine.File{
		config("ca.crt", string(n.ca.pem)),
		secret("kubelet.crt", serving.Cert), secret("kubelet.key", serving.Key),
		secret("kubelet.conf", kubeconfig(server, n.ca.pem, kubelet)),
		secret("kube-proxy.conf", kubeconfig(server, n.ca.pem, proxy)),
		config("kubelet.yaml", fmt.Sprintf(kubeletConfig, configDir, clusterDomain, n.plan.dns())),
		config("kube-proxy.yaml", fmt.Sprintf(proxyConfig, configDir, n.plan.pods(), n.name(), proxyHealthPort)),
		machine.Text("/etc/containerd/config.toml", fmt.Sprintf(containerdConfig, image.PauseName, n.clampOOM)),
		machine.Text("/etc/cni/lab.conflist.template", networkTemplate),
		{Path: "/etc/cni/net.d", Dir: true},
		{Path: "/var/log/pods", Dir: true},
		machine.Text("/etc/resolv.conf", fmt.Sprintf("nameserver %s\n", n.resolver)),
		machine.Text("/etc/hosts", fmt.Sprintf("127.0.0.1 localhost\n%s %s\n", n.addr(), n.name())),
	}, nil
}

func (n node) sysctls() []machine.Sysctl {
	return []machine.Sysctl{{Key: "net/ipv4/ip_forward", Value: "1"}, {Key: "net/ipv4/conf/all/send_redirects", Value: "0"},
		{Key: "net/ipv4/conf/default/send_redirects", Value: "0"}}
}

func (n node) tasks() []task {
	return []task{
		{name: "containerd", argv: []string{"containerd"}},
		kube("kubelet", "--config="+path.Join(configDir, "kubelet.yaml"), "--kubeconfig="+path.Join(configDir, "kubelet.conf"),
			"--hostname-override="+n.name(), "--node-ip="+n.addr().String(), "--cert-dir=/var/lib/kubelet/pki", "--root-dir=/var/lib/kubelet",
			"--node-labels="+strings.Join([]string{"cloud.google.com/gke-nodepool=default-pool", "topology.kubernetes.io/region=lab",
				"topology.kubernetes.io/zone=lab-a", "node.kubernetes.io/instance-type=lab"}, ",")),
		kube("kube-proxy", "--config="+path.Join(configDir, "kube-proxy.yaml")),
	}
}
