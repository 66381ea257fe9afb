package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/internal/ui"
	"github.com/slipway-dev/slipway/migrate"
)

// statusReport is a run as status prints it in JSON. Durations are in nanoseconds.
type statusReport struct {
	migrate.RunSummary
	Journal string                 `json:"journal"`
	Held    string                 `json:"held_by,omitempty"`
	Why     string                 `json:"why,omitempty"`
	Phases  []migrate.PhaseHistory `json:"phases"`
	Steps   []migrate.StepHistory  `json:"steps"`
	Todo    []migrate.Todo         `json:"todo,omitempty"`
	// Services are as the run's process last saw them.
	Services []serviceHealth `json:"services,omitempty"`
	Next     string          `json:"next,omitempty"`
}

func (r *record) report() statusReport {
	s := statusReport{
		RunSummary: r.history.Summary(r.held),
		Journal:    journalPath(r.dir.Path()),
		Why:        r.history.Why,
		Phases:     r.history.Phases(),
		Steps:      r.history.Steps(),
		Todo:       r.history.Todo(),
	}
	if r.held {
		s.Held = r.holder.String()
	}
	s.Next = next(s.ID, s.State, r.held)
	return s
}

func newStatus(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "status [RUN]",
		Short: "say where a run stands (the newest one, if none is named), and what to type next",
		Args:  atMost("RUN"),
		RunE: func(_ *cobra.Command, args []string) error {
			id := ""
			if len(args) > 0 {
				id = args[0]
			}
			r, err := p.find(id)
			if err != nil {
				return err
			}
			s := r.report()
			if s.Services, err = readServices(r.dir.Path()); err != nil {
				return err
			}
			return p.print(s, func(w io.Writer) error { return writeStatus(w, r, s) })
		},
	}
}

func writeStatus(w io.Writer, r *record, s statusReport) error {
	fmt.Fprintf(w, "run %s, a %s: %s\n", s.ID, s.Kind, s.State)
	fmt.Fprintf(w, "started %s by %s", s.Started.UTC().Format(time.RFC3339), r.history.Who)
	if !s.Ended.IsZero() {
		fmt.Fprintf(w, ", ended %s", s.Ended.UTC().Format(time.RFC3339))
	}
	fmt.Fprintln(w)
	if s.Held != "" {
		fmt.Fprintf(w, "held by %s\n", s.Held)
	}
	if s.Why != "" {
		fmt.Fprintf(w, "turned because: %s\n", s.Why)
	}
	if r.history.Torn != nil && !r.held {
		fmt.Fprintf(w, "warning: %v; the next process cuts it, nothing that was promised is lost\n", r.history.Torn)
	}
	fmt.Fprintln(w)
	if err := ui.Table(w, r.history); err != nil {
		return err
	}
	writeServices(w, s.Services, r.held, time.Now())
	for _, st := range s.Steps {
		if st.Error != "" {
			fmt.Fprintf(w, "\n%s failed to %s: %s\n", st.ID, st.Doing, st.Error)
		}
	}
	for _, t := range s.Todo {
		if t.HeldBy != "" {
			fmt.Fprintf(w, "%s was not undone: held by %s\n", t.Step, t.HeldBy)
		}
	}
	_, err := fmt.Fprintf(w, "\njournal: %s\n%s\n", s.Journal, s.Next)
	return err
}

// next is what is true now, and what to type.
func next(id string, s migrate.State, held bool) string {
	switch {
	case s == migrate.StateRunning, held:
		return "a process works on it; nothing to type"
	case s == migrate.StateOpen:
		return "no process works on it. to go on: slipway resume " + id + "   to take everything back: slipway rollback " + id
	case s == migrate.StateWaiting:
		return "it waits at a gate. to answer: slipway resume " + id
	case s == migrate.StateGoingBack:
		return "it is being rolled back, and no process works on it. to go on: slipway resume " + id
	case s == migrate.StateKept:
		return "all is done and left standing. to take it back and delete what it made: slipway rollback " + id
	case s == migrate.StateNeedsPerson:
		return "some steps could not be undone. fix what is named above, then: slipway resume " + id +
			"   where the thing is gone already: slipway waive " + id + " STEP --why TEXT"
	}
	return "the run is over; nothing to type"
}
