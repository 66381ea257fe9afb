//go:build lab

package dbhost_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/dbhost"
	"github.com/slipway-dev/slipway/internal/remote"
)

const (
	run     = "20261123-010203-7f3a"
	another = "20261123-010203-0000"
)

// access is the running lab's directory of keys.
func access(name string) string {
	state, lab := os.Getenv("SLIPWAY_LAB_STATE"), os.Getenv("SLIPWAY_LAB")
	if state == "" {
		state = "/var/lib/slipway-lab"
	}
	if lab == "" {
		lab = "lab"
	}
	return filepath.Join(state, lab, "access", name)
}

// hosts are the lab's masters, as a user reaches them.
func hosts(t testing.TB, user, key string) *dbhost.Actor {
	t.Helper()
	p, err := remote.Open(remote.Config{User: user, KnownHosts: access("known_hosts"), Keys: []remote.Key{{Path: access(key)}}},
		[]remote.Host{{Name: "db1", Address: "10.77.0.51"}, {Name: "db2", Address: "10.77.0.52"}})
	if err != nil {
		t.Fatalf("%v; is the lab up? type: bin/slipway-lab up", err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return dbhost.Act(dbhost.Look(remote.NewLooker(p), []string{"db1", "db2"}), remote.NewActor(p))
}

func ssh(t testing.TB, host string, command string) string {
	t.Helper()
	out, err := exec.Command("../../bin/slipway-lab", "ssh", host, command).CombinedOutput()
	if err != nil {
		t.Fatalf("slipway-lab ssh %s %s: %v: %s", host, command, err, out)
	}
	return strings.TrimSpace(string(out))
}

// TestRestartedMasters: real servers under systemd come up read-only while a run's files are there, and as they were when they are gone.
func TestRestartedMasters(t *testing.T) {
	a := hosts(t, "root", "root_ed25519")
	readOnly := func() string {
		var out []string
		for _, h := range a.Hosts() {
			ssh(t, h, "systemctl restart mariadb")
			for end := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
				is := ssh(t, h, "mariadb -N -e 'SELECT @@global.read_only' 2>/dev/null || true")
				if is != "" {
					out = append(out, is)
					break
				}
				if time.Now().After(end) {
					t.Fatalf("%s does not come up: %s", h, ssh(t, h, "journalctl -n 20 --no-pager -u mariadb"))
				}
			}
		}
		return strings.Join(out, " ")
	}
	was := ssh(t, "db1", "mariadb -N -e 'SELECT @@global.read_only'") + " " + ssh(t, "db2", "mariadb -N -e 'SELECT @@global.read_only'")
	if was != "0 1" {
		t.Fatalf("the masters' read_only is %s before anything is done", was)
	}
	names := []string{ssh(t, "db1", "mariadb -N -e 'SELECT @@hostname'"), ssh(t, "db2", "mariadb -N -e 'SELECT @@hostname'")}
	found, err := a.Ready(t.Context(), names, run)
	if err != nil || found[0].ReadOnly || !found[1].ReadOnly {
		t.Fatalf("%+v, %v", found, err)
	}
	t.Cleanup(func() {
		if err := a.Release(context.Background(), run); err != nil {
			t.Error(err)
		}
	})
	if err := a.Hold(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	if is := readOnly(); is != "1 1" {
		t.Errorf("with the files the masters come up with read_only %s", is)
	}
	if _, err := a.Ready(t.Context(), names, another); err == nil || strings.Count(err.Error(), "is not this run's") != 2 {
		t.Errorf("another run: %v", err)
	}
	if err := a.Release(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	if is := readOnly(); is != was {
		t.Errorf("without the files the masters come up with read_only %s", is)
	}
	for _, h := range a.Hosts() {
		if left := ssh(t, h, "find /etc/mysql -name '*slipway*'"); left != "" {
			t.Errorf("%s: left: %s", h, left)
		}
	}

	// The hosts the wrong way round, and an account that may not write.
	slices.Reverse(names)
	if _, err := a.Ready(t.Context(), names, run); err == nil || strings.Count(err.Error(), "name that server's own host") != 2 {
		t.Error(err)
	}
	slices.Reverse(names)
	if _, err := hosts(t, "slipway", "slipway_ed25519").Ready(t.Context(), names, run); err == nil || strings.Count(err.Error(), "sign in as root") != 2 {
		t.Error(err)
	}
}
