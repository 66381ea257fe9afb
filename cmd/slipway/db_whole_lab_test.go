//go:build lab

package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/dbpair"
	"github.com/slipway-dev/slipway/internal/lab/dbtest"
	"github.com/slipway-dev/slipway/internal/lab/sakila"
)

// TestDBWholeWay: the verbs one after another, as a person with two data source names types them, while the source is
// written: check, copy, follow (killed twice), verify while it follows, follow to the tip, verify, status. Each transaction that the
// writers had an answer to is at the target then, and both sides are the same row by row. With a small schema and with the sample
// database.
func TestDBWholeWay(t *testing.T) {
	ctx := dbtest.Limit(t, 8*time.Minute)
	lab := dbtest.Lab(t, "dbwhole")
	maria := dbtest.Server(t, lab.MariaDB, "maria", dbpair.Options{})
	// What a follower reads beside what a copy does.
	dbtest.Do(t, maria, "GRANT REPLICATION SLAVE ON *.* TO '"+dbpair.Reader+"'@'127.0.0.1'")
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
		{sakila.Name, sample, nil,
			func(n int) []string {
				return []string{fmt.Sprintf("INSERT INTO actor (first_name, last_name) VALUES ('WRITTEN', '%d')", n), fmt.Sprintf("UPDATE rental SET return_date = NOW() WHERE rental_id = %d", 1+n*17%16000),
					fmt.Sprintf("UPDATE film SET title = CONCAT('SHORT ', %d), special_features = 'Trailers,Deleted Scenes' WHERE film_id = %d", n, 1+n%1000), fmt.Sprintf("DELETE FROM payment WHERE payment_id = %d", 1+n%16000)}
			}, "SELECT last_name FROM sakila.actor WHERE first_name = 'WRITTEN'"},
	} {
		t.Run(c.schema, func(t *testing.T) {
			d := dbDeskAt(t, ctx, lab, maria, dbtest.Server(t, lab.MySQL, "mysql-"+c.schema, dbpair.Options{}), c.schema) // a target is one copy's
			d.do(d.maria, append(append([]string{"CREATE DATABASE " + c.schema, "USE " + c.schema}, c.script...), c.fill...)...)
			d.do(d.my, "CREATE DATABASE "+c.schema, "SET GLOBAL log_bin_trust_function_creators = ON") // a flag, on an instance
			source, target := dbtest.Admin(t, maria, c.schema), dbtest.Admin(t, d.my, c.schema)
			run := func(verb string, args ...string) string {
				t.Helper()
				return d.typed(exitDone, d.verb(verb, args...)...)
			}
			var mu sync.Mutex
			var acknowledged []string
			stop := make(chan struct{})
			var wg sync.WaitGroup
			for w := range 3 {
				db := dbtest.Admin(t, maria, c.schema)
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
			if a, b := dbtest.Texts(t, source, still), dbtest.Texts(t, target, still); !slices.Equal(a, b) || len(a) < 4 {
				t.Errorf("views, functions and procedures: %q at the source, %q at the target", a, b)
			}
			for i := range 3 { // the last goes on until it is interrupted
				cmd, out := d.start(d.verb("follow")...)
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
			there := dbtest.Texts(t, target, c.ledger)
			for i, l := range there {
				there[i] = strings.TrimPrefix(strings.TrimRight(l, "."), "written ")
			}
			slices.Sort(there)
			lost := 0
			for _, n := range acknowledged {
				if _, ok := slices.BinarySearch(there, n); !ok {
					lost++
				}
			}
			if lost > 0 || len(acknowledged) < 100 {
				t.Errorf("%d of %d acknowledged transactions are lost", lost, len(acknowledged))
			}
			rows := d.same(dbpair.Root)
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
