package migrate_test

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal/crashfs"
)

// brief is an event without what differs from one time to the next.
func brief(e migrate.Event) string {
	b, err := migrate.EventJSON(e)
	if err != nil {
		return err.Error()
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		return err.Error()
	}
	s := m["event"].(string)
	for _, k := range []string{"phase", "step", "back", "resumed", "attempt", "found", "nothing", "direction", "state", "gate", "decision", "life", "doing", "error"} {
		if v, ok := m[k]; ok && !(k == "phase" && m["step"] != nil) {
			s += fmt.Sprintf(" %s=%v", k, v)
		}
	}
	return s
}

// passed says that an event is a passing one.
func passed(e migrate.Event) bool {
	switch e.(type) {
	case migrate.StepLooking, migrate.StepLooked, migrate.StepProgress, migrate.StepRetrying, migrate.StepStuck, migrate.ServiceHealth, migrate.StreamBroken:
		return true
	}
	return false
}

func TestEventsTellTheRun(t *testing.T) {
	inLab(t, func(l *lab) {
		fail := true
		b := plain{spec: id("b"), run: func(_ context.Context, _ *migrate.Scope[struct{}], o plainOut) (plainOut, error) {
			if fail {
				return o, errInjected
			}
			return o, nil
		}}
		found := plain{spec: id("found"), plan: func(context.Context, *migrate.Scope[struct{}], migrate.Recorded[plainOut]) (migrate.Plan[plainOut], error) {
			return migrate.Done(plainOut{5}), nil
		}}
		rb := func() *migrate.Runbook[migrate.Rehearsal] {
			return book(plain{spec: id("a")}, "|", found, b, "|", migrate.Gate{ID: "gate"})
		}
		var lives [2][]string
		for i := range lives {
			o := migrate.Options{Parallel: 1, Ask: answers(migrate.Pass), Ending: migrate.EndWithRollback(legs2...)}
			err := l.run(rb(), o, func(r *migrate.Run) error {
				r.Listen(func(e migrate.Event) {
					if !passed(e) {
						lives[i] = append(lives[i], brief(e))
					}
				})
				return resume(r)
			})
			l.must(err, []error{errInjected, nil}[i])
			fail = false
		}
		want := [2][]string{{
			"run-opened life=1", "phase-started phase=phase 0",
			"step-started step=a attempt=1", "step-done step=a", "step-verified step=a", "phase-ended phase=phase 0",
			"phase-started phase=phase 1",
			"step-done step=found found=true", "step-verified step=found",
			"step-started step=b attempt=1", "step-failed step=b doing=run error=injected",
		}, {
			"run-opened life=2", "phase-started phase=phase 1 resumed=true",
			"step-started step=b attempt=2", "step-done step=b", "step-verified step=b", "phase-ended phase=phase 1",
			"phase-started phase=phase 4", "gate-opened gate=gate", "gate-decided gate=gate decision=pass", "phase-ended phase=phase 4",
			"run-turned direction=back", "phase-started phase=above back=true",
			"step-undone step=gate nothing=true", "undo-started step=b", "step-undone step=b", "step-undone step=found nothing=true", "phase-ended phase=above back=true",
			"phase-started phase=the rest back=true", "undo-started step=a", "step-undone step=a", "phase-ended phase=the rest back=true",
			"run-closed state=done",
		}}
		for i := range want {
			if !slices.Equal(lives[i], want[i]) {
				t.Errorf("life %d:\n%s\nnot\n%s", i+1, strings.Join(lives[i], "\n"), strings.Join(want[i], "\n"))
			}
		}
		var all []string // the same from the journal alone
		if err := migrate.ReadEvents(l.d.Process(crashfs.NewLife(0)), func(e migrate.Event) error { all = append(all, brief(e)); return nil }); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(all, slices.Concat(lives[0], lives[1])) {
			t.Errorf("from the journal:\n%s", strings.Join(all, "\n"))
		}
	})
}

// moving is a step that reports progress n times.
func moving(n int, pause time.Duration) plain {
	return plain{spec: migrate.Spec{ID: "mover", Timeout: 1000 * time.Hour}, run: func(_ context.Context, s *migrate.Scope[struct{}], o plainOut) (plainOut, error) {
		for i := range n {
			s.Progress(migrate.Progress{What: "copy", Done: int64(i), Total: int64(n), Unit: "rows"})
			if pause > 0 {
				time.Sleep(pause)
			}
		}
		s.Moved(migrate.Tally{Rows: 3, Bytes: 40})
		s.Moved(migrate.Tally{Rows: 4})
		return o, nil
	}}
}

// Progress is shown a few times a second, and the latest of it last.
func TestProgressIsRateLimited(t *testing.T) {
	inLab(t, func(l *lab) {
		var seen []int64
		err := l.run(book(moving(1000, 10*time.Millisecond)), migrate.Options{}, func(r *migrate.Run) error {
			r.Listen(func(e migrate.Event) {
				if p, ok := e.(migrate.StepProgress); ok {
					seen = append(seen, p.Done)
				}
			})
			return resume(r)
		})
		l.must(err, nil)
		if len(seen) < 35 || len(seen) > 45 || !slices.IsSorted(seen) { // 10 s
			t.Errorf("%d reports: %v", len(seen), seen)
		}
		if s := l.step("mover"); s.Moved != (migrate.Tally{Rows: 7, Bytes: 40}) {
			t.Errorf("moved %+v", s.Moved)
		}
	})
}

// The last report before a long silence is shown, although it came too soon after the one before.
func TestLastProgressIsShown(t *testing.T) {
	inLab(t, func(l *lab) {
		var last atomic.Value
		p := plain{spec: id("waits"), run: func(_ context.Context, s *migrate.Scope[struct{}], o plainOut) (plainOut, error) {
			s.Progress(migrate.Progress{What: "create"})
			time.Sleep(10 * time.Millisecond)
			s.Progress(migrate.Progress{What: "wait for the address"})
			time.Sleep(5 * time.Minute)
			if last.Load() != "wait for the address" {
				t.Errorf("it shows %q", last.Load())
			}
			return o, nil
		}}
		l.must(l.run(book(p), migrate.Options{}, func(r *migrate.Run) error {
			r.Listen(func(e migrate.Event) {
				if p, ok := e.(migrate.StepProgress); ok {
					last.Store(p.What)
				}
			})
			return resume(r)
		}), nil)
	})
}

// A listener that is slow gets every event that is born of a record, in order, and costs the run nothing; one that never
// returns costs it the two seconds of Close.
func TestSlowAndDeadListeners(t *testing.T) {
	inLab(t, func(l *lab) {
		var steps []any
		for i := range 50 {
			steps = append(steps, plain{spec: id(migrate.StepID(fmt.Sprintf("s%d", i)))})
		}
		var slow, quick []uint64
		dead := make(chan struct{})
		began := time.Now()
		var ran time.Duration
		l.must(l.run(book(steps...), migrate.Options{}, func(r *migrate.Run) error {
			note := func(to *[]uint64, e migrate.Event) {
				if b, err := migrate.EventJSON(e); err == nil && !passed(e) {
					var at struct{ Seq uint64 }
					if json.Unmarshal(b, &at) == nil {
						*to = append(*to, at.Seq)
					}
				}
			}
			r.Listen(func(migrate.Event) { <-dead })
			r.Listen(func(e migrate.Event) { time.Sleep(10 * time.Millisecond); note(&slow, e) })
			r.Listen(func(e migrate.Event) { note(&quick, e) })
			defer func() { ran = time.Since(began) }()
			return resume(r)
		}), nil)
		if ran > 0 {
			t.Errorf("the listeners cost the run %s", ran)
		}
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("closing took %s", took)
		}
		if !slices.Equal(slow, quick) || slices.Max(quick) != l.history().Records || !slices.IsSorted(quick) {
			t.Errorf("the slow one saw %d, the quick one %d, of %d records", len(slow), len(quick), l.history().Records)
		}
		close(dead)
		synctest.Wait()
	})
}

// A listener that was stopped is called no more.
func TestStopListening(t *testing.T) {
	inLab(t, func(l *lab) {
		n, at := 0, 0
		l.must(l.run(book(plain{spec: id("a")}, migrate.Gate{ID: "gate"}, plain{spec: id("b")}), migrate.Options{Ask: answers(migrate.Pass)}, func(r *migrate.Run) error {
			stop := r.Listen(func(migrate.Event) { n++ })
			synctest.Wait()
			stop()
			synctest.Wait()
			at = n
			return resume(r)
		}), nil)
		if n != at || n == 0 {
			t.Errorf("%d events, %d of them after it was stopped", n, n-at)
		}
	})
}

// 100,000 calls of Progress leave nothing behind in memory, though one listener takes nothing.
func TestMemoryIsFlat(t *testing.T) {
	inLab(t, func(l *lab) {
		heap := func() uint64 {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			return m.HeapAlloc
		}
		var first, last uint64
		events := 0
		p := plain{spec: migrate.Spec{ID: "mover", Timeout: 1000 * time.Hour}, run: func(_ context.Context, s *migrate.Scope[struct{}], o plainOut) (plainOut, error) {
			for i := range 100_000 {
				s.Progress(migrate.Progress{What: fmt.Sprint("row ", i), Done: int64(i)})
				if i%100 == 0 {
					time.Sleep(time.Second)
				}
				if i == 20_000 {
					first = heap()
				}
			}
			last = heap()
			return o, nil
		}}
		dead := make(chan struct{})
		l.must(l.run(book(p), migrate.Options{}, func(r *migrate.Run) error {
			r.Listen(func(migrate.Event) { events++ })
			r.Listen(func(migrate.Event) { <-dead })
			return resume(r)
		}), nil)
		close(dead)
		if last > first+512<<10 {
			t.Errorf("the heap grew from %d to %d bytes", first, last)
		}
		if events < 900 {
			t.Errorf("%d events", events)
		}
	})
}

// Durations leave out the time in which no process ran, and count what a killed one was at.
func TestDurationsOverLives(t *testing.T) {
	inLab(t, func(l *lab) {
		n := 0
		p := plain{spec: id("slow"), run: func(_ context.Context, _ *migrate.Scope[struct{}], o plainOut) (plainOut, error) {
			time.Sleep(10 * time.Second)
			if n++; n == 1 {
				l.life.Kill("test")
			}
			return o, nil
		}, verify: func(context.Context, plainOut) error { time.Sleep(3 * time.Second); return nil }}
		side := plain{spec: id("side"), run: func(_ context.Context, _ *migrate.Scope[struct{}], o plainOut) (plainOut, error) {
			time.Sleep(4 * time.Second)
			return o, nil
		}}
		rb := func() *migrate.Runbook[migrate.Rehearsal] { return book(p, side) }
		_ = l.run(rb(), migrate.Options{}, resume)
		time.Sleep(time.Hour)
		l.d.Crash(crashfs.KeepAll)
		l.life = crashfs.NewLife(0)
		l.must(l.run(rb(), migrate.Options{}, resume), nil)
		s := l.step("slow")
		if s.Run != 14*time.Second || s.Verify != 3*time.Second || s.Attempts != 2 {
			t.Errorf("run %s, verify %s, attempts %d", s.Run, s.Verify, s.Attempts)
		}
		if p := l.history().Phases()[0]; p.Took != 17*time.Second {
			t.Errorf("the phase took %s", p.Took)
		}
	})
}

// Where each step looked and acted is told by what it was bound to.
func TestOrigin(t *testing.T) {
	inLab(t, func(l *lab) {
		in := func(steps []migrate.ManifestStep, mode string) map[migrate.StepID]string {
			m := map[migrate.StepID]string{}
			for _, s := range steps {
				m[s.ID] = s.Origin.In(mode)
			}
			return m
		}
		r := in(phases(forRehearsal(l.world)).Steps(), migrate.ModeRehearsal)
		c := in(phases(forCutover(l.world)).Steps(), migrate.ModeCutover)
		for _, x := range []struct{ is, want string }{
			{r["standup.cluster"], "done on the throwaway target (cloud)"},
			{r["copy.snapshot"], "read on the real thing (source), done on the throwaway target (store)"},
			{r["copy.files"], "done on the throwaway target (standup.cluster)"},
			{r["cut.freeze"], "read on the real thing (source), done on the shadow (shadow)"},
			{r["cut.dns"], "done on the shadow (shadow)"},
			{c["cut.freeze"], "done on the real thing (source)"},
			{c["copy.files"], "done on the target (standup.cluster)"},
		} {
			if !strings.Contains(x.is, x.want) {
				t.Errorf("%q, not %q", x.is, x.want)
			}
		}
	})
}
