package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/internal/lab/verb"
)

func proofCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "proof",
		Short: "prove that nothing changed on the source but what its own daemons do",
		Long: `proof compares the source between begin and end: the hosts' files, MariaDB's general log for Slipway's account, the DNS zones, logins and
commands through sudo. end exits with 1 if anything changed that the hosts' own daemons don't account for.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	begin := &cobra.Command{
		Use: "begin", Short: "note how everything is", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := ask(cmd.Context(), verb.ProofBegin, verb.Nothing{})
			return err
		},
	}
	var output string
	end := &cobra.Command{
		Use: "end", Short: "compare, and show what changed", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "text" && output != "json" {
				return usageError{fmt.Errorf("--output %q: want text or json", output)}
			}
			p, err := ask(cmd.Context(), verb.ProofEnd, verb.Nothing{})
			if err != nil {
				return err
			}
			return showProof(p, output)
		},
	}
	end.Flags().StringVar(&output, "output", "text", "text or json")
	c.AddCommand(begin, end)
	return c
}

// showProof prints a proof; one with findings is an error.
func showProof(p verb.Proof, output string) error {
	if err := printProof(p, output); err != nil {
		return err
	}
	if len(p.Findings) > 0 {
		return fmt.Errorf("%d changes on the source that nothing accounts for", len(p.Findings))
	}
	return nil
}

func printProof(p verb.Proof, output string) error {
	if output == "json" {
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(p)
	}
	fmt.Printf("looked at %d files of the hosts' writable layers; their own daemons changed %d\n", p.Files, p.Ordinary)
	fmt.Printf("slipway logged in %d times, ran %d kinds of commands through sudo and %d statements, all of which read\n", p.Logins, len(p.Commands), p.Statements)
	fmt.Printf("compared the zones %s\n", strings.Join(p.Zones, ", "))
	for _, f := range p.Findings {
		fmt.Printf("CHANGED %s: %s\n", f.Where, f.What)
	}
	return nil
}
