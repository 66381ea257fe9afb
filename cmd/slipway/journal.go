package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/migrate/journal"
)

func journalPath(dir string) string { return filepath.Join(dir, journal.Name) }

func newJournal(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "journal",
		Short: "show or verify the journal of a run",
		Args:  none,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "show RUN",
		Short: "print the records of a run; with --output json one object a line",
		Args:  exactly("RUN"),
		RunE:  func(_ *cobra.Command, args []string) error { return p.showJournal(args[0]) },
	}, &cobra.Command{
		Use:   "verify RUN",
		Short: "check the framing, checksums and hash chain of a run's journal; a torn tail is an error too",
		Args:  exactly("RUN"),
		RunE:  func(_ *cobra.Command, args []string) error { return p.verifyJournal(args[0]) },
	})
	return cmd
}

func (p *program) openJournal(id string) (*os.File, error) {
	path, err := p.runPath(id)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(journalPath(path))
	if err != nil {
		return nil, fmt.Errorf("read journal of run %s: %w", id, err)
	}
	return f, nil
}

func (p *program) showJournal(id string) error {
	f, err := p.openJournal(id)
	if err != nil {
		return err
	}
	defer f.Close()
	out := bufio.NewWriter(p.out)
	d := journal.NewDecoder(f)
	for {
		r, err := d.Next()
		if errors.Is(err, io.EOF) {
			return out.Flush()
		}
		if err != nil {
			return errors.Join(out.Flush(), fmt.Errorf("journal of run %s: %w", id, err))
		}
		if p.output == asJSON {
			line, err := json.Marshal(r)
			if err != nil {
				return fmt.Errorf("print record %d: %w", r.Seq, err)
			}
			fmt.Fprintf(out, "%s\n", line)
			continue
		}
		fmt.Fprintf(out, "%5d  %s  %-15s  %-24s %s\n", r.Seq, r.Time.Format(time.RFC3339Nano), r.Kind, r.Step, r.Data)
	}
}

func (p *program) verifyJournal(id string) error {
	f, err := p.openJournal(id)
	if err != nil {
		return err
	}
	defer f.Close()
	rep, err := journal.Verify(f)
	if err == nil && rep.Records > 0 && rep.Run != id {
		err = fmt.Errorf("the records are of run %s", rep.Run)
	}
	if err == nil && rep.Records == 0 {
		err = errors.New("it has no records")
	}
	if err != nil {
		return fmt.Errorf("journal of run %s: %w; %d records before that are good", id, err, rep.Records)
	}
	v := struct {
		Run     string `json:"run"`
		Records uint64 `json:"records"`
		Bytes   int64  `json:"bytes"`
		Head    string `json:"head"`
	}{id, rep.Records, rep.Bytes, rep.Head}
	return p.print(v, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "journal of run %s is whole: %d records, %d bytes, head %s\n", id, v.Records, v.Bytes, v.Head)
		return err
	})
}
