package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hashicorp/go-multierror"
	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/internal/config"
	"github.com/slipway-dev/slipway/internal/errlist"
	"github.com/slipway-dev/slipway/inventory"
	"github.com/slipway-dev/slipway/inventory/scan"
)

func newInventory(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "inventory",
		Short: "look at the source's hosts",
		Args:  none,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "scan",
		Short: "reach all hosts at once, read their facts, and say what drifts and what is wrong; changes nothing",
		Long: "scan logs in to every host of the inventory at once, reads its facts, and asks MariaDB, Gluster and Redis how they are.\n" +
			"It ends with 1 when a host can't be read or something is wrong; drift alone is no failure.",
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.scan(cmd) },
	})
	return cmd
}

func (p *program) scan(cmd *cobra.Command) (err error) {
	c, inv, err := p.load()
	if err != nil {
		return err
	}
	src, err := openSource(c, inv)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.close()) }()
	report, err := src.scan.All(cmd.Context(), src.mariadb, c.Source.Gluster.Volume, func(done, total int) {
		if p.output == text {
			fmt.Fprintf(p.err, "read %d of %d hosts\n", done, total)
		}
	})
	if report == nil {
		return err
	}
	problems := found(report, c, inv)
	v := struct {
		*scan.Report
		Problems []scan.Problem `json:"problems"`
	}{report, problems}
	all := multierror.Append(nil, err)
	for _, x := range problems {
		all = multierror.Append(all, x)
	}
	return errors.Join(p.print(v, func(w io.Writer) error { return writeScan(w, report) }), errlist.OrNil(all))
}

func found(r *scan.Report, c *config.Config, inv *inventory.Inventory) []scan.Problem {
	var all []scan.Problem
	if r.Fleet != nil {
		all = append(all, r.Fleet.Problems(inv, time.Duration(c.Limits.ClockOffset))...)
	}
	all = append(all, scan.DatabaseProblems(inv, r.Databases, c.Source.MariaDB.SnapshotFrom, c.Source.MariaDB.Databases)...)
	if r.Volume != nil {
		all = append(all, r.Volume.Problems()...)
	}
	return all
}

func writeScan(w io.Writer, r *scan.Report) error {
	if r.Fleet == nil {
		return nil
	}
	for _, h := range r.Fleet.Hosts {
		if _, err := fmt.Fprintf(w, "%-8s %s\n", h.Host, h.OS); err != nil {
			return err
		}
	}
	drift := append(r.Fleet.Drift, scan.DatabaseDrift(r.Databases)...)
	for _, d := range drift {
		fmt.Fprintf(w, "drift: %s\n", d)
	}
	for _, n := range r.Fleet.Notes() {
		fmt.Fprintf(w, "note: %s\n", n)
	}
	return nil
}
