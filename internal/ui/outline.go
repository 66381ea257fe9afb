package ui

import (
	"bufio"
	"fmt"
	"io"
	"time"

	"github.com/slipway-dev/slipway/migrate"
)

// Outline writes a plan. The same outline is written the same, byte for byte.
func Outline(w io.Writer, o *migrate.Outline) error {
	b := bufio.NewWriter(w)
	for i, p := range o.Phases {
		if i > 0 {
			fmt.Fprintln(b)
		}
		fmt.Fprintf(b, "%s%s\n", p.Name, within(p.Within))
		for _, s := range p.Steps {
			outlineStep(b, o.Mode, s)
		}
	}
	for _, p := range o.Back {
		fmt.Fprintf(b, "\n%s (way back)\n", p.Name)
		for _, s := range p.Steps {
			outlineBack(b, s)
		}
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("write the plan: %w", err)
	}
	return nil
}

// within says what becomes of a phase with a limit; nothing of one that has none.
func within(limit time.Duration) string {
	if limit == 0 {
		return ""
	}
	return " (within " + limit.String() + ", or it is taken back)"
}

func outlineStep(b *bufio.Writer, mode string, s migrate.OutlineStep) {
	fmt.Fprintf(b, "  %-22s %s\n", s.ID, s.Title)
	if origin := s.Origin.In(mode); origin != "" {
		fmt.Fprintf(b, "  %-22s   %s\n", "", origin)
	}
	switch {
	case s.Error != "":
		fmt.Fprintf(b, "  %-22s   can't be planned: %s\n", "", s.Error)
	case s.Holds:
		fmt.Fprintf(b, "  %-22s   holds already: nothing to do\n", "")
	case s.After != "":
		fmt.Fprintf(b, "  %-22s   what it does is known after %s\n", "", s.After)
	}
	for _, e := range s.Effects {
		fmt.Fprintf(b, "  %-22s + %s\n", "", e)
	}
	if s.Irreversible {
		fmt.Fprintf(b, "  %-22s ! can't be undone\n", "")
	}
}

func outlineBack(b *bufio.Writer, s migrate.OutlineStep) {
	note := ""
	switch {
	case s.Irreversible:
		note = "can't be undone"
	case s.Holds:
		note = "left as it is: this run did not make it"
	case s.State != migrate.StepPending:
		note = string(s.State)
	}
	fmt.Fprintf(b, "  %-22s %s%s\n", s.ID, s.Title, parens(note))
	for _, e := range s.Effects {
		fmt.Fprintf(b, "  %-22s - %s\n", "", e)
	}
}
