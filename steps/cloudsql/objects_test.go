package cloudsql

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/dbcopy/objects"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/steptest"
)

// fakeObjects is a source with a trigger and an event, and what of them is at a target.
type fakeObjects struct {
	p         *steptest.Process
	set       objects.Set
	there     []string
	awake     []string // of the events
	other     []string
	trusts    bool
	scheduler string
	differs   []objects.Difference
}

func newObjects(p *steptest.Process) *fakeObjects {
	return &fakeObjects{p: p, trusts: true, scheduler: "ON", set: objects.Set{Schemas: []string{"shop"}, Objects: []objects.Object{
		{Schema: "shop", Kind: objects.Trigger, Name: "sell", Create: "CREATE TRIGGER sell", Fires: &objects.Fires{Table: "orders", When: "AFTER", On: "INSERT", Order: "1"}},
		{Schema: "shop", Kind: objects.Trigger, Name: "sold", Create: "CREATE TRIGGER sold", Fires: &objects.Fires{Table: "orders", When: "AFTER", On: "INSERT", Order: "2"}},
		{Schema: "shop", Kind: objects.Event, Name: "nightly", Create: "CREATE EVENT nightly", Runs: &objects.Runs{State: "ENABLED"}}}}}
}

func (f *fakeObjects) Name() string { return "instance shop-1" }

func (f *fakeObjects) Objects(context.Context) (objects.Set, error) { return f.set, f.p.Look() }

func (f *fakeObjects) LookObjects(_ context.Context, set objects.Set) (objects.State, error) {
	st := objects.State{Scheduler: f.scheduler, Trusts: f.trusts, Other: f.other, Differ: f.differs}
	for _, o := range set.Of(objects.Acting) {
		if slices.Contains(f.there, o.String()) {
			if o.Kind == objects.Trigger || slices.Contains(f.awake, o.String()) {
				st.There = append(st.There, o.String())
			}
		} else {
			st.Missing = append(st.Missing, o.String())
		}
	}
	return st, f.p.Look()
}

func (f *fakeObjects) MakeObjects(_ context.Context, set objects.Set, _ func(string)) error {
	for _, o := range set.Of(objects.Acting) {
		if !slices.Contains(f.there, o.String()) {
			if err := f.p.Act("make "+o.Name, nil, func() error { f.there = append(f.there, o.String()); return nil }); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *fakeObjects) DropObjects(_ context.Context, set objects.Set) error {
	for _, o := range set.Of(objects.Acting) {
		if slices.Contains(f.there, o.String()) {
			err := f.p.Act("drop "+o.Name, nil, func() error {
				f.there = slices.DeleteFunc(f.there, func(s string) bool { return s == o.String() })
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *fakeObjects) WakeEvents(context.Context, objects.Set) error {
	if len(f.awake) > 0 {
		return f.p.Look()
	}
	return f.p.Act("wake nightly", nil, func() error { f.awake = []string{"event shop.nightly"}; return nil })
}

func (f *fakeObjects) SleepEvents(context.Context, objects.Set) error {
	if len(f.awake) == 0 {
		return f.p.Look()
	}
	return f.p.Act("sleep nightly", nil, func() error { f.awake = nil; return nil })
}

func (f *fakeObjects) state() string {
	return fmt.Sprint(slices.Sorted(slices.Values(f.there)), f.awake)
}

func (f *fakeObjects) eye() migrate.Eye[ObjectsLook] { return migrate.Look("target", OnlyObjects(f)) }

func TestMakeObjectsStep(t *testing.T) {
	steptest.Run(t, steptest.Case{NotTwice: "while the target follows it must have none: the check before refuses a second run", New: func(_ *testing.T, p *steptest.Process) steptest.World {
		f := newObjects(p)
		return steptest.World{State: f.state,
			Add: func(rb *migrate.Runbook[migrate.Rehearsal]) {
				hand := migrate.Maker[migrate.Rehearsal]("target", func(context.Context, migrate.Stamp) (ObjectsAct, error) { return f, nil })
				migrate.Add(rb, MakeObjects{Read: steptest.Given(rb, "switch.read-objects", f.set)}, f.eye(), hand)
			},
			Spoil: []steptest.Spoil{{Name: "one is gone", Do: func() { f.there = f.there[:1] }}, {Name: "one was changed", Do: func() { f.differs = []objects.Difference{{Object: "trigger shop.sell"}} }}}}
	}})
}

func TestWakeEventsStep(t *testing.T) {
	steptest.Run(t, steptest.Case{NotTwice: "what is awake before the switch is refused by the check", New: func(_ *testing.T, p *steptest.Process) steptest.World {
		f := newObjects(p)
		for _, o := range f.set.Objects {
			f.there = append(f.there, o.String())
		}
		return steptest.World{State: f.state,
			Add: func(rb *migrate.Runbook[migrate.Rehearsal]) {
				hand := migrate.Maker[migrate.Rehearsal]("target", func(context.Context, migrate.Stamp) (ObjectsAct, error) { return f, nil })
				migrate.Add(rb, WakeEvents{Read: steptest.Given(rb, "switch.read-objects", f.set)}, f.eye(), hand)
			},
			Spoil: []steptest.Spoil{{Name: "asleep again", Do: func() { f.awake = nil }}}}
	}})
}

func TestLooksAtObjects(t *testing.T) {
	for _, add := range []func(*migrate.Runbook[migrate.Rehearsal], migrate.Eye[ObjectsLook]){
		func(rb *migrate.Runbook[migrate.Rehearsal], eye migrate.Eye[ObjectsLook]) {
			migrate.Add(rb, CheckObjects{}, eye, migrate.NoHands[migrate.Rehearsal](eye))
		},
		func(rb *migrate.Runbook[migrate.Rehearsal], eye migrate.Eye[ObjectsLook]) {
			migrate.Add(rb, ReadObjects{}, eye, migrate.NoHands[migrate.Rehearsal](eye))
		},
	} {
		steptest.Run(t, steptest.Case{New: func(_ *testing.T, p *steptest.Process) steptest.World {
			f := newObjects(p)
			return steptest.World{State: f.state, Found: true, NoSpoil: "it says what was so when it looked", Add: func(rb *migrate.Runbook[migrate.Rehearsal]) { add(rb, f.eye()) }}
		}})
	}
}

// All that would keep the triggers and events from being made on the night is told at once, with the remedies.
func TestCheckObjectsTellsAll(t *testing.T) {
	f := newObjects(&steptest.Process{})
	f.trusts, f.scheduler, f.other = false, "OFF", []string{"trigger shop.made_by_hand"}
	_, err := (CheckObjects{}).Run(t.Context(), &migrate.Scope[ObjectsLook]{C: f}, CheckedObjects{})
	for _, want := range []string{"shop.made_by_hand; drop them there", "log_bin_trust_function_creators=on", "event_scheduler=on"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: want %q in it", err, want)
		}
	}
}
