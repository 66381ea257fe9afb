package dbtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
)

// Child is a part of a test that runs in a process of its own, which can be killed: the test program once more, with an order in this
// variable of its environment.
type Child[O any] string

// Main does the order that this process was given and ends it, with the status that failed gives of an error; nil: 1. It returns where
// there is none. Call it first in TestMain. The process doesn't outlive the one that started it.
func (c Child[O]) Main(do func(O) error, failed func(error) int) {
	text := os.Getenv(string(c))
	if text == "" {
		return
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // who started it has the other end
		os.Exit(1)
	}()
	var o O
	err := json.Unmarshal([]byte(text), &o)
	if err == nil {
		err = do(o)
	}
	if err == nil {
		os.Exit(0)
	}
	fmt.Fprintln(os.Stderr, "error:", err)
	if failed == nil {
		os.Exit(1)
	}
	os.Exit(failed(err))
}

// Start starts a process that does an order. What it says is in the buffer once it was waited for.
func (c Child[O]) Start(t testing.TB, o O) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out := new(bytes.Buffer)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), string(c)+"="+string(text))
	cmd.Stdout, cmd.Stderr = out, out
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, out
}
