//go:build lab

package follow

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy/value"
	"github.com/slipway-dev/slipway/internal/lab/dbpair"
	"github.com/slipway-dev/slipway/internal/lab/dbtest"
)

// wire is a link that can be cut.
type wire struct {
	mu    sync.Mutex
	conns []net.Conn
	dead  bool
}

func (w *wire) dial(ctx context.Context, network, address string) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead {
		return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("the cable is out")}
	}
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	if err == nil {
		w.conns = append(w.conns, c)
	}
	return c, err
}

func (w *wire) cut(dead bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		c.Close()
	}
	w.conns, w.dead = nil, dead
}

// said keeps what was told.
type said struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *said) tell(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.WriteString(what + "\n")
}

func (s *said) has(what string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Contains(s.text.String(), what)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// TestServersDie: one follower lives through kills of both servers, cuts of both links, locks that others hold.
func TestServersDie(t *testing.T) {
	ctx := limit(t, 4*time.Minute)
	maria, my := start(t, servers.lab.MariaDB, "vmaria", dbpair.Options{}), start(t, servers.lab.MySQL, "vmysql", dbpair.Options{})
	sdb, tdb := admin(t, maria, ""), admin(t, my, "")
	exec(t, sdb, "CREATE DATABASE live CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci", "SET GLOBAL sql_mode = ''")
	exec(t, tdb, "CREATE DATABASE live CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci")
	source, target := admin(t, maria, "live"), admin(t, my, "live")
	for _, s := range liveTables(true) {
		exec(t, source, s)
	}
	for _, s := range liveTables(false) {
		exec(t, target, s)
	}
	var up, down wire
	var heard said
	from := endpoint(maria, dbpair.Root)
	from.Dial = up.dial
	to := endpoint(my, dbpair.Loader)
	to.Dial = down.dial
	log, err := Forward(ctx, from, []string{"live"}, heard.tell)
	if err != nil {
		t.Fatal(err)
	}
	at := tip(t, maria, value.MariaDB)
	f, err := Open(ctx, to, Options{Stream: "forward", Schemas: []string{"live"}, From: &at, Skip: CameBack, Tell: heard.tell})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	following, end := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- f.Run(following, log, nil) }()
	r := rand.New(rand.NewPCG(8, 8))
	seed := uint64(20)
	stop := shoppers(t, source, 3, seed)
	defer func() { stop() }()
	restart := func(s *dbpair.Server) {
		t.Helper()
		if err := s.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := s.Start(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 6 {
		time.Sleep(time.Duration(200+r.IntN(600)) * time.Millisecond)
		select {
		case err := <-done:
			t.Fatalf("the follower ended: %v\n%s", err, &heard)
		default:
		}
		switch i % 3 {
		case 0:
			restart(my)
		case 1:
			restart(maria)
			stop()
			seed++
			stop = shoppers(t, source, 3, seed)
		case 2:
			for _, w := range []*wire{&up, &down} {
				w.cut(true)
				time.Sleep(300 * time.Millisecond)
				w.cut(false)
			}
		}
	}
	// Somebody holds a row that the next transactions need, for longer than the target waits for a lock.
	c, err := target.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	exec(t, c, "BEGIN", "UPDATE counter SET n = n")
	exec(t, source, "UPDATE counter SET n = n + 1000")
	for !heard.has("somebody else holds locks") {
		select {
		case err := <-done:
			t.Fatalf("the follower ended: %v\n%s", err, &heard)
		case <-ctx.Done():
			t.Fatal("nobody said that a lock is held")
		case <-time.After(50 * time.Millisecond):
		}
	}
	exec(t, c, "ROLLBACK")
	c.Close()
	stop()
	want := tip(t, maria, value.MariaDB)
	for !Covered(f.Passed(), want) {
		select {
		case err := <-done:
			t.Fatalf("the follower ended: %v\n%s", err, &heard)
		case <-ctx.Done():
			t.Fatalf("not at the end: %s of %s\n%s", f.Passed(), want, &heard)
		case <-time.After(20 * time.Millisecond):
		}
	}
	end()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	rows := equal(t, source, target)
	t.Logf("%d transactions, %d row changes, %d rows compared", f.State().Seq, f.State().Rows, rows)
	if !heard.has("trying again in") {
		t.Error("no connection was lost")
	}
}

// TestFullDisk: a target without room for rows, and one without room for its log, say so, wait, and go on.
func TestFullDisk(t *testing.T) {
	for _, log := range []bool{false, true} {
		name := map[bool]string{false: "rows", true: "log"}[log]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := limit(t, 3*time.Minute)
			o := dbpair.Options{Disk: 300 << 20, LogDisk: log, Args: []string{"--innodb-redo-log-capacity=8388608", "--skip-log-bin"}}
			if log {
				o.Disk, o.Args = 12<<20, nil
			}
			my := start(t, servers.lab.MySQL, "full"+name, o)
			exec(t, admin(t, my, ""), "CREATE DATABASE made")
			db := admin(t, my, "made")
			exec(t, db, "CREATE TABLE p (id INT PRIMARY KEY, name LONGTEXT)")
			if !log { // little more than what is used already
				size := int64(80 << 20)
				for my.Resize(ctx, size) != nil {
					size += 4 << 20
				}
			}
			var m made
			big := strings.Repeat("x", 1<<20)
			for i := range 40 {
				m.commit(insertP(i, big))
				m.txs[i].Bytes = int64(len(big))
			}
			var heard said
			from := at0()
			f, err := Open(ctx, endpoint(my, dbpair.Root), Options{Stream: "test", Schemas: []string{"made"}, From: &from, Tell: heard.tell})
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			done := make(chan error, 1)
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			go func() { done <- f.Drain(ctx, &m, at(40)) }()
			for !heard.has("out of disk space") {
				select {
				case err := <-done:
					t.Fatalf("it ended: %v\n%s", err, &heard)
				case <-time.After(100 * time.Millisecond):
				}
			}
			if log { // MySQL looks again for room after a minute only
				return
			}
			if err := my.Resize(ctx, 1<<30); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Fatalf("%v\n%s", err, &heard)
			}
			if n := dbtest.Texts(t, db, "SELECT COUNT(*) FROM p"); n[0] != "40" {
				t.Errorf("%s rows", n[0])
			}
		})
	}
}
