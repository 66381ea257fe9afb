package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/migrate"
)

// What another process sees of the services is what was last said of each.
func TestServicesAreSeenFromOutside(t *testing.T) {
	dir := t.TempDir()
	if all, err := readServices(dir); len(all) > 0 || err != nil {
		t.Fatal(all, err)
	}
	at := time.Date(2026, 11, 23, 1, 2, 3, 0, time.UTC)
	w := &serviceWatch{dir: dir}
	say := func(e migrate.Event) { w.event(e) }
	when := func(s int) migrate.When { return migrate.When{Time: at.Add(time.Duration(s) * time.Second)} }
	health := func(s int, id migrate.StepID, lag time.Duration) migrate.Event {
		return migrate.ServiceHealth{When: when(s), Health: migrate.Health{Service: id, Up: true, Lag: lag}}
	}
	say(health(0, "follow.rows", time.Minute))
	say(health(0, "follow.files", time.Second))
	say(health(1, "follow.rows", 3*time.Second))
	say(migrate.StepFailed{When: when(2), Step: "follow.files", Doing: migrate.Following, Error: "connection lost"})
	say(migrate.StepFailed{When: when(2), Step: "copy.rows", Doing: migrate.Running, Error: "another matter"})
	all, err := readServices(dir)
	if err != nil || w.failed() != nil {
		t.Fatal(err, w.failed())
	}
	var b strings.Builder
	writeServices(&b, all, true, at.Add(4*time.Second))
	if want := "service follow.files is down, and is started again: connection lost (2.0 s ago)\nservice follow.rows is up, lag 3.0 s (3.0 s ago)\n"; b.String() != want {
		t.Errorf("%q", b.String())
	}
	b.Reset()
	writeServices(&b, all, false, at)
	if strings.Contains(b.String(), "is up") || strings.Count(b.String(), "does not run") != 2 {
		t.Errorf("%q", b.String())
	}
	say(migrate.ServiceStopped{When: when(5), Service: "follow.files"})
	if all, err = readServices(dir); len(all) != 1 || all[0].Service != "follow.rows" || err != nil {
		t.Error(all, err)
	}
	if st, err := os.Stat(filepath.Join(dir, servicesFile)); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", st, err)
	}
	w = &serviceWatch{dir: filepath.Join(dir, "gone")}
	if w.event(health(6, "follow.rows", 0)); w.failed() == nil {
		t.Error("nothing was said of a file that can't be written")
	}
}

// status shows them, in text and as JSON; not one that the journal says was stopped.
func TestStatusShowsServices(t *testing.T) {
	state := t.TempDir()
	const id = "20261123-010203-7f3a"
	dir := filepath.Join(state, "runs", id)
	text, err := os.ReadFile("../../migrate/testdata/journals/v1-killed.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"journal.jsonl": text, servicesFile: []byte(`[{"service":"cut.reverse","up":true,"lag":5,"at":"2026-11-23T01:02:03Z"},{"service":"follow.rows","up":true,"lag":5,"at":"2026-11-23T01:02:03Z"}]`)} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if exit, out, errs := slipway(t, state, "--state", state, "status", id); exit != exitDone || !strings.Contains(out, "service cut.reverse does not run") || strings.Contains(out, "service follow.rows does not run") {
		t.Errorf("exit %d: %s%s", exit, out, errs)
	}
	if exit, out, errs := slipway(t, state, "--state", state, "-o", "json", "status", id); exit != exitDone || !strings.Contains(out, `"services":[{"service":"cut.reverse","up":true,"lag":5,"at":"2026-11-23T01:02:03Z"}]`) {
		t.Errorf("exit %d: %s%s", exit, out, errs)
	}
	if err := os.WriteFile(filepath.Join(dir, servicesFile), []byte("[{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if exit, _, errs := slipway(t, state, "--state", state, "status", id); exit != exitFailed || !strings.Contains(errs, "read how the services do") {
		t.Errorf("exit %d: %s", exit, errs)
	}
}
