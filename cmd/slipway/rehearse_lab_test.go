//go:build lab

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/labtest"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal"
)

// TestRehearsal rehearses against the lab while its customers shop: first undisturbed, then killed with -9 once inside every step, on the way there and
// on the way back, and taken up again each time. Both end the same.
func TestRehearsal(t *testing.T) {
	s := newDesk(t, labtest.Alone(t))
	s.lab.BeginProof(t)
	s.lab.StartShopping(t)

	id := undisturbed(t, s)
	if t.Failed() {
		return
	}
	h := &hunt{desk: s, took: durations(s.records(t, id)), hit: map[attempt]time.Duration{}}
	h.run(t, id)

	stats := s.noOrderLost(t).Stats
	t.Logf("customers: %+v", stats)
	s.nothingLeft(t)
	secretsKept(t, s)
}

// undisturbed is one whole rehearsal.
func undisturbed(t *testing.T, s desk) string {
	p := s.start(t, "rehearse", "--yes-to", "go")
	id := waitForRun(t, s, p, "")
	labtest.Eventually(t, time.Minute, "a second process is refused", func() error {
		code, _, complaint := s.slipway(t, "resume", id)
		if code != exitLocked || !strings.Contains(complaint, "process ") {
			t.Errorf("a second process on run %s: exit code %d, want %d, and who holds it:\n%s", id, code, exitLocked, complaint)
		}
		return nil
	})
	if code := p.wait(t); code != exitDone {
		t.Fatalf("slipway rehearse: exit code %d\n%s%s", code, p.out.String(), p.err.String())
	}
	out := p.out.String()
	t.Log("\n" + out)
	for _, step := range s.steps(t) {
		if !regexp.MustCompile(`(?m)^.*\s1\s+` + regexp.QuoteMeta(string(step)) + `\s+undone\s*$`).MatchString(out) {
			t.Errorf("the table has no line for step %s that was tried once and undone", step)
		}
	}
	if path := filepath.Join(".slipway", "runs", id, journal.Name); !strings.Contains(out, path) {
		t.Errorf("the output does not name the journal %s", path)
	}
	s.must(t, exitDone, "journal", "verify", id)
	if runs := s.runs(t); len(runs) != 1 || runs[0].ID != id || runs[0].State != migrate.StateDone {
		t.Errorf("runs: %+v", runs)
	}
	st := s.status(t, id)
	for _, x := range st.Steps {
		if x.Kind != kindGate && x.State != migrate.StepIsUndone {
			t.Errorf("step %s is %s", x.ID, x.State)
		}
	}
	moved(t, st)
	return id
}

// moved fails if copies and comparisons don't say the same of what passed them.
func moved(t *testing.T, st statusReport) {
	of := map[migrate.StepID]migrate.Tally{}
	for _, x := range st.Steps {
		of[x.ID] = x.Moved
	}
	rows, files := of["copy.mariadb-snapshot"].Rows, of["copy.gluster-snapshot"].Files
	if rows == 0 || of["copy.sql-load"].Rows != rows || of["copy.sql-verify"].Rows != rows {
		t.Errorf("rows: %d read, %d loaded, %d compared", rows, of["copy.sql-load"].Rows, of["copy.sql-verify"].Rows)
	}
	if files == 0 || of["copy.volume-fill"].Files != files || of["copy.volume-verify"].Files != files {
		t.Errorf("files: %d read, %d written, %d compared", files, of["copy.volume-fill"].Files, of["copy.volume-verify"].Files)
	}
}

// waitForRun waits until a process has opened another run than after, and gives its id.
func waitForRun(t *testing.T, s desk, p *process, after string) (id string) {
	t.Helper()
	for since := time.Now(); time.Since(since) < time.Minute; time.Sleep(time.Millisecond) {
		entries, err := os.ReadDir(filepath.Join(s.dir, ".slipway", "runs"))
		if err == nil && len(entries) > 0 {
			if id = entries[len(entries)-1].Name(); id > after && len(s.records(t, id)) > 0 {
				return id
			}
		}
		select {
		case <-p.ended:
			t.Fatalf("slipway %v ended with %d before it opened a run:\n%s", p.cmd.Args[1:], p.cmd.ProcessState.ExitCode(), p.err.String())
		default:
		}
	}
	t.Fatal("no run was opened within a minute")
	return ""
}

// attempt is one way through a step.
type attempt struct {
	step migrate.StepID
	undo bool
}

func (a attempt) String() string {
	if a.undo {
		return "undo of " + string(a.step)
	}
	return string(a.step)
}

// inFlight are the attempts that the records show an intent of and no outcome, with when each began.
func inFlight(records []journal.Record) map[attempt]time.Time {
	in := map[attempt]time.Time{}
	for _, r := range records {
		forward, back := attempt{migrate.StepID(r.Step), false}, attempt{migrate.StepID(r.Step), true}
		switch r.Kind {
		case journal.Opened:
			clear(in) // the process before it is dead
		case journal.Intent:
			in[forward] = r.Time
		case journal.Done, journal.Failed:
			delete(in, forward)
		case journal.UndoIntent:
			in[back] = r.Time
		case journal.Undone, journal.UndoFailed:
			delete(in, back)
		}
	}
	return in
}

// durations are how long each attempt of a whole run took.
func durations(records []journal.Record) map[attempt]time.Duration {
	took := map[attempt]time.Duration{}
	for i := range records {
		before := inFlight(records[:i])
		for a, began := range before {
			if _, still := inFlight(records[:i+1])[a]; !still {
				took[a] = records[i].Time.Sub(began)
			}
		}
	}
	return took
}

// secretsKept fails if a secret stands in a file of a run.
func secretsKept(t *testing.T, s desk) {
	secrets, err := filepath.Glob(filepath.Join(s.dir, "secrets", "*"))
	if err != nil || len(secrets) < 10 {
		t.Fatalf("secrets: %v, %v", secrets, err)
	}
	var files int
	err = filepath.WalkDir(filepath.Join(s.dir, ".slipway"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, file := range secrets {
			secret, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			switch filepath.Ext(file) {
			case ".crt": // a certificate is shown to everybody
				continue
			case ".json": // of an account's key file only the key is secret
				secret = []byte(decoded[struct {
					Key string `json:"private_key"`
				}](t, string(secret)).Key)
			}
			if slices.ContainsFunc(strings.Fields(string(secret)), func(line string) bool {
				return len(line) >= 12 && !strings.HasPrefix(line, "-----") && strings.Contains(string(text), line)
			}) {
				t.Errorf("%s holds the secret of %s", path, filepath.Base(file))
			}
		}
		return nil
	})
	if err != nil || files == 0 {
		t.Errorf("looked at %d files of the runs: %v", files, err)
	}
}
