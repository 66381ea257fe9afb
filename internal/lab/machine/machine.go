package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

const pathEnv = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Machine is one that was started. It is safe for concurrent use.
type Machine struct {
	spec     Spec
	launcher *Launcher
	process  *os.Process
	upper    string
	volumes  []volumeOrder
	group    string   // its version 2 group
	v1       []string // its version 1 groups
	groupsMu sync.Mutex

	done  chan struct{}
	state *os.ProcessState // after done
}

// Name is the machine's name within its launcher.
func (m *Machine) Name() string { return m.spec.Name }

// Pid is the first process's number as this computer counts.
func (m *Machine) Pid() int { return m.process.Pid }

// Upper is the writable layer: what the machine added, changed and (as overlayfs whiteouts) removed.
func (m *Machine) Upper() string { return m.upper }

// Console is the file that holds what the first process printed, over all starts.
func (m *Machine) Console() string { return filepath.Join(m.launcher.Dir(m.spec.Name), "console.log") }

// Group is the machine's cgroup (version 2).
func (m *Machine) Group() string { return m.group }

// WrittenLayer is one of a machine's mounts that keep what is written.
type WrittenLayer struct {
	Path  string   // where it is mounted; / for the root
	Upper string   // the directory that holds what was written
	Lower []string // what lies below it, topmost first
}

// Written are the root and the volumes, in the order of Spec.Volumes.
func (m *Machine) Written() []WrittenLayer {
	out := []WrittenLayer{{Path: "/", Upper: m.upper, Lower: m.spec.Lower}}
	for i, v := range m.volumes {
		out = append(out, WrittenLayer{Path: m.spec.Volumes[i].Path, Upper: v.Upper, Lower: m.spec.Volumes[i].Lower})
	}
	return out
}

// VolumeDirs are the directories that hold what the machine wrote to its volumes, in the order of Spec.Volumes.
func (m *Machine) VolumeDirs() []string {
	var dirs []string
	for _, l := range m.Written()[1:] {
		dirs = append(dirs, l.Upper)
	}
	return dirs
}

// Done is closed when the machine has ended: every process in it is gone.
func (m *Machine) Done() <-chan struct{} { return m.done }

// Running says whether the machine has not ended.
func (m *Machine) Running() bool {
	select {
	case <-m.done:
		return false
	default:
		return true
	}
}

// ExitCode is the first process's exit code, -1 if it was killed or still runs.
func (m *Machine) ExitCode() int {
	if m.Running() || m.state == nil {
		return -1
	}
	return m.state.ExitCode()
}

// wait reaps the first process. The kernel ends all others of its process namespace before it lets the first be waited for.
func (m *Machine) wait(cmd *exec.Cmd) {
	_ = cmd.Wait() // how it ended is in ProcessState
	m.state = cmd.ProcessState
	m.launcher.forget(m)
	close(m.done)
}

// NetNS opens the machine's network namespace. The caller closes it.
func (m *Machine) NetNS() (*os.File, error) {
	return os.Open(fmt.Sprintf("/proc/%d/ns/net", m.process.Pid))
}

// Kill ends the machine as a power failure would, and waits until nothing of it runs. A machine that has ended is no error.
func (m *Machine) Kill(ctx context.Context) error {
	if err := m.process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill machine %s: %w", m.spec.Name, err)
	}
	return m.ended(ctx, "kill")
}

// Halt asks the first process to shut down in order (systemd: SIGRTMIN+3; others: SIGTERM) and waits until nothing of the machine runs. When ctx ends first it
// is an error and the machine runs on.
func (m *Machine) Halt(ctx context.Context) error {
	sig := sigTerm
	if len(m.spec.Argv) == 0 {
		sig = sigHalt
	}
	if err := m.process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("halt machine %s: %w", m.spec.Name, err)
	}
	return m.ended(ctx, "halt")
}

func (m *Machine) ended(ctx context.Context, how string) error {
	select {
	case <-m.done:
	case <-ctx.Done():
		return fmt.Errorf("%s machine %s: still running: %w", how, m.spec.Name, ctx.Err())
	}
	return m.removeGroups(ctx)
}

// Remove kills the machine and deletes all that it wrote.
func (m *Machine) Remove(ctx context.Context) error {
	if err := m.Kill(ctx); err != nil {
		return err
	}
	if err := os.RemoveAll(m.launcher.Dir(m.spec.Name)); err != nil {
		return fmt.Errorf("remove machine %s: %w", m.spec.Name, err)
	}
	return nil
}

func (m *Machine) removeGroups(ctx context.Context) error {
	m.groupsMu.Lock()
	defer m.groupsMu.Unlock()
	if m.launcher.Machine(m.spec.Name) != nil && m.launcher.Machine(m.spec.Name) != m {
		return nil // started again since: the groups are the new one's
	}
	// What was executed in the machine from outside is of its process namespace and has ended with it; its group may lag.
	for _, dir := range append([]string{m.group}, m.v1...) {
		if dir == "" {
			continue
		}
		if err := removeGroups(ctx, dir); err != nil {
			return err
		}
	}
	return nil
}
