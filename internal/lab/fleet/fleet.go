package fleet

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-dev/slipway/internal/lab/machine"
	"github.com/slipway-dev/slipway/internal/lab/network"
	"github.com/slipway-dev/slipway/internal/lab/progress"
	"github.com/slipway-dev/slipway/internal/lab/rootfs"
	"github.com/slipway-dev/slipway/internal/lab/shop"
)

// Env is what the fleet stands on. Cache is the directory shared by the labs of this computer,
// Access the lab's own.
type Env struct {
	Name     string // the lab's
	Launcher *machine.Launcher
	Store    *rootfs.Store
	Network  *network.Network
	Cache    string
	Access   string // where the keys to the running fleet go; see LoadAccess
}

// Options choose the fleet.
type Options struct {
	Size  shop.Size
	Fresh bool // form it anew even if there is a checkpoint
	Saved bool // start from what Save kept, whose size counts then
}

// Fleet is the 17 hosts of one lab. It is safe for concurrent use.
type Fleet struct {
	env Env

	mu         sync.Mutex
	lower      [][]string // the role layers, in the order of Hosts
	checkpoint checkpoint
	secrets    Secrets
	size       shop.Size
}

// New makes a fleet that is down.
func New(env Env) *Fleet { return &Fleet{env: env} }

// Up starts all hosts that don't run, from the checkpoint of this fleet, which it makes first if there is none. It returns when the shop serves. Hosts that run are left as they are.
func (f *Fleet) Up(ctx context.Context, o Options, report progress.Func) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.checkpoint.dir == "" {
		if err := f.choose(ctx, o, report); err != nil {
			return err
		}
	} else if o.Fresh || o.Saved || o.Size != f.size {
		return fmt.Errorf("the lab is up with %d rows and %d files: take it down first", f.size.Rows, f.size.Files)
	}
	if err := f.startAll(ctx, report); err != nil {
		return err
	}
	return f.waitServing(ctx, report)
}

// choose finds or makes the checkpoint.
func (f *Fleet) choose(ctx context.Context, o Options, report progress.Func) error {
	if err := f.env.Store.EnsureAll(ctx, Layers()...); err != nil {
		return err
	}
	f.lower = nil
	for _, h := range Hosts() {
		lower, err := f.env.Store.Ensure(ctx, RoleLayer(h.Role, h.Suite))
		if err != nil {
			return err
		}
		f.lower = append(f.lower, lower)
	}
	point, err := f.formed(ctx, &o, report)
	if err != nil {
		return err
	}
	secrets, err := loadSecrets(point.secrets())
	if err == nil {
		err = secrets.writeAccess(f.env.Access)
	}
	if err != nil {
		return errors.Join(err, point.close())
	}
	f.checkpoint, f.secrets, f.size = point, secrets, o.Size
	if o.Saved {
		return f.restore(ctx, report)
	}
	return nil
}

// formed is the formed fleet that the hosts start from. Where they start from what was saved, the size is that one's.
func (f *Fleet) formed(ctx context.Context, o *Options, report progress.Func) (checkpoint, error) {
	if !o.Saved {
		return openCheckpoint(ctx, f.env.Cache, *o, report, func(dir string) error { return f.form(ctx, dir, o.Size, report) })
	}
	b, err := f.saved().base()
	if err != nil {
		return checkpoint{}, err
	}
	o.Size = b.Size
	key, err := Key(b.Size)
	if err != nil {
		return checkpoint{}, err
	}
	if !strings.HasPrefix(b.Formed, key+"-") {
		return checkpoint{}, errors.New("this lab's checkpoint was made by another version of the lab: up without --checkpoint, and make it anew")
	}
	return useCheckpoint(filepath.Join(f.env.Cache, "fleets", b.Formed))
}

// spec is a host as a machine that starts from the checkpoint.
func (f *Fleet) spec(h Host) machine.Spec {
	s := f.bareSpec(h)
	s.Lower = append([]string{f.checkpoint.upper(h)}, s.Lower...)
	if h.Role == Files {
		s.Volumes = []machine.Volume{{Path: brickMount, Lower: []string{f.checkpoint.brick(h), f.checkpoint.seed()}}}
	}
	return s
}

// bareSpec is a host as a machine of its role's layer.
func (f *Fleet) bareSpec(h Host) machine.Spec {
	i := slices.Index(Hosts(), h)
	return machine.Spec{Name: h.Name, Lower: f.lower[i], Net: f.env.Network.Port(h.Name, h.Addr),
		// Varnish's and HAProxy's hot standby bind the shared address before it is theirs.
		Sysctls: []machine.Sysctl{{Key: "net/ipv4/ip_nonlocal_bind", Value: "1"}}}
}

func (f *Fleet) startAll(ctx context.Context, report progress.Func) error {
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for _, h := range Hosts() {
		if f.env.Launcher.Machine(h.Name) != nil {
			continue
		}
		group.Go(func() error {
			_, err := f.env.Launcher.Start(gctx, f.spec(h))
			return err
		})
	}
	return group.Wait()
}

// Down kills all hosts and gives the checkpoint free. What they wrote is deleted.
func (f *Fleet) Down(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	group, gctx := errgroup.WithContext(ctx)
	for _, h := range Hosts() {
		if m := f.env.Launcher.Machine(h.Name); m != nil {
			group.Go(func() error { return m.Remove(gctx) })
		}
	}
	err := errors.Join(group.Wait(), f.checkpoint.close())
	f.checkpoint = checkpoint{}
	return err
}

// Start starts a host that was killed, from what it had on disk.
func (f *Fleet) Start(ctx context.Context, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	h, ok := Lookup(name)
	if !ok {
		return fmt.Errorf("no host %q", name)
	}
	if f.checkpoint.dir == "" {
		return errors.New("the fleet was not started")
	}
	if f.env.Launcher.Machine(name) != nil {
		return nil
	}
	_, err := f.env.Launcher.Start(ctx, f.spec(h))
	return err
}

// Machine returns a host's running machine.
func (f *Fleet) Machine(name string) (*machine.Machine, error) {
	if _, ok := Lookup(name); !ok {
		return nil, fmt.Errorf("no host %q", name)
	}
	m := f.env.Launcher.Machine(name)
	if m == nil {
		return nil, fmt.Errorf("host %s is down", name)
	}
	return m, nil
}

// Size is what the running fleet was filled with.
func (f *Fleet) Size() shop.Size {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.size
}

// Secrets are the keys and passwords of the running fleet.
func (f *Fleet) Secrets() (Secrets, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.checkpoint.dir == "" {
		return Secrets{}, errors.New("the fleet was not started")
	}
	return f.secrets, nil
}

// waitRunning waits until systemd says of all hosts that everything it was to start has started.
func waitRunning(ctx context.Context, launcher *machine.Launcher, report progress.Func) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	hosts := Hosts()
	running := make([]bool, len(hosts))
	return progress.Wait(ctx, report, "hosts boot", int64(len(hosts)), 200*time.Millisecond, func(ctx context.Context) (int64, string, error) {
		var done int64
		note := ""
		for i, h := range hosts {
			if !running[i] {
				m := launcher.Machine(h.Name)
				if m == nil {
					return 0, "", fmt.Errorf("host %s ended while it booted", h.Name)
				}
				// systemctl exits with 1 for every state but running; only what it prints counts.
				out, _ := m.Output(ctx, "systemctl", "is-system-running")
				switch state := string(trim(out)); state {
				case "running":
					running[i] = true
				case "degraded":
					failed, err := m.Output(ctx, "systemctl", "--failed", "--no-legend", "--plain")
					return 0, "", fmt.Errorf("host %s: units failed: %s (%w)", h.Name, trim(failed), err)
				default:
					note = h.Name
				}
			}
			if running[i] {
				done++
			}
		}
		return done, note, nil
	})
}
