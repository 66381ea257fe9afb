package runbooks_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/slipway-dev/slipway/migrate/journal/crashfs"
)

// A switch that nobody kills comes to its end, whatever becomes of it on the way.
func TestSwitch(t *testing.T) {
	for _, st := range switchStories() {
		for _, parallel := range []int{1, 8} {
			if got := tellSwitch(t, st, parallel, nil); len(got.bad) > 0 {
				t.Errorf("%s, parallel %d:\n  %s", st.name, parallel, strings.Join(got.bad, "\n  "))
			}
		}
	}
}

// TestSwitchSweep kills the process of a switch at every operation of the journal and before, in the middle of and after
// each change to either side, and resumes it at once or when the switch's deadline has long passed: forward to the end,
// while a person takes it back from watch, while the switch takes itself back because a step failed or its deadline
// passed, and through the second switch. Customers write all the time, wherever they are let in.
func TestSwitchSweep(t *testing.T) {
	var points, fired atomic.Int64
	every := func(n int) int {
		if os.Getenv(wholeSweep) != "" {
			return 1
		}
		return n
	}
	t.Run("once", func(t *testing.T) {
		for i, st := range switchStories() {
			for _, x := range []struct{ parallel, every int }{{1, every(3)}, {8, every(9)}} {
				t.Run(fmt.Sprintf("%s, parallel %d", st.name, x.parallel), func(t *testing.T) {
					t.Parallel()
					s := newSwitchSweep(t, st, x.parallel)
					for at := 1 + (i+x.parallel)%x.every; at <= s.whole.instants; at += x.every {
						where := s.try(nil, strike(at)).where
						for keep := range crashfs.Keeps {
							if os.Getenv(wholeSweep) != "" && unsynced(where) && i == 2 && x.parallel == 1 {
								s.try(nil, blow{at: at, keep: keep})
							}
						}
					}
					points.Add(s.points)
					fired.Add(s.fired)
				})
			}
		}
	})
	t.Run("failed syncs", func(t *testing.T) {
		for _, st := range switchStories() {
			s := newSwitchSweep(t, st, 1)
			for eio := 1; eio <= s.whole.syncs; eio += every(5) {
				s.try(nil, blow{eio: eio}, blow{at: 20 + eio})
			}
			points.Add(s.points)
		}
	})
	t.Run("killed three times", func(t *testing.T) {
		for seed := range uint64(600 / every(6)) {
			g := rand.New(rand.NewPCG(seed, 1))
			s := newSwitchSweep(t, switchStories()[seed%8], 1+7*int(seed/8%2))
			var blows []blow
			for range 3 {
				blows = append(blows, strike(1+g.IntN(300)))
			}
			s.try(nil, blows...)
			points.Add(s.points)
		}
	})
	fmt.Printf("%d crash points; in %d lives timers thawed the source\n", points.Load(), fired.Load())
	if fired.Load() == 0 {
		t.Error("no timer ever fired")
	}
}

// unsynced: at such an instant there are bytes that the disk may keep or not.
func unsynced(where string) bool {
	return slices.ContainsFunc([]string{"write", "sync", "truncate"}, func(p string) bool { return strings.HasPrefix(where, p) })
}

// TestSwitchFailures lets each change fail once, each time that it comes: refused, or made and the answer lost; forward,
// on the way back and in the second switch. A person resumes while that leads on; the end is the same.
func TestSwitchFailures(t *testing.T) {
	st := switchStories()[2]
	counts := map[string]int{}
	if got := tellSwitch(t, st, 1, func(w *switchWorld) {
		w.fail = func(what string) error { counts[what]++; return nil }
	}); len(got.bad) > 0 {
		t.Fatalf("nothing fails:\n  %s", strings.Join(got.bad, "\n  "))
	}
	n := 0
	for _, what := range sortedKeys(counts) {
		for time := 1; time <= counts[what]; time++ {
			if strings.HasPrefix(what, "apply ") && time%4 != 1 && os.Getenv(wholeSweep) == "" {
				continue
			}
			for _, lost := range []bool{false, true} {
				seen, fell := 0, false
				fails := func(is string) bool {
					if is == what {
						seen++
						fell = fell || seen == time
						return seen == time
					}
					return false
				}
				got := tellSwitch(t, st, 1, func(w *switchWorld) {
					if lost {
						w.lose = fails
						return
					}
					w.fail = func(what string) error {
						if fails(what) {
							return errInjected
						}
						return nil
					}
				})
				if n++; len(got.bad) > 0 || !fell {
					t.Errorf("%s fails the time %d, made %t, fell %t:\n  %s", what, time, lost, fell, strings.Join(got.bad, "\n  "))
				}
			}
		}
	}
	fmt.Printf("%d failures\n", n)
}

// switchSweep is one story that is told again and again.
type switchSweep struct {
	t        *testing.T
	st       switchStory
	parallel int
	whole    told     // unkilled
	must     []string // changes that every switch must make
	points   int64
	fired    int64
	failed   int
}

func newSwitchSweep(t *testing.T, st switchStory, parallel int) *switchSweep {
	t.Helper()
	s := &switchSweep{t: t, st: st, parallel: parallel, whole: tellSwitch(t, st, parallel, nil), must: tellSwitch(t, switchStory{still: st.still, hosts: st.hosts}, 1, nil).kinds}
	if len(s.whole.bad) > 0 {
		t.Fatalf("not killed:\n  %s", strings.Join(s.whole.bad, "\n  "))
	}
	return s
}

func (s *switchSweep) try(set func(*switchWorld), blows ...blow) told {
	s.t.Helper()
	s.points += int64(len(blows))
	got := tellSwitch(s.t, s.st, s.parallel, set, blows...)
	bad := got.bad
	if slices.Contains(got.kinds, "fire") {
		s.fired++
	}
	for _, what := range s.must {
		if !slices.Contains(got.kinds, what) {
			bad = append(bad, "left out: "+what)
		}
	}
	if len(bad) > 0 {
		if s.failed++; s.failed < 4 {
			s.t.Errorf("%s, parallel %d, %s:\n  %s", s.st.name, s.parallel, where(blows), strings.Join(bad, "\n  "))
		}
	}
	return got
}

// Who is let in at the target by somebody else, in the middle of the switch, is seen before the way back begins, which would
// begin after his first write: the switch is taken back. What he wrote is the other's doing, and the end isn't looked at.
func TestSwitchSomebodyLetIn(t *testing.T) {
	got := tellSwitch(t, switchStories()[0], 1, func(w *switchWorld) {
		w.fail = func(what string) error {
			if what == "raise the counter of the target" {
				w.entry.accounts[0].locked = false
			}
			return nil
		}
	})
	if slices.Contains(got.kinds, "begin the way back") || !slices.Contains(got.kinds, "let write at db1") {
		t.Errorf("%q were done:\n  %s", got.kinds, strings.Join(got.bad, "\n  "))
	}
}
