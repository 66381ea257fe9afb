package custom_test

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/remote/sshtest"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/steps/custom"
)

// slow writes a line into a file, when another file lets it: a step that can be caught in the middle.
func slow(dir string) custom.Step {
	script := func(s string) []string { return []string{"sh", "-c", "cd '" + dir + "' && " + s} }
	return custom.Step{ID: "own.slow", Title: "slow", Where: "test",
		Argv: custom.Argv{
			Check: script(`[ -e done ]`),
			Run:   script(`echo $$ >> began; while ! [ -e go ]; do sleep 0.05; done; echo line >> done`),
			Undo:  script(`rm done && echo undone >> undone`),
		}}
}

// waitFor waits until the file has n lines and gives the last.
func waitFor(t *testing.T, path string, n int) (last string) {
	t.Helper()
	sshtest.Eventually(t, path, func() bool {
		text, err := os.ReadFile(path)
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		last = lines[len(lines)-1]
		return err == nil && len(lines) >= n && last != ""
	})
	return last
}

// The command is killed with -9 in the middle: the step fails, a resume does it, and it is done once; a rollback undoes it once.
func TestCommandIsKilled(t *testing.T) {
	for name, p := range places(t) {
		t.Run(name, func(t *testing.T) {
			dir, runs := t.TempDir(), filepath.Join(t.TempDir(), "runs")
			const id = "20261123-010203-0001"
			ended := make(chan error, 1)
			r, err := open(runs, id, slow(dir), p)
			if err != nil {
				t.Fatal(err)
			}
			go func() { ended <- r.Resume(context.Background()) }()
			pid, err := strconv.Atoi(waitFor(t, filepath.Join(dir, "began"), 1))
			if err != nil {
				t.Fatal(err)
			}
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			if err := <-ended; err == nil || !strings.Contains(strings.ToLower(err.Error()), "kill") {
				t.Fatalf("killed: %v", err)
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, "go"))
			if err := resumed(t, runs, id, slow(dir), p); err != nil {
				t.Fatal(err)
			}
			if r, err = open(runs, id, slow(dir), p); err != nil {
				t.Fatal(err)
			}
			if err := r.Rollback(t.Context(), "", "test"); !errors.Is(err, migrate.ErrRolledBack) {
				t.Fatal(err)
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			if n := lines(t, filepath.Join(dir, "began")); n != 2 {
				t.Errorf("it began %d times", n)
			}
			if n := lines(t, filepath.Join(dir, "undone")); n != 1 {
				t.Errorf("it was undone %d times", n)
			}
		})
	}
}

const dirVariable = "CUSTOM_TEST_DIR"

// TestSlipway is the process of TestSlipwayIsKilled: it runs the step until it is killed.
func TestSlipway(t *testing.T) {
	dir := os.Getenv(dirVariable)
	if dir == "" {
		return
	}
	if err := resumed(t, filepath.Join(dir, "runs"), "20261123-010203-0001", slow(dir), custom.Here("")); err != nil {
		t.Fatal(err)
	}
}

// Slipway itself is killed with -9 while a command of this machine runs: the command dies with it, so the next process runs it
// alone; and where the command had ended by then, it is not run again.
func TestSlipwayIsKilled(t *testing.T) {
	dir := t.TempDir()
	run := func() *exec.Cmd {
		cmd := exec.Command(os.Args[0], "-test.run=^TestSlipway$")
		cmd.Env = append(os.Environ(), dirVariable+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stderr = cmd.Stdout
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		go func() {
			for s := bufio.NewScanner(out); s.Scan(); {
				t.Log(s.Text())
			}
		}()
		return cmd
	}
	cmd := run()
	pid := waitFor(t, filepath.Join(dir, "began"), 1)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	write(t, filepath.Join(dir, "pid"), pid)
	gone(t, filepath.Join(dir, "pid"))
	cmd = run()
	waitFor(t, filepath.Join(dir, "began"), 2)
	write(t, filepath.Join(dir, "go"))
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if n := lines(t, filepath.Join(dir, "done")); n != 1 {
		t.Errorf("it was done %d times", n)
	}
	time.Sleep(100 * time.Millisecond)
	if err := resumed(t, filepath.Join(dir, "runs"), "20261123-010203-0001", slow(dir), custom.Here("")); err != nil {
		t.Fatal(err)
	}
	if n := lines(t, filepath.Join(dir, "began")); n != 2 {
		t.Errorf("it began %d times", n)
	}
}

// The connection is lost in the middle: what became of the command is unknown, and the check says.
func TestLinkIsLost(t *testing.T) {
	p, server := host(t)
	dir, runs := t.TempDir(), filepath.Join(t.TempDir(), "runs")
	r, err := open(runs, "20261123-010203-0001", slow(dir), p)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- r.Resume(context.Background()) }()
	waitFor(t, filepath.Join(dir, "began"), 1)
	server.Drop()
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "lost") {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "done"), "line") // on a real host it went on, and has ended
	if err := resumed(t, runs, "20261123-010203-0001", slow(dir), p); err != nil {
		t.Fatal(err)
	}
	if n := lines(t, filepath.Join(dir, "began")); n != 1 {
		t.Errorf("it began %d times", n)
	}
}

func write(t *testing.T, path string, words ...string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(strings.Join(words, " ")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func lines(t *testing.T, path string) int {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(text), "\n")
}
