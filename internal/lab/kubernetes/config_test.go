package kubernetes

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"github.com/slipway-dev/slipway/internal/lab/machine"
)

func TestKubeconfig(t *testing.T) {
	ca, err := newAuthority("one")
	if err != nil {
		t.Fatal(err)
	}
	who, err := ca.client("me")
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig(netip.MustParseAddrPort("10.77.2.1:443"), ca.pem, who))
	if err != nil {
		t.Fatal(err)
	}
	if config.Host != "https://10.77.2.1:443" || string(config.CAData) != string(ca.pem) || string(config.CertData) != string(who.Cert) || string(config.KeyData) != string(who.Key) {
		t.Errorf("read back: %+v", config)
	}
}

// TestNodeFiles: what is YAML or JSON parses, and what is secret is root's alone.
func TestNodeFiles(t *testing.T) {
	ca, err := newAuthority("one")
	if err != nil {
		t.Fatal(err)
	}
	n := node{plan: plan{slot: 1}, index: 1, ca: ca, resolver: netip.MustParseAddr("10.77.0.73")}
	files, err := n.files()
	if err != nil {
		t.Fatal(err)
	}
	control, err := controlPlane{plan: plan{slot: 1}, ca: ca, webhook: Webhook{URL: "https://10.77.0.2/tokenreview", CA: ca.pem}}.files()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range append(files, control...) {
		if strings.Contains(string(f.Content), "PRIVATE KEY") && f.Mode != 0o600 {
			t.Errorf("%s: holds a key and has mode %o", f.Path, f.Mode)
		}
		var v map[string]any
		switch filepath.Ext(f.Path) {
		case ".yaml", ".conf":
			err = yaml.UnmarshalStrict(f.Content, &v)
			if f.Path == "/etc/resolv.conf" {
				err = nil
			}
		case ".template":
			err = json.Unmarshal([]byte(strings.ReplaceAll(string(f.Content), "{{.PodCIDR}}", "10.244.16.0/24")), &v)
		default:
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", f.Path, err)
		}
	}
	if text := content(t, files, "/etc/kubernetes/kubelet.yaml"); !strings.Contains(text, `clusterDNS: ["10.96.16.10"]`) || !strings.Contains(text, "protectKernelDefaults: true") {
		t.Errorf("the kubelet's configuration:\n%s", text)
	}
}

func content(t *testing.T, files []machine.File, path string) string {
	t.Helper()
	for _, f := range files {
		if f.Path == path {
			return string(f.Content)
		}
	}
	t.Fatalf("no file %s", path)
	return ""
}

// TestVersions: the build's module and the client's are of one Kubernetes.
func TestVersions(t *testing.T) {
	module, err := os.ReadFile("build/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(module), "\tk8s.io/kubernetes "+Version+"\n") {
		t.Errorf("build/go.mod does not require k8s.io/kubernetes %s", Version)
	}
	staging := "v0" + strings.TrimPrefix(Version, "v1")
	for _, m := range regexp.MustCompile(`(k8s\.io/\S+) => (\S+) (\S+)`).FindAllStringSubmatch(string(module), -1) {
		if m[1] != m[2] || m[3] != staging {
			t.Errorf("build/go.mod: %s => %s %s: want %s of itself", m[1], m[2], m[3], staging)
		}
	}
	own, err := os.ReadFile("../../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(own), "\tk8s.io/client-go "+staging) {
		t.Errorf("go.mod does not require k8s.io/client-go %s: what talks to clusters is of another release than they are", staging)
	}
}

func TestReadyWhere(t *testing.T) {
	verbose := "[+]ping ok\n[-]etcd failed: reason withheld\n[+]log ok\n[-]poststarthook/rbac/bootstrap-roles failed: reason withheld\nreadyz check failed\n"
	if got, want := readyWhere(verbose), "etcd, poststarthook/rbac/bootstrap-roles"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := readyWhere("ok"); got != "" {
		t.Errorf("%q", got)
	}
}

func TestSpecCheck(t *testing.T) {
	for _, c := range []struct {
		spec Spec
		ok   bool
	}{
		{Spec{Name: "slipway-20261123-010203-7f3a", Nodes: 2}, true},
		{Spec{Name: "", Nodes: 2}, false},
		{Spec{Name: "../x", Nodes: 2}, false},
		{Spec{Name: "a", Nodes: 0}, false},
		{Spec{Name: "a", Nodes: 15}, false},
	} {
		if err := c.spec.check(); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c.spec, err)
		}
	}
}
