package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/internal/config"
	"github.com/slipway-dev/slipway/internal/snapshot"
	"github.com/slipway-dev/slipway/inventory"
)

// program is what all subcommands share: the streams and the flags that each of them takes.
type program struct {
	streams
	open       opener
	configFile string
	stateDir   string
	output     output
	stays      bool   // at a gate where nobody can be asked, it waits
	agentDir   string // where slipway-agent lies; "": beside this program
}

// opener makes the runbook of the configuration. reuse is the snapshot to fill the target from, "" for a new one; run is
// the directory of the run that it is for, "" for none.
type opener func(ctx context.Context, reuse snapshot.ID, run string) (*prepared, error)

// output is how things are printed.
type output string

const (
	text   output = "text"
	asJSON output = "json"
)

func (o *output) String() string { return string(*o) }
func (o *output) Type() string   { return "text|json" }

// Set takes a flag's value.
func (o *output) Set(s string) error {
	switch output(s) {
	case text, asJSON:
		*o = output(s)
		return nil
	}
	return errors.New("must be text or json")
}

func newRoot(p *program) *cobra.Command {
	p.output = text
	root := &cobra.Command{
		Use:   "slipway",
		Short: "move a web stack from bare-metal hosts into managed Kubernetes, and back",
		Long: "slipway rehearses the move of a web stack from bare-metal hosts into managed Kubernetes against throwaway clusters.\n" +
			"A rehearsal reads the real source, acts only on what it creates, rolls itself back and deletes what it made.\n" +
			"Every step is journaled: a run that is killed at any instant goes on with slipway resume RUN.\n\n" + exitCodes,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{err, cmd.CommandPath()}
	})
	f := root.PersistentFlags()
	f.StringVarP(&p.configFile, "config", "c", "slipway.yaml", "configuration")
	f.StringVar(&p.stateDir, "state", "", "directory of what is kept; the runs are in its runs/ (default: the configuration's state)")
	f.VarP(&p.output, "output", "o", "how to print")
	root.AddCommand(newInit(p), newPlan(p), newRehearse(p), newResume(p), newRollback(p), newWaive(p), newGate(p), newAbort(p), newPause(p),
		newRunService(p), newStatus(p), newRuns(p), newJournal(p), newSnapshot(p), newInventory(p), newDB(p), newFiles(p), newVersion(p))
	return root
}

// load reads the configuration and the inventory.
func (p *program) load() (*config.Config, *inventory.Inventory, error) {
	c, inv, err := config.Load(p.configFile)
	if err != nil {
		return nil, nil, &configError{err}
	}
	return c, inv, nil
}

// runsDir is where the runs are. A configuration that can't be read does not keep anybody from looking at a run: then
// --state says where, or it is .slipway beside the configuration.
func (p *program) runsDir() (string, error) {
	if p.stateDir != "" {
		return filepath.Join(p.stateDir, "runs"), nil
	}
	text, err := os.ReadFile(p.configFile)
	if errors.Is(err, fs.ErrNotExist) {
		return filepath.Join(filepath.Dir(p.configFile), ".slipway", "runs"), nil
	}
	if err == nil {
		var c *config.Config
		if c, err = config.Parse(p.configFile, text); err == nil {
			return filepath.Join(string(c.State), "runs"), nil
		}
	}
	return "", hint(&configError{err}, "to look at runs all the same, say where they are: --state DIR")
}

// print writes one thing: as JSON on one line, or by write.
func (p *program) print(v any, write func(io.Writer) error) error {
	if p.output == text {
		return write(p.out)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("print as JSON: %w", err)
	}
	_, err = fmt.Fprintf(p.out, "%s\n", b)
	return err
}

// exactly is cobra.ExactArgs with an error that says what is missing.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		return &usageError{fmt.Errorf("takes %s, got %d arguments", strings.Join(names, " "), len(args)), cmd.CommandPath()}
	}
}

// between is cobra.RangeArgs with an error that says what is missing.
func between(least, most int, names string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) >= least && len(args) <= most {
			return nil
		}
		return &usageError{fmt.Errorf("takes %s, got %d arguments", names, len(args)), cmd.CommandPath()}
	}
}

// atMost is cobra.MaximumNArgs as a usage error.
func atMost(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) <= len(names) {
			return nil
		}
		return &usageError{fmt.Errorf("takes at most %s, got %d arguments", strings.Join(names, " "), len(args)), cmd.CommandPath()}
	}
}

// none is cobra.NoArgs as a usage error.
func none(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return &usageError{fmt.Errorf("takes no arguments, got %q", args), cmd.CommandPath()}
}
