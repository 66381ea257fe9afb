package main

import (
	"fmt"
	"io"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/migrate"
)

// tool is the program as a run's manifest pins it.
func tool() string { return "slipway " + version }

func newVersion(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "print the program's version and the journal format that it writes",
		Args:  none,
		RunE: func(*cobra.Command, []string) error {
			v := struct {
				Version string `json:"version"`
				Journal int    `json:"journal_format"`
				Go      string `json:"go"`
			}{version, migrate.Format, runtime.Version()}
			return p.print(v, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "slipway %s, journal format %d, %s\n", v.Version, v.Journal, v.Go)
				return err
			})
		},
	}
}
