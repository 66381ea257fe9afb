package cloud

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/cloud/container"
	"github.com/slipway-dev/slipway/internal/lab/cloud/dns"
	"github.com/slipway-dev/slipway/internal/lab/cloud/mysql"
	"github.com/slipway-dev/slipway/internal/lab/cloud/oauth"
	"github.com/slipway-dev/slipway/internal/lab/cloud/ovh"
	"github.com/slipway-dev/slipway/internal/lab/cloud/project"
	"github.com/slipway-dev/slipway/internal/lab/cloud/sqladmin"
	"github.com/slipway-dev/slipway/internal/lab/cloud/storage"
	"github.com/slipway-dev/slipway/internal/lab/machine"
	"github.com/slipway-dev/slipway/internal/lab/names"
	"github.com/slipway-dev/slipway/internal/lab/network"
	"github.com/slipway-dev/slipway/internal/lab/progress"
)

// The one project of the cloud.
const (
	Project       = "shop-lab"
	ProjectNumber = 271828182845
)

// TokenReviewURL is where a cluster's API server asks about access tokens. By
// address, so that a control plane needs no resolver; the certificate has it.
const TokenReviewURL = "https://10.77.0.2/tokenreview"

// Hosts are the names that are answered, under the two domains.
var Hosts = []string{
	"cloudresourcemanager.google.lab", "container.google.lab", "dns.google.lab", "oauth2.google.lab", "serviceusage.google.lab",
	"sqladmin.google.lab", "storage.google.lab", "api.ovh.lab",
}

// Env is what of the lab the cloud is built on.
type Env struct {
	Launcher *machine.Launcher
	Network  *network.Network
	Names    *names.Servers
	MySQL    []string // the directories of mysql.Layer
	Clusters container.Backend
	Issue    func(names []string, ips []net.IP) (tls.Certificate, error)
	State    string // a directory of the cloud's own
	Cache    string // of the computer; the cloud's part of it is a directory
	Report   progress.Func
	Log      *slog.Logger
}

// Cloud is a cloud that serves.
type Cloud struct {
	OAuth     *oauth.Server
	SQL       *sqladmin.API
	Engine    *mysql.Engine
	Container *container.API
	DNS       *dns.API
	Storage   *storage.API
	OVH       *ovh.API

	server *http.Server
}

// Start brings the cloud up and returns when its endpoints answer.
func Start(ctx context.Context, env Env) (_ *Cloud, err error) {
	c := &Cloud{}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close(context.WithoutCancel(ctx)))
		}
	}()
	c.OAuth = oauth.New(oauth.Config{Project: Project, TokenURI: "https://oauth2.google.lab/token", Log: env.Log})
	number := fmt.Sprint(int64(ProjectNumber))
	c.Engine, err = mysql.New(ctx, mysql.Env{
		Launcher: env.Launcher, Network: env.Network, Lower: env.MySQL, Report: env.Report, Log: env.Log,
		Cache: filepath.Join(env.Cache, "mysql"), State: filepath.Join(env.State, "disks"),
	})
	if err != nil {
		return nil, err
	}
	c.SQL = sqladmin.New(sqladmin.Options{Project: Project, ProjectNumber: number, Engine: c.Engine, Auth: c.OAuth, Log: env.Log})
	c.Container = container.New(container.Options{Project: Project, ProjectNumber: number, Backend: env.Clusters, Auth: c.OAuth, Log: env.Log})
	c.DNS = dns.New(dns.Options{Project: Project, Backend: cloudZones{env.Names}, Auth: c.OAuth, Log: env.Log})
	if c.Storage, err = storage.New(storage.Options{Project: Project, ProjectNumber: ProjectNumber, Dir: filepath.Join(env.State, "objects"), Auth: c.OAuth, Log: env.Log}); err != nil {
		return nil, err
	}
	c.OVH, err = ovh.New(ctx, ovh.Options{
		Zones: []string{names.Production, names.Rehearsal}, NameServers: names.HostNames, Backend: ovhZones{env.Names}, Log: env.Log,
	})
	if err != nil {
		return nil, err
	}
	p := project.New(project.Options{
		Project: Project, ProjectNumber: number, Auth: c.OAuth, Log: env.Log, Known: oauth.KnownPermission,
		Enabled: []string{"cloudresourcemanager.googleapis.com", "container.googleapis.com", "dns.googleapis.com", "serviceusage.googleapis.com", "sqladmin.googleapis.com", "storage.googleapis.com"},
	})
	return c, c.listen(ctx, env, p)
}

// listen serves HTTPS on the cloud's address. Which API is asked follows from the
// host name, as it does at Google.
func (c *Cloud) listen(ctx context.Context, env Env, p *project.API) error {
	certificate, err := env.Issue(append([]string{"google.lab", "*.google.lab", "ovh.lab", "*.ovh.lab"}, Hosts...), []net.IP{net.IP(names.Cloud.AsSlice())})
	if err != nil {
		return fmt.Errorf("certificate of the cloud's endpoints: %w", err)
	}
	if err := env.Network.AddAddress(ctx, names.Cloud); err != nil {
		return fmt.Errorf("address of the cloud's endpoints: %w", err)
	}
	listener, err := env.Network.Listen(ctx, "tcp", net.JoinHostPort(names.Cloud.String(), "443"))
	if err != nil {
		return fmt.Errorf("listen for the cloud's endpoints: %w", err)
	}
	tokens := c.OAuth.Handler()
	hosts := map[string]http.Handler{
		"cloudresourcemanager.google.lab": p.ResourceManager(),
		"container.google.lab":            c.Container.Handler(),
		"dns.google.lab":                  c.DNS.Handler(),
		"oauth2.google.lab":               tokens,
		"serviceusage.google.lab":         p.ServiceUsage(),
		"sqladmin.google.lab":             c.SQL.Handler(),
		"storage.google.lab":              c.Storage.Handler(),
		"api.ovh.lab":                     c.OVH.Handler(),
		names.Cloud.String():              tokens,
	}
	c.server = &http.Server{
		Handler: byHost(hosts), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
		ErrorLog:  log.New(io.Discard, "", 0), // clients that break off a handshake
	}
	go func() {
		if err := c.server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
			env.Log.Error("the cloud's endpoints have ended", "error", err.Error())
		}
	}()
	return nil
}

// byHost hands a request to the API that its host name stands for.
func byHost(hosts map[string]http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		h, ok := hosts[strings.ToLower(host)]
		if !ok {
			http.Error(w, fmt.Sprintf(`{"error":{"code":404,"message":"the lab serves no API at %s","status":"NOT_FOUND"}}`, host), http.StatusNotFound)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// Close ends the endpoints, what is under way, and deletes all that was made.
func (c *Cloud) Close(ctx context.Context) error {
	var all error
	if c.server != nil {
		all = errors.Join(all, c.server.Close())
	}
	if c.SQL != nil {
		all = errors.Join(all, c.SQL.Close(ctx))
	}
	if c.Container != nil {
		all = errors.Join(all, c.Container.Close(ctx))
	}
	if c.DNS != nil {
		c.DNS.Close()
	}
	if c.OVH != nil {
		c.OVH.Close()
	}
	return all
}
