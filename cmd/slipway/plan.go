package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/internal/snapshot"
	"github.com/slipway-dev/slipway/internal/ui"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/runbooks"
)

func newPlan(p *program) *cobra.Command {
	var keep bool
	var reuse, rollback, to string
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "look at everything and print what a rehearsal would do, step by step, and how it would be undone; changes nothing",
		Long: "plan looks at everything and prints what a rehearsal would do, and how it would be undone. With --rollback RUN it prints\n" +
			"what a rollback of that run would undo, from its journal, in order; it looks at nothing else then.",
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if rollback != "" {
				return p.planRollback(rollback, migrate.StepID(to))
			}
			if to != "" {
				return &usageError{errors.New("--to goes with --rollback RUN"), cmd.CommandPath()}
			}
			r, err := p.open(cmd.Context(), snapshot.ID(reuse), "")
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, r.close()) }()
			o, err := r.options()
			if err != nil {
				return err
			}
			o.Ending = runbooks.Ending(keep)
			outline, err := r.plan(cmd.Context(), o)
			if outline == nil {
				return err
			}
			return errors.Join(p.print(outline, func(w io.Writer) error { return ui.Outline(w, outline) }), err)
		},
	}
	cmd.Flags().BoolVar(&keep, "keep", false, "plan a rehearsal that leaves standing what it makes")
	cmd.Flags().StringVar(&reuse, "snapshot", "", "plan to fill the target from this snapshot")
	cmd.Flags().StringVar(&rollback, "rollback", "", "plan the rollback of this run instead, from its journal")
	cmd.Flags().StringVar(&to, "to", "", "with --rollback: keep this step and all before it")
	return cmd
}

// planRollback prints what a rollback would undo. A point of no return in its way is an error, and marked in the outline.
func (p *program) planRollback(id string, to migrate.StepID) error {
	rec, err := p.find(id)
	if err != nil {
		return err
	}
	outline, err := rec.history.PlanRollback(to)
	if outline == nil {
		return err
	}
	return errors.Join(p.print(outline, func(w io.Writer) error {
		if len(outline.Back) == 0 {
			_, err := fmt.Fprintf(w, "run %s: there is nothing to undo\n", id)
			return err
		}
		return ui.Outline(w, outline)
	}), err)
}
