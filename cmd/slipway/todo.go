package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/slipway-dev/slipway/migrate"
)

// writeHeld lists what was not undone because a failed undo holds it, by the step that holds.
func writeHeld(w io.Writer, todo []migrate.Todo) {
	var holders []migrate.StepID
	held := map[migrate.StepID][]string{}
	for _, t := range todo {
		if t.HeldBy == "" {
			continue
		}
		if held[t.HeldBy] == nil {
			holders = append(holders, t.HeldBy)
		}
		held[t.HeldBy] = append(held[t.HeldBy], string(t.Step))
	}
	for _, h := range holders {
		fmt.Fprintf(w, "\nnot undone, because the undo of %s must come first: %s\n", h, strings.Join(held[h], ", "))
	}
}

// nextForAPerson is what to type when undos have failed: one line for each of them where what it made is gone already.
func nextForAPerson(run string, todo []migrate.Todo) string {
	var b strings.Builder
	fmt.Fprintf(&b, "some steps could not be undone. when what is named above is mended: slipway resume %s", run)
	for _, t := range todo {
		if t.HeldBy == "" {
			fmt.Fprintf(&b, "\nwhere what %s made is gone already: slipway waive %s %s --why TEXT", t.Step, run, t.Step)
		}
	}
	return b.String()
}
