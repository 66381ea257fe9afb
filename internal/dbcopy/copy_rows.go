package dbcopy

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
)

// viewConn is a connection of the view. Its transaction is the view: nothing that is done over it may be broken off in the middle.
type viewConn struct {
	*sql.Conn
	mu sync.Mutex
}

// live is a table on its way.
type live struct {
	def              *definition
	planned          atomic.Int64 // rows in what the planner has cut
	cut              atomic.Bool  // the planner is through
	rows, bytes      atomic.Int64 // that were read
	largest          atomic.Int64 // row, in bytes of values
	estRows, estSize int64
}

// usual is about how many bytes of values a row has.
func (t *live) usual() float64 {
	if n := t.rows.Load(); n > 0 {
		return float64(t.bytes.Load()) / float64(n)
	}
	return t.estimated()
}

// estimated is usual as the server has it: with what its pages take beside the values.
func (t *live) estimated() float64 {
	if t.estRows > 0 {
		return float64(t.estSize) / float64(t.estRows)
	}
	return 0
}

// total is about what there is to be read. Of a table of which nothing was read yet it takes the server's estimate times size.
func (t *live) total(size float64) (rows, bytes int64) {
	rows = max(t.estRows, t.planned.Load())
	if t.cut.Load() {
		rows = t.planned.Load()
	}
	rows = max(rows, t.rows.Load())
	usual := t.usual()
	if t.rows.Load() == 0 {
		usual *= size
	}
	return rows, int64(float64(rows) * usual)
}

// sizes is how many times the estimated bytes the rows have that were read.
func sizes(plans []tablePlan) float64 {
	var is, estimated float64
	for _, p := range plans {
		is, estimated = is+float64(p.table.bytes.Load()), estimated+float64(p.table.rows.Load())*p.table.estimated()
	}
	if is == 0 || estimated == 0 {
		return 1
	}
	return is / estimated
}

// wide bounds the memory of rows that are large: the driver holds each whole. A worker that comes to a table of such rows waits for
// its share.
type wide struct {
	once sync.Once
	sem  *semaphore.Weighted
}

const (
	wideRow   = 1 << 20
	wideBytes = 64 << 20
)

func (w *wide) enter(ctx context.Context, t *live) (leave func(), err error) {
	w.once.Do(func() { w.sem = semaphore.NewWeighted(wideBytes) })
	row := max(t.largest.Load(), int64(t.usual()))
	if row < wideRow {
		return func() {}, nil
	}
	n := min(4*row, wideBytes)
	if err := w.sem.Acquire(ctx, n); err != nil {
		return nil, err
	}
	return func() { w.sem.Release(n) }, nil
}

// moveLive moves the rows of the view that aren't in yet.
func (c *copier) moveLive(ctx context.Context, q *sql.Conn) error {
	plans, err := c.settle(ctx, q)
	if err != nil {
		return err
	}
	c.clock.enter(CopyRows)
	c.clock.totals(func() (rows, bytes, keys int64) {
		size := sizes(plans)
		for _, p := range plans {
			r, b := p.table.total(size)
			rows, bytes = rows+r, bytes+b
			if d := p.table.def; c.deferred(d) {
				keys += d.table.estBytes * int64(len(d.Keys))
			}
		}
		return rows, bytes, keys
	})
	conns := c.readers
	parts := make(chan *livePart, planAhead)
	g, moving := errgroup.WithContext(ctx)
	pacing, stop := context.WithCancel(moving)
	defer stop()
	c.pace = newPace(c.src.ep, c.copts, c.clock.pause)
	g.Go(func() error { return c.pace.watch(pacing) })
	g.Go(func() error {
		defer close(parts)
		return c.plan(moving, plans, parts)
	})
	var working sync.WaitGroup
	for _, conn := range conns {
		working.Add(1)
		g.Go(func() error {
			defer working.Done()
			w := &rowLoader{load: c.load}
			defer w.drop()
			for p := range parts {
				if err := c.pace.wait(moving); err != nil {
					return err
				}
				c.clock.doing("copying " + p.t.def.String())
				p.conn = conn
				if err := w.chunk(moving, p); err != nil {
					return fmt.Errorf("copy %s, %s: %w", p.t.def, p, err)
				}
			}
			return nil
		})
	}
	g.Go(func() error { working.Wait(); stop(); return nil })
	if err := g.Wait(); err != nil {
		return err
	}
	if err := c.whole(ctx, q); err != nil {
		return err
	}
	c.clock.enter(CopyKeys)
	return nil
}

// livePart is a range of a table, or all of one, on its way.
type livePart struct {
	c           *copier
	t           *live
	conn        *viewConn
	after, upTo value.Bound
	place       uint64
	rows, bytes int64 // that were read
	told        [2]int64
	sum         value.Sum
	theirs      chan counted // what the source's server counts
}

type counted struct {
	rows int64
	sum  value.Sum
	err  error
}

func (p *livePart) table() *definition   { return p.t.def }
func (p *livePart) size() (int64, int64) { return p.rows, p.bytes }
func (p *livePart) String() string {
	if !p.t.def.ranges {
		return "all rows"
	}
	return "the rows" + edges(p.t.def.table.RangeKey(), p.after, p.upTo)
}

// edges prints a range without the keys' values where they are long: they may be customers'.
func edges(key []value.Column, after, upTo value.Bound) string {
	s := ""
	for _, e := range []struct {
		word  string
		bound value.Bound
	}{{" after ", after}, {" up to ", upTo}} {
		if e.bound == nil {
			continue
		}
		s += e.word
		for i, v := range e.bound {
			if i > 0 {
				s += ","
			}
			s += key[i].Name + "=" + fmt.Sprintf("%.*s", mostKey, strconv.Quote(string(v)))
		}
	}
	return s
}

func (p *livePart) in() string {
	return fmt.Sprintf("SELECT `id` FROM %s WHERE `schema` = '%s' AND `table` = '%s' AND `place` = %d AND `fence` = %d",
		ownTable("copied"), ddl.Escape(p.t.def.schema), ddl.Escape(p.t.def.table.Name), p.place, p.c.own.Fence)
}

func (p *livePart) count(rows, bytes int64) {
	p.t.rows.Add(rows)
	p.t.bytes.Add(bytes)
	p.c.clock.add(rows, bytes)
	p.told[0], p.told[1] = p.told[0]+rows, p.told[1]+bytes
}

// each reads the rows in the view. With Verify the source's server then counts them itself, while the last of them are sent.
func (p *livePart) each(ctx context.Context, take func([][]byte) error) error {
	leave, err := p.c.wide.enter(ctx, p.t)
	if err != nil {
		return err
	}
	defer leave()
	p.conn.mu.Lock()
	err = p.read(ctx, take)
	if err != nil || !p.c.copts.Verify {
		p.conn.mu.Unlock()
		return err
	}
	p.theirs = make(chan counted, 1)
	go func() {
		defer p.conn.mu.Unlock()
		var n counted
		n.rows, n.sum, n.err = p.serverSum(ctx, p.conn, value.MariaDB)
		p.theirs <- n
	}()
	return nil
}

func (p *livePart) serverSum(ctx context.Context, q ask.Queryer, f value.Flavor) (int64, value.Sum, error) {
	t := p.t.def.table
	if !p.t.def.ranges {
		return serverSum(ctx, q, f, p.t.def.schema, t, nil, nil, nil)
	}
	return serverSum(ctx, q, f, p.t.def.schema, t, t.RangeKey(), p.after, p.upTo)
}

func (p *livePart) read(ctx context.Context, take func([][]byte) error) error {
	p.count(-p.told[0], -p.told[1])
	p.rows, p.bytes, p.sum = 0, 0, value.Sum{}
	t := p.t.def.table
	query := "SELECT " + value.ReadAll(value.MariaDB, t.Columns) + " FROM " + ddl.Qualified(p.t.def.schema, t.Name)
	if p.t.def.ranges {
		where, err := value.Within(t.RangeKey(), p.after, p.upTo)
		if err != nil {
			return err
		}
		query += byPrimary(t) + where
		if slices.Equal(t.Key, t.Primary) {
			query += " ORDER BY " + value.Names(t.RangeKey())
		}
	}
	hash := value.Hasher{Columns: t.Columns}
	var rows, bytes, largest int64 // since they were last told
	var taken error
	err := scan(ctx, p.conn.Conn, query, t.Columns, func(vals [][]byte) error {
		var size int64
		for _, v := range vals {
			size += int64(len(v))
		}
		p.sum.Add(hash.Row(vals))
		p.rows, p.bytes = p.rows+1, p.bytes+size
		rows, bytes, largest = rows+1, bytes+size, max(largest, size)
		if bytes >= tellEvery {
			p.count(rows, bytes)
			rows, bytes = 0, 0
		}
		if size > p.t.largest.Load() {
			p.t.largest.Store(size)
		}
		taken = take(vals)
		return taken
	})
	p.count(rows, bytes)
	if err != nil && taken == nil {
		err = errors.Join(errSource, p.c.src.ep.Explain(err))
	}
	return err
}

// byPrimary: what the servers think of a table that is just being filled is no reason to read all of it for a range.
func byPrimary(t *Table) string {
	if len(t.Key) > 0 && slices.Equal(t.Key, t.Primary) {
		return " FORCE INDEX (PRIMARY)"
	}
	return ""
}

// scan reads a query's rows as canonical values. It goes past database/sql, which takes as long again to hand values over. A row is
// valid until take returns; after an error of take the rest is read and thrown away, since the connection must live.
func scan(ctx context.Context, c *sql.Conn, query string, columns []value.Column, take func([][]byte) error) error {
	return c.Raw(func(dc any) (err error) {
		q, ok := dc.(driver.QueryerContext)
		if !ok {
			return errors.New("the driver can't be asked directly")
		}
		rows, err := q.QueryContext(ctx, query, nil)
		if err != nil {
			return err
		}
		defer func() {
			if cerr := rows.Close(); err == nil {
				err = cerr
			}
		}()
		got, vals, digits := make([]driver.Value, len(columns)), make([][]byte, len(columns)), make([][20]byte, len(columns))
		for {
			switch err := rows.Next(got); {
			case err == io.EOF:
				return nil
			case err != nil:
				return err
			}
			for i, c := range columns {
				switch v := got[i].(type) {
				case nil:
					vals[i] = nil
					continue
				case []byte:
					vals[i] = v
				case int64:
					vals[i] = strconv.AppendInt(digits[i][:0], v, 10)
				case uint64:
					vals[i] = strconv.AppendUint(digits[i][:0], v, 10)
				default:
					return fmt.Errorf("column %s: the driver gave a %T", c.Name, v)
				}
				if vals[i], err = c.Canonical(vals[i]); err != nil {
					return err
				}
			}
			if err := take(vals); err != nil {
				return err
			}
		}
	})
}

// seal holds what went in against what both servers say, if it is to be verified, and notes it.
func (p *livePart) seal(ctx context.Context, q ask.Queryer, rows int64) (string, error) {
	if rows != p.rows {
		return "", fmt.Errorf("%d rows were sent of %d: %w", rows, p.rows, ErrReadWrong)
	}
	if p.c.copts.Verify {
		n, sum, err := p.serverSum(ctx, q, value.MySQL)
		if err != nil {
			return "", fmt.Errorf("checksum at the target: %w", err)
		}
		theirs := <-p.theirs
		if theirs.err != nil {
			return "", errors.Join(errSource, p.c.src.ep.Explain(theirs.err))
		}
		if theirs.rows != p.rows || theirs.sum != p.sum {
			return "", errors.Join(errSource, fmt.Errorf("%s: read %d rows with checksum %s, the server has %d with %s: %w", p.c.src.ep.Name, p.rows, p.sum, theirs.rows, theirs.sum, ErrReadWrong))
		}
		if n != p.rows || sum != p.sum {
			return "", p.differs(n)
		}
	}
	return p.c.note(p.t.def, p.after, p.upTo, p.place, p.rows, p.bytes, p.sum)
}

func (p *livePart) differs(rows int64) error {
	return &DifferentError{Target: p.c.ep.Name, Living: true, Differences: []Difference{{Object: p.t.def.String(), Key: p.String(),
		What: fmt.Sprintf("%d rows were stored and %d are there, or their values are others; this chunk was not kept", p.rows, rows)}}}
}
