package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
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
	s.Next = r.next()
	return s
}

func newStatus(p *program) *cobra.Command {
	var follow bool
	cmd := &cobra.Command{
		Use:   "status [RUN]",
		Short: "say where a run stands (the newest one, if none is named), and what to type next",
		Long: "status says where a run stands. With --follow it goes on, and shows what happens until the run is closed: whichever\n" +
			"process works on it, now or later, and who holds it. With --output json it prints each event of the run from its\n" +
			"first one on, one object a line, and at the end a report. It takes nothing away from the process that holds the run.",
		Args: atMost("RUN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id := ""
			if len(args) > 0 {
				id = args[0]
			}
			r, err := p.find(id)
			if err != nil {
				return err
			}
			if follow {
				return p.follow(cmd.Context(), r)
			}
			s := r.report()
			if s.Services, err = readServices(r.dir.Path()); err != nil {
				return err
			}
			s.Services = slices.DeleteFunc(s.Services, func(h serviceHealth) bool { // the journal says that it was stopped
				st, _ := r.history.Step(h.Service)
				return st.State == migrate.ServiceIsDown
			})
			return p.print(s, func(w io.Writer) error { return writeStatus(w, r, s) })
		},
	}
	cmd.Flags().BoolVar(&follow, "follow", false, "show what happens, until the run is closed")
	return cmd
}

// follow shows what happens to a run until it is closed.
func (p *program) follow(ctx context.Context, r *record) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if p.output == asJSON {
		err = migrate.Follow(ctx, r.dir, p.eventLine)
	} else {
		if err := writeStatus(p.out, r, r.report()); err != nil {
			return err
		}
		fmt.Fprintln(p.out)
		t := ui.NewTerminal(p.out, columns(p.out))
		err = migrate.Follow(ctx, r.dir, func(e migrate.Event) error {
			if seq := migrate.EventWhen(e).Seq; seq > 0 && seq <= r.history.Records {
				t.Recall(e)
			} else {
				t.Show(e)
			}
			return nil
		})
		err = errors.Join(err, t.Close())
	}
	if ctx.Err() != nil {
		fmt.Fprintf(p.err, "no longer followed; the run is as it was: slipway status %s\n", r.history.Run)
		return nil
	}
	return p.report(r.dir, err)
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
	writeHeld(w, s.Todo)
	_, err := fmt.Fprintf(w, "\njournal: %s\n%s\n", s.Journal, s.Next)
	return err
}

// next is what is true now, and what to type.
func (r *record) next() string {
	id := r.history.Run
	switch s := r.history.State(r.held); {
	case s == migrate.StateWaiting:
		return r.nextAtGate()
	case s == migrate.StateRunning, r.held:
		return "a process works on it; nothing to type" + r.limit("; phase %s must be over by %s, or it is taken back", "; phase %s was to be over by %s: the process takes it back")
	case s == migrate.StateOpen:
		return r.limit("phase %s must be over by %s, or it is taken back. ", "phase %s was to be over by %s: it is taken back when the run is resumed. ") + "no process works on it. to go on: slipway resume " + id + "   to take everything back: slipway rollback " + id
	case s == migrate.StateGoingBack:
		return "it is being rolled back, and no process works on it. to go on: slipway resume " + id
	case s == migrate.StateKept:
		return "all is done and left standing. to take it back and delete what it made: slipway rollback " + id
	case s == migrate.StateNeedsPerson:
		return nextForAPerson(id, r.history.Todo())
	}
	return "the run is over; nothing to type"
}

// limit says until when the phase with a limit that is under way must be over: in one way while there is time, and in
// another one when there is none; "" when there is no such phase, or the run goes back already.
func (r *record) limit(in, late string) string {
	for _, p := range r.history.Phases() {
		if p.Deadline.IsZero() || r.history.Direction == migrate.Back {
			continue
		}
		if !time.Now().Before(p.Deadline) {
			in = late
		}
		return fmt.Sprintf(in, p.Name, p.Deadline.UTC().Format(time.RFC3339))
	}
	return ""
}

// nextAtGate is what to type at the gate that is open. Where a process is there, the word is for that one.
func (r *record) nextAtGate() string {
	id := r.history.Run
	for _, g := range r.gates() {
		if g.State != migrate.GateWaits {
			continue
		}
		late := !g.Deadline.IsZero() && !time.Now().Before(g.Deadline)
		until := ""
		if !g.Deadline.IsZero() {
			until = " until " + g.Deadline.UTC().Format(time.RFC3339)
		}
		switch {
		case late && r.held:
			return fmt.Sprintf("the deadline of gate %s has passed: the process turns the run back", g.ID)
		case late:
			return fmt.Sprintf("the deadline of gate %s has passed: the run goes back when it is resumed: slipway resume %s", g.ID, id)
		case r.held:
			return fmt.Sprintf("a process holds it, at gate %s%s. to go on: slipway gate pass %s %s   to go back: slipway gate abort %s %s", g.ID, until, id, g.ID, id, g.ID)
		}
		return fmt.Sprintf("it waits at gate %s%s, and no process works on it. to go on: slipway resume %s --yes-to %s   to take it back: slipway rollback %s", g.ID, until, id, g.ID, id)
	}
	return "it waits at a gate. to answer: slipway resume " + id
}
