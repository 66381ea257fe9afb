package migrate

import (
	"fmt"
	"slices"
	"time"

	"github.com/slipway-dev/slipway/migrate/journal"
)

// Apply folds one record in, the next one of the journal, and returns the events that it is. It fails when the record
// can't be one of this run's, and with ErrNewer when it has a kind that this program doesn't know.
func (h *History) Apply(rec journal.Record) ([]Event, error) {
	if h.Records == 0 {
		h.Run, h.steps, h.Direction = rec.Run, map[StepID]*stepState{}, Forward
		if rec.Kind != journal.Opened {
			return nil, fmt.Errorf("%w: it begins with a record of kind %q", journal.ErrCorrupt, rec.Kind)
		}
	}
	if rec.Run != h.Run {
		return nil, fmt.Errorf("%w: it is of run %s, not of %s", journal.ErrCorrupt, rec.Run, h.Run)
	}
	s := h.steps[StepID(rec.Step)]
	if rec.Step != "" && s == nil {
		return nil, fmt.Errorf("%w: it is of step %s, which is not in the manifest", journal.ErrCorrupt, rec.Step)
	}
	f := folding{h: h, rec: rec, s: s, when: When{rec.Seq, rec.Time}}
	if err := f.apply(); err != nil {
		return nil, err
	}
	h.Records, h.LastRecord = rec.Seq, rec.Time
	return f.events, nil
}

// folding is the folding-in of one record.
type folding struct {
	h      *History
	rec    journal.Record
	s      *stepState
	when   When
	events []Event
}

func (f *folding) emit(e Event) { f.events = append(f.events, e) }

func (f *folding) apply() error {
	if f.s == nil {
		return f.ofRun()
	}
	was, had := f.s.finished(), f.s.intents > 0
	if err := f.ofStep(); err != nil {
		return err
	}
	if f.rec.Attempt > f.s.attempts {
		f.s.attempts = f.rec.Attempt
	}
	f.s.seq = f.rec.Seq
	f.s.in.recount(f.s, had)
	f.h.count(f, was)
	return nil
}

func (f *folding) ofRun() error {
	switch f.rec.Kind {
	case journal.Opened:
		return f.opened()
	case journal.Operator:
		return f.operator()
	case journal.Turned:
		return f.turned()
	case journal.Closed:
		return f.closed()
	}
	return f.unknown()
}

func (f *folding) unknown() error {
	return fmt.Errorf("%w: it has a record of kind %q", ErrNewer, f.rec.Kind)
}

func (f *folding) opened() error {
	d, err := decode[openedData](f.rec)
	if err != nil {
		return err
	}
	h := f.h
	if h.Records == 0 {
		if d.Manifest == nil {
			return fmt.Errorf("%w: the first record has no manifest", journal.ErrCorrupt)
		}
		if d.Manifest.Format > Format {
			return fmt.Errorf("%w: it has format %d, and this program reads up to %d", ErrNewer, d.Manifest.Format, Format)
		}
		h.Who, h.Started = f.rec.Who, f.rec.Time
		h.adopt(d.Manifest)
	}
	for _, s := range h.order {
		s.end(h.LastRecord) // what the process before was at, it was at until then at least
		if s.errDoing == Planning {
			s.fail("", "") // it is looked at afresh
		}
	}
	for _, p := range slices.Concat(h.phases, h.legs) {
		p.pause(h.LastRecord)
	}
	h.Lives, h.closed, h.todo, h.Ended = f.rec.Fence, "", nil, time.Time{}
	f.emit(RunOpened{f.when, h.Run, h.Manifest.Mode, h.Manifest.Tool, f.rec.Who, d.Host, h.Lives, h.phaseNames()})
	h.startPhase(f, h.Records > 0)
	return nil
}

// adopt takes a manifest as the run's: the first, or one that a person accepted.
func (h *History) adopt(m *Manifest) {
	h.Manifest = m
	was := h.phases
	h.order, h.phases = nil, nil
	for _, ms := range m.Steps {
		s := h.steps[ms.ID]
		if s == nil {
			s = &stepState{}
			h.steps[ms.ID] = s
		}
		s.ManifestStep = ms
		h.order = append(h.order, s)
		i := slices.IndexFunc(h.phases, func(p *phaseState) bool { return p.name == ms.Phase })
		if i < 0 {
			i = len(h.phases)
			p := &phaseState{name: ms.Phase}
			if old := slices.IndexFunc(was, func(p *phaseState) bool { return p.name == ms.Phase }); old >= 0 {
				p.took, p.since, p.over = was[old].took, was[old].since, was[old].over
			}
			h.phases = append(h.phases, p)
		}
		s.in = h.phases[i]
		s.in.rejoin(s)
		s.in.steps++
		s.in.moved = s.in.moved.Plus(s.moved)
		if !s.finished() {
			s.in.left++
		}
	}
	for _, p := range h.phases {
		p.over = p.over || p.left == 0
	}
}

func (f *folding) operator() error {
	d, err := decode[operatorData](f.rec)
	if err != nil {
		return err
	}
	who := d.Who
	if who == "" {
		who = f.rec.Who
	}
	f.emit(Decided{f.when, StepID(f.rec.Step), d.Decision, who, d.Why, d.Differs})
	switch {
	case d.Decision == AcceptManifest && d.Manifest != nil && f.s == nil:
		f.h.adopt(d.Manifest)
	case d.Decision == Accept && f.s != nil:
		f.s.accepted = d.Now
	case d.Decision == Redo && f.s != nil:
		f.s.stage, f.s.complete = stageFailed, false // want stays: its before-image is the true one
	case d.Decision == Waive && f.s != nil:
		f.s.reset(StepWaived)
	default:
		return fmt.Errorf("%w: it has an operator's decision %q", ErrNewer, d.Decision)
	}
	return nil
}

func (f *folding) turned() error {
	d, err := decode[turnedData](f.rec)
	if err != nil {
		return err
	}
	h := f.h
	h.Direction, h.Keeps, h.Why, h.end = d.Direction, d.Keeps, d.Why, d.End
	if d.Direction == Back { // a run that is open again has still done what it was asked
		h.TurnedBy = d.Request
	}
	h.closed, h.todo, h.Ended = "", nil, time.Time{} // a process that kept a run may turn it without opening it anew
	who := d.Who
	if who == "" {
		who = f.rec.Who
	}
	f.emit(RunTurned{f.when, d.Direction, d.Keeps, who, d.From, d.Why, d.End, d.Request})
	for _, p := range h.phases {
		p.pause(f.rec.Time)
	}
	if d.Direction == Back {
		h.legs = h.layLegs()
	}
	h.startPhase(f, false)
	return nil
}

func (f *folding) closed() error {
	d, err := decode[closedData](f.rec)
	if err != nil {
		return err
	}
	f.h.closed, f.h.todo, f.h.Ended = d.State, d.Todo, f.rec.Time
	for _, p := range slices.Concat(f.h.phases, f.h.legs) {
		p.pause(f.rec.Time)
	}
	f.emit(RunClosed{f.when, d.State, d.Why, d.Todo})
	return nil
}
