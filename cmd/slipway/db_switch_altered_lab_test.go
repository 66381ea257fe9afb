//go:build lab

package main

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/dbtest"
)

// TestDBSwitchAltered: rows are altered at the target where nobody looks any more, and the source changes them with the last statement that
// the freeze lets through. The switch finds it before anything is changed at the target, and takes itself back. When they are repaired, a
// second one goes through.
func TestDBSwitchAltered(t *testing.T) {
	s := newSwitched(t, dbtest.Limit(t, 6*time.Minute), "shop")
	s.stock()
	s.do(s.maria, "INSERT INTO shop.stock (id, n) VALUES (2001, 1000), (2002, 1000), (2003, 1000)") // nobody buys of these
	s.sell(3)
	s.db(exitDone, "copy")
	run := s.begin("--patience", "30s", "--freeze-limit", "60s", "--limit", "2m")
	carrier, said := s.carry(run)
	s.waits(run, "go", said)
	s.do(s.my, "UPDATE shop.stock SET sold = 7 WHERE id IN (2001, 2003)")

	held := s.holdUp("UPDATE stock SET n = n - 1 WHERE id > 2000 AND GET_LOCK('altered', 100) = 1", "altered")
	s.pass(run, "go")
	if err := held(); err != nil {
		t.Fatalf("the last statement of the source: %v\n%s", err, said)
	}
	s.ended(carrier, said, exitRolledBack)
	for _, want := range []string{"differs from the source:\n  table shop.stock, row with `id`=2001: differs in sold\n  table shop.stock, row with `id`=2003: differs in sold; the source changed it", "phase switch: step switch.recheck", "rolled back",
		"while a process carries the run, type slipway db verify --repair"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("nobody said %q:\n%s", want, said)
		}
	}
	if n := s.atSide[1].Load(); n > 0 || !regexp.MustCompile(`switch\.source-triggers +not begun`).MatchString(said.String()) {
		t.Errorf("%d purchases at the target; more was done:\n%s", n, said)
	}
	my := dbtest.Admin(t, s.my, "shop")
	for query, want := range map[string]string{
		"SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = 'shop'":         "0",
		"SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = '_slipway_canary'": "0",
		"SELECT account_locked FROM mysql.user WHERE User = '" + shopAccount + "'":               "Y",
		"SELECT GROUP_CONCAT(id, ' ', n, ' ', sold ORDER BY id) FROM stock WHERE id > 2000":      "2001 999 7,2002 999 0,2003 999 7",
	} {
		if got := dbtest.One(t, my, query); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	s.sellsAt(0, said)

	// Nobody carries the run: what differs can't be told from what the target hasn't yet.
	if out := s.db(exitFailed, "verify", "--repair"); !strings.Contains(out, "the follower stands still") || !strings.Contains(out, "slipway resume RUN") {
		t.Errorf("repair without a process:\n%s", out)
	}
	carrier, said = s.carry(run)
	s.waits(run, "go", said)
	if out, complaints, ended := s.run("gate", "pass", run, "go"); ended.ExitCode() == exitDone {
		t.Fatalf("gate go is passed, and rows differ:\n%s%s", out, complaints)
	}
	if out := s.db(exitDone, "verify", "--repair"); !strings.Contains(out, "differing: 2; repaired: 2\n") {
		t.Errorf("repaired:\n%s", out)
	}
	s.passUp(run, "go")
	s.waits(run, "finalize", said)
	s.sellsAt(1, said)
	close(s.stop)
	s.writers.Wait()
	s.pass(run, "finalize", "--why", "it holds")
	s.ended(carrier, said, exitDone)
	s.kept("at the end")
}

// passUp passes a gate once the services that had failed are up again: they are tried again within half a minute.
func (s *switched) passUp(run, gate string, more ...string) {
	s.Helper()
	for began := time.Now(); ; time.Sleep(time.Second) {
		out, complaints, ended := s.run(append([]string{"gate", "pass", run, gate}, more...)...)
		if ended.ExitCode() == exitDone {
			return
		} else if time.Since(began) > 2*time.Minute {
			s.Fatalf("gate %s isn't passed:\n%s%s", gate, out, complaints)
		}
	}
}

// holdUp has a customer type a statement at the source that waits for a lock by name. What it gives waits until the freeze is held up by
// that statement, lets the lock go, and says what became of the statement: it is the source's last.
func (s *switched) holdUp(stmt, lock string) func() error {
	s.Helper()
	ours, err := dbtest.As(s.T, s.maria, switchAccount, "").Conn(s.ctx)
	if err != nil {
		s.Fatal(err)
	}
	if _, err := ours.ExecContext(s.ctx, "DO GET_LOCK(?, 0)", lock); err != nil {
		s.Fatal(err)
	}
	done := make(chan error, 1)
	customer := dbtest.As(s.T, s.maria, shopAccount, "shop")
	go func() {
		_, err := customer.ExecContext(s.ctx, stmt)
		done <- err
	}()
	runs := func(like string) bool {
		var n int
		if err := ours.QueryRowContext(s.ctx, "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE ? AND ID <> CONNECTION_ID()", like).Scan(&n); err != nil {
			s.Fatal(err)
		}
		return n > 0
	}
	await := func(like string) error {
		for !runs(like) {
			select {
			case err := <-done:
				return err
			case <-s.ctx.Done():
				return context.Cause(s.ctx)
			case <-time.After(20 * time.Millisecond):
			}
		}
		return nil
	}
	if err := await("%" + lock + "%"); err != nil {
		s.Fatal(err)
	}
	return func() error {
		defer ours.Close()
		if err := await("SET GLOBAL read_only%"); err != nil {
			return err
		}
		if _, err := ours.ExecContext(s.ctx, "DO RELEASE_LOCK(?)", lock); err != nil {
			return err
		}
		return <-done
	}
}
