//go:build lab

package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/dbpair"
)

// wrong is a desk with two servers, from which the db verbs are typed wrongly first, and then as the message says.
type wrong struct {
	*testing.T
	ctx       context.Context
	lab       *dbpair.Lab
	maria, my *dbpair.Server
	src, dst  string // data source names
	schema    string
}

func newWrong(t *testing.T, name string) *wrong {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	lab, err := dbpair.Open(ctx, name, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lab.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return &wrong{T: t, ctx: ctx, lab: lab}
}

func (w *wrong) server(start func(context.Context, string, dbpair.Options) (*dbpair.Server, error), name string, o dbpair.Options) *dbpair.Server {
	w.Helper()
	s, err := start(w.ctx, name, o)
	if err != nil {
		w.Fatal(err)
	}
	return s
}

func named(user string, s *dbpair.Server) string {
	return user + ":" + dbpair.Password + "@tcp(" + s.Addr + ")/"
}

func (w *wrong) do(s *dbpair.Server, stmts ...string) {
	w.Helper()
	db, err := s.Open(dbpair.Root, "")
	if err != nil {
		w.Fatal(err)
	}
	defer db.Close()
	for _, stmt := range stmts {
		if _, err := db.ExecContext(w.ctx, stmt); err != nil {
			w.Fatalf("%s: %s: %v", s.Name, stmt, err)
		}
	}
}

// has is the first field of an answer; "" for none, or NULL.
func (w *wrong) has(s *dbpair.Server, query string) string {
	w.Helper()
	db, err := s.Open(dbpair.Root, "")
	if err != nil {
		w.Fatal(err)
	}
	defer db.Close()
	var out sql.NullString
	if err := db.QueryRowContext(w.ctx, query).Scan(&out); err != nil && !errors.Is(err, sql.ErrNoRows) {
		w.Fatalf("%s: %v", query, err)
	}
	return out.String
}

// start types a db verb, with all flags that it needs.
func (w *wrong) start(args ...string) (*exec.Cmd, *bytes.Buffer) {
	w.Helper()
	var out bytes.Buffer
	cmd := exec.CommandContext(w.ctx, "slipway", append(append([]string{"db"}, args...), "--source", "env:SRC", "--target", "env:DST", "--schema", w.schema)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = w.TempDir(), &out, &out
	cmd.Env = append(os.Environ(), "SRC="+w.src, "DST="+w.dst)
	if err := cmd.Start(); err != nil {
		w.Fatal(err)
	}
	return cmd, &out
}

// typed types it and gives what it printed. It must end with code, and print all of says, and one error, or none for exitDone.
func (w *wrong) typed(code int, verb string, says ...string) string {
	w.Helper()
	cmd, out := w.start(strings.Fields(verb)...)
	_ = cmd.Wait() // the code tells
	errs := strings.Count("\n"+out.String(), "\nerror: ")
	if got := cmd.ProcessState.ExitCode(); got != code || errs != 1 && code != exitDone || errs != 0 && code == exitDone {
		w.Fatalf("%s: exit code %d, want %d; %d errors:\n%s", verb, got, code, errs, out)
	}
	for _, s := range says {
		if !strings.Contains(out.String(), s) {
			w.Errorf("%s: %q isn't said:\n%s", verb, s, out)
		}
	}
	if strings.Contains(out.String(), dbpair.Password) {
		w.Errorf("a password is printed: %s", out)
	}
	return out.String()
}

// toTip applies all that there is now.
const toTip = "follow --until-tip"

var grantStatement = regexp.MustCompile(`GRANT [A-Z ,]+ ON \S+ TO '\w+'@'127\.0\.0\.1'`)

// grant types the GRANT statements of a message at a server.
func (w *wrong) grant(s *dbpair.Server, message string) {
	w.Helper()
	stmts := grantStatement.FindAllString(message, -1)
	if len(stmts) == 0 {
		w.Fatalf("no GRANT statement in: %s", message)
	}
	w.do(s, stmts...)
}

// copyAgain are the statements of a hint that begins a copy anew.
var copyAgain = regexp.MustCompile("copy again: at the target type (.*); then type slipway db copy")

func (w *wrong) copiedAgain(message string) {
	w.Helper()
	m := copyAgain.FindStringSubmatch(message)
	if m == nil {
		w.Fatalf("not said how to copy again: %s", message)
	}
	w.do(w.my, strings.Split(m[1], "; ")...)
	w.typed(exitDone, "copy")
	w.typed(exitDone, toTip)
	w.same()
}

// same: the two sides have the same rows.
func (w *wrong) same() {
	w.Helper()
	w.typed(exitDone, "verify", "the target has every row that the source has")
}

// TestDBWrong: what each verb says of two servers that aren't as they must be: one error, with its place and with what mends it, before
// anything is done or with nothing lost; and what it says to type is typed.
func TestDBWrong(t *testing.T) {
	w := newWrong(t, "dbwrong")
	// Neither server lets clients load files: nothing of Slipway does.
	w.maria = w.server(w.lab.MariaDB, "maria", dbpair.Options{Args: []string{"--local-infile=0"}})
	w.my = w.server(w.lab.MySQL, "mysql", dbpair.Options{Args: []string{"--local-infile=0"}})
	for _, s := range []*dbpair.Server{w.maria, w.my} {
		if on := w.has(s, "SELECT @@global.local_infile"); on != "0" {
			t.Fatalf("local_infile is %s at %s", on, s.Name)
		}
	}
	w.src, w.dst = named(dbpair.Root, w.maria), named(dbpair.Loader, w.my)
	for _, c := range []struct {
		schema string
		test   func(*wrong)
	}{
		{"lacks_source", (*wrong).lacksAtSource}, {"lacks_target", (*wrong).lacksAtTarget}, {"statement", (*wrong).statementFormat}, {"purged", (*wrong).purgedLog},
		{"occupied", (*wrong).notEmpty}, {"without", (*wrong).noLog}, {"tree", (*wrong).refusedCascade}, {"ring", (*wrong).circle}, {"switched", (*wrong).switchOfWhatIsNot},
	} {
		t.Run(c.schema, func(t *testing.T) {
			x := *w
			x.T, x.schema = t, c.schema
			x.do(x.my, "DROP DATABASE IF EXISTS `_slipway`", "CREATE DATABASE "+x.schema)
			x.do(x.maria, "CREATE DATABASE "+x.schema, "CREATE TABLE "+x.schema+".a (id INT PRIMARY KEY, s VARCHAR(20))", "INSERT INTO "+x.schema+".a VALUES (1,'one'),(2,'two')", "CREATE VIEW "+x.schema+".v AS SELECT id FROM "+x.schema+".a")
			c.test(&x)
			x.do(x.maria, "DROP DATABASE "+x.schema)
			x.do(x.my, "DROP DATABASE "+x.schema)
		})
	}
}

// lacksAtSource: an account for which the privileges of a copy are missing one by one, and then all of them.
func (w *wrong) lacksAtSource() {
	w.do(w.maria, "CREATE USER few@'127.0.0.1' IDENTIFIED BY '"+dbpair.Password+"'")
	const all = "SELECT, SHOW VIEW, TRIGGER, EVENT, PROCESS, BINLOG MONITOR, SLAVE MONITOR, REPLICATION SLAVE"
	w.typed(exitDone, "copy")
	w.src = named("few", w.maria)
	for lack, verbs := range map[string][]string{
		"SELECT": {"check", "copy", toTip, "verify"}, "SHOW VIEW": {"check", "copy", toTip, "verify"}, "TRIGGER": {"check", "copy", toTip, "verify"}, "EVENT": {"check", "copy", toTip, "verify"},
		"SLAVE MONITOR": {"check", "copy", toTip}, "BINLOG MONITOR": {toTip}, "REPLICATION SLAVE": {toTip}, all: {"check", "copy", toTip, "verify"},
	} {
		for _, verb := range verbs {
			w.do(w.maria, "REVOKE ALL PRIVILEGES, GRANT OPTION FROM few@'127.0.0.1'", "GRANT "+all+" ON *.* TO few@'127.0.0.1'", "REVOKE "+lack+" ON *.* FROM few@'127.0.0.1'")
			message := w.typed(exitUsage, verb, "'few'@'127.0.0.1'", "hint: ")
			w.grant(w.maria, message)
			if lack == all && verb == toTip { // what reads the log is asked for first, then what reads the tables
				w.grant(w.maria, w.typed(exitUsage, verb))
			}
			w.typed(exitDone, verb)
		}
	}
	w.do(w.maria, "DROP USER few@'127.0.0.1'")
}

func (w *wrong) lacksAtTarget() {
	w.do(w.my, "CREATE USER few@'127.0.0.1' IDENTIFIED BY '"+dbpair.Password+"'")
	full := w.dst
	w.dst = named("few", w.my)
	first := true
	for _, verb := range []string{"check", "copy", toTip, "verify", "verify --repair", "status"} {
		w.do(w.my, "REVOKE ALL PRIVILEGES, GRANT OPTION FROM few@'127.0.0.1'")
		if verb == "verify --repair" {
			w.do(w.my, "UPDATE lacks_target.a SET s = 'other' WHERE id = 1")
		}
		for tries := 0; ; tries++ {
			cmd, out := w.start(strings.Fields(verb)...)
			_ = cmd.Wait() // the code tells
			code := cmd.ProcessState.ExitCode()
			if code == exitDone && tries > 0 {
				break
			}
			if code != exitUsage || tries == 4 || strings.Count(out.String(), "error: ") != 1 || !strings.Contains(out.String(), "target "+w.my.Addr+": ") {
				w.Fatalf("%s, %d times granted: exit code %d:\n%s", verb, tries, code, out)
			}
			w.grant(w.my, out.String())
		}
		if first {
			first = false
			if left := w.has(w.my, "SELECT GROUP_CONCAT(SCHEMA_NAME) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME LIKE '\\_slipway%'"); left != "" {
				w.Errorf("a check left %s", left)
			}
		}
	}
	// One that may read and not write there finds out at the first row. Nothing is lost.
	w.do(w.my, "REVOKE ALL PRIVILEGES, GRANT OPTION FROM few@'127.0.0.1'", "GRANT SELECT ON lacks_target.* TO few@'127.0.0.1'", "GRANT ALL ON `\\_slipway`.* TO few@'127.0.0.1'")
	w.do(w.maria, "INSERT INTO lacks_target.a VALUES (3, 'three')")
	w.grant(w.my, w.typed(exitUsage, toTip, "INSERT command denied"))
	w.typed(exitDone, toTip)
	w.same()
	w.dst = full
	w.do(w.my, "DROP USER few@'127.0.0.1'")
}

// statementFormat: a server that logs statements, and one that did for a while.
func (w *wrong) statementFormat() {
	const set = "SET GLOBAL binlog_format = 'ROW'"
	w.typed(exitDone, "copy")
	w.do(w.maria, "SET GLOBAL binlog_format = 'STATEMENT'")
	w.typed(exitFailed, "check", "binlog_format (stops the follow)", set)
	w.typed(exitUsage, toTip, "error: source "+w.maria.Addr+": 1 things must be dealt with first", "fix: "+set, "then type slipway db follow")
	if n := w.has(w.my, "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = '_slipway' AND TABLE_NAME = 'follow'"); n != "0" {
		w.Error("a stream was begun")
	}
	w.do(w.maria, "INSERT INTO statement.a VALUES (3, 'three')", set)
	message := w.typed(exitPerson, toTip, "error: the log can't be followed past ", "a session logs by statement", "INSERT INTO statement.a VALUES (?, ?)")
	skip := regexp.MustCompile(`--skip-ddl (\S+)`).FindStringSubmatch(message)
	if skip == nil {
		w.Fatalf("not said what to type: %s", message)
	}
	w.do(w.my, "INSERT INTO statement.a VALUES (3, 'three')")
	w.typed(exitDone, toTip+" --skip-ddl "+skip[1])
	w.same()
}

// purgedLog: the log is gone from where the follow stands. Nothing but a new copy helps, and the message has all that it takes.
func (w *wrong) purgedLog() {
	w.typed(exitDone, "copy")
	w.do(w.maria, "INSERT INTO purged.a VALUES (3, 'three')", "FLUSH BINARY LOGS", "INSERT INTO purged.a VALUES (4, 'four')", "FLUSH BINARY LOGS")
	w.do(w.maria, "PURGE BINARY LOGS TO '"+w.has(w.maria, "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'Binlog_snapshot_file'")+"'")
	message := w.typed(exitPerson, toTip, "error: the log can't be followed past ", "the server hasn't the log from there any more", "SET GLOBAL binlog_expire_logs_seconds = 259200")
	if n := w.has(w.my, "SELECT COUNT(*) FROM purged.a"); n != "2" {
		w.Errorf("the target has %s rows", n)
	}
	w.typed(exitDone, "status", "stopped: the log can't be followed past ")
	w.copiedAgain(message)
}

// notEmpty: somebody's table is at the target.
func (w *wrong) notEmpty() {
	w.do(w.my, "CREATE TABLE occupied.theirs (id INT PRIMARY KEY)", "INSERT INTO occupied.theirs VALUES (7)")
	w.typed(exitDone, "check", "it isn't empty: it has 1 objects in these schemas that no load of Slipway made, such as occupied.theirs")
	w.typed(exitUsage, "copy", "occupied.theirs", "hint: ")
	if n := w.has(w.my, "SELECT CONCAT((SELECT GROUP_CONCAT(TABLE_NAME) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'occupied'), (SELECT id FROM occupied.theirs))"); n != "theirs7" {
		w.Errorf("the target has %s", n)
	}
	w.do(w.my, "DROP TABLE occupied.theirs")
	w.typed(exitDone, "copy --verify")
}

// noLog: a source without a binary log is refused by all that need a position.
func (w *wrong) noLog() {
	was := *w
	s := w.server(w.lab.MariaDB, "nolog", dbpair.Options{Args: []string{"--skip-log-bin"}})
	w.maria, w.src = s, named(dbpair.Root, s)
	w.do(s, "CREATE DATABASE without", "CREATE TABLE without.a (id INT PRIMARY KEY)")
	w.typed(exitFailed, "check", "log_bin (stops the copy)", "fix: log_bin in the server's configuration, and a restart")
	w.typed(exitUsage, "copy", "refuse: log_bin: the binary log is off", "fix: log_bin in the server's configuration, and a restart")
	w.typed(exitUsage, toTip, "refuse: log_bin: the binary log is off", "fix: log_bin in the server's configuration, and a restart")
	if n := w.has(w.my, "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA IN ('without', '_slipway')"); n != "0" {
		w.Errorf("the target has %s tables", n)
	}
	if err := s.Remove(w.ctx); err != nil {
		w.Error(err)
	}
	*w = was
}

// refusedCascade: rows that go with others of their own table. The MySQL refuses what the MariaDB did.
func (w *wrong) refusedCascade() {
	w.do(w.maria, "CREATE TABLE tree.t (id INT PRIMARY KEY, p INT, CONSTRAINT below FOREIGN KEY (p) REFERENCES tree.t (id) ON DELETE CASCADE)", "INSERT INTO tree.t VALUES (1,NULL),(2,1),(3,1),(4,2),(5,3),(6,NULL)",
		"CREATE TABLE tree.x (x INT PRIMARY KEY)", "CREATE TABLE tree.y (x INT, z INT, PRIMARY KEY (x, z), FOREIGN KEY (x) REFERENCES tree.x (x) ON UPDATE CASCADE)",
		"CREATE TABLE tree.z (id INT PRIMARY KEY, x INT, z INT, CONSTRAINT two FOREIGN KEY (x, z) REFERENCES tree.y (x, z) ON UPDATE CASCADE)",
		"INSERT INTO tree.x VALUES (1)", "INSERT INTO tree.y VALUES (1,1),(1,2)", "INSERT INTO tree.z VALUES (1,1,1),(2,1,2)")
	w.typed(exitDone, "check", "table tree.t, below", "table tree.z, two")
	w.typed(exitDone, "copy")
	w.do(w.maria, "INSERT INTO tree.a VALUES (3, 'three')", "DELETE FROM tree.t WHERE id = 1", "UPDATE tree.x SET x = 3", "INSERT INTO tree.a VALUES (4, 'four')")
	w.typed(exitPerson, toTip, "delete of row with `id`=1 in tree.t: the target's foreign keys don't do what the source's do (table tree.t, below", "nothing is lost", "the lowest first", "then type slipway db follow")
	w.typed(exitDone, "status", "stopped: ", "the target's foreign keys don't do what the source's do (table tree.t, below")
	if n := w.has(w.my, "SELECT CONCAT((SELECT COUNT(*) FROM tree.t), ' ', (SELECT MAX(id) FROM tree.a))"); n != "6 3" {
		w.Errorf("the target has %s", n)
	}
	w.do(w.my, "DELETE FROM tree.t WHERE id IN (4, 5)", "DELETE FROM tree.t WHERE id IN (2, 3)")
	w.typed(exitPerson, toTip, "update of row with `x`=1 in tree.x: the target's foreign keys don't do what the source's do", "`two`", "where a key changes, change it in the rows below, with SET SESSION foreign_key_checks = 0")
	db, err := w.my.Open(dbpair.Root, "tree")
	if err != nil {
		w.Fatal(err)
	}
	defer db.Close()
	c, err := db.Conn(w.ctx)
	if err != nil {
		w.Fatal(err)
	}
	defer c.Close()
	for _, s := range []string{"SET SESSION foreign_key_checks = 0", "UPDATE z SET x = 3", "UPDATE y SET x = 3"} {
		if _, err := c.ExecContext(w.ctx, s); err != nil {
			w.Fatal(err)
		}
	}
	w.typed(exitDone, toTip)
	w.same()
}

// circle: deletes that go round. The MySQL would leave rows that the MariaDB deleted, without a word: nothing is followed.
func (w *wrong) circle() {
	w.do(w.maria, "CREATE TABLE ring.t (id INT PRIMARY KEY, p INT)", "CREATE TABLE ring.u (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES ring.t (id))", "ALTER TABLE ring.t ADD CONSTRAINT round FOREIGN KEY (p) REFERENCES ring.u (id) ON DELETE CASCADE",
		"ALTER TABLE ring.u DROP FOREIGN KEY u_ibfk_1", "ALTER TABLE ring.u ADD CONSTRAINT back FOREIGN KEY (p) REFERENCES ring.t (id) ON DELETE CASCADE")
	w.typed(exitFailed, "check", "table ring.t, round (stops the follow)", "table ring.u, back (stops the follow)")
	w.typed(exitDone, "copy")
	says := []string{"error: target " + w.my.Addr + ": the target's foreign keys don't do what the source's do: table ring.t, round: ", "type the ALTER statements above at the source"}
	if out := w.typed(exitUsage, "switch", says...); strings.Contains(out, "a switch of") {
		w.Errorf("a run was begun:\n%s", out)
	}
	message := w.typed(exitUsage, toTip, says...)
	fix := regexp.MustCompile("ALTER TABLE `ring`.`t` DROP FOREIGN KEY `round`; (ALTER TABLE [^;]*);").FindString(message)
	if fix == "" {
		w.Fatalf("no ALTER statements in: %s", message)
	}
	w.do(w.maria, strings.Split(strings.TrimSuffix(fix, ";"), "; ")...)
	w.copiedAgain(message)
}

// switchOfWhatIsNot: servers that no switch can be of. None is begun, and nobody is locked out anywhere.
func (w *wrong) switchOfWhatIsNot() {
	w.do(w.maria, "CREATE DATABASE other", "CREATE TABLE other.o (id INT PRIMARY KEY)")
	standby := w.server(w.lab.MariaDB, "standby", dbpair.Options{Args: []string{"--server-id=12"}}) // of the same gtid_domain_id
	w.do(standby, "CREATE DATABASE switched")
	w.Setenv("SRC2", named(dbpair.Root, standby))
	w.typed(exitUsage, "switch", "error: target "+w.my.Addr+": schema switched: no such schema with tables", "the target doesn't know where its rows are from", "copy it first")
	w.typed(exitDone, "copy")
	for _, c := range []struct {
		flags string
		says  []string
	}{
		{"--schema other", []string{"target " + w.my.Addr + ": schema other: no such schema", "hint: correct --schema; or copy it first"}},
		{"--schema nowhere", []string{"source " + w.maria.Addr + ": schema nowhere: no such schema", "target " + w.my.Addr + ": schema nowhere: no such schema"}},
		{"--standby env:SRC", []string{"source and standby are one and the same server", "hint: correct --standby; or leave it out"}},
		{"--standby env:UNSET", []string{"--standby env:UNSET: environment variable UNSET is unset or empty"}},
		{"--yes-to nogate", []string{"--yes-to nogate: there is no such gate; there is: go, finalize"}},
	} {
		w.typed(exitUsage, "switch "+c.flags, c.says...)
	}
	src, dst := w.src, w.dst
	w.src, w.dst = dst, src
	w.typed(exitUsage, "switch", "the source is to be a MariaDB, and the target a MySQL: source "+w.my.Addr, "hint: correct --source or --target")
	w.src, w.dst = src, src
	w.typed(exitUsage, "switch", "target "+w.maria.Addr, "hint: correct --source or --target")
	w.dst = "nonsense"
	w.typed(exitUsage, "switch", "--target env:DST: target: not a data source name: write user:password@tcp(host:3306)/")
	w.dst = dst
	message := w.typed(exitUsage, "switch --standby env:SRC2", "two masters that both write share one gtid_domain_id", "on standby "+standby.Addr)
	set := regexp.MustCompile("SET GLOBAL gtid_domain_id = [0-9]+").FindString(message)
	w.do(standby, set)
	// The next that it says is the run's, which is begun: the standby doesn't replicate.
	cmd, out := w.start("switch", "--standby", "env:SRC2", "--keep", "root")
	_ = cmd.Wait() // the code tells
	if cmd.ProcessState.ExitCode() != exitFailed || strings.Contains(out.String(), "gtid_domain_id") || !strings.Contains(out.String(), "it has no master; mend its replication") {
		w.Errorf("after %s: exit code %d:\n%s", set, cmd.ProcessState.ExitCode(), out)
	}
	w.do(w.maria, "DROP DATABASE other")
	if err := standby.Remove(w.ctx); err != nil {
		w.Error(err)
	}
	if n := w.has(w.my, "SELECT COUNT(*) FROM mysql.user WHERE account_locked = 'Y' AND User NOT LIKE 'mysql.%'"); n != "0" {
		w.Errorf("%s accounts are locked", n)
	}
}

// says waits until a verb that runs has printed something.
func (w *wrong) says(log, text string) {
	w.Helper()
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		b, err := os.ReadFile(log)
		if err != nil {
			w.Fatal(err)
		}
		if strings.Contains(string(b), text) {
			return
		}
		if time.Since(began) > time.Minute {
			w.Fatalf("%q isn't said:\n%s", text, b)
		}
	}
}

// room leaves the MySQL's disk so many bytes beside what is on it, and less than 5 MiB more.
func (w *wrong) room(bytes int64) {
	w.Helper()
	size := int64(100 << 20)
	for w.my.Resize(w.ctx, size) != nil { // it doesn't get smaller than what is on it
		if size += 5 << 20; size > 1<<30 {
			w.Fatal("the disk can't be made smaller")
		}
	}
	if err := w.my.Resize(w.ctx, size+bytes); err != nil {
		w.Fatal(err)
	}
}

// TestDBDiskFull: the target's disk fills up under the copy, and under the follow. The copy ends and says so, and goes on when there is
// room and the same is typed again; the follow waits and goes on by itself. All rows are there then.
func TestDBDiskFull(t *testing.T) {
	w := newWrong(t, "dbfull")
	w.schema = "fill"
	w.maria = w.server(w.lab.MariaDB, "maria", dbpair.Options{})
	w.my = w.server(w.lab.MySQL, "mysql", dbpair.Options{Disk: 1 << 30, Args: []string{"--innodb-redo-log-capacity=8388608", "--skip-log-bin"}})
	w.src, w.dst = named(dbpair.Root, w.maria), named(dbpair.Loader, w.my)
	w.do(w.my, "CREATE DATABASE fill")
	w.do(w.maria, "CREATE DATABASE fill", "CREATE TABLE fill.a (id INT PRIMARY KEY, x LONGBLOB)")
	more := func(from string) {
		w.do(w.maria, "INSERT INTO fill.a SELECT seq + "+from+", CONCAT(RANDOM_BYTES(1024),RANDOM_BYTES(1024),RANDOM_BYTES(1024),RANDOM_BYTES(1024),RANDOM_BYTES(1024)) FROM fill.seq_1_to_8000", "ANALYZE TABLE fill.a") // chunks are cut by what the server knows of its rows
	}
	more("0")
	w.room(15 << 20)
	w.typed(exitFailed, "copy --workers 2 --chunk-bytes 1048576", "target "+w.my.Addr+" is out of disk space: ", "the chunks that are loaded stay; enlarge its disk, then type slipway db copy again, with the same flags")
	in := w.has(w.my, "SELECT COUNT(*) FROM `_slipway`.copied")
	if in == "0" {
		t.Error("no chunk was in when the disk was full: nothing is proven")
	}
	if err := w.my.Resize(w.ctx, 1<<30); err != nil {
		t.Fatal(err)
	}
	w.typed(exitDone, "copy --workers 2 --chunk-bytes 1048576 --verify", "of earlier attempts "+in+" chunks are as they were, 0 had changed", "every row is verified by both servers")
	w.same()

	w.room(4 << 20)
	more("20000")
	log := w.TempDir() + "/follow.log"
	f, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := exec.CommandContext(w.ctx, "slipway", "db", "follow", "--until-tip", "--source", "env:SRC", "--target", "env:DST", "--schema", w.schema)
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), "SRC="+w.src, "DST="+w.dst), f, f
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.says(log, "target "+w.my.Addr+" is out of disk space: ")
	w.says(log, "nothing is lost, and it goes on when there is room")
	if err := w.my.Resize(w.ctx, 1<<30); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		b, _ := os.ReadFile(log)
		t.Fatalf("%v:\n%s", err, b)
	}
	w.same()
	if n := w.has(w.my, "SELECT COUNT(*) FROM fill.a"); n != "16000" {
		t.Errorf("the target has %s rows", n)
	}
}
