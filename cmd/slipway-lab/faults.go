package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/internal/lab/control"
	"github.com/slipway-dev/slipway/internal/lab/verb"
)

const (
	killVerb   = verb.Kill
	startVerb  = verb.Start
	freezeVerb = verb.Freeze
	thawVerb   = verb.Thaw
)

func machineCommand(use, short string, v control.Verb[verb.Machine, verb.Nothing]) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := ask(cmd.Context(), v, verb.Machine{Name: args[0]})
			return err
		},
	}
}

func cutCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "cut A [B]",
		Short: "pull the cable between two machines, or of one; " + verb.Outside + " is whatever runs under slipway-lab run",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 && len(args) != 2 {
				return usageError{fmt.Errorf("want %s, got %d arguments", cmd.UseLine(), len(args))}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			req := verb.CutRequest{A: args[0]}
			if len(args) == 2 {
				req.B = args[1]
			}
			_, err := ask(cmd.Context(), verb.Cut, req)
			return err
		},
	}
}

func slowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "slow HOST RATE", Short: "bound what a machine sends and what it receives (8mbit)", Args: exactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := ask(cmd.Context(), verb.Slow, verb.SlowRequest{Name: args[0], Rate: args[1]})
			return err
		},
	}
}

func healCommand() *cobra.Command {
	return &cobra.Command{
		Use: "heal", Short: "undo every fault: start what was killed, thaw what is frozen, lift cuts and rates", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := ask(cmd.Context(), verb.Heal, verb.Nothing{})
			return err
		},
	}
}
