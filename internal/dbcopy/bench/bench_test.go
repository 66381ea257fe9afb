//go:build bench

package bench

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/lab/dbpair"
	"github.com/slipway-dev/slipway/internal/lab/machine"
	"github.com/slipway-dev/slipway/internal/lab/rootfs"
)

func TestMain(m *testing.M) {
	machine.Main()
	os.Exit(m.Run())
}

// peers has mydumper and myloader. Debian's release has 0.10; unstable's is the newest that is packaged.
var peers = rootfs.Layer{Name: "mydumper", Suite: rootfs.Sid, On: &rootfs.BaseSid, Packages: []string{"mydumper"}}

// Sysbench's tables, and how many rows are in each.
const (
	schema = "sbtest"
	table  = "CREATE TABLE sbtest%d (id INT NOT NULL AUTO_INCREMENT, k INT NOT NULL DEFAULT 0, c CHAR(120) NOT NULL DEFAULT '', pad CHAR(60) NOT NULL DEFAULT '', PRIMARY KEY (id), KEY k_%d (k)) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci"
)

var rows = []int{1_500_000, 200_000, 200_000, 200_000, 200_000}

type bench struct {
	t         *testing.T
	maria, my *dbpair.Server
	tools     *machine.Machine
	env       []string
}

// TestBench prints one table. Durable settings and binary logs on both servers; all programs move the same tables over four connections.
func TestBench(t *testing.T) {
	ctx := t.Context()
	lab, err := dbpair.Open(ctx, "bench", os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lab.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	b := &bench{t: t}
	if n, err := strconv.Atoi(os.Getenv("PART")); err == nil && n > 1 { // a part of the rows, to try the script
		for i := range rows {
			rows[i] = max(100_000, rows[i]/n)
		}
	}
	durable := []string{"--sync-binlog=1", "--innodb-flush-log-at-trx-commit=1", "--innodb-buffer-pool-size=1G", "--max-allowed-packet=256M"}
	if b.maria, err = lab.MariaDB(ctx, "maria", dbpair.Options{Args: durable, Durable: true}); err != nil {
		t.Fatal(err)
	}
	if b.my, err = lab.MySQL(ctx, "mysql", dbpair.Options{Args: append(durable, "--innodb-redo-log-capacity=1G"), Durable: true}); err != nil {
		t.Fatal(err)
	}
	if b.tools, err = lab.Tools(ctx, "peers", peers); err != nil {
		t.Fatal(err)
	}
	b.env = append(os.Environ(), "SRC="+dbpair.Reader+":"+dbpair.Password+"@tcp("+b.maria.Addr+")/", "DST="+dbpair.Loader+":"+dbpair.Password+"@tcp("+b.my.Addr+")/")
	b.fill()
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("load before it began: %s", load)
	fmt.Printf("%d processors; tables of %v rows\n", runtime.NumCPU(), rows)
	only := os.Getenv("ONLY")
	type result struct {
		what, took, note string
	}
	var out []result
	run := func(what string, do func() string) {
		if only != "" && !strings.Contains(what, only) {
			return
		}
		b.do(b.my, "DROP DATABASE IF EXISTS "+schema, "DROP DATABASE IF EXISTS _slipway", "CREATE DATABASE "+schema+" CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci", "PURGE BINARY LOGS BEFORE NOW(6)")
		time.Sleep(3 * time.Second) // what the purge and the drop leave to do
		began := time.Now()
		note := do()
		took := time.Since(began)
		b.counted()
		out = append(out, result{what, fmt.Sprintf("%.1f s", took.Seconds()), note})
		fmt.Printf("%-40s %7.1f s  %s\n", what, took.Seconds(), note)
	}
	for range rounds() {
		run("slipway db copy --verify", func() string { return b.copy("--verify") })
		run("slipway db copy", func() string { return b.copy() })
		run("slipway db copy, its ETA", b.eta)
		run("mydumper | myloader", b.mydumper)
		run("mariadb-dump | mysql", b.dump)
	}
	fmt.Println()
	for _, r := range out {
		fmt.Printf("| %s | %s | %s |\n", r.what, r.took, r.note)
	}
}

func (b *bench) do(s *dbpair.Server, stmts ...string) {
	b.t.Helper()
	db, err := s.Open(dbpair.Root, "")
	if err != nil {
		b.t.Fatal(err)
	}
	defer db.Close()
	for _, stmt := range stmts {
		if _, err := db.ExecContext(b.t.Context(), stmt); err != nil {
			b.t.Fatalf("%.200s: %v", stmt, err)
		}
	}
}

// fill makes sysbench's rows: digits in groups of eleven.
func (b *bench) fill() {
	b.t.Helper()
	group := "LPAD(FLOOR(RAND()*1e11),11,'0')"
	groups := func(n int) string { return "CONCAT_WS('-'" + strings.Repeat(","+group, n) + ")" }
	b.do(b.maria, "CREATE DATABASE "+schema+" CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci")
	for i, n := range rows {
		b.do(b.maria, "USE "+schema+"; "+fmt.Sprintf(table, i+1, i+1))
		for from := 1; from <= n; from += 100_000 {
			b.do(b.maria, fmt.Sprintf("USE %s; INSERT INTO sbtest%d (k, c, pad) SELECT 1 + FLOOR(RAND() * %d), %s, %s FROM seq_1_to_100000", schema, i+1, n, groups(10), groups(5)))
		}
		b.do(b.maria, fmt.Sprintf("ANALYZE TABLE %s.sbtest%d", schema, i+1))
	}
}

// counted sees that all rows and all keys are there.
func (b *bench) counted() {
	b.t.Helper()
	db, err := b.my.Open(dbpair.Root, schema)
	if err != nil {
		b.t.Fatal(err)
	}
	defer db.Close()
	for i, want := range rows {
		var n, keys int
		if err := db.QueryRow(fmt.Sprintf("SELECT COUNT(*), (SELECT COUNT(*) FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'sbtest%d') FROM sbtest%d", i+1, i+1)).Scan(&n, &keys); err != nil || n != want || keys != 2 {
			b.t.Errorf("sbtest%d has %d rows and %d keys: %v", i+1, n, keys, err)
		}
	}
}

func (b *bench) copy(flags ...string) string {
	b.t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(b.t.Context(), "slipway", append(append([]string{"db", "copy", "--source", "env:SRC", "--target", "env:DST", "--schema", schema, "-o", "json"}, flags...), strings.Fields(os.Getenv("FLAGS"))...)...)
	cmd.Env, cmd.Stdout, cmd.Stderr = b.env, &stdout, &stderr
	if err := cmd.Run(); err != nil {
		b.t.Fatalf("%v: %s", err, &stderr)
	}
	var c dbcopy.Copied
	if err := json.Unmarshal(stdout.Bytes(), &c); err != nil {
		b.t.Fatal(err)
	}
	usage := cmd.ProcessState
	return fmt.Sprintf("rows %.1f s, keys %.1f s; %d chunks, verified: %v; processor %.1f s", c.Took.Rows.Seconds(), c.Took.Keys.Seconds(), c.Chunks, c.Verified, (usage.UserTime() + usage.SystemTime()).Seconds())
}

// eta holds against what came what was said to be left when half of the time was over: in the line that was printed nearest to that.
func (b *bench) eta() string {
	b.t.Helper()
	type said struct{ at, left time.Duration }
	var lines []said
	left := regexp.MustCompile(`, (\S+) left: `)
	cmd := exec.CommandContext(b.t.Context(), "slipway", "db", "copy", "--source", "env:SRC", "--target", "env:DST", "--schema", schema)
	cmd.Env = b.env
	out, err := cmd.StderrPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	for s := bufio.NewScanner(out); s.Scan(); {
		if m := left.FindStringSubmatch(s.Text()); m != nil {
			d, err := time.ParseDuration(m[1])
			if err != nil {
				b.t.Error(err)
			}
			lines = append(lines, said{time.Since(began), d})
		}
	}
	if err := cmd.Wait(); err != nil || len(lines) == 0 {
		b.t.Fatalf("%v; %d lines say what is left", err, len(lines))
	}
	whole := time.Since(began)
	half := slices.MinFunc(lines, func(x, y said) int { return cmp.Compare((x.at - whole/2).Abs(), (y.at - whole/2).Abs()) })
	is := whole - half.at
	return fmt.Sprintf("after %.1f s it said %.0f s, and it was %.1f s: off by %.0f%%", half.at.Seconds(), half.left.Seconds(), is.Seconds(), 100*(half.left-is).Abs().Seconds()/is.Seconds())
}

func port(addr string) string {
	_, p, err := net.SplitHostPort(addr)
	if err != nil {
		panic(err)
	}
	return p
}

// dump pipes mariadb-dump's text into mysql, both in the machines of their servers.
func (b *bench) dump() string {
	b.t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		b.t.Fatal(err)
	}
	defer r.Close()
	var said bytes.Buffer
	done := make(chan error, 1)
	go func() {
		err := b.maria.Run(b.t.Context(), machine.Cmd{Argv: []string{"mariadb-dump", "--no-defaults", "--single-transaction", "-h127.0.0.1", "-P" + port(b.maria.Addr), "-uroot", "-p" + dbpair.Password, schema}, Stdout: w, Stderr: &said})
		w.Close()
		done <- err
	}()
	var loaded bytes.Buffer
	// Its first line is for MariaDB's client alone.
	err = b.my.Run(b.t.Context(), machine.Cmd{Argv: []string{"sh", "-c", "sed 1d | mysql --no-defaults -h127.0.0.1 -P" + port(b.my.Addr) + " -uroot -p" + dbpair.Password + " " + schema}, Stdin: r, Stdout: &loaded, Stderr: &loaded})
	if derr := <-done; err != nil || derr != nil {
		b.t.Fatalf("%v %s; %v %s", derr, &said, err, &loaded)
	}
	return ""
}

// mydumper dumps into files and loads them, with the binary log that its loader would switch off.
func (b *bench) mydumper() string {
	b.t.Helper()
	run := func(argv ...string) time.Duration {
		began := time.Now()
		var said bytes.Buffer
		if err := b.tools.Run(b.t.Context(), machine.Cmd{Argv: argv, Stdout: &said, Stderr: &said}); err != nil {
			b.t.Fatalf("%v: %v %s", argv, err, &said)
		}
		return time.Since(began)
	}
	run("rm", "-rf", "/dump")
	dumped := run("mydumper", "--host=127.0.0.1", "--port="+port(b.maria.Addr), "--user=root", "--password="+dbpair.Password, "--database="+schema, "--threads=4", "--outputdir=/dump")
	loaded := run("myloader", "--host=127.0.0.1", "--port="+port(b.my.Addr), "--user=root", "--password="+dbpair.Password, "--threads=4", "--directory=/dump", "--enable-binlog")
	return fmt.Sprintf("dump %.1f s, load %.1f s", dumped.Seconds(), loaded.Seconds())
}

// rounds is how often each is measured: twice, or what ROUNDS says.
func rounds() int {
	if n, err := strconv.Atoi(os.Getenv("ROUNDS")); err == nil && n > 0 {
		return n
	}
	return 2
}
