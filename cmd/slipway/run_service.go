package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/migrate"
)

func newRunService(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "run-service RUN",
		Short: "carry a run without a terminal, for as long as it takes: its followers go on while it waits at a gate",
		Long: "run-service goes on with a run as slipway resume does, and where resume would end at a gate because nobody is there to answer,\n" +
			"it waits: the run's followers go on meanwhile. Words come from other terminals: slipway gate pass RUN, slipway gate abort RUN,\n" +
			"slipway abort RUN; slipway status RUN --follow shows how it is. SIGTERM stops it at the next safe point.\n\n" +
			"docs/slipway-run.service is a systemd unit for it. It starts the process again after code 1, and not after the others: those need a person.\n\n" + exitCodes,
		Args: exactly("RUN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p.stays = true
			return p.takeUp(cmd, args[0], nil, func(*migrate.Options) {}, func(ctx context.Context, run *migrate.Run) error { return run.Resume(ctx) })
		},
	}
}
