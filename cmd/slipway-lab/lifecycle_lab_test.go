//go:build lab

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/labtest"
	"github.com/slipway-dev/slipway/internal/lab/place"
)

// second is another lab beside the one that the test runs in, with the same program.
type second struct {
	place   place.Place
	program string
	size    []string
}

func newSecond(t *testing.T) second {
	lab := labtest.Join(t)
	state := lab.Status(t)
	s := second{place: lab.Place, program: fmt.Sprintf("/proc/%d/exe", state.Pid),
		size: []string{"--rows", fmt.Sprint(state.Rows), "--files", fmt.Sprint(state.Files)}}
	s.place.Name += "-second"
	s.place.State += "-second"
	t.Cleanup(func() {
		s.run(t, "down")
		if err := os.RemoveAll(filepath.Join(s.place.Cache, "saved", s.place.Name)); err != nil { // its checkpoint
			t.Error(err)
		}
	})
	return s
}

// run runs a verb on the second lab and returns its exit status and what it printed.
func (s second) run(t *testing.T, args ...string) (int, string) {
	t.Helper()
	cmd := exec.Command(s.program, args...)
	cmd.Env = append(os.Environ(), s.place.Environ()...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

func (s second) must(t *testing.T, args ...string) string {
	t.Helper()
	code, out := s.run(t, args...)
	if code != 0 {
		t.Fatalf("slipway-lab %s exits with %d:\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

// up brings the second lab up with its hosts alone: the parts have tests of their own for what they leave.
func (s second) up(t *testing.T, more ...string) {
	t.Helper()
	began := time.Now()
	s.must(t, append(append([]string{"up", "--without", "clusters,cloud,name servers"}, s.size...), more...)...)
	t.Logf("up %s took %.1f s", strings.Join(more, " "), time.Since(began).Seconds())
}

// traces is what a lab can leave on a computer.
type traces struct{ processes, mounts, interfaces, loops, cgroups, state int }

func (s second) traces(t *testing.T) traces {
	t.Helper()
	var n traces
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range processes {
		if zombie(p) {
			continue // it has ended, and this computer's init has yet to take note
		}
		// A process may end while it is looked at: what can't be read is gone.
		groups, _ := os.ReadFile(p + "/cgroup")
		environ, _ := os.ReadFile(p + "/environ")
		cmdline, _ := os.ReadFile(p + "/cmdline")
		daemon := bytes.Contains(environ, []byte(place.NameVar+"="+s.place.Name+"\x00")) && bytes.HasSuffix(cmdline, []byte("\x00serve\x00"))
		if daemon || bytes.Contains(groups, []byte("slipway-lab/"+s.place.Name+"/")) {
			n.processes++
		}
		mounts, _ := os.ReadFile(p + "/mountinfo")
		n.mounts += strings.Count(string(mounts), s.place.State+"/")
	}
	devices, err := os.ReadFile("/proc/1/net/dev")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(devices)) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "v-") || strings.HasPrefix(line, "br0:") {
			n.interfaces++
		}
	}
	loops, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range loops {
		if file, err := os.ReadFile(l); err == nil && strings.HasPrefix(string(file), s.place.State+"/") {
			n.loops++
		}
	}
	err = filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasSuffix(path, "/slipway-lab/"+s.place.Name) {
			n.cgroups++
		}
		return nil // groups of others come and go
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.place.State); err == nil {
		n.state = 1
	}
	return n
}

// zombie tells of a process's directory in /proc whether it has ended (proc(5), stat).
func zombie(dir string) bool {
	stat, _ := os.ReadFile(filepath.Join(dir, "stat"))
	_, after, _ := bytes.Cut(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" "))
	return bytes.HasPrefix(after, []byte("Z")) || bytes.HasPrefix(after, []byte("X"))
}

// TestLifecycle: up, again, checkpoint, down, up from it, killed, up again, down; and what is left after each.
func TestLifecycle(t *testing.T) {
	s := newSecond(t)
	nothing := traces{}
	if got := s.traces(t); got != nothing {
		t.Fatalf("before it was ever up there is %+v", got)
	}
	if code, out := s.run(t, "status"); code != exitNotUp || !strings.Contains(out, "slipway-lab up") {
		t.Errorf("status of a lab that is down: exit %d, %s", code, out)
	}
	s.up(t)
	if got := s.traces(t); got.processes < 100 || got.mounts == 0 || got.cgroups == 0 || got.interfaces != 0 || got.state != 1 {
		t.Errorf("while it is up there is %+v", got)
	}
	began := time.Now()
	s.up(t)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("up on a lab that is up took %v", took)
	}
	s.must(t, "ssh", "redis1", "echo kept > /root/kept")
	s.must(t, "ssh", "web1", "echo kept > /srv/assets/kept.txt && ln /srv/assets/kept.txt /srv/assets/linked.txt")
	s.must(t, "checkpoint")
	s.must(t, "ssh", "redis1", "rm /root/kept")
	s.must(t, "down")
	if got := s.traces(t); got != nothing {
		t.Errorf("after down there is %+v", got)
	}
	s.up(t, "--checkpoint")
	if out := s.must(t, "ssh", "redis1", "cat /root/kept"); !strings.Contains(out, "kept") {
		t.Errorf("from the checkpoint the host has %q", out)
	}
	if out := s.must(t, "ssh", "web2", "stat -c %h /srv/assets/linked.txt && cat /srv/assets/kept.txt"); !strings.Contains(out, "2\nkept") {
		t.Errorf("from the checkpoint the volume has %q", out)
	}
	s.killDaemon(t)
	labtest.Eventually(t, 10*time.Second, "a killed daemon leaves directories alone", func() error {
		if got := s.traces(t); got.processes+got.mounts+got.interfaces+got.loops != 0 {
			return fmt.Errorf("there is %+v", got)
		}
		return nil
	})
	if code, _ := s.run(t, "status"); code != exitNotUp {
		t.Errorf("status after the kill exits with %d", code)
	}
	s.up(t)
	if code, _ := s.run(t, "ssh", "redis1", "test -e /root/kept"); code == 0 {
		t.Error("what a killed lab had written is still there")
	}
	s.killDaemon(t)
	s.must(t, "down")
	if got := s.traces(t); got != nothing {
		t.Errorf("after a kill and down there is %+v", got)
	}
}

func (s second) killDaemon(t *testing.T) {
	t.Helper()
	out := s.must(t, "status")
	_, rest, _ := strings.Cut(out, "daemon ")
	var pid int
	if _, err := fmt.Sscanf(rest, "%d", &pid); err != nil {
		t.Fatalf("no daemon in %q", out)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}
