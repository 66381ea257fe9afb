package container_test

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/cloud/container"
	"github.com/slipway-dev/slipway/internal/lab/cloud/rest"
)

const (
	project       = "shop-lab"
	projectNumber = "271828182845"
	everything    = "token-of-an-admin"
)

type tokens struct{}

func (tokens) Authenticate(r *http.Request) (rest.Principal, *rest.Error) {
	p := rest.Principal{Email: "user@example.com", Scopes: []string{"https://www.googleapis.com/auth/cloud-platform"}}
	if r.Header.Get("Authorization") == "Bearer "+everything {
		p.Permissions = []string{
			"container.clusters.create", "container.clusters.delete", "container.clusters.get", "container.clusters.list",
			"container.clusters.update", "container.operations.get", "container.operations.list",
		}
	}
	return p, nil
}

// backend is a Backend of this test: it takes three seconds, in stages.
type backend struct {
	fail error

	mu sync.Mutex
	up map[string]container.Spec
}

func newBackend() *backend { return &backend{up: map[string]container.Spec{}} }

func (b *backend) Versions() []string {
	return []string{"1.30.5-gke.1014001", "1.29.9-gke.1000000"}
}

func (b *backend) Start(ctx context.Context, s container.Spec, stage func(container.Stage)) (container.Endpoint, error) {
	for _, st := range []container.Stage{
		{Name: "CLUSTER_CONFIGURING", Done: 8, Total: 8}, {Name: "CLUSTER_DEPLOYING", Done: 12, Total: 12}, {Name: "CLUSTER_HEALTHCHECKING", Done: 1, Total: 2},
	} {
		stage(container.Stage{Name: st.Name, Done: 0, Total: st.Total})
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return container.Endpoint{}, ctx.Err()
		}
		stage(st)
	}
	if b.fail != nil {
		return container.Endpoint{}, b.fail
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.up[s.Name] = s
	return container.Endpoint{Host: "10.77.2.1", CA: []byte("pem"), PodCIDR: "10.244.0.0/20", ServiceCIDR: "10.96.0.0/20"}, nil
}

func (b *backend) Stop(_ context.Context, name string) error {
	time.Sleep(time.Second)
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.up, name)
	return nil
}

func newAPI(b *backend) *container.API { return newAPIOf(b) }

func newAPIOf(b container.Backend) *container.API {
	return container.New(container.Options{
		Project: project, ProjectNumber: projectNumber, Backend: b, Auth: tokens{}, Log: slog.New(slog.DiscardHandler),
	})
}
