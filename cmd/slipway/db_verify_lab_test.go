//go:build lab

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/lab/dbpair"
)

// TestDBVerify: two servers and nothing else: what is printed, the exit codes, and a repair.
func TestDBVerify(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	lab, err := dbpair.Open(ctx, "dbverify", os.Stderr)
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
	const both = "CREATE DATABASE stall CHARACTER SET utf8mb4; CREATE TABLE stall.a (id INT PRIMARY KEY, s VARCHAR(20)); INSERT INTO stall.a VALUES (1,'one'),(2,'two'),(3,'three')"
	do(maria, both)
	do(my, both)
	dir := t.TempDir()
	dsn := func(user string, s *dbpair.Server) string {
		return user + ":" + dbpair.Password + "@tcp(" + s.Addr + ")/"
	}
	src, dst := dsn(dbpair.Reader, maria), dsn(dbpair.Loader, my)
	run := func(args ...string) (stdout, stderr string, code int) {
		t.Helper()
		var out, complaints bytes.Buffer
		cmd := exec.CommandContext(ctx, "slipway", append([]string{"db", "verify", "--source", "env:SRC", "--target", "env:DST", "--schema", "stall", "--settle", "300ms"}, args...)...)
		cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &complaints
		cmd.Env = append(os.Environ(), "SRC="+src, "DST="+dst)
		var exit *exec.ExitError
		if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		if all := out.String() + complaints.String(); strings.Contains(all, dbpair.Password) || strings.Contains(all, "three") {
			t.Errorf("a password or a value is printed: %s", all)
		}
		return out.String(), complaints.String(), cmd.ProcessState.ExitCode()
	}
	out, complaints, code := run()
	if code != exitDone || !strings.Contains(out, "schemas stall: 1 tables, 0 views; 3 rows in 1 ranges") || !strings.Contains(out, "the target has every row that the source has") || complaints != "" {
		t.Errorf("exit code %d:\n%s%s", code, out, complaints)
	}
	do(my, "UPDATE stall.a SET s='three ' WHERE id=3; DELETE FROM stall.a WHERE id=1; INSERT INTO stall.a VALUES (9,'nine')")
	out, complaints, code = run()
	for _, w := range []string{"differing: 3; repaired: 0\n", "  table stall.a, row with `id`=1: the target hasn't it\n  table stall.a, row with `id`=3: differs in s\n  table stall.a, row with `id`=9: only the target has it\n"} {
		if !strings.Contains(out, w) {
			t.Errorf("%q isn't said:\n%s", w, out)
		}
	}
	if code != exitFailed || !strings.Contains(complaints, "error: the target differs from the source\nhint: find out who wrote to the target; slipway db verify --repair") {
		t.Errorf("exit code %d: %s", code, complaints)
	}
	out, complaints, code = run("--repair", "-o", "json")
	var c dbcopy.Comparison
	if err := json.Unmarshal([]byte(out), &c); err != nil || code != exitDone || complaints != "" || c.Different != 3 || c.Repaired != 3 || len(c.Found) != 3 || !c.Found[0].Repaired || strings.Count(out, "\n") != 1 {
		t.Errorf("exit code %d, %v:\n%s%s", code, err, out, complaints)
	}
	if out, _, code = run(); code != exitDone {
		t.Errorf("repaired, and exit code %d:\n%s", code, out)
	}
	src = dst
	if _, complaints, code = run(); code != exitUsage || !strings.Contains(complaints, "source and target are one and the same server") {
		t.Errorf("one server: exit code %d: %s", code, complaints)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("it left %v, %v", entries, err)
	}
}
