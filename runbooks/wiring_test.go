package runbooks_test

import (
	"context"
	"sync"
	"testing/fstest"
	"time"

	"github.com/slipway-dev/slipway/internal/google"
	"github.com/slipway-dev/slipway/internal/kube"
	"github.com/slipway-dev/slipway/internal/secret"
	"github.com/slipway-dev/slipway/internal/snapshot"
	"github.com/slipway-dev/slipway/internal/stamp"
	"github.com/slipway-dev/slipway/internal/treecopy"
	"github.com/slipway-dev/slipway/inventory"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/runbooks"
	"github.com/slipway-dev/slipway/steps/cloudsql"
	"github.com/slipway-dev/slipway/steps/cluster"
	"github.com/slipway-dev/slipway/steps/dns"
	"github.com/slipway-dev/slipway/steps/gluster"
	"github.com/slipway-dev/slipway/steps/hosts"
	"github.com/slipway-dev/slipway/steps/mariadb"
	"github.com/slipway-dev/slipway/steps/release"
	"github.com/slipway-dev/slipway/steps/smoke"
	"github.com/slipway-dev/slipway/steps/volumes"
)

func markOf(s migrate.Stamp) stamp.Stamp { return runbooks.Mark(s) }

// wire is the real wiring's shape over the world: eyes on the source, hands on what the run makes and on the rehearsal zone.
func wire(w *world, inv *inventory.Inventory) runbooks.Wiring[migrate.Rehearsal] {
	artifacts := storeHand{w: w}
	flip := actOnZone{seeZone{w, rehearsal, true}, onShadow, stamp.Stamp{}}
	return runbooks.Wiring[migrate.Rehearsal]{
		Hosts:     migrate.Look("source's hosts", hosts.HostsLooker(seeFleet{w, inv})),
		Databases: migrate.Look("source's MariaDB", hosts.MariaDBLooker(seeDatabases{w, inv})),
		Gluster:   migrate.Look("source's Gluster", hosts.GlusterLooker(seeVolume{w})),
		Rows:      migrate.Look("source's MariaDB", mariadb.OnlySource(seeRows{w})),
		Files:     migrate.Look("source's Gluster", gluster.OnlySource(seeFiles{w})),

		Artifacts: migrate.Look("snapshots", mariadb.OnlyStore(artifacts)),
		Keep: migrate.Maker[migrate.Rehearsal]("snapshots", func(_ context.Context, s migrate.Stamp) (mariadb.StoreHand, error) {
			return rowStore{storeHand{w, s}}, nil
		}),
		Load:          migrate.Look("snapshots", cloudsql.OnlyArtifacts(artifacts)),
		FileArtifacts: migrate.Look("snapshots", gluster.OnlyStore(artifacts)),
		KeepFiles: migrate.Maker[migrate.Rehearsal]("snapshots", func(_ context.Context, s migrate.Stamp) (gluster.StoreHand, error) {
			return fileStore{storeHand{w, s}}, nil
		}),
		Unpack: migrate.Look("snapshots", volumes.OnlyArtifacts(artifacts)),
		Digests: func(ctx context.Context, f snapshot.Files) (smoke.Assets, error) {
			art, err := artifacts.Open(ctx, f.ID, snapshot.Assets)
			if err != nil {
				return nil, err
			}
			x, err := treecopy.Open(ctx, art)
			if err != nil {
				return nil, err
			}
			return x.Digests(), nil
		},

		Project:  migrate.Look("google project", cluster.OnlyProject(seeProject{w})),
		Clusters: migrate.Look("google project", cluster.OnlyLook(seeClusters{w})),
		MakeClusters: migrate.Maker[migrate.Rehearsal]("google project", func(_ context.Context, s migrate.Stamp) (cluster.Make, error) {
			return makeClusters{seeClusters{w}, markOf(s)}, nil
		}),
		SQL: migrate.Look("google project", cloudsql.OnlyAdmin(seeSQL{w})),
		MakeSQL: migrate.Maker[migrate.Rehearsal]("google project", func(_ context.Context, s migrate.Stamp) (cloudsql.AdminMake, error) {
			return makeSQL{seeSQL{w}, markOf(s)}, nil
		}),

		Production: migrate.Look("production's zone", dns.OnlyLook(seeZone{w, production, false})),
		Flipped:    migrate.LookShadow("rehearsal zone", dns.OnlyLook(seeZone{w, rehearsal, true})),
		Flip: migrate.Shadow("rehearsal zone", func(ctx context.Context) error { _, err := flip.Sets(ctx); return err },
			func(_ context.Context, s migrate.Stamp) (dns.Act, error) {
				f := flip
				f.mark = markOf(s)
				return f, nil
			}),

		Kube:   w.openCluster,
		Target: w.openTarget,
		Visit:  site{w},
	}
}

// chart is as small as one can be: what it renders to is the release steps' own tests' affair.
var chart = fstest.MapFS{
	"Chart.yaml":         {Data: []byte("apiVersion: v2\nname: shop\nversion: 1.0.0\n")},
	"values.yaml":        {Data: []byte("database:\n  host: \"\"\nwriters:\n  enabled: false\n")},
	"templates/all.yaml": {Data: []byte("apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n")},
}

// place is what is moved. It is made once: a run changes nothing of it.
var place = sync.OnceValues(func() (site runbooks.Site, err error) {
	s, err := theShared()
	if err != nil {
		return site, err
	}
	pw, err := secret.ParseRef("file:" + s.password())
	if err != nil {
		return site, err
	}
	ch, err := kube.LoadChart(chart)
	if err != nil {
		return site, err
	}
	inv, err := fleet()
	return runbooks.Site{
		Name: "www.shop.example", Tool: "test",
		Inventory: inv, Clocks: time.Second, SnapshotFrom: "db2", Schemas: []string{"shop"}, Volume: "assets",
		Project: theProject, Location: location,
		Cluster:  google.ClusterSpec{Nodes: 2, Machine: "e2-standard-4"},
		Instance: google.InstanceSpec{Version: "MYSQL_9_7", Tier: "db-custom-2-7680", Region: "europe-west1", PrivateNetwork: "projects/p/global/networks/n"},
		Charset:  "utf8mb4", Collate: "utf8mb4_0900_ai_ci",
		Accounts:  []cloudsql.Account{{Name: "shop", Host: "%", Password: pw}, {Name: "slipway", Host: "%", Password: pw}},
		Namespace: "shop",
		Secrets: []cluster.SecretObject{
			{Name: "shop-database", Items: []cluster.SecretItem{{Key: "username", Value: "shop"}, {Key: "password", From: pw}, {Key: "ca.pem", Fact: google.CA}}},
			{Name: "shop-redis", Items: []cluster.SecretItem{{Key: "password", From: pw}}},
		},
		Claims: []kube.Claim{{Name: "shop-assets", Mode: "ReadWriteMany", Size: "1Gi"}, {Name: "shop-sessions", Mode: "ReadWriteOnce", Size: "1Gi"}},
		Assets: "shop-assets", Mover: "tools",
		Release: release.Shape{Namespace: "shop", Name: "shop", Chart: ch, Facts: []release.Setting{{Path: "database.host", Fact: google.Host}}, Writers: "writers.enabled", Service: "edge"},
		Checks: []smoke.Check{
			{Name: "product", Path: "/product/1", Capture: []smoke.Capture{{Name: "sku", Pattern: `class="sku">([^<]+)`}, {Name: "picture", Pattern: `src="/assets/([^"]+)"`}}},
			{Name: "row", Path: "/product/1", Row: &smoke.Row{Query: "SELECT sku FROM items WHERE sku = ?", Args: []string{"{sku}"}}},
			{Name: "picture", Path: "/assets/{picture}", Asset: "{picture}"},
			{Name: "order", Method: "POST", Path: "/order", Status: 303},
		},
		Patience: 5 * time.Minute,
		Names:    []string{"www", "api"}, TTL: 60, MaxTTL: 300,
	}, err
})

func book(t tester, w *world) *migrate.Runbook[migrate.Rehearsal] {
	t.Helper()
	site, err := place()
	if err != nil {
		t.Fatal(err)
	}
	return runbooks.Phases(wire(w, site.Inventory), site)
}
