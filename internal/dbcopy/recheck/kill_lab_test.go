//go:build lab

package recheck

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
	"github.com/slipway-dev/slipway/internal/dbcopy/follow"
	"github.com/slipway-dev/slipway/internal/lab/dbpair"
	"github.com/slipway-dev/slipway/internal/lab/dbtest"
)

// checker is a verification that can be killed.
const checker dbtest.Child[checkerOrder] = "SLIPWAY_TEST_CHECKER"

type checkerOrder struct {
	Source, Target, From string
	Until                string // "": until it is killed
}

func (o checkerOrder) run() error {
	at := func(addr string) *dbpair.Server { return &dbpair.Server{Name: "server " + addr, Addr: addr} }
	l := NewLink(endpoint(at(o.Source), dbpair.Root), endpoint(at(o.Target), dbpair.Loader), []string{schema})
	from, err := follow.ParsePosition(o.From)
	if err != nil {
		return err
	}
	until := make(chan changes.Position, 1)
	if o.Until != "" {
		to, err := follow.ParsePosition(o.Until)
		if err != nil {
			return err
		}
		until <- to
	}
	return l.Recheck(context.Background(), from, until, func(changes.Position, time.Duration) {}, func(string) {})
}

func (p *pair) process(until string) (*exec.Cmd, *bytes.Buffer) {
	p.Helper()
	return checker.Start(p, checkerOrder{servers.maria.Addr, servers.mysql.Addr, follow.Print(p.from), until})
}

// TestKilled: a verification is killed with SIGKILL at random instants while customers write, and a row is passed by meanwhile. However it falls,
// who goes on finds the row, and none but it.
func TestKilled(t *testing.T) {
	p := newPair(t, append([]string{"CREATE TABLE mine (id INT PRIMARY KEY, n INT NOT NULL)"}, shop...)...)
	r := rand.New(rand.NewPCG(3, 3))
	stop := p.customers(2, 7)
	defer func() { stop() }()
	killed, early := 0, 0
	for round := range 4 {
		p.passBy(func(ch *changes.Change) bool { return ch.Table.Name == "mine" })
		plant := time.AfterFunc(time.Duration(200+r.IntN(1500))*time.Millisecond, func() {
			if _, err := p.maria.ExecContext(context.WithoutCancel(t.Context()), fmt.Sprintf("INSERT INTO mine VALUES (%d, 1)", round)); err != nil {
				t.Error(err)
			}
		})
		for range 3 {
			c, out := p.process("")
			time.Sleep(time.Duration(300+r.IntN(900)) * time.Millisecond)
			if err := c.Process.Kill(); err == nil {
				killed++
			}
			_ = c.Wait() // it was killed, or has found the row
			if strings.Contains(out.String(), "error:") {
				early++
				p.found(out.String(), round)
			}
		}
		plant.Stop()
		stop()
		c, out := p.process(p.caughtUp().String())
		_ = c.Wait() // the text tells
		p.found(out.String(), round)
		p.passBy(nil)
		p.do(p.my, fmt.Sprintf("INSERT INTO mine VALUES (%d, 1)", round))
		c, out = p.process(p.tip().String())
		if err := c.Wait(); err != nil {
			t.Fatalf("round %d, repaired: %v\n%s", round, err, out)
		}
		stop = p.customers(2, uint64(10+round))
	}
	t.Logf("killed %d times; %d times one had found it before", killed, early)
}

// found holds when a process ended because of the row of a round.
func (p *pair) found(said string, round int) {
	p.Helper()
	if strings.Count(said, "row with") != 1 || !strings.Contains(said, fmt.Sprintf("table shop.mine, row with `id`=%d: the target hasn't it", round)) {
		p.Fatalf("round %d: %s", round, said)
	}
}
