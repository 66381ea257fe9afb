//go:build lab && bench

package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/dbtest"
)

// TestBenchSwitch switches a shop there and back, 20 times or what ROUNDS says, at 1,000 purchases a second or what RATE says, and
// prints for how long no purchase was answered each time. It holds nothing against a limit: see docs/performance.md.
func TestBenchSwitch(t *testing.T) {
	number := func(name string, otherwise int) int {
		if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 {
			return n
		}
		return otherwise
	}
	rounds, rate := number("ROUNDS", 20), number("RATE", 1000)
	s := newSwitched(t, dbtest.Limit(t, time.Hour), "shop")
	s.stock()
	const customers = 16
	s.pause = time.Duration(customers) * time.Second / time.Duration(rate)
	s.sell(customers)
	s.db(exitDone, "copy")
	run := s.begin()
	var there, back []time.Duration
	for range rounds {
		carrier, said := s.carry(run)
		s.waits(run, "go", said)
		from, began := s.count(), time.Now()
		time.Sleep(time.Second)
		fmt.Printf("%.0f purchases a second; ", float64(s.count()-from)/time.Since(began).Seconds())
		s.gap()
		s.typed(exitDone, "gate", "pass", run, "go")
		s.waits(run, "finalize", said)
		s.sellsAt(1, said)
		there = append(there, s.gap())
		s.typed(exitDone, "abort", run, "--why", "another round")
		s.ended(carrier, said, exitRolledBack)
		s.sellsAt(0, said)
		back = append(back, s.gap())
		fmt.Printf("no answer for %s there, %s back\n", there[len(there)-1].Round(time.Millisecond), back[len(back)-1].Round(time.Millisecond))
	}
	close(s.stop)
	s.writers.Wait()
	for _, x := range []struct {
		what string
		took []time.Duration
	}{{"there", there}, {"back", back}} {
		slices.Sort(x.took)
		fmt.Printf("%s, %d times: median %s, longest %s\n", x.what, rounds, x.took[rounds/2].Round(time.Millisecond), x.took[rounds-1].Round(time.Millisecond))
	}
}

// count is how many purchases were answered.
func (s *switched) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.answered)
}

// gap is the longest time without an answer since it was last asked for.
func (s *switched) gap() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.longest
	s.longest = 0
	return d
}
