package main

import (
	"context"
	"os"

	"github.com/slipway-dev/slipway/internal/config"
	"github.com/slipway-dev/slipway/internal/snapshot"
	"github.com/slipway-dev/slipway/inventory"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal"
)

// prepared is a runbook of either mode that is wired, with what is pinned when a run of it is begun.
type prepared struct {
	steps  []migrate.ManifestStep
	pinned []migrate.Setting
	begin  func(journal.FS, string, migrate.Options) (*migrate.Run, error)
	open   func(journal.FS, migrate.Options) (*migrate.Run, error)
	plan   func(context.Context, migrate.Options) (*migrate.Outline, error)
	close  func() error
}

func prepare[M migrate.Mode](rb *migrate.Runbook[M], pinned []migrate.Setting, closing func() error) *prepared {
	return &prepared{
		steps: rb.Steps(), pinned: pinned, close: closing, plan: rb.Plan,
		begin: func(dir journal.FS, id string, o migrate.Options) (*migrate.Run, error) {
			return migrate.Begin(dir, id, rb, o)
		},
		open: func(dir journal.FS, o migrate.Options) (*migrate.Run, error) { return migrate.Open(dir, rb, o) },
	}
}

// pinned is the configuration and the inventory by digest.
func pinned(c *config.Config, inv *inventory.Inventory) (all []migrate.Setting) {
	for _, d := range c.Digests() {
		all = append(all, migrate.Setting{Name: d.Name, Digest: d.SHA256})
	}
	return append(all, migrate.Setting{Name: "inventory", Digest: inv.Digest()})
}

// options are what this process brings to a run.
func (r *prepared) options() (migrate.Options, error) {
	who, host, err := whoAmI()
	if err != nil {
		return migrate.Options{}, err
	}
	return migrate.Options{Tool: tool(), Who: who + "@" + host, Host: host, PID: os.Getpid(), Config: r.pinned}, nil
}

// reopen prepares the runbook that a run was begun with, by its arguments.
func (p *program) reopen(ctx context.Context, rec *record) (*prepared, error) {
	if c, ok := switchOf(rec.history.Manifest); ok {
		return p.openSwitch(c)
	}
	return p.open(ctx, snapshot.ID(rec.history.Manifest.Argument(argSnapshot)), rec.dir.Path())
}
