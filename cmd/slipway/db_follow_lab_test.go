//go:build lab

package main

import (
	"database/sql"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/dbpair"
	"github.com/slipway-dev/slipway/internal/lab/dbtest"
)

// TestDBFollow: the verbs on two servers, as a person types them: what is printed, the exit codes, what is refused.
func TestDBFollow(t *testing.T) {
	d := newDBDesk(t, dbtest.Limit(t, 5*time.Minute), "dbfollow", dbpair.Options{}, dbpair.Options{}, "sale")
	d.set("SRC", d.maria, dbpair.Root)
	maria, my := dbtest.Admin(t, d.maria, ""), dbtest.Admin(t, d.my, "")
	do := func(db *sql.DB, stmt string) { t.Helper(); dbtest.Exec(t, db, stmt) }
	ask := func(db *sql.DB, query string) string { t.Helper(); return dbtest.One(t, db, query) }
	run := func(want int, verb string, args ...string) (stdout, stderr string) {
		t.Helper()
		out, complaints, ended := d.run(d.verb(verb, args...)...)
		if got := ended.ExitCode(); got != want {
			t.Errorf("%s %q: exit code %d, want %d:\n%s%s", verb, args, got, want, out, complaints)
		}
		return out, complaints
	}
	says := func(got string, want ...string) {
		t.Helper()
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("%q isn't said:\n%s", w, got)
			}
		}
	}
	do(maria, "CREATE DATABASE sale; CREATE TABLE sale.a (id INT PRIMARY KEY, s VARCHAR(20))")
	_, e := run(exitUsage, "follow", "--until-tip")
	says(e, "schema sale has no tables there")
	do(my, "CREATE DATABASE sale; CREATE TABLE sale.a (id INT PRIMARY KEY, s VARCHAR(20)); CREATE TABLE sale.k (id INT)")
	_, e = run(exitUsage, "follow", "--until-tip")
	says(e, "table sale.k has no primary key", "ALTER TABLE `sale`.`k` ADD slipway_id")
	do(my, "DROP TABLE sale.k; CREATE TRIGGER sale.tr BEFORE INSERT ON sale.a FOR EACH ROW SET NEW.s = 'x'")
	_, e = run(exitUsage, "follow", "--until-tip")
	says(e, "DROP TRIGGER `sale`.`tr`")
	do(my, "DROP TRIGGER sale.tr")
	_, e = run(exitUsage, "follow", "--until-tip")
	says(e, "doesn't know where its rows are from", "hint: copy first: slipway db copy; or say where", "--from 0-1-42")
	_, e = run(exitUsage, "follow", "--from", "nonsense", "--until", "x", "--until-tip", "--workers", "0", "--skip-ddl", "y")
	says(e, "--from:", "--until:", "one of them", "--workers 0", "--skip-ddl:")
	o, _ := run(exitDone, "status")
	says(o, "copy: none of slipway's", "nothing was followed to this target")

	from := ask(maria, "SELECT @@gtid_binlog_pos")
	do(maria, "INSERT INTO sale.a VALUES (1, 'one'), (2, 'two'); UPDATE sale.a SET s = 'zwei' WHERE id = 2")
	o, _ = run(exitDone, "follow", "--from", from, "--until-tip")
	says(o, "applied exactly up to "+ask(maria, "SELECT @@gtid_binlog_pos"), "2 transactions, 3 row changes")
	if got := ask(my, "SELECT GROUP_CONCAT(s ORDER BY id) FROM sale.a"); got != "one,zwei" {
		t.Errorf("the target has %s", got)
	}
	_, e = run(exitUsage, "follow", "--from", from, "--until-tip")
	says(e, "has a recorded position already", "hint: leave --from out")
	_, e = run(exitUsage, "follow", "--until", from)
	says(e, "is past that position already")

	// A changed definition stops it, after all before and before all after; a person passes it by.
	do(maria, "INSERT INTO sale.a VALUES (3, 'three'); ALTER TABLE sale.a ADD n INT; INSERT INTO sale.a VALUES (4, 'four', 4)")
	_, e = run(exitUsage, "follow", "--skip-ddl", "2-2-9999", "--until-tip")
	says(e, "follow without --skip-ddl until it stops")
	ddl := ask(maria, "SELECT CONCAT('2-2-', SUBSTRING_INDEX(@@gtid_binlog_pos, '-', -1) - 1)")
	_, e = run(exitPerson, "follow", "--until-tip")
	says(e, "ALTER TABLE sale.a ADD n INT", "--skip-ddl "+ddl, "copy again")
	if got := ask(my, "SELECT GROUP_CONCAT(id) FROM sale.a"); got != "1,2,3" {
		t.Errorf("the target has %s", got)
	}
	o, _ = run(exitDone, "status")
	says(o, "follow forward: stopped: ", "ALTER TABLE", "transactions; the source's log ends at")
	_, e = run(exitUsage, "follow", "--skip-ddl", "2-2-9999", "--until-tip")
	says(e, "the next that stops it is "+ddl)
	do(my, "ALTER TABLE sale.a ADD n INT")
	o, _ = run(exitDone, "follow", "--skip-ddl", ddl, "--until-tip", "-o", "json")
	var last struct {
		Event string `json:"event"`
		Rows  int64  `json:"rows"`
	}
	lines := strings.Split(strings.TrimSpace(o), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || last.Event != "ended" || last.Rows != 5 {
		t.Errorf("%v: %s", err, o)
	}
	o, _ = run(exitDone, "status", "--output", "json")
	var s dbStatus
	if err := json.Unmarshal([]byte(o), &s); err != nil || len(s.Streams) != 1 || len(s.Streams[0].Skipped) != 1 || s.Streams[0].Skipped[0].GTID != ddl || s.Streams[0].Lag == nil || *s.Streams[0].Lag.Transactions != 0 || s.Streams[0].Runs || s.Streams[0].Stopped != "all that it was to apply is in" {
		t.Errorf("%v: %s", err, o)
	}

	// A row that somebody took away at the target stops it, by its key.
	do(my, "DELETE FROM sale.a WHERE id = 2")
	do(maria, "DELETE FROM sale.a WHERE id = 2")
	_, e = run(exitPerson, "follow", "--until-tip")
	says(e, "delete of row with `id`=2 in sale.a: the target hasn't that row", "slipway db verify")
	do(my, "INSERT INTO sale.a VALUES (2, 'zwei', NULL)")
	run(exitDone, "follow", "--until-tip")
}
