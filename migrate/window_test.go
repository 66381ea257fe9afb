package migrate_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal"
)

// limit is that of the phase switch in these tests, where they say no other.
const limit = 30 * time.Second

// switching is a runbook whose phase switch has a limit and follows a gate.
func switching(d *diary, limit time.Duration, steps ...any) *migrate.Runbook[migrate.Rehearsal] {
	return book(slices.Concat([]any{d.noting("before"), migrate.Gate{ID: "go"}, limit}, steps, []any{"|", d.noting("after")})...)
}

// lasting notes its beginning and end, and takes its time for Run unless it is told to stop.
func (d *diary) lasting(name migrate.StepID, takes time.Duration) plain {
	p := d.noting(name)
	p.run = func(ctx context.Context, _ *migrate.Scope[struct{}], o plainOut) (plainOut, error) {
		d.note("%s+", name)
		select {
		case <-time.After(takes):
			d.note("%s-", name)
			return o, nil
		case <-ctx.Done():
			d.note("%s!", name)
			return o, ctx.Err()
		}
	}
	return p
}

// failing is a step whose Run fails while broken says so.
func (d *diary) failing(name migrate.StepID, broken *bool) plain {
	p := d.noting(name)
	run := p.run
	p.run = func(ctx context.Context, s *migrate.Scope[struct{}], o plainOut) (plainOut, error) {
		if *broken {
			d.note("%s fails", name)
			return o, errInjected
		}
		return run(ctx, s, o)
	}
	return p
}

// passes is a person who passes every gate, and counts.
func passes(asked *int) migrate.Options {
	return migrate.Options{Ask: func(context.Context, migrate.Question) (migrate.Answer, error) {
		*asked++
		return migrate.Answer{Word: migrate.Pass, Who: "lee@hall"}, nil
	}}
}

// takenBack fails unless the run went back to the end of keeps for that reason, and is open.
func (l *lab) takenBack(err error, keeps migrate.StepID, why string) {
	l.t.Helper()
	l.must(err, migrate.ErrRolledBack)
	if want := "rolled back, as far as the end of " + string(keeps) + ": " + why; err.Error() != want {
		l.t.Errorf("%q, not %q", err, want)
	}
	h := l.history()
	if h.State(false) != migrate.StateOpen || h.Direction != migrate.Forward {
		l.t.Errorf("state %q, direction %s", h.State(false), h.Direction)
	}
	var turns []string
	for _, r := range l.records() {
		if r.Kind == journal.Turned {
			turns = append(turns, string(r.Data))
		}
	}
	if len(turns) < 2 || !strings.Contains(turns[len(turns)-2], string(encoded(l.t, why))) {
		l.t.Errorf("%q is not in %q", why, turns)
	}
}

func encoded(t *testing.T, s string) []byte {
	t.Helper()
	b, err := migrate.EncodeOut(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// turns are the times at which the run was turned back.
func (l *lab) turns() (at []time.Time) {
	for _, r := range l.records() {
		if r.Kind == journal.Turned && strings.Contains(string(r.Data), `"back"`) {
			at = append(at, r.Time)
		}
	}
	return at
}

// A step of a phase with a limit that fails turns the run back, to before the gate right before the phase, and the gate is
// asked again.
func TestFailureTakesThePhaseBack(t *testing.T) {
	inLab(t, func(l *lab) {
		d, broken, asked := &diary{}, true, 0
		rb := func() *migrate.Runbook[migrate.Rehearsal] {
			return switching(d, limit, d.noting("a"), d.failing("b", &broken), d.noting("c"))
		}
		l.takenBack(l.run(rb(), passes(&asked), resume), "before", "phase switch: step b: injected")
		want := []string{"before+", "before-", "a+", "a-", "b fails", "undo b+", "undo b-", "undo a+", "undo a-"}
		if !slices.Equal(d.lines, want) {
			t.Errorf("%q", d.lines)
		}
		l.must(l.run(rb(), migrate.Options{}, resume), migrate.ErrWaiting)
		broken = false
		l.must(l.run(rb(), passes(&asked), resume), nil)
		if asked != 2 {
			t.Errorf("asked %d times", asked)
		}
		d.before(t, "undo a-", "c+", "c-", "after+")
	})
}

// Without a gate right before it the phase is taken back to the last step before it.
func TestTakenBackToTheStepBefore(t *testing.T) {
	inLab(t, func(l *lab) {
		broken := true
		rb := book(plain{spec: id("a")}, migrate.Gate{ID: "go"}, "|", plain{spec: id("b")}, limit, (&diary{}).failing("c", &broken))
		asked := 0
		l.takenBack(l.run(rb, passes(&asked), resume), "b", "phase switch: step c: injected")
		if g := l.step("go"); g.State != migrate.GateIsPassed {
			t.Errorf("the gate is %s", g.State)
		}
	})
}

// A failure that is worth another try is none before the last one, and whatever of a step fails counts.
func TestWhatIsAFailure(t *testing.T) {
	for _, x := range []struct {
		name string
		step func(n *int) plain
		why  string // "" when nothing turns
	}{
		{"a try that succeeds", func(n *int) plain {
			return plain{spec: migrate.Spec{ID: "x", Tries: 3}, run: func(_ context.Context, _ *migrate.Scope[struct{}], o plainOut) (plainOut, error) {
				if *n++; *n < 3 {
					return o, migrate.Transient(errInjected)
				}
				return o, nil
			}}
		}, ""},
		{"the last try", func(n *int) plain {
			return plain{spec: migrate.Spec{ID: "x", Tries: 3}, run: func(_ context.Context, _ *migrate.Scope[struct{}], o plainOut) (plainOut, error) {
				*n++
				return o, migrate.Transient(errInjected)
			}}
		}, "step x: injected"},
		{"a plan, before anything was begun", func(n *int) plain {
			return plain{spec: id("x"), plan: func(context.Context, *migrate.Scope[struct{}], migrate.Recorded[plainOut]) (migrate.Plan[plainOut], error) {
				*n = 3
				return migrate.Plan[plainOut]{}, errInjected
			}}
		}, "step x: injected"},
		{"a verification", func(n *int) plain {
			return plain{spec: id("x"), verify: func(context.Context, plainOut) error { *n = 3; return errInjected }}
		}, "step x: injected"},
		{"a timeout", func(n *int) plain {
			return plain{spec: migrate.Spec{ID: "x", Timeout: time.Second}, run: func(ctx context.Context, _ *migrate.Scope[struct{}], o plainOut) (plainOut, error) {
				*n = 3
				<-ctx.Done()
				return o, ctx.Err()
			}}
		}, "step x: took too long: more than 1s: context deadline exceeded"},
	} {
		t.Run(x.name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				n, asked := 0, 0
				err := l.run(switching(&diary{}, limit, x.step(&n)), passes(&asked), resume)
				if n != 3 {
					t.Errorf("%d tries", n)
				}
				if x.why == "" {
					l.must(err, nil)
					return
				}
				l.takenBack(err, "before", "phase switch: "+x.why)
			})
		})
	}
}

// deadlines are those of a step's intents, and when each was recorded.
func (l *lab) deadlines(step migrate.StepID) (at, until []time.Time) {
	for _, r := range l.records() {
		if r.Kind == journal.Intent && r.Step == string(step) {
			var d struct{ Deadline time.Time }
			if err := json.Unmarshal(r.Data, &d); err != nil {
				l.t.Fatal(err)
			}
			at, until = append(at, r.Time), append(until, d.Deadline)
		}
	}
	return at, until
}

// found is a step that has nothing to do.
func found(name migrate.StepID) plain {
	return plain{spec: id(name), plan: func(context.Context, *migrate.Scope[struct{}], migrate.Recorded[plainOut]) (migrate.Plan[plainOut], error) {
		return migrate.Done(plainOut{}), nil
	}}
}

// The first intent of the phase fixes the deadline, and no other does; what was found done is not begun. When all has been
// undone, the next intent fixes a new one.
func TestFirstIntentFixesTheDeadline(t *testing.T) {
	inLab(t, func(l *lab) {
		d, broken, asked := &diary{}, true, 0
		rb := func() *migrate.Runbook[migrate.Rehearsal] {
			a := d.noting("a")
			a.plan = func(_ context.Context, _ *migrate.Scope[struct{}], rec migrate.Recorded[plainOut]) (migrate.Plan[plainOut], error) {
				time.Sleep(time.Second) // after the record before
				return migrate.Plan[plainOut]{}, nil
			}
			return switching(d, limit, found("found"), a, d.failing("b", &broken))
		}
		told := 0
		l.takenBack(l.run(rb(), passes(&asked), func(r *migrate.Run) error {
			r.Listen(func(e migrate.Event) {
				if e, ok := e.(migrate.StepStarted); ok && !e.Deadline.IsZero() {
					told++
				}
			})
			return resume(r)
		}), "before", "phase switch: step b: injected")
		time.Sleep(time.Hour)
		broken = false
		l.must(l.run(rb(), passes(&asked), resume), nil)
		at, until := l.deadlines("a")
		if len(at) != 2 || !until[0].Equal(at[0].Add(limit)) || !until[1].Equal(at[1].Add(limit)) || at[1].Sub(at[0]) < time.Hour {
			t.Errorf("recorded at %s, deadlines %s", at, until)
		}
		for _, other := range []migrate.StepID{"before", "b", "after"} {
			if _, until := l.deadlines(other); slices.ContainsFunc(until, func(d time.Time) bool { return !d.IsZero() }) {
				t.Errorf("%s: deadlines %s", other, until)
			}
		}
		if told != 1 {
			t.Errorf("the events tell of %d deadlines", told)
		}
	})
}

// The deadline tells whoever runs to stop, whatever that is at, and the phase is taken back; one that is over in time is
// not.
func TestDeadlineTakesThePhaseBack(t *testing.T) {
	d := &diary{}
	hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	for _, x := range []struct {
		name  string
		steps []any
		runs  time.Duration // from the first intent until it is taken back; 0: it is over in time
	}{
		{"while a step runs", []any{d.lasting("a", time.Hour)}, limit},
		{"while a later step runs", []any{d.lasting("a", 20*time.Second), d.lasting("b", 20*time.Second)}, limit},
		{"in time", []any{d.lasting("a", 14*time.Second), d.lasting("b", 14*time.Second)}, 0},
		{"while a step is looked at", []any{d.lasting("a", time.Second), plain{spec: id("b"),
			plan: func(ctx context.Context, _ *migrate.Scope[struct{}], _ migrate.Recorded[plainOut]) (migrate.Plan[plainOut], error) {
				return migrate.Plan[plainOut]{}, hang(ctx)
			}}}, limit},
		{"while a step is verified", []any{plain{spec: id("a"), verify: func(ctx context.Context, _ plainOut) error { return hang(ctx) }}}, limit},
		{"between two tries", []any{plain{spec: migrate.Spec{ID: "a", Tries: 99}, run: func(_ context.Context, _ *migrate.Scope[struct{}], o plainOut) (plainOut, error) {
			return o, migrate.Transient(errInjected)
		}}}, limit},
		{"with a step that succeeds all the same", []any{plain{spec: id("a"), run: func(_ context.Context, _ *migrate.Scope[struct{}], o plainOut) (plainOut, error) {
			time.Sleep(40 * time.Second)
			return o, nil
		}}}, 40 * time.Second},
	} {
		t.Run(x.name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				*d = diary{}
				asked := 0
				began := time.Now().Add(time.Second) // what is before takes that long
				err := l.run(switching(d, limit, x.steps...), passes(&asked), func(r *migrate.Run) error {
					time.AfterFunc(2*time.Second, func() {
						if got := l.history().Phases()[1].Deadline; !got.Equal(began.Add(limit)) {
							t.Errorf("the history says %s, not %s", got, began.Add(limit))
						}
					})
					return resume(r)
				})
				if x.runs == 0 {
					l.must(err, nil)
					if got := l.history().Phases()[1].Deadline; !got.IsZero() {
						t.Errorf("it is over, and the history says %s", got)
					}
					return
				}
				l.takenBack(err, "before", "phase switch was not over within 30s")
				if took := l.turns()[0].Sub(began); took != x.runs {
					t.Errorf("it turned after %s, not %s", took, x.runs)
				}
				if slices.Contains(d.lines, "after+") {
					t.Errorf("%q", d.lines)
				}
			})
		})
	}
}

// There is no safe point in a phase with a limit: a pause takes effect when it is over, or has been taken back.
func TestPauseInThePhase(t *testing.T) {
	pausing := func(after time.Duration) func(*migrate.Run) error {
		return func(r *migrate.Run) error {
			time.AfterFunc(after, r.Pause)
			return resume(r)
		}
	}
	asked := 0
	for _, x := range []struct {
		name  string
		steps func(d *diary) []any
		pause time.Duration // "before" takes a second
		want  error
		lines string
	}{
		{"before it has begun", func(d *diary) []any { return []any{d.noting("a")} }, time.Second / 2, migrate.ErrPaused, "before+ before-"},
		{"it is over", func(d *diary) []any { return []any{d.noting("a"), d.noting("b")} }, 3 * time.Second / 2, migrate.ErrPaused,
			"before+ before- a+ a- b+ b-"},
		{"between two tries", func(d *diary) []any {
			n := 0
			return []any{plain{spec: migrate.Spec{ID: "a", Tries: 3}, run: func(_ context.Context, _ *migrate.Scope[struct{}], o plainOut) (plainOut, error) {
				if n++; n < 3 {
					return o, migrate.Transient(errInjected)
				}
				d.note("third")
				return o, nil
			}}}
		}, 3 * time.Second / 2, migrate.ErrPaused, "before+ before- third"},
		{"it is taken back", func(d *diary) []any {
			broken := true
			return []any{d.noting("a"), d.noting("b"), d.failing("c", &broken)}
		}, 3 * time.Second / 2, migrate.ErrRolledBack, "before+ before- a+ a- b+ b- c fails undo c+ undo c- undo b+ undo b- undo a+ undo a-"},
		{"it is being taken back", func(d *diary) []any {
			broken := true
			return []any{d.noting("a"), d.noting("b"), d.failing("c", &broken)}
		}, 7 * time.Second / 2, migrate.ErrRolledBack, "before+ before- a+ a- b+ b- c fails undo c+ undo c- undo b+ undo b- undo a+ undo a-"},
	} {
		t.Run(x.name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				d := &diary{}
				l.must(l.run(switching(d, limit, x.steps(d)...), passes(&asked), pausing(x.pause)), x.want)
				if got := strings.Join(d.lines, " "); got != x.lines {
					t.Errorf("%q, not %q", got, x.lines)
				}
				if s := l.history().State(false); s != migrate.StateOpen {
					t.Errorf("state %q", s)
				}
			})
		})
	}
}

// A rollback that goes further can be paused when what was begun of the phase is undone.
func TestPauseOfALongRollback(t *testing.T) {
	inLab(t, func(l *lab) {
		d, asked := &diary{}, 0
		b := l.killedIn(d, "b")
		rb := func() *migrate.Runbook[migrate.Rehearsal] { return switching(d, limit, d.noting("a"), b) }
		l.crash(l.run(rb(), passes(&asked), resume))
		d.lines = nil
		l.must(l.run(rb(), passes(&asked), func(r *migrate.Run) error {
			time.AfterFunc(time.Second/2, r.Pause)
			return rollback(r)
		}), migrate.ErrPaused)
		if want := []string{"undo b+", "undo b-", "undo a+", "undo a-"}; !slices.Equal(d.lines, want) {
			t.Errorf("%q", d.lines)
		}
	})
}

// An undo that fails needs a person, as everywhere; a resume goes on back, and says where to and why when it is done.
func TestFailedUndoInThePhase(t *testing.T) {
	inLab(t, func(l *lab) {
		d, broken, stuck, asked := &diary{}, true, true, 0
		a := d.noting("a")
		a.undo = func(context.Context, migrate.Recorded[plainOut]) error {
			if stuck {
				return errInjected
			}
			return nil
		}
		rb := func() *migrate.Runbook[migrate.Rehearsal] { return switching(d, limit, a, d.failing("b", &broken)) }
		l.must(l.run(rb(), passes(&asked), resume), migrate.ErrNeedsPerson)
		if s := l.history().State(false); s != migrate.StateNeedsPerson {
			t.Errorf("state %q", s)
		}
		time.Sleep(time.Hour)
		l.must(l.run(rb(), passes(&asked), resume), migrate.ErrNeedsPerson)
		stuck = false
		l.takenBack(l.run(rb(), passes(&asked), resume), "before", "phase switch: step b: injected")
	})
}

// A process that is killed while the phase is taken back: the next one goes on with that, and the run is open then.
func TestKilledWhileItIsTakenBack(t *testing.T) {
	inLab(t, func(l *lab) {
		d, broken, asked, n := &diary{}, true, 0, 0
		a := d.noting("a")
		a.undo = func(context.Context, migrate.Recorded[plainOut]) error {
			if n++; n == 1 {
				l.life.Kill("test")
			}
			return nil
		}
		rb := func() *migrate.Runbook[migrate.Rehearsal] { return switching(d, limit, a, d.failing("b", &broken)) }
		l.crash(l.run(rb(), passes(&asked), resume))
		time.Sleep(time.Hour)
		l.takenBack(l.run(rb(), passes(&asked), resume), "before", "phase switch: step b: injected")
		if n != 2 {
			t.Errorf("undone %d times", n)
		}
		broken = false
		l.must(l.run(rb(), passes(&asked), resume), nil)
		if asked != 2 {
			t.Errorf("asked %d times", asked)
		}
	})
}

// A person who rolls back into the middle of a phase that isn't over leaves its deadline where it was; of one that was
// over, what is begun again has a new one.
func TestRollbackIntoThePhase(t *testing.T) {
	for _, over := range []bool{false, true} {
		inLab(t, func(l *lab) {
			d, asked := &diary{}, 0
			c := l.killedIn(d, "c")
			if over {
				c = d.noting("c")
			}
			rb := func() *migrate.Runbook[migrate.Rehearsal] {
				return book(d.noting("before"), migrate.Gate{ID: "go"}, limit, d.noting("a"), d.noting("b"), c, "|", migrate.Gate{ID: "last"})
			}
			o := migrate.Options{Ask: func(_ context.Context, q migrate.Question) (migrate.Answer, error) {
				asked++
				return migrate.Answer{Word: map[migrate.StepID]migrate.Word{"go": migrate.Pass}[q.Gate]}, nil
			}}
			if err := l.run(rb(), o, resume); over {
				l.must(err, migrate.ErrWaiting)
			} else {
				l.crash(err)
			}
			l.must(l.run(rb(), o, func(r *migrate.Run) error { return r.Rollback(context.Background(), "a", "test") }), nil)
			time.Sleep(time.Hour)
			if !over {
				l.takenBack(l.run(rb(), o, resume), "before", "phase switch was not over within 30s")
				return
			}
			l.must(l.run(rb(), o, resume), migrate.ErrWaiting)
			if at, until := l.deadlines("b"); len(until) != 2 || !until[0].IsZero() || !until[1].Equal(at[1].Add(limit)) {
				t.Errorf("deadlines %s", until)
			}
		})
	}
}

// A service's intent fixes the deadline too; one that has not come up by then has stopped before it is undone, and one that
// must be drained is drained.
func TestServiceInThePhase(t *testing.T) {
	for _, up := range []bool{false, true} {
		inLab(t, func(l *lab) {
			at, n, follows, asked := 0.0, 0, false, 0
			sv := undoing{plainService{n: &n, at: &at, follow: func(ctx context.Context, f *migrate.Feed[float64], _ int) error {
				follows = true
				defer func() { follows = false }()
				if up {
					return followTo(ctx, f, &at)
				}
				<-ctx.Done()
				time.Sleep(3 * time.Second) // it heeds its context, and takes a moment
				return ctx.Err()
			}}, func() {
				if follows {
					t.Error("it is undone while it follows")
				}
			}}
			rb := migrate.NewRunbook[migrate.Rehearsal]()
			rb.Phase("first")
			add(rb, plain{spec: id("before")})
			rb.PhaseWithin("switch", limit)
			eye := migrate.Look("nothing", struct{}{})
			ref := migrate.AddService(rb, sv, eye, migrate.NoHands[migrate.Rehearsal](eye))
			add(rb, (&diary{}).lasting("x", time.Hour))
			rb.Phase("last")
			migrate.DrainToTip(rb, "drain", ref)
			l.takenBack(l.run(rb, passes(&asked), resume), "before", "phase switch was not over within 30s")
			if rec, until := l.deadlines("service"); len(until) != 1 || !until[0].Equal(rec[0].Add(limit)) {
				t.Errorf("deadlines %s", until)
			}
			if up != (at == 10) || n != 1 {
				t.Errorf("started %d times, drained to %v", n, at)
			}
		})
	}
}

// A drain that is cut off by the deadline leaves the service to go on, now and in the next process.
func TestDrainCutOffByTheDeadline(t *testing.T) {
	inLab(t, func(l *lab) {
		at, n, asked := 0.0, 0, 0
		sv := plainService{n: &n, at: &at, follow: func(ctx context.Context, f *migrate.Feed[float64], n int) error {
			if n == 1 {
				f.Applied(at, 0)
				<-ctx.Done() // it never gets there
				return ctx.Err()
			}
			return followTo(ctx, f, &at)
		}}
		rb := func() *migrate.Runbook[migrate.Rehearsal] {
			rb := migrate.NewRunbook[migrate.Rehearsal]()
			rb.Phase("follow")
			eye := migrate.Look("nothing", struct{}{})
			ref := migrate.AddService(rb, sv, eye, migrate.NoHands[migrate.Rehearsal](eye))
			rb.PhaseWithin("switch", limit)
			add(rb, plain{spec: id("a")})
			migrate.DrainToTip(rb, "drain", ref)
			return rb
		}
		l.takenBack(l.run(rb(), passes(&asked), resume), "service", "phase switch was not over within 30s")
		if s := l.step("service"); s.State != migrate.ServiceUp || n != 1 {
			t.Errorf("the service is %s, started %d times", s.State, n)
		}
		l.must(l.run(rb(), passes(&asked), resume), nil)
		if at != 10 {
			t.Errorf("drained to %v", at)
		}
	})
}

// undoing is a plainService that says when it is undone.
type undoing struct {
	plainService
	undo func()
}

func (u undoing) Undo(context.Context, *migrate.Scope[struct{}], migrate.Recorded[float64]) error {
	u.undo()
	return nil
}

// What can't be taken back without a person, or leaves nothing to go back to, is refused.
func TestPhaseWithinProblems(t *testing.T) {
	a, b := plain{spec: id("a")}, plain{spec: id("b")}
	point := migrate.Gate{ID: "point", PointOfNoReturn: true}
	for _, x := range []struct {
		want  string
		steps []any
	}{
		{"", []any{a, migrate.Gate{ID: "go"}, limit, b}},
		{"", []any{a, limit, b}},
		{"", []any{a, point, "|", plain{spec: id("c")}, limit, b}},
		{`phase "switch": its limit is 0s, and must be longer than that`, []any{a, time.Duration(0), b}},
		{`phase "switch": its limit is -1s, and must be longer than that`, []any{a, -time.Second, b}},
		{`go: waits for a person, and phase "switch" has a limit`, []any{a, limit, b, migrate.Gate{ID: "go"}}},
		{`b: is a point of no return, and phase "switch" is taken back when its limit has passed`,
			[]any{a, point, "|", plain{spec: id("c")}, limit, plain{spec: migrate.Spec{ID: "b", PointOfNoReturn: true}}}},
		{`b: stands right after the point of no return point, and phase "switch" is taken back to before that`, []any{a, point, limit, b}},
		{`b: phase "switch" has a limit, and there is nothing before it to go back to`, []any{limit, b}},
		{`b: phase "switch" has a limit, and there is nothing before it to go back to`, []any{migrate.Gate{ID: "go"}, limit, b}},
	} {
		err := book(x.steps...).Err()
		if x.want == "" && err != nil || x.want != "" && (err == nil || !strings.Contains(err.Error(), x.want)) {
			t.Errorf("%q is not in %v", x.want, err)
		}
	}
}

// A plan shows the limit of a phase, and of no other.
func TestPlanShowsTheLimit(t *testing.T) {
	out, err := switching(&diary{}, limit, plain{spec: id("a")}).Plan(t.Context(), migrate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []time.Duration{0, limit, 0} {
		if got := out.Phases[i].Within; got != want {
			t.Errorf("phase %s: %s", out.Phases[i].Name, got)
		}
	}
}
