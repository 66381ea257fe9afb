//go:build lab

package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal"
)

var seed = flag.Uint64("kill-seed", uint64(time.Now().UnixNano()), "of the instants at which the program is killed")

// quick is how long an undo must take to be hit for sure: the quickest only write to the journal.
const quick = 150 * time.Millisecond

// hunt kills the program once inside every step.
type hunt struct {
	desk desk
	took map[attempt]time.Duration // of an undisturbed run
	hit  map[attempt]time.Duration // how far inside each was when it was killed
	rand *rand.Rand
}

// run rehearses after the run id, and kills and resumes until every attempt was hit. A run in which one was too quick for its instant is followed by another, which kills
// those that are left as soon as their intent is on disk.
func (h *hunt) run(t *testing.T, id string) {
	t.Logf("-kill-seed %d", *seed)
	h.rand = rand.New(rand.NewPCG(*seed, 0))
	want := h.want(t)
	for try := range 3 {
		id = h.once(t, want, try > 0, id)
		if len(h.left(want)) == 0 || t.Failed() {
			break
		}
	}
	for _, a := range h.left(want) {
		t.Errorf("%s was never killed inside: it takes %s", a, h.took[a])
	}
	t.Logf("killed inside %d attempts: %v", len(h.hit), h.hit)
}

// want lists what is to be hit: every step of the runbook, and every undo that does more than a record.
func (h *hunt) want(t *testing.T) []attempt {
	var list []attempt
	for _, id := range h.desk.steps(t) {
		list = append(list, attempt{id, false})
		if back := (attempt{id, true}); h.took[back] >= quick {
			list = append(list, back)
		}
	}
	return list
}

func (h *hunt) left(want []attempt) []attempt {
	var list []attempt
	for _, a := range want {
		if _, ok := h.hit[a]; !ok {
			list = append(list, a)
		}
	}
	return list
}

// once is one rehearsal that is killed inside all that is left, and ends as if nothing had happened.
func (h *hunt) once(t *testing.T, want []attempt, atOnce bool, before string) string {
	p := h.desk.start(t, "rehearse", "--yes-to", "go")
	id := waitForRun(t, h.desk, p, before)
	lives := 1
	for ; h.killInside(t, p, id, want, atOnce); lives++ {
		h.afterKill(t, id)
		p = h.desk.start(t, "resume", id, "--yes-to", "go")
	}
	if code := p.wait(t); code != exitDone {
		t.Fatalf("slipway %v, after %d kills: exit code %d\n%s%s", p.cmd.Args[1:], lives-1, code, p.out.String(), p.err.String())
	}
	t.Logf("run %s was killed %d times, and ended:\n%s", id, lives-1, p.out.String())
	h.ended(t, id)
	return id
}

// ended holds a run that is over against one that was never disturbed.
func (h *hunt) ended(t *testing.T, id string) {
	h.desk.must(t, exitDone, "journal", "verify", id)
	st := h.desk.status(t, id)
	if st.State != migrate.StateDone {
		t.Errorf("run %s is %s", id, st.State)
	}
	for _, x := range st.Steps {
		if x.Kind != kindGate && x.State != migrate.StepIsUndone {
			t.Errorf("run %s: step %s is %s", id, x.ID, x.State)
		}
	}
}

// killInside waits until something wanted is in flight, lets it go on for a random part of its time, and kills the program. It says false when the
// program has ended by itself.
func (h *hunt) killInside(t *testing.T, p *process, id string, want []attempt, atOnce bool) bool {
	path := filepath.Join(h.desk.dir, ".slipway", "runs", id, journal.Name)
	var size int64
	for since := time.Now(); ; time.Sleep(300 * time.Microsecond) {
		select {
		case <-p.ended:
			return false
		default:
		}
		if time.Since(since) > limit {
			p.kill()
			t.Fatalf("slipway %v has not ended after %s:\n%s%s", p.cmd.Args[1:], limit, p.out.String(), p.err.String())
		}
		info, err := os.Stat(path)
		if err != nil || info.Size() == size {
			continue
		}
		size = info.Size()
		prey, ok := h.prey(h.desk.records(t, id), want)
		if !ok {
			continue
		}
		if !atOnce && h.took[prey] >= quick {
			time.Sleep(time.Duration(h.rand.Float64() * 0.6 * float64(h.took[prey])))
		}
		p.kill()
		now := time.Now()
		for a, began := range inFlight(h.desk.records(t, id)) {
			if _, ok := h.hit[a]; !ok {
				h.hit[a] = now.Sub(began).Round(time.Millisecond)
			}
		}
		return true
	}
}

// prey is something that is in flight, and wanted.
func (h *hunt) prey(records []journal.Record, want []attempt) (attempt, bool) {
	in := inFlight(records)
	for _, a := range h.left(want) {
		if _, ok := in[a]; ok {
			return a, true
		}
	}
	return attempt{}, false
}

// afterKill holds what is said of a run that was killed against what is true.
func (h *hunt) afterKill(t *testing.T, id string) {
	st := h.desk.status(t, id)
	if st.State != migrate.StateOpen && st.State != migrate.StateWaiting && st.State != migrate.StateGoingBack {
		t.Errorf("after a kill run %s is %s", id, st.State)
	}
	if want := fmt.Sprintf("slipway resume %s", id); !strings.Contains(st.Next, want) {
		t.Errorf("after a kill the program says %q, and not %q", st.Next, want)
	}
}
