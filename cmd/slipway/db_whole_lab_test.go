//go:build lab

package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/dbpair"
	"github.com/slipway-dev/slipway/internal/lab/sakila"
)

// TestDBWholeWay: the verbs one after another, as a person with two data source names types them, while the source is
// written: check, copy, follow (killed twice), verify while it follows, follow to the tip, verify, status. Each transaction that the
// writers had an answer to is at the target then, and both sides are the same row by row. With a small schema and with the sample
// database.
func TestDBWholeWay(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	lab, err := dbpair.Open(ctx, "dbwhole", os.Stderr)
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
	root, err := maria.Open(dbpair.Root, "")
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	// What a follower reads beside what a copy does.
	if _, err := root.ExecContext(ctx, "GRANT REPLICATION SLAVE ON *.* TO '"+dbpair.Reader+"'@'127.0.0.1'"); err != nil {
		t.Fatal(err)
	}
	small, err := os.ReadFile("../../internal/dbcopy/testdata/rental.sql")
	if err != nil {
		t.Fatal(err)
	}
	sample, err := sakila.Statements()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		schema string
		script []string
		fill   []string
		write  func(n int) []string // one transaction
		ledger string               // finds what write(n) left, at either side
	}{
		{"rental", sakila.Cut(string(small)),
			[]string{"INSERT INTO country (name) SELECT CONCAT('land ', seq) FROM seq_1_to_200", "INSERT INTO customer (country, name, made) SELECT seq % 200 + 1, CONCAT('müller ', seq), NOW() FROM seq_1_to_20000",
				"INSERT INTO film (title, text, year, rating, extras) SELECT CONCAT('film ', seq), REPEAT('word ', seq % 50), 1970 + seq % 50, 1 + seq % 3, seq % 4 FROM seq_1_to_20000"},
			func(n int) []string { // the triggers write as well
				return []string{fmt.Sprintf("INSERT INTO film (title, text) VALUES ('written %d', NULL)", n), fmt.Sprintf("UPDATE film SET title = CONCAT(title, '.'), rate = rate + 0.01 WHERE id = %d", 1+n*37%20000),
					fmt.Sprintf("DELETE FROM customer WHERE id = %d", 1+n%20000), fmt.Sprintf("UPDATE country SET id = id + 1000 WHERE id = %d", 1+n%200)}
			}, "SELECT title FROM rental.film WHERE title LIKE 'written %'"},
		{sakila.Name, sample, []string{"SET autocommit = 1"},
			func(n int) []string {
				return []string{fmt.Sprintf("INSERT INTO actor (first_name, last_name) VALUES ('WRITTEN', '%d')", n), fmt.Sprintf("UPDATE rental SET return_date = NOW() WHERE rental_id = %d", 1+n*17%16000),
					fmt.Sprintf("UPDATE film SET title = CONCAT('SHORT ', %d), special_features = 'Trailers,Deleted Scenes' WHERE film_id = %d", n, 1+n%1000), fmt.Sprintf("DELETE FROM payment WHERE payment_id = %d", 1+n%16000)}
			}, "SELECT last_name FROM sakila.actor WHERE first_name = 'WRITTEN'"},
	} {
		t.Run(c.schema, func(t *testing.T) {
			source, err := maria.Open(dbpair.Root, "")
			if err != nil {
				t.Fatal(err)
			}
			defer source.Close()
			source.SetMaxOpenConns(1)                                      // USE and SET are the session's
			my, err := lab.MySQL(ctx, "mysql-"+c.schema, dbpair.Options{}) // a target is one copy's
			if err != nil {
				t.Fatal(err)
			}
			target, err := my.Open(dbpair.Root, "")
			if err != nil {
				t.Fatal(err)
			}
			defer target.Close()
			do := func(db *sql.DB, stmts ...string) {
				t.Helper()
				for _, s := range stmts {
					if _, err := db.ExecContext(ctx, s); err != nil {
						t.Fatalf("%.200s: %v", s, err)
					}
				}
			}
			do(source, "CREATE DATABASE "+c.schema, "USE "+c.schema)
			do(target, "CREATE DATABASE "+c.schema, "SET GLOBAL log_bin_trust_function_creators = ON") // a flag, on an instance
			do(source, append(c.script, c.fill...)...)

			start := func(verb string, args ...string) (*exec.Cmd, *bytes.Buffer) {
				t.Helper()
				var out bytes.Buffer
				cmd := exec.CommandContext(ctx, "slipway", append([]string{"db", verb, "--source", "env:SRC", "--target", "env:DST", "--schema", c.schema}, args...)...)
				cmd.Dir, cmd.Stdout, cmd.Stderr = t.TempDir(), &out, &out
				cmd.Env = append(os.Environ(), "SRC="+dbpair.Reader+":"+dbpair.Password+"@tcp("+maria.Addr+")/", "DST="+dbpair.Loader+":"+dbpair.Password+"@tcp("+my.Addr+")/")
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				return cmd, &out
			}
			run := func(verb string, args ...string) string {
				t.Helper()
				cmd, out := start(verb, args...)
				var exit *exec.ExitError
				if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
					t.Fatal(err)
				}
				if code := cmd.ProcessState.ExitCode(); code != exitDone {
					t.Fatalf("slipway db %s %q: exit code %d\n%s", verb, args, code, out)
				}
				return out.String()
			}
			var mu sync.Mutex
			var acknowledged []string
			stop := make(chan struct{})
			var wg sync.WaitGroup
			for w := range 3 {
				db, err := maria.Open(dbpair.Root, c.schema)
				if err != nil {
					t.Fatal(err)
				}
				defer db.Close()
				wg.Go(func() {
					for n := w; ; n += 3 {
						select {
						case <-stop:
							return
						case <-time.After(20 * time.Millisecond):
						}
						if err := inOne(ctx, db, c.write(n)); err == nil {
							mu.Lock()
							acknowledged = append(acknowledged, fmt.Sprint(n))
							mu.Unlock()
						}
					}
				})
			}
			run("check")
			run("copy", "--verify", "--chunk-bytes", "200000")
			still := "SELECT CONCAT(ROUTINE_TYPE, ' ', ROUTINE_NAME) FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = '" + c.schema + "' UNION ALL SELECT CONCAT('VIEW ', TABLE_NAME) FROM information_schema.VIEWS WHERE TABLE_SCHEMA = '" + c.schema + "' ORDER BY 1"
			if a, b := every(t, source, still), every(t, target, still); !slices.Equal(a, b) || len(a) < 4 {
				t.Errorf("views, functions and procedures: %q at the source, %q at the target", a, b)
			}
			for i := range 3 { // the last goes on until it is interrupted
				cmd, out := start("follow")
				time.Sleep(2 * time.Second)
				if i < 2 {
					if err := cmd.Process.Kill(); err != nil {
						t.Fatalf("%v\n%s", err, out)
					}
					if err := cmd.Wait(); cmd.ProcessState.ExitCode() != -1 {
						t.Fatalf("follow ended by itself: %v\n%s", err, out)
					}
					continue
				}
				if got := run("verify"); !strings.Contains(got, "the target has every row that the source has") {
					t.Errorf("verify while it follows:\n%s", got)
				}
				if err := cmd.Process.Signal(os.Interrupt); err != nil {
					t.Fatal(err)
				}
				if err := cmd.Wait(); cmd.ProcessState.ExitCode() == -1 {
					t.Errorf("follow, interrupted: %v\n%s", err, out)
				}
			}
			close(stop)
			wg.Wait()
			run("follow", "--until-tip")
			run("verify")
			t.Log(run("status"))
			there := strings.Join(every(t, target, c.ledger), "\n")
			lost := 0
			for _, n := range acknowledged {
				if !slices.ContainsFunc(strings.Split(there, "\n"), func(l string) bool { return l == n || strings.TrimRight(l, ".") == "written "+n }) {
					lost++
				}
			}
			if lost > 0 || len(acknowledged) < 100 {
				t.Errorf("%d of %d acknowledged transactions are lost", lost, len(acknowledged))
			}
			rows := 0
			for _, table := range every(t, source, "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA = '"+c.schema+"'") {
				a, b := every(t, source, "SELECT * FROM `"+c.schema+"`.`"+table+"`"), every(t, target, "SELECT * FROM `"+c.schema+"`.`"+table+"`")
				slices.Sort(a)
				slices.Sort(b)
				if rows += len(a); !slices.Equal(a, b) {
					t.Errorf("table %s isn't the same: %d rows and %d", table, len(a), len(b))
				}
			}
			t.Logf("%d rows are the same on both sides, with %d transactions that were acknowledged meanwhile", rows, len(acknowledged))
		})
	}
}

// inOne runs statements in one transaction.
func inOne(ctx context.Context, db *sql.DB, stmts []string) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	for _, s := range stmts {
		if _, err := tx.ExecContext(ctx, s); err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	return tx.Commit()
}

// every gives each row of a query as one text, its bytes in hexadecimal where it has more than one column.
func every(t *testing.T, db *sql.DB, query string) (out []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		vals, ptrs := make([]sql.NullString, len(names)), make([]any, len(names))
		for i := range vals {
			ptrs[i] = &vals[i]
		}
		if err := rows.Scan(ptrs...); err != nil {
			t.Fatal(err)
		}
		if len(names) == 1 {
			out = append(out, vals[0].String)
			continue
		}
		line := ""
		for _, v := range vals {
			line += fmt.Sprintf("%v:%x,", v.Valid, v.String)
		}
		out = append(out, line)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}
