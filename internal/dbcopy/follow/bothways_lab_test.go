//go:build lab

package follow

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
	"github.com/slipway-dev/slipway/internal/lab/dbpair"
)

// way is one direction's follower, running.
type way struct {
	f     *Follower
	src   changes.Source
	end   context.CancelFunc
	done  chan error
	heard said
}

func runWay(t testing.TB, ctx context.Context, stream string, src changes.Source, to *dbpair.Server, tables []changes.Table, o Options) *way {
	t.Helper()
	w := &way{src: src, done: make(chan error, 1)}
	from, err := changes.Tip(ctx, src)
	if err != nil {
		t.Fatal(err)
	}
	o.Stream, o.Schemas, o.From, o.Tell = stream, []string{"live"}, &from, w.heard.tell
	if w.f, err = Open(ctx, endpoint(to, dbpair.Root), o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.f.Close)
	ctx, w.end = context.WithCancel(ctx)
	go func() {
		w.done <- w.f.Run(ctx, ServerLog{src, changes.Options{Tables: tables, Tell: w.heard.tell}}, nil)
	}()
	return w
}

// reach waits until the direction has all of its source.
func (w *way) reach(t testing.TB, ctx context.Context) {
	t.Helper()
	to, err := changes.Tip(ctx, w.src)
	if err != nil {
		t.Fatal(err)
	}
	for !Covered(w.f.Passed(), to) {
		select {
		case err := <-w.done:
			t.Fatalf("it ended: %v\n%s", err, &w.heard)
		case <-ctx.Done():
			t.Fatalf("it stands at %s of %s\n%s", w.f.Passed(), to, &w.heard)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// TestBothWays runs two followers in opposite directions between one MariaDB and one MySQL: writes on one side, then on the
// other, then on the first again. Neither sends back what came from the other, and both sides are equal each time.
func TestBothWays(t *testing.T) {
	ctx := limit(t, 3*time.Minute)
	mdb, ydb := live(t, servers.maria, servers.mysql)
	exec(t, mdb, "DROP DATABASE IF EXISTS _slipway")
	tables, err := Tables(ctx, endpoint(servers.maria, dbpair.Root), []string{"live"})
	if err != nil {
		t.Fatal(err)
	}
	maria := changes.Source{Endpoint: endpoint(servers.maria, dbpair.Root), Flavor: value.MariaDB}
	mysql := changes.Source{Endpoint: endpoint(servers.mysql, dbpair.Root), Flavor: value.MySQL}
	there := runWay(t, ctx, "forward", maria, servers.mysql, tables, Options{Skip: CameBack})
	back := runWay(t, ctx, "reverse", mysql, servers.maria, tables, Options{Skip: CameBack, CascadesLogged: true})
	for i, side := range []*sql.DB{mdb, ydb, mdb} {
		first, then := there, back
		if side == ydb {
			first, then = back, there
		}
		before := then.f.State()
		write(t, side, side == ydb, uint64(40+i))
		first.reach(t, ctx)
		then.reach(t, ctx)
		rows := equal(t, mdb, ydb)
		after := then.f.State()
		if after.Rows != before.Rows {
			t.Errorf("writes %d: %d row changes came back", i+1, after.Rows-before.Rows)
		}
		t.Logf("writes %d: %d transactions, %d rows compared", i+1, first.f.State().Seq, rows)
	}
	// Without writes of anybody's, the followers' own notes don't keep each other busy.
	a, b := tip(t, servers.maria, value.MariaDB), tip(t, servers.mysql, value.MySQL)
	time.Sleep(3 * time.Second)
	a2, b2 := tip(t, servers.maria, value.MariaDB), tip(t, servers.mysql, value.MySQL)
	if n := int64(a2.MariaDB.Last()[0].Seq) - int64(a.MariaDB.Last()[0].Seq) + countMySQL(b2.MySQL) - countMySQL(b.MySQL); n > 6 {
		t.Errorf("%d transactions in 3 s of rest", n)
	}
	for _, w := range []*way{there, back} {
		w.end()
		if err := <-w.done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}

// write lets customers write at one side for a while.
func write(t testing.TB, db *sql.DB, my bool, seed uint64) {
	t.Helper()
	stop := shoppers(t, db, 3, seed)
	if my {
		exec(t, db, "INSERT INTO witness (what) VALUES ('mysql')")
	}
	time.Sleep(3 * time.Second)
	stop()
}
