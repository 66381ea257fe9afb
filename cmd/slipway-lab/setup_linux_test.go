package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// makefile runs make's goal in the repository without doing it (-n), on a machine where the programs named behave as the given shell scripts.
func makefile(t *testing.T, goal string, programs map[string]string) (int, string) {
	t.Helper()
	bin := t.TempDir()
	for name, script := range programs {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	path := bin + ":" + os.Getenv("PATH")
	if script, there := programs["go"]; there && script == "" { // a machine without it
		if err := os.Remove(filepath.Join(bin, "go")); err != nil {
			t.Fatal(err)
		}
		path = bin + ":" + linked(t, "make", "sh", "sed", "grep", "id", "uname", "cut", "head", "sort", "git", "apt-get", "modprobe")
	}
	cmd := exec.Command("make", "-n", "--no-print-directory", goal, "PATH="+path)
	cmd.Dir = "../.."
	cmd.Env = slices.DeleteFunc(append(os.Environ(), "PATH="+path), func(s string) bool {
		return strings.HasPrefix(s, "MAKEFLAGS=") || strings.HasPrefix(s, "MAKELEVEL=") || strings.HasPrefix(s, "MFLAGS=")
	})
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

// linked is a directory with links to this machine's programs of these names, of those that it has.
func linked(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		at, err := exec.LookPath(name)
		if errors.Is(err, exec.ErrNotFound) {
			continue
		}
		if err == nil {
			err = os.Symlink(at, filepath.Join(dir, name))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// lab is a machine that can carry one, whatever this is.
func lab(more ...string) map[string]string {
	m := map[string]string{"uname": "echo Linux", "id": "echo 0", "apt-get": "exit 1", "modprobe": "exit 1", "grep": "exit 0", "go": "echo go1.99.0"}
	for i := 0; i < len(more); i += 2 {
		m[more[i]] = more[i+1]
	}
	return m
}

func TestWhatIsMissingIsSaidInOneLine(t *testing.T) {
	no := func(filesystem string) string { return `case "$*" in *` + filesystem + `*) exit 1;; esac` }
	for _, c := range []struct {
		name, goal string
		programs   map[string]string
		says       string
	}{
		{"not Linux", "rehearse", lab("uname", "echo Darwin"), "the lab needs Linux, this is Darwin: run it on Debian 12"},
		{"an ordinary user", "rehearse", lab("id", "echo 1000"), "the lab needs root (namespaces, mounts, cgroups): sudo make"},
		{"an ordinary user tests", "test", lab("id", "echo 1000"), "the lab needs root (namespaces, mounts, cgroups): sudo make"},
		{"no overlay", "test", lab("grep", no("overlay")), "the kernel has no overlay (the hosts' root file systems): modprobe overlay"},
		{"no fuse", "rehearse", lab("grep", no("fuse")), "the kernel has no fuse (the Gluster mounts): modprobe fuse"},
		{"no Go", "rehearse", lab("go", ""), "Go is missing: install Go 1."},
		{"no Go to build with", "build", lab("go", ""), "Go is missing: install Go 1."},
		{"an old Go that can fetch no newer one", "test", lab("go", `[ "$1" = version ] || exit 1; echo go version go1.21.3 linux/amd64`), "Go is too old: this is go1.21.3, install Go 1."},
		{"a Go from before it could", "build", lab("go", "echo go1.19.8"), "Go is too old: this is go1.19.8, install Go 1."},
	} {
		code, out := makefile(t, c.goal, c.programs)
		if code != 2 || strings.Count(out, "\n") != 1 || !strings.Contains(out, c.says) {
			t.Errorf("%s: make %s exits with %d and says:\n%s\nwant 2 and one line with %q", c.name, c.goal, code, out, c.says)
		}
	}
}

func TestNothingIsMissing(t *testing.T) {
	for goal, first := range map[string]string{"rehearse": ".ci/setup install", "test": ".ci/setup install", "build": ".ci/wait 'compiling bin/slipway and bin/slipway-lab' go build"} {
		if code, out := makefile(t, goal, lab()); code != 0 || !strings.HasPrefix(out, first) {
			t.Errorf("make %s exits with %d and would do:\n%s\nwant 0 and %q first", goal, code, out, first)
		}
	}
	// A module is loaded where the kernel has it as one: before that it isn't listed.
	loads := lab("grep", `[ -e "${0%/*}/loaded" ]`, "modprobe", `: >"${0%/*}/loaded"`)
	if code, out := makefile(t, "test", loads); code != 0 {
		t.Errorf("with modules to be loaded: exit %d: %s", code, out)
	}
}

// TestOrdinaryUser: building and checking take no root.
func TestOrdinaryUser(t *testing.T) {
	for _, goal := range []string{"build", "check", "bench", "help"} {
		if code, out := makefile(t, goal, lab("id", "echo 1000", "uname", "echo Darwin")); code != 0 {
			t.Errorf("make %s exits with %d: %s", goal, code, out)
		}
	}
}
