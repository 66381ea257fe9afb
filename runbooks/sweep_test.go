package runbooks_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/migrate/journal/crashfs"
)

// wholeSweep, when it is set, tries every instant in every way. Without it the ways other than one step at a time are
// sampled, so that the tests take a minute and not ten.
const wholeSweep = "SLIPWAY_WHOLE_SWEEP"

// TestCrashSweep kills the built-in runbook's process at every operation of the journal and before, in the middle of and
// after each change to the world, forward and on the way back, with a disk that keeps none, all, half or a hole of what was
// not synced, or with a machine that lives on; resumes at once, while what was begun still goes on, or later; several
// times in one run; one step at a time and side by side; and lets syncs fail in a process that lives. Each time the world
// comes to the same end, every change is made once, and none is left out.
func TestCrashSweep(t *testing.T) {
	var points atomic.Int64
	every := func(n int) int {
		if os.Getenv(wholeSweep) != "" {
			return 1
		}
		return n
	}
	t.Run("once", func(t *testing.T) {
		for _, x := range []struct {
			story, parallel, every int
		}{{0, 1, 1}, {0, 8, every(6)}, {1, 1, every(5)}, {1, 8, every(12)}} {
			st := stories()[x.story]
			t.Run(fmt.Sprintf("%s, parallel %d", st.name, x.parallel), func(t *testing.T) {
				t.Parallel()
				s := newSweep(t, st, x.parallel)
				for at := 1 + x.parallel%x.every; at <= s.whole.instants; at += x.every {
					s.try(strike(at))
				}
				points.Add(s.points)
			})
		}
	})
	t.Run("failed syncs", func(t *testing.T) {
		s := newSweep(t, stories()[0], 1)
		for eio := 1; eio <= s.whole.syncs; eio += every(3) {
			s.try(blow{eio: eio}, blow{at: 20 + eio})
		}
		points.Add(s.points)
	})
	t.Run("killed three times", func(t *testing.T) {
		for seed := range uint64(240 / every(4)) {
			g := rand.New(rand.NewPCG(seed, 1))
			s := newSweep(t, stories()[seed%2], 1+7*int(seed/2%2))
			var blows []blow
			for range 3 {
				blows = append(blows, strike(1+g.IntN(500)))
			}
			s.try(blows...)
			points.Add(s.points)
		}
	})
	fmt.Printf("%d crash points\n", points.Load())
}

// strike kills at an instant; what the disk keeps, and whether somebody resumes at once or when the operations that were
// under way have long ended, follow from it.
func strike(at int) blow {
	b := blow{at: at, keep: crashfs.Keep(at % int(crashfs.Keeps))}
	if at/int(crashfs.Keeps)%2 == 1 {
		b.pause = 15 * time.Minute
	}
	return b
}

// sweep is one story that is told again and again.
type sweep struct {
	t        *testing.T
	st       story
	parallel int
	whole    told // unkilled
	points   int64
	failed   int
}

func newSweep(t *testing.T, st story, parallel int) *sweep {
	t.Helper()
	s := &sweep{t: t, st: st, parallel: parallel, whole: tell(t, st, parallel)}
	if len(s.whole.bad) > 0 {
		t.Fatalf("not killed:\n  %s", strings.Join(s.whole.bad, "\n  "))
	}
	return s
}

func (s *sweep) try(blows ...blow) told {
	s.t.Helper()
	s.points += int64(len(blows))
	got := tell(s.t, s.st, s.parallel, blows...)
	bad := got.bad
	if got.end != s.whole.end {
		bad = append(bad, fmt.Sprintf("the end is\n%s\nand must be\n%s", got.end, s.whole.end))
	}
	if got.kept != "" && got.kept != s.whole.kept {
		bad = append(bad, fmt.Sprintf("kept is\n%s\nand must be\n%s", got.kept, s.whole.kept))
	}
	for _, what := range s.whole.kinds {
		if !slices.Contains(got.kinds, what) {
			bad = append(bad, "left out: "+what)
		}
	}
	for _, what := range got.kinds {
		if !slices.Contains(s.whole.kinds, what) {
			bad = append(bad, "done and not called for: "+what)
		}
	}
	if len(bad) > 0 {
		if s.failed++; s.failed < 4 {
			s.t.Errorf("%s, parallel %d, %s, killed at %q:\n  %s", s.st.name, s.parallel, where(blows), got.where, strings.Join(bad, "\n  "))
		}
	}
	return got
}

func where(blows []blow) string {
	var all []string
	for _, b := range blows {
		all = append(all, fmt.Sprintf("{at %d%s, failed sync %d, keep %s, pause %s}", b.at, b.on, b.eio, b.keep, b.pause))
	}
	return strings.Join(all, " ")
}
