package migrate

import "time"

// phaseState times a phase, or a leg of the way back.
type phaseState struct {
	name  string
	back  bool
	steps int
	left  int
	since time.Time // zero while no process is at it
	took  time.Duration
	moved Tally // by its steps; none by a leg's

	window window // in which it must be over, while it is under way
	begun  int    // its steps that this run has begun and not undone
	over   bool   // all of it had finished, and nothing of it has been undone since
}

func (p *phaseState) resume(at time.Time) {
	if p.since.IsZero() {
		p.since = at
	}
}

func (p *phaseState) pause(at time.Time) {
	if !p.since.IsZero() {
		p.took += max(0, at.Sub(p.since))
		p.since = time.Time{}
	}
}

func (p *phaseState) tookBy(now time.Time) time.Duration {
	if p.since.IsZero() {
		return p.took
	}
	return p.took + max(0, now.Sub(p.since))
}

func (h *History) phaseNames() (names []string) {
	for _, p := range h.phases {
		names = append(names, p.name)
	}
	return names
}

// way is the phases, or the legs, in the order in which the run goes through them now.
func (h *History) way() []*phaseState {
	if h.Direction == Back {
		return h.legs
	}
	return h.phases
}

// startPhase starts the clock of the first phase or leg that isn't finished.
func (h *History) startPhase(f *folding, resumed bool) {
	for _, p := range h.way() {
		if p.left > 0 {
			p.resume(f.rec.Time)
			f.emit(PhaseStarted{f.when, p.name, p.back, resumed, p.left})
			return
		}
	}
}

// layLegs cuts what the turned run has to undo into its ending's legs; a leg with nothing to undo is left out.
func (h *History) layLegs() (legs []*phaseState) {
	names := h.phaseNames()
	for _, s := range h.order {
		s.leg = nil
	}
	for _, s := range h.above(h.Keeps) {
		name := h.Manifest.Ending.legOf(names, s.Phase)
		if len(legs) == 0 || legs[0].name != name {
			legs = append([]*phaseState{{name: name, back: true}}, legs...)
		}
		s.leg = legs[0]
		s.leg.steps++
		s.leg.left++
	}
	return legs
}

// count moves the clocks of phases and legs on after a record of one step; was says whether it had finished before.
func (h *History) count(f *folding, was bool) {
	s := f.s
	switch is := s.finished(); {
	case is && !was:
		if s.in.left--; s.in.left == 0 {
			h.shut(s.in)
		}
	case was && !is:
		s.in.left++
	}
	p := s.in
	if h.Direction == Back {
		if p = s.leg; p == nil || s.trace() {
			return
		}
		s.leg = nil
		p.left--
	} else if was || p.left > 0 {
		return
	}
	if p.left == 0 && !p.since.IsZero() {
		p.pause(f.rec.Time)
		f.emit(PhaseEnded{f.when, p.name, p.back, p.took, p.moved})
		h.startPhase(f, false)
	}
}
