package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	. "github.com/slipway-dev/slipway/migrate"
)

type clusterStep struct{}
type clusterOut struct{ Name string }

func (clusterStep) Spec() Spec { return Spec{ID: "standup.cluster", OnUndoFailure: GoOn} }
func (clusterStep) Plan(_ context.Context, s *Scope[cloudLook], _ Recorded[clusterOut]) (Plan[clusterOut], error) {
	o := clusterOut{s.Key()}
	if ok, err := s.C.Find(o.Name); err != nil || ok {
		return Done(o), err
	}
	return Plan[clusterOut]{Want: o, Effects: []Effect{{Verb: "create", Object: "cluster " + o.Name}}}, nil
}
func (clusterStep) Run(_ context.Context, s *Scope[cloudMake], want clusterOut) (clusterOut, error) {
	return want, s.C.Create(want.Name)
}
func (clusterStep) Verify(_ context.Context, s *Scope[cloudLook], o clusterOut) error {
	if ok, err := s.C.Find(o.Name); err != nil || !ok {
		return errors.Join(err, errors.New("there is no such cluster"))
	}
	return nil
}
func (clusterStep) Undo(_ context.Context, s *Scope[cloudMake], rec Recorded[clusterOut]) error {
	if ok, err := s.C.Find(rec.Want.Name); err != nil || !ok {
		return err
	}
	return s.C.Delete(rec.Want.Name)
}

// snapshot saves an artifact, or finds an earlier run's.
type snapshot struct{ id string }
type snapshotOut struct {
	ID  string
	Pos int
}
type snapshotC struct {
	Src   sourceLook
	Store storeLook
}
type snapshotA struct {
	Src   sourceLook
	Store storeAct
}

func (st snapshot) Spec() Spec { return Spec{ID: "copy.snapshot"} }
func (st snapshot) Plan(_ context.Context, s *Scope[snapshotC], _ Recorded[snapshotOut]) (Plan[snapshotOut], error) {
	id := st.id
	if id == "" {
		id = s.Key()
	}
	if a, ok, err := s.C.Store.Has(id); err != nil || ok {
		return Done(snapshotOut{id, a.pos}), err
	}
	if st.id != "" {
		return Plan[snapshotOut]{}, errors.New("no such snapshot: " + id)
	}
	return Plan[snapshotOut]{Want: snapshotOut{ID: id}, Effects: []Effect{{Verb: "save", Object: "snapshot " + id}}}, nil
}
func (snapshot) Run(_ context.Context, s *Scope[snapshotA], want snapshotOut) (snapshotOut, error) {
	a, err := s.C.Src.Rows()
	if err != nil {
		return want, err
	}
	want.Pos = a.pos
	s.Moved(Tally{Rows: int64(len(a.rows))})
	return want, s.C.Store.Save(want.ID, a)
}
func (snapshot) Verify(context.Context, *Scope[snapshotC], snapshotOut) error         { return nil }
func (snapshot) Undo(context.Context, *Scope[snapshotA], Recorded[snapshotOut]) error { return nil } // an artifact outlives its run

type load struct{ snap Ref[snapshotOut] }
type loadOut struct{ Pos, Rows int }
type loadC[T any] struct {
	Store storeLook
	To    T
}

func (st load) Spec() Spec {
	return Spec{ID: "copy.load", Needs: []Dep{st.snap.Dep()}, OnUndoFailure: GoOn}
}
func (st load) Plan(_ context.Context, s *Scope[loadC[targetLook]], _ Recorded[loadOut]) (Plan[loadOut], error) {
	snap, err := Value(s, st.snap)
	if err != nil {
		return Plan[loadOut]{}, err
	}
	a, _, err := s.C.Store.Has(snap.ID)
	if err != nil {
		return Plan[loadOut]{}, err
	}
	at, err := s.C.To.Applied()
	o := loadOut{snap.Pos, len(a.rows)}
	if err == nil && at >= snap.Pos {
		return Done(o), nil
	}
	return Plan[loadOut]{Want: o, Effects: []Effect{{Verb: "load", Object: fmt.Sprint(o.Rows, " rows")}}}, err
}
func (st load) Run(_ context.Context, s *Scope[loadC[targetAct]], want loadOut) (loadOut, error) {
	snap, err := Value(s, st.snap)
	if err != nil {
		return want, err
	}
	a, _, err := s.C.Store.Has(snap.ID)
	if err != nil {
		return want, err
	}
	have, err := s.C.To.Rows()
	if err != nil {
		return want, err
	}
	for i, key := range slices.Sorted(maps.Keys(a.rows)) {
		s.Progress(Progress{What: "load", Done: int64(i), Total: int64(len(a.rows)), Unit: "rows"})
		if have.rows[key] == 0 {
			if err := s.C.To.Put(key); err != nil {
				return want, err
			}
			s.Moved(Tally{Rows: 1})
		}
	}
	return want, s.C.To.At(snap.Pos)
}
func (load) Verify(_ context.Context, s *Scope[loadC[targetLook]], o loadOut) error {
	have, err := s.C.To.Rows()
	if err == nil && len(have.rows) != o.Rows {
		err = fmt.Errorf("%d rows, not %d", len(have.rows), o.Rows)
	}
	return err
}
func (load) Undo(_ context.Context, s *Scope[loadC[targetAct]], _ Recorded[loadOut]) error {
	if have, err := s.C.To.Rows(); err != nil || len(have.rows) == 0 {
		return err
	}
	return s.C.To.Clear()
}

// files puts three files where one may be there before; its effect can be torn.
type files struct{}
type filesOut struct{ Before []string }

var fourFiles = []string{"0", "1", "2", "3"}

func (files) Spec() Spec { return Spec{ID: "copy.files", OnUndoFailure: GoOn} }
func (files) Plan(_ context.Context, s *Scope[targetLook], rec Recorded[filesOut]) (Plan[filesOut], error) {
	there, err := s.C.FileNames()
	p := Plan[filesOut]{Want: rec.Want}
	if rec.Attempts == 0 {
		p.Want.Before = slices.Sorted(maps.Keys(there))
	}
	for _, name := range fourFiles {
		if there[name] == "" || there[name] == "half" {
			p.Effects = append(p.Effects, Effect{Verb: "put", Object: "file " + name})
		}
	}
	if len(p.Effects) == 0 {
		p.Done = &p.Want
		if rec.Complete {
			p.Done = &rec.Out
		}
	}
	return p, err
}
func (files) Run(_ context.Context, s *Scope[targetAct], want filesOut) (filesOut, error) {
	there, err := s.C.FileNames()
	if err != nil {
		return want, err
	}
	for _, name := range fourFiles {
		if there[name] == "" || there[name] == "half" {
			if err := s.C.PutFile(name); err != nil {
				return want, err
			}
			s.Moved(Tally{Files: 1, Bytes: 4})
		}
	}
	return want, nil
}
func (files) Verify(context.Context, *Scope[targetLook], filesOut) error { return nil }
func (files) Undo(_ context.Context, s *Scope[targetAct], rec Recorded[filesOut]) error {
	there, err := s.C.FileNames()
	for _, name := range fourFiles {
		if there[name] != "" && !slices.Contains(rec.Want.Before, name) {
			err = errors.Join(err, s.C.DropFile(name))
		}
	}
	return err
}

// ---- cut over ----

type freezeC[T any] struct {
	Tip  sourceLook // always the real one
	Hand T          // the real one, or the shadow
}
type freeze struct{}
type freezeOut struct {
	Was bool
	Pos int
}

func (freeze) Spec() Spec { return Spec{ID: "cut.freeze"} }
func (freeze) Plan(_ context.Context, s *Scope[freezeC[sourceLook]], rec Recorded[freezeOut]) (Plan[freezeOut], error) {
	frozen, err := s.C.Hand.Frozen()
	if err != nil {
		return Plan[freezeOut]{}, err
	}
	switch {
	case frozen && rec.Complete:
		return Done(rec.Out), nil
	case frozen:
		pos, err := s.C.Tip.Tip()
		return Done(freezeOut{rec.Attempts == 0 || rec.Want.Was, pos}), err
	}
	return Plan[freezeOut]{Want: freezeOut{Was: frozen}, Effects: []Effect{{Verb: "freeze", Object: "source"}}}, nil
}
func (freeze) Run(_ context.Context, s *Scope[freezeC[sourceAct]], want freezeOut) (freezeOut, error) {
	if err := s.C.Hand.Freeze(true); err != nil {
		return want, err
	}
	var err error
	want.Pos, err = s.C.Tip.Tip() // after the freeze, never before
	return want, err
}
func (freeze) Verify(context.Context, *Scope[freezeC[sourceLook]], freezeOut) error { return nil }
func (freeze) Undo(_ context.Context, s *Scope[freezeC[sourceAct]], rec Recorded[freezeOut]) error {
	if frozen, err := s.C.Hand.Frozen(); err != nil || frozen == rec.Want.Was {
		return err
	}
	return s.C.Hand.Freeze(rec.Want.Was)
}

type switchEdge struct{}
type switchOut struct{ Was string }

func (switchEdge) Spec() Spec { return Spec{ID: "cut.switch"} }
func (switchEdge) Plan(_ context.Context, s *Scope[edgeLook], rec Recorded[switchOut]) (Plan[switchOut], error) {
	at, err := s.C.Where()
	if err == nil && at == "new" {
		return Done(rec.Want), nil
	}
	return Plan[switchOut]{Want: switchOut{at}, Effects: []Effect{{Verb: "point", Object: "edge", Detail: at + " -> new"}}}, err
}
func (switchEdge) Run(_ context.Context, s *Scope[edgeAct], want switchOut) (switchOut, error) {
	return want, s.C.Point("new")
}
func (switchEdge) Verify(context.Context, *Scope[edgeLook], switchOut) error { return nil }
func (switchEdge) Undo(_ context.Context, s *Scope[edgeAct], rec Recorded[switchOut]) error {
	if at, err := s.C.Where(); err != nil || at == rec.Want.Was {
		return err
	}
	return s.C.Point(rec.Want.Was)
}

type openTarget struct{}
type none struct{}

func (openTarget) Spec() Spec { return Spec{ID: "cut.open"} }
func (openTarget) Plan(_ context.Context, s *Scope[targetLook], _ Recorded[none]) (Plan[none], error) {
	if frozen, err := s.C.Frozen(); err != nil || !frozen {
		return Done(none{}), err
	}
	return Plan[none]{Effects: []Effect{{Verb: "open", Object: "target"}}}, nil
}
func (openTarget) Run(_ context.Context, s *Scope[targetAct], _ none) (none, error) {
	return none{}, s.C.Open(true)
}
func (openTarget) Verify(context.Context, *Scope[targetLook], none) error { return nil }
func (openTarget) Undo(_ context.Context, s *Scope[targetAct], _ Recorded[none]) error {
	if frozen, err := s.C.Frozen(); err != nil || frozen {
		return err
	}
	return s.C.Open(false)
}

type flip struct{ to string }
type flipOut struct{ Was map[string]string }

func (flip) Spec() Spec { return Spec{ID: "cut.dns"} }
func (st flip) Plan(_ context.Context, s *Scope[zoneLook], rec Recorded[flipOut]) (Plan[flipOut], error) {
	zone, err := s.C.Records()
	p := Plan[flipOut]{Want: flipOut{map[string]string{}}}
	for _, name := range slices.Sorted(maps.Keys(zone)) {
		if zone[name] != st.to {
			p.Want.Was[name] = zone[name]
			p.Effects = append(p.Effects, Effect{Verb: "set", Object: name, Detail: zone[name] + " -> " + st.to})
		}
	}
	if err == nil && len(p.Effects) == 0 {
		p.Done = &p.Want
		if rec.Complete {
			p.Done = &rec.Out
		}
	}
	return p, err
}
func (st flip) Run(_ context.Context, s *Scope[zoneAct], want flipOut) (flipOut, error) {
	for _, name := range slices.Sorted(maps.Keys(want.Was)) {
		if err := s.C.Set(name, st.to); err != nil {
			return want, err
		}
	}
	return want, nil
}
func (flip) Verify(context.Context, *Scope[zoneLook], flipOut) error { return nil }
func (st flip) Undo(_ context.Context, s *Scope[zoneAct], rec Recorded[flipOut]) error {
	zone, err := s.C.Records()
	for _, name := range slices.Sorted(maps.Keys(rec.Want.Was)) {
		if err == nil && zone[name] == st.to {
			err = s.C.Set(name, rec.Want.Was[name])
		}
	}
	return err
}

// user is a step from a configuration file: one fixed result, so that what is untyped has a type.
type userSpec struct {
	id, check, run, undo string
	irreversible         bool
	of                   []Ref[userOut]
}
type userOut struct {
	Exit   int
	Stdout string
}
type user[E execs] struct{ y userSpec }

func (u user[E]) Spec() Spec {
	sp := Spec{ID: StepID("user." + u.y.id), PointOfNoReturn: u.y.irreversible}
	for _, r := range u.y.of {
		sp.Needs = append(sp.Needs, r.Dep())
	}
	return sp
}
func (u user[E]) Plan(_ context.Context, _ *Scope[none], rec Recorded[userOut]) (Plan[userOut], error) {
	if rec.Complete {
		return Done(rec.Out), nil // cannot be looked at: believed
	}
	return Plan[userOut]{Effects: []Effect{{Verb: "run", Object: u.y.run, Detail: "not looked at: check is a command"}}}, nil
}
func (u user[E]) Run(_ context.Context, s *Scope[E], _ userOut) (userOut, error) {
	if _, err := s.C.Do(u.y.check); err == nil {
		return userOut{Stdout: "already"}, nil // an unknown outcome is probed here, inside Run
	} else if !errors.Is(err, errExit1) {
		return userOut{}, err
	}
	args := ""
	for _, r := range u.y.of {
		v, err := Value(s, r)
		if err != nil {
			return v, err
		}
		args += " " + v.Stdout
	}
	o, err := s.C.Do(u.y.run + args)
	return userOut{Stdout: o}, err
}
func (u user[E]) Verify(context.Context, *Scope[none], userOut) error { return nil }
func (u user[E]) Undo(_ context.Context, s *Scope[E], _ Recorded[userOut]) error {
	switch _, err := s.C.Do(u.y.check); {
	case errors.Is(err, errExit1):
		return nil
	case err != nil:
		return err
	}
	_, err := s.C.Do(u.y.undo)
	return err
}
