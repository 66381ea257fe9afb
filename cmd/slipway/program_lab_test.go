//go:build lab

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/labtest"
	"github.com/slipway-dev/slipway/internal/lab/verb"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal"
)

// limit bounds one call of the program.
const limit = 10 * time.Minute

// desk is a directory with what a rehearsal against the lab needs; slipway is run in it.
type desk struct {
	lab *labtest.Lab
	dir string
}

func newDesk(t *testing.T, lab *labtest.Lab) desk {
	t.Helper()
	return desk{lab, lab.Config(t)}
}

// change edits slipway.yaml: each old text, which must be there, by the new one after it.
func (s desk) change(t *testing.T, oldNew ...string) {
	t.Helper()
	path := filepath.Join(s.dir, "slipway.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(oldNew); i += 2 {
		if !strings.Contains(string(text), oldNew[i]) {
			t.Fatalf("slipway.yaml has no %q", oldNew[i])
		}
		text = bytes.Replace(text, []byte(oldNew[i]), []byte(oldNew[i+1]), 1)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// process is the program at work.
type process struct {
	cmd      *exec.Cmd
	out, err bytes.Buffer
	ended    chan struct{}
}

func (s desk) start(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command("slipway", args...), ended: make(chan struct{})}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = s.dir, &p.out, &p.err
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // code tells
		close(p.ended)
	}()
	t.Cleanup(func() { p.kill() })
	return p
}

// kill ends the program as a power failure does, and waits until it has ended.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

// wait gives the program's exit code when it has ended.
func (p *process) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(limit):
		p.kill()
		t.Fatalf("slipway %v has not ended after %s:\n%s%s", p.cmd.Args[1:], limit, p.out.String(), p.err.String())
	}
	return p.cmd.ProcessState.ExitCode()
}

// slipway runs the program and gives its exit code, what it printed and what it complained of.
func (s desk) slipway(t *testing.T, args ...string) (code int, out, complaint string) {
	t.Helper()
	p := s.start(t, args...)
	code = p.wait(t)
	return code, p.out.String(), p.err.String()
}

// must runs the program, which must exit with code.
func (s desk) must(t *testing.T, code int, args ...string) string {
	t.Helper()
	got, out, complaint := s.slipway(t, args...)
	if got != code {
		t.Fatalf("slipway %v: exit code %d, want %d\n%s%s", args, got, code, out, complaint)
	}
	return out
}

// runs are the runs as the program lists them.
func (s desk) runs(t *testing.T) []migrate.RunSummary {
	t.Helper()
	return decoded[[]migrate.RunSummary](t, s.must(t, exitDone, "runs", "--output", "json"))
}

// status is a run as the program shows it.
func (s desk) status(t *testing.T, id string) statusReport {
	t.Helper()
	return decoded[statusReport](t, s.must(t, exitDone, "status", id, "--output", "json"))
}

func decoded[T any](t *testing.T, text string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

// steps are the steps of the runbook after preflight, as the plan has them, without its gates.
func (s desk) steps(t *testing.T) []migrate.StepID {
	t.Helper()
	var ids []migrate.StepID
	for _, p := range decoded[migrate.Outline](t, s.must(t, exitDone, "plan", "--output", "json")).Phases {
		if p.Name == "preflight" {
			continue
		}
		for _, st := range p.Steps {
			if st.Kind != kindGate {
				ids = append(ids, st.ID)
			}
		}
	}
	if len(ids) < 17 {
		t.Fatalf("the plan has only the steps %v", ids)
	}
	return ids
}

// records are a journal's records up to its end or its torn tail.
func (s desk) records(t *testing.T, id string) []journal.Record {
	t.Helper()
	f, err := os.Open(filepath.Join(s.dir, ".slipway", "runs", id, journal.Name))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var list []journal.Record
	d := journal.NewDecoder(f)
	for {
		r, err := d.Next()
		if err != nil {
			return list
		}
		list = append(list, r)
	}
}

// machines are those of the cloud that a run made.
func (s desk) machines(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, m := range s.lab.Status(t).Machines {
		if strings.HasPrefix(m.Name, "sql-") || strings.HasPrefix(m.Name, "k") {
			names = append(names, m.Name)
		}
	}
	return names
}

// nothingLeft fails if the cloud still has anything that a run made, or a zone or a host is not as it was at the proof's beginning.
func (s desk) nothingLeft(t *testing.T) {
	t.Helper()
	if left := s.machines(t); len(left) > 0 {
		t.Errorf("the cloud still has %v", left)
	}
	for _, f := range s.lab.EndProof(t).Findings {
		t.Errorf("changed on the source: %s: %s", f.Where, f.What)
	}
}

// noOrderLost fails if the customers' ledger and the shop's database do not agree.
func (s desk) noOrderLost(t *testing.T) verb.Shopping {
	t.Helper()
	shopping := s.lab.StopShopping(t)
	if shopping.Report == nil || shopping.Report.Acknowledged == 0 {
		t.Errorf("no order was acknowledged: %+v", shopping)
	} else if !shopping.Report.Sound() {
		t.Errorf("the ledger and db1 do not agree: %+v", *shopping.Report)
	}
	return shopping
}
