package requests

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/slipway-dev/slipway/migrate"
)

// Clerk brings requests to the run that this process holds, and answers them. Its Ask goes into the run's options before
// the run is opened; Attend begins to look for requests, Leave ends it.
type Clerk struct {
	box    *Box
	self   Process
	since  time.Time // a process before may have had the same number
	prompt func(context.Context, migrate.Question) (migrate.Answer, error)
	told   func(Request)
	given  string // the request whose word was given to the gate last; Ask's alone

	leave chan struct{}
	gone  chan struct{}

	mu       sync.Mutex
	run      *migrate.Run
	aborting string // the request that the run was told to turn back by, and has not turned yet
	failed   error
}

// NewClerk makes the clerk of the process self. prompt asks at the process's own terminal, and gives NoWord where there is
// nobody; its context ends when a request's word comes first. told is called for each request that the run is told of
// between its gates.
func NewClerk(box *Box, self Process, prompt func(context.Context, migrate.Question) (migrate.Answer, error), told func(Request)) *Clerk {
	return &Clerk{box: box, self: self, since: time.Now(), prompt: prompt, told: told, leave: make(chan struct{}), gone: make(chan struct{})}
}

// Attend answers what is left of processes before, carries out what they did not, and then looks for more until Leave.
// Call it before the run moves.
func (c *Clerk) Attend(run *migrate.Run) error {
	c.run = run
	if err := c.sweep(false); err != nil {
		return err
	}
	go func() {
		defer close(c.gone)
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				c.fail(c.sweep(false))
			case <-c.leave:
				return
			}
		}
	}()
	return nil
}

// Leave answers what can be answered now that the run does not move any more, while the process still holds it. What the
// next process can still carry out stays pending. It gives the last thing that went wrong.
func (c *Clerk) Leave() error {
	close(c.leave)
	<-c.gone
	c.fail(c.sweep(true))
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed
}

// fail keeps the last look's failure: what one look could not do, the next one does.
func (c *Clerk) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed = err
}

// sweep looks at each pending request once.
func (c *Clerk) sweep(last bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	list, bad, err := c.box.Pending()
	for _, b := range bad {
		err = errors.Join(err, c.refuse(b.ID, b.Err.Error()))
	}
	for _, r := range list {
		switch {
		case r.Ask == Pause:
			err = errors.Join(err, c.pause(r))
		case r.Gate == "":
			err = errors.Join(err, c.abort(r, last))
		default:
			err = errors.Join(err, c.settle(r))
		}
	}
	return err
}

func (c *Clerk) pause(r Request) error {
	if r.Of != c.self || r.When.Before(c.since) {
		return c.refuse(r.ID, fmt.Sprintf("process %d on %s, which it was for, has ended", r.Of.PID, r.Of.Host))
	}
	c.told(r)
	c.run.Pause()
	return c.accept(r.ID, "the run stops at the next safe point, when what runs has finished")
}

// abort tells the run to turn back. The answer comes when it has turned and that is on record, so that a process that is
// killed before leaves the request to the next one.
func (c *Clerk) abort(r Request, last bool) error {
	back, by := c.run.Turned()
	switch state := c.run.State(); {
	case by == r.ID:
		return c.accept(r.ID, "the run has turned back")
	case back:
		return c.refuse(r.ID, "the run goes back already, or has gone back")
	case last && (state == migrate.StateDone || state == migrate.StateKept):
		return c.refuse(r.ID, "the run is "+string(state)+"; to take it back: slipway rollback "+c.run.ID())
	case last || c.aborting == r.ID:
		return nil
	}
	if err := c.run.Abort(migrate.Answer{Who: r.Who, From: r.From, Why: r.Why, Request: r.ID}); err != nil {
		return c.refuse(r.ID, err.Error())
	}
	c.aborting = r.ID
	c.told(r)
	return nil
}

// settle answers a word for a gate that is not open, or not as it was meant. One for a gate that is open waits for Ask.
func (c *Clerk) settle(r Request) error {
	switch g, ok := c.run.Step(r.Gate); {
	case !ok:
		return c.refuse(r.ID, fmt.Sprintf("the run has no gate %s", r.Gate))
	case g.Request == r.ID:
		return c.accept(r.ID, fmt.Sprintf("%s: done, and on record", r))
	case g.Opening != r.Opening:
		return c.refuse(r.ID, fmt.Sprintf("it was given for an earlier opening of gate %s", r.Gate))
	case g.State == migrate.GateWaits:
		return nil
	case g.Word.Who == "":
		return c.refuse(r.ID, fmt.Sprintf("gate %s: %s at %s", r.Gate, g.State, g.Word.At.UTC().Format(time.RFC3339)))
	default:
		return c.refuse(r.ID, fmt.Sprintf("gate %s: %s already, by %s at %s", r.Gate, g.State, g.Word.Who, g.Word.At.UTC().Format(time.RFC3339)))
	}
}

// Ask is the run's question at a gate: a request's word counts, or else what prompt says.
func (c *Clerk) Ask(ctx context.Context, q migrate.Question) (migrate.Answer, error) {
	if given := c.given; given != "" && q.Refused != "" {
		c.given = ""
		if err := c.refuse(given, q.Refused); err != nil {
			return migrate.Answer{}, err
		}
	}
	if a, ok, err := c.word(q); ok || err != nil {
		return a, err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	type heard struct {
		a   migrate.Answer
		err error
	}
	other, prompted := make(chan heard, 1), make(chan struct{})
	go func() {
		defer close(other)
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		for {
			select {
			case <-prompted:
				return
			case <-tick.C:
			}
			if a, ok, err := c.word(q); ok || err != nil {
				other <- heard{a, err}
				stop()
				return
			}
		}
	}()
	a, err := c.prompt(ctx, q)
	close(prompted)
	x, ok := <-other
	switch {
	case ok && err == nil && a.Word == migrate.Abort: // said here at the same moment: it is the safer word
		c.given = ""
	case ok:
		return x.a, x.err
	}
	return a, err
}

// word is the oldest pending request's for this opening of the gate; one that aborts comes before all that pass.
func (c *Clerk) word(q migrate.Question) (migrate.Answer, bool, error) {
	list, _, err := c.box.Pending()
	if err != nil {
		return migrate.Answer{}, false, err
	}
	var best *Request
	for i, r := range list {
		if r.Gate == q.Gate && r.Opening == q.Opening && (best == nil || best.Ask == Pass && r.Ask == Abort) {
			best = &list[i]
		}
	}
	if best == nil {
		return migrate.Answer{}, false, nil
	}
	a := migrate.Answer{Word: migrate.Pass, Who: best.Who, From: best.From, Why: best.Why, Request: best.ID}
	if best.Ask == Abort {
		a.Word = migrate.Abort
	}
	c.given = best.ID
	return a, true, nil
}

func (c *Clerk) accept(id, why string) error { return c.answer(id, true, why) }
func (c *Clerk) refuse(id, why string) error { return c.answer(id, false, why) }

func (c *Clerk) answer(id string, accepted bool, why string) error {
	return c.box.Answer(id, Answer{Accepted: accepted, Why: why, When: time.Now().UTC(), By: c.self})
}
