package main

import (
	"encoding/json"
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/internal/lab/verb"
)

func statusCommand() *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "status",
		Short: "show the lab's hosts, machines, endpoints and faults",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "text" && output != "json" {
				return usageError{fmt.Errorf("--output %q: want text or json", output)}
			}
			lab, err := ask(cmd.Context(), verb.Status, verb.Nothing{})
			if err != nil {
				return err
			}
			if output == "json" {
				enc := json.NewEncoder(os.Stdout)
				enc.SetIndent("", "  ")
				return enc.Encode(lab)
			}
			return printStatus(lab)
		},
	}
	c.Flags().StringVar(&output, "output", "text", "text or json")
	return c
}

func printStatus(lab verb.Lab) error {
	fmt.Printf("lab %s: %s since %s, daemon %d, %d rows, %d files\n", lab.Name, lab.State, lab.Since.Format("2006-01-02 15:04:05"), lab.Pid, lab.Rows, lab.Files)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, list := range [][]verb.Host{lab.Hosts, lab.Machines} {
		for _, h := range list {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", h.Name, h.Address, h.State, h.Suite)
		}
	}
	for _, e := range lab.Endpoints {
		fmt.Fprintf(w, "%s\t%s\tendpoint\t\n", e.Name, e.Address)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, f := range lab.Faults {
		fmt.Println("fault:", f.Kind, f.A, f.B, f.Rate)
	}
	return nil
}
