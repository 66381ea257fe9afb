//go:build lab

package follow

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/binlog"
	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
	"github.com/slipway-dev/slipway/internal/lab/dbpair"
	"github.com/slipway-dev/slipway/internal/lab/dbtest"
)

// made is a log made by hand. The lazy one gives all of it whatever position is asked for.
type made struct {
	txs  []*changes.Transaction
	end  error // after the last; nil: it waits
	lazy bool
}

func (m *made) Transactions(ctx context.Context, from changes.Position) iter.Seq2[*changes.Transaction, error] {
	return func(yield func(*changes.Transaction, error) bool) {
		for _, tx := range m.txs {
			if !m.lazy && Covered(from, tx.End) {
				continue
			}
			if !yield(tx, nil) {
				return
			}
		}
		if m.end != nil {
			yield(nil, m.end)
			return
		}
		<-ctx.Done()
	}
}

func at(seq int) changes.Position {
	p, err := binlog.NewMariaDB(binlog.GTID{Domain: 2, Server: 2, Seq: uint64(seq)})
	if err != nil {
		panic(err)
	}
	return changes.Position{MariaDB: p}
}

// commit adds a transaction.
func (m *made) commit(cs ...changes.Change) {
	n := len(m.txs) + 1
	m.txs = append(m.txs, &changes.Transaction{GTID: fmt.Sprintf("2-2-%d", n), Origin: 2, Committed: time.Now(), End: at(n), Rows: int64(len(cs)), Bytes: int64(40 * len(cs)), Close: func() error { return nil },
		Changes: func(yield func(changes.Change, error) bool) {
			for _, c := range cs {
				if !yield(c, nil) {
					return
				}
			}
		}})
}

func number(name string, null bool) value.Column {
	return value.Column{Name: name, Kind: value.Number, Type: "int", Null: null}
}

func text(name, collation string, null bool) value.Column {
	return value.Column{Name: name, Kind: value.Short, Type: "varchar", Charset: "utf8mb4", Collation: collation, Null: null}
}

func options(workers int) Options {
	from := at(0)
	return Options{Stream: "test", Schemas: []string{"made"}, Workers: workers, From: &from}
}

func open(t testing.TB, o Options) *Follower {
	t.Helper()
	f, err := Open(limit(t, time.Minute), endpoint(servers.mysql, dbpair.Loader), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

// world is a source in memory: parents with a unique name, children of them. What it commits is legal at every step.
type world struct {
	r        *rand.Rand
	parents  map[int]string // name
	children map[int]int    // parent, 0: NULL
	log      made
}

var (
	parentTable = &changes.Table{Schema: "made", Name: "p", Columns: []value.Column{number("id", false), text("name", "utf8mb4_general_ci", true)}}
	childTable  = &changes.Table{Schema: "made", Name: "c", Columns: []value.Column{number("id", false), number("p", true)}}
)

func (w *world) name() string { return []string{"a", "B", "c", "D", "é", "f", "NULL"}[w.r.IntN(7)] }

func (w *world) taken(name string) bool {
	for _, n := range w.parents {
		if name != "NULL" && n == name {
			return true
		}
	}
	return false
}

func pick[V any](r *rand.Rand, m map[int]V) int {
	var ids []int
	for id := range m {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids[r.IntN(len(ids))]
}

func (w *world) num(p int) string {
	if p == 0 {
		return "NULL"
	}
	return strconv.Itoa(p)
}

// step commits one transaction of up to three changes. Ids and names are few, so that most conflict with one just before.
func (w *world) step() {
	var cs []changes.Change
	for range 1 + w.r.IntN(3) {
		switch w.r.IntN(7) {
		case 0, 1:
			id, name := 1+w.r.IntN(12), w.name()
			if _, there := w.parents[id]; there || w.taken(name) {
				continue
			}
			w.parents[id] = name
			cs = append(cs, changes.Change{Table: parentTable, Kind: changes.Insert, After: row(strconv.Itoa(id), name)})
		case 2:
			if len(w.parents) == 0 {
				continue
			}
			id, name := pick(w.r, w.parents), w.name()
			if w.taken(name) {
				continue
			}
			cs = append(cs, changes.Change{Table: parentTable, Kind: changes.Update, Before: row(strconv.Itoa(id), w.parents[id]), After: row(strconv.Itoa(id), name)})
			w.parents[id] = name
		case 3: // its children go too, and the log doesn't say so
			if len(w.parents) == 0 {
				continue
			}
			id := pick(w.r, w.parents)
			cs = append(cs, changes.Change{Table: parentTable, Kind: changes.Delete, Before: row(strconv.Itoa(id), w.parents[id])})
			delete(w.parents, id)
			for c, p := range w.children {
				if p == id {
					delete(w.children, c)
				}
			}
		case 4, 5:
			id, p := 1+w.r.IntN(20), 0
			if len(w.parents) > 0 && w.r.IntN(5) > 0 {
				p = pick(w.r, w.parents)
			}
			if old, there := w.children[id]; there {
				cs = append(cs, changes.Change{Table: childTable, Kind: changes.Update, Before: row(strconv.Itoa(id), w.num(old)), After: row(strconv.Itoa(id), w.num(p))})
			} else {
				cs = append(cs, changes.Change{Table: childTable, Kind: changes.Insert, After: row(strconv.Itoa(id), w.num(p))})
			}
			w.children[id] = p
		case 6:
			if len(w.children) == 0 {
				continue
			}
			id := pick(w.r, w.children)
			cs = append(cs, changes.Change{Table: childTable, Kind: changes.Delete, Before: row(strconv.Itoa(id), w.num(w.children[id]))})
			delete(w.children, id)
		}
	}
	w.log.commit(cs...)
}

func (w *world) want() (out []string) {
	for id, n := range w.parents {
		out = append(out, fmt.Sprintf("p %d %s", id, n))
	}
	for id, p := range w.children {
		out = append(out, fmt.Sprintf("c %d %s", id, w.num(p)))
	}
	slices.Sort(out)
	return out
}

func worldTables(t testing.TB) (got func() []string) {
	t.Helper()
	db := schema(t, servers.mysql, "made")
	exec(t, db, "CREATE TABLE p (id INT PRIMARY KEY, name VARCHAR(20), UNIQUE KEY (name))",
		"CREATE TABLE c (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE)")
	return func() []string {
		out := append(dbtest.Texts(t, db, "SELECT CONCAT('p ', id, ' ', COALESCE(name, 'NULL')) FROM p"), dbtest.Texts(t, db, "SELECT CONCAT('c ', id, ' ', COALESCE(p, 'NULL')) FROM c")...)
		slices.Sort(out)
		return out
	}
}

// TestConflicts applies transactions of which most conflict with a neighbour, by several workers, and looks at many
// positions whether the target has just what the source had there.
func TestConflicts(t *testing.T) {
	got := worldTables(t)
	for _, workers := range []int{1, 4, 8} {
		worldTables(t)
		w := &world{r: rand.New(rand.NewPCG(4, uint64(workers))), parents: map[int]string{}, children: map[int]int{}}
		wants := map[int][]string{}
		for i := 1; i <= 1500; i++ {
			w.step()
			if i%250 == 0 {
				wants[i] = w.want()
			}
		}
		f := open(t, options(workers))
		began := time.Now()
		for i := 250; i <= 1500; i += 250 {
			if err := f.Drain(limit(t, time.Minute), &w.log, at(i)); err != nil {
				t.Fatal(err)
			}
			if g := got(); !slices.Equal(g, wants[i]) {
				t.Fatalf("%d workers: after %d transactions the target has\n%s\nand the source had\n%s", workers, i, strings.Join(g, "\n"), strings.Join(wants[i], "\n"))
			}
			if p, err := Applied(t.Context(), endpoint(servers.mysql, dbpair.Loader), "test"); err != nil || p.MariaDB.String() != at(i).MariaDB.String() {
				t.Fatalf("recorded: %s, %v", Print(p), err)
			}
		}
		t.Logf("%d workers: %s", workers, time.Since(began).Round(time.Millisecond))
	}
}

// TestStops: what stops a follow is said with its place, and all before it is in, and nothing after.
func TestStops(t *testing.T) {
	db := schema(t, servers.mysql, "made")
	exec(t, db, "CREATE TABLE p (id INT PRIMARY KEY, name VARCHAR(20), UNIQUE KEY (name))")
	in := func(id, name string) changes.Change {
		return changes.Change{Table: parentTable, Kind: changes.Insert, After: row(id, name)}
	}
	for _, c := range []struct {
		name string
		last changes.Change
		want string
	}{
		{"the key is taken", in("1", "z"), "transaction 2-2-3: insert of row with `id`=1 in made.p: Error 1062"},
		{"a unique value is taken", in("9", "A"), "insert of row with `id`=9 in made.p: Error 1062"},
		{"no row to delete", changes.Change{Table: parentTable, Kind: changes.Delete, Before: row("77", "q")}, "delete of row with `id`=77 in made.p: the target hasn't that row"},
		{"no row to change", changes.Change{Table: parentTable, Kind: changes.Update, Before: row("78", "q"), After: row("78", "r")}, "update of row with `id`=78 in made.p: the target hasn't that row"},
		{"no such table", changes.Change{Table: &changes.Table{Schema: "made", Name: "gone", Columns: parentTable.Columns}, Kind: changes.Insert, After: row("1", "x")}, "the target hasn't what the log has changes of: table made.gone"},
	} {
		t.Run(c.name, func(t *testing.T) {
			exec(t, db, "DELETE FROM p", "DROP DATABASE IF EXISTS _slipway")
			var m made
			m.commit(in("1", "a"))
			m.commit(in("2", "b"))
			m.commit(in("3", "c"), c.last)
			m.commit(in("4", "d"))
			f := open(t, options(4))
			err := f.Run(limit(t, time.Minute), &m, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %s", err, c.want)
			}
			if got := dbtest.Texts(t, db, "SELECT id FROM p ORDER BY id"); !slices.Equal(got, []string{"1", "2"}) {
				t.Errorf("in the target: %q", got)
			}
			s, err := Read(t.Context(), endpoint(servers.mysql, dbpair.Loader), "test")
			if err != nil || s.GTID != "2-2-2" || s.Seq != 2 || s.Rows != 2 || !strings.Contains(s.Stopped, c.want) {
				t.Errorf("recorded: %+v, %v", s, err)
			}
		})
	}
}

// TestStopError: what was read before the log stopped is in.
func TestStopError(t *testing.T) {
	got := worldTables(t)
	w := &world{r: rand.New(rand.NewPCG(5, 5)), parents: map[int]string{}, children: map[int]int{}}
	for range 300 {
		w.step()
	}
	w.log.end = &changes.StopError{Kind: changes.StopDDL, GTID: "2-2-301", Statement: "ALTER TABLE p ADD x INT"}
	err := open(t, options(4)).Run(limit(t, time.Minute), &w.log, nil)
	var stop *changes.StopError
	if !errors.As(err, &stop) {
		t.Fatal(err)
	}
	if g := got(); !slices.Equal(g, w.want()) {
		t.Errorf("the target has %q, want %q", g, w.want())
	}
}

// TestTwice: a log that begins before what is recorded, and a process that was overtaken, apply nothing twice. The rows are
// such that a second time would show: each transaction undoes and does again what its neighbours did.
func TestTwice(t *testing.T) {
	got := worldTables(t)
	w := &world{r: rand.New(rand.NewPCG(6, 6)), parents: map[int]string{}, children: map[int]int{}}
	w.log.lazy = true
	for range 400 {
		w.step()
	}
	old := open(t, options(4))
	if err := old.Drain(limit(t, time.Minute), &w.log, at(200)); err != nil {
		t.Fatal(err)
	}
	o := options(4)
	o.From = nil
	f := open(t, o)
	if f.State().Fence != old.State().Fence+1 {
		t.Errorf("fence %d after %d", f.State().Fence, old.State().Fence)
	}
	if err := old.Drain(limit(t, time.Minute), &w.log, at(300)); !errors.Is(err, dbcopy.ErrFenced) {
		t.Errorf("an overtaken process: %v", err)
	}
	if s := f.State(); s.Seq != 200 {
		t.Errorf("taken up at %d", s.Seq)
	}
	if err := f.Drain(limit(t, time.Minute), &w.log, at(400)); err != nil {
		t.Fatal(err)
	}
	if g := got(); !slices.Equal(g, w.want()) {
		t.Errorf("the target has %q, want %q", g, w.want())
	}
	if err := f.Drain(limit(t, time.Minute), &w.log, at(10)); !errors.Is(err, ErrPast) {
		t.Errorf("drained to what is past: %v", err)
	}
	from := at(10)
	if _, err := Open(t.Context(), endpoint(servers.mysql, dbpair.Loader), Options{Stream: "test", Schemas: []string{"made"}, From: &from}); !errors.Is(err, ErrStands) {
		t.Errorf("another beginning: %v", err)
	}
}

func at0() changes.Position { return at(0) }

func insertP(id int, name string) changes.Change {
	return changes.Change{Table: parentTable, Kind: changes.Insert, After: row(strconv.Itoa(id), name)}
}
