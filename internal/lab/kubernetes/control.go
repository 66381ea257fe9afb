package kubernetes

import (
	"fmt"
	"net/netip"
	"path"
	"strings"

	"github.com/slipway-dev/slipway/internal/lab/machine"
)

// programDir is where the machines see the built programs.
const programDir = "/opt/kubernetes"

// apiPort is where a managed cluster's API server answers.
const apiPort = 443

// task is one long-running program of a machine.
type task struct {
	name string
	argv []string
}

// kube is one of the programs that are one file, called by the name.
func kube(name string, args ...string) task {
	return task{name: name, argv: append([]string{path.Join(programDir, "bin", name)}, args...)}
}

// programFiles are the names by which the one program file is called.
func programFiles() []machine.File {
	var files []machine.File
	for _, name := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet"} {
		files = append(files, machine.Symlink(path.Join(programDir, "bin", name), path.Join(programDir, "programs", kubeProgram)))
	}
	return files
}

// controlPlane is what the control plane's machine gets and runs.
type controlPlane struct {
	plan    plan
	ca      *authority
	webhook Webhook
}

func (c controlPlane) server() netip.AddrPort {
	return netip.AddrPortFrom(c.plan.controlPlane(), apiPort)
}

func (c controlPlane) files() ([]machine.File, error) {
	tls, err := c.ca.server("kube-apiserver",
		[]string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + clusterDomain, "localhost"},
		c.plan.controlPlane(), c.plan.firstService(), netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	if err != nil {
		return nil, err
	}
	toKubelets, err := c.ca.client("kube-apiserver-kubelet-client", "system:masters")
	if err != nil {
		return nil, err
	}
	signer, err := newSigner()
	if err != nil {
		return nil, err
	}
	files := []machine.File{
		config("ca.crt", string(c.ca.pem)),
		secret("apiserver.crt", tls.Cert), secret("apiserver.key", tls.Key),
		secret("kubelets.crt", toKubelets.Cert), secret("kubelets.key", toKubelets.Key),
		secret("tokens.pub", signer.Cert), secret("tokens.key", signer.Key),
	}
	if c.webhook.URL != "" {
		files = append(files, secret("webhook.conf", webhookConfig(c.webhook)))
	}
	for _, name := range []string{"kube-controller-manager", "kube-scheduler"} {
		who, err := c.ca.client("system:" + name)
		if err != nil {
			return nil, err
		}
		files = append(files, secret(name+".conf", kubeconfig(c.server(), c.ca.pem, who)))
	}
	return files, nil
}

func (c controlPlane) tasks() []task {
	in := func(name string) string { return path.Join(configDir, name) }
	etcd := kube("etcd", "--data-dir=/var/lib/etcd",
		"--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379", "--listen-peer-urls=http://127.0.0.1:2380",
		// The cluster does not outlive its machine: there is nothing that a sync would save.
		"--unsafe-no-fsync")
	apiserver := kube("kube-apiserver", "--etcd-servers=http://127.0.0.1:2379",
		"--secure-port="+fmt.Sprint(apiPort), "--advertise-address="+c.plan.controlPlane().String(),
		"--tls-cert-file="+in("apiserver.crt"), "--tls-private-key-file="+in("apiserver.key"), "--client-ca-file="+in("ca.crt"),
		"--service-cluster-ip-range="+c.plan.services().String(),
		"--service-account-issuer=https://kubernetes.default.svc."+clusterDomain,
		"--service-account-key-file="+in("tokens.pub"), "--service-account-signing-key-file="+in("tokens.key"),
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
		"--kubelet-certificate-authority="+in("ca.crt"), "--kubelet-client-certificate="+in("kubelets.crt"), "--kubelet-client-key="+in("kubelets.key"),
		"--kubelet-preferred-address-types=InternalIP", "--allow-privileged=true", "--profiling=false")
	if c.webhook.URL != "" {
		apiserver.argv = append(apiserver.argv, "--authentication-token-webhook-config-file="+in("webhook.conf"), "--authentication-token-webhook-version=v1",
			// A token that the cloud has withdrawn is refused this much later.
			"--authentication-token-webhook-cache-ttl=10s")
	}
	// Without --authentication-kubeconfig these two answer nobody but health checks, and don't end while the API server has no roles yet.
	manager := kube("kube-controller-manager", "--kubeconfig="+in("kube-controller-manager.conf"),
		"--leader-elect=false", "--profiling=false", "--use-service-account-credentials=true",
		"--service-account-private-key-file="+in("tokens.key"), "--root-ca-file="+in("ca.crt"),
		"--allocate-node-cidrs=true", "--cluster-cidr="+c.plan.pods().String(), "--node-cidr-mask-size=24",
		"--service-cluster-ip-range="+c.plan.services().String())
	scheduler := kube("kube-scheduler", "--kubeconfig="+in("kube-scheduler.conf"), "--leader-elect=false", "--profiling=false")
	return []task{etcd, apiserver, manager, scheduler}
}

// readyWhere says which of the API server's own checks have not passed, out of the text that /readyz?verbose gives.
func readyWhere(verbose string) string {
	var waits []string
	for line := range strings.Lines(verbose) {
		if rest, ok := strings.CutPrefix(line, "[-]"); ok {
			name, _, _ := strings.Cut(rest, " ")
			waits = append(waits, name)
		}
	}
	if len(waits) > 3 {
		return fmt.Sprintf("%s and %d more", strings.Join(waits[:3], ", "), len(waits)-3)
	}
	return strings.Join(waits, ", ")
}
