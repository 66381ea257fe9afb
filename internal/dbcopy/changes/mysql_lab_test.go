//go:build lab

package changes

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/lab/dbtest"
)

// TestTagged: GTIDs with a tag are read, and reading goes on from a set that has some.
func TestTagged(t *testing.T) {
	s := my()
	db := schema(t, s, "ch")
	execute(t, db, plainTable)
	tab := describe(t, db, "ch", "t")
	st := open(t, s, Options{}, tab)
	for i, tag := range []string{"", ":blue", ":blue", "", ":green_2", ""} {
		execute(t, db, "SET SESSION gtid_next = 'AUTOMATIC"+tag+"'", fmt.Sprintf("INSERT INTO t VALUES (%d,'x')", i))
	}
	execute(t, db, "SET SESSION gtid_next = 'AUTOMATIC'")
	var got []*Transaction
	for i := range 6 {
		tx := next(t, st)
		if has := strings.Count(tx.GTID, ":") == 2; has != (i == 1 || i == 2 || i == 4) {
			t.Errorf("transaction %d is %s", i, tx.GTID)
		}
		got = append(got, tx)
	}
	for i, tx := range got[:5] {
		again := openAt(t, s, Position{MySQL: tx.End.MySQL}, Options{}, tab)
		if n := next(t, again); n.GTID != got[i+1].GTID || n.End.MySQL.String() != got[i+1].End.MySQL.String() {
			t.Errorf("behind %s comes %s, want %s", tx.End.MySQL, n.GTID, got[i+1].GTID)
		}
		again.Close()
	}
}

// TestCompressed: what either server compresses in its log is read.
func TestCompressed(t *testing.T) {
	for _, s := range []side{maria(), my()} {
		t.Run(s.Name, func(t *testing.T) {
			db := schema(t, s, "ch")
			execute(t, db, "CREATE TABLE t (id int PRIMARY KEY, v text)")
			root := dbtest.Admin(t, s.Server, "")
			if s.Name == "maria" {
				execute(t, root, "SET GLOBAL log_bin_compress = 1, GLOBAL log_bin_compress_min_len = 10")
				defer execute(t, root, "SET GLOBAL log_bin_compress = 0, GLOBAL log_bin_compress_min_len = 256")
			} else {
				execute(t, db, "SET SESSION binlog_transaction_compression = ON")
			}
			st := open(t, s, Options{}, describe(t, db, "ch", "t"))
			execute(t, db, "INSERT INTO t VALUES (1,REPEAT('ab',5000)),(2,NULL),(3,'')", "UPDATE t SET v = REPEAT('xyz',700) WHERE id = 2", "DELETE FROM t WHERE id < 3", "CREATE TABLE n (i int, some_text_so_that_it_is_long_enough varchar(100))")
			for i, want := range []string{"1:t 1:t 1:t", "2:t", "3:t 3:t"} {
				tx := next(t, st)
				if got := kinds(t, tx); got != want {
					t.Errorf("%s, want %s", got, want)
				}
				for c, err := range tx.Changes {
					if err != nil {
						t.Fatal(err)
					}
					if i == 1 && (string(c.After[1]) != strings.Repeat("xyz", 700) || c.Before[1] != nil) || i == 0 && string(c.After[0]) == "1" && string(c.After[1]) != strings.Repeat("ab", 5000) {
						t.Errorf("%q, %q", c.Before, c.After)
					}
				}
			}
			var stop *StopError
			if _, err := try(t, st); !errors.As(err, &stop) || stop.Kind != StopDDL || !strings.Contains(stop.Statement, "CREATE TABLE n") {
				t.Errorf("a compressed statement: %v", err)
			}
		})
	}
}

// TestPartialJSON: a part of a JSON value stops, even if the table isn't one that is followed.
func TestPartialJSON(t *testing.T) {
	s := my()
	db := schema(t, s, "ch")
	execute(t, db, plainTable, "CREATE DATABASE IF NOT EXISTS other", "CREATE TABLE IF NOT EXISTS other.j (id int PRIMARY KEY, v json)", `INSERT INTO other.j VALUES (1, '{"a":"some long text some long text some long text","b":[1,2,3]}')`)
	defer execute(t, db, "DROP DATABASE other")
	st := open(t, s, Options{}, describe(t, db, "ch", "t"))
	execute(t, db, "SET SESSION binlog_row_value_options = 'PARTIAL_JSON'", "UPDATE other.j SET v = JSON_SET(v, '$.a', 'x')", "SET SESSION binlog_row_value_options = ''")
	var stop *StopError
	if _, err := try(t, st); !errors.As(err, &stop) || stop.Kind != StopImage || !strings.Contains(stop.Error(), "PARTIAL_JSON") {
		t.Errorf("partial JSON: %v", err)
	}
}

// TestMarkAndKeys: what an applier wrote is told by its mark, and what foreign keys didn't do by its flag.
func TestMarkAndKeys(t *testing.T) {
	for _, s := range []side{maria(), my()} {
		t.Run(s.Name, func(t *testing.T) {
			db := schema(t, s, "ch")
			schema(t, s, "_slipway")
			execute(t, db, plainTable, "CREATE TABLE _slipway.follow (i int PRIMARY KEY)")
			st := open(t, s, Options{}, describe(t, db, "ch", "t"))
			execute(t, db, "INSERT INTO t VALUES (1,'x')", "BEGIN", "INSERT INTO t VALUES (2,'x')", "INSERT INTO _slipway.follow VALUES (1)", "COMMIT", "CREATE TABLE _slipway.more (i int)",
				"SET SESSION foreign_key_checks = 0", "DELETE FROM t WHERE id = 1", "SET SESSION foreign_key_checks = 1", "DELETE FROM t WHERE id = 2")
			for i, want := range []struct {
				mark, noKeys bool
				rows         int64
			}{{false, false, 1}, {true, false, 1}, {false, false, 0}, {false, true, 1}, {false, false, 1}} {
				tx := next(t, st)
				if tx.Mark != want.mark || tx.Rows != want.rows {
					t.Errorf("transaction %d: mark %v, %d rows; want %+v", i, tx.Mark, tx.Rows, want)
				}
				for c, err := range tx.Changes {
					if err != nil || c.NoForeignKeys != want.noKeys {
						t.Errorf("transaction %d: foreign keys off %v, want %v; %v", i, c.NoForeignKeys, want.noKeys, err)
					}
				}
			}
		})
	}
}
