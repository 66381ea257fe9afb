package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/slipway-dev/slipway/internal/lab/machine"
)

// TestMain lets the test binary be the program, under the name slipway, which testscript puts on the PATH; and under the
// name slipway-book the program with the runbook of book_test.go.
func TestMain(m *testing.M) {
	machine.Main() // tests in the lab start servers of their own
	testscript.Main(m, map[string]func(){"slipway": main, "slipway-book": bookMain})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":  exits,
			"run":    fixture,
			"newest": newest,
			"keys":   keys,
			"atgate": atGate,
		},
	})
}

// exits CODE PROGRAM [ARG…] runs a program, which must end with that exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARG…]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v: %v", args[1:], err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("%v: exit code %d, want %d", args[1:], got, want)
	}
}

// fixture puts a journal of the engine's into the runs of a state directory: run STATE JOURNAL.
func fixture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: run STATE JOURNAL")
	}
	here, err := os.Getwd()
	ts.Check(err)
	text, err := os.ReadFile(filepath.Join(here, "..", "..", "migrate", "testdata", "journals", args[1]))
	ts.Check(err)
	dir := ts.MkAbs(filepath.Join(args[0], "runs", "20261123-010203-7f3a"))
	ts.Check(os.MkdirAll(dir, 0o700))
	ts.Check(os.WriteFile(filepath.Join(dir, "journal.jsonl"), text, 0o600))
}

// newest puts the id of the run of a state directory that was begun last into a variable: newest STATE NAME. Two of one second
// have no order in their names.
func newest(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: newest STATE NAME")
	}
	entries, err := os.ReadDir(ts.MkAbs(filepath.Join(args[0], "runs")))
	ts.Check(err)
	if len(entries) == 0 {
		ts.Fatalf("no run in %s", args[0])
	}
	last, at := "", time.Time{}
	for _, e := range entries {
		info, err := e.Info()
		ts.Check(err)
		if info.ModTime().After(at) {
			last, at = e.Name(), info.ModTime()
		}
	}
	ts.Setenv(args[1], last)
}
