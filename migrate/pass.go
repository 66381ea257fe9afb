package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/slipway-dev/slipway/migrate/journal"
)

// refusedPause is how long a gate that refused a pass waits before it asks again, unless something happens.
const refusedPause = time.Second

// pass waits at a gate.
func (s *session) pass(ctx context.Context, n *node) error {
	if n.spec.PointOfNoReturn && (s.r.h.Manifest.Ending.Turn || s.r.h.Manifest.Ending.Keep) {
		return &turnError{why: "the end of the run, before " + string(n.spec.ID), end: true}
	}
	st := s.r.step(n.spec.ID)
	if st.gate == "" {
		if err := s.append(journal.Gate, n, gateData{Decision: GateOpen, Deadline: n.gate.deadline(time.Now().UTC())}); err != nil {
			return err
		}
		st = s.r.step(n.spec.ID)
	}
	switch st.gate {
	case GatePassed:
		return nil
	case GateAborted, GateExpired:
		return st.turn()
	}
	return s.wait(ctx, n, st)
}

// deadline is the earlier of the two that a gate may have; zero for none.
func (g *Gate) deadline(opened time.Time) time.Time {
	by := g.By.UTC()
	if g.By.IsZero() {
		by = time.Time{}
	}
	if g.Within > 0 {
		if d := opened.Add(g.Within); by.IsZero() || d.Before(by) {
			by = d
		}
	}
	return by
}

// wait asks until there is a word that counts. The deadline is the recorded one, whatever the configuration says now.
func (s *session) wait(ctx context.Context, n *node, st stepState) error {
	ask, cancel := s.pauseable(ctx)
	defer cancel()
	if !st.deadline.IsZero() {
		var stop context.CancelFunc
		ask, stop = context.WithDeadline(ask, st.deadline)
		defer stop()
	}
	for refused := ""; ; {
		if st.late() {
			return s.decide(n, st, GateExpired, Answer{Why: refused})
		}
		if s.r.o.Ask == nil {
			return fmt.Errorf("%s: %w", n.spec.ID, ErrWaiting)
		}
		q, err := s.question(ask, n, st, refused)
		if err != nil {
			return err
		}
		a, err := s.ask(ask, q)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case st.late(): // an answer that came too late is no answer
			return s.decide(n, st, GateExpired, Answer{Why: a.Why})
		case s.r.isPaused():
			return fmt.Errorf("%s: %w", n.spec.ID, ErrPaused)
		case err != nil:
			return fmt.Errorf("ask at gate %s: %w", n.spec.ID, err)
		case a.Word == NoWord:
			return fmt.Errorf("%s: %w", n.spec.ID, ErrWaiting)
		case a.Word == Again:
			continue
		case a.Word == Abort:
			return s.decide(n, st, GateAborted, a)
		}
		if refused = s.unhealthy(n.gate); refused == "" {
			return s.decide(n, st, GatePassed, a)
		}
		select { // asked again, with why
		case <-ask.Done():
		case <-time.After(refusedPause):
		}
	}
}

func (s *session) ask(ctx context.Context, q Question) (Answer, error) {
	s.asking.Lock()
	defer s.asking.Unlock()
	return s.r.o.Ask(ctx, q)
}

func (s *session) question(ctx context.Context, n *node, st stepState, refused string) (Question, error) {
	q := Question{Gate: n.spec.ID, Title: n.spec.Title, PointOfNoReturn: n.spec.PointOfNoReturn, Opening: st.opening, Opened: st.opened, Deadline: st.deadline,
		Services: s.health(n.gate.Healthy), Refused: refused}
	if n.gate.Show == nil {
		return q, nil
	}
	h, err := s.r.History()
	if err != nil {
		return q, err
	}
	if q.Lines, err = n.gate.Show(ctx, h); err != nil {
		return q, fmt.Errorf("show at gate %s: %w", n.spec.ID, err)
	}
	return q, nil
}

// decide records what became of a gate.
func (s *session) decide(n *node, st stepState, d GateDecision, a Answer) error {
	if a.Who == "" && d != GateExpired {
		a.Who = s.r.o.Who
	}
	if err := s.append(journal.Gate, n, gateData{d, st.deadline, a.Who, a.From, a.Why, a.Request}); err != nil {
		return err
	}
	if d == GatePassed {
		return nil
	}
	st = s.r.step(n.spec.ID)
	return st.turn()
}

// turn is what a gate that was aborted, or whose deadline has passed, does to the run.
func (s *stepState) turn() *turnError {
	t := &turnError{by: Answer{Who: s.word.Who, Request: s.request}, why: fmt.Sprintf("gate %s: %s", s.ID, s.gate)}
	if s.gate == GateAborted && s.word.Why != "" {
		t.why += ": " + s.word.Why
	}
	return t
}

// late: the deadline that was recorded has passed.
func (s *stepState) late() bool { return !s.deadline.IsZero() && !time.Now().Before(s.deadline) }

// decided says whether the run is to turn before anything else is looked at: a gate that was opened by a process before
// has been aborted, or its deadline has passed while nobody was there. A world that has changed meanwhile must not keep
// that from being done.
func (s *session) decided() (*turnError, error) {
	for _, n := range s.r.book.nodes {
		if n.kind != kindGate {
			continue
		}
		switch st := s.r.step(n.spec.ID); {
		case st.gate == GateAborted, st.gate == GateExpired:
			return st.turn(), nil
		case st.gate == GateOpen && st.late():
			err := s.decide(n, st, GateExpired, Answer{})
			if t := (*turnError)(nil); errors.As(err, &t) {
				return t, nil
			}
			return nil, err
		}
	}
	return nil, nil
}

func (s *session) health(services []Dep) []Health {
	var all []Health
	for _, d := range services {
		h := Health{Service: d.id}
		if lv := s.live(d.id); lv != nil {
			h = lv.health(d.id)
		}
		all = append(all, h)
	}
	return all
}

// unhealthy says why the gate's services keep it from being passed; "" when they don't.
func (s *session) unhealthy(g *Gate) string {
	all := s.health(g.Healthy)
	i := slices.IndexFunc(all, func(h Health) bool { return !h.Up || h.Lag > g.MaxLag })
	switch {
	case i < 0:
		return ""
	case !all[i].Up:
		return fmt.Sprintf("%s is not up: %s", all[i].Service, all[i].Error)
	}
	return fmt.Sprintf("%s lags by %s, and may by %s", all[i].Service, all[i].Lag, g.MaxLag)
}
