package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/slipway-dev/slipway/internal/ui"
	"github.com/slipway-dev/slipway/migrate"
)

// remindEvery is how often a prompt says how long the gate still waits, remindLast in the last two minutes.
const (
	remindEvery = time.Minute
	remindLast  = 10 * time.Second
)

// typed is what a person types at the terminal that the program was started from. One goroutine reads it, from the first
// question on and for as long as the program runs: a read of a terminal can't be taken back.
type typed struct {
	in    *os.File
	begin sync.Once
	lines chan string // closed at the end of what is typed
	stale bool        // the last question was answered elsewhere: what was typed for it is no answer to the next
}

// openTyped gives nil where nobody can type.
func openTyped(in io.Reader) *typed {
	f, ok := in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return &typed{in: f, lines: make(chan string)}
}

func (t *typed) read() {
	defer close(t.lines)
	for sc := bufio.NewScanner(t.in); sc.Scan(); {
		t.lines <- strings.TrimSpace(sc.Text())
	}
}

// paper is where a question stands: on the screen with the run's events; or, where those go into a file, on the terminal
// itself.
type paper struct {
	say    func(format string, a ...any)
	prompt func(text string)
	// done ends a prompt: by what was typed, or by something else.
	done  func(typed bool)
	close func()
}

func openPaper(s screen, terminal string) (paper, error) {
	if s.terminal != nil {
		return paper{s.say, s.terminal.Prompt, s.terminal.EndPrompt, func() {}}, nil
	}
	tty, err := os.OpenFile(terminal, os.O_WRONLY, 0)
	if err != nil {
		return paper{}, fmt.Errorf("ask at the terminal: %w", err)
	}
	return paper{
		say:    func(format string, a ...any) { fmt.Fprintf(tty, format+"\n", a...) },
		prompt: func(text string) { fmt.Fprint(tty, text) },
		done: func(typed bool) {
			if !typed {
				fmt.Fprintln(tty)
			}
		},
		close: func() { _ = tty.Close() }, // nothing is kept in it
	}, nil
}

// ask shows the question and reads the answer. from is the terminal's name. Only the gate's name passes it: a key that was hit by accident does not.
// The end of what is typed (Ctrl-D) is no word.
func (t *typed) ask(ctx context.Context, q migrate.Question, s screen, from string) (migrate.Answer, error) {
	out, err := openPaper(s, from)
	if err != nil {
		return migrate.Answer{}, err
	}
	defer out.close()
	t.begin.Do(func() { go t.read() })
	if t.stale {
		t.stale = false
		select {
		case <-t.lines:
		default:
		}
	}
	for _, l := range ui.Ask(q, time.Now()) {
		out.say("%s", l)
	}
	for {
		word, ok, err := t.line(ctx, out, q, fmt.Sprintf("type %s to pass it, abort to turn the run back, Enter to look again: ", q.Gate))
		if err != nil || !ok {
			return migrate.Answer{}, err
		}
		a := migrate.Answer{From: from}
		switch word {
		case "":
			return migrate.Answer{Word: migrate.Again}, nil
		case string(q.Gate):
			a.Word = migrate.Pass
		case "abort":
			a.Word = migrate.Abort
		default:
			out.say("%q is neither the gate's name nor abort", word)
			continue
		}
		a.Why, ok, err = t.line(ctx, out, q, "why, for the journal (Enter for nothing): ")
		if err != nil || !ok {
			return migrate.Answer{}, err
		}
		return a, nil
	}
}

// line prompts for one line; false at the end of what is typed.
func (t *typed) line(ctx context.Context, out paper, q migrate.Question, prompt string) (string, bool, error) {
	out.prompt(prompt)
	every := func() time.Duration {
		if time.Until(q.Deadline) < 2*remindEvery {
			return remindLast
		}
		return remindEvery
	}
	var remind <-chan time.Time
	timer := time.NewTimer(every())
	defer timer.Stop()
	if !q.Deadline.IsZero() {
		remind = timer.C
	}
	for {
		select {
		case l, ok := <-t.lines:
			out.done(ok)
			return l, ok, nil
		case <-ctx.Done():
			out.done(false)
			t.stale = true
			return "", false, context.Cause(ctx)
		case now := <-remind:
			out.done(false)
			out.say("gate %s waits for %s more", q.Gate, ui.Left(q.Deadline, now))
			out.prompt(prompt)
			timer.Reset(every())
		}
	}
}
