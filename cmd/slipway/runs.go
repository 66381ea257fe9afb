package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal"
)

// runLine is one run in a list. Problem is why its journal can't be read; State is then "damaged".
type runLine struct {
	migrate.RunSummary
	Problem string `json:"problem,omitempty"`
}

const stateDamaged migrate.State = "damaged"

func newRuns(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "runs",
		Short: "list the runs, newest last",
		Long: "runs lists the runs, newest last. With --output json it is an array of objects with id, kind, state, started and ended\n" +
			"(left out while the run is not over). States: running, open, waiting, going back, done, kept, rolled back,\n" +
			"needs a person, and damaged, with a problem, where the journal can't be read.",
		Args: none,
		RunE: func(*cobra.Command, []string) error {
			root, err := p.runsDir()
			if err != nil {
				return err
			}
			runs, err := listRuns(root)
			if err != nil {
				return err
			}
			return p.print(runs, func(w io.Writer) error { return writeRuns(w, root, runs) })
		},
	}
}

// listRuns gives all runs in root, by id, which is by time. A directory without a record is no run yet.
func listRuns(root string) ([]runLine, error) {
	runs := []runLine{}
	entries, err := os.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) {
		return runs, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	for _, e := range entries {
		if !migrate.ValidID(e.Name()) {
			continue
		}
		r, err := openRecord(filepath.Join(root, e.Name()))
		switch {
		case errors.Is(err, migrate.ErrNoRun):
		case err != nil:
			runs = append(runs, runLine{migrate.RunSummary{ID: e.Name(), State: stateDamaged}, err.Error() + "; type: slipway journal verify " + e.Name()})
		default:
			runs = append(runs, runLine{RunSummary: r.history.Summary(r.held)})
		}
	}
	return runs, nil
}

func writeRuns(w io.Writer, root string, runs []runLine) error {
	if len(runs) == 0 {
		_, err := fmt.Fprintf(w, "no runs in %s\n", root)
		return err
	}
	for _, r := range runs {
		ended := ""
		if !r.Ended.IsZero() {
			ended = ", ended " + r.Ended.UTC().Format(time.RFC3339)
		}
		started := ""
		if !r.Started.IsZero() {
			started = "started " + r.Started.UTC().Format(time.RFC3339)
		}
		if _, err := fmt.Fprintf(w, "%s  %-9s  %-14s  %s%s%s\n", r.ID, r.Kind, r.State, started, ended, r.Problem); err != nil {
			return err
		}
	}
	return nil
}

// record is a run as its directory has it, read without taking it.
type record struct {
	dir     *journal.Dir
	history *migrate.History
	holder  journal.Holder
	held    bool
}

func openRecord(path string) (*record, error) {
	dir, err := journal.OpenDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, migrate.ErrNoRun
	}
	if err != nil {
		return nil, err
	}
	r := &record{dir: dir}
	if r.holder, r.held, err = dir.Holder(); err != nil {
		return nil, err
	}
	if r.history, err = migrate.ReadHistory(dir); err != nil {
		return nil, err
	}
	return r, nil
}

// runPath is the directory of the run that the arguments name.
func (p *program) runPath(id string) (string, error) {
	root, err := p.runsDir()
	if err != nil {
		return "", err
	}
	if !migrate.ValidID(id) {
		return "", hint(&usageError{fmt.Errorf("%q is not the id of a run: one looks like 20261123-010203-7f3a", id), "slipway"}, "type: slipway runs")
	}
	path := filepath.Join(root, id)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return "", hint(fmt.Errorf("run %s: %w in %s", id, migrate.ErrNoRun, root), "type: slipway runs")
	}
	return path, nil
}

// find reads the run that id names, or the newest one for "".
func (p *program) find(id string) (*record, error) {
	if id == "" {
		root, err := p.runsDir()
		if err != nil {
			return nil, err
		}
		runs, err := listRuns(root)
		if err != nil {
			return nil, err
		}
		if len(runs) == 0 {
			return nil, hint(fmt.Errorf("%w in %s", migrate.ErrNoRun, root), "type: slipway rehearse")
		}
		id = runs[len(runs)-1].ID
	}
	path, err := p.runPath(id)
	if err != nil {
		return nil, err
	}
	r, err := openRecord(path)
	if errors.Is(err, journal.ErrCorrupt) {
		return nil, hint(fmt.Errorf("run %s: %w", id, err), "type: slipway journal verify %s", id)
	}
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", id, err)
	}
	return r, nil
}
