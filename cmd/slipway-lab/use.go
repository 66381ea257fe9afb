package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/internal/lab/verb"
)

func checkpointCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "checkpoint",
		Short: "keep what the hosts have on disk, for slipway-lab up --checkpoint",
		Long: `checkpoint halts all hosts, keeps what they have written as this lab's own checkpoint in the cache, in place of an earlier one, and starts them
again. slipway-lab up --checkpoint starts from it. Name servers and cloud are not part of it. (The formed and filled fleet that every up starts from is kept without this command.)`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := ask(cmd.Context(), verb.Checkpoint, verb.Nothing{})
			return err
		},
	}
}

func configCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "config DIR",
		Short: "write slipway.yaml, inventory, keys and secrets for a rehearsal against this lab",
		Args:  exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := filepath.Abs(args[0]) // the daemon's working directory is another
			if err != nil {
				return err
			}
			_, err = ask(cmd.Context(), verb.Config, verb.ConfigRequest{Dir: dir})
			return err
		},
	}
}

func shopperCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "shopper",
		Short: "let customers browse, log in and order, with a ledger of every acknowledged order",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var req verb.ShopperRequest
	start := &cobra.Command{
		Use: "start", Short: "begin to shop; the ledger goes on where it was", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			req.Do = verb.StartShopping
			_, err := ask(cmd.Context(), verb.Shopper, req)
			return err
		},
	}
	start.Flags().Float64Var(&req.Rate, "rate", 2, "orders a second")
	start.Flags().Float64Var(&req.Browsers, "browsers", 1, "visits without an order for each with one")
	var output string
	stop := &cobra.Command{
		Use: "stop", Short: "let the visits under way finish, and show what the customers saw", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			shopping, err := ask(cmd.Context(), verb.Shopper, verb.ShopperRequest{Do: verb.StopShopping})
			if err != nil {
				return err
			}
			return shopping.Stats.Print(os.Stdout)
		},
	}
	ledger := &cobra.Command{
		Use: "ledger", Short: "hold the ledger against the orders on db1; exit 1 if an acknowledged order is lost", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			shopping, err := ask(cmd.Context(), verb.Shopper, verb.ShopperRequest{Do: verb.ShowLedger})
			if err != nil {
				return err
			}
			return showLedger(shopping, output)
		},
	}
	ledger.Flags().StringVar(&output, "output", "text", "text or json")
	c.AddCommand(start, stop, ledger)
	return c
}

func showLedger(shopping verb.Shopping, output string) error {
	var err error
	switch output {
	case "json":
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		err = enc.Encode(shopping)
	case "text":
		err = shopping.Report.Print(os.Stdout)
	default:
		err = usageError{fmt.Errorf("--output %q: want text or json", output)}
	}
	if err == nil && !shopping.Report.Sound() {
		err = errors.New("the ledger and db1 do not agree")
	}
	return err
}
