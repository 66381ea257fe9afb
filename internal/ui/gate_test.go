package ui_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/ui"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal"
)

// history is that of one of the engine's journals.
func history(t *testing.T, name string) *migrate.History {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "migrate", "testdata", "journals", name))
	if err != nil {
		t.Fatal(err)
	}
	dir, err := journal.MakeDir(t.TempDir(), "20261123-010203-7f3a")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir.Path(), journal.Name), text, 0o600); err != nil {
		t.Fatal(err)
	}
	h, err := migrate.ReadHistory(dir)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// What a person weighs: each finished phase beside what it took before, and what its steps moved.
func TestWeigh(t *testing.T) {
	h := history(t, "v1-cut-over.jsonl")
	alone, beside := ui.Weigh(h, nil), ui.Weigh(h, []*migrate.History{h, h})
	if len(alone) < 2 || len(alone) != len(beside) {
		t.Fatalf("%q\n%q", alone, beside)
	}
	for i, l := range alone {
		if strings.Contains(l, "before") || !strings.HasPrefix(beside[i], l) {
			t.Errorf("%q, and beside others %q", l, beside[i])
		}
	}
	said := func(part string) bool {
		return slices.ContainsFunc(beside, func(l string) bool { return strings.Contains(l, part) })
	}
	if !said(" (2 rehearsals before: ") || !slices.ContainsFunc(ui.Weigh(h, []*migrate.History{h}), func(l string) bool { return strings.Contains(l, " (the rehearsal before: ") }) {
		t.Errorf("%q", beside)
	}
}

func TestAsk(t *testing.T) {
	now := time.Date(2026, 11, 23, 1, 2, 3, 0, time.UTC)
	q := migrate.Question{Gate: "go", Title: "flip", Deadline: now.Add(90 * time.Minute), Lines: []string{"copy  32.3 s"}, Refused: "x lags",
		Services: []migrate.Health{{Service: "a", Up: true, Lag: time.Second}, {Service: "b", Error: "gone"}, {Service: "c"}}}
	want := []string{"gate go: flip", "  the pass was refused: x lags", "  copy  32.3 s",
		"  a                      up, lag 1.0 s", "  b                      down: gone", "  c                      down",
		"  it waits until 2026-11-23T02:32:03Z, 1h30m from now; then the run goes back"}
	if got := ui.Ask(q, now); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if got := ui.Ask(migrate.Question{PointOfNoReturn: true}, now); got[1] != "  there is no way back once it is passed" {
		t.Errorf("%q", got)
	}
	if got := ui.Left(now, now.Add(time.Hour)); got != "0.00 s" {
		t.Errorf("a deadline that has passed: %s", got)
	}
}
