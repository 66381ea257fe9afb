package requests_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal"
	"github.com/slipway-dev/slipway/migrate/requests"
)

const runID = "20261123-010203-7f3a"

var self = requests.Process{Host: "desk", PID: 4711}

// out is a step's result.
type out struct{ N int }

// step does what its test says.
type step struct {
	id  migrate.StepID
	run func(context.Context) error
}

func (s step) Spec() migrate.Spec { return migrate.Spec{ID: s.id} }
func (s step) Plan(context.Context, *migrate.Scope[struct{}], migrate.Recorded[out]) (migrate.Plan[out], error) {
	return migrate.Plan[out]{Want: out{1}}, nil
}
func (s step) Run(ctx context.Context, _ *migrate.Scope[struct{}], want out) (out, error) {
	if s.run == nil {
		return want, nil
	}
	return want, s.run(ctx)
}
func (s step) Verify(context.Context, *migrate.Scope[struct{}], out) error { return nil }
func (s step) Undo(context.Context, *migrate.Scope[struct{}], migrate.Recorded[out]) error {
	return nil
}

// found is a step that holds already, so that a resume has nothing to ask about it.
type found struct{ step }

func (s found) Plan(context.Context, *migrate.Scope[struct{}], migrate.Recorded[out]) (migrate.Plan[out], error) {
	return migrate.Done(out{1}), nil
}

// follow is a service that lags as its test says.
type follow struct{ lag *time.Duration }

func (f follow) Spec() migrate.Spec { return migrate.Spec{ID: "follow"} }
func (f follow) Plan(context.Context, *migrate.Scope[struct{}], migrate.Recorded[out]) (migrate.Plan[out], error) {
	return migrate.Plan[out]{}, nil
}
func (f follow) Follow(ctx context.Context, _ *migrate.Scope[struct{}], feed *migrate.Feed[out]) error {
	feed.Applied(out{}, *f.lag)
	select {
	case <-feed.Until():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
func (f follow) Tip(context.Context, *migrate.Scope[struct{}]) (out, error)  { return out{}, nil }
func (f follow) Verify(context.Context, *migrate.Scope[struct{}], out) error { return nil }
func (f follow) Undo(context.Context, *migrate.Scope[struct{}], migrate.Recorded[out]) error {
	return nil
}

// desk is a run's directory, with the terminals around it.
type desk struct {
	t    *testing.T
	dir  *journal.Dir
	box  *requests.Box
	told []string
}

func newDesk(t *testing.T) *desk {
	dir, err := journal.MakeDir(filepath.Join(t.TempDir(), "runs"), runID)
	if err != nil {
		t.Fatal(err)
	}
	return &desk{t: t, dir: dir, box: requests.In(dir.Path())}
}

// gated is a runbook with one gate between two steps.
func gated(before, after func(context.Context) error) func() *migrate.Runbook[migrate.Rehearsal] {
	return func() *migrate.Runbook[migrate.Rehearsal] {
		rb := migrate.NewRunbook[migrate.Rehearsal]()
		eye := migrate.Look("nothing", struct{}{})
		rb.Phase("before")
		if before == nil {
			migrate.Add(rb, found{step{id: "before"}}, eye, migrate.NoHands[migrate.Rehearsal](eye))
		} else {
			migrate.Add(rb, step{"before", before}, eye, migrate.NoHands[migrate.Rehearsal](eye))
		}
		rb.Phase("go")
		migrate.AddGate(rb, migrate.Gate{ID: "go", Title: "go on"})
		rb.Phase("after")
		migrate.Add(rb, step{"after", after}, eye, migrate.NoHands[migrate.Rehearsal](eye))
		return rb
	}
}

// nobody is a terminal at which nobody sits, sitting one at which somebody thinks for as long as he may.
func nobody(context.Context, migrate.Question) (migrate.Answer, error) { return migrate.Answer{}, nil }
func sitting(ctx context.Context, _ migrate.Question) (migrate.Answer, error) {
	<-ctx.Done()
	return migrate.Answer{}, ctx.Err()
}

func resume(ctx context.Context, r *migrate.Run) error { return r.Resume(ctx) }

// process is one on the run, with a clerk.
func (d *desk) process(rb func() *migrate.Runbook[migrate.Rehearsal], prompt func(context.Context, migrate.Question) (migrate.Answer, error),
	work func(context.Context, *migrate.Run) error) error {
	d.t.Helper()
	c := requests.NewClerk(d.box, self, prompt, func(r requests.Request) { d.told = append(d.told, r.String()) })
	run := d.open(rb, c.Ask)
	if err := c.Attend(run); err != nil {
		d.t.Fatal(err)
	}
	err := work(context.Background(), run)
	if err := errors.Join(c.Leave(), run.Close()); err != nil {
		d.t.Error(err)
	}
	return err
}

func (d *desk) open(rb func() *migrate.Runbook[migrate.Rehearsal], ask func(context.Context, migrate.Question) (migrate.Answer, error)) *migrate.Run {
	d.t.Helper()
	o := migrate.Options{Who: "kim@desk", Host: self.Host, PID: self.PID, Ask: ask}
	run, err := migrate.Open(d.dir, rb(), o)
	if errors.Is(err, migrate.ErrNoRun) {
		run, err = migrate.Begin(d.dir, runID, rb(), o)
	}
	if err != nil {
		d.t.Fatal(err)
	}
	return run
}

// put leaves a request for the gate as it is open now.
func (d *desk) put(r requests.Request) string {
	d.t.Helper()
	r.Who, r.From = "lee@hall", "pts/3"
	if r.Gate != "" && r.Opening == 0 {
		r.Opening = d.gate().Opening
	}
	r, err := d.box.Put(r)
	if err != nil {
		d.t.Fatal(err)
	}
	return r.ID
}

func (d *desk) gate() migrate.StepHistory {
	d.t.Helper()
	h, err := migrate.ReadHistory(d.dir)
	if err != nil {
		d.t.Fatal(err)
	}
	g, _ := h.Step("go")
	return g
}

// answered fails unless a request has that answer.
func (d *desk) answered(id string, accepted bool, why string) {
	d.t.Helper()
	a, ok, err := d.box.Answered(id)
	if err != nil || !ok || a.Accepted != accepted || !strings.Contains(a.Why, why) {
		d.t.Errorf("request %s: answered %v: %+v %v; want %v, %q", id, ok, a, err, accepted, why)
	}
}

func (d *desk) pending(want ...string) {
	d.t.Helper()
	list, _, err := d.box.Pending()
	var ids []string
	for _, r := range list {
		ids = append(ids, r.ID)
	}
	if err != nil || !slices.Equal(ids, want) {
		d.t.Errorf("pending: %q %v, want %q", ids, err, want)
	}
}

func (d *desk) must(got, want error) {
	d.t.Helper()
	if !errors.Is(got, want) {
		d.t.Fatalf("%v, want %v", got, want)
	}
}

// soon waits until the gate is open.
func (d *desk) soon(state migrate.StepState) {
	d.t.Helper()
	for range 500 {
		if h, err := migrate.ReadHistory(d.dir); err == nil {
			if g, _ := h.Step("go"); g.State == state {
				return
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	d.t.Fatalf("the gate did not come to %s", state)
}

// Another terminal's word ends the prompt, and all of it is in the journal.
func TestAnotherTerminalPasses(t *testing.T) {
	d := newDesk(t)
	id := ""
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.soon(migrate.GateWaits)
		id = d.put(requests.Request{Ask: requests.Pass, Gate: "go", Why: "all green"})
	}()
	d.must(d.process(gated(nil, nil), sitting, resume), nil)
	<-done
	d.answered(id, true, "pass gate go: done")
	text, err := os.ReadFile(filepath.Join(d.dir.Path(), journal.Name))
	if err != nil {
		t.Fatal(err)
	}
	if want := `"who":"lee@hall","from":"pts/3","why":"all green","request":"` + id + `"`; !strings.Contains(string(text), want) {
		t.Errorf("no %s in\n%s", want, text)
	}
}

// What is asked while no process holds the run counts at the next resume, once; also when the process that carried it out
// was killed before it could answer.
func TestAskedWhileNobodyHolds(t *testing.T) {
	for _, ask := range []requests.Asked{requests.Pass, requests.Abort} {
		for _, killed := range []bool{false, true} {
			d := newDesk(t)
			d.must(d.process(gated(nil, nil), nobody, resume), migrate.ErrWaiting)
			id := d.put(requests.Request{Ask: ask, Gate: "go"})
			d.pending(id)
			ends := map[requests.Asked]error{requests.Pass: nil, requests.Abort: migrate.ErrRolledBack}[ask]
			if killed { // it has recorded the word, and answers no more
				word := map[requests.Asked]migrate.Word{requests.Pass: migrate.Pass, requests.Abort: migrate.Abort}[ask]
				run := d.open(gated(nil, nil), func(context.Context, migrate.Question) (migrate.Answer, error) {
					return migrate.Answer{Word: word, Request: id}, nil
				})
				d.must(run.Resume(context.Background()), ends)
				d.must(run.Close(), nil)
				d.pending(id)
			}
			asked := false
			d.must(d.process(gated(nil, nil), func(context.Context, migrate.Question) (migrate.Answer, error) {
				asked = true
				return migrate.Answer{}, nil
			}, resume), ends)
			if asked {
				t.Error("somebody was asked all the same")
			}
			d.pending()
			d.answered(id, true, string(ask)+" gate go: done")
		}
	}
}

// A word for a gate that was decided already is refused, and so is one that was meant for an earlier opening of it.
func TestLateWords(t *testing.T) {
	d := newDesk(t)
	d.must(d.process(gated(nil, nil), nobody, resume), migrate.ErrWaiting)
	first, second := d.put(requests.Request{Ask: requests.Pass, Gate: "go"}), d.put(requests.Request{Ask: requests.Pass, Gate: "go"})
	d.must(d.process(gated(nil, func(context.Context) error { return errors.New("not yet") }), nobody, func(ctx context.Context, r *migrate.Run) error {
		if err := r.Resume(ctx); err == nil || errors.Is(err, migrate.ErrWaiting) {
			t.Errorf("the first pass did not count: %v", err)
		}
		return nil
	}), nil)
	d.answered(first, true, "done")
	d.answered(second, false, "passed already, by lee@hall at ")

	old := d.gate().Opening
	left := d.put(requests.Request{Ask: requests.Pass, Gate: "go", Opening: old})
	bare := d.open(gated(nil, nil), nil) // no clerk: the request is still there when the gate is opened again
	if err := bare.Rollback(context.Background(), "before", "try again"); err != nil {
		t.Fatal(err)
	}
	d.must(bare.Close(), nil)
	d.pending(left)
	d.must(d.process(gated(nil, nil), nobody, resume), migrate.ErrWaiting)
	if again := d.gate().Opening; again <= old {
		t.Fatalf("opened by record %d, and then by %d", old, again)
	}
	d.answered(left, false, "an earlier opening")
}

// Of two words for one gate, the one that turns the run back counts, whichever was given first.
func TestAbortBeforePass(t *testing.T) {
	d := newDesk(t)
	d.must(d.process(gated(nil, nil), nobody, resume), migrate.ErrWaiting)
	pass, abort := d.put(requests.Request{Ask: requests.Pass, Gate: "go"}), d.put(requests.Request{Ask: requests.Abort, Gate: "go", Why: "no"})
	d.must(d.process(gated(nil, nil), nobody, resume), migrate.ErrRolledBack)
	d.answered(abort, true, "done")
	d.answered(pass, false, "")
}

// A pass while a service lags too far behind is refused, with the reason; the health is that of the moment of the pass.
func TestHealthAtThePass(t *testing.T) {
	d := newDesk(t)
	lag := time.Minute
	rb := func() *migrate.Runbook[migrate.Rehearsal] {
		rb := migrate.NewRunbook[migrate.Rehearsal]()
		eye := migrate.Look("nothing", struct{}{})
		rb.Phase("follow")
		sv := migrate.AddService(rb, follow{&lag}, eye, migrate.NoHands[migrate.Rehearsal](eye))
		migrate.AddGate(rb, migrate.Gate{ID: "go", Healthy: []migrate.Dep{sv.Dep()}, MaxLag: time.Second})
		migrate.DrainToTip(rb, "drain", sv)
		return rb
	}
	d.must(d.process(rb, nobody, resume), migrate.ErrWaiting)
	id := d.put(requests.Request{Ask: requests.Pass, Gate: "go"})
	d.must(d.process(rb, nobody, resume), migrate.ErrWaiting)
	d.answered(id, false, "follow lags by 1m0s, and may by 1s")
	lag = 0
	id = d.put(requests.Request{Ask: requests.Pass, Gate: "go"})
	d.must(d.process(rb, nobody, resume), nil)
	d.answered(id, true, "done")
}

// Turning the run back: what runs is told to stop, and the answer comes when that is on record. A process that is killed
// before that leaves the request to the next one, which turns before it starts anything.
func TestAbortTheRun(t *testing.T) {
	d := newDesk(t)
	started := make(chan struct{})
	slow := func(ctx context.Context) error {
		close(started)
		<-ctx.Done()
		return ctx.Err()
	}
	ended := make(chan error)
	go func() { ended <- d.process(gated(slow, nil), nobody, resume) }()
	<-started
	id := d.put(requests.Request{Ask: requests.Abort, Why: "enough"})
	d.must(<-ended, migrate.ErrRolledBack)
	d.answered(id, true, "has turned")
	if h, err := migrate.ReadHistory(d.dir); err != nil || h.TurnedBy != id || h.Why != "enough" || !slices.Equal(d.told, []string{"turn the run back"}) {
		t.Errorf("%+v %v %q", h, err, d.told)
	}

	d = newDesk(t)
	d.must(d.process(gated(func(context.Context) error { return errors.New("injected") }, nil), nobody, func(ctx context.Context, r *migrate.Run) error {
		if r.Resume(ctx) == nil {
			t.Error("the step did not fail")
		}
		return nil
	}), nil)
	id = d.put(requests.Request{Ask: requests.Abort, Why: "enough"})
	d.must(d.process(gated(func(context.Context) error {
		t.Error("it was started after the run was told to turn back")
		return nil
	}, nil), nobody, resume), migrate.ErrRolledBack)
	d.answered(id, true, "has turned")
	late := d.put(requests.Request{Ask: requests.Abort, Why: "enough"})
	d.must(d.process(gated(nil, nil), nobody, resume), migrate.ErrRolledBack)
	d.answered(late, false, "goes back already")
}

// A pause is for the process that it was meant for, and for no other.
func TestPause(t *testing.T) {
	d := newDesk(t)
	slow := func(context.Context) error {
		d.put(requests.Request{Ask: requests.Pause, Of: self})
		time.Sleep(500 * time.Millisecond)
		return nil
	}
	d.must(d.process(gated(slow, nil), nobody, resume), migrate.ErrPaused)
	d.pending()
	d = newDesk(t)
	id := d.put(requests.Request{Ask: requests.Pause, Of: requests.Process{Host: "desk", PID: 4712}})
	d.must(d.process(gated(nil, nil), nobody, resume), migrate.ErrWaiting)
	d.answered(id, false, "process 4712 on desk, which it was for, has ended")
	id = d.put(requests.Request{Ask: requests.Pause, Of: self}) // as in a container, where each process has that number
	d.must(d.process(gated(nil, nil), nobody, resume), migrate.ErrWaiting)
	d.answered(id, false, "has ended")
}

// What is no request is refused and does nothing.
func TestBadRequests(t *testing.T) {
	d := newDesk(t)
	d.must(d.process(gated(nil, nil), nobody, resume), migrate.ErrWaiting)
	good := d.put(requests.Request{Ask: requests.Abort, Gate: "no-such-gate", Opening: 1})
	box := filepath.Join(d.dir.Path(), "requests")
	opening := strconv.FormatUint(d.gate().Opening, 10)
	for i, text := range []string{"{", `{"id":"20261123-010203.000000009-7f3a","ask":"pass","gate":"go","opening":` + opening + `,"who":"x","when":"2026-11-23T01:02:03Z"}`, `{"id":"20261123-010203.000000002-7f3a","ask":"finalize","who":"x","when":"2026-11-23T01:02:03Z"}`,
		`{"id":"20261123-010203.000000003-7f3a","ask":"pass","who":"x","when":"2026-11-23T01:02:03Z"}`,
		`{"id":"20261123-010203.000000004-7f3a","ask":"pass","gate":"go","opening":` + opening + `,"force":true,"who":"x","when":"2026-11-23T01:02:03Z"}`} {
		name := "20261123-010203.00000000" + string(rune('0'+i)) + "-7f3a"
		if err := os.WriteFile(filepath.Join(box, name+".json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		defer d.answered(name, false, "")
	}
	d.must(d.process(gated(nil, nil), nobody, resume), migrate.ErrWaiting)
	d.answered(good, false, "no gate no-such-gate")
	d.pending()
}

// Requests and answers are their owner's alone, and written whole: nothing else is left beside them.
func TestFiles(t *testing.T) {
	d := newDesk(t)
	if _, err := d.box.Put(requests.Request{Ask: "finalize"}); err == nil {
		t.Error("took a request that nobody knows")
	}
	a, b := d.put(requests.Request{Ask: requests.Pause}), d.put(requests.Request{Ask: requests.Abort, Why: "x"})
	d.pending(a, b)
	if err := d.box.Answer(a, requests.Answer{Accepted: true}); err != nil {
		t.Fatal(err)
	}
	if err := d.box.Answer(a, requests.Answer{}); err == nil {
		t.Error("answered twice")
	}
	d.answered(a, true, "")
	d.pending(b)
	box := filepath.Join(d.dir.Path(), "requests")
	entries, err := os.ReadDir(box)
	if err != nil || len(entries) != 3 {
		t.Errorf("%v %v", entries, err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", e.Name(), info.Mode(), err)
		}
	}
	if info, err := os.Stat(box); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}

// Said at the run's own terminal and in another one at the same moment, the word that turns the run back counts.
func TestAbortHereWhilePassThere(t *testing.T) {
	d := newDesk(t)
	id := ""
	d.must(d.process(gated(nil, nil), func(ctx context.Context, _ migrate.Question) (migrate.Answer, error) {
		id = d.put(requests.Request{Ask: requests.Pass, Gate: "go"})
		<-ctx.Done()
		return migrate.Answer{Word: migrate.Abort, Why: "no"}, nil
	}, resume), migrate.ErrRolledBack)
	d.answered(id, false, "")
}

// A run that was turned by a request, has gone back as far as its legs do and is open again has done what it was asked: the
// next process doesn't turn it once more, though the one before had no time to answer.
func TestAbortOfARunThatGoesOn(t *testing.T) {
	d := newDesk(t)
	rb := gated(nil, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	o := migrate.Options{Who: "kim@desk", Host: self.Host, PID: self.PID, Ending: migrate.EndDone(migrate.Leg{Name: "take back", DownTo: "before"}),
		Ask: func(context.Context, migrate.Question) (migrate.Answer, error) {
			return migrate.Answer{Word: migrate.Pass}, nil
		}}
	run, err := migrate.Begin(d.dir, runID, rb(), o)
	if err != nil {
		t.Fatal(err)
	}
	id := d.put(requests.Request{Ask: requests.Abort, Why: "enough"})
	if err := run.Abort(migrate.Answer{Who: "lee@hall", Why: "enough", Request: id}); err != nil {
		t.Fatal(err)
	}
	d.must(run.Resume(t.Context()), migrate.ErrRolledBack)
	if err := run.Close(); err != nil {
		t.Fatal(err)
	}
	d.must(d.process(rb, nobody, resume), migrate.ErrWaiting)
	d.answered(id, true, "has turned")
	if len(d.told) > 0 {
		t.Errorf("the run was told again to %q", d.told)
	}
}

// A run that is over, or kept, is not turned by a request that nobody took in time.
func TestAbortAfterTheEnd(t *testing.T) {
	d := newDesk(t)
	pass := func(context.Context, migrate.Question) (migrate.Answer, error) {
		return migrate.Answer{Word: migrate.Pass}, nil
	}
	d.must(d.process(gated(nil, nil), pass, resume), nil)
	id := d.put(requests.Request{Ask: requests.Abort, Why: "late"})
	d.must(d.process(gated(nil, nil), pass, resume), nil)
	d.answered(id, false, "the run is done; to take it back: slipway rollback "+runID)
}

// A word for another opening is no answer either in the moment before it has been refused.
func TestWordOfAnotherOpening(t *testing.T) {
	d := newDesk(t)
	d.must(d.process(gated(nil, nil), nobody, resume), migrate.ErrWaiting)
	d.put(requests.Request{Ask: requests.Pass, Gate: "go", Opening: 5})
	c := requests.NewClerk(d.box, self, nobody, func(requests.Request) {})
	for opening, want := range map[uint64]migrate.Word{5: migrate.Pass, 9: migrate.NoWord} {
		if a, err := c.Ask(context.Background(), migrate.Question{Gate: "go", Opening: opening}); err != nil || a.Word != want {
			t.Errorf("opening %d: %+v %v", opening, a, err)
		}
	}
}
