// Package progress carries what the lab is doing to whoever watches: the terminal of slipway-lab, or a test's log. It imports nothing of the lab.
package progress

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// Report says what is being done and how far it is. Total is 0 where it isn't known; then Done means nothing.
type Report struct {
	What  string `json:"what"`           // names one piece of work; lower case, without a full stop
	Note  string `json:"note,omitempty"` // what it does just now
	Done  int64  `json:"done,omitempty"`
	Total int64  `json:"total,omitempty"`
	Ended bool   `json:"ended,omitempty"`
	// Seconds since the work began; set with Ended.
	Seconds float64 `json:"seconds,omitempty"`
}

// Func takes reports. It must be safe for concurrent use and must not block for long.
type Func func(Report)

// Discard takes reports and drops them.
func Discard(Report) {}

// Task is one piece of work.
type Task struct {
	to    Func
	what  string
	since time.Time
}

// Begin reports the begin of a piece of work.
func Begin(to Func, what string) *Task {
	to(Report{What: what})
	return &Task{to: to, what: what, since: time.Now()}
}

// At reports how far the work is. total 0: unknown.
func (t *Task) At(note string, done, total int64) {
	t.to(Report{What: t.what, Note: note, Done: done, Total: total})
}

// End reports the end, with the time taken.
func (t *Task) End() {
	t.to(Report{What: t.what, Ended: true, Seconds: time.Since(t.since).Seconds()})
}

// Wait polls until as many as total are done, reporting each step. poll returns how many there are and a note that says what is missing; its error ends the wait. The end of ctx is an error that says
// how far it came.
func Wait(ctx context.Context, to Func, what string, total int64, every time.Duration, poll func(context.Context) (int64, string, error)) error {
	task := Begin(to, what)
	for {
		done, note, err := poll(ctx)
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if err == nil && done >= total {
			task.At(note, done, total)
			task.End()
			return nil
		}
		task.At(note, done, total)
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %d of %d (%s): %w", what, done, total, note, ctx.Err())
		case <-time.After(every):
		}
	}
}

// Printer writes reports as lines: while work lasts, one every interval when something about it changed and else one every five; at the end one with the time.
// Work that ends within a second is mentioned at its end alone.
func Printer(w io.Writer, interval time.Duration) Func {
	type shown struct {
		at   time.Time
		line string
	}
	var mu sync.Mutex
	last := map[string]shown{}
	return func(r Report) {
		mu.Lock()
		defer mu.Unlock()
		now := time.Now()
		before, known := last[r.What]
		line := r.String()
		switch {
		case r.Ended:
			delete(last, r.What)
			fmt.Fprintf(w, "%s: done in %.1f s\n", r.What, r.Seconds)
		case !known:
			last[r.What] = shown{at: now.Add(time.Second - interval)}
		case now.Sub(before.at) >= 5*interval, now.Sub(before.at) >= interval && line != before.line:
			last[r.What] = shown{at: now, line: line}
			fmt.Fprintln(w, line)
		}
	}
}

// String is the report as a line for people.
func (r Report) String() string {
	var b strings.Builder
	b.WriteString(r.What)
	if r.Total > 0 {
		fmt.Fprintf(&b, ": %d of %d", r.Done, r.Total)
	}
	if r.Note != "" {
		fmt.Fprintf(&b, ": %s", r.Note)
	}
	return b.String()
}
