package runbooks_test

import (
	"context"
	"slices"

	"github.com/slipway-dev/slipway/internal/dbcopy/freeze"
	"github.com/slipway-dev/slipway/internal/dbcopy/objects"
)

func (m bothMasters) Events(context.Context) ([][]freeze.Event, error) {
	return see(m.w, false, func() [][]freeze.Event {
		return [][]freeze.Event{slices.Clone(m.w.events[db1]), slices.Clone(m.w.events[db2])}
	})
}

func (m bothMasters) DisableEvents(_ context.Context, es [][]freeze.Event) error {
	return m.turn(es, "disable event ", func(i int, e freeze.Event) {
		m.w.events[i] = slices.DeleteFunc(m.w.events[i], func(x freeze.Event) bool { return x == e })
	})
}

func (m bothMasters) RestoreEvents(_ context.Context, es [][]freeze.Event) error {
	return m.turn(es, "enable event ", func(i int, e freeze.Event) {
		if !slices.Contains(m.w.events[i], e) {
			m.w.events[i] = append(m.w.events[i], e)
		}
	})
}

func (m bothMasters) turn(es [][]freeze.Event, what string, do func(int, freeze.Event)) error {
	for i := range es {
		for _, e := range es[i] {
			if err := m.w.act(what+e.Name+" at "+m.Names()[i], nil, func() { do(i, e) }); err != nil {
				return err
			}
		}
	}
	return nil
}

// Objects are those that the source has, whether or not its events are enabled and its triggers dropped by now.
func (p bothSides) Objects(context.Context) (objects.Set, error) {
	return see(p.w, false, func() objects.Set {
		set := objects.Set{Schemas: []string{"shop"}}
		for _, t := range p.w.triggers {
			set.Objects = append(set.Objects, objects.Object{Schema: t.Schema, Kind: objects.Trigger, Name: t.Name, Create: t.Create})
		}
		if len(p.w.triggers) != len(allTriggers) {
			p.w.wrong("the source's objects are read when it has %d triggers", len(p.w.triggers))
		}
		state := "DISABLED"
		if slices.Contains(p.w.events[db1], nightly) {
			state = "ENABLED"
		}
		set.Objects = append(set.Objects, objects.Object{Schema: "shop", Kind: objects.Event, Name: nightly.Name, Runs: &objects.Runs{State: state}})
		return set
	})
}

func (p bothSides) LookObjects(_ context.Context, set objects.Set) (objects.State, error) {
	return see(p.w, false, func() objects.State {
		st := objects.State{Scheduler: "ON", Trusts: true}
		for _, o := range set.Of(objects.Acting) {
			switch there := slices.Contains(p.w.made, o.String()); {
			case there && (o.Kind == objects.Trigger || p.w.awake):
				st.There = append(st.There, o.String())
			case !there:
				st.Missing = append(st.Missing, o.String())
			}
		}
		return st
	})
}

func (p bothSides) MakeObjects(_ context.Context, set objects.Set, _ func(string)) error {
	for _, o := range set.Of(objects.Acting) {
		err := p.w.act("make "+o.String()+" at the target", nil, func() {
			if !slices.Contains(p.w.made, o.String()) {
				p.w.made = append(p.w.made, o.String())
				p.w.target.commit(logged{})
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (p bothSides) DropObjects(_ context.Context, set objects.Set) error {
	for _, o := range set.Of(objects.Acting) {
		err := p.w.act("drop "+o.String()+" at the target", nil, func() {
			if i := slices.Index(p.w.made, o.String()); i >= 0 {
				p.w.made = slices.Delete(p.w.made, i, i+1)
				p.w.target.commit(logged{})
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (p bothSides) WakeEvents(_ context.Context, set objects.Set) error {
	return p.w.act("wake events at the target", nil, func() { p.w.awake = len(set.Of(objects.Timed)) > 0 })
}

func (p bothSides) SleepEvents(context.Context, objects.Set) error {
	return p.w.act("put events to sleep at the target", nil, func() { p.w.awake = false })
}
