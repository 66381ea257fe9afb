package machine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// Launcher starts the machines of one lab. It is safe for concurrent use. Machines with the same name exclude each other.
type Launcher struct {
	lab    string // the lab's name: the cgroups' directory
	dir    string // one directory per machine
	groups cgroupTrees
	spawn  chan func() // runs on the thread whose end ends the machines

	mu       sync.Mutex
	machines map[string]*Machine
}

// stage is argv[0] of the process that becomes a machine.
const stage = "slipway-lab-machine"

// Main turns the process into a machine if it was started as one; otherwise it returns at once. It must be the first call in main of every
// program, and in TestMain of every test, that starts machines.
func Main() {
	if len(os.Args) > 0 && os.Args[0] == stage {
		runStage()
	}
}

// NewLauncher makes a launcher that keeps what it must in dir and its cgroups under the lab's name. Two launchers that live at once must
// differ in both; the caller sees to that (with a lock), and calls Clean before the first start.
func NewLauncher(lab, dir string) (*Launcher, error) {
	groups, err := thisCgroups()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	dir, err = filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	l := &Launcher{lab: lab, dir: dir, groups: groups, spawn: make(chan func()), machines: map[string]*Machine{}}
	go func() {
		// Pdeathsig fires when the thread that forked ends, not the process: this one never does.
		runtime.LockOSThread()
		for f := range l.spawn {
			f()
		}
		select {}
	}()
	return l, nil
}

// Dir is where the launcher keeps the machine's writable layer, volumes and console log.
func (l *Launcher) Dir(name string) string { return filepath.Join(l.dir, name) }

// Clean ends what a killed launcher of the same lab may have left running, and removes its cgroups. With all set it removes the machines'
// directories too. It must not be called while machines of this launcher run.
func (l *Launcher) Clean(ctx context.Context, all bool) error {
	top := filepath.Join(l.groups.unified.base, cgroupTop, l.lab)
	if err := killGroup(ctx, top); err != nil {
		return err
	}
	bases := []string{l.groups.unified.base}
	// Version 1 groups were made under the group of whichever process launched: it wrote down where.
	noted, err := os.ReadFile(l.notes())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	bases = append(bases, strings.Fields(string(noted))...)
	for _, base := range bases {
		if err := removeGroups(ctx, filepath.Join(base, cgroupTop, l.lab)); err != nil {
			return err
		}
		// Other labs' groups keep this one in place, rightly.
		_ = os.Remove(filepath.Join(base, cgroupTop))
	}
	if err := os.Remove(l.notes()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !all {
		return nil
	}
	return os.RemoveAll(l.dir)
}

func (l *Launcher) notes() string { return filepath.Join(l.dir, ".cgroups") }

// note writes down where version 1 groups are made, for Clean.
func (l *Launcher) note(base string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	old, err := os.ReadFile(l.notes())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, have := range strings.Fields(string(old)) {
		if have == base {
			return nil
		}
	}
	return os.WriteFile(l.notes(), append(old, base+"\n"...), 0o644)
}

// StartProcess starts a process of this computer, outside any machine, that gets SIGKILL when this process ends, however it ends. cmd must not
// have a Pdeathsig of its own.
func (l *Launcher) StartProcess(cmd *exec.Cmd) error {
	bindLife(cmd)
	started := make(chan error, 1)
	l.spawn <- func() { started <- cmd.Start() }
	return <-started
}

// order is what the launcher tells the process that becomes a machine.
type order struct {
	Spec    Spec
	Upper   string
	Work    string
	Root    string        // where the root is mounted before it is entered
	Volumes []volumeOrder // in the order of Spec.Volumes
	V1      []string      // options of the version 1 hierarchies to mount
	Leaf    bool          // version 2 only, with controllers: move to a leaf
}

type volumeOrder struct{ Upper, Work string }

// Start starts a machine and returns when its first process runs. The machine goes on when ctx ends. What an earlier machine of that name wrote is
// still there unless it was removed.
func (l *Launcher) Start(ctx context.Context, spec Spec) (*Machine, error) {
	if spec.Hostname == "" {
		spec.Hostname = spec.Name
	}
	if err := spec.check(); err != nil {
		return nil, err
	}
	l.mu.Lock()
	if old := l.machines[spec.Name]; old != nil {
		l.mu.Unlock()
		return nil, fmt.Errorf("start machine %s: it runs already", spec.Name)
	}
	m := &Machine{spec: spec, launcher: l, done: make(chan struct{})}
	l.machines[spec.Name] = m
	l.mu.Unlock()
	if err := l.start(ctx, m); err != nil {
		l.forget(m)
		return nil, fmt.Errorf("start machine %s: %w", spec.Name, err)
	}
	return m, nil
}

// Machine returns the running machine of that name, or nil.
func (l *Launcher) Machine(name string) *Machine {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.machines[name]
}

// Machines are all running machines, by name.
func (l *Launcher) Machines() []*Machine {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.SortedFunc(maps.Values(l.machines), func(a, b *Machine) int { return strings.Compare(a.spec.Name, b.spec.Name) })
}

func (l *Launcher) forget(m *Machine) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.machines[m.spec.Name] == m {
		delete(l.machines, m.spec.Name)
	}
}

func (l *Launcher) start(ctx context.Context, m *Machine) (err error) {
	spec := m.spec
	ord, err := l.prepare(spec)
	if err != nil {
		return err
	}
	m.upper, m.volumes = ord.Upper, ord.Volumes
	if err := l.makeGroups(ctx, m); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.removeGroups(context.WithoutCancel(ctx)))
		}
	}()
	group, err := os.Open(m.group)
	if err != nil {
		return err
	}
	defer group.Close()
	console, err := os.OpenFile(m.Console(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer console.Close()
	ordR, ordW, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ordW.Close()
	saidR, saidW, err := os.Pipe()
	if err != nil {
		return errors.Join(err, ordR.Close())
	}
	defer saidR.Close()

	cmd := &exec.Cmd{
		Path: "/proc/self/exe", Args: []string{stage}, ExtraFiles: []*os.File{ordR, saidW}, Stdout: console, Stderr: console,
		Env:         append([]string{pathEnv, "container=lab", "LC_ALL=C.UTF-8"}, spec.Env...),
		SysProcAttr: stageAttr(spec, group),
	}
	err = errors.Join(l.StartProcess(cmd), ordR.Close(), saidW.Close())
	if err != nil {
		return err
	}
	m.process = cmd.Process
	go m.wait(cmd)
	if err := m.brief(ctx, ord, ordW, saidR); err != nil {
		return errors.Join(err, m.Kill(context.WithoutCancel(ctx)))
	}
	return nil
}

// brief connects the new process's network, hands it its order, and waits until it has become the machine's first process.
func (m *Machine) brief(ctx context.Context, ord order, to io.WriteCloser, from *os.File) error {
	for _, dir := range m.v1 {
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), fmt.Append(nil, m.process.Pid), 0o644); err != nil {
			return err
		}
	}
	if m.spec.Net != nil {
		netns, err := m.NetNS()
		if err != nil {
			return err
		}
		err = m.spec.Net.Connect(ctx, netns)
		if err = errors.Join(err, netns.Close()); err != nil {
			return err
		}
	}
	if err := json.NewEncoder(to).Encode(ord); err != nil {
		return err
	}
	if err := to.Close(); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = from.SetReadDeadline(time.Now()) })
	defer stop()
	said, err := io.ReadAll(from)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return err
	case len(said) > 0:
		return errors.New(strings.TrimSpace(string(said)))
	}
	return nil
}

// prepare makes the machine's directories.
func (l *Launcher) prepare(spec Spec) (order, error) {
	dir := l.Dir(spec.Name)
	ord := order{Spec: spec, Upper: spec.Upper, Work: filepath.Join(dir, "work"), Root: filepath.Join(dir, "root"),
		Leaf: spec.Cgroups == Controllers && len(l.groups.v1) == 0}
	if ord.Upper == "" {
		ord.Upper = filepath.Join(dir, "upper")
	} else {
		ord.Work = filepath.Clean(ord.Upper) + ".work" // overlayfs wants both on one file system
	}
	ord.Spec.Net = nil // what is left of Spec goes through JSON
	if spec.Cgroups == Controllers {
		for _, h := range l.groups.v1 {
			ord.V1 = append(ord.V1, h.options)
		}
	}
	dirs := []string{ord.Upper, ord.Work, ord.Root}
	for _, v := range spec.Volumes {
		at := filepath.Join(dir, "volumes", strings.ReplaceAll(strings.Trim(v.Path, "/"), "/", "-"))
		vo := volumeOrder{Upper: filepath.Join(at, "upper"), Work: filepath.Join(at, "work")}
		if v.Upper != "" {
			vo.Upper, vo.Work = filepath.Clean(v.Upper), filepath.Clean(v.Upper)+".work"
		}
		dirs = append(dirs, vo.Upper)
		if len(v.Lower) > 0 {
			dirs = append(dirs, vo.Work)
		}
		ord.Volumes = append(ord.Volumes, vo)
	}
	for _, d := range dirs {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return order{}, err
		}
	}
	// A volatile overlay marks its work directory and refuses it the next time; a lab's machine may start again all the same.
	if err := os.RemoveAll(filepath.Join(ord.Work, "work", "incompat")); err != nil {
		return order{}, err
	}
	return ord, nil
}

func (l *Launcher) makeGroups(ctx context.Context, m *Machine) error {
	rel := filepath.Join(cgroupTop, l.lab, m.spec.Name)
	controllers := m.spec.Cgroups == Controllers
	var err error
	if err = removeGroups(ctx, filepath.Join(l.groups.unified.base, rel)); err != nil {
		return err
	}
	if m.group, err = l.groups.unified.makeV2(rel, controllers); err != nil {
		return err
	}
	if !controllers {
		return nil
	}
	for _, h := range l.groups.v1 {
		if err := l.note(h.base); err != nil {
			return err
		}
		dir, err := h.makeV1(rel)
		if err != nil {
			return err
		}
		m.v1 = append(m.v1, dir)
	}
	return nil
}
