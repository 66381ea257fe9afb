package migrate_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal"
)

// opened is the first record of a journal with two steps.
func opened(t *testing.T, format int) journal.Record {
	t.Helper()
	data, err := json.Marshal(map[string]any{"manifest": migrate.Manifest{Format: format, Mode: migrate.ModeRehearsal, Steps: []migrate.ManifestStep{
		{ID: "a", Kind: "step", Phase: "one"}, {ID: "b", Kind: "step", Phase: "two", Stretch: 1}}}})
	if err != nil {
		t.Fatal(err)
	}
	return journal.Record{Seq: 1, Run: runID, Fence: 1, Kind: journal.Opened, Time: time.Unix(0, 0), Data: data}
}

// A record that can't be one of this run's, or that this program is too old for, ends the reading: nothing is skipped.
func TestApplyRefuses(t *testing.T) {
	rec := func(step string, kind journal.Kind, data string) journal.Record {
		return journal.Record{Seq: 2, Run: runID, Fence: 1, Step: step, Kind: kind, Data: json.RawMessage(data)}
	}
	other := rec("a", journal.Done, `{"out":1}`)
	other.Run = "20261123-010203-0000"
	for _, x := range []struct {
		name string
		rec  journal.Record
		want error
	}{
		{"another run's", other, journal.ErrCorrupt},
		{"a step that isn't in the manifest", rec("c", journal.Done, `{"out":1}`), journal.ErrCorrupt},
		{"a kind that isn't known, of a step", rec("a", "tasted", `{}`), migrate.ErrNewer},
		{"a kind that isn't known, of the run", rec("", "tasted", `{}`), migrate.ErrNewer},
		{"a step's record without a step", rec("", journal.Intent, `{}`), migrate.ErrNewer},
		{"a decision that isn't known", rec("a", journal.Operator, `{"decision":"guess"}`), migrate.ErrNewer},
		{"a gate's decision that isn't known", rec("a", journal.Gate, `{"decision":"guess"}`), migrate.ErrNewer},
	} {
		var h migrate.History
		if _, err := h.Apply(opened(t, 1)); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Apply(x.rec); !errors.Is(err, x.want) {
			t.Errorf("%s: %v", x.name, err)
		}
		if h.Records != 1 {
			t.Errorf("%s: it was counted", x.name)
		}
	}
	var h migrate.History
	if _, err := h.Apply(opened(t, 2)); !errors.Is(err, migrate.ErrNewer) {
		t.Errorf("a newer format: %v", err)
	}
	h = migrate.History{}
	if _, err := h.Apply(rec("a", journal.Intent, `{}`)); !errors.Is(err, journal.ErrCorrupt) {
		t.Errorf("no opening record: %v", err)
	}
	h = migrate.History{}
	if _, err := h.Apply(rec("", journal.Opened, `{}`)); !errors.Is(err, journal.ErrCorrupt) {
		t.Errorf("an opening record without a manifest: %v", err)
	}
	for _, kind := range []journal.Kind{journal.Intent, journal.Done, journal.Failed, journal.UndoFailed, journal.Undone, journal.ServiceStarted, journal.ServiceStopped, journal.Gate, journal.Operator} {
		h = migrate.History{}
		if _, err := h.Apply(opened(t, 1)); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Apply(rec("a", kind, `[]`)); err == nil || !strings.Contains(err.Error(), "data of "+string(kind)+" record 2") {
			t.Errorf("%s with data that can't be its own: %v", kind, err)
		}
	}
}
