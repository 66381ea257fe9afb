package main

import (
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/internal/snapshot"
	"github.com/slipway-dev/slipway/internal/ui"
	"github.com/slipway-dev/slipway/runbooks"
)

func newPlan(p *program) *cobra.Command {
	var keep bool
	var reuse string
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "look at everything and print what a rehearsal would do, step by step, and how it would be undone; changes nothing",
		Args:  none,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			r, err := p.openRehearsal(cmd.Context(), snapshot.ID(reuse), "")
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, r.source.close()) }()
			o, err := r.options()
			if err != nil {
				return err
			}
			o.Ending = runbooks.Ending(keep)
			outline, err := r.book.Plan(cmd.Context(), o)
			if outline == nil {
				return err
			}
			return errors.Join(p.print(outline, func(w io.Writer) error { return ui.Outline(w, outline) }), err)
		},
	}
	cmd.Flags().BoolVar(&keep, "keep", false, "plan a rehearsal that leaves standing what it makes")
	cmd.Flags().StringVar(&reuse, "snapshot", "", "plan to fill the target from this snapshot")
	return cmd
}
