package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/migrate/requests"
)

func newAbort(p *program) *cobra.Command {
	var why string
	cmd := &cobra.Command{
		Use:   "abort RUN",
		Short: "turn back a run that a process works on: what runs is told to stop, and then all is undone in reverse",
		Long: "abort asks the process that holds the run to turn it back. That process tells what runs to stop, waits until all of it\n" +
			"has stopped, and rolls back. Where no process works on the run, nothing is recorded: slipway rollback does the same then.\n" +
			"If the process dies before it has turned, the next slipway resume turns the run, before it starts anything.\n\n" + exitCodes,
		Args: exactly("RUN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if why == "" {
				return &usageError{errors.New("wants a reason for the journal: --why TEXT"), cmd.CommandPath()}
			}
			rec, err := p.find(args[0])
			if err != nil {
				return err
			}
			if !rec.held {
				return hint(fmt.Errorf("no process works on run %s; nothing was recorded", args[0]),
					"to take it back: slipway rollback %s --why TEXT", args[0])
			}
			return p.request(cmd.Context(), rec, requests.Request{Ask: requests.Abort, Why: why})
		},
	}
	cmd.Flags().StringVar(&why, "why", "", "reason, for the journal")
	return cmd
}

func newPause(p *program) *cobra.Command {
	var why string
	cmd := &cobra.Command{
		Use:   "pause RUN",
		Short: "stop a run that a process works on at the next safe point, as Ctrl-C there does",
		Long: "pause asks the process that holds the run to stop at the next safe point: nothing new starts, and what runs may finish.\n" +
			"It ends with exit code 1 then, and slipway resume goes on.\n\n" + exitCodes,
		Args: exactly("RUN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			rec, err := p.find(args[0])
			if err != nil {
				return err
			}
			if !rec.held {
				return hint(fmt.Errorf("no process works on run %s; there is nothing to pause", args[0]), "type: slipway status %s", args[0])
			}
			return p.request(cmd.Context(), rec, requests.Request{Ask: requests.Pause, Why: why})
		},
	}
	cmd.Flags().StringVar(&why, "why", "", "reason: the process shows it")
	return cmd
}
