package runbooks

import (
	"context"

	"github.com/slipway-dev/slipway/internal/google"
	"github.com/slipway-dev/slipway/internal/kube"
	"github.com/slipway-dev/slipway/migrate"
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

// The phases' names, for endings.
const standUp = "stand up"

// Phases is the runbook, from top to bottom in the order it runs; steps of a phase whose needs are met run side by side.
func Phases[M migrate.Mode](w Wiring[M], site Site) *migrate.Runbook[M] {
	rb := migrate.NewRunbook[M]()

	rb.Phase("preflight")
	zones := migrate.BothEyes(w.Production, w.Flipped, func(p, f dns.Look) dns.Zones { return dns.Zones{Production: p, Flipped: f} })
	migrate.Add(rb, hosts.Preflight{Inventory: site.Inventory, Clocks: site.Clocks, Keep: site.Keep}, w.Hosts, migrate.NoHands[M](w.Hosts))
	migrate.Add(rb, hosts.MariaDB{Inventory: site.Inventory, SnapshotFrom: site.SnapshotFrom, Databases: site.Schemas, Keep: site.Keep}, w.Databases, migrate.NoHands[M](w.Databases))
	migrate.Add(rb, hosts.Gluster{Volume: site.Volume, Keep: site.Keep}, w.Gluster, migrate.NoHands[M](w.Gluster))
	migrate.Add(rb, dns.Preflight{Names: site.Names, TTL: site.TTL, MaxTTL: site.MaxTTL}, zones, migrate.NoHands[M](zones))
	migrate.Add(rb, cluster.Preflight{Project: site.Project, Cluster: site.Cluster, Instance: site.Instance}, w.Project, migrate.NoHands[M](w.Project))
	own(rb, w.Own, site.Own, "preflight", migrate.Ref[google.Cluster]{})

	rb.Phase(standUp)
	cl := migrate.Add(rb, cluster.Cluster{Project: site.Project, Location: site.Location, Shape: site.Cluster}, w.Clusters, w.MakeClusters)
	inst := migrate.Add(rb, cloudsql.Instance{Project: site.Project, Shape: site.Instance}, w.SQL, w.MakeSQL)
	schemas := migrate.Add(rb, cloudsql.Database{Instance: inst, Names: site.Schemas, Charset: site.Charset, Collation: site.Collate}, w.SQL, w.MakeSQL)
	accounts := migrate.Add(rb, cloudsql.Users{Instance: inst, Accounts: site.Accounts}, w.SQL, w.MakeSQL)
	objects := seen(w, cl, cluster.ObjectLook(cluster.NoObjects{}), func(v KubeView) cluster.ObjectLook { return cluster.OnlyObjects(v) })
	makeObjects := made(w, cl, func(m KubeMake) cluster.ObjectMake { return m })
	ns := migrate.Add(rb, cluster.Namespace{Name: site.Namespace}, objects, makeObjects)
	secrets := migrate.Add(rb, cluster.Secrets{Namespace: ns, Instance: inst, Objects: site.Secrets}, objects, makeObjects)
	claims := migrate.Add(rb, volumes.Claims{Namespace: site.Namespace, Claims: site.Claims, After: []migrate.Dep{ns.Dep()}},
		seen(w, cl, volumes.ClaimLook(volumes.NoClaims{}), func(v KubeView) volumes.ClaimLook { return volumes.OnlyClaims(v) }),
		made(w, cl, func(m KubeMake) volumes.ClaimMake { return m }))
	site.Release.Instance = inst
	releases := seen(w, cl, release.Look(release.NoRelease{}), func(v KubeView) release.Look { return release.OnlyLook(v) })
	makeReleases := made(w, cl, func(m KubeMake) release.Make { return m })
	rel := migrate.Add(rb, release.Install{Shape: site.Release, After: []migrate.Dep{secrets.Dep(), claims.Dep()}}, releases, makeReleases)
	own(rb, w.Own, site.Own, standUp, cl, rel.Dep())

	rb.Phase("copy")
	target := migrate.LookAt(inst, cloudsql.NoRows(), func(ctx context.Context, i google.Instance) (cloudsql.RowsLook, error) {
		t, err := w.Target(ctx, i)
		return cloudsql.OnlyRows(t), err
	})
	load := migrate.Created[M](inst, func(ctx context.Context, i google.Instance, _ migrate.Stamp) (cloudsql.RowsLoad, error) {
		return w.Target(ctx, i)
	})
	rowsToTarget := migrate.BothEyes(w.Load, target, cloudsql.NewLook)
	rows := migrate.Add(rb, mariadb.Snapshot{Schemas: site.Schemas, Reuse: site.Reuse, Tool: site.Tool},
		migrate.BothEyes(w.Rows, w.Artifacts, mariadb.NewLook), migrate.With(w.Rows, w.Keep, mariadb.NewHand))
	loaded := migrate.Add(rb, cloudsql.Load{Snapshot: rows}, rowsToTarget, migrate.With(w.Load, load, cloudsql.NewHand), schemas.Dep(), accounts.Dep())
	verified := migrate.Add(rb, cloudsql.Verify{Snapshot: rows, Load: loaded}, rowsToTarget, migrate.NoHands[M](rowsToTarget))
	mover := kube.Mover{Namespace: site.Namespace, Claim: site.Assets, Image: site.Mover}
	volume := migrate.BothEyes(w.Unpack, seen(w, cl, volumes.NoMover(), func(v KubeView) volumes.MoverLook { return volumes.OnlyMover(v.Mover(mover)) }), volumes.NewFilesLook)
	fill := migrate.With(w.Unpack, made(w, cl, func(m KubeMake) volumes.MoverHand { return m.Mover(mover) }), volumes.NewFilesHand)
	files := migrate.Add(rb, gluster.Snapshot{Volume: site.Volume, Reuse: site.Reuse, Tool: site.Tool},
		migrate.BothEyes(w.Files, w.FileArtifacts, gluster.NewLook), migrate.With(w.Files, w.KeepFiles, gluster.NewHand))
	filled := migrate.Add(rb, volumes.Fill{Snapshot: files, Mover: mover}, volume, fill, claims.Dep())
	compared := migrate.Add(rb, volumes.Verify{Snapshot: files, Fill: filled, Mover: mover}, volume, fill)
	own(rb, w.Own, site.Own, "copy", cl)

	rb.Phase("open")
	copied := []migrate.Dep{loaded.Dep(), verified.Dep(), filled.Dep(), compared.Dep()}
	opened := migrate.Add(rb, release.Open{Shape: site.Release, Installed: rel, After: copied, Changes: copied}, releases, makeReleases)
	visitor := migrate.BothEyes(visited(w, inst, site.Schemas[0]), digests(w, files), smoke.NewVisitor)
	tested := migrate.Add(rb, smoke.Smoke{Release: rel, Host: site.Name, Checks: site.Checks, Patience: site.Patience, After: []migrate.Dep{opened.Dep()}}, visitor, migrate.NoHands[M](visitor))
	own(rb, w.Own, site.Own, "open", cl)

	rb.Phase("go")
	migrate.AddGate(rb, migrate.Gate{ID: "go", Title: "point the names at the new side", Within: site.Go.Within, Show: site.Go.Show})

	rb.Phase("flip")
	migrate.Add(rb, dns.Flip{Release: rel, Names: site.Names, TTL: site.TTL, After: []migrate.Dep{tested.Dep()}}, w.Flipped, w.Flip)
	own(rb, w.Own, site.Own, "flip", cl)

	return rb
}

// Ending is how a rehearsal ends: it rolls itself back to what it stood up, and then deletes that; or it is kept.
func Ending(keep bool) migrate.Ending {
	legs := []migrate.Leg{{Name: "rollback", DownTo: standUp}, {Name: "clean up"}}
	if keep {
		return migrate.EndKept(legs...)
	}
	return migrate.EndWithRollback(legs...)
}
