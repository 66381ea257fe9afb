//go:build lab

package changes

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/binlog"
	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
	"github.com/slipway-dev/slipway/internal/lab/dbpair"
	"github.com/slipway-dev/slipway/internal/lab/dbtest"
	"github.com/slipway-dev/slipway/internal/secret"
)

// TestGoOn: reading from each transaction's end, by GTID and by file, gives the next one; over rotated files as well.
func TestGoOn(t *testing.T) {
	for _, s := range []side{maria(), my()} {
		t.Run(s.Name, func(t *testing.T) {
			db := schema(t, s, "ch")
			execute(t, db, plainTable)
			tab := describe(t, db, "ch", "t")
			st := open(t, s, Options{}, tab)
			for i := range 6 {
				execute(t, db, fmt.Sprintf("INSERT INTO t VALUES (%d,'x')", i))
				if i%2 == 1 {
					execute(t, db, "FLUSH BINARY LOGS")
				}
			}
			var got []*Transaction
			for range 6 {
				got = append(got, next(t, st))
			}
			tip, err := st.Tip(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if tip.String() != got[5].End.String() {
				t.Errorf("the tip is %s, and the last transaction ends at %s", tip, got[5].End)
			}
			for i, tx := range got[:5] {
				for _, from := range []Position{tx.End, {File: tx.End.File}, {MariaDB: tx.End.MariaDB, MySQL: tx.End.MySQL}} {
					again := openAt(t, s, from, Options{}, tab)
					tx := next(t, again)
					if tx.GTID != got[i+1].GTID || tx.End.File != got[i+1].End.File || kinds(t, tx) != "1:t" {
						t.Errorf("behind %v comes %s at %v, want %s at %v", from, tx.GTID, tx.End, got[i+1].GTID, got[i+1].End)
					}
					if s.flavor == value.MariaDB && tx.End.MariaDB.String() != got[i+1].End.MariaDB.String() {
						t.Errorf("the end is %v, want %v", tx.End, got[i+1].End)
					}
					again.Close()
				}
			}
		})
	}
}

// TestQuiet: a source that commits nothing says so about once a second, with where its log ends.
func TestQuiet(t *testing.T) {
	for _, s := range []side{maria(), my()} {
		t.Run(s.Name, func(t *testing.T) {
			db := schema(t, s, "ch")
			execute(t, db, plainTable)
			st := open(t, s, Options{}, describe(t, db, "ch", "t"))
			tip, err := st.Tip(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			for range 2 {
				tx, err := st.Next(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if tx.GTID != "" || tx.End.String() != tip.String() || time.Since(tx.Committed) > 5*time.Second {
					t.Errorf("a quiet source gives %+v, want its end at %v", tx, tip)
				}
			}
			if d := time.Since(began); d > 5*time.Second {
				t.Errorf("it took %s to hear from it twice", d)
			}
		})
	}
}

// TestRestart: a server that is killed while its log is read loses and repeats nothing.
func TestRestart(t *testing.T) {
	for _, sd := range []side{maria(), my()} {
		t.Run(sd.Name, func(t *testing.T) {
			srv := sd.Server
			db := schema(t, sd, "ch")
			execute(t, db, plainTable)
			st := open(t, sd, Options{}, describe(t, db, "ch", "t"))
			want := 0
			write := func(n int) {
				for range n {
					want++
					execute(t, db, fmt.Sprintf("INSERT INTO t VALUES (%d,'x')", want))
				}
			}
			read := 0
			check := func(n int) {
				for range n {
					read++
					tx := next(t, st)
					for c, err := range tx.Changes {
						if err != nil || string(c.After[0]) != fmt.Sprint(read) {
							t.Fatalf("row %s, want %d: %v", c.After, read, err)
						}
					}
				}
			}
			for round := range 2 {
				write(5)
				check(3) // two are behind, and in the connection's buffers
				if round == 1 {
					// The reader's own connection is cut, and nothing else.
					st.link.nc.Close()
					check(2)
					continue
				}
				if err := srv.Kill(); err != nil {
					t.Fatal(err)
				}
				if err := srv.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				check(2)
			}
			// A context that ends stops Next, and it can be called again.
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			var err error
			for err == nil {
				_, err = st.Next(ctx)
			}
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Next after its context: %v", err)
			}
			write(2)
			check(2)
		})
	}
}

// TestOpenRefuses: what is wrong with a position or an account is said, with what there is.
func TestOpenRefuses(t *testing.T) {
	for _, s := range []side{maria(), my()} {
		t.Run(s.Name, func(t *testing.T) {
			db := schema(t, s, "ch")
			execute(t, db, plainTable, "INSERT INTO t VALUES (1,'x')")
			tab := describe(t, db, "ch", "t")
			early, err := Tip(t.Context(), s.source())
			if err != nil {
				t.Fatal(err)
			}
			execute(t, db, "INSERT INTO t VALUES (2,'x')", "FLUSH BINARY LOGS", "INSERT INTO t VALUES (3,'x')")
			now, err := Tip(t.Context(), s.source())
			if err != nil {
				t.Fatal(err)
			}
			execute(t, db, "PURGE BINARY LOGS TO '"+now.File.Name+"'")
			far := Position{MariaDB: must(binlog.ParseMariaDB("2-2-99999999"))}
			other := Position{MariaDB: must(binlog.ParseMariaDB("77-1-5"))}
			if s.flavor == value.MySQL {
				far = Position{MySQL: must(binlog.ParseMySQL(strings.Split(now.MySQL.String(), ":")[0] + ":1-99999999"))}
				other = Position{MySQL: must(binlog.ParseMySQL("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5"))}
			}
			for _, c := range []struct {
				name string
				from Position
				kind StopKind
				says string
			}{
				{"purged by GTID", Position{MariaDB: early.MariaDB, MySQL: early.MySQL}, StopPurged, now.File.Name},
				{"purged by file", Position{File: early.File}, StopPurged, now.File.Name},
				{"too far", far, StopOtherLog, "99999999"},
				{"another server's", other, StopOtherLog, ""},
				{"another server's file", Position{File: binlog.File{Name: "other-bin.000001", Offset: 4}}, StopOtherLog, ""},
				{"a later file", Position{File: binlog.File{Name: strings.Replace(now.File.Name, ".0", ".9", 1), Offset: 4}}, StopOtherLog, ""},
			} {
				_, err := Open(t.Context(), s.source(), c.from, Options{Tables: []Table{tab}})
				var stop *StopError
				if !errors.As(err, &stop) || stop.Kind != c.kind || !strings.Contains(err.Error(), c.says) {
					t.Errorf("%s: %v, want %s", c.name, err, c.kind)
				} else {
					t.Log(err)
				}
			}
			if _, err := Open(t.Context(), s.source(), Position{}, Options{}); err == nil {
				t.Error("no position was taken")
			}
			src := s.source()
			src.Flavor = !src.Flavor
			if _, err := Open(t.Context(), src, now, Options{}); err == nil || !strings.Contains(err.Error(), "was to be") {
				t.Errorf("the other flavor: %v", err)
			}
			src = s.source()
			src.Endpoint.Password = secret.New("wrong")
			if _, err := Open(t.Context(), src, now, Options{}); !errors.Is(err, dbcopy.ErrLogin) {
				t.Errorf("a wrong password: %v", err)
			}
			execute(t, db, "CREATE USER 'little'@'127.0.0.1' IDENTIFIED BY '"+dbpair.Password+"'")
			defer execute(t, db, "DROP USER 'little'@'127.0.0.1'")
			src = s.source()
			src.Endpoint.User = "little"
			_, err = Open(t.Context(), src, now, Options{})
			var refused *dbcopy.RefusedError
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), "GRANT REPLICATION SLAVE ON *.* TO 'little'@'127.0.0.1'") || !strings.Contains(err.Error(), "GRANT REPLICATION CLIENT") {
				t.Errorf("without privileges: %v", err)
			}
			t.Log(err)
		})
	}
}

// TestSettings: all that is wrong with the settings comes at once.
func TestSettings(t *testing.T) {
	db := dbtest.Admin(t, maria().Server, "")
	now, err := Tip(t.Context(), maria().source())
	if err != nil {
		t.Fatal(err)
	}
	execute(t, db, "SET GLOBAL binlog_format = 'MIXED', GLOBAL binlog_row_image = 'MINIMAL'")
	defer execute(t, db, "SET GLOBAL binlog_format = 'ROW', GLOBAL binlog_row_image = 'FULL'")
	wantRefused(t, maria(), now, "SET GLOBAL binlog_format = 'ROW'", "SET GLOBAL binlog_row_image = 'FULL'", "2 things")

	mdb := dbtest.Admin(t, my().Server, "")
	now, err = Tip(t.Context(), my().source())
	if err != nil {
		t.Fatal(err)
	}
	execute(t, mdb, "SET GLOBAL binlog_row_image = 'NOBLOB'", "SET GLOBAL binlog_row_value_options = 'PARTIAL_JSON'")
	defer execute(t, mdb, "SET GLOBAL binlog_row_image = 'FULL'", "SET GLOBAL binlog_row_value_options = ''")
	wantRefused(t, my(), now, "SET GLOBAL binlog_row_image = 'FULL'", "SET GLOBAL binlog_row_value_options = ''")
}

func wantRefused(t *testing.T, s side, from Position, says ...string) {
	t.Helper()
	_, err := Open(t.Context(), s.source(), from, Options{})
	var refused *dbcopy.RefusedError
	if !errors.As(err, &refused) {
		t.Fatalf("not refused: %v", err)
	}
	for _, part := range says {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("it doesn't say %q: %v", part, err)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestVersioned: a table with history isn't read at all.
func TestVersioned(t *testing.T) {
	s := maria()
	db := schema(t, s, "ch")
	for _, create := range []string{"CREATE TABLE t (id int PRIMARY KEY) WITH SYSTEM VERSIONING",
		"CREATE TABLE t (id int PRIMARY KEY, a timestamp(6) GENERATED ALWAYS AS ROW START, b timestamp(6) GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME (a, b)) WITH SYSTEM VERSIONING"} {
		execute(t, db, "DROP TABLE IF EXISTS t", create)
		now, err := Tip(t.Context(), s.source())
		if err != nil {
			t.Fatal(err)
		}
		_, err = Open(t.Context(), s.source(), now, Options{Tables: []Table{describe(t, db, "ch", "t")}})
		var stop *StopError
		if !errors.As(err, &stop) || stop.Kind != StopVersioned || !strings.Contains(err.Error(), "DROP SYSTEM VERSIONING") {
			t.Errorf("%s: %v", create, err)
		}
	}
}
