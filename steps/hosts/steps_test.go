package hosts_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/inventory"
	"github.com/slipway-dev/slipway/inventory/scan"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/steptest"
	"github.com/slipway-dev/slipway/steps/hosts"
)

const file = `version: 1
groups:
  - name: webs
    roles: [web]
    virtual: 10.0.0.9
    hosts: [{name: web1, address: 10.0.0.1}, {name: web2, address: 10.0.0.2}]
  - name: databases
    roles: [db]
    hosts: [{name: db1, address: 10.0.0.3}, {name: db2, address: 10.0.0.4}]
`

func fleet(t testing.TB) *inventory.Inventory {
	t.Helper()
	inv, err := inventory.Parse("inventory.yaml", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	return inv
}

// world is a source that is well until it is spoiled.
type world struct {
	p      *steptest.Process
	inv    *inventory.Inventory
	down   string // host
	php    string
	heals  int64
	slave  string
	looked int
}

func newWorld(t testing.TB, p *steptest.Process) *world {
	return &world{p: p, inv: fleet(t), php: "8.2.26", slave: "Yes"}
}

var errDown = errors.New("web2: 10.0.0.2:22 does not answer")

// unit is what a role runs.
func units(h inventory.Host) []scan.Unit {
	if h.Has(inventory.DB) {
		return []scan.Unit{{Name: "mariadb.service", Active: "active", Sub: "running"}}
	}
	return []scan.Unit{{Name: "apache2.service", Active: "active", Sub: "running"}, {Name: "php8.2-fpm.service", Active: "active", Sub: "running"}}
}

type fleetEyes struct{ w *world }

func (e fleetEyes) Fleet(_ context.Context, tell func(int, int)) (*scan.Fleet, error) {
	if err := e.w.p.Look(); err != nil {
		return &scan.Fleet{}, err
	}
	e.w.looked++
	f := &scan.Fleet{Virtual: []scan.Virtual{{Group: "webs", Address: netip.MustParseAddr("10.0.0.9"), Holders: []string{"web1"}}}}
	var err error
	for i, h := range e.w.inv.Hosts {
		tell(i+1, len(e.w.inv.Hosts))
		if h.Name == e.w.down {
			err = errDown
			continue
		}
		f.Hosts = append(f.Hosts, scan.Facts{Host: h.Name, Hostname: h.Name, MachineID: h.Name, Roles: h.Roles, Units: units(h),
			OS: scan.OS{ID: "debian", Version: "12"}, Services: []scan.Service{{Name: "php", Version: e.w.php}}, Clock: scan.Clock{Offset: time.Duration(e.w.looked)}})
	}
	return f, err
}

type dbEyes struct{ w *world }

func (e dbEyes) Databases(context.Context) ([]scan.Database, error) {
	if err := e.w.p.Look(); err != nil {
		return nil, err
	}
	var out []scan.Database
	for i, h := range e.w.inv.With(inventory.DB) {
		id := string(rune('1' + i))
		out = append(out, scan.Database{Host: h.Name, Version: "10.11.6-MariaDB", Databases: []string{"shop"}, Grants: []string{"GRANT SELECT, PROCESS ON *.* TO `slipway`@`127.0.0.1`"},
			Variables: []scan.Variable{{Name: "binlog_format", Value: "ROW"}, {Name: "binlog_row_image", Value: "FULL"}, {Name: "gtid_domain_id", Value: id}, {Name: "log_bin", Value: "ON"}, {Name: "log_slave_updates", Value: "ON"}, {Name: "server_id", Value: id}},
			Replicas:  []scan.Replica{{Master: []string{"10.0.0.4", "10.0.0.3"}[i], IO: e.w.slave, SQL: "Yes", LagKnown: true}}})
	}
	return out, nil
}

type volumeEyes struct{ w *world }

func (e volumeEyes) Volume(context.Context) (*scan.Volume, error) {
	if err := e.w.p.Look(); err != nil {
		return nil, err
	}
	return &scan.Volume{Name: "assets", ID: "x", AskedOn: "files1", Status: "Started", Replicas: 3, Bricks: []scan.Brick{{Host: "files1", Path: "/b", Online: true, Heals: e.w.heals}}}, nil
}

// The steps change nothing: State is constant, and the suite sees that nothing acts.
func state() string { return "the source is not ours to change" }

func add[L, Out any](step migrate.Step[L, L, Out], eyes L) func(*migrate.Runbook[migrate.Rehearsal]) {
	return func(rb *migrate.Runbook[migrate.Rehearsal]) {
		eye := migrate.Look("the source", eyes)
		migrate.Add(rb, step, eye, migrate.NoHands[migrate.Rehearsal](eye))
	}
}

func TestHostsConforms(t *testing.T) {
	steptest.Run(t, steptest.Case{New: func(t *testing.T, p *steptest.Process) steptest.World {
		w := newWorld(t, p)
		return steptest.World{
			Add:   add(hosts.Preflight{Inventory: w.inv, Clocks: time.Second}, hosts.HostsLooker(fleetEyes{w})),
			State: state,
			Found: true,
			Spoil: []steptest.Spoil{
				{Name: "a host is down", Do: func() { w.down = "web2" }},
				{Name: "a service was upgraded", Do: func() { w.php = "8.3.1" }},
			},
		}
	}})
}

func TestMariaDBConforms(t *testing.T) {
	steptest.Run(t, steptest.Case{New: func(t *testing.T, p *steptest.Process) steptest.World {
		w := newWorld(t, p)
		return steptest.World{
			Add:   add(hosts.MariaDB{Inventory: w.inv, SnapshotFrom: "db2", Databases: []string{"shop"}}, hosts.MariaDBLooker(dbEyes{w})),
			State: state,
			Found: true,
			Spoil: []steptest.Spoil{{Name: "replication stopped", Do: func() { w.slave = "No" }}},
		}
	}})
}

func TestGlusterConforms(t *testing.T) {
	steptest.Run(t, steptest.Case{New: func(t *testing.T, p *steptest.Process) steptest.World {
		w := newWorld(t, p)
		return steptest.World{
			Add:   add(hosts.Gluster{Volume: "assets"}, hosts.GlusterLooker(volumeEyes{w})),
			State: state,
			Found: true,
			Spoil: []steptest.Spoil{{Name: "a heal is pending", Do: func() { w.heals = 1 }}},
		}
	}})
}

// The lookers that the wiring uses fit, and have no other method: the engine would refuse them.
func TestLookersFit(t *testing.T) {
	rb := migrate.NewRunbook[migrate.Rehearsal]()
	rb.Phase("preflight")
	s := scan.Source{Inventory: fleet(t)}
	add(hosts.Preflight{Inventory: s.Inventory}, hosts.HostsLooker(scan.LookAtFleet(s)))(rb)
	add(hosts.MariaDB{Inventory: s.Inventory}, hosts.MariaDBLooker(scan.LookAtDatabases(s, scan.Account{})))(rb)
	add(hosts.Gluster{Volume: "assets"}, hosts.GlusterLooker(scan.LookAtVolume(s, "assets")))(rb)
	if err := rb.Err(); err != nil {
		t.Error(err)
	}
}

func scope[L any](l L) *migrate.Scope[L] { return &migrate.Scope[L]{C: l} }

// All that is wrong comes at once, and the facts are kept all the same.
func TestAllProblemsAtOnce(t *testing.T) {
	inv := fleet(t)
	var kept []string
	keep := func(_ context.Context, name string, _ any) error { kept = append(kept, name); return nil }
	bad := badFleet{}
	_, err := hosts.Preflight{Inventory: inv, Clocks: time.Second, Keep: keep}.Run(t.Context(), scope[hosts.HostsLooker](bad), hosts.HostsOut{})
	if err == nil {
		t.Fatal("no error")
	}
	for _, say := range []string{"4 problems", "web2: 10.0.0.2:22 does not answer", "web1: it has the role web, but no apache2 runs; type there: systemctl status apache2", "db1: listeners can't be read: ss: not found", "db1: its clock is 2s behind this machine's"} {
		if !strings.Contains(err.Error(), say) {
			t.Errorf("%q is not in:\n%v", say, err)
		}
	}
	if strings.Join(kept, " ") != "hosts" {
		t.Errorf("kept %v", kept)
	}
	failing := func(context.Context, string, any) error { return errors.New("no space left on device") }
	if _, err := (hosts.Preflight{Inventory: inv, Clocks: time.Second, Keep: failing}).Run(t.Context(), scope[hosts.HostsLooker](bad), hosts.HostsOut{}); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Error(err)
	}
}

type badFleet struct{}

func (badFleet) Fleet(context.Context, func(int, int)) (*scan.Fleet, error) {
	php := []scan.Unit{{Name: "php8.2-fpm.service", Active: "active", Sub: "running"}}
	db := []scan.Unit{{Name: "mariadb.service", Active: "active", Sub: "running"}}
	return &scan.Fleet{Hosts: []scan.Facts{
		{Host: "web1", Roles: []inventory.Role{inventory.Web}, Units: php},
		{Host: "db1", Roles: []inventory.Role{inventory.DB}, Units: db, Unread: []scan.Unread{{What: "listeners", Why: "ss: not found"}}, Clock: scan.Clock{Offset: -2 * time.Second}},
	}}, errDown
}
