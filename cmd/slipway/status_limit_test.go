package main

import (
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal"
)

// status says until when a phase with a limit must be over, and that it is taken back when nobody was there in time.
func TestStatusOfAPhaseWithALimit(t *testing.T) {
	f, err := os.Open("../../migrate/testdata/journals/v1-killed-in-a-switch-with-a-limit.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := &record{history: &migrate.History{}}
	for d := journal.NewDecoder(f); ; {
		rec, err := d.Next()
		if err != nil {
			break
		}
		if _, err := r.history.Apply(rec); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) { // its clock begins with that journal's
		for _, x := range []struct {
			held bool
			want string
		}{
			{false, "phase cut over must be over by 2000-01-01T00:10:01Z, or it is taken back. no process works on it. to go on: slipway resume"},
			{true, "a process works on it; nothing to type; phase cut over must be over by 2000-01-01T00:10:01Z, or it is taken back"},
			{false, "phase cut over was to be over by 2000-01-01T00:10:01Z: it is taken back when the run is resumed. no process"},
			{true, "nothing to type; phase cut over was to be over by 2000-01-01T00:10:01Z: the process takes it back"},
		} {
			if r.held = x.held; strings.Contains(x.want, "was to be") {
				time.Sleep(time.Hour)
			}
			if got := r.next(); !strings.Contains(got, x.want) {
				t.Errorf("%q is not in %q", x.want, got)
			}
		}
	})
}
