package sqladmin

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/cloud/background"
	"github.com/slipway-dev/slipway/internal/lab/cloud/rest"
	api "google.golang.org/api/sqladmin/v1"
)

// Options is what an API is made of.
type Options struct {
	Project       string // id
	ProjectNumber string
	Engine        Engine
	Auth          rest.Authenticator
	Log           *slog.Logger
	// Pending is how long an operation stays PENDING before its work begins.
	// The real API takes some seconds; 0 takes 200 ms.
	Pending time.Duration
	// Reuse is how long the name of a deleted instance stays taken; 0: a week,
	// as Google documents.
	Reuse time.Duration
	Now   func() time.Time // nil: time.Now
}

// API is the Cloud SQL Admin API of one project.
type API struct {
	o    Options
	work background.Work // operations

	mu        sync.Mutex
	instances map[string]*instance
	deleted   map[string]time.Time // name to time of deletion
	ops       []*operation         // oldest first
}

// instance is a Cloud SQL instance. The message is what GET answers; the server
// is nil until it was made. Both are read and replaced under API.mu.
type instance struct {
	message *api.DatabaseInstance
	server  Server
	running *operation // the admin operation under way; nil: none
}

// New makes the API with no instance.
func New(o Options) *API {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Pending == 0 {
		o.Pending = 200 * time.Millisecond
	}
	if o.Reuse == 0 {
		o.Reuse = 7 * 24 * time.Hour
	}
	a := &API{o: o, instances: make(map[string]*instance), deleted: make(map[string]time.Time)}
	return a
}

// Close stops what is under way, waits for it, and deletes all servers.
func (a *API) Close(ctx context.Context) error {
	a.work.Close()
	a.mu.Lock()
	defer a.mu.Unlock()
	var first error
	for _, name := range a.names() {
		if s := a.instances[name].server; s != nil {
			if err := s.Delete(ctx); err != nil && first == nil {
				first = fmt.Errorf("delete instance %s: %w", name, err)
			}
		}
		delete(a.instances, name)
	}
	return first
}

// Server is the server behind an instance, for the lab's own verbs.
func (a *API) Server(name string) (Server, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	in, ok := a.instances[name]
	if !ok || in.server == nil {
		return nil, false
	}
	return in.server, true
}

// Handler is the API over HTTP.
func (a *API) Handler() http.Handler {
	const project = "/v1/projects/{project}"
	const inst = project + "/instances/{instance}"
	return rest.Service{
		Name: "sqladmin.googleapis.com", Server: "ESF", Auth: a.o.Auth, Log: a.o.Log, Forbidden: forbidden,
		Scopes: []string{"https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/sqlservice.admin"},
		Routes: []rest.Route{
			{ID: "sql.instances.insert", Method: "POST", Path: project + "/instances", Permission: "cloudsql.instances.create", Serve: a.insert},
			{ID: "sql.instances.list", Method: "GET", Path: project + "/instances", Permission: "cloudsql.instances.list", Query: []string{"maxResults", "pageToken", "filter"}, Serve: a.list},
			{ID: "sql.instances.get", Method: "GET", Path: inst, Permission: "cloudsql.instances.get", Serve: a.get},
			{ID: "sql.instances.patch", Method: "PATCH", Path: inst, Permission: "cloudsql.instances.update", Serve: a.patch},
			{ID: "sql.instances.update", Method: "PUT", Path: inst, Permission: "cloudsql.instances.update", Serve: a.update},
			{ID: "sql.instances.delete", Method: "DELETE", Path: inst, Permission: "cloudsql.instances.delete", Query: []string{"enableFinalBackup", "finalBackupTtlDays", "finalBackupExpiryTime", "finalBackupDescription"}, Serve: a.delete},
			{ID: "sql.instances.restart", Method: "POST", Path: inst + "/restart", Permission: "cloudsql.instances.restart", Serve: a.restart},
			{ID: "sql.connect.get", Method: "GET", Path: inst + "/connectSettings", Permission: "cloudsql.instances.get", Query: []string{"readTime"}, Serve: a.connectSettings},
			{ID: "sql.operations.get", Method: "GET", Path: project + "/operations/{operation}", Permission: "cloudsql.instances.get", Serve: a.getOperation},
			{ID: "sql.operations.list", Method: "GET", Path: project + "/operations", Permission: "cloudsql.instances.get", Query: []string{"instance", "maxResults", "pageToken", "filter"}, Serve: a.listOperations},
			{ID: "sql.databases.insert", Method: "POST", Path: inst + "/databases", Permission: "cloudsql.databases.create", Serve: a.insertDatabase},
			{ID: "sql.databases.list", Method: "GET", Path: inst + "/databases", Permission: "cloudsql.databases.list", Serve: a.listDatabases},
			{ID: "sql.databases.get", Method: "GET", Path: inst + "/databases/{database}", Permission: "cloudsql.databases.get", Serve: a.getDatabase},
			{ID: "sql.databases.patch", Method: "PATCH", Path: inst + "/databases/{database}", Permission: "cloudsql.databases.update", Serve: a.patchDatabase},
			{ID: "sql.databases.delete", Method: "DELETE", Path: inst + "/databases/{database}", Permission: "cloudsql.databases.delete", Serve: a.deleteDatabase},
			{ID: "sql.users.insert", Method: "POST", Path: inst + "/users", Permission: "cloudsql.users.create", Serve: a.insertUser},
			{ID: "sql.users.list", Method: "GET", Path: inst + "/users", Permission: "cloudsql.users.list", Serve: a.listUsers},
			{ID: "sql.users.get", Method: "GET", Path: inst + "/users/{name}", Permission: "cloudsql.users.get", Query: []string{"host"}, Serve: a.getUser},
			{ID: "sql.users.update", Method: "PUT", Path: inst + "/users", Permission: "cloudsql.users.update", Query: []string{"name", "host", "databaseRoles", "revokeExistingRoles"}, Serve: a.updateUser},
			{ID: "sql.users.delete", Method: "DELETE", Path: inst + "/users", Permission: "cloudsql.users.delete", Query: []string{"name", "host"}, Serve: a.deleteUser},
			{ID: "sql.flags.list", Method: "GET", Path: "/v1/flags", Query: []string{"databaseVersion", "flagScope"}, Serve: a.listFlags},
			{ID: "sql.tiers.list", Method: "GET", Path: project + "/tiers", Permission: "cloudsql.instances.list", Serve: a.listTiers},
		},
		NotServed: []rest.Route{
			{ID: "sql.instances.import", Method: "POST", Path: inst + "/import"},
			{ID: "sql.instances.export", Method: "POST", Path: inst + "/export"},
			{ID: "sql.instances.clone", Method: "POST", Path: inst + "/clone"},
			{ID: "sql.instances.switchover", Method: "POST", Path: inst + "/switchover"},
			{ID: "sql.instances.failover", Method: "POST", Path: inst + "/failover"},
			{ID: "sql.instances.promoteReplica", Method: "POST", Path: inst + "/promoteReplica"},
			{ID: "sql.instances.restoreBackup", Method: "POST", Path: inst + "/restoreBackup"},
			{ID: "sql.instances.rotateServerCa", Method: "POST", Path: inst + "/rotateServerCa"},
			{ID: "sql.instances.listServerCas", Method: "GET", Path: inst + "/listServerCas"},
			{ID: "sql.instances.executeSql", Method: "POST", Path: inst + "/executeSql"},
			{ID: "sql.operations.cancel", Method: "POST", Path: project + "/operations/{operation}/cancel"},
			{ID: "sql.databases.update", Method: "PUT", Path: inst + "/databases/{database}"},
			{ID: "sql.backupRuns.list", Method: "GET", Path: inst + "/backupRuns"},
			{ID: "sql.backupRuns.insert", Method: "POST", Path: inst + "/backupRuns"},
			{ID: "sql.sslCerts.list", Method: "GET", Path: inst + "/sslCerts"},
			{ID: "sql.sslCerts.insert", Method: "POST", Path: inst + "/sslCerts"},
			// sql.connect.generateEphemeralCert: instances/{instance}:generateEphemeralCert
			{ID: "sql.connect.generateEphemeralCert", Method: "POST", Path: inst},
		},
	}.Handler()
}

// checkProject refuses the projects that the lab has not.
func (a *API) checkProject(c rest.Call) *rest.Error {
	if p := c.PathValue("project"); p != a.o.Project {
		return forbidden(c.Principal, rest.Route{})
	}
	return nil
}

// find looks up the instance that a call names. a.mu must be held.
func (a *API) find(c rest.Call) (*instance, *rest.Error) {
	if e := a.checkProject(c); e != nil {
		return nil, e
	}
	in, ok := a.instances[c.PathValue("instance")]
	if !ok {
		return nil, noInstance()
	}
	return in, nil
}

// ready looks up an instance whose server can be asked.
func (a *API) ready(c rest.Call) (*instance, *rest.Error) {
	in, e := a.find(c)
	if e != nil {
		return nil, e
	}
	if in.server == nil || in.message.State != "RUNNABLE" {
		return nil, invalidState()
	}
	return in, nil
}

// idle looks up an instance on which an operation can begin now.
func (a *API) idle(c rest.Call) (*instance, *rest.Error) {
	in, e := a.find(c)
	if e != nil {
		return nil, e
	}
	if in.running != nil {
		return nil, busy()
	}
	return a.ready(c)
}

func (a *API) link(parts ...string) string {
	link := "https://sqladmin.googleapis.com/v1/projects/" + a.o.Project
	for _, part := range parts {
		link += "/" + part
	}
	return link
}

// stamp is a time as the API writes it.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func uuid() string {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		panic(err) // crypto/rand.Read never fails since Go 1.24
	}
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
