package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal"
	"github.com/slipway-dev/slipway/migrate/requests"
)

const gatesHelp = "\nAt a gate a run waits for a person's word: typed here, if this is a terminal; given by slipway gate pass or slipway\n" +
	"gate abort in another one; or given beforehand with --yes-to. Without any of them it ends with exit code 3.\n\n"

func addYes(cmd *cobra.Command, yes *[]string) {
	cmd.Flags().StringArrayVar(yes, "yes-to", nil, "pass this gate without asking, as soon as its services are healthy; may be repeated")
}

// gatesOf looks up gates of a runbook that a call names.
func gatesOf(steps []migrate.ManifestStep, names []string, command string) ([]migrate.StepID, error) {
	var gates, there []migrate.StepID
	for _, s := range steps {
		if s.Kind == kindGate {
			there = append(there, s.ID)
		}
	}
	for _, n := range names {
		if !slices.Contains(there, migrate.StepID(n)) {
			return nil, &usageError{fmt.Errorf("--yes-to %s: there is no such gate; there is: %s", n, list(there)), command}
		}
		gates = append(gates, migrate.StepID(n))
	}
	return gates, nil
}

// attendant stands between a run that this process holds and the people around it: the one at this terminal, those at
// others, and the one who said yes beforehand.
type attendant struct {
	p      *program
	clerk  *requests.Clerk
	yes    []migrate.StepID
	typed  *typed // nil: this is no terminal
	stays  bool   // where nobody can be asked here, it waits for another terminal's word
	screen screen
	from   string
	said   string // why a gate that was said yes to could not be passed: told once
}

// attendant makes the one of a run whose directory that is, and puts its ask into the options.
func (p *program) attendant(dir *journal.Dir, yes []migrate.StepID, o *migrate.Options) *attendant {
	a := &attendant{p: p, yes: yes, typed: openTyped(p.in), from: from(p.in), stays: p.stays}
	a.clerk = requests.NewClerk(requests.In(dir.Path()), requests.Process{Host: o.Host, PID: o.PID}, a.ask, a.told)
	o.Ask = a.clerk.Ask
	return a
}

// begin is called when the run is open and before it moves; end when it does not move any more and is still held.
func (a *attendant) begin(run *migrate.Run, s screen) error {
	a.screen = s
	return a.clerk.Attend(run)
}

func (a *attendant) end() error { return a.clerk.Leave() }

func (a *attendant) told(r requests.Request) {
	why := ""
	if r.Why != "" {
		why = ": " + r.Why
	}
	a.screen.say("%s (%s) asks to %s%s", r.Who, r.From, r, why)
}

// ask is asked at a gate for which there is no word from another terminal.
func (a *attendant) ask(ctx context.Context, q migrate.Question) (migrate.Answer, error) {
	if slices.Contains(a.yes, q.Gate) {
		if q.Refused != a.said && q.Refused != "" {
			a.screen.say("gate %s is not passed yet: %s", q.Gate, q.Refused)
		}
		a.said = q.Refused
		return migrate.Answer{Word: migrate.Pass, From: a.from, Why: "--yes-to " + string(q.Gate)}, nil
	}
	if a.typed == nil && a.stays {
		return a.wait(ctx, q)
	}
	if a.typed == nil {
		if q.Refused != "" {
			a.screen.say("gate %s: the pass was refused: %s", q.Gate, q.Refused)
		}
		return migrate.Answer{}, nil
	}
	return a.typed.ask(ctx, q, a.screen, a.from)
}

// wait says once where a word can be given, and waits until ctx ends: by a word from another terminal, a deadline, a pause.
func (a *attendant) wait(ctx context.Context, q migrate.Question) (migrate.Answer, error) {
	if told := fmt.Sprintf("%s %d %s", q.Gate, q.Opening, q.Refused); told != a.said {
		a.said = told
		if q.Refused != "" {
			a.screen.say("gate %s: the pass was refused: %s", q.Gate, q.Refused)
		}
		a.screen.say("gate %s is open: %s; it waits for slipway gate pass or slipway gate abort", q.Gate, q.Title)
	}
	<-ctx.Done()
	return migrate.Answer{Word: migrate.Again}, nil
}

// from says from where a word is given: the terminal, or else the process.
func from(in io.Reader) string {
	if f, ok := in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		if name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f.Fd())); err == nil {
			return name
		}
	}
	return fmt.Sprintf("process %d", os.Getpid())
}

func list(ids []migrate.StepID) string {
	s := ""
	for i, id := range ids {
		if i > 0 {
			s += ", "
		}
		s += string(id)
	}
	if s == "" {
		return "none"
	}
	return s
}
