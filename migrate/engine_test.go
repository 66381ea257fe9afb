package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal"
)

// plain is a step whose methods are the test's. What isn't set does nothing, and Plan believes what is recorded.
type plain struct {
	spec   migrate.Spec
	plan   func(context.Context, *migrate.Scope[struct{}], migrate.Recorded[plainOut]) (migrate.Plan[plainOut], error)
	run    func(context.Context, *migrate.Scope[struct{}], plainOut) (plainOut, error)
	verify func(context.Context, plainOut) error
	undo   func(context.Context, migrate.Recorded[plainOut]) error
}

type plainOut struct{ N int }

func (p plain) Spec() migrate.Spec { return p.spec }
func (p plain) Plan(ctx context.Context, s *migrate.Scope[struct{}], rec migrate.Recorded[plainOut]) (migrate.Plan[plainOut], error) {
	if p.plan != nil {
		return p.plan(ctx, s, rec)
	}
	if rec.Complete {
		return migrate.Done(rec.Out), nil
	}
	return migrate.Plan[plainOut]{}, nil
}
func (p plain) Run(ctx context.Context, s *migrate.Scope[struct{}], want plainOut) (plainOut, error) {
	if p.run == nil {
		return want, nil
	}
	return p.run(ctx, s, want)
}
func (p plain) Verify(ctx context.Context, _ *migrate.Scope[struct{}], out plainOut) error {
	if p.verify == nil {
		return nil
	}
	return p.verify(ctx, out)
}
func (p plain) Undo(ctx context.Context, _ *migrate.Scope[struct{}], rec migrate.Recorded[plainOut]) error {
	if p.undo == nil {
		return nil
	}
	return p.undo(ctx, rec)
}

// book is a runbook of plain steps; "|" begins a phase, and a duration the phase switch that has this limit.
func book(steps ...any) *migrate.Runbook[migrate.Rehearsal] {
	rb := migrate.NewRunbook[migrate.Rehearsal]()
	rb.Phase("phase 0")
	eye := migrate.Look("nothing", struct{}{})
	for i, x := range steps {
		switch x := x.(type) {
		case string:
			rb.Phase(fmt.Sprintf("phase %d", i))
		case time.Duration:
			rb.PhaseWithin("switch", x)
		case migrate.Gate:
			migrate.AddGate(rb, x)
		case plain:
			migrate.Add(rb, x, eye, migrate.NoHands[migrate.Rehearsal](eye))
		}
	}
	return rb
}

func id(id migrate.StepID) migrate.Spec { return migrate.Spec{ID: id} }

// after is a dependency on a step that is added to the same book before.
func after(id migrate.StepID) []migrate.Dep { return []migrate.Dep{migrate.DepOn(id)} }

// run is one process that works on a book.
func (l *lab) run(rb *migrate.Runbook[migrate.Rehearsal], o migrate.Options, do func(*migrate.Run) error) error {
	return process(l.world, l.d, rb, o, do)
}

// diary notes what happens, in order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) note(format string, a ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprintf(format, a...))
}

// noting is a step that notes its beginning and end, takes a second for each, and may need others.
func (d *diary) noting(name migrate.StepID, needs ...migrate.StepID) plain {
	spec := id(name)
	for _, n := range needs {
		spec.Needs = append(spec.Needs, after(n)...)
	}
	return plain{spec: spec,
		run: func(ctx context.Context, _ *migrate.Scope[struct{}], want plainOut) (plainOut, error) {
			d.note("%s+", name)
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
				d.note("%s!", name)
				return want, ctx.Err()
			}
			d.note("%s-", name)
			return want, nil
		},
		undo: func(ctx context.Context, _ migrate.Recorded[plainOut]) error {
			d.note("undo %s+", name)
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
				d.note("undo %s!", name)
				return ctx.Err()
			}
			d.note("undo %s-", name)
			return nil
		}}
}

func (d *diary) index(t *testing.T, line string) int {
	t.Helper()
	i := slices.Index(d.lines, line)
	if i < 0 {
		t.Errorf("%q is not in %q", line, d.lines)
	}
	return i
}

// before fails unless each line comes before the next.
func (d *diary) before(t *testing.T, lines ...string) {
	t.Helper()
	for i := range lines[1:] {
		if d.index(t, lines[i]) >= d.index(t, lines[i+1]) {
			t.Errorf("%q is not before %q in %q", lines[i], lines[i+1], d.lines)
		}
	}
}

// Steps of a phase run side by side unless they need each other; a phase waits for the one before; back it is the same in
// reverse.
func TestOrder(t *testing.T) {
	inLab(t, func(l *lab) {
		d := &diary{}
		rb := book(d.noting("a"), d.noting("b"), d.noting("c", "a"), "|", d.noting("d"), d.noting("e", "a"))
		began := time.Now()
		o := migrate.Options{Ending: migrate.EndWithRollback(legs2...)}
		l.must(l.run(rb, o, resume), nil)
		d.before(t, "a+", "a-", "c+", "c-", "d+", "d-", "undo d+", "undo d-", "undo c+", "undo c-", "undo a+")
		d.before(t, "a+", "b-")
		d.before(t, "b+", "a-")
		d.before(t, "c-", "e+", "d-")
		d.before(t, "undo d+", "undo e-", "undo b+", "undo c-")
		if took := time.Since(began); took != 6*time.Second {
			t.Errorf("took %s", took)
		}
		var names []string
		for _, p := range l.history().Phases() {
			names = append(names, fmt.Sprintf("%s %v %s", p.Name, p.Back, p.Took.Round(time.Second)))
		}
		if want := []string{"phase 0 false 2s", "phase 3 false 1s", "above true 1s", "the rest true 2s"}; !slices.Equal(names, want) {
			t.Errorf("%q, not %q", names, want)
		}
	})
}

var legs2 = []migrate.Leg{{Name: "above", DownTo: "phase 0"}, {Name: "the rest"}}

func TestParallelIsBounded(t *testing.T) {
	inLab(t, func(l *lab) {
		var now, most atomic.Int64
		var steps []any
		for i := range 7 {
			steps = append(steps, plain{spec: id(migrate.StepID(fmt.Sprintf("s%d", i))), run: func(_ context.Context, _ *migrate.Scope[struct{}], o plainOut) (plainOut, error) {
				most.Store(max(most.Load(), now.Add(1)))
				time.Sleep(time.Second)
				now.Add(-1)
				return o, nil
			}})
		}
		began := time.Now()
		l.must(l.run(book(steps...), migrate.Options{Parallel: 3}, resume), nil)
		if took := time.Since(began); most.Load() != 3 || took != 3*time.Second {
			t.Errorf("%d side by side, %s", most.Load(), took)
		}
	})
}

// On a failure nothing new starts, and what runs may finish.
func TestFailureLetsOthersFinish(t *testing.T) {
	inLab(t, func(l *lab) {
		d := &diary{}
		bad := plain{spec: id("bad"), run: func(context.Context, *migrate.Scope[struct{}], plainOut) (plainOut, error) {
			return plainOut{}, errInjected
		}}
		rb := book(bad, d.noting("a"), d.noting("b", "a"))
		err := l.run(rb, migrate.Options{}, resume)
		l.must(err, errInjected)
		var se *migrate.StepError
		if !errors.As(err, &se) || se.Step != "bad" || se.Doing != migrate.Running || err.Error() != "bad: run: injected" {
			t.Errorf("%v", err)
		}
		d.index(t, "a-")
		if slices.Contains(d.lines, "b+") {
			t.Error("b was started after the failure")
		}
	})
}

func TestTimeout(t *testing.T) {
	hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	for _, doing := range []migrate.Doing{migrate.Planning, migrate.Running, migrate.Verifying, migrate.Undoing} {
		t.Run(string(doing), func(t *testing.T) {
			inLab(t, func(l *lab) {
				p := plain{spec: migrate.Spec{ID: "slow", Timeout: time.Minute}}
				switch doing {
				case migrate.Planning:
					p.plan = func(ctx context.Context, _ *migrate.Scope[struct{}], _ migrate.Recorded[plainOut]) (migrate.Plan[plainOut], error) {
						return migrate.Plan[plainOut]{}, hang(ctx)
					}
				case migrate.Running:
					p.run = func(ctx context.Context, _ *migrate.Scope[struct{}], o plainOut) (plainOut, error) {
						return o, hang(ctx)
					}
				case migrate.Verifying:
					p.verify = func(ctx context.Context, _ plainOut) error { return hang(ctx) }
				case migrate.Undoing:
					p.undo = func(ctx context.Context, _ migrate.Recorded[plainOut]) error { return hang(ctx) }
				}
				began := time.Now()
				err := l.run(book(p), migrate.Options{Ending: migrate.EndWithRollback()}, resume)
				if took := time.Since(began); took != time.Minute {
					t.Errorf("took %s", took)
				}
				if doing == migrate.Undoing {
					l.must(err, migrate.ErrNeedsPerson)
				} else {
					l.must(err, migrate.ErrTimeout)
				}
				if s := l.step("slow"); s.Doing != doing || !strings.Contains(s.Error, "took too long: more than 1m0s") {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// A step that says no Timeout has one all the same.
func TestDefaultTimeout(t *testing.T) {
	inLab(t, func(l *lab) {
		p := plain{spec: id("slow"), run: func(ctx context.Context, _ *migrate.Scope[struct{}], o plainOut) (plainOut, error) {
			<-ctx.Done()
			return o, ctx.Err()
		}}
		began := time.Now()
		l.must(l.run(book(p), migrate.Options{}, resume), migrate.ErrTimeout)
		if took := time.Since(began); took != migrate.DefaultTimeout {
			t.Errorf("took %s", took)
		}
	})
}

// A step that panics has failed; the others go on, and the run can be resumed.
func TestPanicIsAFailure(t *testing.T) {
	inLab(t, func(l *lab) {
		n := 0
		p := plain{spec: id("shaky"), run: func(_ context.Context, _ *migrate.Scope[struct{}], o plainOut) (plainOut, error) {
			if n++; n == 1 {
				panic("oh no")
			}
			return o, nil
		}}
		if err := l.run(book(p), migrate.Options{}, resume); err == nil || !strings.Contains(err.Error(), "shaky: run: panic: oh no") {
			t.Fatal(err)
		}
		l.must(l.run(book(p), migrate.Options{}, resume), nil)
	})
}

// Errors that are worth it are tried again after growing pauses, as often as the step says; others are not.
func TestRetries(t *testing.T) {
	for _, x := range []struct {
		tries, runs int
		transient   bool
		err         error
	}{{3, 3, true, nil}, {2, 2, true, errInjected}, {0, 1, true, errInjected}, {5, 1, false, errInjected}} {
		inLab(t, func(l *lab) {
			n := 0
			p := plain{spec: migrate.Spec{ID: "busy", Tries: x.tries}, run: func(_ context.Context, _ *migrate.Scope[struct{}], o plainOut) (plainOut, error) {
				n++
				switch {
				case n == 3:
					return o, nil
				case x.transient:
					return o, fmt.Errorf("step: %w", migrate.Transient(errInjected))
				}
				return o, errInjected
			}}
			began := time.Now()
			l.must(l.run(book(p), migrate.Options{}, resume), x.err)
			if n != x.runs {
				t.Errorf("%+v: ran %d times", x, n)
			}
			intents := slices.DeleteFunc(l.kinds("busy"), func(k journal.Kind) bool { return k != journal.Intent })
			if len(intents) != x.runs {
				t.Errorf("%+v: %d intents", x, len(intents))
			}
			if took := time.Since(began); x.tries == 3 && (took < 1500*time.Millisecond || took > 4500*time.Millisecond) {
				t.Errorf("took %s", took)
			}
		})
	}
}

// What can't be undone holds what it needs and all phases below; what may go on goes on; the list says what holds what.
func TestHoldAndGoOn(t *testing.T) {
	inLab(t, func(l *lab) {
		broken := map[migrate.StepID]bool{"c": true, "d": true}
		undone := &diary{}
		step := func(name migrate.StepID, policy migrate.UndoPolicy, needs ...migrate.StepID) plain {
			spec := migrate.Spec{ID: name, OnUndoFailure: policy}
			for _, n := range needs {
				spec.Needs = append(spec.Needs, after(n)...)
			}
			return plain{spec: spec, undo: func(context.Context, migrate.Recorded[plainOut]) error {
				if broken[name] {
					return errInjected
				}
				undone.note("%s", name)
				return nil
			}}
		}
		rb := func() *migrate.Runbook[migrate.Rehearsal] {
			return book(step("a", migrate.Hold), "|",
				step("b1", migrate.Hold), step("b2", migrate.Hold, "b1"), step("c", migrate.Hold, "b2"), step("b3", migrate.Hold), "|",
				step("d", migrate.GoOn), step("e", migrate.Hold))
		}
		o := migrate.Options{Ending: migrate.EndWithRollback()}
		err := l.run(rb(), o, resume)
		var np *migrate.NeedsPerson
		if !errors.As(err, &np) || !errors.Is(err, migrate.ErrNeedsPerson) {
			t.Fatal(err)
		}
		var todo []string
		for _, x := range np.Todo {
			todo = append(todo, fmt.Sprintf("%s<%s", x.Step, x.HeldBy))
		}
		if want := []string{"d<", "c<", "b2<c", "b1<c", "a<c"}; !slices.Equal(todo, want) {
			t.Errorf("todo %q, not %q", todo, want)
		}
		if slices.Sort(undone.lines); !slices.Equal(undone.lines, []string{"b3", "e"}) {
			t.Errorf("undone %q", undone.lines)
		}
		if !slices.Equal(l.history().Todo(), np.Todo) || l.history().State(false) != migrate.StateNeedsPerson {
			t.Errorf("history: %v, %s", l.history().Todo(), l.history().State(false))
		}
		delete(broken, "d") // repaired; the other one is waived, its target was deleted by hand
		err = l.run(rb(), o, func(r *migrate.Run) error {
			for _, x := range []struct {
				step     migrate.StepID
				why, bad string
			}{{"nope", "x", "no such step"}, {"a", "x", "has not failed"}, {"c", "", "a reason"}} {
				if err := r.Waive(x.step, "lee", x.why); err == nil || !strings.Contains(err.Error(), x.bad) {
					t.Errorf("waive %s: %v", x.step, err)
				}
			}
			if err := r.Waive("c", "lee@hall", "deleted by hand"); err != nil {
				return err
			}
			return resume(r)
		})
		l.must(err, nil)
		if slices.Sort(undone.lines); !slices.Equal(undone.lines, []string{"a", "b1", "b2", "b3", "d", "e"}) {
			t.Errorf("undone %q", undone.lines)
		}
		if s := l.step("c"); s.State != migrate.StepWaived {
			t.Errorf("c is %q", s.State)
		}
	})
}

// A process that ignores its context is complained about.
func TestStuckIsSaid(t *testing.T) {
	inLab(t, func(l *lab) {
		p := plain{spec: migrate.Spec{ID: "deaf", Timeout: time.Second}, run: func(_ context.Context, _ *migrate.Scope[struct{}], o plainOut) (plainOut, error) {
			time.Sleep(2 * time.Minute)
			return o, errInjected
		}}
		var stuck []time.Duration
		err := l.run(book(p), migrate.Options{}, func(r *migrate.Run) error {
			r.Listen(func(e migrate.Event) {
				if s, ok := e.(migrate.StepStuck); ok {
					stuck = append(stuck, s.For)
				}
			})
			return resume(r)
		})
		l.must(err, migrate.ErrTimeout)
		synctest.Wait()
		if len(stuck) != 3 || stuck[0] != 30*time.Second {
			t.Errorf("%v", stuck)
		}
	})
}

// A rollback is planned from the journal alone, while another process holds the run.
func TestPlanRollback(t *testing.T) {
	inLab(t, func(l *lab) {
		found := plain{spec: id("found"), plan: func(context.Context, *migrate.Scope[struct{}], migrate.Recorded[plainOut]) (migrate.Plan[plainOut], error) {
			return migrate.Done(plainOut{5}), nil
		}}
		effects := plain{spec: id("made"), plan: func(_ context.Context, _ *migrate.Scope[struct{}], rec migrate.Recorded[plainOut]) (migrate.Plan[plainOut], error) {
			if rec.Complete {
				return migrate.Done(rec.Out), nil
			}
			return migrate.Plan[plainOut]{Effects: []migrate.Effect{{Verb: "make", Object: "it"}}}, nil
		}}
		o := migrate.Options{Ending: migrate.EndKept(legs2...), Ask: answers(migrate.Pass)}
		l.must(l.run(book(effects, found, "|", plain{spec: id("b")}, migrate.Gate{ID: "gate"}, plain{spec: id("c")}), o, func(r *migrate.Run) error {
			if err := resume(r); err != nil {
				return err
			}
			for keeps, want := range map[migrate.StepID]string{
				"":     "above: c verified [] false, b verified [] false / the rest: found found [] true, made verified [make it] false",
				"made": "above: c verified [] false, b verified [] false / the rest: found found [] true",
				"b":    "above: c verified [] false",
			} {
				out, err := l.history().PlanRollback(keeps)
				if err != nil {
					t.Fatal(err)
				}
				var legs []string
				for _, p := range out.Back {
					var steps []string
					for _, s := range p.Steps {
						steps = append(steps, fmt.Sprintf("%s %s %v %v", s.ID, s.State, s.Effects, s.Holds))
					}
					legs = append(legs, p.Name+": "+strings.Join(steps, ", "))
				}
				if got := strings.Join(legs, " / "); got != want {
					t.Errorf("to %q: %s\nnot %s", keeps, got, want)
				}
			}
			if _, err := l.history().PlanRollback("nope"); err == nil {
				t.Error("planned to a step that there isn't")
			}
			return nil
		}), nil)
		if got := l.history().State(false); got != migrate.StateKept {
			t.Errorf("state %q", got)
		}
	})
}
