//go:build lab

package whole

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/binlog"
	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
	"github.com/slipway-dev/slipway/internal/dbcopy/follow"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
	"github.com/slipway-dev/slipway/internal/lab/dbgen"
	"github.com/slipway-dev/slipway/internal/lab/dbpair"
	"github.com/slipway-dev/slipway/internal/lab/dbtest"
)

var (
	seedFlag    = flag.Uint64("seed", 1, "what all that is made up is drawn from: the same makes the same schemas and statements")
	schemasFlag = flag.Int("schemas", 200, "how many schemas are followed; with fewer than 200 nothing has to be hit")
	firstFlag   = flag.Int("first", 0, "the number of the first schema, to do one round again")
	perFlag     = flag.Int("per", 20, "how many schemas a round has")
)

// world is the two servers and what was met in all rounds.
type world struct {
	maria, my *sql.DB
	r         *rand.Rand // of what is killed, and when
	hits      hits       // schemas, changes
	events    hits       // of the source's log
	kills     hits

	schemas, tables, rows int
	transactions, changes int64
	applied               uint64
}

// TestWhole: schemas are copied, followed and verified while they are written to, some at a time by one copier and one follower, while
// these and both servers are killed. At the end of each round both sides are the same by verify and by the oracle; and a difference
// that is made then is found by both.
func TestWhole(t *testing.T) {
	w := &world{maria: dbtest.Admin(t, servers.maria, ""), my: dbtest.Admin(t, servers.mysql, "")}
	began := time.Now()
	for first := *firstFlag; first < *firstFlag+*schemasFlag; first += *perFlag {
		n := min(*perFlag, *firstFlag+*schemasFlag-first)
		ok := t.Run(fmt.Sprintf("schemas %d to %d", first, first+n-1), func(t *testing.T) {
			w.r = rand.New(rand.NewPCG(*seedFlag, uint64(first)<<20))
			w.round(t, first, n)
		})
		if !ok {
			t.Errorf("seed %d: this round alone: -run TestWhole -seed %d -first %d -schemas %d -per %d", *seedFlag, *seedFlag, first, n, *perFlag)
			break
		}
	}
	t.Logf("seed %d: %d schemas, %d tables, %d rows compared at the end, %s", *seedFlag, w.schemas, w.tables, w.rows, time.Since(began).Round(time.Second))
	t.Logf("at the source: %d transactions that changed %d rows; at the target: %d transactions", w.transactions, w.changes, w.applied)
	t.Logf("killed: %s", &w.kills)
	t.Logf("events: %s", &w.events)
	t.Logf("schemas and changes: %s", &w.hits)
	if *schemasFlag >= 200 && !t.Failed() {
		w.whole(t)
	}
}

// Events of the source's log, and what else must have been met.
var (
	eventKinds = []string{"Write_rows_v1", "Update_rows_v1", "Delete_rows_v1", "Write_rows_compressed_v1", "Update_rows_compressed_v1", "Delete_rows_compressed_v1",
		"Gtid", "Gtid_list", "Table_map", "Annotate_rows", "Query", "Xid", "Rotate", "Format_desc", "Binlog_checkpoint", heartbeat, spilled}
	killKinds = []string{killedCopier, killedFollower, killedCopying + "maria", killedCopying + "mysql", killedFollowing + "maria", killedFollowing + "mysql"}
)

const (
	heartbeat       = "heartbeat"
	spilled         = "transaction on disk"
	killedCopier    = "copier, between its first chunk and its last"
	killedFollower  = "follower, after it had applied something"
	killedCopying   = "during a copy: "
	killedFollowing = "while it followed: "
	killedVerifying = "while it was verified: "
)

// whole fails the test where something was never hit.
func (w *world) whole(t *testing.T) {
	for _, x := range []struct {
		h    *hits
		want []string
	}{{&w.hits, dbgen.Wanted(true)}, {&w.hits, changeKinds}, {&w.hits, []string{rotation, compressed}}, {&w.events, eventKinds}, {&w.kills, killKinds}} {
		for _, what := range x.want {
			if x.h.of(what) == 0 {
				t.Errorf("not hit in %d schemas: %s", w.schemas, what)
			}
		}
	}
}

// round is one copy and one follow of some schemas.
type round struct {
	*world
	t        *testing.T
	followed []schema
	still    schema // is copied and verified; nothing tells its tables' rows apart, so it isn't followed
	names    []string
	dir      string
	f        *process
	writers  *writers
}

// limit is how long any wait of a round may take.
const limit = 90 * time.Second

func (w *world) round(t *testing.T, first, n int) {
	x := &round{world: w, t: t, dir: t.TempDir()}
	began := time.Now()
	took := func(what string) {
		t.Logf("%6s %s", time.Since(began).Round(10*time.Millisecond), what)
	}
	x.make(first, n)
	log := dbtest.Texts(t, w.maria, "SHOW BINARY LOGS")
	x.writers = write(t, &w.hits, servers.maria, x.followed, *seedFlag<<20|uint64(first), 4)
	took("made")
	x.copy(first / *perFlag)
	took("copied")
	x.follow()
	x.chaos(first / *perFlag)
	took("followed")
	x.verifyMeanwhile(first / *perFlag)
	took("verified meanwhile")
	if err := x.writers.end(); err != nil {
		t.Fatalf("a statement of the test's own is wrong: %v", err)
	}
	w.transactions, w.changes = w.transactions+x.writers.transactions.Load(), w.changes+x.writers.changes.Load()
	x.drain()
	took("drained")
	if d := x.compare(chunkOf(x.r), false); d.Different > 0 || d.Tables != int64(x.count()) {
		t.Errorf("verify finds in %d tables of %d: %v", d.Tables, x.count(), d.Found)
	}
	found, rows := x.oracle()
	w.rows += rows
	for _, d := range found {
		t.Errorf("the oracle finds %s", d)
	}
	if t.Failed() {
		t.FailNow()
	}
	took("the same")
	x.plant()
	took("a difference was found")
	x.logged(len(log))
	for _, s := range append(slices.Clone(x.followed), x.still) {
		exec(t, w.maria, "DROP DATABASE "+dbgen.Quote(s.name))
		exec(t, w.my, "DROP DATABASE "+dbgen.Quote(s.name))
	}
	exec(t, w.my, "DROP DATABASE _slipway")
	took("dropped")
}

func (x *round) count() (n int) {
	for _, s := range append(slices.Clone(x.followed), x.still) {
		n += len(s.tables)
	}
	return n
}

// make makes the schemas, and at the target empty ones.
func (x *round) make(first, n int) {
	x.t.Helper()
	c, err := x.maria.Conn(x.t.Context())
	if err != nil {
		x.t.Fatal(err)
	}
	defer c.Close()
	exec(x.t, c, "SET SESSION sql_mode = 'ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO', time_zone = '+00:00'")
	for i := range n + 1 {
		r := rand.New(rand.NewPCG(*seedFlag, uint64(first+i)))
		o := dbgen.Options{Tables: 1 + r.IntN(4), Rows: []int{0, 1, 2, 30, 120}}
		s := schema{name: dbgen.Pick(r, "w", "w", "we`ird", "grün", "a b") + fmt.Sprint(first+i)}
		if i == n {
			s.name, o.Unfollowed, o.Tables = "still", true, 8
		}
		s.tables = dbgen.Schema(r, o)
		exec(x.t, c, "CREATE DATABASE "+dbgen.Quote(s.name)+" CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci", "USE "+dbgen.Quote(s.name))
		exec(x.t, x.my, "CREATE DATABASE "+dbgen.Quote(s.name))
		for _, table := range s.tables {
			exec(x.t, c, table.Create)
			exec(x.t, c, "START TRANSACTION")
			exec(x.t, c, table.Inserts(r)...)
			exec(x.t, c, "COMMIT")
			for _, what := range table.What {
				x.hits.add(what, 1)
			}
			x.tables++
		}
		if i == n {
			x.still = s
		} else {
			x.followed = append(x.followed, s)
			x.schemas++
		}
		x.names = append(x.names, s.name)
	}
}

func (x *round) order() order {
	return order{Source: servers.maria.Addr, Target: servers.mysql.Addr, Schemas: x.names, Workers: 1 + x.r.IntN(4)}
}

func source() dbcopy.Endpoint {
	return endpoint("maria", servers.maria.Addr, dbpair.Reader)
}

func target() dbcopy.Endpoint {
	return endpoint("mysql", servers.mysql.Addr, dbpair.Loader)
}

// restart kills a server and starts it again.
func (x *round) restart(s *dbpair.Server, when string) {
	x.t.Helper()
	if err := s.Kill(); err != nil {
		x.t.Fatal(err)
	}
	x.kills.add(when+s.Name, 1)
	if err := s.Start(x.t.Context()); err != nil {
		x.t.Fatal(err)
	}
}

// until waits for something, and fails the test when it doesn't come or the process that it depends on ends.
func (x *round) until(what string, p *process, is func() bool) {
	x.t.Helper()
	for end := time.Now().Add(limit); !is(); {
		if p != nil && p.gone() {
			x.t.Fatalf("it ended by itself (exit code %d) before %s:\n%s", p.code(), what, p.tail())
		}
		if err := x.writers.fault(); err != nil {
			x.t.Fatalf("a statement of the test's own is wrong: %v", err)
		}
		if time.Now().After(end) {
			text := ""
			if p != nil {
				p.kill()
				text = p.tail()
			}
			x.t.Fatalf("%s: not within %s\n%s", what, limit, text)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// chunks is how many are in.
func (x *round) chunks() (n int) {
	if err := x.my.QueryRowContext(x.t.Context(), "SELECT COUNT(*) FROM `_slipway`.`copied`").Scan(&n); err != nil {
		return 0 // the table isn't there yet
	}
	return n
}

// copy copies, killed once in the middle; in some rounds a server is, too.
func (x *round) copy(no int) {
	x.t.Helper()
	o := x.order()
	o.Copy, o.Chunk, o.Defer, o.Verify = true, dbgen.Pick[int64](x.r, 300, 3000, 1<<20), dbgen.Pick[int64](x.r, 1, 1<<30), x.r.IntN(2) == 0
	at := 1 + x.r.IntN(x.count())
	var victim *dbpair.Server
	if no%3 > 0 {
		victim = []*dbpair.Server{nil, servers.maria, servers.mysql}[no%3]
	}
	for {
		p := start(x.t, o)
		switch {
		case at > 0:
			for !p.gone() && x.chunks() < at {
				time.Sleep(2 * time.Millisecond)
			}
			p.kill()
			if p.code() == -1 {
				x.kills.add(killedCopier, 1)
			}
			at = 0
		case victim != nil:
			had := x.chunks()
			for end := time.Now().Add(2 * time.Second); !p.gone() && x.chunks() <= had && time.Now().Before(end); {
				time.Sleep(2 * time.Millisecond)
			}
			during := !p.gone()
			when := killedCopying
			if !during {
				when = "after a copy: "
			}
			x.restart(victim, when)
			victim = nil
		}
		select {
		case <-p.done:
		case <-time.After(limit):
			p.kill()
			x.t.Fatalf("the copy isn't over within %s\n%s", limit, p.tail())
		}
		switch p.code() {
		case 0:
			if at == 0 && victim == nil {
				return
			}
		case -1, childLost:
		default:
			x.t.Fatalf("the copy failed (exit code %d):\n%s", p.code(), p.tail())
		}
	}
}

// state is what the target has of the stream.
func (x *round) state() (s struct{ fence, seq uint64 }) {
	// There is nothing yet, or the server is away: zero.
	_ = x.my.QueryRowContext(x.t.Context(), "SELECT `fence`, `seq` FROM `_slipway`.`follow` WHERE `stream` = ?", stream).Scan(&s.fence, &s.seq)
	return s
}

// follow starts a follower and waits until it has the stream.
func (x *round) follow() {
	x.t.Helper()
	o := x.order()
	o.Schemas = o.Schemas[:len(x.followed)]
	o.Spill, o.SpillDir = dbgen.Pick[int64](x.r, 2000, 20_000), x.dir
	before := x.state()
	x.f = start(x.t, o)
	x.until("it follows", x.f, func() bool { return x.state().fence > before.fence })
}

// unfollow kills the follower.
func (x *round) unfollow() {
	x.t.Helper()
	if x.f.gone() {
		x.t.Fatalf("the follower ended by itself (exit code %d):\n%s", x.f.code(), x.f.tail())
	}
	x.f.kill()
	x.heard()
}

// heard counts what a follower that is gone told.
func (x *round) heard() {
	x.events.add(heartbeat, x.f.said(saidQuiet))
	x.events.add(spilled, x.f.said("they were put on disk"))
}

// chaos kills the follower and a server while it follows.
func (x *round) chaos(no int) {
	x.t.Helper()
	moved := func() {
		was := x.state().seq
		x.until("it applies something", x.f, func() bool { return x.state().seq > was })
		time.Sleep(time.Duration(x.r.IntN(300)) * time.Millisecond)
	}
	server := []*dbpair.Server{servers.maria, servers.mysql}[no%2]
	at := x.r.IntN(3)
	for i := range 3 {
		if i == at {
			moved()
			x.restart(server, killedFollowing)
		}
		moved()
		x.unfollow()
		x.kills.add(killedFollower, 1)
		x.follow()
	}
	if no%4 == 1 { // nobody writes for a while: the source says so
		x.writers.quiet.Store(true)
		time.Sleep(2500 * time.Millisecond)
		x.writers.quiet.Store(false)
	}
}

// applied is how far the follower is, as slipway db verify asks.
func applied(ctx context.Context) (binlog.MariaDB, error) {
	at, err := follow.Applied(ctx, target(), stream)
	return at.MariaDB, err
}

// chunkOf is how large the ranges are that verify compares.
func chunkOf(r *rand.Rand) int64 { return dbgen.Pick[int64](r, 1000, 100_000) }

func (x *round) compare(chunk int64, repair bool) dbcopy.Comparison {
	x.t.Helper()
	ctx, cancel := context.WithTimeout(x.t.Context(), limit)
	defer cancel()
	got, err := dbcopy.Compare(ctx, dbcopy.NewSource(source()), dbcopy.NewTarget(target()),
		dbcopy.CompareOptions{Schemas: x.names, ChunkBytes: chunk, Repair: repair, Applied: applied, Patience: limit})
	if err != nil {
		x.t.Errorf("verify: %v", err)
		runtime.Goexit() // the test's own goroutine may be another
	}
	return got
}

// verifyMeanwhile verifies while the source is written to and the follower follows; in some rounds something is killed beside it.
func (x *round) verifyMeanwhile(no int) {
	x.t.Helper()
	done, chunk := make(chan dbcopy.Comparison, 1), chunkOf(x.r)
	go func() {
		defer close(done)
		done <- x.compare(chunk, false)
	}()
	switch time.Sleep(300 * time.Millisecond); no % 4 {
	case 1:
		x.unfollow()
		x.kills.add(killedVerifying+"follower", 1)
		x.follow()
	case 2:
		x.restart(servers.mysql, killedVerifying)
	case 3:
		x.restart(servers.maria, killedVerifying)
	}
	got, ok := <-done
	if !ok {
		x.f.kill()
		x.t.Fatalf("the follower said\n%s", x.f.tail())
	}
	if got.Different > 0 {
		x.t.Fatalf("verify finds while it is followed: %v", got.Found)
	}
	x.hits.add("rows that verify looked at again", int(got.Again.Rows))
}

// drain has the follower apply all there is.
func (x *round) drain() {
	x.t.Helper()
	x.unfollow()
	tip, err := changes.Tip(x.t.Context(), changes.Source{Endpoint: endpoint("maria", servers.maria.Addr, dbpair.Root), Flavor: value.MariaDB})
	if err != nil {
		x.t.Fatal(err)
	}
	o := x.order()
	o.Schemas, o.Until, o.Spill, o.SpillDir = o.Schemas[:len(x.followed)], follow.Print(tip), 20_000, x.dir
	x.f = start(x.t, o)
	x.until("all is applied", nil, x.f.gone)
	if x.f.code() != 0 {
		x.t.Fatalf("the drain ended with exit code %d:\n%s", x.f.code(), x.f.tail())
	}
	x.heard()
	x.world.applied += x.state().seq
}

// oracle compares all tables.
func (x *round) oracle() (found []string, rows int) {
	x.t.Helper()
	for _, s := range append(slices.Clone(x.followed), x.still) {
		for _, table := range s.tables {
			d, n := differ(x.t, x.maria, x.my, on{s.name, table})
			found, rows = append(found, d...), rows+n
		}
	}
	return found, rows
}

// logged counts the events of the source's log since the round began.
func (x *round) logged(before int) {
	x.t.Helper()
	files := dbtest.Texts(x.t, x.maria, "SHOW BINARY LOGS")
	for _, f := range files[max(0, before-1):] {
		rows, err := x.maria.QueryContext(x.t.Context(), "SHOW BINLOG EVENTS IN '"+f+"'")
		if err != nil {
			x.t.Fatal(err)
		}
		defer rows.Close()
		var skip sql.RawBytes
		kind := ""
		for rows.Next() {
			if err := rows.Scan(&skip, &skip, &kind, &skip, &skip, &skip); err != nil {
				x.t.Fatal(err)
			}
			x.events.add(kind, 1)
		}
		if err := rows.Err(); err != nil {
			x.t.Fatal(err)
		}
	}
	exec(x.t, x.maria, "FLUSH BINARY LOGS")
	files = dbtest.Texts(x.t, x.maria, "SHOW BINARY LOGS")
	exec(x.t, x.maria, "PURGE BINARY LOGS TO '"+files[len(files)-1]+"'")
	if len(x.events.String()) == 0 || strings.TrimSpace(files[0]) == "" {
		x.t.Fatal("the source has no log")
	}
}
