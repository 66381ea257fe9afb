package mariadb

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy/freeze"
	"github.com/slipway-dev/slipway/migrate"
)

// TimersLook looks at the masters' timers: *freeze.Masters has more.
type TimersLook interface {
	// Names are what messages call the masters, in their order.
	Names() []string
	// Look says who may write, of each.
	Look(ctx context.Context) ([]freeze.State, error)
	// Triggers are those of the first.
	Triggers(ctx context.Context, schemas []string) ([]freeze.Trigger, error)
	// Timers are how each stands with timers.
	Timers(ctx context.Context) ([]freeze.TimerState, error)
}

// TimersAct arms and disarms them. Each of these may be called any number of times.
type TimersAct interface {
	TimersLook
	Arm(ctx context.Context, ts []freeze.Timer) error
	// Disarm is sure that none has fired or will: freeze.ErrFired.
	Disarm(ctx context.Context, ts []freeze.Timer) error
	DropTimers(ctx context.Context, ts []freeze.Timer) error
}

type onlyTimers struct{ TimersLook }

// OnlyTimers closes a looker that can do more.
func OnlyTimers(l TimersLook) TimersLook { return onlyTimers{l} }

// Arm arms a timer on each master before it is frozen: should nobody come to take the freeze back, the master does it by itself, and
// the shop sells.
type Arm struct {
	Schemas []string
	After   time.Duration // by when a switch that nobody carries on has been given up
	Events  migrate.Ref[EventsOut]
}

// Armed are the timers, by master.
type Armed struct {
	Timers []freeze.Timer `json:"timers"`
}

// Spec is the step's.
func (st Arm) Spec() migrate.Spec {
	return migrate.Spec{ID: "switch.arm", Version: 1, Title: "arm the timers that thaw the source should nobody come back", Needs: []migrate.Dep{st.Events.Dep()}}
}

// Plan says what they would do. What was armed is left as it is: its time counts from then.
func (st Arm) Plan(ctx context.Context, s *migrate.Scope[TimersLook], rec migrate.Recorded[Armed]) (migrate.Plan[Armed], error) {
	p := migrate.Plan[Armed]{Want: rec.Want}
	if rec.Complete {
		return migrate.Done(rec.Out), nil
	}
	if rec.Attempts == 0 {
		disabled, err := migrate.Value(s, st.Events)
		if err := migrate.Known(err); err != nil {
			return p, err
		}
		if p.Want, err = st.timers(ctx, s, disabled.Events); err != nil {
			return p, err
		}
	}
	for _, name := range s.C.Names() {
		p.Effects = append(p.Effects, migrate.Effect{Verb: "arm", Object: "a timer at " + name, Detail: fmt.Sprintf("it thaws the server %s later, if nobody disarms it", st.After)})
	}
	return p, nil
}

func (st Arm) timers(ctx context.Context, s *migrate.Scope[TimersLook], events [][]freeze.Event) (a Armed, err error) {
	states, err := s.C.Look(ctx)
	if err != nil {
		return a, err
	}
	timers, err := s.C.Timers(ctx)
	if err != nil {
		return a, err
	}
	triggers, err := s.C.Triggers(ctx, st.Schemas)
	if err != nil {
		return a, err
	}
	for i, x := range states {
		t := freeze.Timer{Run: s.Run(), After: st.After, Want: x.Want(), SchedulerOff: timers[i].Off}
		if i == 0 {
			t.Triggers = triggers
		}
		if i < len(events) {
			t.Events = events[i]
		}
		a.Timers = append(a.Timers, t)
	}
	return a, nil
}

// Run arms them.
func (st Arm) Run(ctx context.Context, s *migrate.Scope[TimersAct], want Armed) (Armed, error) {
	return want, s.C.Arm(ctx, want.Timers)
}

// Verify looks whether each waits.
func (st Arm) Verify(ctx context.Context, s *migrate.Scope[TimersLook], _ Armed) error {
	timers, err := s.C.Timers(ctx)
	if err != nil {
		return err
	}
	for i, t := range timers {
		if t.Run != s.Run() || !t.Waits || t.Off {
			return fmt.Errorf("%s has no timer of this run that waits: %+v", s.C.Names()[i], t)
		}
	}
	return nil
}

// Undo takes them away.
func (st Arm) Undo(ctx context.Context, s *migrate.Scope[TimersAct], rec migrate.Recorded[Armed]) error {
	return s.C.DropTimers(ctx, rec.Want.Timers)
}

// Disarm takes the timers away before anything may write to the target: from there on the source must not be written to.
type Disarm struct{ Armed migrate.Ref[Armed] }

// Spec is the step's.
func (st Disarm) Spec() migrate.Spec {
	return migrate.Spec{ID: "switch.disarm", Version: 1, Title: "disarm the timers that would thaw the source", Needs: []migrate.Dep{st.Armed.Dep()}}
}

// Plan does it once: what is disarmed stays so, and whether the source is frozen the freeze looks at.
func (st Disarm) Plan(_ context.Context, s *migrate.Scope[TimersLook], rec migrate.Recorded[Armed]) (migrate.Plan[Armed], error) {
	if rec.Complete {
		return migrate.Done(rec.Out), nil
	}
	armed, err := migrate.Value(s, st.Armed)
	p := migrate.Plan[Armed]{Want: armed}
	for _, name := range s.C.Names() {
		p.Effects = append(p.Effects, migrate.Effect{Verb: "disarm", Object: "the timer at " + name})
	}
	return p, migrate.Known(err)
}

// Run disarms them.
func (st Disarm) Run(ctx context.Context, s *migrate.Scope[TimersAct], want Armed) (Armed, error) {
	return want, s.C.Disarm(ctx, want.Timers)
}

// Verify looks whether any is left.
func (st Disarm) Verify(ctx context.Context, s *migrate.Scope[TimersLook], _ Armed) error {
	timers, err := s.C.Timers(ctx)
	if err == nil && slices.ContainsFunc(timers, func(t freeze.TimerState) bool { return t.Run == s.Run() }) {
		err = fmt.Errorf("a timer is left: %+v", timers)
	}
	return err
}

// Undo leaves them disarmed: who takes the switch back thaws the source himself.
func (st Disarm) Undo(context.Context, *migrate.Scope[TimersAct], migrate.Recorded[Armed]) error {
	return nil
}
