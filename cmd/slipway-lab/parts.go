package main

import (
	"context"
	"errors"
	"path/filepath"
	"sync"

	"github.com/slipway-dev/slipway/internal/lab/cloud/container"
	"github.com/slipway-dev/slipway/internal/lab/cloud/part"
	"github.com/slipway-dev/slipway/internal/lab/daemon"
	"github.com/slipway-dev/slipway/internal/lab/fleet"
	"github.com/slipway-dev/slipway/internal/lab/image"
	"github.com/slipway-dev/slipway/internal/lab/kubernetes"
	"github.com/slipway-dev/slipway/internal/lab/machine"
	"github.com/slipway-dev/slipway/internal/lab/names"
	"github.com/slipway-dev/slipway/internal/lab/progress"
	"github.com/slipway-dev/slipway/internal/lab/rootfs"
	"github.com/slipway-dev/slipway/internal/lab/shop"
	"github.com/slipway-dev/slipway/internal/lab/verb"
)

// parts are what the lab consists of besides the hosts, in the order in which they come up.
func parts() []daemon.Part {
	servers := &nameServers{}
	clusters := &clusterPart{}
	return []daemon.Part{servers, clusters, part.New(&servers.Names, clusters.backend)}
}

// nameServers are the name servers with what a proof asks of them.
type nameServers struct{ part.Names }

var _ daemon.ZoneKeeper = (*nameServers)(nil)

func (n *nameServers) Records(ctx context.Context, zone string) ([]string, error) {
	servers := n.Servers()
	if servers == nil {
		return nil, errors.New("the name servers are not up")
	}
	records, err := servers.Transfer(ctx, zone)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, r := range records {
		out = append(out, r.String())
	}
	return out, nil
}

func (n *nameServers) Untouched() []string { return []string{names.Production} }
func (n *nameServers) Restored() []string  { return []string{names.Rehearsal} }

// clusterPart is the Kubernetes clusters that the cloud gives out: none at first.
type clusterPart struct {
	mu       sync.Mutex
	env      kubernetes.Env
	clusters *kubernetes.Clusters
	ca       []byte
}

func (p *clusterPart) Name() string { return "clusters" }

func (p *clusterPart) Layers() []rootfs.Layer { return []rootfs.Layer{image.Engine} }

// Prepare compiles Kubernetes and makes the images, unless both are cached.
func (p *clusterPart) Prepare(ctx context.Context, lab daemon.Lab, report progress.Func) error {
	builder, err := kubernetes.NewBuilder(filepath.Join(lab.Place.Cache, "kubernetes"), "", lab.Launcher, report)
	if err != nil {
		return err
	}
	images, err := image.Open(filepath.Join(lab.Place.Cache, "images"), lab.Launcher, lab.Store, report)
	if err != nil {
		return err
	}
	env := kubernetes.Env{Dir: filepath.Join(lab.Place.State, "clusters"), Launcher: lab.Launcher, Rootfs: lab.Store,
		Builder: builder, Images: images, Preloaded: shopImages(), Resolver: names.Resolver, Report: progress.Discard}
	if err := env.Prepare(ctx); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.env = env
	return nil
}

func (p *clusterPart) Up(_, _ context.Context, lab daemon.Lab, _ progress.Func) (err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.clusters == nil {
		p.env.Network = lab.Network
		p.clusters, err = kubernetes.New(p.env)
	}
	p.ca = lab.Authority.CA()
	return err
}

func (p *clusterPart) Down(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.clusters == nil {
		return nil
	}
	return p.clusters.Close(ctx)
}

func (p *clusterPart) backend() (container.Backend, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.clusters == nil {
		return noClusters{}, nil
	}
	return part.Clusters{Kubernetes: p.clusters, CA: p.ca}, nil
}

// noClusters is what there is in a lab that was brought up without.
type noClusters struct{}

var errNoClusters = errors.New("this lab was brought up with --without clusters")

func (noClusters) Versions() []string { return nil }

func (noClusters) Start(context.Context, container.Spec, func(container.Stage)) (container.Endpoint, error) {
	return container.Endpoint{}, errNoClusters
}

func (noClusters) Stop(context.Context, string) error { return errNoClusters }

func (p *clusterPart) Machines() []verb.Host { return nil }

func (p *clusterPart) Endpoints() []verb.Name { return nil }

func (p *clusterPart) Config(context.Context, string) error { return nil }

// shopImages are made of the same layers as the hosts.
func shopImages() []image.Image {
	roles := []struct {
		shop shop.Role
		host fleet.Role
	}{{shop.Edge, fleet.Edge}, {shop.Caching, fleet.Cache}, {shop.Webs, fleet.Web}, {shop.Redis, fleet.Redis}, {shop.Broker, fleet.Files}}
	var out []image.Image
	for _, i := range shop.Images() {
		for _, r := range roles {
			if r.shop != i.Role {
				continue
			}
			layer := fleet.RoleLayer(r.host, rootfs.Bookworm)
			img := image.Image{Name: image.Registry + "/shop/" + i.Name + ":1", Layer: &layer, Cmd: i.Command, User: i.User, Ports: i.Ports,
				Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"}}
			for _, f := range i.Files {
				img.Files = append(img.Files, machine.File{Path: f.Path, Mode: f.Mode, Owner: f.Owner, Content: f.Body, Link: f.Link})
			}
			out = append(out, img)
		}
	}
	return out
}
