package place

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/remote/sshtest"
	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// slow is a rate at which a file of fill's takes a dozen seconds, in one of four sessions.
const slow = 4 * 100 << 10

// busy begins to read from a place that was opened with the rate slow, and returns when contents come. What the read ends with is in the channel.
func busy(t *testing.T, src tree.Source) <-chan error {
	t.Helper()
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := src.Read(t.Context(), []tree.Path{"z"}, w)
		w.CloseWithError(err)
		ended <- err
	}()
	if _, err := io.ReadFull(r, make([]byte, 1<<10)); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	return ended
}

func lost(t *testing.T, what string, ended <-chan error) {
	t.Helper()
	select {
	case err := <-ended:
		if !errors.Is(err, tree.ErrLost) {
			t.Errorf("%s: %v", what, err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal(what + ": the call goes on")
	}
}

// While an agent runs there is no file of it on the host.
func TestAgentHasNoFile(t *testing.T) {
	h := newHost(t)
	h.options.Rate = slow
	src, _ := h.open(fill(t))
	ended := busy(t, src)
	if len(h.agents()) != 1 {
		t.Errorf("%d agents", len(h.agents()))
	}
	entries, err := os.ReadDir(h.home)
	if err != nil || len(entries) != 0 {
		t.Errorf("%v, %v", entries, err)
	}
	select {
	case err := <-ended:
		t.Errorf("it ended before it was looked at: %v", err)
	default:
	}
}

// The agent is killed: the call says that it was lost, the next call goes on, and nothing is left.
func TestAgentKilled(t *testing.T) {
	h := newHost(t)
	h.options.Rate = slow
	src, closer := h.open(fill(t))
	ended := busy(t, src)
	for _, pid := range h.agents() {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	lost(t, "the agent was killed", ended)
	h.clean("the agent was killed")
	if got, err := names(t.Context(), src); err != nil || len(got) != len(filled) {
		t.Errorf("the next call: %q, %v", got, err)
	}
	if err := closer.Close(); err != nil {
		t.Error(err)
	}
	h.clean("it was closed")
}

// The connection is cut: sshd leaves what runs to itself, and the agent ends by itself.
func TestConnectionCut(t *testing.T) {
	h := newHost(t)
	h.options.Rate = slow
	src, _ := h.open(fill(t))
	ended := busy(t, src)
	h.server.Drop()
	lost(t, "the connection was cut", ended)
	h.clean("the connection was cut")
	if got, err := names(t.Context(), src); err != nil || len(got) != len(filled) {
		t.Errorf("the next call: %q, %v", got, err)
	}
}

// The connection is cut while the agent is sent, after each of some numbers of bytes: nothing of it stays.
func TestUploadCut(t *testing.T) {
	size, err := os.Stat(filepath.Join(built, "slipway-agent"))
	if err != nil {
		t.Fatal(err)
	}
	h := newHost(t)
	for _, at := range []int64{0, 1, 100 << 10, size.Size() - 1} {
		h.cutInput(at)
		_, _, err := Open(t.Context(), h.place("/"), h.options)
		if !errors.Is(err, tree.ErrLost) {
			t.Errorf("cut after %d bytes: %v", at, err)
		}
		h.clean("the upload was cut")
	}
	h.cutInput(-1)
	_, closer := h.open("/")
	if err := closer.Close(); err != nil {
		t.Error(err)
	}
}

// An agent that isn't what was sent is not started.
func TestWrongSum(t *testing.T) {
	h := newHost(t)
	h.flip = true
	if _, _, err := Open(t.Context(), h.place("/"), h.options); !errors.Is(err, tree.ErrLost) || !strings.Contains(err.Error(), "status 65") {
		t.Errorf("%v", err)
	}
	h.clean("it was refused")
}

// A process that has taken a dead agent's number isn't become.
func TestAgainIsTheSameProgram(t *testing.T) {
	for _, pid := range []string{strconv.Itoa(os.Getpid()), "0"} {
		err := exec.Command("sh", "-c", againScript, "slipway-agent", pid, strings.Repeat("0", 64)).Run()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 69 {
			t.Errorf("process %s: %v", pid, err)
		}
	}
}

// What isn't a program for that machine doesn't start, and says so; nothing of it stays.
func TestNoProgram(t *testing.T) {
	h := newHost(t)
	h.options.AgentDir = t.TempDir()
	if err := os.WriteFile(filepath.Join(h.options.AgentDir, "slipway-agent"), []byte("\x7fELF this is none"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, sh := range []string{"dash", "bash"} {
		path, err := exec.LookPath(sh)
		if err != nil {
			t.Logf("there is no %s here", sh)
			continue
		}
		h.shell = []string{path, "-c"}
		_, _, err = Open(t.Context(), h.place("/"), h.options)
		if err == nil || errors.Is(err, tree.ErrLost) {
			t.Errorf("%s: %v", sh, err)
		}
		h.clean(sh)
	}
}

// What a killed shell has left is swept by the next start when it is old, and only then, and only that.
func TestSweepOfLeftovers(t *testing.T) {
	h := newHost(t)
	old := time.Now().Add(-time.Hour)
	for name, stays := range map[string]bool{".slipway-agent-OldOne": false, ".slipway-agent-recent": true, ".slipway-agent-longer-name": true, "slipway-agent-OldOne": true} {
		dir := filepath.Join(h.home, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "agent"), nil, 0o700); err != nil {
			t.Fatal(err)
		}
		if name != ".slipway-agent-recent" {
			if err := os.Chtimes(dir, old, old); err != nil {
				t.Fatal(err)
			}
		}
		defer func() {
			if _, err := os.Stat(dir); (err == nil) != stays {
				t.Errorf("%s: %v", name, err)
			}
		}()
	}
	_, closer := h.open("/")
	if err := closer.Close(); err != nil {
		t.Error(err)
	}
}

// This program is killed while it copies: its agents end, and leave nothing. The program is this test once more.
func TestProgramKilled(t *testing.T) {
	h := newHost(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childOf+"="+strings.Join([]string{built, h.options.Identity[0], h.options.KnownHosts, h.place(fill(t)).String()}, "\n"))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 1<<10)); err != nil {
		t.Fatal(err)
	}
	sshtest.Eventually(t, "the agent works", func() bool { return len(h.agents()) == 1 })
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	h.clean("the program was killed")
}
