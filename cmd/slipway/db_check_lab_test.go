//go:build lab

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/lab/dbpair"
)

// TestDBCheck: two servers and nothing else, as a person with two data source names has them: what is printed, the exit
// codes, and a check that is killed.
func TestDBCheck(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	lab, err := dbpair.Open(ctx, "dbcheck", os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lab.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	maria, err := lab.MariaDB(ctx, "maria", dbpair.Options{})
	if err != nil {
		t.Fatal(err)
	}
	my, err := lab.MySQL(ctx, "mysql", dbpair.Options{})
	if err != nil {
		t.Fatal(err)
	}
	do := func(s *dbpair.Server, stmt string) {
		t.Helper()
		db, err := s.Open(dbpair.Root, "")
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.ExecContext(ctx, stmt); err != nil {
			t.Fatalf("%s: %v", stmt, err)
		}
	}
	do(maria, "CREATE DATABASE stall; CREATE TABLE stall.a (id INT PRIMARY KEY, u UUID)")
	dir := t.TempDir()
	run := func(args ...string) (stdout, stderr string, code int) {
		t.Helper()
		var out, complaints bytes.Buffer
		cmd := exec.CommandContext(ctx, "slipway", append([]string{"db", "check", "--source", "env:SRC", "--target", "env:DST", "--schema", "stall"}, args...)...)
		cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &complaints
		cmd.Env = append(os.Environ(), "SRC="+dbpair.Reader+":"+dbpair.Password+"@tcp("+maria.Addr+")/", "DST="+dbpair.Loader+":"+dbpair.Password+"@tcp("+my.Addr+")/")
		var exit *exec.ExitError
		if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		if all := out.String() + complaints.String(); strings.Contains(all, dbpair.Password) {
			t.Errorf("a password is printed: %s", all)
		}
		return out.String(), complaints.String(), cmd.ProcessState.ExitCode()
	}
	out, complaints, code := run()
	if code != exitDone || !strings.Contains(out, "rewritten on the way: ") || !strings.Contains(out, "table stall.a, u\n      type: UUID to VARCHAR(36)") || !strings.Contains(out, "nothing is refused") || complaints != "" {
		t.Errorf("exit code %d:\n%s%s", code, out, complaints)
	}
	do(maria, "CREATE TABLE stall.b (id INT PRIMARY KEY) ENGINE=MyISAM")
	out, complaints, code = run()
	if first := strings.Index(out, "refused: 1\n  table stall.b (stops the copy)\n"); code != exitFailed || first < 0 || first > strings.Index(out, "rewritten") || !strings.Contains(complaints, "hint: deal with what is refused at the source, then type slipway db check again") {
		t.Errorf("exit code %d:\n%s%s", code, out, complaints)
	}
	var r dbcopy.Report
	out, _, code = run("-o", "json")
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != exitFailed || r.Findings[0].Check != "engine" || r.Findings[0].Stops != "copy" || r.Findings[0].Fix == "" || strings.Count(out, "\n") != 1 {
		t.Errorf("exit code %d, %v:\n%s", code, err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "empty.log"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, complaints, code = run("--slow-log", "empty.log"); code != exitUsage || !strings.Contains(complaints, "not a slow query log with statements in it") {
		t.Errorf("exit code %d: %s", code, complaints)
	}
	for i := range 30 {
		do(maria, fmt.Sprintf("CREATE TABLE stall.t%d (id INT PRIMARY KEY)", i))
	}
	killCheck(t, ctx, dir, maria, my)
	if out, _, _ = run(); !strings.Contains(out, "dropped _slipway_check_1 at the target, which a killed check had left") {
		t.Errorf("after one was killed:\n%s", out)
	}
	if out, _, _ = run(); strings.Contains(out, "_slipway") {
		t.Errorf("after that:\n%s", out)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("it left %v, %v", entries, err)
	}
}

// killCheck kills a check with SIGKILL while its schema is there. One that was quicker than this test is tried again.
func killCheck(t *testing.T, ctx context.Context, dir string, maria, my *dbpair.Server) {
	t.Helper()
	db, err := my.Open(dbpair.Root, "")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	there := func(query string) bool {
		t.Helper()
		var n int
		if err := db.QueryRowContext(ctx, query).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n > 0
	}
	for range 20 {
		cmd := exec.CommandContext(ctx, "slipway", "db", "check", "--source", "env:SRC", "--target", "env:DST", "--schema", "stall")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "SRC="+dbpair.Reader+":"+dbpair.Password+"@tcp("+maria.Addr+")/", "DST="+dbpair.Loader+":"+dbpair.Password+"@tcp("+my.Addr+")/")
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { _ = cmd.Wait(); close(ended) }()
		for over := false; !over && !there("SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = '_slipway_check_1'"); {
			select {
			case <-ended:
				over = true
			default:
			}
		}
		_ = cmd.Process.Kill() // it may have ended
		<-ended
		if there("SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = '_slipway_check_1'") {
			return
		}
	}
	t.Fatal("each of 20 checks had dropped its schema before it was killed: nothing is proven")
}
