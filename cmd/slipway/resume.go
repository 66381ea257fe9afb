package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/migrate"
)

// onDrift are answers to steps that are recorded as done and no longer hold: STEP=redo or STEP=accept.
type onDrift struct {
	answers []string
	why     string
}

// verdicts gives them by step; a step without one stops the run.
func (d onDrift) verdicts() (func(context.Context, migrate.Drift) (migrate.Verdict, error), error) {
	choices := map[migrate.StepID]migrate.DriftChoice{}
	for _, a := range d.answers {
		step, choice, _ := strings.Cut(a, "=")
		switch choice {
		case "redo":
			choices[migrate.StepID(step)] = migrate.DriftRedo
		case "accept":
			choices[migrate.StepID(step)] = migrate.DriftAccept
		default:
			return nil, fmt.Errorf("--on-drift %s: want STEP=redo or STEP=accept", a)
		}
	}
	if len(choices) > 0 && d.why == "" {
		return nil, errors.New("--on-drift wants a reason for the journal: --why TEXT")
	}
	return func(_ context.Context, drift migrate.Drift) (migrate.Verdict, error) {
		return migrate.Verdict{Choice: choices[drift.Step], Why: d.why}, nil
	}, nil
}

func newResume(p *program) *cobra.Command {
	var drift onDrift
	var accept string
	var yes []string
	cmd := &cobra.Command{
		Use:   "resume RUN",
		Short: "go on with a run that was interrupted, forward or back as its journal says",
		Long: "resume goes on with a run. Each step that is recorded as done is looked at again first: where the world has\n" +
			"changed since, the run stops and shows what differs; --on-drift STEP=redo or STEP=accept then says whether to do\n" +
			"that step again or to leave what is there. An intent without an outcome is looked at, never blindly run again.\n" +
			gatesHelp + exitCodes,
		Args: exactly("RUN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ask, err := drift.verdicts()
			if err != nil {
				return &usageError{err, cmd.CommandPath()}
			}
			return p.takeUp(cmd, args[0], yes, func(o *migrate.Options) {
				o.Accept = accept
				o.OnDrift = ask
			}, func(ctx context.Context, run *migrate.Run) error { return run.Resume(ctx) })
		},
	}
	addYes(cmd, &yes)
	f := cmd.Flags()
	f.StringArrayVar(&drift.answers, "on-drift", nil, "what to do about a done step that no longer holds: STEP=redo or STEP=accept; may be repeated")
	f.StringVar(&drift.why, "why", "", "reason for redo or accept, for the journal")
	f.StringVar(&accept, "accept", "", "reason to go on although the program or the configuration is not what the run was opened with")
	return cmd
}

// takeUp opens a run again and has work move it. yes are gates that are passed without asking; change adds to the options.
func (p *program) takeUp(cmd *cobra.Command, id string, yes []string, change func(*migrate.Options), work func(context.Context, *migrate.Run) error) (err error) {
	ctx := cmd.Context()
	rec, err := p.find(id)
	if err != nil {
		return err
	}
	r, err := p.reopen(ctx, rec)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	o, err := r.options()
	if err != nil {
		return err
	}
	gates, err := gatesOf(r.steps, yes, cmd.CommandPath())
	if err != nil {
		return err
	}
	o.Arguments = rec.history.Manifest.Arguments // of which the runbook was built
	around := p.attendant(rec.dir, gates, &o)
	change(&o)
	run, err := r.open(rec.dir, o)
	if errors.Is(err, migrate.ErrDigest) {
		return hint(err, "use the program and the configuration that opened the run, or accept the difference: slipway %s %s --accept REASON", cmd.Name(), id)
	}
	if err != nil {
		return err
	}
	return p.drive(ctx, run, rec.dir, around, func(ctx context.Context) error { return work(ctx, run) })
}
