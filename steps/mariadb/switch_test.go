package mariadb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/binlog"
	"github.com/slipway-dev/slipway/internal/dbcopy/freeze"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/steptest"
)

// fakeMasters are two masters, of which the second is read only before anything happens.
type fakeMasters struct {
	p        *steptest.Process
	readOnly [2]bool
	above    [2][]freeze.Account
	locked   [2][]freeze.Account
	triggers []freeze.Trigger
	prepared []string
	lacks    [][]string
	standing string
	events   [2][]freeze.Event
	timers   [2]freeze.TimerState
	reached  bool      // the masters' hosts are
	held     [2]string // the run whose file is on the host
}

func newMasters(p *steptest.Process) *fakeMasters {
	return &fakeMasters{p: p, readOnly: [2]bool{false, true}, above: [2][]freeze.Account{{{User: "boss", Host: "%"}}, nil},
		lacks: make([][]string, 2), triggers: []freeze.Trigger{{Schema: "shop", Name: "one", Create: "CREATE TRIGGER one"}, {Schema: "shop", Name: "two", Create: "CREATE TRIGGER two"}}}
}

func (f *fakeMasters) Names() []string { return []string{"db1", "db2"} }

func (f *fakeMasters) Look(context.Context) ([]freeze.State, error) {
	at, err := binlog.ParseMariaDB("1-1-5,2-2-7")
	var out []freeze.State
	for i := range f.readOnly {
		out = append(out, freeze.State{ReadOnly: f.readOnly[i], Above: slices.Clone(f.above[i]), Prepared: f.prepared, Logged: at})
	}
	return out, errors.Join(err, f.p.Look())
}

func (f *fakeMasters) Freeze(ctx context.Context, wants []freeze.Want, _ freeze.Options) (out []freeze.Stopped, at binlog.MariaDB, err error) {
	if len(f.prepared) > 0 {
		return nil, at, &freeze.PreparedError{Server: "db1", XIDs: f.prepared}
	}
	for i := range f.readOnly {
		if f.readOnly[i] && len(f.above[i]) == 0 {
			continue
		}
		all := func() error {
			f.readOnly[i], f.above[i], f.locked[i] = true, nil, append(f.locked[i], f.above[i]...)
			return nil
		}
		half := func() { f.above[i], f.locked[i] = nil, append(f.locked[i], f.above[i]...) }
		if err := f.p.Act("freeze "+f.Names()[i], half, all); err != nil {
			return nil, at, err
		}
	}
	states, err := f.Look(ctx)
	if err != nil {
		return nil, at, err
	}
	for _, s := range states {
		out = append(out, freeze.Stopped{At: s.Logged})
	}
	return out, states[0].Logged, nil
}

func (f *fakeMasters) Thaw(_ context.Context, wants []freeze.Want) error {
	for i, w := range wants {
		unlock := slices.ContainsFunc(w.Lock, func(a freeze.Account) bool { return slices.Contains(f.locked[i], a) })
		if !unlock && (w.WasReadOnly || !f.readOnly[i]) {
			continue
		}
		err := f.p.Act("thaw "+f.Names()[i], nil, func() error {
			f.above[i], f.locked[i] = append(f.above[i], f.locked[i]...), nil
			f.readOnly[i] = w.WasReadOnly
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *fakeMasters) Hosts() []string {
	if !f.reached {
		return nil
	}
	return f.Names()
}

func (f *fakeMasters) Held(_ context.Context, run string) (open []string, err error) {
	for i, name := range f.Hosts() {
		if f.held[i] != run {
			open = append(open, name)
		}
	}
	return open, f.p.Look()
}

func (f *fakeMasters) Hold(_ context.Context, run string) error {
	return f.hold(func(i int) error {
		if f.held[i] == run {
			return nil
		}
		if f.held[i] != "" {
			return errors.New("another run's file is there")
		}
		return f.p.Act("write on "+f.Names()[i], nil, func() error { f.held[i] = run; return nil })
	})
}

func (f *fakeMasters) Release(_ context.Context, run string) error {
	return f.hold(func(i int) error {
		if f.held[i] != run {
			return nil
		}
		return f.p.Act("remove from "+f.Names()[i], nil, func() error { f.held[i] = ""; return nil })
	})
}

func (f *fakeMasters) hold(do func(i int) error) (err error) {
	for i := range f.Hosts() {
		err = errors.Join(err, do(i))
	}
	return err
}

func (f *fakeMasters) Triggers(context.Context, []string) ([]freeze.Trigger, error) {
	return slices.Clone(f.triggers), f.p.Look()
}

func (f *fakeMasters) DropTriggers(_ context.Context, ts []freeze.Trigger) error {
	for _, t := range ts {
		if i := slices.Index(f.triggers, t); i >= 0 {
			if err := f.p.Act("drop "+t.Name, nil, func() error { f.triggers = slices.Delete(f.triggers, i, i+1); return nil }); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *fakeMasters) RestoreTriggers(_ context.Context, ts []freeze.Trigger) error {
	for _, t := range ts {
		if !slices.Contains(f.triggers, t) {
			if err := f.p.Act("make "+t.Name, nil, func() error { f.triggers = append(f.triggers, t); return nil }); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *fakeMasters) state() string {
	names := func(as []freeze.Account) string { return accounts(as) }
	var ts []string
	for _, t := range f.triggers {
		ts = append(ts, t.Name)
	}
	slices.Sort(ts)
	return fmt.Sprint(f.readOnly, f.held, names(f.above[0]), names(f.above[1]), names(f.locked[0]), ts)
}

func (f *fakeMasters) bind() (migrate.Eye[MastersLook], migrate.Hand[migrate.Rehearsal, MastersAct]) {
	return migrate.Look("masters", OnlyMasters(f)), migrate.Maker[migrate.Rehearsal]("masters", func(context.Context, migrate.Stamp) (MastersAct, error) { return f, nil })
}

func TestFreezeStep(t *testing.T) {
	for name, reached := range map[string]bool{"no host is reached": false, "hosts": true} {
		t.Run(name, func(t *testing.T) {
			c := steptest.Case{New: func(_ *testing.T, p *steptest.Process) steptest.World {
				f := newMasters(p)
				f.reached = reached
				return steptest.World{State: f.state,
					Add: func(rb *migrate.Runbook[migrate.Rehearsal]) {
						eye, hand := f.bind()
						migrate.Add(rb, Freeze{}, eye, hand)
					},
					Spoil: []steptest.Spoil{{Name: "a master is writable", Do: func() { f.readOnly[1] = false }},
						{Name: "somebody writes in spite of it", Do: func() { f.above[0] = []freeze.Account{{User: "new", Host: "%"}} }},
						{Name: "a transaction was prepared", Do: func() { f.prepared = []string{"x"} }}}}
			}}
			if reached {
				c.NotTwice = "a run stops where another's file is"
			}
			steptest.Run(t, c)
		})
	}
}

func TestTriggersStep(t *testing.T) {
	steptest.Run(t, steptest.Case{New: func(_ *testing.T, p *steptest.Process) steptest.World {
		f := newMasters(p)
		return steptest.World{State: f.state,
			Add: func(rb *migrate.Runbook[migrate.Rehearsal]) {
				eye, hand := f.bind()
				migrate.Add(rb, Triggers{Schemas: []string{"shop"}}, eye, hand)
			},
			Spoil: []steptest.Spoil{{Name: "a trigger is there", Do: func() { f.triggers = []freeze.Trigger{{Schema: "shop", Name: "new"}} }}}}
	}})
}

// What was frozen before by somebody else stays so, and who was locked stays locked: only what the step changed is undone.
func TestFreezePlans(t *testing.T) {
	f := newMasters(&steptest.Process{})
	rb := migrate.NewRunbook[migrate.Rehearsal]()
	rb.Phase("switch")
	eye, hand := f.bind()
	migrate.Add(rb, Freeze{}, eye, hand)
	out, err := rb.Plan(t.Context(), migrate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, p := range out.Phases {
		for _, s := range p.Steps {
			for _, e := range s.Effects {
				said = append(said, e.String())
			}
		}
	}
	if got, want := strings.Join(said, "\n"), "freeze db1: read_only; locked, because they write in spite of it: 'boss'@'%'\nfreeze db2: read_only"; got != want {
		t.Errorf("plan:\n%s\nwant:\n%s", got, want)
	}
}

func (f *fakeMasters) Lacks(context.Context) ([][]string, error) { return f.lacks, f.p.Look() }

func (f *fakeMasters) Standing(context.Context) ([]string, error) {
	return []string{"", f.standing}, f.p.Look()
}

func TestReadyStep(t *testing.T) {
	steptest.Run(t, steptest.Case{New: func(_ *testing.T, p *steptest.Process) steptest.World {
		f := newMasters(p)
		return steptest.World{State: f.state, Found: true, NoSpoil: "servers go on: it says what was so when it looked",
			Add: func(rb *migrate.Runbook[migrate.Rehearsal]) {
				eye := migrate.Look("masters", OnlyReady(f))
				migrate.Add(rb, Ready{Timer: true}, eye, migrate.NoHands[migrate.Rehearsal](eye))
			}}
	}})
}

// All that would keep the freeze from being done is told at once, with the remedies.
func TestReadyTellsAll(t *testing.T) {
	f := newMasters(&steptest.Process{})
	f.prepared, f.lacks, f.standing = []string{"x1"}, [][]string{nil, {"SUPER", "READ_ONLY ADMIN"}}, "Slave_SQL_Running is No: duplicate key"
	f.timers[0].Lacking = "no events"
	_, err := (Ready{Timer: true}).Run(t.Context(), &migrate.Scope[ReadyLook]{C: f}, ReadyOut{})
	for _, want := range []string{"db1 has prepared XA transactions", "db2: Slipway's account lacks privileges for the switch; grant it these ON *.*: SUPER, READ_ONLY ADMIN", "db2 doesn't apply what its master logs", "db1: no timer can be armed: no events; mend that, or switch without (--no-timer)"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: want %q in it", err, want)
		}
	}
}

func (f *fakeMasters) Events(context.Context) ([][]freeze.Event, error) {
	return [][]freeze.Event{slices.Clone(f.events[0]), slices.Clone(f.events[1])}, f.p.Look()
}

func (f *fakeMasters) change(es [][]freeze.Event, what string, needed func(there bool) bool, do func(i int, e freeze.Event)) error {
	for i := range es {
		for _, e := range es[i] {
			if needed(slices.Contains(f.events[i], e)) {
				if err := f.p.Act(what+" "+e.Name, nil, func() error { do(i, e); return nil }); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (f *fakeMasters) DisableEvents(_ context.Context, es [][]freeze.Event) error {
	return f.change(es, "disable", func(there bool) bool { return there }, func(i int, e freeze.Event) {
		f.events[i] = slices.DeleteFunc(f.events[i], func(x freeze.Event) bool { return x == e })
	})
}

func (f *fakeMasters) RestoreEvents(_ context.Context, es [][]freeze.Event) error {
	return f.change(es, "enable", func(there bool) bool { return !there }, func(i int, e freeze.Event) { f.events[i] = append(f.events[i], e) })
}

func TestEventsStep(t *testing.T) {
	steptest.Run(t, steptest.Case{New: func(_ *testing.T, p *steptest.Process) steptest.World {
		f := newMasters(p)
		f.events = [2][]freeze.Event{{{Schema: "shop", Name: "nightly"}, {Schema: "shop", Name: "hourly"}}, {{Schema: "other", Name: "weekly"}}}
		return steptest.World{
			State: func() string {
				var names []string
				for i, es := range f.events {
					for _, e := range es {
						names = append(names, fmt.Sprint(i, e.Name))
					}
				}
				slices.Sort(names)
				return fmt.Sprint(names)
			},
			Add: func(rb *migrate.Runbook[migrate.Rehearsal]) {
				migrate.Add(rb, Events{}, migrate.Look("masters", OnlyEvents(f)), migrate.Maker[migrate.Rehearsal]("masters", func(context.Context, migrate.Stamp) (EventsAct, error) { return f, nil }))
			},
			Spoil: []steptest.Spoil{{Name: "an event runs", Do: func() { f.events[1] = []freeze.Event{{Schema: "shop", Name: "new"}} }}}}
	}})
}

func (f *fakeMasters) Timers(context.Context) ([]freeze.TimerState, error) {
	return f.timers[:], f.p.Look()
}

func (f *fakeMasters) Arm(_ context.Context, ts []freeze.Timer) error {
	return f.time("arm ", ts, func(t freeze.Timer) freeze.TimerState { return freeze.TimerState{Run: t.Run, Waits: true} })
}

func (f *fakeMasters) Disarm(ctx context.Context, ts []freeze.Timer) error {
	for i := range ts {
		if f.timers[i].Run != "" && !f.timers[i].Waits || !f.readOnly[i] {
			return freeze.ErrFired
		}
	}
	return f.DropTimers(ctx, ts)
}

func (f *fakeMasters) DropTimers(_ context.Context, ts []freeze.Timer) error {
	return f.time("drop ", ts, func(t freeze.Timer) freeze.TimerState { return freeze.TimerState{Off: t.SchedulerOff} })
}

func (f *fakeMasters) time(verb string, ts []freeze.Timer, to func(freeze.Timer) freeze.TimerState) error {
	for i, t := range ts {
		if is := to(t); is != f.timers[i] {
			if err := f.p.Act(verb+f.Names()[i], nil, func() error { f.timers[i] = is; return nil }); err != nil {
				return err
			}
		}
	}
	return nil
}

func TestArmStep(t *testing.T) {
	steptest.Run(t, steptest.Case{NotTwice: "another run's timer is refused", New: func(_ *testing.T, p *steptest.Process) steptest.World {
		f := newMasters(p)
		f.timers = [2]freeze.TimerState{{Off: true}, {}}
		return steptest.World{State: func() string { return fmt.Sprint(f.timers, len(f.events[0])) },
			Add: func(rb *migrate.Runbook[migrate.Rehearsal]) {
				events := migrate.Add(rb, Events{}, migrate.Look("masters", OnlyEvents(f)), migrate.Maker[migrate.Rehearsal]("masters", func(context.Context, migrate.Stamp) (EventsAct, error) { return f, nil }))
				migrate.Add(rb, Arm{Schemas: []string{"shop"}, After: time.Minute, Events: events}, migrate.Look("masters", OnlyTimers(f)), migrate.Maker[migrate.Rehearsal]("masters", func(context.Context, migrate.Stamp) (TimersAct, error) { return f, nil }))
			},
			Spoil: []steptest.Spoil{{Name: "a timer has fired", Do: func() { f.timers[1].Waits = false }}, {Name: "one is another run's", Do: func() { f.timers[0].Run = "20261123-010203-0000" }},
				{Name: "the server runs no events", Do: func() { f.timers[0].Off = true }}}}
	}})
}
