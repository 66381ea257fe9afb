package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/internal/ui"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/requests"
)

// kindGate is what a gate is called in manifests and histories.
const kindGate = "gate"

func newGate(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "gate",
		Short: "list the gates of a run; pass or abort the one that it waits at",
		Long: "At a gate a run waits for a person's word. gate pass and gate abort give it from another terminal: the process that\n" +
			"holds the run takes it, and its answer is printed. Where no process holds the run, the word is recorded, and counts\n" +
			"when the run is resumed, if the gate's deadline has not passed by then. A word is for the opening of the gate that it was\n" +
			"given for, and for no later one. Of two words for the same opening the one that aborts counts.\n\n" + exitCodes,
		Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "list RUN",
		Short: "say of each gate of a run whether it is open, until when, who decided it, and which words wait for it",
		Args:  exactly("RUN"),
		RunE:  func(cmd *cobra.Command, args []string) error { return p.listGates(cmd.Context(), args[0]) },
	}, newWord(p, requests.Pass, "pass the gate that a run waits at"),
		newWord(p, requests.Abort, "abort the gate that a run waits at: the run goes back"))
	return cmd
}

func newWord(p *program, ask requests.Asked, short string) *cobra.Command {
	var why string
	cmd := &cobra.Command{
		Use:   string(ask) + " RUN [GATE]",
		Short: short,
		Long:  short + ".\nWhere GATE is left out, it is the one that is open.\n\n" + exitCodes,
		Args:  between(1, 2, "RUN and perhaps GATE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			gate := migrate.StepID("")
			if len(args) > 1 {
				gate = migrate.StepID(args[1])
			}
			rec, err := p.find(args[0])
			if err != nil {
				return err
			}
			st, err := rec.gate(gate, cmd.CommandPath())
			if err != nil {
				return err
			}
			return p.request(cmd.Context(), rec, requests.Request{Ask: ask, Gate: st.ID, Opening: st.Opening, Why: why})
		},
	}
	cmd.Flags().StringVar(&why, "why", "", "reason, for the journal")
	return cmd
}

// gates are those of a run, in its order.
func (r *record) gates() (all []migrate.StepHistory) {
	for _, s := range r.history.Steps() {
		if s.Kind == kindGate {
			all = append(all, s)
		}
	}
	return all
}

// gate is the one that is named, or the one that is open; it must be open, and its deadline not have passed.
func (r *record) gate(name migrate.StepID, command string) (migrate.StepHistory, error) {
	var there []migrate.StepID
	for _, g := range r.gates() {
		there = append(there, g.ID)
		if name != "" && g.ID != name || name == "" && g.State != migrate.GateWaits {
			continue
		}
		switch {
		case g.State == migrate.StepPending:
			return g, fmt.Errorf("run %s: gate %s is not open: the run has not come to it", r.history.Run, g.ID)
		case g.State != migrate.GateWaits && g.Word.Who != "":
			return g, fmt.Errorf("run %s: gate %s is not open: %s by %s at %s", r.history.Run, g.ID, g.State, g.Word.Who, g.Word.At.UTC().Format(time.RFC3339))
		case g.State != migrate.GateWaits:
			return g, fmt.Errorf("run %s: gate %s is not open: %s", r.history.Run, g.ID, g.State)
		case !g.Deadline.IsZero() && !time.Now().Before(g.Deadline):
			return g, hint(fmt.Errorf("run %s: the deadline of gate %s passed at %s: the run goes back", r.history.Run, g.ID, g.Deadline.UTC().Format(time.RFC3339)),
				"type: slipway resume %s", r.history.Run)
		}
		return g, nil
	}
	if name == "" {
		return migrate.StepHistory{}, fmt.Errorf("run %s: no gate is open; it is %s", r.history.Run, r.history.State(r.held))
	}
	return migrate.StepHistory{}, &usageError{fmt.Errorf("run %s has no gate %s; it has: %s", r.history.Run, name, list(there)), command}
}

// gateLine is a gate as gate list prints it.
type gateLine struct {
	Gate  migrate.StepID    `json:"gate"`
	Title string            `json:"title,omitempty"`
	State migrate.StepState `json:"state"`
	// Opened and Deadline are of the last opening.
	Opened   time.Time `json:"opened,omitzero"`
	Deadline time.Time `json:"deadline,omitzero"`
	// Who decided it, when, and why.
	Who string    `json:"who,omitempty"`
	At  time.Time `json:"at,omitzero"`
	Why string    `json:"why,omitempty"`
	// Lines are what a person weighs, while it is open.
	Lines []string `json:"lines,omitempty"`
	// Waiting are words that no process has taken yet.
	Waiting []requests.Request `json:"waiting,omitempty"`
}

func (p *program) listGates(ctx context.Context, id string) error {
	rec, err := p.find(id)
	if err != nil {
		return err
	}
	pending, _, err := requests.In(rec.dir.Path()).Pending()
	if err != nil {
		return err
	}
	lines := []gateLine{}
	for _, g := range rec.gates() {
		l := gateLine{Gate: g.ID, Title: g.Title, State: g.State, Opened: g.Opened, Deadline: g.Deadline, Who: g.Word.Who, At: g.Word.At, Why: g.Word.Why}
		if g.State == migrate.GateWaits {
			if l.Lines, err = weigh(filepath.Dir(rec.dir.Path()))(ctx, rec.history); err != nil {
				return err
			}
		}
		for _, r := range pending {
			if r.Gate == g.ID && r.Opening == g.Opening {
				l.Waiting = append(l.Waiting, r)
			}
		}
		lines = append(lines, l)
	}
	return p.print(lines, func(w io.Writer) error { return writeGates(w, rec, lines) })
}

func writeGates(w io.Writer, rec *record, lines []gateLine) error {
	if len(lines) == 0 {
		_, err := fmt.Fprintf(w, "run %s has no gates\n", rec.history.Run)
		return err
	}
	for _, l := range lines {
		fmt.Fprintf(w, "%-16s  %-9s  %s\n", l.Gate, orNotOpen(l.State), l.Title)
		if l.State == migrate.GateWaits {
			for _, line := range l.Lines {
				fmt.Fprintf(w, "  %s\n", line)
			}
			fmt.Fprintf(w, "  open since %s\n", l.Opened.UTC().Format(time.RFC3339))
			if !l.Deadline.IsZero() {
				fmt.Fprintf(w, "  until %s, %s from now; then the run goes back\n", l.Deadline.UTC().Format(time.RFC3339), ui.Left(l.Deadline, time.Now()))
			}
		}
		if !l.At.IsZero() {
			fmt.Fprintf(w, "  %s at %s%s%s\n", l.State, l.At.UTC().Format(time.RFC3339), with(" by ", l.Who), with(": ", l.Why))
		}
		for _, r := range l.Waiting {
			fmt.Fprintf(w, "  %s (%s) said %s at %s%s; no process has taken that yet\n", r.Who, r.From, r.Ask, r.When.UTC().Format(time.RFC3339), with(": ", r.Why))
		}
	}
	_, err := fmt.Fprintf(w, "%s\n", rec.report().Next)
	return err
}

func orNotOpen(s migrate.StepState) string {
	if s == migrate.StepPending {
		return "not open"
	}
	return string(s)
}

// with is lead and text, or nothing when there is no text.
func with(lead, text string) string {
	if text == "" {
		return ""
	}
	return lead + text
}
