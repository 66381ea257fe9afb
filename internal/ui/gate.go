package ui

import (
	"fmt"
	"time"

	"github.com/slipway-dev/slipway/migrate"
)

// Weigh is what a person weighs at a gate: how long each phase of the run took, beside what it took in rehearsals before,
// and what its steps have moved and compared.
func Weigh(h *migrate.History, before []*migrate.History) []string {
	var lines []string
	steps := h.Steps()
	for _, p := range h.Phases() {
		if p.Back || p.Took == 0 || p.Left > 0 {
			continue
		}
		lines = append(lines, fmt.Sprintf("%-22s %8s%s", p.Name, Took(p.Took), parens(tookBefore(p.Name, before))))
		for _, s := range of(steps, p.Name) {
			if m := Moved(s.Moved); m != "" {
				lines = append(lines, fmt.Sprintf("  %-22s %6s  %s: %s", s.ID, Took(s.Run), s.State, m))
			}
		}
	}
	return lines
}

// tookBefore is how long a phase took in other runs: "2 rehearsals before: 28.1 s to 35.0 s".
func tookBefore(phase string, runs []*migrate.History) string {
	n := 0
	var least, most time.Duration
	for _, h := range runs {
		for _, p := range h.Phases() {
			if p.Name != phase || p.Back || p.Took == 0 {
				continue
			}
			if n == 0 || p.Took < least {
				least = p.Took
			}
			most = max(most, p.Took)
			n++
		}
	}
	switch n {
	case 0:
		return ""
	case 1:
		return "the rehearsal before: " + Took(least)
	}
	return fmt.Sprintf("%d rehearsals before: %s to %s", n, Took(least), Took(most))
}

// Ask is a gate's question, as lines for the person who is to answer it. now is the time by which what is left is counted.
func Ask(q migrate.Question, now time.Time) []string {
	lines := []string{fmt.Sprintf("gate %s: %s", q.Gate, q.Title)}
	if q.Refused != "" {
		lines = append(lines, "  the pass was refused: "+q.Refused)
	}
	for _, l := range q.Lines {
		lines = append(lines, "  "+l)
	}
	for _, h := range q.Services {
		lines = append(lines, "  "+health(h))
	}
	switch {
	case q.PointOfNoReturn:
		lines = append(lines, "  there is no way back once it is passed")
	case q.Deadline.IsZero():
		lines = append(lines, "  it waits for as long as it takes")
	default:
		lines = append(lines, fmt.Sprintf("  it waits until %s, %s from now; then the run goes back", q.Deadline.UTC().Format(time.RFC3339), Left(q.Deadline, now)))
	}
	return lines
}

func health(h migrate.Health) string {
	switch {
	case !h.Up && h.Error != "":
		return fmt.Sprintf("%-22s down: %s", h.Service, h.Error)
	case !h.Up:
		return fmt.Sprintf("%-22s down", h.Service)
	}
	return fmt.Sprintf("%-22s up, lag %s", h.Service, Took(h.Lag))
}

// Left is the time until a deadline; "0.00 s" when it has passed.
func Left(deadline, now time.Time) string { return Took(max(0, deadline.Sub(now))) }
