package cloud

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/slipway-dev/slipway/internal/lab/cloud/container"
	"github.com/slipway-dev/slipway/internal/lab/cloud/mysql"
	"github.com/slipway-dev/slipway/internal/lab/daemon"
	"github.com/slipway-dev/slipway/internal/lab/names"
	"github.com/slipway-dev/slipway/internal/lab/progress"
	"github.com/slipway-dev/slipway/internal/lab/rootfs"
	"github.com/slipway-dev/slipway/internal/lab/verb"
)

// NamesPart is the name servers as a part of the daemon.
type NamesPart struct {
	mu      sync.Mutex
	servers *names.Servers
}

var _ daemon.Part = (*NamesPart)(nil)

// Servers are the name servers; nil while they are not up.
func (p *NamesPart) Servers() *names.Servers {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.servers
}

func (p *NamesPart) Name() string { return "name servers" }

func (p *NamesPart) Layers() []rootfs.Layer { return []rootfs.Layer{names.Layer} }

func (p *NamesPart) Up(ctx, _ context.Context, lab daemon.Lab, report progress.Func) error {
	if p.Servers() != nil {
		return nil
	}
	task := progress.Begin(report, "start the name servers")
	lower, err := lab.Store.Ensure(ctx, names.Layer)
	if err != nil {
		return err
	}
	s, err := names.Start(ctx, names.Env{Launcher: lab.Launcher, Network: lab.Network, Lower: lower})
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.servers = s
	task.End()
	return nil
}

func (p *NamesPart) Down(ctx context.Context) error {
	s := p.Servers()
	if s == nil {
		return nil
	}
	p.mu.Lock()
	p.servers = nil
	p.mu.Unlock()
	return s.Close(ctx)
}

func (p *NamesPart) Machines() []verb.Host {
	s := p.Servers()
	if s == nil {
		return nil
	}
	var out []verb.Host
	for _, m := range s.Machines() {
		out = append(out, verb.Host{Name: m.Name, Role: "dns", Suite: "bookworm", Address: m.Address.String(), State: m.State, Pid: m.Pid})
	}
	return out
}

func (p *NamesPart) Endpoints() []verb.Name { return nil }

// Config: a rehearsal needs nothing of the name servers but their addresses,
// which its slipway.yaml names.
func (p *NamesPart) Config(context.Context, string) error { return nil }

// Part is the cloud as a part of the daemon.
type Part struct {
	names    *NamesPart
	clusters func() (container.Backend, error)

	mu          sync.Mutex
	cloud       *Cloud
	credentials []credential
}

var _ daemon.Part = (*Part)(nil)

// NewPart makes the part. names must come up before it; clusters gives the
// backend of the Kubernetes clusters when the cloud comes up.
func NewPart(names *NamesPart, clusters func() (container.Backend, error)) *Part {
	return &Part{names: names, clusters: clusters}
}

// Cloud is the cloud; nil while it is not up.
func (p *Part) Cloud() *Cloud {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cloud
}

func (p *Part) Name() string { return "cloud" }

func (p *Part) Layers() []rootfs.Layer { return []rootfs.Layer{mysql.Layer} }

func (p *Part) Up(ctx, _ context.Context, lab daemon.Lab, report progress.Func) error {
	if p.Cloud() != nil {
		return nil
	}
	servers := p.names.Servers()
	if servers == nil {
		return errors.New("the cloud needs the name servers up")
	}
	task := progress.Begin(report, "start the cloud's endpoints")
	lower, err := lab.Store.Ensure(ctx, mysql.Layer)
	if err != nil {
		return err
	}
	clusters, err := p.clusters()
	if err != nil {
		return err
	}
	c, err := Start(ctx, Env{
		Launcher: lab.Launcher, Network: lab.Network, Names: servers, MySQL: lower, Clusters: clusters, Issue: lab.Authority.Issue,
		State: filepath.Join(lab.Place.State, "cloud"), Cache: lab.Place.Cache, Report: report,
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)), // the daemon's log
	})
	if err != nil {
		return err
	}
	list, err := c.credentials()
	if err != nil {
		return errors.Join(err, c.Close(context.WithoutCancel(ctx)))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cloud, p.credentials = c, list
	task.End()
	return nil
}

func (p *Part) Down(ctx context.Context) error {
	c := p.Cloud()
	if c == nil {
		return nil
	}
	p.mu.Lock()
	p.cloud, p.credentials = nil, nil
	p.mu.Unlock()
	return c.Close(ctx)
}

// Machines are those of the MySQL instances.
func (p *Part) Machines() []verb.Host {
	c := p.Cloud()
	if c == nil {
		return nil
	}
	var out []verb.Host
	for _, m := range c.Engine.Machines() {
		out = append(out, verb.Host{Name: m.Name, Role: "mysql", Suite: "sid", Address: m.Address.String(), State: verb.Running, Pid: m.Pid})
	}
	return out
}

func (p *Part) Endpoints() []verb.Name {
	if p.Cloud() == nil {
		return nil
	}
	var out []verb.Name
	for _, h := range Hosts {
		out = append(out, verb.Name{Name: "https://" + h + "/", Address: names.Cloud.String()})
	}
	return out
}

// Config writes the keys that a rehearsal uses into dir/secrets.
func (p *Part) Config(_ context.Context, dir string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cloud == nil {
		return errors.New("the cloud is not up")
	}
	return writeCredentials(filepath.Join(dir, "secrets"), p.credentials)
}
