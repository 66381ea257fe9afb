//go:build lab

package scan_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-multierror"
	"github.com/slipway-dev/slipway/internal/remote"
	"github.com/slipway-dev/slipway/internal/secret"
	"github.com/slipway-dev/slipway/inventory"
	"github.com/slipway-dev/slipway/inventory/scan"
)

// labInventory is the lab's, with its addresses in the place of the example's.
func labInventory(t testing.TB) *inventory.Inventory {
	t.Helper()
	inv, err := inventory.Parse("inventory.yaml", []byte(strings.ReplaceAll(inventory.Example, "192.0.2.", "10.77.0.")))
	if err != nil {
		t.Fatal(err)
	}
	return inv
}

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

func passwords(t testing.TB) (p struct{ SlipwayPassword, RedisPassword string }) {
	t.Helper()
	b, err := os.ReadFile(access("passwords.json"))
	if err != nil {
		t.Fatalf("the lab is not up: %v; type: bin/slipway-lab up", err)
	}
	if err := json.Unmarshal(b, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// open gives what a scan needs, after change.
func open(t testing.TB, change func(*remote.Config, *scan.Source)) (scan.Source, scan.Account) {
	t.Helper()
	pw := passwords(t)
	s := scan.Source{Inventory: labInventory(t), RedisPassword: secret.New(pw.RedisPassword)}
	cfg := remote.Config{User: "slipway", KnownHosts: access("known_hosts"), Keys: []remote.Key{{Path: access("slipway_ed25519")}}, DialTimeout: 5 * time.Second}
	if change != nil {
		change(&cfg, &s)
	}
	pool, err := remote.Open(cfg, scan.Hosts(s.Inventory, ""))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close() })
	s.Looker = remote.NewLooker(pool)
	s.Dial = func(host string) func(context.Context, string, string) (net.Conn, error) {
		return remote.Dialer(pool, host)
	}
	return s, scan.Account{User: "slipway", Password: secret.New(pw.SlipwayPassword), Port: 3306}
}

// lab runs a verb of slipway-lab.
func lab(t testing.TB, args ...string) {
	t.Helper()
	if out, err := exec.Command("../../bin/slipway-lab", args...).CombinedOutput(); err != nil {
		t.Fatalf("slipway-lab %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

func TestScanOfTheLab(t *testing.T) {
	s, a := open(t, nil)
	start := time.Now()
	r, err := s.All(t.Context(), a, "assets", nil)
	took := time.Since(start)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("17 hosts, MariaDB and Gluster in %s", took.Round(10*time.Millisecond))
	if len(r.Fleet.Hosts) != 17 || len(r.Databases) != 3 || r.Volume == nil {
		t.Fatalf("%d hosts, %d databases, volume %v", len(r.Fleet.Hosts), len(r.Databases), r.Volume)
	}
	if p := r.Fleet.Problems(s.Inventory, time.Second); len(p) != 0 {
		t.Errorf("the lab is not well: %v", p)
	}
	if p := scan.DatabaseProblems(s.Inventory, r.Databases, "db2", []string{"shop"}); len(p) != 0 {
		t.Errorf("MariaDB is not well: %v", p)
	}
	if p := r.Volume.Problems(); len(p) != 0 {
		t.Errorf("Gluster is not well: %v", p)
	}
	services := map[inventory.Role][]string{inventory.LB: {"haproxy", "keepalived"}, inventory.Cache: {"varnish", "keepalived"}, inventory.Web: {"apache", "php"}, inventory.Redis: {"redis"}, inventory.DB: {"mariadb"}, inventory.Files: {"gluster"}, inventory.Queue: {"rabbitmq"}, inventory.Worker: {"supervisor"}}
	for i := range r.Fleet.Hosts {
		h := &r.Fleet.Hosts[i]
		release := "12"
		if h.Host == "web5" || h.Host == "redis1" {
			release = "11"
		}
		if h.OS.ID != "debian" || h.OS.Version != release || h.Hostname != h.Host || h.User != "slipway" || h.MachineID == "" {
			t.Errorf("%s: %+v, hostname %s, user %s", h.Host, h.OS, h.Hostname, h.User)
		}
		if len(h.Packages) < 50 || len(h.Units) < 5 || len(h.Listeners) < 1 || len(h.Disks) < 1 || !h.Running("ssh.service") {
			t.Errorf("%s: %d packages, %d units, %d listeners, %d disks", h.Host, len(h.Packages), len(h.Units), len(h.Listeners), len(h.Disks))
		}
		if h.Clock.Offset.Abs() > h.Clock.Uncertainty {
			t.Errorf("%s: the same clock is %s off, give or take %s", h.Host, h.Clock.Offset, h.Clock.Uncertainty)
		}
		for _, role := range h.Roles {
			for _, name := range services[role] {
				if v, ok := h.Service(name); !ok || v == "" {
					t.Errorf("%s: no version of %s: %+v", h.Host, name, h.Services)
				}
			}
		}
		for _, redis := range h.Redis {
			want := map[string]string{"redis1": "master", "redis2": "slave"}[h.Host]
			if redis.Role != want || redis.Version == "" {
				t.Errorf("%s: %+v", h.Host, redis)
			}
		}
		if n := len(h.Redis); (n == 2) != (h.Roles[0] == inventory.Redis) {
			t.Errorf("%s: %d redis servers", h.Host, n)
		}
	}
	t.Logf("drift:\n%s", drifts(r))
	for _, want := range []string{"web: os: Debian GNU/Linux 12 (bookworm) on web1 web2 web3 web4; Debian GNU/Linux 11 (bullseye) on web5", "web: version of php: 8.2.", "redis: version of redis: 6.0.",
		"lb: file /etc/sysctl.d/50-edge.conf: ", "web: time zone: Etc/UTC on web1 web2 web3 web5; Europe/Paris on web4", "db: mariadb's max_connections: 200 on db1 db2; 151 on db3"} {
		if !strings.Contains(drifts(r), want) {
			t.Errorf("no %q", want)
		}
	}
	if len(r.Volume.Bricks) != 3 || r.Volume.Replicas != 3 || r.Volume.Arbiters != 0 || len(r.Volume.Peers) != 3 {
		t.Errorf("%+v", r.Volume)
	}
	for _, d := range r.Databases {
		if len(d.Replicas) != 1 || !d.Replicas[0].Running() || d.BinlogAt == "" || !strings.HasPrefix(d.Version, "10.11.") {
			t.Errorf("%+v", d)
		}
	}
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	pw := passwords(t)
	for _, leak := range []string{pw.SlipwayPassword, pw.RedisPassword, "IDENTIFIED"} {
		if strings.Contains(string(b), leak) {
			t.Error("a password or its hash is in the report")
		}
	}
}

func drifts(r *scan.Report) string {
	var b strings.Builder
	for _, d := range append(slices.Clone(r.Fleet.Drift), scan.DatabaseDrift(r.Databases)...) {
		b.WriteString(d.String() + "\n")
	}
	return b.String()
}

// Two scans of an unchanged fleet find the same drift, in the same order.
func TestScanIsStable(t *testing.T) {
	s, a := open(t, nil)
	var first *scan.Report
	for range 2 {
		r, err := s.All(t.Context(), a, "assets", nil)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = r
			continue
		}
		if r.Fleet.Digest() != first.Fleet.Digest() || r.Volume.Digest() != first.Volume.Digest() || scan.DatabasesDigest(r.Databases) != scan.DatabasesDigest(first.Databases) || drifts(r) != drifts(first) {
			t.Errorf("first:\n%s\nthen:\n%s", drifts(first), drifts(r))
		}
	}
}

// Everything that is wrong, at once: a killed host, a frozen one, a wrong host key, and one that isn't pinned.
func TestAllFaultsAtOnce(t *testing.T) {
	text, err := os.ReadFile(access("known_hosts"))
	if err != nil {
		t.Fatal(err)
	}
	var known strings.Builder
	lines := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, key, _ := strings.Cut(line, " ")
		name, _, _ = strings.Cut(name, ",")
		lines[name] = key
	}
	for line := range strings.Lines(string(text)) {
		hosts, _, _ := strings.Cut(line, " ")
		switch name, _, _ := strings.Cut(hosts, ","); name {
		case "web3":
			known.WriteString(hosts + " " + lines["web4"]) // another host's key
		case "web4":
		default:
			known.WriteString(line)
		}
	}
	file := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(file, []byte(known.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	lab(t, "kill", "lb2")
	t.Cleanup(func() { lab(t, "start", "lb2"); wait(t, "lb2") })
	lab(t, "freeze", "cache2")
	t.Cleanup(func() { lab(t, "thaw", "cache2"); wait(t, "cache2") })

	s, _ := open(t, func(c *remote.Config, _ *scan.Source) { c.KnownHosts = file })
	start := time.Now()
	f, err := s.Fleet(t.Context(), nil)
	took := time.Since(start)
	var all *multierror.Error
	if !errors.As(err, &all) || len(all.Errors) != 4 || len(f.Hosts) != 13 {
		t.Fatalf("%d hosts, %v", len(f.Hosts), err)
	}
	for i, c := range []struct {
		is   error
		says []string
	}{
		{remote.ErrUnreachable, []string{"lb2: ", "10.77.0.12", "the host is down"}},
		{remote.ErrUnreachable, []string{"cache2: 10.77.0.22:22 accepted the connection but sent no SSH banner within 5s"}},
		{remote.ErrHostKey, []string{"web3: host key of 10.77.0.33:22 has changed", file + ":", "SHA256:", "ssh-keygen -f "}},
		{remote.ErrHostKey, []string{"web4: host key of 10.77.0.34:22 is not known", "ssh-keyscan -t ed25519 10.77.0.34 >> "}},
	} {
		if !errors.Is(all.Errors[i], c.is) {
			t.Errorf("%v is not %v", all.Errors[i], c.is)
		}
		for _, say := range c.says {
			if !strings.Contains(all.Errors[i].Error(), say) {
				t.Errorf("%v does not say %q", all.Errors[i], say)
			}
		}
	}
	if took > 12*time.Second {
		t.Errorf("it took %s", took)
	}
	t.Logf("four faults among 17 hosts in %s:\n%v", took.Round(10*time.Millisecond), err)
}

// wait waits until a host can be read again.
func wait(t testing.TB, host string) {
	t.Helper()
	s, _ := open(t, func(_ *remote.Config, s *scan.Source) {
		h, _ := s.Inventory.Host(host)
		s.Inventory = &inventory.Inventory{Hosts: []inventory.Host{h}}
	})
	// Not the test's context: it has ended when clean-up runs.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var err error
	for ; ctx.Err() == nil; time.Sleep(200 * time.Millisecond) {
		if _, err = s.Fleet(ctx, nil); err == nil {
			return
		}
	}
	t.Errorf("%s did not come back: %v", host, err)
}

func TestWrongKeyAndWrongPassword(t *testing.T) {
	s, _ := open(t, func(c *remote.Config, _ *scan.Source) { c.User = "nobody-here" })
	_, err := s.Fleet(t.Context(), nil)
	var all *multierror.Error
	if !errors.As(err, &all) || len(all.Errors) != 17 || !errors.Is(all.Errors[0], remote.ErrAuth) || !strings.Contains(all.Errors[0].Error(), "refuses user nobody-here") {
		t.Errorf("%v", err)
	}
	s, a := open(t, func(_ *remote.Config, s *scan.Source) { s.RedisPassword = secret.New("wrong-redis-password") })
	a.Password = secret.New("wrong-mariadb-password")
	_, err = s.Databases(t.Context(), a)
	if !errors.As(err, &all) || len(all.Errors) != 3 || !strings.Contains(err.Error(), "db1: mariadb: it refuses user slipway; look at source.mariadb.password") {
		t.Errorf("%v", err)
	}
	f, err := s.Fleet(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	h, _ := f.Host("redis1")
	if len(h.Redis) != 2 || !strings.Contains(h.Redis[0].Unread, "does not take source.redis.password") {
		t.Errorf("%+v", h.Redis)
	}
	if text := fmt.Sprint(err, f); strings.Contains(text, "wrong-mariadb") || strings.Contains(text, "wrong-redis") {
		t.Error("a password is printed")
	}
}

// The account can't do what it isn't given: sudo is for looking at Gluster alone.
func TestTheAccountCannotAct(t *testing.T) {
	pool, err := remote.Open(remote.Config{User: "slipway", KnownHosts: access("known_hosts"), Keys: []remote.Key{{Path: access("slipway_ed25519")}}}, scan.Hosts(labInventory(t), ""))
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	for _, argv := range [][]string{{"sudo", "-n", "true"}, {"sudo", "-n", "/usr/sbin/gluster", "volume", "stop", "assets"}, {"touch", "/etc/slipway"}} {
		var exit *remote.ExitError
		if err := remote.NewActor(pool).Run(t.Context(), "files1", remote.Cmd{Argv: argv, Timeout: 10 * time.Second}); !errors.As(err, &exit) {
			t.Errorf("%v: %v", argv, err)
		}
	}
}
