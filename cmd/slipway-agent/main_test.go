package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/slipway-dev/slipway/internal/treecopy/agent"
)

// asAgent makes this test program be the agent.
const asAgent = "SLIPWAY_TEST_AGENT"

func TestMain(m *testing.M) {
	if os.Getenv(asAgent) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// program puts the agent's program at a path, and gives the command that starts it.
func program(t *testing.T, path string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), asAgent+"=1")
	return cmd
}

// The agent takes itself away where it was put for one start, and nowhere else.
func TestLeave(t *testing.T) {
	dir := t.TempDir()
	for name, stays := range map[string]bool{"bin/slipway-agent": true, ".slipway-agent-x/agent": false, "slipway-agent-x/agent": true} {
		path := filepath.Join(dir, name)
		if out, err := program(t, path, "serve").CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		for _, p := range []string{path, filepath.Dir(path)} {
			if _, err := os.Stat(p); (err == nil) != stays {
				t.Errorf("%s: %s: %v", name, p, err)
			}
		}
	}
}

func TestCalledByHand(t *testing.T) {
	for _, args := range [][]string{nil, {"--help"}, {"serve", "x"}} {
		path := filepath.Join(t.TempDir(), ".slipway-agent-x/agent")
		out, err := program(t, path, args...).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(out), "nothing to call it for by hand") {
			t.Errorf("%q: %v\n%s", args, err, out)
		}
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
}

// A gentle agent's threads, all of them, give way; another's don't. A root that isn't there is one that isn't there.
func TestGentle(t *testing.T) {
	was, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, gentle := range []bool{true, false} {
		cmd := program(t, filepath.Join(t.TempDir(), "agent"), "serve")
		tr, err := agent.Open(t.Context(), agent.Options{Name: "x", Hello: agent.Hello{Root: "/", Gentle: gentle}}, func(_ context.Context, _ int, in io.Reader, out io.Writer) error {
			cmd.Stdin, cmd.Stdout = in, out
			return cmd.Run()
		})
		if err != nil {
			t.Fatal(err)
		}
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", cmd.Process.Pid))
		if err != nil || len(tasks) < 2 {
			t.Errorf("threads: %q, %v", tasks, err)
		}
		for _, task := range tasks {
			var id int
			if _, err := fmt.Sscan(filepath.Base(task), &id); err != nil {
				t.Fatal(err)
			}
			nice, err := unix.Getpriority(unix.PRIO_PROCESS, id)
			if err != nil {
				t.Fatal(err)
			}
			disk, _, errno := unix.Syscall(unix.SYS_IOPRIO_GET, whoProcess, uintptr(id), 0)
			if errno != 0 {
				t.Fatal(errno)
			}
			if gentle && (20-nice < niceness || disk != lowPriority) || !gentle && (nice != was || disk == lowPriority) {
				t.Errorf("gentle %v: thread %d has niceness %d and disk priority %#x", gentle, id, 20-nice, disk)
			}
		}
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	}
}
