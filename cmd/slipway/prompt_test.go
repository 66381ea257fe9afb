package main

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-dev/slipway/internal/ui"
	"github.com/slipway-dev/slipway/migrate"
)

// What was typed for a question that another terminal answered is no answer to the next question.
func TestStaleLine(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	typed := &typed{in: r, lines: make(chan string)}
	term := ui.NewTerminal(io.Discard, func() int { return 80 })
	defer term.Close()
	s := screen{say: term.Say, terminal: term}
	q := migrate.Question{Gate: "go"}

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if a, err := typed.ask(ctx, q, s, "here"); !errors.Is(err, context.Canceled) || a.Word != migrate.NoWord {
		t.Fatalf("%+v %v", a, err)
	}
	if _, err := w.WriteString("go\n"); err != nil { // a moment too late for that one
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	next := make(chan migrate.Answer)
	go func() {
		a, err := typed.ask(context.Background(), q, s, "here")
		if err != nil {
			t.Error(err)
		}
		next <- a
	}()
	time.Sleep(100 * time.Millisecond)
	if _, err := w.WriteString("abort\nas I said\n"); err != nil {
		t.Fatal(err)
	}
	if a := <-next; a != (migrate.Answer{Word: migrate.Abort, From: "here", Why: "as I said"}) {
		t.Errorf("%+v", a)
	}
	_ = w.Close()
	if a, err := typed.ask(context.Background(), q, s, "here"); err != nil || a.Word != migrate.NoWord {
		t.Errorf("at the end of what is typed: %+v %v", a, err)
	}
}

// A prompt says how long the gate still waits, more often towards the end.
func TestCountdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		typed := &typed{lines: make(chan string)}
		typed.begin.Do(func() {}) // the test types
		out := &shared{}
		term := ui.NewTerminal(out, func() int { return 80 })
		ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
		defer cancel()
		q := migrate.Question{Gate: "go", Deadline: time.Now().Add(4 * time.Minute)}
		if _, err := typed.ask(ctx, q, screen{say: term.Say, terminal: term}, "here"); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if err := term.Close(); err != nil {
			t.Error(err)
		}
		at := 0
		for _, left := range []string{"gate go:", "waits for 3m00s more", "waits for 2m00s more", "waits for 1m00s more", "waits for 50.0 s more", "waits for 10.0 s more"} {
			i := strings.Index(out.String()[at:], left)
			if i < 0 {
				t.Fatalf("no %q after byte %d of %q", left, at, out.String())
			}
			at += i
		}
	})
}
