package main

import (
	"context"
	"errors"
	"io"
	"os"
	"testing"
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
