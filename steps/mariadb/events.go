package mariadb

import (
	"context"
	"fmt"

	"github.com/slipway-dev/slipway/internal/dbcopy/freeze"
	"github.com/slipway-dev/slipway/migrate"
)

// EventsLook looks at the events that run at the masters: *freeze.Masters has more.
type EventsLook interface {
	// Names are what messages call them, in their order.
	Names() []string
	// Events are those that are enabled, by master.
	Events(ctx context.Context) ([][]freeze.Event, error)
}

// EventsAct disables them.
type EventsAct interface {
	EventsLook
	// DisableEvents disables them, each on its master alone; RestoreEvents enables those again. Both may be called any number of times.
	DisableEvents(ctx context.Context, es [][]freeze.Event) error
	RestoreEvents(ctx context.Context, es [][]freeze.Event) error
}

type onlyEvents struct{ EventsLook }

// OnlyEvents closes a looker that can do more.
func OnlyEvents(l EventsLook) EventsLook { return onlyEvents{l} }

// Events disables the source's events: one whose definer may write in spite of read_only writes on a frozen server.
type Events struct{ After []migrate.Dep }

// EventsOut are those that were disabled, by master.
type EventsOut struct {
	Events [][]freeze.Event `json:"events"`
}

// Spec is the step's.
func (st Events) Spec() migrate.Spec {
	return migrate.Spec{ID: "switch.source-events", Version: 1, Title: "disable the source's events", Needs: st.After}
}

// Plan lists them.
func (st Events) Plan(ctx context.Context, s *migrate.Scope[EventsLook], rec migrate.Recorded[EventsOut]) (migrate.Plan[EventsOut], error) {
	var p migrate.Plan[EventsOut]
	there, err := s.C.Events(ctx)
	if err != nil {
		return p, err
	}
	none := count(there) == 0
	switch {
	case none && rec.Complete:
		return migrate.Done(rec.Out), nil
	case none && rec.Attempts == 0:
		return migrate.Done(EventsOut{Events: [][]freeze.Event{}}), nil
	}
	p.Want = rec.Want
	if rec.Attempts == 0 {
		p.Want.Events = there
	}
	for i, es := range there {
		for _, e := range es {
			p.Effects = append(p.Effects, migrate.Effect{Verb: "disable", Object: "event " + e.Schema + "." + e.Name, Detail: "at " + s.C.Names()[i]})
		}
	}
	return p, nil
}

func count(es [][]freeze.Event) (n int) {
	for _, e := range es {
		n += len(e)
	}
	return n
}

// Run disables them.
func (st Events) Run(ctx context.Context, s *migrate.Scope[EventsAct], want EventsOut) (EventsOut, error) {
	return want, s.C.DisableEvents(ctx, want.Events)
}

// Verify looks whether any runs.
func (st Events) Verify(ctx context.Context, s *migrate.Scope[EventsLook], _ EventsOut) error {
	there, err := s.C.Events(ctx)
	if err == nil && count(there) > 0 {
		err = fmt.Errorf("%d events are enabled at %v", count(there), s.C.Names())
	}
	return err
}

// Undo enables them again.
func (st Events) Undo(ctx context.Context, s *migrate.Scope[EventsAct], rec migrate.Recorded[EventsOut]) error {
	return s.C.RestoreEvents(ctx, rec.Want.Events)
}
