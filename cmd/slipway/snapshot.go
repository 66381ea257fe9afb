package main

import (
	"fmt"
	"io"
	"time"

	"github.com/hashicorp/go-multierror"
	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/internal/config"
	"github.com/slipway-dev/slipway/internal/errlist"
	"github.com/slipway-dev/slipway/internal/snapshot"
	"github.com/slipway-dev/slipway/internal/treecopy"
	"github.com/slipway-dev/slipway/internal/ui"
)

// snapshotLine is one part of a snapshot, as snapshot list prints it in JSON.
type snapshotLine struct {
	ID      snapshot.ID    `json:"id"`
	Part    snapshot.Part  `json:"part"`
	State   snapshot.State `json:"state"`
	Made    *time.Time     `json:"made,omitempty"`
	From    string         `json:"from,omitempty"`
	Rows    int64          `json:"rows,omitempty"`
	Files   int64          `json:"files,omitempty"`
	Bytes   int64          `json:"bytes,omitempty"`  // of contents
	Stored  int64          `json:"stored,omitempty"` // on disk
	Digest  string         `json:"digest,omitempty"`
	Problem string         `json:"problem,omitempty"`
}

func newSnapshot(p *program) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "snapshot",
		Short: "list or verify the snapshots that rehearsals have taken",
		Args:  none,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().StringVar(&dir, "directory", "", "directory of the snapshots (default: the configuration's directory or bucket)")
	cmd.AddCommand(&cobra.Command{
		Use:   "list",
		Short: "list the snapshots, oldest first, part by part",
		Args:  none,
		RunE:  func(cmd *cobra.Command, _ []string) error { return p.listSnapshots(cmd, dir) },
	}, &cobra.Command{
		Use:   "verify ID",
		Short: "read all of a snapshot and compare it with its checksums",
		Args:  exactly("ID"),
		RunE:  func(cmd *cobra.Command, args []string) error { return p.verifySnapshot(cmd, dir, snapshot.ID(args[0])) },
	})
	return cmd
}

func (p *program) snapshots(dir string) (*snapshot.Store, error) {
	if dir != "" {
		return snapshot.At(dir)
	}
	c, _, err := config.Load(p.configFile)
	if err != nil {
		return nil, hint(&configError{err}, "to look at snapshots all the same, say where they are: --directory DIR")
	}
	var tgt *target
	if c.Snapshots.Bucket != "" {
		if tgt, err = openTarget(c); err != nil {
			return nil, err
		}
	}
	return openStore(c, tgt)
}

// openStore opens the configuration's store of snapshots. It dials nothing; tgt is used for a bucket alone.
func openStore(c *config.Config, tgt *target) (*snapshot.Store, error) {
	if c.Snapshots.Bucket != "" {
		name, prefix := c.Snapshots.InBucket()
		return snapshot.InBucket(tgt.google.Bucket(name), prefix), nil
	}
	store, err := snapshot.At(string(c.Snapshots.Directory))
	if err != nil {
		return nil, &configError{err}
	}
	return store, nil
}

func (p *program) listSnapshots(cmd *cobra.Command, dir string) error {
	store, err := p.snapshots(dir)
	if err != nil {
		return err
	}
	entries, err := store.List(cmd.Context())
	if err != nil {
		return err
	}
	lines := []snapshotLine{}
	for _, e := range entries {
		l := snapshotLine{ID: e.ID, Part: e.Part, State: e.State, Digest: e.Digest}
		if e.Err != nil {
			l.Problem = e.Err.Error()
		}
		if m := e.Manifest; m != nil {
			l.Made, l.From = &m.Made, m.From
			for _, o := range m.Objects {
				l.Rows, l.Files, l.Bytes = l.Rows+o.Rows, l.Files+o.Files, l.Bytes+o.Bytes
			}
			for _, f := range m.Files {
				l.Stored += f.Size
			}
		}
		lines = append(lines, l)
	}
	return p.print(lines, func(w io.Writer) error {
		if len(lines) == 0 {
			_, err := fmt.Fprintf(w, "no snapshots in %s\n", store.Where())
			return err
		}
		for _, l := range lines {
			if err := writeSnapshot(w, l); err != nil {
				return err
			}
		}
		return nil
	})
}

func writeSnapshot(w io.Writer, l snapshotLine) error {
	what := l.Problem
	if l.Made != nil {
		what = fmt.Sprintf("%s from %s, ", l.Made.UTC().Format(time.RFC3339), l.From)
		if l.Part == snapshot.MariaDB {
			what += ui.Count(l.Rows) + " rows"
		} else {
			what += ui.Count(l.Files) + " files"
		}
		what += fmt.Sprintf(", %s, %s on disk", ui.Bytes(l.Bytes), ui.Bytes(l.Stored))
	}
	_, err := fmt.Fprintf(w, "%s  %-8s %-8s %s\n", l.ID, l.Part, l.State, what)
	return err
}

func (p *program) verifySnapshot(cmd *cobra.Command, dir string, id snapshot.ID) error {
	if err := id.Check(); err != nil {
		return &usageError{err, cmd.CommandPath()}
	}
	store, err := p.snapshots(dir)
	if err != nil {
		return err
	}
	var all *multierror.Error
	type part struct {
		Part   snapshot.Part `json:"part"`
		Digest string        `json:"digest"`
		Stored int64         `json:"stored"`
	}
	good := []part{}
	for _, pt := range snapshot.Parts() {
		e, err := store.Look(cmd.Context(), id, pt)
		if err != nil {
			all = multierror.Append(all, err)
			continue
		}
		if e.State == snapshot.Absent {
			continue
		}
		a, err := store.Open(cmd.Context(), id, pt)
		if err == nil && pt == snapshot.Assets {
			_, err = treecopy.Open(cmd.Context(), a)
		}
		if err == nil {
			err = a.Verify(cmd.Context(), nil)
		}
		if err != nil {
			all = multierror.Append(all, err)
			continue
		}
		good = append(good, part{pt, a.Digest, a.Stored()})
	}
	if err := errlist.OrNil(all); err != nil {
		return err
	}
	if len(good) == 0 {
		return hint(fmt.Errorf("snapshot %s in %s: %w", id, store.Where(), snapshot.ErrNotFound), "type: slipway snapshot list")
	}
	v := struct {
		ID    snapshot.ID `json:"id"`
		Parts []part      `json:"parts"`
	}{id, good}
	return p.print(v, func(w io.Writer) error {
		for _, g := range good {
			if _, err := fmt.Fprintf(w, "snapshot %s, %s: whole, %s on disk, digest %s\n", id, g.Part, ui.Bytes(g.Stored), g.Digest); err != nil {
				return err
			}
		}
		return nil
	})
}
