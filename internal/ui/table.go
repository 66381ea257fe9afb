package ui

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/slipway-dev/slipway/migrate"
)

// Table writes what a journal says of each phase and step: how often it was begun, how long it ran, was verified and was
// undone, and what it read, wrote or compared. A phase has no sum of that: its steps pass the same rows and files on. Durations are summed over all attempts and leave out the time in which no process ran.
func Table(w io.Writer, h *migrate.History) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(cells ...string) { fmt.Fprintln(tw, strings.Join(cells, "\t")+"\t") }
	row("took", "verify", "undo", "bytes", "rows", "files", "tries", " "+left("phase / step", 26), left("state", 12))
	steps := h.Steps()
	for _, p := range h.Phases() {
		row(took(p.Took), "", "", "", "", "", "", " "+left(p.Name, 26), left(phaseState(p, of(steps, p.Name)), 12))
		if p.Back {
			continue // its steps stand, with how long their undo took, in their phases
		}
		for _, s := range of(steps, p.Name) {
			row(took(s.Run), took(s.Verify), took(s.Undo), bytes(s.Moved.Bytes), count(s.Moved.Rows), count(s.Moved.Files),
				count(int64(s.Attempts)), "   "+left(string(s.ID), 24), left(stepState(s), 12))
		}
	}
	if err := tw.Flush(); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	return nil
}

// left pads s on the right, so that a column that the writer aligns right reads from the left.
func left(s string, width int) string { return fmt.Sprintf("%-*s", width, s) }

// of gives the steps of a phase.
func of(steps []migrate.StepHistory, phase string) []migrate.StepHistory {
	var out []migrate.StepHistory
	for _, s := range steps {
		if s.Phase == phase {
			out = append(out, s)
		}
	}
	return out
}

func phaseState(p migrate.PhaseHistory, steps []migrate.StepHistory) string {
	undone, begun := 0, 0
	for _, s := range steps {
		if s.State == migrate.StepIsUndone || s.State == migrate.StepLeft {
			undone++
		}
		if s.State != migrate.StepPending {
			begun++
		}
	}
	switch {
	case p.Left == 0:
		return "done"
	case undone > 0 && undone == begun:
		return "undone"
	case p.Took == 0 && p.Left == p.Steps:
		return "not begun"
	}
	return fmt.Sprintf("%d of %d left", p.Left, p.Steps)
}

func stepState(s migrate.StepHistory) string {
	if s.State == migrate.StepPending {
		return "not begun"
	}
	return string(s.State)
}

func took(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return Took(d)
}

func bytes(n int64) string {
	if n == 0 {
		return "-"
	}
	return Bytes(n)
}

func count(n int64) string {
	if n == 0 {
		return "-"
	}
	return Count(n)
}
