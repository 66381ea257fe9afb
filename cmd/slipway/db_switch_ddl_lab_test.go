//go:build lab

package main

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/dbtest"
)

// TestDBSwitchDDL: a definition is changed at the target while it is open. The way back stands before it, finalize isn't passed, and the
// message says what to type; when it is done at the source by hand and passed by, all that was sold comes back.
func TestDBSwitchDDL(t *testing.T) {
	s := newSwitched(t, dbtest.Limit(t, 6*time.Minute), "shop")
	s.stock()
	s.sell(3)
	s.db(exitDone, "copy")
	run := s.begin()
	carrier, said := s.carry(run)
	s.waits(run, "go", said)
	s.pass(run, "go")
	s.waits(run, "finalize", said)
	s.sellsAt(1, said)

	const alter = "ALTER TABLE shop.orders ADD gift INT NOT NULL DEFAULT 7 FIRST"
	s.do(s.my, alter)
	skip := regexp.MustCompile("type slipway (db follow --way-back --skip-ddl [0-9a-f:-]+)")
	var m []string
	for began := time.Now(); m == nil; time.Sleep(100 * time.Millisecond) {
		if m = skip.FindStringSubmatch(s.typed(exitDone, "status", run)); time.Since(began) > time.Minute {
			t.Fatalf("nobody says what to type:\n%s", said)
		}
	}
	time.Sleep(6 * time.Second) // it is further behind than --max-lag then, also while it is tried again
	if out, _, ended := s.run("gate", "pass", run, "finalize", "--why", "it holds"); ended.ExitCode() == exitDone {
		t.Fatalf("finalize is passed, and the way back stands:\n%s", out)
	}
	verb := strings.Fields(m[1])[2:]
	for _, c := range []struct {
		flags []string
		says  string
	}{
		{verb[:1], "--way-back without --skip-ddl"},
		{append([]string{"--until-tip"}, verb...), "--way-back and --until-tip"},
		{append(verb[:2:2], regexp.MustCompile("[0-9]+$").ReplaceAllString(verb[2], "1")), "the stream doesn't stand before that transaction"},
	} {
		if out := s.db(exitUsage, "follow", c.flags...); !strings.Contains(out, c.says) {
			t.Errorf("follow %s: %q isn't said:\n%s", c.flags, c.says, out)
		}
	}
	dbtest.Exec(t, dbtest.As(t, s.maria, switchAccount, ""), alter)
	if out := s.db(exitDone, "follow", verb...); !strings.Contains(out, "which was done by hand: ALTER TABLE shop.orders ADD gift") {
		t.Errorf("passed by:\n%s", out)
	}
	s.sellsAt(1, said)
	close(s.stop)
	s.writers.Wait()
	s.passUp(run, "finalize", "--why", "it holds")
	s.ended(carrier, said, exitDone)
	s.kept("at the end")
}
