package steptest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal"
	"github.com/slipway-dev/slipway/migrate/journal/crashfs"
)

func tryPlan(t *testing.T, c Case) {
	c.in(t, func(t *testing.T, b *bench) {
		if err := b.runbook().Err(); err != nil {
			t.Fatal(err)
		}
		one, err := b.outline()
		if err != nil {
			t.Fatalf("plan: %v", err)
		}
		two, err := b.outline()
		if err != nil {
			t.Fatalf("plan again: %v", err)
		}
		if one != two {
			t.Errorf("the plan is not the same twice:\n%s\nthen:\n%s", one, two)
		}
		did, _ := b.p.effects()
		if len(did) > 0 || b.State() != b.initial {
			t.Errorf("the plan changed the world: did %q, from %s to %s", did, b.initial, b.State())
		}
	})
}

func tryRun(t *testing.T, c Case) {
	c.in(t, func(t *testing.T, b *bench) {
		if err := b.toEnd(onward); err != nil {
			t.Fatal(err)
		}
		did, _ := b.p.effects()
		if len(did) == 0 && !b.Found {
			t.Error("nothing was done: is every change of the fake inside Process.Act? (World.Found says that there is none)")
		}
		if len(did) > 0 && b.State() == b.initial {
			t.Errorf("State does not show what was done: %q left %s", did, b.initial)
		}
		report(t, b.check(b.State()), "")
	})
}

func tryAgain(t *testing.T, c Case) {
	c.in(t, func(t *testing.T, b *bench) {
		if err := b.toEnd(onward); err != nil {
			t.Fatal(err)
		}
		end := b.State()
		if err := b.toEnd(onward); err != nil {
			t.Fatalf("Plan after Run does not say Done with the same Out: %v", err)
		}
		report(t, b.check(end), "")
	})
}

// tryKilled kills the way forward everywhere and resumes.
func tryKilled(t *testing.T, c Case) {
	end, n := c.measure(t, onward)
	everywhere(n, func(at int, keep crashfs.Keep) {
		c.in(t, func(t *testing.T, b *bench) {
			l, _ := b.life(onward, at, 0, false)
			where := b.crash(l, keep)
			if err := b.toEnd(onward); err != nil {
				t.Errorf("%s: resume: %v", where, err)
				return
			}
			report(t, b.check(end), where)
		})
	})
	t.Logf("%d crash points", n*int(crashfs.Keeps))
}

// tryUndone kills the way forward everywhere and rolls back from there.
func tryUndone(t *testing.T, c Case) {
	c.in(t, func(t *testing.T, b *bench) {
		if err := b.toEnd(onward); err != nil {
			t.Fatal(err)
		}
		if err := b.toEnd(backward); err != nil {
			t.Fatal(err)
		}
		report(t, b.check(b.initial), "from the end")
	})
	_, n := c.measure(t, onward)
	everywhere(n, func(at int, keep crashfs.Keep) {
		c.in(t, func(t *testing.T, b *bench) {
			l, _ := b.life(onward, at, 0, false)
			where := b.crash(l, keep)
			if err := b.toEnd(backward); err != nil {
				t.Errorf("%s: rollback: %v", where, err)
				return
			}
			report(t, b.check(b.initial), where)
		})
	})
}

// tryKilledInUndo kills the way back everywhere and resumes; the way forward was finished, or killed in its middle.
func tryKilledInUndo(t *testing.T, c Case) {
	_, n := c.measure(t, backward)
	_, forward := c.measure(t, onward)
	for _, first := range []int{0, forward / 2} {
		everywhere(n, func(at int, keep crashfs.Keep) {
			c.in(t, func(t *testing.T, b *bench) {
				l, _ := b.life(onward, first, 0, false)
				b.crash(l, crashfs.KeepAll)
				l, _ = b.life(backward, at, 0, false)
				where := b.crash(l, keep)
				if err := b.toEnd(backward); err != nil {
					t.Errorf("%s: resume of the rollback: %v", where, err)
					return
				}
				report(t, b.check(b.initial), where)
			})
		})
	}
}

func tryFailed(t *testing.T, c Case) {
	end, _ := c.measure(t, onward)
	c.failing(t, onward, end)
}

func tryFailedInUndo(t *testing.T, c Case) { c.failing(t, backward, "") }

// failing lets each effect of one way fail in turn.
func (c Case) failing(t *testing.T, w way, end string) {
	for effect, more := 1, true; more; effect++ {
		for _, lost := range []bool{false, true} {
			c.in(t, func(t *testing.T, b *bench) {
				where := fmt.Sprintf("effect %d failed (done all the same: %v)", effect, lost)
				if w == backward {
					if err := b.toEnd(onward); err != nil {
						t.Fatal(err)
					}
					end = b.initial
				}
				if _, err := b.life(w, 0, effect, lost); err == nil {
					t.Errorf("%s: the run ended as if nothing had happened", where)
				}
				if _, tried := b.p.effects(); tried < effect {
					more = false
					return
				}
				if err := b.toEnd(w); err != nil {
					t.Errorf("%s: resume: %v", where, err)
					return
				}
				report(t, b.check(end), where)
			})
		}
	}
}

// tryAnotherRun runs twice in one world and rolls the second run back.
func tryAnotherRun(t *testing.T, c Case) {
	if c.NotTwice != "" {
		t.Logf("left out: %s", c.NotTwice)
		return
	}
	c.in(t, func(t *testing.T, b *bench) {
		if err := b.toEnd(onward); err != nil {
			t.Fatal(err)
		}
		first := b.State()
		b.id, b.disk = secondRun, newDisk()
		if err := b.toEnd(onward); err != nil {
			t.Fatalf("a second run in the same world: %v", err)
		}
		if err := b.toEnd(backward); err != nil {
			t.Fatalf("the rollback of a second run in the same world: %v", err)
		}
		if is := b.State(); is != first {
			t.Errorf("the rollback of a second run took away what the first did:\nthe world is %s\nand must be  %s", is, first)
		}
	})
}

// tryVerify stops a process between the record of the outcome and the verification, spoils the world, and resumes.
func tryVerify(t *testing.T, c Case) {
	_, n := c.measure(t, onward)
	spoils := 0
	for i, more := 0, true; more; i++ {
		c.in(t, func(t *testing.T, b *bench) {
			if len(b.Spoil) == 0 && b.NoSpoil == "" {
				t.Error("World.Spoil is empty: say how the result can be spoiled, or in NoSpoil why it can't")
			}
			if more = i < len(b.Spoil); !more {
				return
			}
			if !b.stopBeforeVerify(c, t, n) {
				t.Fatal("found no instant between the outcome and its verification")
			}
			b.Spoil[i].Do()
			_, err := b.life(onward, 0, 0, false)
			var se *migrate.StepError
			if !errors.As(err, &se) || se.Step != b.step() || se.Doing != migrate.Verifying {
				t.Errorf("verify did not find that the result was spoiled (%s): %v", b.Spoil[i].Name, err)
			}
			spoils++
		})
	}
	t.Logf("%d ways to spoil", spoils)
}

// stopBeforeVerify brings the bench's world to where the step's outcome is the last record.
func (b *bench) stopBeforeVerify(c Case, t *testing.T, n int) bool {
	fresh := func() {
		b.World, b.disk = c.New(t, b.p), newDisk()
		b.p.begin(nil, 0, false)
	}
	for at := n; at > 0; at-- {
		fresh()
		l, _ := b.life(onward, at, 0, false)
		b.crash(l, crashfs.KeepNone)
		if kind, step := b.lastRecord(); kind == journal.Done && step == b.step() {
			return true
		}
	}
	return false
}

func trySecrets(t *testing.T, c Case) {
	c.in(t, func(t *testing.T, b *bench) {
		plan, err := b.outline()
		bad := append(b.leaks("plan", plan), b.leaks("error of the plan", fmt.Sprint(err))...)
		for _, w := range []way{onward, backward} {
			_, err := b.life(w, 0, 1, false)
			bad = append(bad, b.leaks("error of a failed effect", fmt.Sprint(err))...)
			bad = append(bad, b.leaks("error", fmt.Sprint(b.toEnd(w)))...)
		}
		report(t, append(bad, b.leaks("journal", string(b.disk.Bytes()))...), "")
	})
}

// measure goes one way unkilled, and returns the state of the world at its end and how many instants it has.
func (c Case) measure(t *testing.T, w way) (end string, n int) {
	t.Helper()
	c.in(t, func(t *testing.T, b *bench) {
		if w == backward {
			if err := b.toEnd(onward); err != nil {
				t.Fatal(err)
			}
		}
		l, err := b.life(w, 0, 0, false)
		if !errors.Is(err, w.want()) {
			t.Fatalf("does not come to its end: %v", err)
		}
		end, n = b.State(), l.Instants()
	})
	return end, n
}

func everywhere(n int, f func(at int, keep crashfs.Keep)) {
	for at := 1; at <= n; at++ {
		for keep := range crashfs.Keeps {
			f(at, keep)
		}
	}
}

// crash ends the process and what the disk does not keep.
func (b *bench) crash(l *crashfs.Life, keep crashfs.Keep) (where string) {
	where, dead := l.Killed()
	if !dead {
		where = "ended by itself"
	}
	l.Kill(where)
	b.disk.Crash(keep)
	return fmt.Sprintf("killed at %q, the disk keeps %s", where, keep)
}

func report(t *testing.T, bad []string, where string) {
	t.Helper()
	if len(bad) > 0 {
		t.Errorf("%s:\n%s", where, strings.Join(bad, "\n"))
	}
}
