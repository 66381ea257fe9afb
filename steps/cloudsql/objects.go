package cloudsql

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/go-multierror"

	"github.com/slipway-dev/slipway/internal/dbcopy/objects"
	"github.com/slipway-dev/slipway/internal/errlist"
	"github.com/slipway-dev/slipway/migrate"
)

// ObjectsLook looks at triggers and events on both sides: *switchover.Pair has more.
type ObjectsLook interface {
	// Name is what messages call the target.
	Name() string
	// Objects reads the source's: of both masters, where there are two.
	Objects(ctx context.Context) (objects.Set, error)
	// LookObjects says which of them are at the target.
	LookObjects(ctx context.Context, set objects.Set) (objects.State, error)
}

// ObjectsAct makes them at the target.
type ObjectsAct interface {
	ObjectsLook
	// MakeObjects makes those that are missing, events disabled; cut short, it is called again.
	MakeObjects(ctx context.Context, set objects.Set, tell func(string)) error
	// DropObjects drops those that are the set's; those that are gone are no error.
	DropObjects(ctx context.Context, set objects.Set) error
	// WakeEvents enables the events that are enabled at the source. SleepEvents disables them, and waits until none runs any more.
	WakeEvents(ctx context.Context, set objects.Set) error
	SleepEvents(ctx context.Context, set objects.Set) error
}

type onlyObjectsLook struct{ ObjectsLook }

// OnlyObjects closes a looker that can do more.
func OnlyObjects(l ObjectsLook) ObjectsLook { return onlyObjectsLook{l} }

// CheckObjects looks, while there is time, whether the triggers and events can be made at the switch.
type CheckObjects struct{}

// CheckedObjects is how many there are.
type CheckedObjects struct {
	Acting int `json:"acting"`
}

// Spec is the step's.
func (CheckObjects) Spec() migrate.Spec {
	return migrate.Spec{ID: "follow.objects", Version: 1, Title: "look whether triggers and events can be made at the switch"}
}

// Plan looks once a run: the switch looks for itself.
func (CheckObjects) Plan(_ context.Context, s *migrate.Scope[ObjectsLook], rec migrate.Recorded[CheckedObjects]) (migrate.Plan[CheckedObjects], error) {
	if rec.Complete {
		return migrate.Done(rec.Out), nil
	}
	return migrate.Plan[CheckedObjects]{Effects: []migrate.Effect{{Verb: "look", Object: "at the triggers and events of both sides"}}}, nil
}

// Run looks, and tells all that is wrong at once.
func (CheckObjects) Run(ctx context.Context, s *migrate.Scope[ObjectsLook], out CheckedObjects) (CheckedObjects, error) {
	set, err := s.C.Objects(ctx)
	if err != nil {
		return out, err
	}
	state, err := s.C.LookObjects(ctx, set)
	if err != nil {
		return out, err
	}
	acting := set.Of(objects.Acting)
	out.Acting = len(acting)
	var bad *multierror.Error
	if there := append(append([]string{}, state.There...), state.Other...); len(there) > 0 {
		bad = multierror.Append(bad, fmt.Errorf("%s has triggers or events already, and must not have any while it follows: %s; drop them there", s.C.Name(), strings.Join(there, ", ")))
	}
	if len(state.Differ) > 0 {
		bad = multierror.Append(bad, &objects.DifferentError{Differences: state.Differ})
	}
	var triggers, events bool
	for _, o := range acting {
		triggers, events = triggers || o.Kind == objects.Trigger, events || o.Kind == objects.Event && o.Runs.State == "ENABLED"
	}
	if triggers && !state.Trusts {
		bad = multierror.Append(bad, fmt.Errorf("%s doesn't let its account make triggers: set the flag log_bin_trust_function_creators=on there", s.C.Name()))
	}
	if events && state.Scheduler != "ON" {
		bad = multierror.Append(bad, fmt.Errorf("%s runs no events: set the flag event_scheduler=on there, or disable the source's", s.C.Name()))
	}
	return out, errlist.OrNil(bad)
}

// Verify has nothing to look at: it said what was so when it looked.
func (CheckObjects) Verify(context.Context, *migrate.Scope[ObjectsLook], CheckedObjects) error {
	return nil
}

// Undo has nothing to take back.
func (CheckObjects) Undo(context.Context, *migrate.Scope[ObjectsLook], migrate.Recorded[CheckedObjects]) error {
	return nil
}

// ReadObjects reads the source's triggers and events before they are taken away there. It only looks.
type ReadObjects struct{}

// Spec is the step's.
func (ReadObjects) Spec() migrate.Spec {
	return migrate.Spec{ID: "switch.read-objects", Version: 1, Title: "read the source's triggers and events"}
}

// Plan takes what was read for true: since then they were taken away at the source.
func (ReadObjects) Plan(_ context.Context, s *migrate.Scope[ObjectsLook], rec migrate.Recorded[objects.Set]) (migrate.Plan[objects.Set], error) {
	if rec.Complete {
		return migrate.Done(rec.Out), nil
	}
	return migrate.Plan[objects.Set]{Effects: []migrate.Effect{{Verb: "read", Object: "triggers and events", Detail: "at the source"}}}, nil
}

// Run reads them.
func (ReadObjects) Run(ctx context.Context, s *migrate.Scope[ObjectsLook], _ objects.Set) (objects.Set, error) {
	return s.C.Objects(ctx)
}

// Verify has nothing to look at.
func (ReadObjects) Verify(context.Context, *migrate.Scope[ObjectsLook], objects.Set) error {
	return nil
}

// Undo has nothing to take back.
func (ReadObjects) Undo(context.Context, *migrate.Scope[ObjectsLook], migrate.Recorded[objects.Set]) error {
	return nil
}

// MakeObjects makes the source's triggers and events at the target, before its first write. Events are disabled until
// where its log stands is recorded.
type MakeObjects struct{ Read migrate.Ref[objects.Set] }

// MadeObjects are those that were made.
type MadeObjects struct {
	Objects []string `json:"objects"`
}

// Spec is the step's.
func (st MakeObjects) Spec() migrate.Spec {
	return migrate.Spec{ID: "switch.target-objects", Version: 1, Title: "make the triggers and events at the target", Needs: []migrate.Dep{st.Read.Dep()}}
}

// Plan lists those that are missing. What was found there was looked at before: CheckObjects refuses it.
func (st MakeObjects) Plan(ctx context.Context, s *migrate.Scope[ObjectsLook], rec migrate.Recorded[MadeObjects]) (migrate.Plan[MadeObjects], error) {
	var p migrate.Plan[MadeObjects]
	set, err := migrate.Value(s, st.Read)
	if err != nil {
		return p, migrate.Known(err)
	}
	state, err := s.C.LookObjects(ctx, set)
	if err != nil {
		return p, err
	}
	if len(state.Missing)+len(state.Altered()) == 0 && (rec.Complete || rec.Attempts == 0 && len(state.There)+len(state.Differ) == 0) {
		if rec.Complete {
			return migrate.Done(rec.Out), nil
		}
		return migrate.Done(MadeObjects{Objects: []string{}}), nil
	}
	p.Want.Objects = append(append([]string{}, state.There...), state.Missing...)
	for _, o := range state.Missing {
		p.Effects = append(p.Effects, migrate.Effect{Verb: "make", Object: o, Detail: "at " + s.C.Name()})
	}
	return p, nil
}

// Run makes them.
func (st MakeObjects) Run(ctx context.Context, s *migrate.Scope[ObjectsAct], want MadeObjects) (MadeObjects, error) {
	set, err := migrate.Value(s, st.Read)
	if err != nil {
		return want, err
	}
	return want, s.C.MakeObjects(ctx, set, func(what string) { s.Progress(migrate.Progress{What: what}) })
}

// Verify looks whether all are there, as they should be.
func (st MakeObjects) Verify(ctx context.Context, s *migrate.Scope[ObjectsLook], _ MadeObjects) error {
	set, err := migrate.Value(s, st.Read)
	if err != nil {
		return err
	}
	state, err := s.C.LookObjects(ctx, set)
	switch {
	case err != nil:
		return err
	case len(state.Altered()) > 0:
		return &objects.DifferentError{Differences: state.Altered()}
	case len(state.Missing) > 0:
		return fmt.Errorf("%s hasn't got: %s", s.C.Name(), strings.Join(state.Missing, ", "))
	}
	return nil
}

// Undo drops them: the target follows again, and the log has what they did already.
func (st MakeObjects) Undo(ctx context.Context, s *migrate.Scope[ObjectsAct], _ migrate.Recorded[MadeObjects]) error {
	set, err := migrate.Value(s, st.Read)
	if err != nil {
		return err
	}
	return s.C.DropObjects(ctx, set)
}

// WakeEvents lets the events act at the target. They write from then on, so where its log stood is recorded before.
type WakeEvents struct {
	Read migrate.Ref[objects.Set]
	Back []migrate.Dep // what carries the writes back
}

// Awake are the events that act.
type Awake struct {
	Events []string `json:"events"`
}

// Spec is the step's.
func (st WakeEvents) Spec() migrate.Spec {
	return migrate.Spec{ID: "switch.target-events", Version: 1, Title: "let the events act at the target", Needs: append([]migrate.Dep{st.Read.Dep()}, st.Back...), Feeds: st.Back}
}

// events are those of a set that are enabled at the source.
func events(set objects.Set) (out []string) {
	for _, o := range set.Of(objects.Timed) {
		if o.Runs.State == "ENABLED" {
			out = append(out, o.String())
		}
	}
	return out
}

// awake are those that act at the target.
func awake(ctx context.Context, l ObjectsLook, set objects.Set) (out []string, err error) {
	state, err := l.LookObjects(ctx, set)
	for _, e := range events(set) {
		if slices.Contains(state.There, e) {
			out = append(out, e)
		}
	}
	return out, err
}

// Plan lists those that are asleep. Events whose time has passed are on no server any more.
func (st WakeEvents) Plan(ctx context.Context, s *migrate.Scope[ObjectsLook], rec migrate.Recorded[Awake]) (migrate.Plan[Awake], error) {
	var p migrate.Plan[Awake]
	set, err := migrate.Value(s, st.Read)
	if err != nil {
		return p, migrate.Known(err)
	}
	if rec.Complete || len(events(set)) == 0 { // what a person disables at the target later is his affair
		return migrate.Done(Awake{Events: append([]string{}, rec.Out.Events...)}), nil
	}
	act, err := awake(ctx, s.C, set)
	if err != nil {
		return p, err
	}
	p.Want.Events = events(set)
	for _, e := range p.Want.Events {
		if !slices.Contains(act, e) {
			p.Effects = append(p.Effects, migrate.Effect{Verb: "enable", Object: e, Detail: "at " + s.C.Name()})
		}
	}
	return p, nil
}

// Run wakes them.
func (st WakeEvents) Run(ctx context.Context, s *migrate.Scope[ObjectsAct], want Awake) (Awake, error) {
	set, err := migrate.Value(s, st.Read)
	if err != nil {
		return want, err
	}
	return want, s.C.WakeEvents(ctx, set)
}

// Verify looks whether any is asleep.
func (st WakeEvents) Verify(ctx context.Context, s *migrate.Scope[ObjectsLook], out Awake) error {
	set, err := migrate.Value(s, st.Read)
	if err != nil {
		return err
	}
	state, err := s.C.LookObjects(ctx, set)
	if err != nil {
		return err
	}
	for _, e := range out.Events {
		if !slices.Contains(state.There, e) && !slices.Contains(state.Over, e) {
			return fmt.Errorf("%s isn't enabled at %s", e, s.C.Name())
		}
	}
	return nil
}

// Undo puts them to sleep, before the way back is drained: shutting the target doesn't stop them.
func (st WakeEvents) Undo(ctx context.Context, s *migrate.Scope[ObjectsAct], _ migrate.Recorded[Awake]) error {
	set, err := migrate.Value(s, st.Read)
	if err != nil {
		return err
	}
	return s.C.SleepEvents(ctx, set)
}
