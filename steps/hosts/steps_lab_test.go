//go:build lab

package hosts_test

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/remote"
	"github.com/slipway-dev/slipway/internal/secret"
	"github.com/slipway-dev/slipway/inventory"
	"github.com/slipway-dev/slipway/inventory/scan"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal"
	"github.com/slipway-dev/slipway/steps/hosts"
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

// lab runs a verb of slipway-lab.
func lab(t testing.TB, args ...string) {
	t.Helper()
	if out, err := exec.Command("../../bin/slipway-lab", args...).CombinedOutput(); err != nil {
		t.Fatalf("slipway-lab %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

type preflight struct {
	rb   *migrate.Runbook[migrate.Rehearsal]
	mu   sync.Mutex
	kept map[string]string
}

// wire binds the three steps to the lab, as the product's wiring does.
func wire(t testing.TB) *preflight {
	t.Helper()
	inv, err := inventory.Parse("inventory.yaml", []byte(strings.ReplaceAll(inventory.Example, "192.0.2.", "10.77.0.")))
	if err != nil {
		t.Fatal(err)
	}
	var pw struct{ SlipwayPassword, RedisPassword string }
	b, err := os.ReadFile(access("passwords.json"))
	if err != nil {
		t.Fatalf("the lab is not up: %v; type: bin/slipway-lab up", err)
	}
	if err := json.Unmarshal(b, &pw); err != nil {
		t.Fatal(err)
	}
	pool, err := remote.Open(remote.Config{User: "slipway", KnownHosts: access("known_hosts"), Keys: []remote.Key{{Path: access("slipway_ed25519")}}, DialTimeout: 5 * time.Second}, scan.Hosts(inv, ""))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close() })
	src := scan.Source{Inventory: inv, Looker: remote.NewLooker(pool), RedisPassword: secret.New(pw.RedisPassword),
		Dial: func(h string) func(context.Context, string, string) (net.Conn, error) { return remote.Dialer(pool, h) }}
	p := &preflight{rb: migrate.NewRunbook[migrate.Rehearsal](), kept: map[string]string{}}
	keep := func(_ context.Context, name string, facts any) error {
		b, err := json.Marshal(facts)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.kept[name] = string(b)
		return err
	}
	p.rb.Phase("preflight")
	add(hosts.Preflight{Inventory: inv, Clocks: time.Second, Keep: keep}, hosts.HostsLooker(scan.LookAtFleet(src)))(p.rb)
	add(hosts.MariaDB{Inventory: inv, SnapshotFrom: "db2", Databases: []string{"shop"}, Keep: keep}, hosts.MariaDBLooker(scan.LookAtDatabases(src, scan.Account{User: "slipway", Password: secret.New(pw.SlipwayPassword), Port: 3306})))(p.rb)
	add(hosts.Gluster{Volume: "assets", Keep: keep}, hosts.GlusterLooker(scan.LookAtVolume(src, "assets")))(p.rb)
	return p
}

// run begins a run and goes as far as it gets. The error has what every step said.
func (p *preflight) run(t testing.TB) error {
	t.Helper()
	id, err := migrate.NewID(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	dir, err := journal.MakeDir(t.TempDir(), id)
	if err != nil {
		t.Fatal(err)
	}
	r, err := migrate.Begin(dir, id, p.rb, migrate.Options{Tool: "test", Ending: migrate.EndDone()})
	if err != nil {
		t.Fatal(err)
	}
	runErr := r.Resume(t.Context())
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if runErr != nil {
		return runErr
	}
	// Another process looks again, and finds what is recorded.
	r, err = migrate.Open(dir, p.rb, migrate.Options{Tool: "test", Ending: migrate.EndDone()})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Resume(t.Context()); err != nil {
		t.Errorf("resumed: %v", err)
	}
	return r.Close()
}

func TestPreflightOfTheLab(t *testing.T) {
	p := wire(t)
	start := time.Now()
	if err := p.run(t); err != nil {
		t.Fatal(err)
	}
	t.Logf("three preflights, each looked at twice, in %s", time.Since(start).Round(10*time.Millisecond))
	for _, name := range []string{"hosts", "mariadb", "gluster"} {
		if len(p.kept[name]) < 500 {
			t.Errorf("facts of %s: %s", name, p.kept[name])
		}
	}
}

// A host that is down, a replica that stopped and a brick that is down, all in one go.
func TestPreflightOfASickLab(t *testing.T) {
	lab(t, "kill", "lb2")
	t.Cleanup(func() { lab(t, "start", "lb2") })
	lab(t, "ssh", "db3", "mariadb -e 'STOP SLAVE SQL_THREAD'")
	t.Cleanup(func() { lab(t, "ssh", "db3", "mariadb -e 'START SLAVE'") })
	lab(t, "ssh", "files3", "pkill -9 -x glusterfsd; sleep 1")
	t.Cleanup(func() { lab(t, "ssh", "files1", "gluster volume start assets force >/dev/null") })
	err := wire(t).run(t)
	if err == nil {
		t.Fatal("a sick fleet passed")
	}
	t.Log(err)
	for _, say := range []string{"lb2: ", "db3: mariadb: replication from ", "its applying thread does not run (No)", "brick files3:", " is down"} {
		if !strings.Contains(err.Error(), say) {
			t.Errorf("%q is not in the error", say)
		}
	}
}

// After the sick one, so that what it left is noticed.
func TestPreflightOfTheLabAgain(t *testing.T) {
	var err error
	for end := time.Now().Add(90 * time.Second); time.Now().Before(end); time.Sleep(time.Second) {
		if err = wire(t).run(t); err == nil {
			return
		}
	}
	t.Errorf("the lab did not recover: %v", err)
}
