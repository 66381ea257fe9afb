package main

import (
	"errors"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/internal/snapshot"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/runbooks"
)

// argSnapshot is the argument that a resume must know: which snapshot the run reuses.
const argSnapshot = "snapshot"

func newRehearse(p *program) *cobra.Command {
	var keep bool
	var reuse string
	var yes []string
	cmd := &cobra.Command{
		Use:   "rehearse",
		Short: "rehearse the move: the real source is only read, everything else is made, used and deleted again",
		Long: "rehearse reads the real source and moves it into a cluster and an instance that it creates for this one run.\n" +
			"Nothing on the source is changed. At the end it rolls itself back from its journal and deletes all that it made,\n" +
			"unless --keep is given. What it read is kept as a snapshot; --snapshot fills the target from one of those instead\n" +
			"of reading the source's rows and files again.\n" +
			gatesHelp + exitCodes,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.rehearse(cmd, keep, snapshot.ID(reuse), yes) },
	}
	addYes(cmd, &yes)
	cmd.Flags().BoolVar(&keep, "keep", false, "leave standing what was made; slipway rollback RUN deletes it")
	cmd.Flags().StringVar(&reuse, "snapshot", "", "fill the target from this snapshot (slipway snapshot list)")
	return cmd
}

func (p *program) rehearse(cmd *cobra.Command, keep bool, reuse snapshot.ID, yes []string) (err error) {
	if reuse != "" {
		if err := reuse.Check(); err != nil {
			return &usageError{err, cmd.CommandPath()}
		}
	}
	c, _, err := p.load()
	if err != nil {
		return err
	}
	id, err := migrate.NewID(time.Now())
	if err != nil {
		return err
	}
	root := filepath.Join(string(c.State), "runs")
	if p.stateDir != "" {
		root = filepath.Join(p.stateDir, "runs")
	}
	r, err := p.open(cmd.Context(), reuse, filepath.Join(root, id))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	b := beginning{what: "a rehearsal", ending: runbooks.Ending(keep), yes: yes}
	if reuse != "" {
		b.arguments = []migrate.Argument{{Name: argSnapshot, Value: string(reuse)}}
	}
	return p.beginRun(cmd, r, root, id, b)
}
