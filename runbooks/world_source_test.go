package runbooks_test

import (
	"context"
	"errors"
	"net/netip"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/snapshot"
	"github.com/slipway-dev/slipway/internal/treecopy"
	"github.com/slipway-dev/slipway/inventory"
	"github.com/slipway-dev/slipway/inventory/scan"
)

// source is the fleet. There is no way to change it: its customers do, at each tick.
type source struct {
	orders int
	broken string // what is wrong: "host", "replication", "gluster"
}

func newSource() source { return source{} }

const hostsFile = `version: 1
groups:
  - name: webs
    roles: [web]
    virtual: 10.0.0.9
    hosts: [{name: web1, address: 10.0.0.1}, {name: web2, address: 10.0.0.2}]
  - name: databases
    roles: [db]
    hosts: [{name: db1, address: 10.0.0.3}, {name: db2, address: 10.0.0.4}]
`

func fleet() (*inventory.Inventory, error) {
	return inventory.Parse("inventory.yaml", []byte(hostsFile))
}

func units(h inventory.Host) []scan.Unit {
	if h.Has(inventory.DB) {
		return []scan.Unit{{Name: "mariadb.service", Active: "active", Sub: "running"}}
	}
	return []scan.Unit{{Name: "apache2.service", Active: "active", Sub: "running"}, {Name: "php8.2-fpm.service", Active: "active", Sub: "running"}}
}

type seeFleet struct {
	w   *world
	inv *inventory.Inventory
}

func (e seeFleet) Fleet(_ context.Context, tell func(int, int)) (*scan.Fleet, error) {
	return ask(e.w, func() (*scan.Fleet, error) {
		f := &scan.Fleet{Virtual: []scan.Virtual{{Group: "webs", Address: netip.MustParseAddr("10.0.0.9"), Holders: []string{"web1"}}}}
		var err error
		for i, h := range e.inv.Hosts {
			tell(i+1, len(e.inv.Hosts))
			if h.Name == "web2" && e.w.source.broken == "host" {
				err = errors.New("web2: 10.0.0.2:22 does not answer")
				continue
			}
			f.Hosts = append(f.Hosts, scan.Facts{Host: h.Name, Hostname: h.Name, MachineID: h.Name, Roles: h.Roles, Units: units(h), OS: scan.OS{ID: "debian", Version: "12"},
				Services: []scan.Service{{Name: "php", Version: "8.2.26"}}})
		}
		return f, err
	})
}

type seeDatabases struct {
	w   *world
	inv *inventory.Inventory
}

func (e seeDatabases) Databases(context.Context) ([]scan.Database, error) {
	return ask(e.w, func() ([]scan.Database, error) {
		slave := "Yes"
		if e.w.source.broken == "replication" {
			slave = "No"
		}
		var out []scan.Database
		for i, h := range e.inv.With(inventory.DB) {
			id := string(rune('1' + i))
			out = append(out, scan.Database{Host: h.Name, Version: "10.11.6-MariaDB", Databases: []string{"shop"}, Grants: []string{"GRANT SELECT, PROCESS ON *.* TO `slipway`@`127.0.0.1`"},
				Variables: []scan.Variable{{Name: "binlog_format", Value: "ROW"}, {Name: "binlog_row_image", Value: "FULL"}, {Name: "gtid_domain_id", Value: id},
					{Name: "log_bin", Value: "ON"}, {Name: "log_slave_updates", Value: "ON"}, {Name: "server_id", Value: id}},
				Replicas: []scan.Replica{{Master: []string{"10.0.0.4", "10.0.0.3"}[i], IO: slave, SQL: "Yes", LagKnown: true}}})
		}
		return out, nil
	})
}

type seeVolume struct{ w *world }

func (e seeVolume) Volume(context.Context) (*scan.Volume, error) {
	return ask(e.w, func() (*scan.Volume, error) {
		heals := int64(0)
		if e.w.source.broken == "gluster" {
			heals = 1
		}
		return &scan.Volume{Name: "assets", ID: "x", AskedOn: "files1", Status: "Started", Replicas: 3, Bricks: []scan.Brick{{Host: "files1", Path: "/b", Online: true, Heals: heals}}}, nil
	})
}

// seeRows is the standby. What customers write while it is read is not in a snapshot: that is of one moment.
type seeRows struct{ w *world }

func (seeRows) Name() string { return "db2" }

func (e seeRows) Survey(context.Context, []string) (dbcopy.Survey, error) {
	return ask(e.w, func() (dbcopy.Survey, error) {
		return dbcopy.Survey{Catalog: catalog(), Rows: int64(e.w.source.orders)}, nil
	})
}

var errNotHere = errors.New("the store takes it, and not the source")

func (seeRows) Take(context.Context, *snapshot.Store, snapshot.ID, dbcopy.Options) (snapshot.Rows, error) {
	return snapshot.Rows{}, errNotHere
}

type seeFiles struct{ w *world }

func (seeFiles) Name() string { return "web1:/srv/assets" }

func (e seeFiles) Mount(context.Context) (treecopy.Mount, error) {
	return ask(e.w, func() (treecopy.Mount, error) {
		return treecopy.Mount{Type: "fuse.glusterfs", Source: "files1:/assets"}, nil
	})
}

func (seeFiles) Take(context.Context, *snapshot.Store, snapshot.ID, treecopy.Options) (*snapshot.Artifact, error) {
	return nil, errNotHere
}
