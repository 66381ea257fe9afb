package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/internal/treecopy/pass"
	"github.com/slipway-dev/slipway/internal/ui"
)

func newFilesStatus(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "status SRC DST",
		Short: "say how the last pass of slipway files copy went, and how long ago that was",
		Long:  "status reads what this machine knows of the copy. It asks neither of the places.\n\n" + exitCodes,
		Args:  exactly("SRC", "DST"),
		RunE:  func(cmd *cobra.Command, args []string) error { return p.statusFiles(cmd, args) },
	}
}

// filesStatus is what status prints.
type filesStatus struct {
	Source string `json:"source"`
	Target string `json:"target"`
	State  string `json:"state"` // its directory
	pass.Status
	Age time.Duration `json:"age,omitempty"` // since the last pass began: what changed at the source since is not at the target
}

func (p *program) statusFiles(cmd *cobra.Command, args []string) error {
	source, target, err := places(cmd, args)
	if err != nil {
		return err
	}
	dir, err := p.filesState(source, target)
	if err != nil {
		return err
	}
	s := filesStatus{Source: source.String(), Target: target.String(), State: dir}
	if s.Status, err = pass.Look(dir); err != nil {
		return filesFailed(err, "copy")
	}
	if s.Last != nil {
		s.Age = time.Since(s.Last.Began)
	}
	return p.print(s, func(w io.Writer) error { return writeFilesStatus(w, &s) })
}

func writeFilesStatus(w io.Writer, s *filesStatus) error {
	var b strings.Builder
	switch {
	case s.Held != "":
		fmt.Fprintf(&b, "%s works at it now\n", s.Held)
	case s.Last == nil && !s.Done:
		b.WriteString("nothing is known of such a copy\n")
	}
	if r := s.Last; r != nil {
		fmt.Fprintf(&b, "last pass: began %s, %s ago\n", r.Began.Local().Format(time.DateTime), ui.Took(s.Age))
		if r.Error != "" {
			fmt.Fprintf(&b, "it broke off: %s\n", r.Error)
		}
		if err := writeFilesPass(&b, r); err != nil {
			return err
		}
	}
	if !s.Done && s.Last != nil {
		b.WriteString("no pass has come to its end yet: slipway files copy goes on\n")
	}
	fmt.Fprintf(&b, "state: %s\n", s.State)
	_, err := io.WriteString(w, b.String())
	return err
}
