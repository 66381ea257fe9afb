//go:build lab

package main

import (
	"encoding/json"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/lab/dbpair"
	"github.com/slipway-dev/slipway/internal/lab/dbtest"
)

// TestDBCopy: what is printed, the exit codes, and that large rows stay within the memory that is documented: 256 MiB and four times
// the largest row.
func TestDBCopy(t *testing.T) {
	packet := []string{"--max-allowed-packet=1G"}
	d := newDBDesk(t, dbtest.Limit(t, 10*time.Minute), "dbcopycmd", dbpair.Options{Args: append(packet, "--skip-innodb-doublewrite")}, dbpair.Options{Args: append(packet, "--innodb-redo-log-capacity=1G")}, "wide")
	const rows, size = 64, 32 << 20
	d.do(d.maria, "CREATE DATABASE wide", "CREATE TABLE wide.a (id INT PRIMARY KEY, x LONGBLOB, u INET6)")
	for i := range rows {
		d.do(d.maria, "INSERT INTO wide.a VALUES ("+string(rune('0'+i/10))+string(rune('0'+i%10))+", REPEAT(RANDOM_BYTES(1024), 32768), NULL)")
	}
	run := func(args ...string) (stdout, stderr string, state *os.ProcessState) {
		t.Helper()
		return d.run(d.verb("copy", args...)...)
	}
	if _, complaints, state := run("--workers", "0"); state.ExitCode() != exitUsage || !strings.Contains(complaints, "--workers: 1 to 64") {
		t.Errorf("exit code %d: %s", state.ExitCode(), complaints)
	}
	if _, complaints, state := run(); state.ExitCode() != exitUsage || !strings.Contains(complaints, "fix: CREATE DATABASE `wide`") || !strings.Contains(complaints, "hint: deal with what is refused, then type slipway db copy again") {
		t.Errorf("exit code %d: %s", state.ExitCode(), complaints)
	}
	d.do(d.my, "CREATE DATABASE wide")
	out, complaints, state := run("--verify")
	usage, ok := state.SysUsage().(*syscall.Rusage)
	if !ok {
		t.Fatal("the system doesn't tell what memory was used")
	}
	t.Logf("%d MiB of memory, %s\n%s", usage.Maxrss>>10, complaints, out)
	if most := int64(256<<20 + 4*size); state.ExitCode() != exitDone || usage.Maxrss<<10 > most {
		t.Errorf("exit code %d; %d bytes of memory, %d are allowed", state.ExitCode(), usage.Maxrss<<10, most)
	}
	if !strings.Contains(out, "64 rows, 2.0 GiB, in ") || !strings.Contains(out, "every row is verified by both servers") || !strings.Contains(out, "rewritten: table wide.a, u: type: INET6") || !strings.Contains(out, "of the source's binary log (GTID 2-2-") {
		t.Errorf("it says:\n%s", out)
	}
	var c dbcopy.Copied
	out, _, state = run("-o", "json")
	if err := json.Unmarshal([]byte(out), &c); err != nil || state.ExitCode() != exitDone || !c.Already || !c.Verified || c.Rows != rows || strings.Count(out, "\n") != 1 || c.Position.File.IsZero() {
		t.Errorf("exit code %d, %v:\n%s", state.ExitCode(), err, out)
	}
	// What the target doesn't take is named, and the rows are in.
	d.do(d.maria, "CREATE PROCEDURE wide.loops() BEGIN FOR i IN 1..3 DO SELECT i; END FOR; END", "CREATE PROCEDURE wide.fine() SELECT 1")
	out, complaints, state = run()
	if state.ExitCode() != exitFailed || !strings.Contains(out, "there: procedure wide.fine\n") || !strings.Contains(out, "not made: procedure wide.loops: the target doesn't take its text") ||
		!strings.Contains(complaints, "the rows are in, but the target doesn't take every function and procedure") || !strings.Contains(complaints, "hint: deal with these before the switch") {
		t.Errorf("exit code %d: %s\n%s", state.ExitCode(), complaints, out)
	}
}
