package main

import (
	"errors"
	"fmt"
	"testing"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
	"github.com/slipway-dev/slipway/internal/dbcopy/follow"
)

// TestCodesOfDB: how the database's verbs end, when no run says so.
func TestCodesOfDB(t *testing.T) {
	wrapped := func(err error) error { return fmt.Errorf("target: %w", err) }
	for _, c := range []struct {
		err  error
		want int
	}{
		{copyFailed(wrapped(dbcopy.ErrFenced)), exitLocked},
		{followFailed(wrapped(dbcopy.ErrFenced)), exitLocked},
		{followFailed(wrapped(&changes.StopError{GTID: "1-2-3"})), exitPerson},
		{followFailed(wrapped(&follow.RowError{})), exitPerson},
		{followFailed(wrapped(follow.ErrNoKey)), exitUsage},
		{followFailed(wrapped(dbcopy.ErrLost)), exitFailed},
		{copyFailed(wrapped(dbcopy.ErrOtherRun)), exitUsage},
		{copyFailed(wrapped(dbcopy.ErrLost)), exitFailed},
		{followFailed(nil), exitDone},
	} {
		if got := code(c.err); got != c.want {
			t.Errorf("%v: exit code %d, want %d", c.err, got, c.want)
		}
		var h *hinted
		if c.err != nil && c.want != exitFailed && !errors.Is(c.err, dbcopy.ErrOtherRun) && !errors.As(c.err, &h) { // another run's error says it itself
			t.Errorf("%v says not what to type", c.err)
		}
	}
}
