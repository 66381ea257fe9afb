package place

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
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

// childOf is set in the environment of a process that is to open a place and to read from it, until it is killed.
const childOf = "SLIPWAY_TEST_PLACE"

func child(order string) error {
	var o [4]string
	copy(o[:], strings.Split(order, "\n"))
	p, err := Parse(o[3])
	if err != nil {
		return err
	}
	ctx := context.Background()
	src, _, err := Open(ctx, p, Options{AgentDir: o[0], ReadOnly: true, Rate: slow, SSHOptions: SSHOptions{Identity: []string{o[1]}, KnownHosts: o[2], Act: remote.NewActor}})
	if err != nil {
		return err
	}
	return src.Read(ctx, []tree.Path{"z"}, os.Stdout)
}

func TestMain(m *testing.M) {
	if order := os.Getenv(childOf); order != "" {
		fmt.Fprintln(os.Stderr, "error:", child(order))
		os.Exit(1)
	}
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
	flip    bool   // the first byte of an agent that is sent arrives as another
	home    string // $HOME and $XDG_RUNTIME_DIR of what runs there: nothing may be left in it

	mu    sync.Mutex
	shell []string // runs a line
	pids  []int    // of the commands' first processes, each in a process group of its own
	cutAt int64    // a start's connection is cut after so many bytes of its input; negative: never
}

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{t: t, home: t.TempDir(), shell: []string{"sh", "-c"}, cutAt: -1}
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
	h.mu.Lock()
	cutAt := h.cutAt
	h.mu.Unlock()
	go func() {
		var from io.Reader = s.Stdin
		if h.flip && strings.Contains(s.Line, "head -c") {
			_, _ = io.ReadFull(from, make([]byte, 1))
			from = io.MultiReader(strings.NewReader("x"), from)
		}
		if cutAt >= 0 && strings.Contains(s.Line, "head -c") {
			from = io.LimitReader(from, cutAt)
			defer s.Server.Drop()
		}
		_, _ = io.Copy(in, from)
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

// cutInput cuts the connection of each agent that is sent from now on after so many bytes; negative: no more.
func (h *host) cutInput(at int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cutAt = at
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

// agents are the processes of commands of the host that have become agents, as far as they are still there.
func (h *host) agents() (there []int) {
	all, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		h.t.Fatal(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, link := range all {
		exe, err := os.Readlink(link)
		if err != nil || !strings.HasPrefix(exe, h.home+"/.slipway-agent-") {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link)))
		if err != nil {
			h.t.Fatal(err)
		}
		if group, err := syscall.Getpgid(pid); err == nil && slices.Contains(h.pids, group) {
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
