// Package part is the name servers and the cloud as parts of the lab's daemon.
//
// It must be imported by cmd/slipway-lab and tests alone.
package part

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/slipway-dev/slipway/internal/lab/cloud"
	"github.com/slipway-dev/slipway/internal/lab/cloud/container"
	"github.com/slipway-dev/slipway/internal/lab/cloud/mysql"
	"github.com/slipway-dev/slipway/internal/lab/daemon"
	"github.com/slipway-dev/slipway/internal/lab/names"
	"github.com/slipway-dev/slipway/internal/lab/progress"
	"github.com/slipway-dev/slipway/internal/lab/rootfs"
	"github.com/slipway-dev/slipway/internal/lab/verb"
)

// Names is the name servers as a part.
type Names struct {
	mu      sync.Mutex
	servers *names.Servers
}

var _ daemon.Part = (*Names)(nil)

// Servers are the name servers; nil while they are not up.
func (p *Names) Servers() *names.Servers {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.servers
}

func (p *Names) Name() string { return "name servers" }

func (p *Names) Layers() []rootfs.Layer { return []rootfs.Layer{names.Layer} }

func (p *Names) Up(ctx, _ context.Context, lab daemon.Lab, report progress.Func) error {
	if s := p.Servers(); s != nil {
		return s.Up(ctx)
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

func (p *Names) Down(ctx context.Context) error {
	s := p.Servers()
	if s == nil {
		return nil
	}
	p.mu.Lock()
	p.servers = nil
	p.mu.Unlock()
	return s.Close(ctx)
}

func (p *Names) Machines() []verb.Host {
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

func (p *Names) Endpoints() []verb.Name { return nil }

// Config: a rehearsal needs nothing of the name servers but their addresses,
// which its slipway.yaml names.
func (p *Names) Config(context.Context, string) error { return nil }

// Cloud is the cloud as a part.
type Cloud struct {
	names    *Names
	clusters func() (container.Backend, error)

	mu    sync.Mutex
	cloud *cloud.Cloud
	keys  []cloud.Credential
}

var _ daemon.Part = (*Cloud)(nil)

// New makes the part. names must come up before it; clusters gives the
// backend of the Kubernetes clusters when the cloud comes up.
func New(names *Names, clusters func() (container.Backend, error)) *Cloud {
	return &Cloud{names: names, clusters: clusters}
}

// Cloud is the cloud; nil while it is not up.
func (p *Cloud) Cloud() *cloud.Cloud {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cloud
}

func (p *Cloud) Name() string { return "cloud" }

func (p *Cloud) Layers() []rootfs.Layer { return []rootfs.Layer{mysql.Layer} }

func (p *Cloud) Up(ctx, _ context.Context, lab daemon.Lab, report progress.Func) error {
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
	c, err := cloud.Start(ctx, cloud.Env{
		Launcher: lab.Launcher, Network: lab.Network, Names: servers, MySQL: lower, Clusters: clusters, Issue: lab.Authority.Issue,
		State: filepath.Join(lab.Place.State, "cloud"), Cache: lab.Place.Cache, Report: report,
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)), // the daemon's log
	})
	if err != nil {
		return err
	}
	list, err := c.Credentials()
	if err != nil {
		return errors.Join(err, c.Close(context.WithoutCancel(ctx)))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cloud, p.keys = c, list
	task.End()
	return nil
}

func (p *Cloud) Down(ctx context.Context) error {
	c := p.Cloud()
	if c == nil {
		return nil
	}
	p.mu.Lock()
	p.cloud, p.keys = nil, nil
	p.mu.Unlock()
	return c.Close(ctx)
}

// Machines are those of the MySQL instances.
func (p *Cloud) Machines() []verb.Host {
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

func (p *Cloud) Endpoints() []verb.Name {
	if p.Cloud() == nil {
		return nil
	}
	var out []verb.Name
	for _, h := range cloud.Hosts {
		out = append(out, verb.Name{Name: "https://" + h + "/", Address: names.Cloud.String()})
	}
	return out
}

// Config writes the keys that a rehearsal uses into dir/secrets.
func (p *Cloud) Config(_ context.Context, dir string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cloud == nil {
		return errors.New("the cloud is not up")
	}
	return cloud.WriteCredentials(filepath.Join(dir, "secrets"), p.keys)
}
