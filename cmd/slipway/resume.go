package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/internal/snapshot"
	"github.com/slipway-dev/slipway/migrate"
)

// onDrift is what to do about a step that is recorded as done and no longer holds.
type onDrift struct {
	choice string
	why    string
}

func (d onDrift) verdict() (migrate.Verdict, error) {
	v := migrate.Verdict{Why: d.why}
	switch d.choice {
	case "stop":
		return v, nil
	case "redo":
		v.Choice = migrate.DriftRedo
	case "accept":
		v.Choice = migrate.DriftAccept
	default:
		return v, errors.New("--on-drift must be stop, redo or accept")
	}
	if d.why == "" {
		return v, fmt.Errorf("--on-drift %s wants a reason for the journal: --why TEXT", d.choice)
	}
	return v, nil
}

func newResume(p *program) *cobra.Command {
	var drift onDrift
	var accept string
	cmd := &cobra.Command{
		Use:   "resume RUN",
		Short: "go on with a run that was interrupted, forward or back as its journal says",
		Long: "resume goes on with a run. Each step that is recorded as done is looked at again first: where the world has\n" +
			"changed since, the run stops and shows what differs; --on-drift then says whether to redo the step or to accept\n" +
			"what is there. An intent without an outcome is looked at, never blindly run again.\n\n" + exitCodes,
		Args: exactly("RUN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := drift.verdict()
			if err != nil {
				return &usageError{err, cmd.CommandPath()}
			}
			return p.takeUp(cmd.Context(), args[0], func(o *migrate.Options) {
				o.Accept = accept
				o.OnDrift = func(context.Context, migrate.Drift) (migrate.Verdict, error) { return v, nil }
			}, (*migrate.Run).Resume)
		},
	}
	f := cmd.Flags()
	f.StringVar(&drift.choice, "on-drift", "stop", "what to do about a done step that no longer holds: stop, redo or accept")
	f.StringVar(&drift.why, "why", "", "reason for redo or accept, for the journal")
	f.StringVar(&accept, "accept", "", "reason to go on although the program or the configuration is not what the run was opened with")
	return cmd
}

// takeUp opens a run again and has work move it. change adds to the options.
func (p *program) takeUp(ctx context.Context, id string, change func(*migrate.Options), work func(*migrate.Run, context.Context) error) (err error) {
	rec, err := p.find(id)
	if err != nil {
		return err
	}
	reuse := rec.history.Manifest.Argument(argSnapshot)
	r, err := p.openRehearsal(ctx, snapshot.ID(reuse), rec.dir.Path())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.source.close()) }()
	o, err := r.options()
	if err != nil {
		return err
	}
	change(&o)
	run, err := migrate.Open(rec.dir, r.book, o)
	if errors.Is(err, migrate.ErrDigest) {
		return hint(err, "use the program and the configuration that opened the run, or accept the difference: slipway resume %s --accept REASON", id)
	}
	if err != nil {
		return err
	}
	return p.drive(ctx, run, rec.dir, func(ctx context.Context) error { return work(run, ctx) })
}
