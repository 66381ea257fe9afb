//go:build lab

package main

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"os/exec"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/dbtest"
)

var (
	switchKills = flag.Int("switch-kills", 8, "how often TestDBSwitchKilled kills the carrier")
	switchSeed  = flag.Uint64("switch-seed", 0, "draws the instants of an earlier run; 0: new ones")
)

// keeper starts a run's carrier again whenever it has ended, until the run is done or a person is needed.
type keeper struct {
	s     *switched
	run   string
	mu    sync.Mutex
	now   *exec.Cmd
	said  *bytes.Buffer
	codes []int
	over  chan struct{}
}

func (s *switched) keep(run string) *keeper {
	k := &keeper{s: s, run: run, over: make(chan struct{})}
	k.now, k.said = s.carry(run)
	go func() {
		defer close(k.over)
		for {
			_ = k.now.Wait() // its code tells
			code := k.now.ProcessState.ExitCode()
			k.mu.Lock()
			k.codes = append(k.codes, code)
			k.mu.Unlock()
			if code == exitDone || code == exitPerson || code == exitUsage || s.ctx.Err() != nil {
				return
			}
			cmd, said := s.carry(run)
			k.mu.Lock()
			k.now, k.said = cmd, said
			k.mu.Unlock()
		}
	}()
	return k
}

func (k *keeper) kill() {
	k.mu.Lock()
	defer k.mu.Unlock()
	_ = k.now.Process.Kill() // it may have ended by itself
}

func (k *keeper) heard() *bytes.Buffer {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.said
}

// gate is the one that the run comes to, whatever is killed.
func (k *keeper) gate() string {
	k.s.Helper()
	waiting := regexp.MustCompile(`(?m)^(\S+) +waiting`)
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		if m := waiting.FindStringSubmatch(k.s.typed(exitDone, "gate", "list", k.run)); m != nil {
			return m[1]
		}
		select {
		case <-k.over:
			k.s.Fatalf("the carrier ended with %v\n%s", k.codes, k.heard())
		default:
		}
		if time.Since(began) > time.Minute {
			k.s.Fatalf("the run comes to no gate; carriers ended with %v\n%s", k.codes, k.heard())
		}
	}
}

// TestDBSwitchKilled kills the carrier of a switch at random instants behind the gate, forward and while it is taken back, and has
// another one go on at once. Each time the shop sells again, no answered purchase is lost, and never are both sides open.
func TestDBSwitchKilled(t *testing.T) {
	seed := *switchSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-switch-seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 9))
	s := newSwitched(t, dbtest.Limit(t, 8*time.Minute), "shop")
	s.stock()
	s.sell(3)
	s.db(exitDone, "copy")
	run := s.begin()
	k := s.keep(run)
	kills := map[string]int{}
	for range *switchKills {
		at := k.gate()
		ask := []string{"gate", "pass", run, "go"}
		if at == "finalize" {
			ask = []string{"abort", run, "--why", "to see"}
		}
		s.sells(k.heard()) // on whichever side: a word whose carrier was killed counts with the next one
		cmd, said := s.start(ask...)
		time.Sleep(time.Duration(r.Int64N(int64(900 * time.Millisecond))))
		k.kill()
		kills[at]++
		if _ = cmd.Wait(); cmd.ProcessState.ExitCode() == exitUsage {
			t.Fatal(said)
		}
	}
	for began := time.Now(); k.gate() != "finalize"; { // it may go back once more first, for a word of before
		if time.Since(began) > time.Minute {
			t.Fatal("the run doesn't come to its last gate\n", k.heard())
		}
		cmd, _ := s.start("gate", "pass", run, "go")
		_ = cmd.Wait() // refused where it has moved meanwhile
		time.Sleep(2 * time.Second)
	}
	s.sellsAt(1, k.heard())
	close(s.stop)
	s.writers.Wait()
	s.typed(exitDone, "gate", "pass", run, "finalize")
	<-k.over
	s.kept("at the end")
	t.Logf("killed after the gate go %d times, on the way back %d times; carriers ended with %v", kills["go"], kills["finalize"], k.codes)
	s.typed(exitDone, "journal", "verify", run)
}
