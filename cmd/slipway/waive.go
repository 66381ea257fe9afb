package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/migrate"
)

func newWaive(p *program) *cobra.Command {
	var why, accept string
	cmd := &cobra.Command{
		Use:   "waive RUN STEP",
		Short: "take a step whose undo failed for undone, because what it made was deleted by hand",
		Long: "waive records that a step whose undo failed has nothing left to undo: somebody deleted by hand what it made. The\n" +
			"step then holds nothing any more, and slipway resume RUN goes on with the way back. Nothing is deleted by waive.\n\n" + exitCodes,
		Args: exactly("RUN", "STEP"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if why == "" {
				return &usageError{errors.New("wants a reason for the journal: --why TEXT"), cmd.CommandPath()}
			}
			return p.takeUp(cmd, args[0], nil, func(o *migrate.Options) { o.Accept = accept },
				func(_ context.Context, run *migrate.Run) error { return run.Waive(migrate.StepID(args[1]), "", why) })
		},
	}
	cmd.Flags().StringVar(&why, "why", "", "reason, for the journal")
	cmd.Flags().StringVar(&accept, "accept", "", "reason to go on although the program or the configuration is not what the run was opened with")
	return cmd
}
