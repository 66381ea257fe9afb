//go:build lab

package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/lab/dbpair"
	"github.com/slipway-dev/slipway/internal/lab/dbtest"
)

// TestDBVerify: two servers and nothing else: what is printed, the exit codes, and a repair.
func TestDBVerify(t *testing.T) {
	d := newDBDesk(t, dbtest.Limit(t, 5*time.Minute), "dbverify", dbpair.Options{}, dbpair.Options{}, "stall")
	d.hidden = append(d.hidden, "three")
	const both = "CREATE DATABASE stall CHARACTER SET utf8mb4; CREATE TABLE stall.a (id INT PRIMARY KEY, s VARCHAR(20)); INSERT INTO stall.a VALUES (1,'one'),(2,'two'),(3,'three')"
	d.do(d.maria, both)
	d.do(d.my, both)
	run := func(args ...string) (stdout, stderr string, code int) {
		t.Helper()
		out, complaints, ended := d.run(d.verb("verify", append(args, "--settle", "300ms")...)...)
		return out, complaints, ended.ExitCode()
	}
	out, complaints, code := run()
	if code != exitDone || !strings.Contains(out, "schemas stall: 1 tables, 0 views; 3 rows in 1 ranges") || !strings.Contains(out, "the target has every row that the source has") || complaints != "" {
		t.Errorf("exit code %d:\n%s%s", code, out, complaints)
	}
	d.do(d.my, "UPDATE stall.a SET s='three ' WHERE id=3; DELETE FROM stall.a WHERE id=1; INSERT INTO stall.a VALUES (9,'nine')")
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
	d.set("SRC", d.my, dbpair.Loader)
	if _, complaints, code = run(); code != exitUsage || !strings.Contains(complaints, "source and target are one and the same server") {
		t.Errorf("one server: exit code %d: %s", code, complaints)
	}
	if entries, err := os.ReadDir(d.dir); err != nil || len(entries) != 0 {
		t.Errorf("it left %v, %v", entries, err)
	}
}
