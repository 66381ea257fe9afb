//go:build lab

package fleet_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/fleet"
	"github.com/slipway-dev/slipway/internal/lab/labtest"
)

// TestHosts: each host is what the table of hosts says, under systemd with nothing failed.
func TestHosts(t *testing.T) {
	lab := labtest.Join(t)
	units := map[fleet.Role][]string{
		fleet.Edge: {"haproxy", "keepalived"}, fleet.Cache: {"varnish", "keepalived"}, fleet.Web: {"apache2", "srv-assets-mount"},
		fleet.Redis: {"redis-server@6379", "redis-server@6380"}, fleet.Database: {"mariadb"}, fleet.Files: {"glusterd"},
	}
	for _, h := range fleet.Hosts() {
		labtest.Eventually(t, time.Minute, h.Name+" runs", func() error {
			out, err := lab.Exec(t, h.Name, nil, "systemctl", "is-system-running")
			if strings.TrimSpace(out) != "running" {
				return fmt.Errorf("systemd says %q (%w)", out, err)
			}
			return nil
		})
		if got := strings.TrimSpace(lab.Root(t, h.Name, "hostname")); got != h.Name {
			t.Errorf("%s calls itself %s", h.Name, got)
		}
		if release := lab.Root(t, h.Name, "cat", "/etc/os-release"); !strings.Contains(release, "VERSION_CODENAME="+string(h.Suite)) {
			t.Errorf("%s is not on %s", h.Name, h.Suite)
		}
		for _, unit := range units[h.Role] {
			if _, err := lab.Exec(t, h.Name, nil, "systemctl", "is-active", unit); err != nil {
				t.Errorf("%s: %s: %v", h.Name, unit, err)
			}
		}
	}
	for unit, hosts := range map[string][]string{"supervisor": {"web1", "web2"}, "cron": {"web1"}, "rabbitmq-server": {"files1"}} {
		for _, h := range fleet.Hosts() {
			if h.Role != fleet.Web && h.Role != fleet.Files || unit == "rabbitmq-server" && h.Role != fleet.Files || unit != "rabbitmq-server" && h.Role != fleet.Web {
				continue
			}
			want := false
			for _, name := range hosts {
				want = want || name == h.Name
			}
			if _, err := lab.Exec(t, h.Name, nil, "systemctl", "is-active", unit); (err == nil) != want {
				t.Errorf("%s: %s runs: %v, want %v", h.Name, unit, err == nil, want)
			}
		}
	}
}

// TestSiteServes: the page and an image come through the edge with its certificate, and plain HTTP is sent to HTTPS.
func TestSiteServes(t *testing.T) {
	lab := labtest.Join(t)
	client := lab.HTTP(t)
	resp, err := client.Get("https://" + fleet.SiteName + "/product/1")
	if err != nil {
		t.Fatal(err)
	}
	page, err := io.ReadAll(resp.Body)
	if err != nil || resp.Body.Close() != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("product page: %s, %v", resp.Status, err)
	}
	_, rest, ok := strings.Cut(string(page), `src="/assets/`)
	image, _, _ := strings.Cut(rest, `"`)
	if !ok {
		t.Fatal("the product page has no picture")
	}
	resp, err = client.Get("https://" + fleet.SiteName + "/assets/" + image)
	if err != nil || resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "image/png" {
		t.Fatalf("picture %s: %v, %v", image, resp, err)
	}
	resp, err = client.Get("http://" + fleet.SiteName + "/")
	if err != nil || resp.StatusCode != http.StatusMovedPermanently {
		t.Errorf("plain HTTP: %v, %v", resp, err)
	}
	if resp.TLS != nil {
		t.Error("plain HTTP came over TLS")
	}
}

// TestReplication: what is written on either master arrives on all three, with the domain of where it was written.
func TestReplication(t *testing.T) {
	lab := labtest.Alone(t)
	db1, db2 := lab.DB(t, "db1", ""), lab.DB(t, "db2", "")
	for _, s := range []string{"DROP DATABASE IF EXISTS labtest", "CREATE DATABASE labtest", "CREATE TABLE labtest.t (id INT AUTO_INCREMENT PRIMARY KEY, w VARCHAR(8))", "INSERT INTO labtest.t (w) VALUES ('db1')"} {
		if _, err := db1.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if _, err := db1.Exec("DROP DATABASE labtest"); err != nil {
			t.Error(err)
		}
	})
	labtest.Eventually(t, 10*time.Second, "db2 has the table", func() error {
		_, err := db2.Exec("INSERT INTO labtest.t (w) VALUES ('db2')") // the lab's account may write although db2 is read-only
		return err
	})
	for i, host := range []string{"db1", "db2", "db3"} {
		db := lab.DB(t, host, "")
		labtest.Eventually(t, 10*time.Second, host+" has both rows", func() error {
			var n int
			if err := db.QueryRow("SELECT COUNT(DISTINCT w) FROM labtest.t").Scan(&n); err != nil || n != 2 {
				return fmt.Errorf("%d rows, %v", n, err)
			}
			return nil
		})
		var domain, logged, readOnly int
		var format, positions string
		err := db.QueryRow("SELECT @@gtid_domain_id, @@log_slave_updates, @@read_only, @@binlog_format, @@gtid_binlog_pos").Scan(&domain, &logged, &readOnly, &format, &positions)
		if err != nil {
			t.Fatal(err)
		}
		if domain != i+1 || logged != 1 || format != "ROW" || (readOnly == 1) != (host != "db1") {
			t.Errorf("%s: domain %d, log_slave_updates %d, read_only %d, %s", host, domain, logged, readOnly, format)
		}
		if !strings.Contains(positions, "1-51-") || !strings.Contains(positions, "2-52-") {
			t.Errorf("%s logs %s: the writes of one of the masters are missing", host, positions)
		}
	}
}

// TestVolume: the volume is a whole replica 3, mounted on every web host, and a file is the same on every brick.
func TestVolume(t *testing.T) {
	lab := labtest.Join(t)
	info := lab.Root(t, "files1", "gluster", "volume", "info", fleet.Volume)
	if !strings.Contains(info, "1 x 3 = 3") || !strings.Contains(info, "Status: Started") {
		t.Errorf("the volume is not a started replica 3:\n%s", info)
	}
	for _, h := range fleet.Hosts() {
		if h.Role == fleet.Web {
			if kind := strings.TrimSpace(lab.Root(t, h.Name, "stat", "-f", "-c", "%T", fleet.AssetsPath)); kind != "fuseblk" && kind != "fuse" {
				t.Errorf("%s has %s at %s", h.Name, kind, fleet.AssetsPath)
			}
		}
	}
	first := strings.TrimSpace(lab.Root(t, "web1", "sh", "-c", "find "+fleet.AssetsPath+"/catalogue -name '*.png' -type f | LC_ALL=C sort | head -n 1"))
	want, _, _ := strings.Cut(lab.Root(t, "web5", "sha256sum", first), " ")
	for _, host := range []string{"files1", "files2", "files3"} {
		got, _, _ := strings.Cut(lab.Root(t, host, "sha256sum", "/srv/brick/assets"+strings.TrimPrefix(first, fleet.AssetsPath)), " ")
		if got != want {
			t.Errorf("%s: %s is %s on the brick and %s through the mount", host, first, got, want)
		}
	}
}

// TestSlipwaysRights: the product's accounts can do what they need and no more.
func TestSlipwaysRights(t *testing.T) {
	lab := labtest.Join(t)
	groups, err := lab.ExecAsSlipway(t, "web1", nil, "id", "-Gn")
	if err != nil || strings.TrimSpace(groups) != "slipway www-data" {
		t.Errorf("slipway's groups are %q (%v)", groups, err)
	}
	for _, args := range [][]string{{"volume", "info", "all"}, {"volume", "status", "all"}, {"volume", "heal", fleet.Volume, "info"}, {"peer", "status"}, {"pool", "list"}} {
		if _, err := lab.ExecAsSlipway(t, "files2", nil, append([]string{"sudo", "-n", "gluster"}, args...)...); err != nil {
			t.Error(err)
		}
	}
	for _, argv := range [][]string{{"gluster", "volume", "stop", fleet.Volume}, {"gluster", "volume", "set", fleet.Volume, "nfs.disable", "off"}, {"cat", "/etc/shadow"}} {
		if _, err := lab.ExecAsSlipway(t, "files2", nil, append([]string{"sudo", "-n"}, argv...)...); err == nil {
			t.Errorf("slipway may %v", argv)
		}
	}
	if _, err := lab.ExecAsSlipway(t, "db2", nil, "sudo", "-n", "true"); err == nil {
		t.Error("slipway may use sudo on db2")
	}
	grants := lab.Root(t, "db3", "mariadb", "-Ne", "SHOW GRANTS FOR slipway@'127.0.0.1'")
	const want = "GRANT SELECT, PROCESS, BINLOG MONITOR, SHOW VIEW, EVENT, TRIGGER, SLAVE MONITOR ON *.*"
	if !strings.Contains(grants, want) || strings.Count(strings.TrimSpace(grants), "\n") != 0 {
		t.Errorf("slipway's grants are %s", grants)
	}
}

// TestAddressMoves: when the edge host that has the address dies, the other takes it, and gives it back.
func TestAddressMoves(t *testing.T) {
	lab := labtest.Alone(t)
	client := lab.HTTP(t)
	client.Timeout = time.Second
	serves := func() error {
		client.CloseIdleConnections()
		resp, err := client.Get("https://" + fleet.SiteName + "/health")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s", resp.Status)
		}
		return nil
	}
	labtest.Eventually(t, 30*time.Second, "the shop serves before", serves)
	lab.Kill(t, "lb1")
	began := time.Now()
	labtest.Eventually(t, 30*time.Second, "lb2 takes over", serves)
	t.Logf("the address moved in %v", time.Since(began).Round(100*time.Millisecond))
	if out := lab.Root(t, "lb2", "ip", "-br", "addr", "show", "eth0"); !strings.Contains(out, fleet.EdgeAddress.String()+"/") {
		t.Errorf("lb2 has %s", out)
	}
}

// TestDrift: what docs/lab.md says is uneven is uneven.
func TestDrift(t *testing.T) {
	lab := labtest.Join(t)
	for host, want := range map[string]string{"web3": "UTC", "web4": "CET"} {
		if zone := strings.TrimSpace(lab.Root(t, host, "date", "-d", "2026-01-15", "+%Z")); zone != want {
			t.Errorf("%s is in %s, want %s", host, zone, want)
		}
	}
	for host, want := range map[string]string{"lb1": "8192", "lb2": "4096"} {
		if n := strings.TrimSpace(lab.Root(t, host, "cat", "/proc/sys/net/core/somaxconn")); n != want {
			t.Errorf("%s: net.core.somaxconn is %s, want %s", host, n, want)
		}
	}
	for host, want := range map[string]int{"db2": 200, "db3": 151} {
		var n int
		if err := lab.DB(t, host, "").QueryRow("SELECT @@max_connections").Scan(&n); err != nil || n != want {
			t.Errorf("%s: max_connections is %d, want %d (%v)", host, n, want, err)
		}
	}
}
