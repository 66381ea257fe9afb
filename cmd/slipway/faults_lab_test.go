//go:build lab

package main

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/slipway-dev/slipway/internal/lab/labtest"
	"github.com/slipway-dev/slipway/migrate"
)

// fault is something that is wrong, and what the program must say of it.
type fault struct {
	name  string
	wrong func(t *testing.T, s desk)
	code  int
	says  []string
	// made: the run got so far that it made things, which its rollback must delete.
	made bool
}

// TestFaults: each ends with the documented exit code and one clear error that names the place, with nothing left behind.
func TestFaults(t *testing.T) {
	lab := labtest.Alone(t)
	for _, f := range []fault{
		{
			name: "a changed host key and a host that is down, told together",
			wrong: func(t *testing.T, s desk) {
				s.knows(t, "10.77.0.53", "10.77.0.34") // db3 shows another key than web4's
				lab.Kill(t, "web3")
			},
			code: exitFailed, says: []string{"db3", "SHA256:", "known_hosts", "web3"},
		},
		{
			name: "an unknown host key",
			wrong: func(t *testing.T, s desk) {
				s.knows(t, "10.77.0.53", "")
			},
			code: exitFailed, says: []string{"db3", "SHA256:", "known_hosts"},
		},
		{
			name:  "a wrong password",
			wrong: func(t *testing.T, s desk) { s.write(t, "secrets/mariadb", "wrong-password") },
			code:  exitFailed, says: []string{"db2", "Access denied", "slipway"},
		},
		{
			name: "a slipway.yaml with three mistakes",
			wrong: func(t *testing.T, s desk) {
				s.change(t, "nodes: 2", "nodes: two", "tier:", "teir:", "password: file:secrets/mariadb", "password: hunter2")
			},
			code: exitUsage, says: []string{"slipway.yaml:", "nodes", "teir", "source.mariadb.password"},
		},
		{
			name:  "a secret that is not there",
			wrong: func(t *testing.T, s desk) { s.remove(t, "secrets/mariadb") },
			code:  exitUsage, says: []string{"slipway.yaml:", "source.mariadb.password", "secrets/mariadb does not exist"},
		},
		{
			name: "a key that could change production's zone",
			wrong: func(t *testing.T, s desk) {
				s.change(t, "secrets/ovh-application-key", "secrets/ovh-owner-application-key", "secrets/ovh-application-secret", "secrets/ovh-owner-application-secret",
					"secrets/ovh-consumer-key", "secrets/ovh-owner-consumer-key")
			},
			code: exitFailed, says: []string{"preflight.dns", "shop.example. is production's", "POST /*", "make a key without"},
		},
		{
			name: "a volume that is too small for the files",
			wrong: func(t *testing.T, s desk) {
				s.changeLine(t, "- claim: shop-assets", "    size: 16MiB")
			},
			code: exitFailed, says: []string{"shop-assets", "space"}, made: true,
		},
		{
			name:  "no room on this machine for the snapshot",
			wrong: func(t *testing.T, s desk) { s.smallDisk(t, "snapshots", "1m") },
			code:  exitFailed, says: []string{"no space left in the snapshot directory", "make room there"}, made: true,
		},
	} {
		t.Run(f.name, func(t *testing.T) { f.test(t, newDesk(t, lab)) })
	}
}

func (f fault) test(t *testing.T, s desk) {
	s.lab.BeginProof(t)
	f.wrong(t, s)
	code, out, complaint := s.slipway(t, "rehearse", "--yes-to", "go")
	if code != f.code {
		t.Errorf("exit code %d, want %d", code, f.code)
	}
	for _, want := range f.says {
		if !strings.Contains(out+complaint, want) {
			t.Errorf("it does not say %q", want)
		}
	}
	if !strings.Contains(complaint, "error: ") || f.code != exitUsage && !strings.Contains(complaint, "hint: ") {
		t.Errorf("no error, or nothing to type next:\n%s", complaint)
	}
	if strings.Contains(out+complaint, "hunter2") || strings.Contains(out+complaint, "wrong-password") {
		t.Error("it prints a secret")
	}
	if t.Failed() {
		t.Logf("\n%s%s", out, complaint)
	}
	f.leavesNothing(t, s)
}

// leavesNothing rolls back what there is of a run.
func (f fault) leavesNothing(t *testing.T, s desk) {
	if f.code == exitUsage {
		if _, err := os.Stat(filepath.Join(s.dir, ".slipway")); !os.IsNotExist(err) {
			t.Errorf("a run was begun: %v", err)
		}
		return
	}
	entries, err := os.ReadDir(filepath.Join(s.dir, ".slipway", "runs"))
	if err != nil || len(entries) != 1 {
		t.Fatalf("runs: %v, %v", entries, err)
	}
	id := entries[0].Name()
	s.must(t, exitDone, "journal", "verify", id)
	if got := len(s.machines(t)) > 0; got != f.made {
		t.Errorf("things were made: %t, want %t", got, f.made)
	}
	s.heal(t)
	s.must(t, exitDone, "rollback", id)
	if st := s.status(t, id); st.State != migrate.StateRolledBack {
		t.Errorf("the run is %s", st.State)
	}
	s.nothingLeft(t)
}

// heal makes the source whole again, and gives the program back what a rollback needs.
func (s desk) heal(t *testing.T) {
	t.Helper()
	s.lab.Heal(t)
	fresh := s.lab.Config(t)
	for _, name := range []string{"known_hosts", "secrets/mariadb"} {
		text, err := os.ReadFile(filepath.Join(fresh, name))
		if err != nil {
			t.Fatal(err)
		}
		s.write(t, name, string(text))
	}
}

func (s desk) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (s desk) remove(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(s.dir, name)); err != nil {
		t.Fatal(err)
	}
}

// knows puts another host's key in place of an address's in known_hosts, or none.
func (s desk) knows(t *testing.T, address, other string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, "known_hosts"))
	if err != nil {
		t.Fatal(err)
	}
	key := ""
	var kept []string
	for line := range strings.Lines(string(text)) {
		names, rest, _ := strings.Cut(line, " ")
		switch {
		case other != "" && strings.Contains(names, other):
			key = rest
			kept = append(kept, line)
		case !strings.Contains(names, address):
			kept = append(kept, line)
		}
	}
	if key != "" {
		kept = append(kept, address+" "+key)
	}
	if other != "" && key == "" {
		t.Fatalf("known_hosts has no %s", other)
	}
	s.write(t, "known_hosts", strings.Join(kept, ""))
}

// changeLine replaces the line after the first one that holds a text.
func (s desk) changeLine(t *testing.T, after, line string) {
	t.Helper()
	path := filepath.Join(s.dir, "slipway.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	changed, next := false, false
	for sc := bufio.NewScanner(bytes.NewReader(text)); sc.Scan(); {
		if next {
			out.WriteString(line + "\n")
			changed, next = true, false
			continue
		}
		next = !changed && strings.Contains(sc.Text(), after)
		out.WriteString(sc.Text() + "\n")
	}
	if !changed {
		t.Fatalf("slipway.yaml has no line after %q", after)
	}
	s.write(t, "slipway.yaml", out.String())
}

// smallDisk puts a file system of a size on a directory, until the test's end. The test's mounts are its own (slipway-lab run).
func (s desk) smallDisk(t *testing.T, name, size string) {
	t.Helper()
	dir := filepath.Join(s.dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}
