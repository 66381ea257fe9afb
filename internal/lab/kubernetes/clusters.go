package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-dev/slipway/internal/lab/image"
	"github.com/slipway-dev/slipway/internal/lab/machine"
	"github.com/slipway-dev/slipway/internal/lab/network"
	"github.com/slipway-dev/slipway/internal/lab/progress"
	"github.com/slipway-dev/slipway/internal/lab/rootfs"
)

// Env is what clusters need of the lab they run in.
type Env struct {
	// Dir is where clusters keep their state while they run. What a killed lab left there is removed.
	Dir      string
	Launcher *machine.Launcher
	Network  *network.Network
	Rootfs   *rootfs.Store
	Builder  *Builder
	Images   *image.Store
	// Preloaded are the images that pods can run, beside the cluster's own and Tools.
	Preloaded []image.Image
	// Resolver answers names that are not the cluster's.
	Resolver netip.Addr
	Report   progress.Func
}

// Webhook is where a cluster's API server asks about bearer tokens that it doesn't know: with a TokenReview of authentication.k8s.io/v1, by POST.
type Webhook struct {
	URL string // https; by address, or a name that Resolver knows
	CA  []byte // PEM
}

// Spec says what cluster is wanted.
type Spec struct {
	Name    string // as the cloud's API has it: lower case letters, digits and dashes
	Nodes   int    // 1 to 14
	Webhook Webhook
}

// Endpoint is how a cluster is reached and how its answers are checked.
type Endpoint struct {
	Host     string // an IP address; port 443
	CA       []byte // PEM
	Pods     netip.Prefix
	Services netip.Prefix
}

// ErrExists says that a cluster of the name is there or in the making.
var ErrExists = errors.New("cluster exists")

// ErrNotFound says that no cluster has the name.
var ErrNotFound = errors.New("no such cluster")

// Clusters are the clusters of one lab. It is safe for concurrent use.
type Clusters struct {
	env Env

	mu    sync.Mutex
	slots [MaxClusters]*slot
}

// slot is a cluster's share of the lab's addresses, taken for as long as anything of the cluster is there.
type slot struct {
	name    string
	cluster *cluster // nil while it is made
}

// New makes the clusters of a lab: none yet.
func New(env Env) (*Clusters, error) {
	if err := errors.Join(os.RemoveAll(env.Dir), os.MkdirAll(env.Dir, 0o700)); err != nil {
		return nil, fmt.Errorf("clusters: %w", err)
	}
	dir, err := filepath.EvalSymlinks(env.Dir)
	if err != nil {
		return nil, err
	}
	if env.Dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	return &Clusters{env: env}, nil
}

// prepared is what all clusters of a lab share.
type prepared struct {
	programs Programs
	images   image.Set
	lower    []string
}

// Prepare builds what clusters are made of, unless it is cached: Kubernetes (minutes), the machines' root file system, the images. Start does it too; whoever
// has other things to do in the meantime calls it first. It needs of Env only Rootfs, Builder, Images and Preloaded.
func (e Env) Prepare(ctx context.Context) error {
	_, err := e.prepare(ctx)
	return err
}

func (e Env) prepare(ctx context.Context) (prepared, error) {
	var p prepared
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		p.lower, err = e.Rootfs.Ensure(gctx, image.Engine)
		return err
	})
	group.Go(func() (err error) {
		p.programs, err = e.Builder.Ensure(gctx)
		return err
	})
	if err := group.Wait(); err != nil {
		return p, err
	}
	pause, err := e.Images.Pause(ctx)
	if err != nil {
		return p, err
	}
	images := append([]image.Image{pause, dnsImage(p.programs), Tools}, e.Preloaded...)
	p.images, err = e.Images.Ensure(ctx, images)
	return p, err
}

// Tools is an image with what moves files: tar, coreutils, attr, acl, rsync.
var Tools = image.Image{Name: image.Registry + "/lab/tools:1", Layer: &rootfs.Base, Cmd: []string{"/bin/sleep", "infinity"},
	Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"}}

// Start makes a cluster and returns when everything in it is ready: nodes, name server, storage. What it does meanwhile it reports to Env.Report and to report. When it
// fails or ctx ends, nothing is left of the cluster.
func (c *Clusters) Start(ctx context.Context, spec Spec, report progress.Func) (Endpoint, error) {
	if err := spec.check(); err != nil {
		return Endpoint{}, err
	}
	p, err := c.env.prepare(ctx)
	if err != nil {
		return Endpoint{}, fmt.Errorf("cluster %s: %w", spec.Name, err)
	}
	at, err := c.reserve(spec.Name)
	if err != nil {
		return Endpoint{}, err
	}
	both := func(r progress.Report) { c.env.Report(r); report(r) }
	made, err := startCluster(ctx, c.env, plan{slot: at}, spec, p, both)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.slots[at] = nil
		return Endpoint{}, fmt.Errorf("start cluster %s: %w", spec.Name, err)
	}
	c.slots[at].cluster = made
	return Endpoint{Host: made.plan.controlPlane().String(), CA: made.ca.pem, Pods: made.plan.pods(), Services: made.plan.services()}, nil
}

func (s Spec) check() error {
	if s.Name == "" || strings.Trim(s.Name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return fmt.Errorf("cluster name %q: want lower case letters, digits and dashes", s.Name)
	}
	if s.Nodes < 1 || s.Nodes > maxNodes {
		return fmt.Errorf("cluster %s: %d nodes: want 1 to %d", s.Name, s.Nodes, maxNodes)
	}
	return nil
}

func (c *Clusters) reserve(name string) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.slots {
		if s != nil && s.name == name {
			return 0, fmt.Errorf("cluster %s: %w", name, ErrExists)
		}
	}
	at := slices.Index(c.slots[:], nil)
	if at < 0 {
		return 0, fmt.Errorf("cluster %s: the lab has %d already, which is all it holds", name, MaxClusters)
	}
	c.slots[at] = &slot{name: name}
	return at, nil
}

// Stop ends a cluster and deletes all that it held. When it fails it can be called again.
func (c *Clusters) Stop(ctx context.Context, name string) error {
	c.mu.Lock()
	at := slices.IndexFunc(c.slots[:], func(s *slot) bool { return s != nil && s.name == name })
	var made *cluster
	if at >= 0 {
		made = c.slots[at].cluster
	}
	c.mu.Unlock()
	switch {
	case at < 0:
		return fmt.Errorf("cluster %s: %w", name, ErrNotFound)
	case made == nil:
		return fmt.Errorf("cluster %s is still being made: end the context of its Start", name)
	}
	if err := made.stop(ctx); err != nil {
		return fmt.Errorf("stop cluster %s: %w", name, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.slots[at] != nil && c.slots[at].cluster == made {
		c.slots[at] = nil
	}
	return nil
}

// Names are the clusters that run, in the order of their addresses.
func (c *Clusters) Names() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	for _, s := range c.slots {
		if s != nil && s.cluster != nil {
			names = append(names, s.name)
		}
	}
	return names
}

// Close stops all clusters.
func (c *Clusters) Close(ctx context.Context) error {
	var errs []error
	for _, name := range c.Names() {
		if err := c.Stop(ctx, name); !errors.Is(err, ErrNotFound) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
