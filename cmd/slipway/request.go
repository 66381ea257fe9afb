package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/slipway-dev/slipway/migrate/requests"
)

const (
	// answerWithin is how long a command waits for the process that holds the run; its request stays.
	answerWithin = 30 * time.Second
	// answerSoon is how long it does so without a word.
	answerSoon = time.Second
)

// outcome is what became of a request, as far as this command could wait.
type outcome string

const (
	accepted outcome = "accepted"
	recorded outcome = "recorded" // it is there for the process that holds the run, or for the next one
)

// requestReport is what a command that asks something of a run prints.
type requestReport struct {
	Run     string           `json:"run"`
	Request requests.Request `json:"request"`
	Outcome outcome          `json:"outcome"`
	Why     string           `json:"why,omitempty"` // the answer of the process that holds the run
	Held    string           `json:"held_by,omitempty"`
	Next    string           `json:"next,omitempty"`
}

var errNotYet = errors.New("no answer yet")

// request leaves a request with a run, waits for the answer if a process is there to give one, and prints it.
func (p *program) request(ctx context.Context, rec *record, r requests.Request) error {
	who, host, err := whoAmI()
	if err != nil {
		return err
	}
	r.Who, r.From = who+"@"+host, from(p.in)
	if r.Of = (requests.Process{}); rec.held {
		r.Of = requests.Process{Host: rec.holder.Host, PID: rec.holder.PID}
	}
	box, id := requests.In(rec.dir.Path()), rec.history.Run
	if r, err = box.Put(r); err != nil {
		return fmt.Errorf("run %s: %w", id, err)
	}
	rep := requestReport{Run: id, Request: r, Outcome: recorded}
	answer, answered := requests.Answer{}, false
	if rec.held {
		rep.Held = rec.holder.String()
		answer, answered, err = p.answer(ctx, rec, box, r)
	}
	switch {
	case errors.Is(err, errNotYet):
		rep.Next = "the process that holds the run has not come to it yet, and will; slipway status " + id + " --follow shows when"
	case err != nil:
		return fmt.Errorf("run %s: wait for the answer: %w", id, err)
	case answered && !answer.Accepted:
		return hint(fmt.Errorf("run %s: %s: refused: %s", id, r, answer.Why), "type: slipway status %s", id)
	case answered:
		rep.Outcome, rep.Why = accepted, answer.Why
	default:
		rep.Held = ""
		rep.Next = "no process works on the run; it counts when the run is resumed: slipway resume " + id
		if g, ok := rec.history.Step(r.Gate); ok && !g.Deadline.IsZero() && r.Ask == requests.Pass {
			rep.Next += "   before " + g.Deadline.UTC().Format(time.RFC3339) + ", or the gate's deadline has passed"
		}
	}
	return p.print(rep, func(w io.Writer) error { return writeRequest(w, rep) })
}

// answer waits for the answer, and says after a moment what for. errNotYet: the process is there, and has given none.
func (p *program) answer(ctx context.Context, rec *record, box *requests.Box, r requests.Request) (requests.Answer, bool, error) {
	slow := time.AfterFunc(answerSoon, func() { fmt.Fprintf(p.err, "waits for %s to answer: %s\n", rec.holder, r) })
	defer slow.Stop()
	ctx, cancel := context.WithTimeoutCause(ctx, answerWithin, errNotYet)
	defer cancel()
	return box.Wait(ctx, r.ID, func() (bool, error) {
		h, held, err := rec.dir.Holder()
		return held && h == rec.holder, err
	})
}

func writeRequest(w io.Writer, rep requestReport) error {
	var err error
	if rep.Outcome == accepted {
		_, err = fmt.Fprintf(w, "run %s: %s\n", rep.Run, rep.Why)
	} else {
		_, err = fmt.Fprintf(w, "run %s: %s: recorded\n%s\n", rep.Run, rep.Request, rep.Next)
	}
	return err
}
