package container_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/cloud/container"
	"github.com/slipway-dev/slipway/internal/lab/cloud/recordingtest"
	api "google.golang.org/api/container/v1"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"
)

const parent = "projects/shop-lab/locations/europe-west1-b"

func client(t *testing.T, a *container.API, token string) *api.ProjectsLocationsService {
	t.Helper()
	s, err := api.NewService(context.Background(), option.WithEndpoint("https://container.google.lab/"),
		option.WithHTTPClient(&http.Client{Transport: recordingtest.Transport{Handler: a.Handler(), Token: token}}))
	if err != nil {
		t.Fatal(err)
	}
	return s.Projects.Locations
}

func refused(t *testing.T, what string, err error, code int, reason, message string) {
	t.Helper()
	var e *googleapi.Error
	if !errors.As(err, &e) || len(e.Errors) == 0 {
		t.Errorf("%s: %v, want %d %s", what, err, code, reason)
		return
	}
	if e.Code != code || e.Errors[0].Reason != reason || !strings.Contains(e.Message, message) {
		t.Errorf("%s: %d %s (%s), want %d %s (%s)", what, e.Code, e.Errors[0].Reason, e.Message, code, reason, message)
	}
}

func wanted(name string) *api.CreateClusterRequest {
	return &api.CreateClusterRequest{Parent: parent, Cluster: &api.Cluster{
		Name: name, ResourceLabels: map[string]string{"slipway-run": "20261123-010203-7f3a"}, ReleaseChannel: &api.ReleaseChannel{Channel: "REGULAR"},
		IpAllocationPolicy: &api.IPAllocationPolicy{UseIpAliases: true},
		AddonsConfig:       &api.AddonsConfig{GcpFilestoreCsiDriverConfig: &api.GcpFilestoreCsiDriverConfig{Enabled: true}},
		NodePools: []*api.NodePool{{Name: "pool", InitialNodeCount: 2, Config: &api.NodeConfig{MachineType: "e2-standard-4", DiskSizeGb: 50},
			Management: &api.NodeManagement{AutoRepair: true, AutoUpgrade: true}}},
	}}
}

func wait(t *testing.T, c *api.ProjectsLocationsService, op *api.Operation, err error) *api.Operation {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	for op.Status != "DONE" {
		time.Sleep(100 * time.Millisecond)
		if op, err = c.Operations.Get(parent + "/operations/" + op.Name).Do(); err != nil {
			t.Fatal(err)
		}
	}
	return op
}

func bubble(t *testing.T, f func(t *testing.T, b *backend, c *api.ProjectsLocationsService)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := newBackend()
		a := newAPI(b)
		defer func() {
			if err := a.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}()
		f(t, b, client(t, a, everything))
	})
}

func TestLife(t *testing.T) {
	bubble(t, func(t *testing.T, b *backend, c *api.ProjectsLocationsService) {
		op, err := c.Clusters.Create(parent, wanted("shop")).Do()
		if err != nil {
			t.Fatal(err)
		}
		name := parent + "/clusters/shop"
		k, err := c.Clusters.Get(name).Do()
		if err != nil || k.Status != "PROVISIONING" || k.Endpoint != "" || k.ResourceLabels["slipway-run"] == "" {
			t.Errorf("while it is made: %+v %v", k, err)
		}
		_, err = c.Clusters.Create(parent, wanted("shop")).Do()
		refused(t, "the same name again", err, 409, "alreadyExists", "Already exists: projects/shop-lab/zones/europe-west1-b/clusters/shop.")
		_, err = c.Clusters.Delete(name).Do()
		refused(t, "a deletion while it is made", err, 400, "failedPrecondition", "Cluster is running incompatible operation "+op.Name)
		if k, err := c.Clusters.Get(name).Do(); err != nil || k.Status != "PROVISIONING" {
			t.Errorf("after a deletion that was refused: %+v %v", k, err)
		}
		list, err := c.Operations.List(parent).Do()
		if err != nil || len(list.Operations) != 1 || list.Operations[0].Status != "RUNNING" || !strings.HasSuffix(list.Operations[0].TargetLink, "/clusters/shop") {
			t.Errorf("operations are %+v %v", list, err)
		}
		wait(t, c, op, nil)
		k, err = c.Clusters.Get(name).Do()
		if err != nil || k.Status != "RUNNING" || k.Endpoint != "10.77.2.1" || k.CurrentMasterVersion != "1.30.5-gke.1014001" || k.NodePools[0].Config.MachineType != "e2-standard-4" ||
			!k.AddonsConfig.GcpFilestoreCsiDriverConfig.Enabled {
			t.Errorf("when it runs: %+v %v", k, err)
		}
		if pem, err := base64.StdEncoding.DecodeString(k.MasterAuth.ClusterCaCertificate); err != nil || string(pem) != "pem" {
			t.Errorf("CA is %q %v", pem, err)
		}
		if b.up["shop"].Nodes != 2 || b.up["shop"].Labels["slipway-run"] == "" {
			t.Errorf("the backend was told %+v", b.up["shop"])
		}
		op, err = c.Clusters.Delete(name).Do()
		if err != nil {
			t.Fatal(err)
		}
		if k, err := c.Clusters.Get(name).Do(); err != nil || k.Status != "STOPPING" {
			t.Errorf("while it goes: %+v %v", k, err)
		}
		wait(t, c, op, nil)
		_, err = c.Clusters.Get(name).Do()
		refused(t, "a cluster that is gone", err, 404, "notFound", "Not found: projects/shop-lab/zones/europe-west1-b/clusters/shop.")
		op, err = c.Clusters.Create(parent, wanted("shop")).Do()
		wait(t, c, op, err) // the name can be had again
	})
}

func TestFailedCreate(t *testing.T) {
	bubble(t, func(t *testing.T, b *backend, c *api.ProjectsLocationsService) {
		b.fail = errors.New("no room")
		op, err := c.Clusters.Create(parent, wanted("shop")).Do()
		done := wait(t, c, op, err)
		if done.Error == nil || !strings.Contains(done.Error.Message, "no room") {
			t.Errorf("operation is %+v", done)
		}
		if k, err := c.Clusters.Get(parent + "/clusters/shop").Do(); err != nil || k.Status != "ERROR" || !strings.Contains(k.StatusMessage, "no room") {
			t.Errorf("cluster is %+v %v", k, err)
		}
		op, err = c.Clusters.Delete(parent + "/clusters/shop").Do()
		wait(t, c, op, err)
	})
}

func TestRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*api.CreateClusterRequest)
		code   int
		reason string
	}{
		{"no cluster", func(r *api.CreateClusterRequest) { r.Cluster = nil }, 400, "badRequest"},
		{"a bad name", func(r *api.CreateClusterRequest) { r.Cluster.Name = "Shop" }, 400, "badRequest"},
		{"a long name", func(r *api.CreateClusterRequest) { r.Cluster.Name = strings.Repeat("a", 41) }, 400, "badRequest"},
		{"no nodes", func(r *api.CreateClusterRequest) { r.Cluster.NodePools = nil }, 400, "badRequest"},
		{"nodes twice", func(r *api.CreateClusterRequest) { r.Cluster.InitialNodeCount = 2 }, 400, "badRequest"},
		{"a version that is none", func(r *api.CreateClusterRequest) { r.Cluster.InitialClusterVersion = "1.2" }, 400, "badRequest"},
		{"another parent", func(r *api.CreateClusterRequest) { r.Parent = "projects/x/locations/y" }, 400, "badRequest"},
		{"two pools", func(r *api.CreateClusterRequest) {
			r.Cluster.NodePools = append(r.Cluster.NodePools, &api.NodePool{Name: "two", InitialNodeCount: 1})
		}, 501, "notImplemented"},
		{"an autopilot", func(r *api.CreateClusterRequest) { r.Cluster.Autopilot = &api.Autopilot{Enabled: true} }, 501, "notImplemented"},
		{"authorized networks", func(r *api.CreateClusterRequest) {
			r.Cluster.MasterAuthorizedNetworksConfig = &api.MasterAuthorizedNetworksConfig{Enabled: true}
		}, 501, "notImplemented"},
		{"a bad label", func(r *api.CreateClusterRequest) { r.Cluster.ResourceLabels = map[string]string{"Slipway": "x"} }, 400, "badRequest"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *backend, c *api.ProjectsLocationsService) {
				r := wanted("shop")
				tt.change(r)
				_, err := c.Clusters.Create(parent, r).Do()
				refused(t, tt.name, err, tt.code, tt.reason, "")
				if list, err := c.Clusters.List(parent).Do(); err != nil || len(list.Clusters) != 0 {
					t.Errorf("clusters are %+v %v", list, err)
				}
			})
		})
	}
}

func TestPermissionsAndOthers(t *testing.T) {
	b := newBackend()
	a := newAPI(b)
	_, err := client(t, a, "nobody").Clusters.List(parent).Do()
	refused(t, "without a role", err, 403, "forbidden", "container.clusters.list")
	c := client(t, a, everything)
	if v, err := c.GetServerConfig(parent).Do(); err != nil || v.DefaultClusterVersion != "1.30.5-gke.1014001" {
		t.Errorf("versions are %+v %v", v, err)
	}
	_, err = c.Clusters.List("projects/other/locations/-").Do()
	refused(t, "another project", err, 403, "forbidden", "")
	_, err = c.Clusters.NodePools.List(parent + "/clusters/shop").Do()
	refused(t, "node pools", err, 501, "notImplemented", "nodePools.list")
	_, err = c.Clusters.SetResourceLabels(parent+"/clusters/shop", &api.SetLabelsRequest{}).Do()
	refused(t, "labels", err, 501, "notImplemented", "setResourceLabels")
	for path, want := range map[string]int{"/v1/nonsense": 404, "/v1beta1/" + parent + "/clusters": 404, "/v1/" + parent + "/clusters?bogus=1": 400} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "https://lab"+path, nil)
		r.Header.Set("Authorization", "Bearer "+everything)
		a.Handler().ServeHTTP(w, r)
		if w.Code != want || !strings.Contains(w.Body.String(), `"error"`) {
			t.Errorf("%s: %d %s, want %d", path, w.Code, w.Body, want)
		}
	}
}

// TestWithoutClusters: a backend that offers no version.
func TestWithoutClusters(t *testing.T) {
	c := client(t, newAPIOf(noVersions{newBackend()}), everything)
	_, err := c.GetServerConfig(parent).Do()
	refused(t, "versions", err, 501, "notImplemented", "without")
	_, err = c.Clusters.Create(parent, wanted("shop")).Do()
	refused(t, "a cluster", err, 501, "notImplemented", "without")
}

type noVersions struct{ *backend }

func (noVersions) Versions() []string { return nil }
