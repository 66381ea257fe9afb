package dbhost

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/remote"
)

const run = "20261123-010203-7f3a"

func TestParse(t *testing.T) {
	got, err := parse("db1", []byte("name db1.example\nroot yes\ndir /etc/mysql/mariadb.conf.d\nargument --defaults-file=/etc/other\noption --read_only=1\noption --skip-read-only\nline # a\nline \nline b\n"))
	want := Options{Host: "db1", Name: "db1.example", Root: true, Dir: "/etc/mysql/mariadb.conf.d", Arguments: []string{"--defaults-file=/etc/other"}, File: "# a\n\nb\n"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	if got.Path() != "/etc/mysql/mariadb.conf.d/zz-slipway-freeze.cnf" {
		t.Error(got.Path())
	}
	if _, err := parse("db1", []byte("sudo: a password is required\n")); err == nil || !strings.HasPrefix(err.Error(), "db1: ") {
		t.Error(err)
	}
	for arg, is := range map[string]bool{"--read_only": true, "--read-only": true, "--read_only=ON": true, "--loose-read-only=TRUE": true, "--read_only=0": false, "--read-only=off": false, "--skip-read-only": false, "--loose_skip_read_only": false} {
		if on(arg) != is {
			t.Errorf("%s is %t", arg, on(arg))
		}
	}
}

// TestProblems: each thing that would keep a file from being written, or from counting, is told with what to do.
func TestProblems(t *testing.T) {
	good := Options{Host: "db1", Name: "db1", Root: true, Dir: "/etc/my.cnf.d"}
	if err := good.problem("db1", run); err != nil {
		t.Error(err)
	}
	good.File = text(run)
	if err := good.problem("db1", run); err != nil {
		t.Errorf("its own file: %v", err)
	}
	for says, spoil := range map[string]func(*Options){
		"name that server's own host":      func(o *Options) { o.Name = "db2" },
		"no folder of option files":        func(o *Options) { o.Dir = "" },
		"have it started without":          func(o *Options) { o.Arguments = []string{"--read-only=0"} },
		"sign in as root":                  func(o *Options) { o.Root = false },
		"its first line says whose it is;": func(o *Options) { o.File = text("20261123-010203-0000") },
	} {
		o := good
		spoil(&o)
		if err := o.problem("db1", run); err == nil || !strings.HasPrefix(err.Error(), "db1: ") || !strings.Contains(err.Error(), says) {
			t.Errorf("%v does not say %q", err, says)
		}
	}
}

// here runs what hosts would run on this machine, and answers looks with a folder of the test's.
type here struct {
	dirs  map[string]string // by host
	later string            // an option file that is read after Slipway's sets this
}

func (h here) Look(_ context.Context, host string, _ remote.Query) (remote.Output, error) {
	answer := "name " + host + "\nroot yes\ndir " + h.dirs[host] + "\n"
	if b, err := os.ReadFile(filepath.Join(h.dirs[host], FileName)); err == nil {
		for l := range strings.Lines(string(b)) {
			answer += "line " + l
		}
		if strings.Contains(string(b), "[mariadbd]\nread_only = ON") {
			answer += "option --read_only=ON\n"
		}
	}
	return remote.Output{Stdout: []byte(answer + h.later)}, nil
}

func (h here) Run(ctx context.Context, host string, c remote.Cmd) error {
	if !slices.Equal(c.Argv[:4], []string{"sh", "-c", asRoot, "sh"}) {
		return errors.New("not as root")
	}
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-s", "--"}, c.Argv[4:]...)...)
	cmd.Stdin = c.Stdin
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return &remote.ExitError{Status: exit.ExitCode(), Stderr: out}
	}
	return err
}

func (h here) Stream(context.Context, string, remote.Query, io.Reader, io.Writer) error {
	return errors.ErrUnsupported
}

func TestHoldAndRelease(t *testing.T) {
	h := here{dirs: map[string]string{"db1": t.TempDir(), "db2": t.TempDir()}}
	a := Act(Look(h, []string{"db1", "db2"}), h)
	file := filepath.Join(h.dirs["db1"], FileName)
	held := func(want ...string) {
		t.Helper()
		if open, err := a.Held(t.Context(), run); err != nil || !slices.Equal(open, want) {
			t.Errorf("open: %q, %v; want %q", open, err, want)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	held("db1", "db2")
	for range 2 {
		must(a.Hold(t.Context(), run))
		held()
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != text(run) {
		t.Errorf("%q, %v", b, err)
	}
	if s, err := os.Stat(file); err != nil || s.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v: the server must be able to read it", s.Mode(), err)
	}

	// Another run's: nothing is overwritten, nothing removed.
	if err := a.Hold(t.Context(), "20261123-010203-0000"); err == nil || !strings.Contains(err.Error(), "is not what run 20261123-010203-0000 wrote") {
		t.Error(err)
	}
	if err := a.Release(t.Context(), "20261123-010203-0000"); err == nil || !strings.Contains(err.Error(), "it was left") {
		t.Error(err)
	}
	held()

	// What a writing that was killed left goes too.
	must(os.WriteFile(filepath.Join(h.dirs["db1"], "."+FileName+".AbCdEf"), nil, 0o600))
	for range 2 {
		must(a.Release(t.Context(), run))
		held("db1", "db2")
	}
	for host, dir := range h.dirs {
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%s: %v, %v are left", host, left, err)
		}
	}

	// A file that doesn't count is no success.
	h.later = "option --skip-read-only\n"
	if err := Act(Look(h, []string{"db1"}), h).Hold(t.Context(), run); err == nil || !strings.Contains(err.Error(), "read later") {
		t.Error(err)
	}
}
