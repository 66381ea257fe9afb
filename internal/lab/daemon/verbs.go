package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/internal/lab/control"
	"github.com/slipway-dev/slipway/internal/lab/faults"
	"github.com/slipway-dev/slipway/internal/lab/fleet"
	"github.com/slipway-dev/slipway/internal/lab/progress"
	"github.com/slipway-dev/slipway/internal/lab/rehearsal"
	"github.com/slipway-dev/slipway/internal/lab/shop"
	"github.com/slipway-dev/slipway/internal/lab/verb"
)

var errNotUp = errors.New("the lab is not up: slipway-lab up")

// server answers. life is the daemon's own context, end ends it.
func (d *Daemon) server(life context.Context, end context.CancelFunc) *control.Server {
	s := &control.Server{}
	control.Handle(s, verb.Up, func(ctx context.Context, req verb.UpRequest, report progress.Func) (verb.Nothing, error) {
		return verb.Nothing{}, d.bringUp(ctx, life, req, report)
	})
	control.Handle(s, verb.Down, func(context.Context, verb.Nothing, progress.Func) (verb.Nothing, error) {
		end() // Serve takes everything down when all answers are given
		return verb.Nothing{}, nil
	})
	control.Handle(s, verb.Status, func(context.Context, verb.Nothing, progress.Func) (verb.Lab, error) { return d.status() })
	control.Handle(s, verb.Kill, d.onMachine((*faults.Faults).Kill))
	control.Handle(s, verb.Start, d.onMachine((*faults.Faults).Start))
	control.Handle(s, verb.Freeze, d.onMachine((*faults.Faults).Freeze))
	control.Handle(s, verb.Thaw, d.onMachine((*faults.Faults).Thaw))
	control.Handle(s, verb.Cut, func(ctx context.Context, req verb.CutRequest, _ progress.Func) (verb.Nothing, error) {
		return d.fault(func(f *faults.Faults) error { return f.Cut(ctx, req.A, req.B) })
	})
	control.Handle(s, verb.Slow, func(ctx context.Context, req verb.SlowRequest, _ progress.Func) (verb.Nothing, error) {
		return d.fault(func(f *faults.Faults) error { return f.Slow(ctx, req.Name, req.Rate) })
	})
	control.Handle(s, verb.Heal, func(ctx context.Context, _ verb.Nothing, _ progress.Func) (verb.Nothing, error) {
		return d.fault(func(f *faults.Faults) error { return f.Heal(ctx) })
	})
	control.Handle(s, verb.Checkpoint, func(ctx context.Context, _ verb.Nothing, report progress.Func) (verb.Nothing, error) {
		return verb.Nothing{}, d.save(ctx, report)
	})
	control.Handle(s, verb.Shopper, func(ctx context.Context, req verb.ShopperRequest, report progress.Func) (verb.Shopping, error) {
		return d.shop(ctx, life, req, report)
	})
	control.Handle(s, verb.ProofBegin, func(ctx context.Context, _ verb.Nothing, report progress.Func) (verb.Nothing, error) {
		return verb.Nothing{}, d.beginProof(ctx, report)
	})
	control.Handle(s, verb.ProofEnd, func(ctx context.Context, _ verb.Nothing, report progress.Func) (verb.Proof, error) {
		return d.endProof(ctx, report)
	})
	control.Handle(s, verb.Config, func(ctx context.Context, req verb.ConfigRequest, _ progress.Func) (verb.Nothing, error) {
		return verb.Nothing{}, d.config(ctx, req.Dir)
	})
	return s
}

// save makes the lab's own checkpoint of the hosts.
func (d *Daemon) save(ctx context.Context, report progress.Func) error {
	d.busy.Lock()
	defer d.busy.Unlock()
	d.mu.Lock()
	up, faults := d.up, d.faults
	d.mu.Unlock()
	if !up {
		return errNotUp
	}
	if broken := faults.List(); len(broken) > 0 {
		return fmt.Errorf("%d faults are not undone, and a checkpoint of a broken lab is worth nothing: slipway-lab heal", len(broken))
	}
	return d.lab.Fleet.Save(ctx, report)
}

// config writes all that a rehearsal against this lab needs, the hosts' share and each part's.
func (d *Daemon) config(ctx context.Context, dir string) error {
	d.busy.Lock()
	defer d.busy.Unlock()
	if d.lab.Fleet == nil {
		return errNotUp
	}
	secrets, err := d.lab.Fleet.Secrets()
	if err != nil {
		return err
	}
	image, err := d.lab.Fleet.Image(ctx)
	if err != nil {
		return err
	}
	if err := rehearsal.Write(dir, rehearsal.Source{Secrets: secrets, Files: d.size.Files, Image: image}); err != nil {
		return err
	}
	for _, part := range d.started {
		if err := part.Config(ctx, dir); err != nil {
			return fmt.Errorf("%s: %w", part.Name(), err)
		}
	}
	return nil
}

func (d *Daemon) fault(f func(*faults.Faults) error) (verb.Nothing, error) {
	d.mu.Lock()
	made := d.faults
	d.mu.Unlock()
	if made == nil {
		return verb.Nothing{}, errNotUp
	}
	return verb.Nothing{}, f(made)
}

func (d *Daemon) onMachine(f func(*faults.Faults, context.Context, string) error) func(context.Context, verb.Machine, progress.Func) (verb.Nothing, error) {
	return func(ctx context.Context, req verb.Machine, _ progress.Func) (verb.Nothing, error) {
		return d.fault(func(made *faults.Faults) error { return f(made, ctx, req.Name) })
	}
}

func (d *Daemon) status() (verb.Lab, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := verb.Lab{Name: d.lab.Place.Name, Pid: os.Getpid(), Since: d.since, State: "starting", Rows: d.size.Rows, Files: d.size.Files,
		Hosts: []verb.Host{}, Machines: []verb.Host{}, Faults: []verb.Fault{}, Endpoints: []verb.Name{}}
	if d.up {
		out.State = "up"
	}
	var frozen []string
	if d.faults != nil {
		out.Faults = append(out.Faults, d.faults.List()...)
		for _, f := range out.Faults {
			if f.Kind == "frozen" {
				frozen = append(frozen, f.A)
			}
		}
	}
	for _, h := range fleet.Hosts() {
		host := verb.Host{Name: h.Name, Role: string(h.Role), Suite: string(h.Suite), Address: h.Addr.String(), State: verb.Stopped}
		if m := d.lab.Launcher.Machine(h.Name); m != nil {
			host.Pid, host.State = m.Pid(), verb.Running
			if slices.Contains(frozen, h.Name) {
				host.State = verb.Frozen
			}
		}
		out.Hosts = append(out.Hosts, host)
	}
	for _, part := range d.started {
		out.Machines = append(out.Machines, part.Machines()...)
		out.Endpoints = append(out.Endpoints, part.Endpoints()...)
	}
	known := []string{"network"} // holds the lab's network, and is nothing that anybody would break
	for _, h := range append(out.Hosts, out.Machines...) {
		known = append(known, h.Name)
	}
	for _, m := range d.lab.Launcher.Machines() {
		if !slices.Contains(known, m.Name()) {
			out.Machines = append(out.Machines, verb.Host{Name: m.Name(), State: verb.Running, Pid: m.Pid()})
		}
	}
	for i, m := range out.Machines {
		if slices.Contains(frozen, m.Name) {
			out.Machines[i].State = verb.Frozen
		}
	}
	slices.SortFunc(out.Machines, func(a, b verb.Host) int { return strings.Compare(a.Name, b.Name) })
	if d.lab.Network != nil {
		var err error
		out.NetworkPid = d.lab.Network.Pid()
		if out.NetworkInode, err = d.lab.Network.Inode(); err != nil {
			return out, err
		}
	}
	return out, nil
}

// sizeOf fills in what the request leaves open: as the lab is, or as a lab is by default.
func (d *Daemon) sizeOf(req verb.UpRequest) shop.Size {
	d.mu.Lock()
	defer d.mu.Unlock()
	size := shop.DefaultSize
	if d.up {
		size = d.size
	}
	if req.Rows != 0 {
		size.Rows = req.Rows
	}
	if req.Files != 0 {
		size.Files = req.Files
	}
	return size
}
