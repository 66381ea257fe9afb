package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

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

// beginning is what is said of a run that is begun.
type beginning struct {
	what      string // "a rehearsal"
	ending    migrate.Ending
	arguments []migrate.Argument
	yes       []string // gates that are passed without asking
}

// beginRun begins a run of a prepared runbook in root, shows it and drives it to where it ends.
func (p *program) beginRun(cmd *cobra.Command, r *prepared, root, id string, b beginning) error {
	o, err := r.options()
	if err != nil {
		return err
	}
	o.Ending, o.Arguments = b.ending, b.arguments
	gates, err := gatesOf(r.steps, b.yes, cmd.CommandPath())
	if err != nil {
		return err
	}
	dir, err := journal.MakeDir(root, id)
	if err != nil {
		return err
	}
	around := p.attendant(dir, gates, &o)
	run, err := r.begin(dir, id, o)
	if err != nil {
		return err
	}
	if p.output == text {
		fmt.Fprintf(p.out, "run %s, %s; journal: %s\n", id, b.what, journalPath(dir.Path()))
	}
	return p.drive(cmd.Context(), run, dir, around, run.Resume)
}

// reopen prepares the runbook that a run was begun with, by its arguments.
func (p *program) reopen(ctx context.Context, rec *record) (*prepared, error) {
	if c, ok := switchOf(rec.history.Manifest); ok {
		return p.openSwitch(c)
	}
	return p.open(ctx, snapshot.ID(rec.history.Manifest.Argument(argSnapshot)), rec.dir.Path())
}
