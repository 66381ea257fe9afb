//go:build lab && soak

package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/labtest"
	"github.com/slipway-dev/slipway/migrate"
)

var kills = flag.Int("kills", 50, "how often the program is killed, at least")

// longest is the longest that the program lives before it is killed.
const longest = 15 * time.Second

// TestSoak rehearses again and again while customers shop, and kills the program with -9 at random instants, until it was killed -kills times and the
// last run has ended. Each run ends as if nothing had happened. The same -kill-seed draws the same instants.
func TestSoak(t *testing.T) {
	if *kills < 1 {
		t.Fatalf("-kills %d", *kills)
	}
	s := newDesk(t, labtest.Alone(t))
	s.lab.BeginProof(t)
	s.lab.StartShopping(t)
	fmt.Printf("-kill-seed %d\n", *seed)
	draw := rand.New(rand.NewPCG(*seed, 0))
	h := &hunt{desk: s}
	killed, runs, id := 0, 0, ""
	for ; killed < *kills && !t.Failed(); runs++ {
		p := s.start(t, "rehearse")
		id = waitForRun(t, s, p, id)
		n, over := 0, false
		for killAfter(p, time.Duration(draw.Float64()*float64(longest))) {
			n++
			if over = s.status(t, id).State == migrate.StateDone; over { // killed between its last record and its end
				break
			}
			h.afterKill(t, id)
			p = s.start(t, "resume", id)
		}
		if !over {
			if code := p.wait(t); code != exitDone {
				t.Fatalf("slipway %v, after %d kills: exit code %d\n%s%s", p.cmd.Args[1:], n, code, p.out.String(), p.err.String())
			}
		}
		h.ended(t, id)
		killed += n
		fmt.Printf("run %s was killed %d times; %d kills in all\n", id, n, killed)
	}
	t.Logf("%d kills at random instants in %d runs", killed, runs)
	s.noOrderLost(t)
	s.nothingLeft(t)
	secretsKept(t, s)
}

// killAfter kills the program when it has lived that long, and says false when it ended before.
func killAfter(p *process, lives time.Duration) bool {
	select {
	case <-p.ended:
		return false
	case <-time.After(lives):
	}
	p.kill()
	return true
}
