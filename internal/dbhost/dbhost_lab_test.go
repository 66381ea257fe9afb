//go:build lab

package dbhost_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/dbhost"
	"github.com/slipway-dev/slipway/internal/lab/fleet"
	"github.com/slipway-dev/slipway/internal/lab/labtest"
	"github.com/slipway-dev/slipway/internal/remote"
)

const (
	run     = "20261123-010203-7f3a"
	another = "20261123-010203-0000"
)

// hosts are the lab's masters, as a user reaches them.
func hosts(t testing.TB, l *labtest.Lab, user, key string) *dbhost.Actor {
	t.Helper()
	var all []remote.Host
	var names []string
	for _, name := range []string{"db1", "db2"} {
		all, names = append(all, remote.Host{Name: name, Address: l.Host(t, name).Addr.String()}), append(names, name)
	}
	p, err := remote.Open(remote.Config{User: user, KnownHosts: l.Access(fleet.KnownHostsFile), Keys: []remote.Key{{Path: l.Access(key)}}}, all)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return dbhost.Act(dbhost.Look(remote.NewLooker(p), names), remote.NewActor(p))
}

// TestRestartedMasters: real servers under systemd come up read-only while a run's files are there, and as they were when they are gone.
func TestRestartedMasters(t *testing.T) {
	l := labtest.Alone(t)
	a := hosts(t, l, "root", fleet.RootKeyFile)
	ask := func(host, what string) string {
		return strings.TrimSpace(l.Root(t, host, "mariadb", "-N", "-e", "SELECT "+what))
	}
	both := func() string { return ask("db1", "@@global.read_only") + " " + ask("db2", "@@global.read_only") }
	restarted := func() string {
		for _, h := range a.Hosts() {
			l.Root(t, h, "systemctl", "restart", "mariadb") // it returns when the server answers
		}
		return both()
	}
	was := both()
	if was != "0 1" {
		t.Fatalf("the masters' read_only is %s before anything is done", was)
	}
	names := []string{ask("db1", "@@hostname"), ask("db2", "@@hostname")}
	found, err := a.Ready(t.Context(), names, run)
	if err != nil || found[0].ReadOnly || !found[1].ReadOnly {
		t.Fatalf("%+v, %v", found, err)
	}
	t.Cleanup(func() {
		if err := a.Release(context.Background(), run); err != nil {
			t.Error(err)
		}
		if is := restarted(); is != was {
			t.Errorf("left: read_only %s", is)
		}
		l.WaitHealthy(t)
	})
	if err := a.Hold(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	if is := restarted(); is != "1 1" {
		t.Errorf("with the files the masters come up with read_only %s", is)
	}
	if _, err := a.Ready(t.Context(), names, another); err == nil || strings.Count(err.Error(), "is not this run's") != 2 {
		t.Errorf("another run: %v", err)
	}
	if err := a.Release(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	if is := restarted(); is != was {
		t.Errorf("without the files the masters come up with read_only %s", is)
	}
	for _, h := range a.Hosts() {
		if left := l.Root(t, h, "find", "/etc/mysql", "-name", "*slipway*"); left != "" {
			t.Errorf("%s: left: %s", h, left)
		}
	}

	// The hosts the wrong way round, and an account that may not write.
	slices.Reverse(names)
	if _, err := a.Ready(t.Context(), names, run); err == nil || strings.Count(err.Error(), "name that server's own host") != 2 {
		t.Error(err)
	}
	slices.Reverse(names)
	if _, err := hosts(t, l, fleet.SlipwayUser, fleet.SlipwayKeyFile).Ready(t.Context(), names, run); err == nil || strings.Count(err.Error(), "sign in as root") != 2 {
		t.Error(err)
	}
}
