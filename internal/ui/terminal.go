package ui

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/slipway-dev/slipway/migrate"
)

const (
	// firstWord is how long a call may take before the terminal says what it waits for.
	firstWord = time.Second
	// nextWord is how often a stream without a cursor is told again; a screen is redrawn each repaint.
	nextWord = 5 * time.Second
	repaint  = 200 * time.Millisecond
)

// Terminal writes a run's events as lines for people. On a screen, what runs now stays below the lines and is redrawn;
// elsewhere it is a line every five seconds.
type Terminal struct {
	out    io.Writer
	screen bool
	width  func() int
	began  time.Time

	mu      sync.Mutex
	running []*call
	painted int // lines below the last one that are to be redrawn
	prompt  string
	quiet   bool      // what is shown happened before: it is only remembered
	at      time.Time // of the event that is shown
	failed  error     // the first write that failed; nothing is written after it
	stop    chan struct{}
	done    chan struct{}
}

// call is a step that is looked at, run, verified or undone right now.
type call struct {
	step  migrate.StepID
	doing string
	what  string
	since time.Time
	said  time.Time
}

// NewTerminal begins to write to out. width is the number of columns of the screen, nil where out is none. Close ends it.
func NewTerminal(out io.Writer, width func() int) *Terminal {
	t := &Terminal{out: out, screen: width != nil, width: width, began: time.Now(), stop: make(chan struct{}), done: make(chan struct{})}
	go t.tick()
	return t
}

// Close stops redrawing and gives the first write error.
func (t *Terminal) Close() error {
	close(t.stop)
	<-t.done
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wipe()
	return t.failed
}

// Prompt writes a prompt for something that a person types, and keeps it below the lines until EndPrompt. What is running
// is not drawn meanwhile: it would be drawn over what is being typed.
func (t *Terminal) Prompt(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wipe()
	t.prompt = text
	t.write(text)
}

// EndPrompt takes the prompt away: typed when a line was typed, which has ended the prompt's line.
func (t *Terminal) EndPrompt(typed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.prompt = ""
	if !typed {
		t.write("\n")
	}
}

// Say writes one line between the events.
func (t *Terminal) Say(format string, a ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.line("%s", fmt.Sprintf(format, a...))
	t.paint()
}

func (t *Terminal) tick() {
	defer close(t.done)
	ticker := time.NewTicker(repaint)
	defer ticker.Stop()
	for {
		select {
		case <-t.stop:
			return
		case now := <-ticker.C:
			t.mu.Lock()
			if t.screen {
				t.wipe()
				t.paint()
			} else {
				t.remind(now)
			}
			t.mu.Unlock()
		}
	}
}

// Show is the listener of a run.
func (t *Terminal) Show(e migrate.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.show(e)
	t.paint()
}

// Recall takes note of an event that happened before anybody looked: what still runs since then is shown with how long it
// has run, and the event itself is not.
func (t *Terminal) Recall(e migrate.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.quiet = true
	t.show(e)
	t.quiet = false
}

func (t *Terminal) show(e migrate.Event) {
	t.at = migrate.EventWhen(e).Time
	switch e := e.(type) {
	case migrate.RunOpened:
		t.began, t.running = e.Time, nil // what another process was at, it is at no more
		if e.Life > 1 {
			t.line("run %s taken up again by %s (process %d on it)", e.Run, e.Who, e.Life)
		}
	case migrate.RunTurned:
		t.turned(e)
	case migrate.RunClosed:
		t.line("run is %s%s", e.State, because(e.Why))
	case migrate.PhaseStarted:
		t.line("")
		t.line("%s%s", e.Phase, map[bool]string{true: " (goes on)"}[e.Resumed])
	case migrate.PhaseEnded:
		t.line("%s took %s", e.Phase, Took(e.Took))
	case migrate.StepLooking:
		t.begin(e.Step, map[bool]string{true: "look again", false: "look"}[e.Again])
	case migrate.StepLooked:
		t.end(e.Step)
	case migrate.StepStarted:
		t.begin(e.Step, "run")
		t.step(e.Step, "%s%s", e.Title, map[bool]string{true: fmt.Sprintf(" (attempt %d)", e.Attempt)}[e.Attempt > 1])
		for _, f := range e.Effects {
			t.line("%30s+ %s", "", f)
		}
		if !e.Deadline.IsZero() {
			t.line("%30s%s must be over by %s, or it is taken back", "", e.Phase, e.Deadline.UTC().Format(time.RFC3339))
		}
	case migrate.StepProgress:
		t.progress(e)
	case migrate.StepRetrying:
		t.step(e.Step, "tries again in %s: %s", Took(e.Wait), e.Error)
	case migrate.StepStuck:
		t.step(e.Step, "was told to stop %s ago and has not returned from %s", Took(e.For), e.Doing)
	case migrate.StepDone:
		t.stepDone(e)
	case migrate.StepVerified:
		t.end(e.Step)
		t.step(e.Step, "verified in %s", Took(e.Took))
	case migrate.StepFailed:
		t.end(e.Step)
		t.step(e.Step, "failed to %s: %s", e.Doing, e.Error)
	case migrate.UndoStarted:
		t.begin(e.Step, "undo")
	case migrate.StepUndone:
		t.end(e.Step)
		if !e.Nothing {
			t.step(e.Step, "undone in %s", Took(e.Took))
		}
	case migrate.UndoFailed:
		t.end(e.Step)
		t.step(e.Step, "could not be undone: %s", e.Error)
	default:
		t.showService(e)
	}
}

func (t *Terminal) showService(e migrate.Event) {
	switch e := e.(type) {
	case migrate.ServiceStarted:
		t.begin(e.Service, "follow")
		t.step(e.Service, "follows, at %s", e.Position)
	case migrate.ServiceStopped:
		t.end(e.Service)
		t.step(e.Service, "stopped at %s%s", e.Position, map[bool]string{true: ", not drained"}[e.Dropped])
	case migrate.ServiceHealth:
		if e.Up {
			t.note(e.Service, "follow", "lag "+Took(e.Lag))
		} else {
			t.note(e.Service, "follow", "down: "+e.Error)
		}
	case migrate.GateOpened:
		t.step(e.Gate, "gate is open: %s%s", e.Title, map[bool]string{false: ", until " + e.Deadline.Format(time.RFC3339)}[e.Deadline.IsZero()])
	case migrate.GateDecided:
		t.step(e.Gate, "gate %s%s%s%s", e.Decision, lead(" by ", e.Who), parens(e.From), because(e.Why))
	case migrate.Decided:
		t.line("%s: %s decided %s%s", orRun(e.Step), e.Who, e.Decision, because(e.Why))
		for _, d := range e.Differs {
			t.line("  %s", d)
		}
	case migrate.RunHeld:
		t.held(e)
	case migrate.StreamBroken:
		t.line("no more is shown, because the journal can't be read: %s; the run goes on", e.Error)
	}
}

func (t *Terminal) held(e migrate.RunHeld) {
	if e.Held {
		t.line("held by %s (process %d on %s, since %s)", e.Who, e.PID, e.Host, e.Since.UTC().Format(time.RFC3339))
		return
	}
	t.running = nil
	t.line("no process holds the run; what one does that takes it up is shown here")
}

func (t *Terminal) turned(e migrate.RunTurned) {
	switch {
	case e.Direction == migrate.Forward:
		t.line("the run goes forward again%s", because(e.Why))
	case e.End:
		t.line("")
		t.line("all steps are done; the rehearsal now rolls itself back and deletes what it made")
	default:
		t.line("")
		t.line("the run goes back%s", because(e.Why))
	}
}

func (t *Terminal) stepDone(e migrate.StepDone) {
	t.end(e.Step)
	t.begin(e.Step, "verify")
	switch {
	case e.Found:
		t.step(e.Step, "holds already: nothing to do")
	default:
		t.step(e.Step, "done in %s%s", Took(e.Took), parens(Moved(e.Moved)))
	}
}

func (t *Terminal) find(step migrate.StepID) *call {
	for _, c := range t.running {
		if c.step == step {
			return c
		}
	}
	return nil
}

func (t *Terminal) begin(step migrate.StepID, doing string) {
	t.end(step)
	t.running = append(t.running, &call{step: step, doing: doing, since: t.at, said: t.at.Add(firstWord - nextWord)})
}

func (t *Terminal) end(step migrate.StepID) {
	for i, c := range t.running {
		if c.step == step {
			t.running = append(t.running[:i], t.running[i+1:]...)
			return
		}
	}
}

func (t *Terminal) progress(e migrate.StepProgress) { t.note(e.Step, "run", progress(e.Progress)) }

func (t *Terminal) note(step migrate.StepID, doing, what string) {
	c := t.find(step)
	if c == nil {
		t.begin(step, doing)
		c = t.find(step)
	}
	c.what = what
}

func (c *call) String() string {
	s := c.doing + ", " + Took(time.Since(c.since).Truncate(100*time.Millisecond))
	if c.what != "" {
		s += ": " + c.what
	}
	return s
}

// remind says, where there is no screen, what takes long.
func (t *Terminal) remind(now time.Time) {
	for _, c := range t.running {
		if now.Sub(c.said) >= nextWord {
			c.said = now
			t.step(c.step, "… %s", c)
		}
	}
}

func (t *Terminal) step(id migrate.StepID, format string, a ...any) {
	t.line("%s  %-22s %s", clock(time.Since(t.began)), id, fmt.Sprintf(format, a...))
}

func (t *Terminal) line(format string, a ...any) {
	if t.quiet {
		return
	}
	t.wipe()
	text := strings.TrimRight(fmt.Sprintf(format, a...), " ") + "\n"
	if t.prompt != "" { // the line takes the prompt's place, and the prompt comes again below it
		text = "\r\x1b[K" + text + t.prompt
	}
	t.write(text)
}

func (t *Terminal) write(s string) {
	if t.failed != nil {
		return
	}
	if _, err := io.WriteString(t.out, s); err != nil {
		t.failed = fmt.Errorf("write to the terminal: %w", err)
	}
}

// paint draws what runs now below the lines; wipe takes it away again.
func (t *Terminal) paint() {
	if !t.screen || t.painted > 0 || t.prompt != "" {
		return
	}
	columns := max(20, t.width())
	for _, c := range t.running {
		if time.Since(c.since) < firstWord {
			continue
		}
		line := []rune(fmt.Sprintf("%s  %-22s … %s", clock(time.Since(t.began)), c.step, strings.ReplaceAll(c.String(), "\n", " ")))
		if len(line) >= columns {
			line = append(line[:columns-2], '…')
		}
		t.write(string(line) + "\n")
		t.painted++
	}
}

func (t *Terminal) wipe() {
	if t.painted > 0 {
		t.write(fmt.Sprintf("\x1b[%dA\x1b[J", t.painted))
		t.painted = 0
	}
}

func because(why string) string { return lead(": ", why) }

// lead is text after what leads to it, or nothing where there is no text.
func lead(to, text string) string {
	if text == "" {
		return ""
	}
	return to + text
}

func parens(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}

func orRun(id migrate.StepID) string {
	if id == "" {
		return "run"
	}
	return string(id)
}
