//go:build lab && soak

package main

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/labtest"
	"github.com/slipway-dev/slipway/migrate"
)

var kills = flag.Int("kills", 50, "how often the program is killed, at least")

// longest is the longest that the program lives before it is killed.
const longest = 15 * time.Second

// soakSteps are steps of the user's own: one that only looks at a host of the source, one in a pod.
const soakSteps = `
steps:
  - id: load
    title: look how busy the shop is
    phase: preflight
    host: web1
    read-only: true
    run: [uptime]
  - id: warm-cache
    title: warm the cache
    after: [open.release]
    pod: {label: app.kubernetes.io/component=redis-cache, container: redis}
    check: [sh, -c, 'case "$(redis-cli -p 6379 exists warmed)" in 1) exit 0;; 0) exit 1;; esac; exit 2']
    run: [redis-cli, -p, "6379", set, warmed, "1"]
    verify: [sh, -c, 'test "$(redis-cli -p 6379 get warmed)" = 1']
    undo: [redis-cli, -p, "6379", del, warmed]
    timeout: 2m
`

// TestSoak rehearses again and again while customers shop, and kills the program with -9 at random instants, until it was killed -kills times and the
// last run has ended. Each run ends as if nothing had happened. The same -kill-seed draws the same instants.
func TestSoak(t *testing.T) {
	if *kills < 1 {
		t.Fatalf("-kills %d", *kills)
	}
	s := newDesk(t, labtest.Alone(t))
	s.add(t, "slipway.yaml", soakSteps)
	s.lab.BeginProof(t)
	s.lab.StartShopping(t)
	fmt.Printf("-kill-seed %d\n", *seed)
	draw := rand.New(rand.NewPCG(*seed, 0))
	h := &hunt{desk: s}
	killed, runs, id := 0, 0, ""
	for ; killed < *kills && !t.Failed(); runs++ {
		p := s.start(t, "rehearse", "--yes-to", "go")
		id = waitForRun(t, s, p, id)
		n, over := 0, false
		for killAfter(p, time.Duration(draw.Float64()*float64(longest))) {
			n++
			if over = s.status(t, id).State == migrate.StateDone; over { // killed between its last record and its end
				break
			}
			h.afterKill(t, id)
			p = s.start(t, "resume", id, "--yes-to", "go")
		}
		if !over {
			if code := p.wait(t); code != exitDone {
				t.Fatalf("slipway %v, after %d kills: exit code %d\n%s%s", p.cmd.Args[1:], n, code, p.out.String(), p.err.String())
			}
		}
		h.ended(t, id)
		for _, own := range []string{"own.load", "own.warm-cache"} {
			if !strings.Contains(s.must(t, exitDone, "status", id), own) {
				t.Errorf("run %s has no step %s", id, own)
			}
		}
		killed += n
		fmt.Printf("run %s was killed %d times; %d kills in all\n", id, n, killed)
	}
	t.Logf("%d kills at random instants in %d runs", killed, runs)
	s.noOrderLost(t)
	s.nothingLeft(t)
	secretsKept(t, s)
}

// add adds text to a file's end.
func (s desk) add(t *testing.T, name, text string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(s.dir, name), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
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
