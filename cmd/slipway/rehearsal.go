package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/hashicorp/go-multierror"

	"github.com/slipway-dev/slipway/internal/config"
	"github.com/slipway-dev/slipway/internal/errlist"
	"github.com/slipway-dev/slipway/internal/google"
	"github.com/slipway-dev/slipway/internal/snapshot"
	"github.com/slipway-dev/slipway/internal/treecopy"
	"github.com/slipway-dev/slipway/internal/web"
	"github.com/slipway-dev/slipway/internal/zone"
	"github.com/slipway-dev/slipway/inventory/scan"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/runbooks"
	"github.com/slipway-dev/slipway/steps/cloudsql"
	"github.com/slipway-dev/slipway/steps/cluster"
	"github.com/slipway-dev/slipway/steps/dns"
	"github.com/slipway-dev/slipway/steps/gluster"
	"github.com/slipway-dev/slipway/steps/hosts"
	"github.com/slipway-dev/slipway/steps/mariadb"
	"github.com/slipway-dev/slipway/steps/smoke"
	"github.com/slipway-dev/slipway/steps/volumes"
)

// openRehearsal wires the configuration's runbook to rehearse: eyes on the real source, hands on what the run makes and on the
// zone that is marked for it. reuse is the snapshot to fill the target from, "" for a new one; facts is where preflight keeps
// what it read, "" for nowhere.
func (p *program) openRehearsal(ctx context.Context, reuse snapshot.ID, facts string) (*prepared, error) {
	c, inv, err := p.load()
	if err != nil {
		return nil, err
	}
	s, err := site(c, inv)
	if err != nil {
		return nil, err
	}
	s.Reuse, s.Keep, s.Go.Show = reuse, keepIn(facts), weigh(filepath.Dir(facts))
	src, noSource := openSource(c, inv)
	tgt, noTarget := openTarget(c)
	ovh, noOVH := ovhAccess(c)
	if err := together(noSource, noTarget, noOVH); err != nil {
		return nil, err
	}
	store, err := openStore(c, tgt)
	if err != nil {
		return nil, err
	}
	z, err := openZones(ctx, c, tgt, ovh)
	if err != nil {
		return nil, err
	}
	w := wireRehearsal(c, src, tgt, mariadb.Store{Store: store}, z)
	w.Own = ownInRehearsal(c, src, tgt, filepath.Dir(p.configFile))
	s.Own = ownSteps(c, facts)
	return prepare(runbooks.Phases(w, s), pinned(c, inv), src.close), nil
}

// together tells what is missing for each side at once, one line each.
func together(sides ...error) error {
	var all *multierror.Error
	for _, err := range sides {
		var list *multierror.Error
		switch {
		case errors.As(err, &list):
			all = multierror.Append(all, list.Errors...)
		case err != nil:
			all = multierror.Append(all, err)
		}
	}
	if err := errlist.OrNil(all); err != nil {
		return &configError{err}
	}
	return nil
}

func wireRehearsal(c *config.Config, src *source, tgt *target, store mariadb.Store, z zones) runbooks.Wiring[migrate.Rehearsal] {
	var (
		project  = c.Google.Project
		location = c.Cluster.Location
		servers  = zone.Servers{}
		flip     = zone.HandOnRehearsal(z.rehearsal, z.production)
	)
	return runbooks.Wiring[migrate.Rehearsal]{
		Hosts:     migrate.Look("source's hosts", hosts.HostsLooker(scan.LookAtFleet(src.scan))),
		Databases: migrate.Look("source's MariaDB", hosts.MariaDBLooker(scan.LookAtDatabases(src.scan, src.mariadb))),
		Gluster:   migrate.Look("source's Gluster", hosts.GlusterLooker(scan.LookAtVolume(src.scan, c.Source.Gluster.Volume))),
		Rows:      migrate.Look("source's MariaDB", mariadb.OnlySource(src.rows(c))),
		Files:     migrate.Look("source's Gluster", gluster.OnlySource(gluster.Tree{Source: src.files})),

		Artifacts: migrate.Look("snapshots", mariadb.OnlyStore(store)),
		Keep: migrate.Maker[migrate.Rehearsal]("snapshots", func(context.Context, migrate.Stamp) (mariadb.StoreHand, error) {
			return store, nil
		}),
		Load: migrate.Look("snapshots", cloudsql.OnlyArtifacts(store)),

		FileArtifacts: migrate.Look("snapshots", gluster.OnlyStore(store)),
		KeepFiles: migrate.Maker[migrate.Rehearsal]("snapshots", func(context.Context, migrate.Stamp) (gluster.StoreHand, error) {
			return gluster.Store{Store: store.Store}, nil
		}),
		Unpack:  migrate.Look("snapshots", volumes.OnlyArtifacts(store)),
		Digests: func(ctx context.Context, f snapshot.Files) (smoke.Assets, error) { return digests(ctx, store.Store, f) },

		Project:  migrate.Look("google project", cluster.OnlyProject(tgt.google.LookAtProject(project, location))),
		Clusters: migrate.Look("google project", cluster.OnlyLook(tgt.google.LookAtClusters(project, location))),
		MakeClusters: migrate.Maker[migrate.Rehearsal]("google project", func(_ context.Context, s migrate.Stamp) (cluster.Make, error) {
			return tgt.google.MakeClusters(project, location, runbooks.Mark(s)), nil
		}),
		SQL: migrate.Look("google project", cloudsql.OnlyAdmin(tgt.google.LookAtSQL(project))),
		MakeSQL: migrate.Maker[migrate.Rehearsal]("google project", func(_ context.Context, s migrate.Stamp) (cloudsql.AdminMake, error) {
			return tgt.google.MakeSQL(project, runbooks.Mark(s)), nil
		}),

		Production: migrate.Look("production's zone", dns.OnlyLook(z.see)),
		Flipped:    migrate.LookShadow("rehearsal zone", dns.OnlyLook(zone.SeeRehearsal(z.rehearsal, z.production, servers))),
		Flip: migrate.Shadow("rehearsal zone", flip.Marked, func(context.Context, migrate.Stamp) (dns.Act, error) {
			return flip, nil
		}),

		Kube: func(ctx context.Context, cl google.Cluster) (runbooks.Kube, error) {
			k, err := tgt.cluster(ctx, cl)
			return runbooks.OnCluster(k), err
		},
		Target: func(ctx context.Context, i google.Instance) (runbooks.Target, error) { return tgt.database(ctx, i) },
		Visit:  web.Client{Roots: tgt.roots, UserAgent: userAgent()},
	}
}

// digests are the SHA-256 sums of the files in a snapshot.
func digests(ctx context.Context, store *snapshot.Store, f snapshot.Files) (*treecopy.Digests, error) {
	art, err := store.Open(ctx, f.ID, snapshot.Assets)
	if err != nil {
		return nil, err
	}
	x, err := treecopy.Open(ctx, art)
	if err != nil {
		return nil, err
	}
	return x.Digests(), nil
}

// keepIn writes facts beside the journal, for people: dir/NAME.json, 0600.
func keepIn(dir string) hosts.Keep {
	return func(_ context.Context, name string, facts any) error {
		if dir == "" {
			return nil
		}
		b, err := json.MarshalIndent(facts, "", "  ")
		if err != nil {
			return fmt.Errorf("keep facts of %s: %w", name, err)
		}
		err = os.WriteFile(filepath.Join(dir, name+".json"), append(b, '\n'), 0o600)
		if errors.Is(err, syscall.ENOSPC) {
			return fmt.Errorf("keep facts of %s: %w; make room in %s, and resume", name, err, dir)
		}
		if err != nil {
			return fmt.Errorf("keep facts of %s: %w", name, err)
		}
		return nil
	}
}
