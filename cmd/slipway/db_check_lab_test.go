//go:build lab

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/lab/dbpair"
	"github.com/slipway-dev/slipway/internal/lab/dbtest"
)

// TestDBCheck: two servers and nothing else, as a person with two data source names has them: what is printed, the exit
// codes, and a check that is killed.
func TestDBCheck(t *testing.T) {
	d := newDBDesk(t, dbtest.Limit(t, 5*time.Minute), "dbcheck", dbpair.Options{}, dbpair.Options{}, "stall")
	d.do(d.maria, "CREATE DATABASE stall; CREATE TABLE stall.a (id INT PRIMARY KEY, u UUID)")
	run := func(args ...string) (stdout, stderr string, code int) {
		t.Helper()
		out, complaints, ended := d.run(d.verb("check", args...)...)
		return out, complaints, ended.ExitCode()
	}
	out, complaints, code := run()
	if code != exitDone || !strings.Contains(out, "rewritten on the way: ") || !strings.Contains(out, "table stall.a, u\n      type: UUID to VARCHAR(36)") || !strings.Contains(out, "nothing is refused") || complaints != "" {
		t.Errorf("exit code %d:\n%s%s", code, out, complaints)
	}
	d.do(d.maria, "CREATE TABLE stall.b (id INT PRIMARY KEY) ENGINE=MyISAM")
	out, complaints, code = run()
	if first := strings.Index(out, "refused: 1\n  table stall.b (stops the copy)\n"); code != exitFailed || first < 0 || first > strings.Index(out, "rewritten") || !strings.Contains(complaints, "hint: deal with what is refused at the source, then type slipway db check again") {
		t.Errorf("exit code %d:\n%s%s", code, out, complaints)
	}
	var r dbcopy.Report
	out, _, code = run("-o", "json")
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != exitFailed || r.Findings[0].Check != "engine" || r.Findings[0].Stops != "copy" || r.Findings[0].Fix == "" || strings.Count(out, "\n") != 1 {
		t.Errorf("exit code %d, %v:\n%s", code, err, out)
	}
	if err := os.WriteFile(filepath.Join(d.dir, "empty.log"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, complaints, code = run("--slow-log", "empty.log"); code != exitUsage || !strings.Contains(complaints, "not a slow query log with statements in it") {
		t.Errorf("exit code %d: %s", code, complaints)
	}
	for i := range 30 {
		d.do(d.maria, fmt.Sprintf("CREATE TABLE stall.t%d (id INT PRIMARY KEY)", i))
	}
	d.killCheck()
	if out, _, _ = run(); !strings.Contains(out, "dropped _slipway_check_1 at the target, which a killed check had left") {
		t.Errorf("after one was killed:\n%s", out)
	}
	if out, _, _ = run(); strings.Contains(out, "_slipway") {
		t.Errorf("after that:\n%s", out)
	}
	if entries, err := os.ReadDir(d.dir); err != nil || len(entries) != 1 {
		t.Errorf("it left %v, %v", entries, err)
	}
}

// killCheck kills a check with SIGKILL while its schema is there. One that was quicker than this test is tried again.
func (d *dbDesk) killCheck() {
	d.Helper()
	my := dbtest.Admin(d.T, d.my, "")
	for range 20 {
		cmd := d.command(d.verb("check")...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			d.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { _ = cmd.Wait(); close(ended) }()
		for over := false; !over && dbtest.One(d.T, my, "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = '_slipway_check_1'") == "0"; {
			select {
			case <-ended:
				over = true
			default:
			}
		}
		_ = cmd.Process.Kill() // it may have ended
		<-ended
		if dbtest.One(d.T, my, "SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = '_slipway_check_1'") != "0" {
			return
		}
	}
	d.Fatal("each of 20 checks had dropped its schema before it was killed: nothing is proven")
}
