package place

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/slipway-dev/slipway/internal/remote"
	"github.com/slipway-dev/slipway/internal/remote/sshtest"
	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// built is where the agent's program is.
var built string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "place")
		if err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
			return 1
		}
		defer os.RemoveAll(dir)
		built = dir
		if out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "slipway-agent"), "../../../cmd/slipway-agent").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "error: build the agent: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// host is a host that is reached over SSH: a server in this process that runs commands here, as sshd does: one whose connection is gone loses its
// input and output, and is left to itself.
type host struct {
	t       *testing.T
	server  *sshtest.Server
	options Options
	home    string // $HOME and $XDG_RUNTIME_DIR of what runs there: nothing may be left in it

	mu    sync.Mutex
	shell []string         // runs a line
	pids  []int            // of the commands' first processes, each in a process group of its own
	hold  func([]byte) int // how many of these bytes of a command's input are let through before it is cut; nil: all
}

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{t: t, home: t.TempDir(), shell: []string{"sh", "-c"}}
	h.server = sshtest.Start(t, sshtest.Options{Exec: h.exec})
	key, path := sshtest.NewKeyFile(t)
	h.server.Authorize(key.PublicKey())
	h.options = Options{AgentDir: built, SSHOptions: SSHOptions{Identity: []string{path}, KnownHosts: sshtest.KnownHosts(t, h.server), Act: remote.NewActor}}
	return h
}

func (h *host) exec(s *sshtest.Session) sshtest.Exit {
	h.mu.Lock()
	cmd := exec.Command(h.shell[0], append(slices.Clone(h.shell[1:]), s.Line)...)
	h.mu.Unlock()
	cmd.Env = append(os.Environ(), "HOME="+h.home, "XDG_RUNTIME_DIR="+h.home)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stdout, cmd.Stderr = s.Stdout, s.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return sshtest.Exit{Status: 255}
	}
	if err := cmd.Start(); err != nil {
		return sshtest.Exit{Status: 255}
	}
	h.mu.Lock()
	h.pids = append(h.pids, cmd.Process.Pid)
	h.mu.Unlock()
	go func() {
		_, _ = io.Copy(in, s.Stdin)
		_ = in.Close()
	}()
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		for {
			select {
			case sig := <-s.Signals:
				_ = syscall.Kill(-cmd.Process.Pid, map[string]syscall.Signal{"TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL}[string(sig)])
			case <-ended:
				return
			}
		}
	}()
	_ = cmd.Wait()
	if ws := cmd.ProcessState.Sys().(syscall.WaitStatus); ws.Signaled() {
		return sshtest.Exit{Signal: "KILL"}
	}
	return sshtest.Exit{Status: cmd.ProcessState.ExitCode()}
}

// place is a directory of the host.
func (h *host) place(dir string) Place {
	return Place{Kind: SSH, User: sshtest.User, Host: h.server.Addr.IP.String(), Port: h.server.Addr.Port, Path: dir}
}

func (h *host) open(dir string) (tree.Target, io.Closer) {
	h.t.Helper()
	target, closer, err := Open(h.t.Context(), h.place(dir), h.options)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = closer.Close() })
	return target, closer
}

// starts says how often the agent was sent there, and how often it was started from one that ran.
func (h *host) starts() (uploads, again int) {
	for _, l := range h.server.Lines() {
		switch {
		case strings.Contains(l, "head -c"):
			uploads++
		case strings.Contains(l, `"/proc/$1/exe"`):
			again++
		}
	}
	return uploads, again
}

// agents are the processes that commands of the host have become, as far as they are still there.
func (h *host) agents() (there []int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, pid := range h.pids {
		if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err == nil && strings.Contains(exe, "/.slipway-agent-") {
			there = append(there, pid)
		}
	}
	return there
}

// left is what there still is on the host of what was begun there: files, and processes of any kind.
func (h *host) left() (all []string) {
	entries, err := os.ReadDir(h.home)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, pid := range h.pids {
		if syscall.Kill(-pid, 0) == nil {
			all = append(all, fmt.Sprintf("process group %d", pid))
		}
	}
	return all
}

// clean waits until nothing is left on the host.
func (h *host) clean(when string) {
	h.t.Helper()
	sshtest.Eventually(h.t, when+": nothing is left on the host", func() bool { return len(h.left()) == 0 })
}

// names lists a tree's paths.
func names(ctx context.Context, s tree.Source) (all []string, err error) {
	err = s.List(ctx, func(st tree.Stat) error {
		all = append(all, string(st.Path))
		return nil
	})
	return all, err
}
