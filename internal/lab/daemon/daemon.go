// Package daemon is the process that holds a lab: it starts what the lab consists of, answers slipway-lab and the tests over a socket, and takes everything
// down when it ends. What the lab consists of besides the hosts (name servers, the cloud) comes as [Part]s from cmd/slipway-lab.
//
// It imports the lab's other packages, and nothing of the product.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-dev/slipway/internal/lab/control"
	"github.com/slipway-dev/slipway/internal/lab/faults"
	"github.com/slipway-dev/slipway/internal/lab/fleet"
	"github.com/slipway-dev/slipway/internal/lab/machine"
	"github.com/slipway-dev/slipway/internal/lab/network"
	"github.com/slipway-dev/slipway/internal/lab/pki"
	"github.com/slipway-dev/slipway/internal/lab/place"
	"github.com/slipway-dev/slipway/internal/lab/progress"
	"github.com/slipway-dev/slipway/internal/lab/proof"
	"github.com/slipway-dev/slipway/internal/lab/rootfs"
	"github.com/slipway-dev/slipway/internal/lab/shop"
	"github.com/slipway-dev/slipway/internal/lab/verb"
)

// Resolver answers names in the lab.
var Resolver = netip.MustParseAddrPort("10.77.0.73:53")

// Lab is what parts build on.
type Lab struct {
	Place     place.Place
	Launcher  *machine.Launcher
	Store     *rootfs.Store
	Network   *network.Network
	Fleet     *fleet.Fleet
	Authority *pki.CA
}

// Part is a piece of the lab besides the hosts. Its methods are called one at a time.
type Part interface {
	// Name is for people: "name servers".
	Name() string
	// Layers are built before Up, side by side with all others.
	Layers() []rootfs.Layer
	// Up starts what doesn't run and returns when it serves. ctx bounds the call; what goes on afterwards is bound to life, the daemon's context.
	Up(ctx, life context.Context, lab Lab, report progress.Func) error
	// Down ends it. Machines and processes may also just be left: they end with the daemon.
	Down(ctx context.Context) error
	// Machines and Endpoints are shown by status.
	Machines() []verb.Host
	Endpoints() []verb.Name
	// Config writes into dir what a rehearsal against the lab needs of this part.
	Config(ctx context.Context, dir string) error
}

// Preparer is a Part with long work that needs neither network nor hosts: Prepare is called first of all and runs side by side with their coming up. lab has
// no Network and no Fleet yet.
type Preparer interface {
	Prepare(ctx context.Context, lab Lab, report progress.Func) error
}

// Daemon holds one lab.
type Daemon struct {
	parts []Part
	since time.Time

	busy     sync.Mutex // one change of the lab at a time
	prepared []Part
	proof    *proof.Proof

	shopper shopping

	mu       sync.Mutex
	lab      Lab
	faults   *faults.Faults
	started  []Part
	up       bool
	size     shop.Size
	listener progress.Func
}

// New makes the daemon of a place. parts are brought up in order, after the hosts, and taken down in reverse.
func New(p place.Place, parts ...Part) *Daemon {
	return &Daemon{parts: parts, since: time.Now(), lab: Lab{Place: p}}
}

// ErrHeld means that a living daemon has the lab.
var ErrHeld = errors.New("another daemon holds this lab")

// Serve holds the lab until it is asked to take it down or ctx ends; then it takes everything down and returns.
func (d *Daemon) Serve(ctx context.Context) error {
	p := d.lab.Place
	if err := p.Check(); err != nil {
		return err
	}
	unlock, err := Hold(p)
	if err != nil {
		return err
	}
	defer unlock()
	if err := clean(ctx, p); err != nil {
		return err
	}
	if err := raiseLimits(); err != nil {
		return err
	}
	if d.lab.Launcher, err = machine.NewLauncher(p.Name, p.Machines()); err != nil {
		return err
	}
	if d.lab.Store, err = rootfs.Open(p.Cache, d.lab.Launcher, d.report); err != nil {
		return err
	}
	listener, err := control.Listen(p.Socket())
	if err != nil {
		return err
	}
	life, end := context.WithCancel(ctx)
	defer end()
	err = d.server(life, end).Serve(life, listener)
	return errors.Join(err, d.takeDown(context.WithoutCancel(ctx)))
}

// Clean removes what a killed daemon left of the lab: cgroups, state, and should the kernel still be at it, processes. It fails if a living daemon holds the lab.
func Clean(ctx context.Context, p place.Place) error {
	if _, err := os.Stat(p.State); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	unlock, err := Hold(p)
	if err != nil {
		return err
	}
	defer unlock()
	if err := clean(ctx, p); err != nil {
		return err
	}
	return os.RemoveAll(p.State)
}

func clean(ctx context.Context, p place.Place) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	l, err := machine.NewLauncher(p.Name, p.Machines())
	if err != nil {
		return err
	}
	if err := l.Clean(ctx, true); err != nil {
		return fmt.Errorf("clean what a killed lab left: %w", err)
	}
	entries, err := os.ReadDir(p.State)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(p.State, e.Name())
		if path == p.Lock() || path == p.Log() {
			continue
		}
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	return nil
}

// bringUp makes the lab whole: whatever is missing is started. What goes on when ctx ends is bound to life.
func (d *Daemon) bringUp(ctx, life context.Context, req verb.UpRequest, report progress.Func) error {
	d.busy.Lock()
	defer d.busy.Unlock()
	d.setReport(report)
	defer d.setReport(progress.Discard)
	parts := slices.Clone(d.parts)
	for _, name := range req.Without {
		i := slices.IndexFunc(parts, func(p Part) bool { return p.Name() == name })
		if i < 0 {
			return fmt.Errorf("the lab has no part %q: it has %s", name, d.partNames())
		}
		parts = slices.Delete(parts, i, i+1)
	}
	size := d.sizeOf(req)
	if err := size.Check(); err != nil {
		return err
	}
	if err := d.prepareAndStart(ctx, parts, fleet.Options{Size: size, Fresh: req.Fresh, Saved: req.Checkpoint}, report); err != nil {
		return err
	}
	secrets, err := d.lab.Fleet.Secrets()
	if err != nil {
		return err
	}
	if d.lab.Authority, err = secrets.Authority(); err != nil {
		return err
	}
	for _, part := range parts {
		if !slices.Contains(d.started, part) {
			d.mu.Lock()
			d.started = append(d.started, part)
			d.mu.Unlock()
		}
		if err := part.Up(ctx, life, d.lab, report); err != nil {
			return fmt.Errorf("%s: %w", part.Name(), err)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.up, d.size = true, d.lab.Fleet.Size()
	return nil
}

// prepareAndStart does all that takes long, side by side: what parts prepare, the root file systems, network and hosts.
func (d *Daemon) prepareAndStart(ctx context.Context, parts []Part, o fleet.Options, report progress.Func) error {
	group, gctx := errgroup.WithContext(ctx)
	bare := d.lab
	bare.Network, bare.Fleet = nil, nil
	for _, part := range parts {
		preparer, ok := part.(Preparer)
		if !ok || slices.Contains(d.prepared, part) {
			continue
		}
		d.prepared = append(d.prepared, part)
		group.Go(func() error {
			if err := preparer.Prepare(gctx, bare, report); err != nil {
				return fmt.Errorf("%s: %w", part.Name(), err)
			}
			return nil
		})
	}
	group.Go(func() error {
		layers := fleet.Layers()
		for _, part := range parts {
			layers = append(layers, part.Layers()...)
		}
		below, bctx := errgroup.WithContext(gctx)
		below.Go(func() error { return d.lab.Store.EnsureAll(bctx, layers...) })
		below.Go(func() error { return d.connect(bctx) })
		if err := below.Wait(); err != nil {
			return err
		}
		return d.lab.Fleet.Up(gctx, o, report)
	})
	err := group.Wait()
	if err != nil {
		d.prepared = nil
	}
	return err
}

func (d *Daemon) partNames() string {
	var names []string
	for _, p := range d.parts {
		names = append(names, p.Name())
	}
	return strings.Join(names, ", ")
}

// connect makes the network, once.
func (d *Daemon) connect(ctx context.Context) error {
	if d.lab.Network != nil {
		return nil
	}
	lower, err := d.lab.Store.Ensure(ctx, rootfs.Base)
	if err != nil {
		return err
	}
	net, err := network.New(ctx, d.lab.Launcher, lower, Resolver)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lab.Network = net
	d.lab.Fleet = fleet.New(fleet.Env{Name: d.lab.Place.Name, Launcher: d.lab.Launcher, Store: d.lab.Store, Network: net, Cache: d.lab.Place.Cache, Access: d.lab.Place.Access()})
	d.faults = faults.New(d.lab.Fleet, d.lab.Launcher, net)
	return nil
}

// takeDown ends everything, in reverse. What fails doesn't keep the rest from ending.
func (d *Daemon) takeDown(ctx context.Context) error {
	d.busy.Lock()
	defer d.busy.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	var errs []error
	for _, part := range slices.Backward(d.started) {
		if err := part.Down(ctx); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", part.Name(), err))
		}
	}
	if d.lab.Fleet != nil {
		errs = append(errs, d.lab.Fleet.Down(ctx))
	}
	if d.lab.Network != nil {
		errs = append(errs, d.lab.Network.Close(ctx))
	}
	if d.lab.Launcher != nil {
		errs = append(errs, d.lab.Launcher.Clean(ctx, true))
	}
	return errors.Join(errs...)
}

// report goes to whoever asked for the change that is under way.
func (d *Daemon) report(r progress.Report) {
	if to := d.reporting(); to != nil {
		to(r)
	}
}
