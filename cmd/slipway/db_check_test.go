package main

import (
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/compat"
)

func TestWriteCheck(t *testing.T) {
	r := dbcopy.Report{Source: dbcopy.ServerVersion{Name: "source db1:3306", Version: "10.11.9-MariaDB"}, Target: dbcopy.ServerVersion{Name: "target t:3306", Version: "9.7.4"}, Schemas: []string{"shop"},
		Objects: dbcopy.Objects{Tables: 3, Views: 1, Stored: 2, Compiled: 5, Rows: 70}, Queries: dbcopy.QueryCount{From: "slow log", Tried: 9, Failed: 1, LostIndex: 2, Explained: 5, NotJudged: 3}, Swept: []string{"_slipway_check_1"},
		Findings: []compat.Finding{
			{Check: "engine", Severity: compat.Refuse, Stops: compat.Copy, Object: "table shop.a", What: "its engine is MyISAM", Fix: "ALTER TABLE `a` ENGINE=InnoDB"},
			{Check: "binlog", Severity: compat.Refuse, Stops: compat.Follow, Object: "binlog_format", What: "it is MIXED"},
			{Check: "json", Severity: compat.Warn, Object: "table shop.b, j", What: "JSON", Will: "it stays"},
		}}
	var b strings.Builder
	if err := writeCheck(&b, &r); err != nil {
		t.Fatal(err)
	}
	want := "source db1:3306, 10.11.9-MariaDB\ntarget t:3306, 9.7.4\nschemas shop: 3 tables (about 70 rows), 1 views, 2 routines, triggers and events; the target compiled 5 of them\n" +
		"queries of the slow log: 9 tried, 1 fail, 2 lose their key (of 5 that both servers explained), 3 could not be judged\ndropped _slipway_check_1 at the target, which a killed check had left\n" +
		"\nrefused: 2\n  table shop.a (stops the copy)\n      its engine is MyISAM\n      fix: ALTER TABLE `a` ENGINE=InnoDB\n  binlog_format (stops the follow)\n      it is MIXED\n" +
		"\nto know of: 1\n  table shop.b, j\n      JSON\n      will be: it stays\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	b.Reset()
	r.Findings = r.Findings[2:]
	if err := writeCheck(&b, &r); err != nil || !strings.HasSuffix(b.String(), "nothing is refused: the schemas can be copied, and what is listed above happens on the way; a rehearsal does that: slipway plan\n") {
		t.Errorf("%v\n%s", err, b.String())
	}
}
