package container

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/cloud/background"
	"github.com/slipway-dev/slipway/internal/lab/cloud/rest"
	api "google.golang.org/api/container/v1"
)

// Options is what an API is made of.
type Options struct {
	Project       string // id
	ProjectNumber string
	Backend       Backend
	Auth          rest.Authenticator
	Log           *slog.Logger
	Now           func() time.Time // nil: time.Now
}

// API is the Kubernetes Engine API of one project.
type API struct {
	o    Options
	work background.Work // operations

	mu       sync.Mutex
	clusters map[string]*cluster // by location/name
	ops      []*operation        // oldest first
}

// cluster is one cluster; its message is replaced under API.mu, never changed.
type cluster struct {
	message *api.Cluster
	running *operation // under way; nil: none
	up      bool       // the backend has it
}

// New makes the API with no cluster.
func New(o Options) *API {
	if o.Now == nil {
		o.Now = time.Now
	}
	a := &API{o: o, clusters: make(map[string]*cluster)}
	return a
}

// Close stops what is under way, waits for it, and stops all clusters.
func (a *API) Close(ctx context.Context) error {
	a.work.Close()
	a.mu.Lock()
	defer a.mu.Unlock()
	var first error
	for _, key := range slices.Sorted(maps.Keys(a.clusters)) {
		c := a.clusters[key]
		if c.up {
			if err := a.o.Backend.Stop(ctx, c.message.Name); err != nil && first == nil {
				first = fmt.Errorf("stop cluster %s: %w", c.message.Name, err)
			}
		}
		delete(a.clusters, key)
	}
	return first
}

// Handler is the API over HTTP.
func (a *API) Handler() http.Handler {
	const location = "/v1/projects/{project}/locations/{location}"
	const one = location + "/clusters/{cluster}"
	return rest.Service{
		Name: "container.googleapis.com", Server: "ESF", Auth: a.o.Auth, Log: a.o.Log, Forbidden: forbidden,
		Scopes: []string{"https://www.googleapis.com/auth/cloud-platform"},
		Routes: []rest.Route{
			{ID: "container.projects.locations.clusters.create", Method: "POST", Path: location + "/clusters", Permission: "container.clusters.create", Serve: a.create},
			{ID: "container.projects.locations.clusters.list", Method: "GET", Path: location + "/clusters", Permission: "container.clusters.list", Query: []string{"projectId", "zone"}, Serve: a.list},
			{ID: "container.projects.locations.clusters.get", Method: "GET", Path: one, Permission: "container.clusters.get", Query: []string{"projectId", "zone", "clusterId"}, Serve: a.get},
			{ID: "container.projects.locations.clusters.update", Method: "PUT", Path: one, Permission: "container.clusters.update", Serve: a.update},
			{ID: "container.projects.locations.clusters.delete", Method: "DELETE", Path: one, Permission: "container.clusters.delete", Query: []string{"projectId", "zone", "clusterId"}, Serve: a.delete},
			{ID: "container.projects.locations.operations.get", Method: "GET", Path: location + "/operations/{operation}", Permission: "container.operations.get", Query: []string{"projectId", "zone", "operationId"}, Serve: a.getOperation},
			{ID: "container.projects.locations.operations.list", Method: "GET", Path: location + "/operations", Permission: "container.operations.list", Query: []string{"projectId", "zone"}, Serve: a.listOperations},
			{ID: "container.projects.locations.getServerConfig", Method: "GET", Path: location + "/serverConfig", Permission: "container.clusters.get", Query: []string{"projectId", "zone"}, Serve: a.serverConfig},
		},
		NotServed: []rest.Route{
			{ID: "container.projects.locations.clusters, methods with a verb (setResourceLabels and the like)", Method: "POST", Path: one},
			{ID: "container.projects.locations.clusters.nodePools.list", Method: "GET", Path: one + "/nodePools"},
			{ID: "container.projects.locations.clusters.nodePools.create", Method: "POST", Path: one + "/nodePools"},
			{ID: "container.projects.locations.clusters.nodePools.get", Method: "GET", Path: one + "/nodePools/{pool}"},
			{ID: "container.projects.locations.clusters.nodePools.delete", Method: "DELETE", Path: one + "/nodePools/{pool}"},
			{ID: "container.projects.locations.clusters.nodePools.update", Method: "PUT", Path: one + "/nodePools/{pool}"},
			{ID: "container.projects.locations.clusters.nodePools, methods with a verb", Method: "POST", Path: one + "/nodePools/{pool}"},
			{ID: "container.projects.locations.operations.cancel", Method: "POST", Path: location + "/operations/{operation}"},
			{ID: "container.projects.zones.clusters.list (use locations)", Method: "GET", Path: "/v1/projects/{project}/zones/{zone}/clusters"},
		},
	}.Handler()
}

// kind is how Google writes a location in a name: zones/us-central1-a or
// locations/us-central1.
func kind(location string) string {
	if strings.Count(location, "-") == 2 {
		return "zones"
	}
	return "locations"
}

func (a *API) name(location, cluster string) string {
	return "projects/" + a.o.Project + "/" + kind(location) + "/" + location + "/clusters/" + cluster
}

// numbered is a link that bears the project's number, as operations' links do.
func (a *API) numbered(location, collection, name string) string {
	return "https://container.googleapis.com/v1/projects/" + a.o.ProjectNumber + "/" + kind(location) + "/" + location + "/" + collection + "/" + name
}

func (a *API) checkProject(c rest.Call, permission string) *rest.Error {
	if c.PathValue("project") != a.o.Project {
		return denied(permission, c.PathValue("project"))
	}
	return nil
}

// find looks up the cluster that a call names. a.mu must be held.
func (a *API) find(c rest.Call) (*cluster, *rest.Error) {
	if e := a.checkProject(c, "container.clusters.get"); e != nil {
		return nil, e
	}
	location, name := c.PathValue("location"), c.PathValue("cluster")
	k, ok := a.clusters[location+"/"+name]
	if !ok {
		return nil, notFound(a.name(location, name))
	}
	return k, nil
}

func (a *API) serverConfig(c rest.Call) (rest.Answer, error) {
	if e := a.checkProject(c, "container.clusters.get"); e != nil {
		return rest.Answer{}, e
	}
	versions := a.o.Backend.Versions()
	if len(versions) == 0 {
		return rest.Answer{}, noVersions()
	}
	return rest.OK(&api.ServerConfig{
		DefaultClusterVersion: versions[0], ValidMasterVersions: versions, ValidNodeVersions: versions,
		DefaultImageType: "COS_CONTAINERD", ValidImageTypes: []string{"COS_CONTAINERD"},
		Channels: []*api.ReleaseChannelConfig{{Channel: "REGULAR", DefaultVersion: versions[0], ValidVersions: versions}},
	})
}
