package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/slipway-dev/slipway/internal/config"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/runbooks"
	"github.com/slipway-dev/slipway/steps/custom"
)

// ownSteps are the configuration's own steps. dir is the run's directory, where what they print is kept; "" for nowhere.
func ownSteps(c *config.Config, dir string) (all []runbooks.OwnStep) {
	for _, o := range c.Steps {
		s := runbooks.OwnStep{
			Step: custom.Step{
				ID:           migrate.StepID(config.OwnPrefix + o.ID),
				Title:        o.Title,
				Argv:         custom.Argv{Check: o.Check, Run: o.Run, Verify: o.Verify, Undo: o.Undo},
				Timeout:      time.Duration(o.Timeout),
				ReadOnly:     o.ReadOnly,
				Irreversible: o.Irreversible,
				Keep:         keepOutput(dir),
			},
			Phase: c.PhaseOf(o),
			Host:  o.Host,
			Local: o.Local,
		}
		if o.Title == "" {
			s.Step.Title = "a step of your own"
		}
		for _, a := range o.After {
			s.After = append(s.After, migrate.StepID(a))
		}
		for _, v := range o.Env {
			s.Step.Env = append(s.Step.Env, custom.Variable{Name: v.Name, Value: v.Value, From: v.From})
		}
		switch {
		case o.Pod != nil:
			s.Pod = &runbooks.PodName{Label: o.Pod.Label, Container: o.Pod.Container}
			s.Step.Where = "a pod with " + o.Pod.Label
		case o.Local:
			s.Step.Where = "this machine"
		default:
			s.Step.Where = "host " + o.Host
		}
		all = append(all, s)
	}
	return all
}

// keepOutput appends to dir/STEP.log, 0600.
func keepOutput(dir string) custom.Keep {
	if dir == "" {
		return nil
	}
	return func(step migrate.StepID, text []byte) (string, error) {
		path := filepath.Join(dir, string(step)+".log")
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return path, fmt.Errorf("keep what it printed: %w", err)
		}
		_, err = f.Write(text)
		if closed := f.Close(); err == nil {
			err = closed
		}
		if err != nil {
			return path, fmt.Errorf("keep what it printed: %w", err)
		}
		return path, nil
	}
}
