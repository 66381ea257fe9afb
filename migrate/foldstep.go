package migrate

import (
	"github.com/slipway-dev/slipway/migrate/journal"
)

func (f *folding) ofStep() error {
	switch f.rec.Kind {
	case journal.Intent:
		return f.intent()
	case journal.Done:
		return f.done()
	case journal.Verified:
		took := f.s.end(f.rec.Time)
		f.s.stage, f.s.err, f.s.errDoing = stageVerified, "", ""
		f.emit(StepVerified{f.when, f.s.ID, took})
	case journal.Failed:
		return f.failed()
	case journal.UndoIntent:
		f.s.end(f.rec.Time)
		f.s.stage = stageUndoing
		f.s.begin(Undoing, f.rec.Time)
		f.emit(UndoStarted{f.when, f.s.ID, f.s.Title})
	case journal.Undone:
		return f.wasUndone()
	case journal.UndoFailed:
		d, err := decode[undoFailedData](f.rec)
		if err != nil {
			return err
		}
		f.s.end(f.rec.Time)
		f.s.stage = stageUndoFailed
		f.s.fail(Undoing, d.Error)
		f.emit(UndoFailed{f.when, f.s.ID, d.Error})
	case journal.ServiceStarted:
		return f.serviceStarted()
	case journal.ServiceStopped:
		d, err := decode[serviceStoppedData](f.rec)
		if err != nil {
			return err
		}
		f.s.stopped, f.s.pos = true, d.Position
		f.emit(ServiceStopped{f.when, f.s.ID, d.Position, d.Dropped})
	case journal.Gate:
		return f.gate()
	case journal.Operator:
		return f.operator()
	default:
		return f.unknown()
	}
	return nil
}

func (f *folding) intent() error {
	d, err := decode[intentData](f.rec)
	if err != nil {
		return err
	}
	s := f.s
	if s.intents == 0 {
		s.want, s.effects = d.Want, d.Effects // the first: its before-image is the true one
	}
	s.stage, s.undone = stageIntent, ""
	s.intents++
	s.in.begins(s, f.rec.Time, d.Deadline)
	for _, id := range d.Feeds {
		if fed := f.h.steps[id]; fed != nil {
			fed.carries = true
		}
	}
	s.begin(Running, f.rec.Time)
	f.emit(StepStarted{f.when, s.ID, s.Phase, s.Title, f.rec.Attempt, d.Effects, d.Deadline})
	return nil
}

func (f *folding) done() error {
	d, err := decode[doneData](f.rec)
	if err != nil {
		return err
	}
	s := f.s
	took := s.end(f.rec.Time)
	s.stage, s.out, s.complete, s.undone = stageDone, d.Out, true, ""
	s.add(d.Moved)
	s.begin(Verifying, f.rec.Time)
	f.emit(StepDone{f.when, s.ID, s.Phase, s.Title, s.intents == 0, took, d.Moved})
	return nil
}

func (f *folding) failed() error {
	d, err := decode[failedData](f.rec)
	if err != nil {
		return err
	}
	s := f.s
	s.add(d.Moved)
	s.fail(d.Doing, d.Error)
	switch d.Doing {
	case Planning, Following: // it only looked; or the service is started again
	default:
		s.end(f.rec.Time)
		s.stage = stageFailed
	}
	f.emit(StepFailed{f.when, s.ID, d.Doing, d.Error})
	return nil
}

func (f *folding) wasUndone() error {
	d, err := decode[undoneData](f.rec)
	if err != nil {
		return err
	}
	took := f.s.end(f.rec.Time)
	how := StepIsUndone
	if d.Nothing {
		how = StepLeft
	}
	f.s.reset(how)
	f.emit(StepUndone{f.when, f.s.ID, d.Nothing, took})
	return nil
}

func (f *folding) serviceStarted() error {
	d, err := decode[serviceStartedData](f.rec)
	if err != nil {
		return err
	}
	s := f.s
	s.end(f.rec.Time)
	if s.stage != stageUndoing && s.stage != stageUndoFailed { // in mid-rollback it runs only to be drained
		s.stage, s.out, s.complete = stageVerified, d.Position, true
	}
	s.started, s.stopped, s.pos = true, false, d.Position
	s.err, s.errDoing = "", ""
	f.emit(ServiceStarted{f.when, s.ID, s.Title, d.Position})
	return nil
}

func (f *folding) gate() error {
	d, err := decode[gateData](f.rec)
	if err != nil {
		return err
	}
	s := f.s
	s.gate = d.Decision
	switch d.Decision {
	case GateOpen:
		s.stage, s.opened, s.deadline, s.undone = stageIntent, f.rec.Time, d.Deadline, ""
		s.opening, s.request = f.rec.Seq, ""
		f.emit(GateOpened{f.when, s.ID, s.Title, d.Deadline})
		return nil
	case GatePassed:
		s.stage, s.complete = stageVerified, true
		if s.out, err = compact(Passed{d.Who, f.rec.Time, d.Why}); err != nil {
			return err
		}
	case GateAborted, GateExpired:
		s.stage = stageFailed
	default:
		return f.unknown()
	}
	s.word, s.request = Passed{d.Who, f.rec.Time, d.Why}, d.Request
	f.emit(GateDecided{f.when, s.ID, d.Decision, d.Who, d.From, d.Why, d.Request})
	return nil
}
