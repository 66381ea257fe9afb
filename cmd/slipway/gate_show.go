package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/slipway-dev/slipway/internal/ui"
	"github.com/slipway-dev/slipway/migrate"
)

// weigh shows, at a gate, what the run took beside the rehearsals before it that went through to their end. root is where
// the runs are.
func weigh(root string) func(context.Context, *migrate.History) ([]string, error) {
	return func(_ context.Context, h *migrate.History) ([]string, error) {
		before, left, err := rehearsalsBefore(root, h.Run)
		if err != nil {
			return nil, err
		}
		lines := ui.Weigh(h, before)
		if left > 0 {
			lines = append(lines, fmt.Sprintf("the journals of %d runs before can't be read: slipway runs", left))
		}
		return lines, nil
	}
}

// rehearsalsBefore are the earlier rehearsals that did all their steps, oldest first; and how many journals can't be read.
func rehearsalsBefore(root, id string) (before []*migrate.History, left int, err error) {
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, 0, fmt.Errorf("look at the runs before: %w", err)
	}
	for _, e := range entries {
		if !migrate.ValidID(e.Name()) || e.Name() >= id {
			continue
		}
		r, err := openRecord(filepath.Join(root, e.Name()))
		switch {
		case errors.Is(err, migrate.ErrNoRun):
		case err != nil:
			left++
		default:
			s := r.history.State(r.held)
			if r.history.Manifest.Mode == migrate.ModeRehearsal && (s == migrate.StateDone || s == migrate.StateKept) {
				before = append(before, r.history)
			}
		}
	}
	return before, left, nil
}
