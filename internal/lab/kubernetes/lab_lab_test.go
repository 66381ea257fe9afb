//go:build lab

package kubernetes

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/slipway-dev/slipway/internal/lab/image"
	"github.com/slipway-dev/slipway/internal/lab/machine"
	"github.com/slipway-dev/slipway/internal/lab/network"
	"github.com/slipway-dev/slipway/internal/lab/progress"
	"github.com/slipway-dev/slipway/internal/lab/rootfs"
)

// These tests bring their own network and machines, apart from any lab that runs.
func TestMain(m *testing.M) {
	machine.Main()
	os.Exit(m.Run())
}

// bench is a lab with nothing in it but clusters, a host and the cloud's token endpoint.
type bench struct {
	dir      string
	launcher *machine.Launcher
	network  *network.Network
	roots    *rootfs.Store
	env      Env
	clusters *Clusters
	webhook  Webhook
	report   progress.Func
}

const (
	goodToken   = "ya29.good"  // an account with roles/container.admin
	viewerToken = "ya29.plain" // an account without
)

func newBench(t *testing.T) *bench {
	t.Helper()
	cache := os.Getenv("SLIPWAY_LAB_CACHE")
	if cache == "" {
		cache = "/var/cache/slipway-lab"
	}
	name := "kubetest"
	b := &bench{dir: filepath.Join(os.TempDir(), "slipway-"+name), report: progress.Printer(os.Stderr, 5*time.Second)}
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	unlock, err := rootfs.Lock(t.Context(), b.dir+".lock", b.report, "another run of these tests")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(unlock)
	if b.launcher, err = machine.NewLauncher(name, filepath.Join(b.dir, "machines")); err != nil {
		t.Fatal(err)
	}
	if err := b.launcher.Clean(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			showLogs(t, b.dir)
		}
		if err := b.launcher.Clean(context.Background(), true); err != nil {
			t.Error(err)
		}
		if err := os.RemoveAll(b.dir); err != nil {
			t.Error(err)
		}
	})
	if b.roots, err = rootfs.Open(cache, b.launcher, b.report); err != nil {
		t.Fatal(err)
	}
	lower, err := b.roots.Ensure(t.Context(), image.Engine)
	if err != nil {
		t.Fatal(err)
	}
	if b.network, err = network.New(t.Context(), b.launcher, lower, netip.AddrPort{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.network.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	builder, err := NewBuilder(filepath.Join(cache, "kubernetes"), "", b.launcher, b.report)
	if err != nil {
		t.Fatal(err)
	}
	images, err := image.Open(filepath.Join(cache, "images"), b.launcher, b.roots, b.report)
	if err != nil {
		t.Fatal(err)
	}
	b.env = Env{Dir: filepath.Join(b.dir, "clusters"), Launcher: b.launcher, Network: b.network, Rootfs: b.roots, Builder: builder, Images: images,
		Resolver: netip.MustParseAddr("10.77.0.1"), Report: b.report}
	if b.clusters, err = New(b.env); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.clusters.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	b.webhook = serveTokens(t, b.network)
	return b
}

// showLogs prints the end of each program's log.
func showLogs(t *testing.T, dir string) {
	t.Helper()
	if keep := os.Getenv("KEEP_LOGS"); keep != "" {
		_ = exec.Command("cp", "-r", dir+"/clusters-failed-logs", dir+"/clusters", keep).Run()
	}
	logs, err := filepath.Glob(dir + "/clusters*/*.log")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range logs {
		raw, err := os.ReadFile(l)
		if err != nil {
			t.Error(err)
		}
		lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
		t.Logf("%s:\n%s", filepath.Base(l), strings.Join(lines[max(0, len(lines)-5):], "\n"))
	}
}

// serveTokens is the cloud's token endpoint.
func serveTokens(t *testing.T, n *network.Network) Webhook {
	t.Helper()
	ca, err := newAuthority("cloud")
	if err != nil {
		t.Fatal(err)
	}
	own, err := ca.server("cloud", nil, network.Gateway.Addr())
	if err != nil {
		t.Fatal(err)
	}
	cert, err := tls.X509KeyPair(own.Cert, own.Key)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := n.Listen(t.Context(), "tcp", netip.AddrPortFrom(network.Gateway.Addr(), 443).String())
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review authenticationv1.TokenReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		switch review.Spec.Token {
		case goodToken:
			review.Status = authenticationv1.TokenReviewStatus{Authenticated: true, User: authenticationv1.UserInfo{Username: "slipway@shop.iam", Groups: []string{AdminGroup}}}
		case viewerToken:
			review.Status = authenticationv1.TokenReviewStatus{Authenticated: true, User: authenticationv1.UserInfo{Username: "viewer@shop.iam"}}
		default:
			review.Status = authenticationv1.TokenReviewStatus{Error: "unknown token"}
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(review); err != nil {
			t.Error(err)
		}
	})}
	ended := make(chan error, 1)
	go func() { ended <- server.ServeTLS(listener, "", "") }()
	t.Cleanup(func() {
		_ = server.Close()
		<-ended
	})
	return Webhook{URL: fmt.Sprintf("https://%s/tokenreview", network.Gateway.Addr()), CA: ca.pem}
}

// connect reaches a cluster as the product does: by the endpoint, its CA and a token of the cloud.
func (b *bench) connect(t *testing.T, ep Endpoint, token string) (*kubernetes.Clientset, *rest.Config) {
	t.Helper()
	config := &rest.Config{Host: "https://" + ep.Host, BearerToken: token, Dial: b.network.DialContext, QPS: -1, TLSClientConfig: rest.TLSClientConfig{CAData: ep.CA}}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client, config
}

// within is a context that ends after d, or with the test.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// eventually polls until f says yes, and fails with what f said last.
func eventually(t *testing.T, d time.Duration, what string, f func(context.Context) (bool, string)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	for {
		ok, said := f(ctx)
		if ok {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %v: %s", what, d, said)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
