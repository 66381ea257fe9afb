package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/migrate"
)

func newRollback(p *program) *cobra.Command {
	var to, why, accept string
	cmd := &cobra.Command{
		Use:   "rollback RUN",
		Short: "undo what a run did, in reverse, and delete what it made",
		Long: "rollback undoes what a run did, from its journal, in reverse. What the run found done by others is left alone.\n" +
			"A step that can't be undone holds what it needs; then the exit code is 5, and slipway status RUN says what is left.\n" +
			"With --to it stops after the steps that came after STEP, and the run is open again.\n\n" + exitCodes,
		Args: exactly("RUN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if why == "" {
				why = "slipway rollback"
			}
			return p.takeUp(cmd, args[0], nil, func(o *migrate.Options) { o.Accept = accept },
				func(ctx context.Context, run *migrate.Run) error {
					err := run.Rollback(ctx, migrate.StepID(to), why)
					if errors.Is(err, migrate.ErrRolledBack) {
						return nil // as asked for
					}
					return err
				})
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "keep this step and all before it")
	cmd.Flags().StringVar(&why, "why", "", "reason, for the journal")
	cmd.Flags().StringVar(&accept, "accept", "", "reason to go on although the program or the configuration is not what the run was opened with")
	return cmd
}
