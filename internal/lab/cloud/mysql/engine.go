package mysql

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/cloud/sqladmin"
	"github.com/slipway-dev/slipway/internal/lab/machine"
	"github.com/slipway-dev/slipway/internal/lab/network"
	"github.com/slipway-dev/slipway/internal/lab/progress"
)

// Env is what of the lab the engine needs.
type Env struct {
	Launcher *machine.Launcher
	Network  *network.Network
	Lower    []string // the directories of Layer
	Cache    string   // where initialised data directories are kept
	State    string   // where instances' disks are kept; emptied by New
	Report   progress.Func
	Log      *slog.Logger
}

// maxInstances is how many addresses there are: instance i has 10.77.1.i as
// PRIMARY and 10.77.1.(128+i) as PRIVATE.
const maxInstances = 120

// Engine runs MySQL servers.
type Engine struct {
	env      Env
	template string // an initialised data directory, read only

	mu       sync.Mutex
	slots    [maxInstances + 1]bool // taken, from 1
	servers  map[int]*server        // by slot: those whose machine runs
	last     int                    // slot given out last: the next one begins behind it
	diskUnit int64                  // bytes per GB of dataDiskSizeGb
}

// New makes the engine, with the data directory that instances begin with: from
// the cache, or initialised now (10 to 20 s).
func New(ctx context.Context, env Env) (*Engine, error) {
	if err := os.RemoveAll(env.State); err != nil {
		return nil, fmt.Errorf("empty the directory of instances' disks: %w", err)
	}
	if err := os.MkdirAll(env.State, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of instances' disks: %w", err)
	}
	template, err := ensureTemplate(ctx, env)
	if err != nil {
		return nil, err
	}
	return &Engine{env: env, template: template, diskUnit: 1 << 30, servers: make(map[int]*server)}, nil
}

// SetDiskUnit makes the disks of instances that are made from now on as many
// bytes per GB as given, so that a disk can be filled soon. 0 is real size.
func (e *Engine) SetDiskUnit(bytes int64) {
	if bytes == 0 {
		bytes = 1 << 30
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.diskUnit = bytes
}

// Versions implements sqladmin.Engine.
func (e *Engine) Versions() []sqladmin.Version {
	return []sqladmin.Version{{
		Name: "MYSQL_9_7", Installed: "MYSQL_9_7_4", Maintenance: "MYSQL_9_7_4.R20261004.01_07", PlusDefault: true, Flags: flags,
	}}
}

// minDisk is the least that a server can begin on: its data directory is about
// 190 MB.
const minDisk = 320 << 20

// Create implements sqladmin.Engine.
func (e *Engine) Create(ctx context.Context, name string, c sqladmin.Config, rootPassword string) (_ sqladmin.Server, err error) {
	slot, size, err := e.take(c.DiskGB)
	if err != nil {
		return nil, err
	}
	s := &server{
		engine: e, name: name, slot: slot, config: c, size: size, diskUnit: size / c.DiskGB,
		image: filepath.Join(e.env.State, name+".ext4"), log: e.env.Log.With("instance", name),
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Delete(context.WithoutCancel(ctx)))
		}
	}()
	if err := s.boot(ctx); err != nil {
		return nil, fmt.Errorf("start instance %s: %w", name, err)
	}
	e.mu.Lock()
	e.servers[slot] = s
	e.mu.Unlock()
	if rootPassword != "" {
		if err := s.SetUser(ctx, sqladmin.User{Name: "root", Host: "%"}, rootPassword); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (e *Engine) take(gb int64) (slot int, size int64, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range maxInstances {
		n := (e.last+i)%maxInstances + 1
		if !e.slots[n] {
			e.slots[n], e.last = true, n
			return n, max(minDisk, gb*e.diskUnit), nil
		}
	}
	return 0, 0, fmt.Errorf("all %d addresses for instances are taken", maxInstances)
}

func (e *Engine) give(slot int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.slots[slot] = false
	delete(e.servers, slot)
}

// Machine is an instance's machine, for status.
type Machine struct {
	Name    string
	Address netip.Addr
	Pid     int
}

// Machines lists the instances' machines in the order of addresses.
func (e *Engine) Machines() []Machine {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []Machine
	for _, slot := range slices.Sorted(maps.Keys(e.servers)) {
		m := e.servers[slot].host()
		out = append(out, Machine{Name: m.Name(), Address: primaryIP(slot), Pid: m.Pid()})
	}
	return out
}

func primaryIP(slot int) netip.Addr { return netip.AddrFrom4([4]byte{10, 77, 1, byte(slot)}) }

func privateIP(slot int) netip.Addr { return netip.AddrFrom4([4]byte{10, 77, 1, byte(128 + slot)}) }

// Timeouts of a server's own doings.
const (
	startTimeout = time.Minute // from the start of mysqld until it answers
	stopTimeout  = time.Minute // from SIGTERM until mysqld has ended
	adminTimeout = time.Minute // one administrative statement
)
