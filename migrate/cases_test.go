package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal"
	"github.com/slipway-dev/slipway/migrate/journal/crashfs"
)

// lab is a world with the disk of one run.
type lab struct {
	t *testing.T
	*world
	d *crashfs.Disk
}

// inLab runs f in a fresh lab, on a clock of its own.
func inLab(t *testing.T, f func(*lab)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(&lab{t, newWorld(), &crashfs.Disk{}}) })
}

// passing are the options of a cut-over whose gates are all passed.
func passing() migrate.Options {
	return migrate.Options{Tool: "1", Who: "kim@desk", Host: "desk", PID: 7, Ask: answers(migrate.Pass), Config: []migrate.Setting{{Name: "source", Digest: "abc"}}}
}

// aborting is passing until the last gate, which is aborted.
func aborting() migrate.Options {
	o := passing()
	o.Ask = answers(migrate.Abort)
	return o
}

// nobody is there to answer.
func nobody() migrate.Options {
	o := passing()
	o.Ask = nil
	return o
}

// cutover is one process that goes on with a cut-over.
func (l *lab) cutover(o migrate.Options) error {
	return process(l.world, l.d, phases(forCutover(l.world)), o, resume)
}

// must fails the test unless err is want.
func (l *lab) must(err, want error) {
	l.t.Helper()
	if !errors.Is(err, want) || want == nil && err != nil {
		l.t.Fatalf("got %v, want %v", err, want)
	}
}

func (l *lab) history() *migrate.History {
	l.t.Helper()
	h, err := migrate.ReadHistory(l.d.Process(crashfs.NewLife(0)))
	if err != nil {
		l.t.Fatal(err)
	}
	return h
}

func (l *lab) step(id migrate.StepID) migrate.StepHistory {
	l.t.Helper()
	s, ok := l.history().Step(id)
	if !ok {
		l.t.Fatalf("no step %s", id)
	}
	return s
}

// kinds lists a step's records.
func (l *lab) kinds(step migrate.StepID) (kinds []journal.Kind) {
	for _, rec := range l.records() {
		if rec.Step == string(step) {
			kinds = append(kinds, rec.Kind)
		}
	}
	return kinds
}

func (l *lab) records() (recs []journal.Record) {
	l.t.Helper()
	f, err := l.d.Process(crashfs.NewLife(0)).Open()
	if err != nil {
		l.t.Fatal(err)
	}
	d := journal.NewDecoder(f)
	for {
		rec, err := d.Next()
		if err != nil {
			return recs
		}
		recs = append(recs, rec)
	}
}

func (l *lab) good(bad []string) {
	l.t.Helper()
	if len(bad) > 0 {
		l.t.Fatal(strings.Join(bad, "\n"))
	}
}

// A rehearsal and a cut-over have the same phases; a rehearsal touches nothing of production.
func TestRehearsalLeavesProductionAlone(t *testing.T) {
	inLab(t, func(l *lab) {
		o := passing()
		o.Ending = migrate.EndWithRollback(legs...)
		l.must(process(l.world, l.d, phases(forRehearsal(l.world)), o, resume), nil)
		l.good(isUntouched(l.world))
		for _, what := range []string{"source.freeze(true)", "source.freeze(false)", "edge=new", "edge=old", "dns www=2.2.2.2", "dns www=1.1.1.1", "cluster.create", "cluster.delete"} {
			if l.done[what] != 1 {
				t.Errorf("%s was done %d times", what, l.done[what])
			}
		}
		if len(l.ledger) < 5 {
			t.Errorf("only %d orders came in meanwhile", len(l.ledger))
		}
	})
}

// A shadow that doesn't say of itself that it is one is not touched.
func TestShadowMustBeMarked(t *testing.T) {
	inLab(t, func(l *lab) {
		l.shadow.src.name = "prod-db1"
		err := process(l.world, l.d, phases(forRehearsal(l.world)), passing(), resume)
		if err == nil || !strings.Contains(err.Error(), "shadow is not marked as disposable: it is prod-db1") || l.shadow.src.frozen {
			t.Fatalf("frozen %v, %v", l.shadow.src.frozen, err)
		}
	})
}

// Run died midway twice: the before-image of the first intent is the one that undo gets.
func TestFirstBeforeImageCounts(t *testing.T) {
	inLab(t, func(l *lab) {
		l.failing["dns www=2.2.2.2"] = 1 // api was set, www was not
		if err := l.cutover(passing()); err == nil || l.prod.zone["api"] != "2.2.2.2" {
			t.Fatal(err, l.prod.zone)
		}
		l.must(l.cutover(aborting()), migrate.ErrRolledBack)
		l.good(isOld(l.world))
	})
}

// A rollback to the gate starts the forward follow again, which had been drained; then the run goes forward once more.
func TestRollbackToAStep(t *testing.T) {
	inLab(t, func(l *lab) {
		l.failing["dns www=2.2.2.2"] = -1
		l.must(l.cutover(passing()), errInjected)
		clear(l.failing)
		err := process(l.world, l.d, phases(forCutover(l.world)), passing(), func(r *migrate.Run) error {
			if err := r.Rollback(context.Background(), "go", "test"); err != nil {
				return err
			}
			if r.State() != migrate.StateRunning {
				t.Errorf("state %q", r.State())
			}
			return nil
		})
		l.must(err, nil)
		if l.prod.src.frozen || l.prod.edge != "old" || l.cluster == "" {
			t.Fatalf("frozen %v, edge %s, cluster %q", l.prod.src.frozen, l.prod.edge, l.cluster)
		}
		if s := l.step("follow.rows"); s.State != migrate.ServiceUp {
			t.Errorf("the forward follow is %q, not up again", s.State)
		}
		if got := l.history().State(false); got != migrate.StateOpen {
			t.Errorf("state %q", got)
		}
		l.must(l.cutover(passing()), nil)
		for _, key := range l.ledger {
			if l.target.rows[key] != 1 {
				t.Errorf("%s is %d times on the target", key, l.target.rows[key])
			}
		}
	})
}

// The reverse follow is dead before the rollback: nothing is undone, the new side goes on serving. It dies in
// mid-rollback: the source is not thawed, and nothing below is undone.
func TestDeadReverseFollowHolds(t *testing.T) {
	for _, when := range []string{"before", "during"} {
		t.Run(when, func(t *testing.T) {
			inLab(t, func(l *lab) {
				die := func() { // with the lock held
					for i := range 60 {
						for at := range 200 {
							l.failing[fmt.Sprintf("source.apply order%d@%d", i, at)] = -1
						}
					}
					l.target.write("order59", "target") // and one more came in that has not gone back
				}
				o := passing()
				o.Ask = func(ctx context.Context, q migrate.Question) (migrate.Answer, error) {
					if q.Gate != "finalize" {
						return migrate.Answer{Word: migrate.Pass}, nil
					}
					l.change(func() {
						if when == "before" {
							die()
							return
						}
						l.onEffect = func(what string) {
							if what == "edge=old" {
								die()
							}
						}
					})
					time.Sleep(3 * time.Second)
					return migrate.Answer{Word: migrate.Abort}, nil
				}
				err := l.cutover(o)
				l.must(err, migrate.ErrNeedsPerson)
				if !l.prod.src.frozen || l.cluster == "" || (when == "before") != (l.prod.edge == "new") {
					t.Fatalf("frozen %v, cluster %q, edge %s: %v", l.prod.src.frozen, l.cluster, l.prod.edge, err)
				}
				if got := l.history().State(false); got != migrate.StateNeedsPerson {
					t.Errorf("state %q", got)
				}
				var np *migrate.NeedsPerson
				if errors.As(err, &np); when == "during" {
					want := migrate.Todo{Step: "cut.freeze", HeldBy: "cut.reverse"}
					if !slices.Contains(np.Todo, want) || np.Todo[0].Step != "cut.reverse" || !slices.Equal(l.history().Todo(), np.Todo) {
						t.Errorf("todo %+v", np.Todo)
					}
				} else if np.Why == nil {
					t.Errorf("no reason is given: %v", err)
				}
				clear(l.failing)
				l.onEffect = nil
				if when == "during" { // a resume tries again
					l.must(l.cutover(o), migrate.ErrRolledBack)
					l.good(isOld(l.world))
				}
			})
		})
	}
}

func TestDrift(t *testing.T) {
	for _, choice := range []migrate.DriftChoice{migrate.DriftStop, migrate.DriftRedo, migrate.DriftAccept} {
		inLab(t, func(l *lab) {
			l.must(l.cutover(nobody()), migrate.ErrWaiting)
			delete(l.files, "2")
			asked := 0
			o := nobody()
			o.OnDrift = func(_ context.Context, d migrate.Drift) (migrate.Verdict, error) {
				asked++
				if d.Step != "copy.files" || len(d.Effects) != 1 || d.Effects[0].String() != "put file 2" {
					t.Errorf("drift %+v", d)
				}
				return migrate.Verdict{Choice: choice, Who: "lee@hall", Why: "seen it"}, nil
			}
			want := map[migrate.DriftChoice]error{migrate.DriftStop: migrate.ErrDrift, migrate.DriftRedo: migrate.ErrWaiting, migrate.DriftAccept: migrate.ErrWaiting}[choice]
			l.must(l.cutover(o), want)
			if (choice == migrate.DriftRedo) != (l.files["2"] != "") {
				t.Errorf("choice %d: files %v", choice, l.files)
			}
			if choice == migrate.DriftStop {
				return
			}
			i := slices.IndexFunc(l.records(), func(r journal.Record) bool { return r.Kind == journal.Operator })
			if rec := string(l.records()[i].Data); !strings.Contains(rec, "lee@hall") || !strings.Contains(rec, "seen it") || !strings.Contains(rec, "put") {
				t.Errorf("the record says %s", rec)
			}
			l.must(l.cutover(o), migrate.ErrWaiting) // it is not asked again
			if asked != 1 {
				t.Errorf("asked %d times", asked)
			}
			l.must(l.cutover(passing()), nil)
			l.must(process(l.world, l.d, phases(forCutover(l.world)), passing(), resume), nil)
			if choice == migrate.DriftRedo {
				if s := l.step("copy.files"); s.Attempts != 2 || l.done["file.put 1"] != 1 {
					t.Errorf("attempts %d, effects %v", s.Attempts, l.done)
				}
			}
		})
	}
}

func TestDriftNeedsAReason(t *testing.T) {
	inLab(t, func(l *lab) {
		l.must(l.cutover(nobody()), migrate.ErrWaiting)
		delete(l.files, "2")
		o := nobody()
		l.must(l.cutover(o), migrate.ErrDrift)
		o.OnDrift = func(context.Context, migrate.Drift) (migrate.Verdict, error) {
			return migrate.Verdict{Choice: migrate.DriftAccept}, nil
		}
		l.must(l.cutover(o), migrate.ErrDrift)
	})
}

// A step that is redone is planned as one that was begun and has no result: with the first intent's want.
func TestRedoKnowsTheFirstWant(t *testing.T) {
	inLab(t, func(l *lab) {
		var seen []migrate.Recorded[plainOut]
		drifted := false
		p := plain{spec: id("a"), plan: func(_ context.Context, _ *migrate.Scope[struct{}], rec migrate.Recorded[plainOut]) (migrate.Plan[plainOut], error) {
			seen = append(seen, rec)
			if rec.Complete && !drifted {
				return migrate.Done(rec.Out), nil
			}
			return migrate.Plan[plainOut]{Want: plainOut{N: 10 + len(seen)}}, nil
		}}
		rb := func() *migrate.Runbook[migrate.Rehearsal] { return book(p, migrate.Gate{ID: "gate"}) }
		l.must(l.run(rb(), migrate.Options{}, resume), migrate.ErrWaiting)
		drifted = true
		l.must(l.run(rb(), migrate.Options{OnDrift: func(context.Context, migrate.Drift) (migrate.Verdict, error) {
			return migrate.Verdict{Choice: migrate.DriftRedo, Why: "test"}, nil
		}}, resume), migrate.ErrWaiting)
		want := []migrate.Recorded[plainOut]{{}, {Want: plainOut{11}, Out: plainOut{11}, Complete: true, Attempts: 1}, {Want: plainOut{11}, Attempts: 1}}
		if !slices.Equal(seen, want) {
			t.Errorf("%+v, not %+v", seen, want)
		}
	})
}

// A step's result that is now another is drift too, not only one that is gone.
func TestAnotherResultIsDrift(t *testing.T) {
	inLab(t, func(l *lab) {
		l.must(l.cutover(nobody()), migrate.ErrWaiting)
		id := runID + "-copy.snapshot"
		a := l.store[id]
		a.pos += 7
		l.store[id] = a
		l.must(l.cutover(nobody()), migrate.ErrDrift)
	})
}

// Steps of the user's own, one reading another.
func TestUserSteps(t *testing.T) {
	inLab(t, func(l *lab) {
		book := func(irreversible bool) *migrate.Runbook[migrate.Rehearsal] {
			rb := migrate.NewRunbook[migrate.Rehearsal]()
			rb.Phase("one")
			cl := migrate.Add(rb, clusterStep{}, migrate.Look[cloudLook]("cloud", cloudLooks{cloud{l.world}}), forRehearsal(l.world).maker)
			hand := migrate.Created[migrate.Rehearsal](cl, func(context.Context, clusterOut, migrate.Stamp) (execs, error) { return pod{l.world}, nil })
			a := migrate.Add(rb, user[execs]{userSpec{id: "a", check: "no", run: "x", undo: "undo"}}, migrate.Look("nothing", none{}), hand)
			migrate.Add(rb, user[execs]{userSpec{id: "b", check: "no", run: "y", undo: "undo", irreversible: irreversible, of: []migrate.Ref[userOut]{a}}}, migrate.Look("nothing", none{}), hand)
			return rb
		}
		l.must(process(l.world, l.d, book(false), passing(), resume), nil)
		if l.done["user y out-of-x"] != 1 {
			t.Error(l.done)
		}
		if err := book(true).Err(); err == nil || !strings.Contains(err.Error(), "user.b: is a point of no return and has no gate before it") {
			t.Errorf("got %v", err)
		}
	})
}

// A second run finds the first one's artifact; its rollback leaves it, and a freeze that was there before.
func TestFoundIsLeft(t *testing.T) {
	inLab(t, func(l *lab) {
		l.store["snap1"] = artifact{1, map[string]int{"row0": 1}}
		l.prod.src.frozen = true
		x := forCutover(l.world)
		x.snapshot = "snap1"
		l.must(process(l.world, l.d, phases(x), aborting(), resume), migrate.ErrRolledBack)
		if len(l.store) != 1 || !l.prod.src.frozen {
			t.Fatalf("store %v, frozen %v", l.store, l.prod.src.frozen)
		}
		if s := l.step("cut.freeze"); s.State != migrate.StepLeft {
			t.Errorf("the freeze is %q", s.State)
		}
	})
}

// One branch failed, one is done: both are rolled back.
func TestBranchesInDifferentStates(t *testing.T) {
	inLab(t, func(l *lab) {
		l.failing["target.put row1"] = 1 // load dies midway, files go on, the snapshot is done
		l.must(l.cutover(passing()), errInjected)
		for id, want := range map[migrate.StepID]migrate.StepState{
			"copy.snapshot": migrate.StepIsVerified, "copy.load": migrate.StepIsFailed, "copy.files": migrate.StepIsVerified, "follow.rows": migrate.StepPending} {
			if s := l.step(id); s.State != want {
				t.Errorf("%s is %q, not %q", id, s.State, want)
			}
		}
		if s := l.step("copy.load"); !strings.Contains(s.Error, "target.put row1: injected") || s.Doing != migrate.Running || s.Moved.Rows == 0 {
			t.Errorf("%+v", s)
		}
		l.must(process(l.world, l.d, phases(forCutover(l.world)), passing(), rollback), migrate.ErrRolledBack)
		l.good(isOld(l.world))
	})
}

// A later step that ends an earlier one's result, on purpose, is no drift; without saying so it is.
func TestEnds(t *testing.T) {
	for _, ends := range []bool{false, true} {
		inLab(t, func(l *lab) {
			book := func() *migrate.Runbook[migrate.Cutover] {
				rb := migrate.NewRunbook[migrate.Cutover]()
				rb.PhaseInOrder("one")
				eye := migrate.Look[sourceLook]("source", sourceLooks{newSource(l.world, l.prod)})
				hand := migrate.Real("source", func(context.Context, migrate.Stamp) (sourceAct, error) { return newSource(l.world, l.prod), nil })
				both := func(a, b sourceLook) freezeC[sourceLook] { return freezeC[sourceLook]{a, b} }
				fz := migrate.Add(rb, freeze{}, migrate.BothEyes(eye, eye, both),
					migrate.With(eye, hand, func(a sourceLook, b sourceAct) freezeC[sourceAct] { return freezeC[sourceAct]{a, b} }))
				migrate.Add(rb, thaw{fz, ends}, eye, hand)
				migrate.AddGate(rb, migrate.Gate{ID: "gate"})
				return rb
			}
			l.must(process(l.world, l.d, book(), nobody(), resume), migrate.ErrWaiting)
			want := migrate.ErrDrift
			if ends {
				want = migrate.ErrWaiting
			}
			l.must(process(l.world, l.d, book(), nobody(), resume), want)
		})
	}
}

type thaw struct {
	frozen migrate.Ref[freezeOut]
	ends   bool
}

func (x thaw) Spec() migrate.Spec {
	s := migrate.Spec{ID: "thaw", Needs: []migrate.Dep{x.frozen.Dep()}}
	if x.ends {
		s.Ends = s.Needs
	}
	return s
}
func (thaw) Plan(_ context.Context, s *migrate.Scope[sourceLook], _ migrate.Recorded[none]) (migrate.Plan[none], error) {
	if f, err := s.C.Frozen(); err != nil || !f {
		return migrate.Done(none{}), err
	}
	return migrate.Plan[none]{}, nil
}
func (thaw) Run(_ context.Context, s *migrate.Scope[sourceAct], _ none) (none, error) {
	return none{}, s.C.Freeze(false)
}
func (thaw) Verify(context.Context, *migrate.Scope[sourceLook], none) error { return nil }
func (thaw) Undo(_ context.Context, s *migrate.Scope[sourceAct], _ migrate.Recorded[none]) error {
	return s.C.Freeze(true)
}

// A plan of the whole runbook is the same bytes twice, names what can be named, and touches nothing.
func TestPlanIsByteStable(t *testing.T) {
	inLab(t, func(l *lab) {
		outline := func() string {
			o, err := phases(forCutover(l.world)).Plan(context.Background(), passing())
			if err != nil {
				t.Fatal(err)
			}
			return fmt.Sprintf("%+v", o)
		}
		one, two := outline(), outline()
		if one != two || len(l.done) > 0 {
			t.Errorf("%s\n%s\n%v", one, two, l.done)
		}
		for _, part := range []string{"create cluster 00000000-000000-0000-standup.cluster", "After:copy.snapshot", "put file 1", "set api: 1.1.1.1 -> 2.2.2.2", "drain follow.rows"} {
			if !strings.Contains(one, part) {
				t.Errorf("%q is not in the plan: %s", part, one)
			}
		}
	})
}
