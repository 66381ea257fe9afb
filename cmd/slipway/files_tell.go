package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/slipway-dev/slipway/internal/treecopy/pass"
	"github.com/slipway-dev/slipway/internal/ui"
)

// filesTeller says how far the files are: on a terminal in one line that is written over, into a file now and then.
type filesTeller struct {
	to    io.Writer
	quiet bool
	width func() int // nil: no terminal
	meter pass.Meter

	mu    sync.Mutex
	on    bool // a line stands there that the next one replaces
	again string
	end   chan struct{}
	over  sync.WaitGroup
}

// tell begins to say it; the teller is stopped by its stop.
func (p *program) filesTeller() *filesTeller {
	t := &filesTeller{to: p.err, quiet: p.output != text, width: columns(p.err), end: make(chan struct{})}
	if t.quiet {
		return t
	}
	each := eachFile
	if t.width != nil {
		each = eachScreen
	}
	t.over.Go(func() {
		tick := time.NewTicker(each)
		defer tick.Stop()
		for {
			select {
			case <-t.end:
				return
			case <-tick.C:
				t.line(t.meter.Now())
			}
		}
	})
	return t
}

func (t *filesTeller) stop() {
	close(t.end)
	t.over.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clear()
}

func (t *filesTeller) clear() {
	if t.on {
		fmt.Fprint(t.to, "\r\x1b[K")
		t.on = false
	}
}

// say says one thing, above the line of progress.
func (t *filesTeller) say(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.quiet {
		return
	}
	t.clear()
	fmt.Fprintln(t.to, what)
}

func (t *filesTeller) line(p pass.Progress) {
	if p.Stage == "" {
		return
	}
	if p.Again != "" && p.Again != t.again {
		t.again = p.Again
		t.say("again: " + p.Again)
	}
	text := filesLine(p, time.Now())
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clear()
	if t.width == nil {
		fmt.Fprintln(t.to, text)
		return
	}
	if w := t.width() - 1; w > 0 && len(text) > w {
		text = text[:w]
	}
	fmt.Fprint(t.to, text)
	t.on = true
}

// filesLine is progress for people.
func filesLine(p pass.Progress, now time.Time) string {
	took := now.Sub(p.Since).Seconds()
	switch p.Stage {
	case pass.Listing:
		return fmt.Sprintf("listing: %s entries", ui.Count(p.Seen))
	case pass.Hashing:
		return fmt.Sprintf("comparing: %s files, %s, %s/s", ui.Count(p.Files), ui.Bytes(p.Bytes), ui.Bytes(perSecond(p.Bytes, took)))
	case pass.Copying:
		todo := p.Todo.Files + p.Todo.Adopt
		line := fmt.Sprintf("copying: %s of %s files, %s of %s, %s/s, %s files/s", ui.Count(p.Files), ui.Count(todo), ui.Bytes(p.Bytes), ui.Bytes(p.Todo.Bytes),
			ui.Bytes(perSecond(p.Bytes, took)), ui.Count(perSecond(p.Files, took)))
		if left, ok := eta(p, took); ok {
			line += ", " + ui.Took(left) + " left"
		}
		if p.Retried > 0 {
			line += fmt.Sprintf(", %s again", ui.Count(p.Retried))
		}
		return line
	}
	return string(p.Stage)
}

func perSecond(n int64, seconds float64) int64 {
	if seconds <= 0 {
		return 0
	}
	return int64(float64(n) / seconds)
}

// eta is how long the rest takes if it goes on as until now: by files or by bytes, whichever is later.
func eta(p pass.Progress, took float64) (time.Duration, bool) {
	todo := p.Todo.Files + p.Todo.Adopt
	if took < 2 || p.Files == 0 {
		return 0, false
	}
	left := took * float64(todo-p.Files) / float64(p.Files)
	if p.Bytes > 0 && p.Todo.Bytes > p.Bytes {
		left = max(left, took*float64(p.Todo.Bytes-p.Bytes)/float64(p.Bytes))
	}
	return time.Duration(max(left, 0) * float64(time.Second)), true
}
