package runbooks_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	sqlapi "google.golang.org/api/sqladmin/v1"

	"github.com/slipway-dev/slipway/internal/google"
	"github.com/slipway-dev/slipway/internal/lab/cloud/container"
	"github.com/slipway-dev/slipway/internal/lab/cloud/oauth"
	"github.com/slipway-dev/slipway/internal/lab/cloud/project"
	"github.com/slipway-dev/slipway/internal/lab/cloud/sqladmin"
	"github.com/slipway-dev/slipway/internal/secret"
)

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// gke runs the lab's Kubernetes Engine over the world's clusters.
type gke struct {
	w    *world
	host string // of an API server that answers
	ca   []byte
}

func (g gke) Versions() []string { return []string{"1.37.2-gke.1000000"} }

func (g gke) Start(ctx context.Context, s container.Spec, stage func(container.Stage)) (container.Endpoint, error) {
	stage(container.Stage{Name: "CLUSTER_DEPLOYING", Done: 1, Total: 1})
	if err := soon(ctx); err != nil {
		return container.Endpoint{}, err
	}
	g.w.own(func() {
		g.w.clusters[s.Name] = &clusterState{ClusterState: google.ClusterState{Labels: s.Labels, Status: "RUNNING",
			Cluster: google.Cluster{Project: theProject, Location: location, Name: s.Name, Endpoint: g.host, CA: string(g.ca)}}, inside: newInside()}
	})
	return container.Endpoint{Host: g.host, CA: g.ca, PodCIDR: "10.244.0.0/20", ServiceCIDR: "10.96.0.0/20"}, nil
}

func (g gke) Stop(ctx context.Context, name string) error {
	g.w.own(func() {
		if c := g.w.clusters[name]; c != nil {
			g.w.orphans = append(g.w.orphans, c.outlives()...)
		}
		delete(g.w.clusters, name)
	})
	return nil
}

// engine runs the lab's Cloud SQL over the world's servers.
type engine struct {
	w  *world
	ca []byte
}

func (e engine) Versions() []sqladmin.Version {
	return []sqladmin.Version{{Name: "MYSQL_9_7", Installed: "MYSQL_9_7_4", Maintenance: "MYSQL_9_7_4.R1", Flags: []*sqlapi.Flag{{Name: "local_infile", Type: "BOOLEAN"}}}}
}

func (e engine) Create(ctx context.Context, name string, _ sqladmin.Config, _ string) (sqladmin.Server, error) {
	if err := soon(ctx); err != nil {
		return nil, err
	}
	e.w.own(func() {
		s := newServer(name, map[string]string{})
		s.CA = string(e.ca)
		e.w.servers[name] = s
	})
	return engineServer{e, name}, nil
}

type engineServer struct {
	e    engine
	name string
}

func (s engineServer) Identity() sqladmin.Identity {
	now := time.Now()
	return sqladmin.Identity{PrivateIP: "10.1.2.3", CACert: string(s.e.ca), CACommonName: "cn", CASerial: "0", CASHA1: "ab", CANotBefore: now, CANotAfter: now}
}

func (s engineServer) Apply(ctx context.Context, _ sqladmin.Config) error { return soon(ctx) }
func (s engineServer) Restart(context.Context) error                      { return fmt.Errorf("nobody restarts") }

func (s engineServer) with(f func(*server)) { s.e.w.own(func() { f(s.e.w.servers[s.name]) }) }

func (s engineServer) Databases(context.Context) (out []sqladmin.Database, _ error) {
	s.with(func(v *server) {
		for _, name := range sortedKeys(v.dbs) {
			d := v.dbs[name]
			out = append(out, sqladmin.Database{Name: d.Name, Charset: d.Charset, Collation: d.Collation})
		}
	})
	return out, nil
}

func (s engineServer) CreateDatabase(ctx context.Context, d sqladmin.Database) (err error) {
	s.with(func(v *server) {
		if _, there := v.dbs[d.Name]; there {
			err = sqladmin.ErrExists
			return
		}
		v.dbs[d.Name] = google.Database{Name: d.Name, Charset: d.Charset, Collation: d.Collation}
	})
	return err
}

func (s engineServer) AlterDatabase(context.Context, sqladmin.Database) error {
	return sqladmin.ErrNotFound
}

func (s engineServer) DropDatabase(_ context.Context, name string) error {
	s.with(func(v *server) { delete(v.dbs, name) })
	return nil
}

func (s engineServer) Users(context.Context) (out []sqladmin.User, _ error) {
	s.with(func(v *server) {
		for u := range v.users {
			out = append(out, sqladmin.User{Name: u.Name, Host: u.Host})
		}
	})
	slices.SortFunc(out, func(a, b sqladmin.User) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

func (s engineServer) SetUser(_ context.Context, u sqladmin.User, password string) error {
	s.with(func(v *server) { v.users[google.User{Name: u.Name, Host: u.Host}] = password })
	return nil
}

func (s engineServer) DropUser(_ context.Context, u sqladmin.User) error {
	s.with(func(v *server) { delete(v.users, google.User{Name: u.Name, Host: u.Host}) })
	return nil
}

func (s engineServer) Delete(context.Context) error {
	s.e.w.own(func() { delete(s.e.w.servers, s.name) })
	return nil
}

// cloud is the real Google client before the lab's APIs.
func cloud(t *testing.T, ws *wires, w *world) *google.Client {
	t.Helper()
	none := slog.New(slog.DiscardHandler)
	// What the clusters' API servers answer to those who only look whether they are there.
	kube := ws.serve("kubernetes", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { fmt.Fprint(rw, `{}`) }))
	var tokens http.Handler
	token := ws.serve("oauth", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { tokens.ServeHTTP(rw, r) }))
	auth := oauth.New(oauth.Config{Project: theProject, TokenURI: token.URL + "/token", Log: none})
	tokens = auth.Handler()
	key, err := auth.CreateAccount("slipway", "roles/cloudsql.admin", "roles/container.admin", "roles/browser")
	if err != nil {
		t.Fatal(err)
	}
	host := strings.TrimPrefix(kube.URL, "https://")
	clusters := container.New(container.Options{Project: theProject, ProjectNumber: "1", Backend: gke{w, host, ws.pem}, Auth: auth, Log: none})
	sql := sqladmin.New(sqladmin.Options{Project: theProject, ProjectNumber: "1", Engine: engine{w, ws.pem}, Auth: auth, Log: none, Pending: time.Millisecond})
	t.Cleanup(func() {
		for _, close := range []func(context.Context) error{clusters.Close, sql.Close} {
			if err := close(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
		}
	})
	p := project.New(project.Options{Project: theProject, ProjectNumber: "1", Auth: auth, Log: none, Known: oauth.KnownPermission})
	at := func(s *httptest.Server) string { return s.URL + "/" }
	c, err := google.New(google.Options{Key: secret.New(string(key)), CAFile: ws.file, UserAgent: "slipway/test", Endpoints: google.Endpoints{
		SQLAdmin: at(ws.serve("sqladmin", sql.Handler())), Container: at(ws.serve("container", clusters.Handler())),
		DNS: at(ws.serve("dns", http.NotFoundHandler())), ResourceManager: at(ws.serve("resource manager", p.ResourceManager()))}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// loginOnWorld logs in to the world's servers; all else is asked of the real client.
type loginOnWorld struct {
	google.SQLLooker
	w *world
}

func (l loginOnWorld) Login(ctx context.Context, inst google.Instance, user string, pw secret.String) error {
	return seeSQL{l.w}.Login(ctx, inst, user, pw)
}
