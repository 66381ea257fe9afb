package ui_test

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-dev/slipway/internal/ui"
	"github.com/slipway-dev/slipway/migrate"
)

// paper is what a terminal writes.
type paper struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (p *paper) Write(b []byte) (int, error) { p.mu.Lock(); defer p.mu.Unlock(); return p.b.Write(b) }

// taken gives what was written since it was last asked.
func (p *paper) taken() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.b.Reset()
	return p.b.String()
}

// at is an event's time, seq a record's: 0 for a passing event.
func at(seq uint64) migrate.When { return migrate.When{Seq: seq, Time: time.Now()} }

func onPaper(t *testing.T, screen bool, f func(*ui.Terminal, *paper)) {
	synctest.Test(t, func(t *testing.T) {
		p := &paper{}
		width := func() int { return 100 }
		if !screen {
			width = nil
		}
		term := ui.NewTerminal(p, width)
		f(term, p)
		if err := term.Close(); err != nil {
			t.Error(err)
		}
	})
}

// What is looked at again is shown while it lasts, and no longer: not for the rest of the run.
func TestLookAgainEnds(t *testing.T) {
	onPaper(t, false, func(term *ui.Terminal, p *paper) {
		term.Show(migrate.StepLooking{When: at(0), Step: "preflight.google", Again: true})
		time.Sleep(6500 * time.Millisecond)
		if got := p.taken(); strings.Count(got, "preflight.google") != 2 || !strings.Contains(got, "… look again, 1.0 s") || !strings.Contains(got, "… look again, 6.0 s") {
			t.Errorf("while it lasts: %q", got)
		}
		term.Show(migrate.StepLooked{When: at(0), Step: "preflight.google"})
		time.Sleep(time.Minute)
		if got := p.taken(); got != "" {
			t.Errorf("afterwards: %q", got)
		}
	})
}

// One who begins to look sees how long what runs has run, and nothing of what is over; what another process was at is over
// when the next one takes the run up.
func TestRecall(t *testing.T) {
	onPaper(t, false, func(term *ui.Terminal, p *paper) {
		term.Recall(migrate.StepStarted{When: at(1), Step: "killed", Title: "x"})
		term.Recall(migrate.RunOpened{When: at(2), Run: "r", Life: 2})
		term.Recall(migrate.StepStarted{When: at(3), Step: "over", Title: "x"})
		term.Recall(migrate.StepStarted{When: at(4), Step: "long", Title: "x"})
		time.Sleep(time.Minute)
		term.Recall(migrate.StepFailed{When: at(5), Step: "over", Doing: migrate.Running, Error: "x"})
		if got := p.taken(); strings.Contains(got, "failed to run") || strings.Contains(got, "taken up again") {
			t.Errorf("what is over was shown: %q", got)
		}
		time.Sleep(3 * time.Second)
		got := p.taken()
		if strings.Contains(got, "killed") || strings.Contains(got, "over") || !strings.Contains(got, "01:01  long                   … run, 1m01s") {
			t.Errorf("%q", got)
		}
		term.Show(migrate.RunHeld{When: at(0)})
		time.Sleep(time.Minute)
		if got := p.taken(); got != "no process holds the run; what one does that takes it up is shown here\n" {
			t.Errorf("%q", got)
		}
	})
}

// Nothing is drawn over what a person types: lines come above the prompt, and what runs is not shown meanwhile.
func TestPrompt(t *testing.T) {
	onPaper(t, true, func(term *ui.Terminal, p *paper) {
		term.Show(migrate.StepStarted{When: at(1), Step: "long", Title: "x"})
		time.Sleep(2100 * time.Millisecond)
		p.taken()
		term.Prompt("type go: ")
		if got := p.taken(); got != "\x1b[1A\x1b[Jtype go: " {
			t.Errorf("%q", got)
		}
		time.Sleep(time.Minute)
		if got := p.taken(); got != "" {
			t.Errorf("over the prompt: %q", got)
		}
		term.Say("a line")
		if got := p.taken(); got != "\r\x1b[Ka line\ntype go: " {
			t.Errorf("%q", got)
		}
		term.EndPrompt(false)
		if got := p.taken(); got != "\n" {
			t.Errorf("%q", got)
		}
		time.Sleep(time.Second)
		if got := p.taken(); !strings.Contains(got, "long                   … run, 1m03s") {
			t.Errorf("after the prompt: %q", got)
		}
	})
}

// Who decided a gate, from where and why; a deadline is nobody's word.
func TestGateLines(t *testing.T) {
	onPaper(t, false, func(term *ui.Terminal, p *paper) {
		term.Show(migrate.GateDecided{When: at(1), Gate: "go", Decision: migrate.GatePassed, Who: "kim@desk", From: "/dev/pts/3", Why: "all green"})
		term.Show(migrate.GateDecided{When: at(2), Gate: "go", Decision: migrate.GateExpired})
		if got := p.taken(); !strings.HasSuffix(got, "  go                     gate pass by kim@desk (/dev/pts/3): all green\n00:00  go                     gate expired\n") {
			t.Errorf("%q", got)
		}
	})
}
