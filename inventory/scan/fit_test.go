package scan

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/inventory"
)

func lines[T fmt.Stringer](items []T) string {
	var b strings.Builder
	for _, i := range items {
		b.WriteString(i.String() + "\n")
	}
	return b.String()
}

func (p Problem) String() string { return p.Error() }

func TestDrift(t *testing.T) {
	addr := netip.MustParseAddr
	host := func(name, address, os string, roles []inventory.Role, change func(*Facts)) Facts {
		f := Facts{Host: name, Address: address, Roles: roles, OS: OS{ID: "debian", Version: os}, Kernel: "6.1", Machine: "x86_64", CPUs: 2, Memory: Memory{Total: 4<<30 + 1000},
			Services:  []Service{{"apache", "2.4"}, {"php", "8.2"}},
			Units:     []Unit{{"apache2.service", "active", "running"}, {"exim4.service", "active", "running"}, {"man-db.service", "inactive", "dead"}, {"user@0.service", "active", "running"}},
			Packages:  []Package{{"apt", "1"}, {"libc6", "2.36"}},
			Listeners: []Listener{{addr("::"), 80}, {addr(address), 8080}, {addr("127.0.0.1"), 25}},
		}
		if change != nil {
			change(&f)
		}
		return f
	}
	web := []inventory.Role{inventory.Web}
	hosts := []Facts{
		host("web1", "10.0.0.1", "12", []inventory.Role{inventory.Web, inventory.Worker}, func(f *Facts) {
			f.Units = append(f.Units, Unit{"supervisor.service", "active", "running"})
			f.Services = append(f.Services, Service{"supervisor", "4.2"})
			f.Packages = append(f.Packages, Package{"supervisor", "4.2"})
		}),
		host("web2", "10.0.0.2", "12", web, func(f *Facts) {
			f.Packages[1].Version = "2.37"
			f.Listeners = append(f.Listeners, Listener{addr("0.0.0.0"), 80}, Listener{addr("0.0.0.0"), 49152})
			f.Mounts = []Mount{{Target: "/srv/assets", Type: "fuse.glusterfs"}}
			f.Memory.Total -= 2000
		}),
		host("web3", "10.0.0.3", "12", web, func(f *Facts) { f.Units[1] = Unit{"exim4.service", "failed", "failed"} }),
		host("web5", "10.0.0.5", "11", web, func(f *Facts) {
			f.Services[1].Version = "7.4"
			f.Packages = []Package{{"apt", "0"}, {"other", "1"}}
			f.Listeners = f.Listeners[:2]
			f.TimeZone = "Europe/Paris"
			f.Settings = []File{{"/etc/sysctl.conf", strings.Repeat("a", 64)}}
		}),
		host("db1", "10.0.0.6", "12", []inventory.Role{inventory.DB}, func(f *Facts) { f.CPUs = 64 }),
	}
	want := `web: os: debian 12 on web1 web2 web3; debian 11 on web5
web: time zone: none on web1 web2 web3; Europe/Paris on web5
web: version of php: 8.2 on web1 web2 web3; 7.4 on web5
web: unit exim4.service: active on web1 web2 web5; failed on web3
web: listener loopback:25: open on web1 web2 web3; none on web5
web: mount /srv/assets: none on web1 web3 web5; fuse.glusterfs on web2
web: file /etc/sysctl.conf: none on web1 web2 web3; aaaaaaaaaaaa on web5
web: package libc6: 2.36 on web1 web3; 2.37 on web2
web: package supervisor: 4.2 on web1; none on web2 web3
`
	// A package is nobody's business in particular: that supervisor is only on the worker is shown.
	want = strings.Replace(want, "package supervisor: 4.2 on web1; none on web2 web3", "package supervisor: none on web2 web3; 4.2 on web1", 1)
	for range 20 { // stable
		if got := lines(drift(hosts)); got != want {
			t.Fatalf("got:\n%s\nwant:\n%s", got, want)
		}
	}
	if d := drift(hosts[:1]); len(d) != 0 {
		t.Errorf("one host differs from itself: %v", d)
	}
}

const story = `version: 1
groups:
  - {name: edge, roles: [lb], virtual: 10.0.0.9, hosts: [{name: lb1, address: 10.0.0.1}, {name: lb2, address: 10.0.0.2}]}
  - {name: dbs, roles: [db], hosts: [{name: db1, address: 10.0.0.51}, {name: db2, address: 10.0.0.52}, {name: db3, address: db3.internal}]}
`

func inv(t testing.TB) *inventory.Inventory {
	t.Helper()
	i, err := inventory.Parse("i", []byte(story))
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestFleetProblems(t *testing.T) {
	good := func() *Fleet {
		f := &Fleet{Virtual: []Virtual{{Group: "edge", Address: netip.MustParseAddr("10.0.0.9"), Holders: []string{"lb1"}}}}
		for i, h := range inv(t).Hosts {
			unit := "haproxy.service"
			if h.Has(inventory.DB) {
				unit = "mariadb.service"
			}
			f.Hosts = append(f.Hosts, Facts{Host: h.Name, Hostname: h.Name, MachineID: fmt.Sprint(i), Roles: h.Roles, Units: []Unit{{unit, "active", "running"}}})
		}
		return f
	}
	if p := good().Problems(inv(t), time.Second); len(p) != 0 || len(good().Notes()) != 0 {
		t.Fatalf("%v", p)
	}
	for _, c := range []struct {
		change func(*Fleet)
		want   string
	}{
		{func(f *Fleet) { f.Hosts[0].Units[0].Sub = "exited" }, "lb1: it has the role lb, but no haproxy runs; type there: systemctl status haproxy"},
		{func(f *Fleet) { f.Hosts[2].Units = nil }, "db1: it has the role db, but no mariadb or mysql or mysqld runs; type there: systemctl status mariadb"},
		{func(f *Fleet) { f.Hosts[1].MachineID, f.Hosts[1].Hostname = "0", "lb1" }, "lb2: it is the same machine as lb1 (hostname lb1); correct one of the addresses in the inventory"},
		{func(f *Fleet) { f.Virtual[0].Holders = []string{"lb1", "lb2"} }, "group edge: address 10.0.0.9 is on lb1 and lb2 at once; two hosts answer for one address; look at keepalived and what is between them"},
		{func(f *Fleet) { f.Virtual[0].Holders = nil }, "group edge: address 10.0.0.9 is on none of lb1 lb2; type there: systemctl status keepalived"},
		{func(f *Fleet) { f.Virtual[0].Holders = nil; f.Hosts = f.Hosts[1:] }, ""}, // lb1 wasn't reached: it may be there
		{func(f *Fleet) { f.Hosts[0].Clock.Offset = 3 * time.Second }, "lb1: its clock is 3s ahead of this machine's (give or take 0s); look at its time service and at this machine's"},
		{func(f *Fleet) { f.Hosts[0].Clock = Clock{1500 * time.Millisecond, 600 * time.Millisecond} }, ""},
		{func(f *Fleet) { f.Hosts[0].Clock.Uncertainty = 2 * time.Second }, "lb1: its clock can only be read to within 2s; the connection is slow; raise limits.clock_offset, or go nearer"},
		{func(f *Fleet) { f.Apart = Apart{"lb1", "db1", 2 * time.Second, time.Millisecond} }, "the clock of lb1 is 2s ahead of that of db1 (give or take 1ms); look at both time services"},
		{func(f *Fleet) { f.Hosts[0].Redis = []Redis{{Port: 6379, Unread: "NOAUTH"}} }, "lb1: redis on port 6379 can't be read: NOAUTH"},
		{func(f *Fleet) {
			f.Hosts[0].Redis = []Redis{{Port: 6379, Version: "7", Role: "slave", Primary: "10.0.0.1:6379"}}
		}, "lb1: redis on port 6379 has no link to its primary 10.0.0.1:6379; type there: redis-cli -p 6379 INFO replication"},
		{func(f *Fleet) { f.Hosts[0].Unread = []Unread{{"units", "no bus"}} }, "lb1: units can't be read: no bus"},
	} {
		f := good()
		c.change(f)
		if got := strings.TrimSpace(lines(f.Problems(inv(t), time.Second))); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
	f := good()
	f.Hosts[0].Hostname, f.Hosts[1].Units = "ns3012345.example.net", append(f.Hosts[1].Units, Unit{"logrotate.service", "failed", "failed"})
	if got := strings.Join(f.Notes(), "; "); got != "lb1: it calls itself ns3012345.example.net; lb2: unit logrotate.service has failed" {
		t.Error(got)
	}
	a, b := good(), good()
	b.Hosts[0].Kernel, b.Hosts[0].Packages = "7", []Package{{"x", "1"}}
	if a.Digest() != b.Digest() {
		t.Error("a kernel is in the digest")
	}
	b.Hosts[0].Services = []Service{{"haproxy", "2.6"}}
	if a.Digest() == b.Digest() {
		t.Error("a service is not in the digest")
	}
}

// circle is db1 <-> db2, and db3 following db1: all well.
func circle() []Database {
	var out []Database
	for i := range 3 {
		id := fmt.Sprint(i + 1)
		out = append(out, Database{Host: "db" + id, Version: "10.11.6-MariaDB-log", Databases: []string{"mysql", "shop"},
			Grants:    []string{"GRANT SELECT, PROCESS, SHOW VIEW, TRIGGER, EVENT, BINLOG MONITOR, SLAVE MONITOR ON *.* TO `slipway`@`127.0.0.1`"},
			Variables: []Variable{{"binlog_format", "ROW"}, {"binlog_row_image", "FULL"}, {"gtid_domain_id", id}, {"log_bin", "ON"}, {"log_slave_updates", "ON"}, {"server_id", id}},
			Replicas:  []Replica{{Master: []string{"10.0.0.52", "DB1.internal", "10.0.0.51"}[i], IO: "Yes", SQL: "Yes", LagKnown: true, GTID: "Slave_Pos"}}})
	}
	return out
}

func TestDatabaseDrift(t *testing.T) {
	dbs := circle()
	if d := DatabaseDrift(dbs); len(d) != 0 {
		t.Errorf("%v", d)
	}
	for i, n := range []string{"200", "200", "151"} {
		dbs[i].Variables = append(dbs[i].Variables, Variable{"max_connections", n})
	}
	if got, want := lines(DatabaseDrift(dbs)), "db: mariadb's max_connections: 200 on db1 db2; 151 on db3\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func set(d *Database, name, value string) {
	i := slices.IndexFunc(d.Variables, func(v Variable) bool { return v.Name == name })
	d.Variables[i].Value = value
}

func TestDatabaseProblems(t *testing.T) {
	for _, c := range []struct {
		change func([]Database)
		want   string
	}{
		{func([]Database) {}, ""},
		{func(d []Database) { set(&d[0], "log_bin", "OFF") }, "db1: mariadb: log_bin is OFF, and must be ON; write log_bin=binlog under [mariadb] in its configuration and restart it"},
		{func(d []Database) { set(&d[1], "binlog_format", "MIXED") }, "db2: mariadb: binlog_format is MIXED, and must be ROW; type there: SET GLOBAL binlog_format=ROW, and write it into its configuration; sessions that are open keep the old one"},
		{func(d []Database) { set(&d[1], "binlog_row_image", "MINIMAL") }, "binlog_row_image is MINIMAL, and must be FULL or FULL_NODUP; type there: SET GLOBAL binlog_row_image=FULL"},
		{func(d []Database) { set(&d[1], "log_slave_updates", "OFF") }, "log_slave_updates is OFF, and must be ON"},
		{func(d []Database) { set(&d[1], "server_id", "1") }, "db2: mariadb: it has the same server_id as db1 (1)"},
		{func(d []Database) { set(&d[1], "gtid_domain_id", "1") }, "db2: mariadb: it and db1 replicate from each other in one gtid_domain_id (1)"},
		{func(d []Database) { set(&d[2], "gtid_domain_id", "1") }, ""}, // db3 only follows: nobody writes there
		{func(d []Database) {
			d[1].Replicas[0].IO = "Connecting"
			d[1].Replicas[0].IOError = "error connecting to master"
		}, "db2: mariadb: replication from DB1.internal: its receiving thread does not run (Connecting): error connecting to master; type there: SHOW ALL SLAVES STATUS"},
		{func(d []Database) { d[2].Replicas[0].SQL = "No" }, "db3: mariadb: replication from 10.0.0.51: its applying thread does not run (No); type there: SHOW ALL SLAVES STATUS"},
		{func(d []Database) { d[2].Replicas[0].Name, d[2].Replicas[0].Filtered = "m1", true }, "replication from 10.0.0.51 (connection m1): it leaves databases or tables out"},
		{func(d []Database) { d[2].Replicas = nil }, "db3: mariadb: it replicates from nobody, and nobody from it"},
		{func(d []Database) { d[0].Replicas = nil }, ""}, // a lone master with two replicas
		{func(d []Database) { d[1].Databases = nil }, "db2: mariadb: database shop is not there"},
		{func(d []Database) { d[1].Replicas[0].Lag = 2 * time.Minute }, "db2: mariadb: it is 2m0s behind DB1.internal, and the snapshot is read from it"},
		{func(d []Database) { d[0].Replicas[0].Lag = 2 * time.Minute }, ""}, // the snapshot isn't read from db1
		{func(d []Database) { d[1].Replicas[0].Delay = time.Hour }, "db2: mariadb: it is kept 1h0m0s behind DB1.internal on purpose"},
		{func(d []Database) { d[0].Grants = []string{"GRANT ALL PRIVILEGES ON *.* TO `slipway`@`%`"} }, "db1: mariadb: the account may write (ALL PRIVILEGES), and Slipway must not be able to"},
		{func(d []Database) {
			d[0].Grants = append(d[0].Grants, "GRANT SELECT, insert ON `shop`.* TO `slipway`@`%`")
		}, "the account may write (INSERT)"},
	} {
		dbs := circle()
		c.change(dbs)
		got := strings.TrimSpace(lines(DatabaseProblems(inv(t), dbs, "db2", []string{"shop"})))
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) || strings.Contains(got, "\n") {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
	a, b := circle(), circle()
	b[0].BinlogAt, b[0].Replicas[0].Lag = "binlog.000009:4", time.Second
	if DatabasesDigest(a) != DatabasesDigest(b) {
		t.Error("a position is in the digest")
	}
	b[0].Version = "10.11.7"
	if DatabasesDigest(a) == DatabasesDigest(b) {
		t.Error("the version is not in the digest")
	}
}

func TestVolumeProblems(t *testing.T) {
	good := func() *Volume {
		return &Volume{Name: "assets", AskedOn: "files1", Status: "Started", Replicas: 3, Peers: []Peer{{"files2", true, "Peer in Cluster"}}, Bricks: []Brick{{Host: "files1", Path: "/b", Online: true}, {Host: "files2", Path: "/b", Online: true}}}
	}
	for _, c := range []struct {
		change func(*Volume)
		want   string
	}{
		{func(*Volume) {}, ""},
		{func(v *Volume) { v.Status = "Stopped" }, "files1: volume assets is stopped; type there: gluster volume start assets"},
		{func(v *Volume) { v.Bricks[1].Online = false; v.Bricks[1].Heals = -1 }, "files1: brick files2:/b is down; type there: gluster volume status assets"},
		{func(v *Volume) { v.Bricks[1].Heals = -1 }, "files1: brick files2:/b could not be asked what waits to be healed; type there: gluster volume heal assets info"},
		{func(v *Volume) { v.Bricks[1].Heals = 3 }, "files1: brick files2:/b has 3 entries that wait to be healed; reading now may give old contents; type there: gluster volume heal assets info"},
		{func(v *Volume) { v.Bricks[1].Healing = 2 }, "files1: brick files2:/b has 2 entries that are being healed, or written without a pause; wait, and look: gluster volume heal assets info"},
		{func(v *Volume) { v.Bricks[0].SplitBrains = 1 }, "files1: brick files1:/b has 1 entries in split-brain: which copy is right, only a person can say; type there: gluster volume heal assets info split-brain"},
		{func(v *Volume) { v.Peers[0].Connected = false; v.Peers[0].State = "Disconnected" }, "files1: peer files2 is not connected (Disconnected); type there: gluster peer status"},
		{func(v *Volume) { v.Bricks = nil }, "files1: volume assets has no bricks; type there: gluster volume status assets"},
	} {
		v := good()
		c.change(v)
		if got := strings.TrimSpace(lines(v.Problems())); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
	a, b := good(), good()
	b.Bricks[0].Heals, b.Bricks[0].Online = 9, false
	if a.Digest() != b.Digest() {
		t.Error("health is in the digest")
	}
}
