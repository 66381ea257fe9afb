package follow

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/slipway-dev/slipway/internal/binlog"
	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
)

// A batch is sent when a worker is free; until then it grows up to these.
const (
	batchTransactions = 200
	batchRows         = 2000
	batchBytes        = 1 << 20
)

// What is read ahead of what is applied.
const (
	aheadBytes        = 32 << 20
	aheadTransactions = 1000
)

// Transactions without anything for the target move the recorded position only when so much time has gone by. Those of
// other schemas soon. Those that came from the other side later, since recording them is a transaction that the other
// side reads in its turn.
const (
	emptyAfter = time.Second
	idleAfter  = 10 * time.Second
)

// run is a follow across attempts.
type run struct {
	f     *Follower
	log   Log
	until <-chan changes.Position
	to    *changes.Position // to stop at
}

// round is one attempt: from what is recorded until something breaks.
type round struct {
	*run
	order   *order
	tables  *binder
	work    chan *batch
	ahead   *semaphore.Weighted
	claims  ledger
	retried atomic.Int64  // attempts of batches that failed
	given   atomic.Uint64 // the last batch that a worker has

	from  changes.Position     // recorded when it began
	cur   *batch               // that grows
	base  State                // after cur's predecessor
	no    uint64               // of the last batch that was made
	held  *changes.Transaction // waits until cur is sent: cur needn't wait for what it waits for
	own   bool                 // cur has transactions of the source's own that change nothing here
	noted time.Time            // when a batch was last sent
}

type item struct {
	tx  *changes.Transaction
	err error
}

// errEnd: the log gave no more and no error.
var errEnd = errors.New("the log ended")

// once returns nil when the position to stop at is in.
func (run *run) once(ctx context.Context) error {
	s := run.f.State()
	r := &round{run: run, order: newOrder(), tables: &binder{dict: run.f.dict}, work: make(chan *batch), ahead: semaphore.NewWeighted(aheadBytes), from: s.Position, base: s, noted: time.Now()}
	r.begin(s.Position)
	g, ctx := errgroup.WithContext(ctx)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in := make(chan item, aheadTransactions)
	var readers sync.WaitGroup
	readers.Go(func() { r.read(ctx, in) })
	for range run.f.o.Workers {
		w := &worker{f: run.f, r: r}
		g.Go(func() error { return w.loop(ctx) })
	}
	g.Go(func() error { r.watch(ctx); return nil })
	g.Go(func() error {
		defer cancel()
		err := r.dispatch(ctx, in)
		if ctx.Err() == nil { // what came before it is put in first
			err = errors.Join(r.flush(ctx), err)
		}
		return err
	})
	err := g.Wait() // the first's
	cancel()
	readers.Wait()
	err = errors.Join(err, r.cur.close())
	if r.held != nil {
		err = errors.Join(err, r.held.Close())
	}
	for len(in) > 0 { // read ahead for nothing
		if it := <-in; it.tx != nil {
			err = errors.Join(err, it.tx.Close())
		}
	}
	return err
}

func (r *round) read(ctx context.Context, in chan<- item) {
	send := func(it item) bool {
		select {
		case in <- it:
			return true
		case <-ctx.Done():
			return false
		}
	}
	for tx, err := range r.log.Transactions(ctx, r.from) {
		if err != nil {
			send(item{err: err})
			return
		}
		if err := r.ahead.Acquire(ctx, weight(tx)); err != nil || !send(item{tx: tx}) {
			_ = tx.Close() // the attempt is over, and has a reason of its own
			return
		}
	}
	if ctx.Err() == nil {
		send(item{err: errEnd})
	}
}

// weight is what a transaction counts for in what is read ahead: a large one is on disk.
func weight(tx *changes.Transaction) int64 { return min(max(tx.Bytes, 256), aheadBytes/2) }

func (r *round) release(b *batch) {
	for _, tx := range b.txs {
		r.ahead.Release(weight(tx))
	}
}

// begin makes the next batch, empty.
func (r *round) begin(passed changes.Position) {
	r.no++
	r.cur = &batch{no: r.no, before: r.base.Seq, after: r.base, passed: passed}
	r.own = false
}

// dispatch makes batches of what is read and hands them to the workers. It returns nil at the position to stop at.
func (r *round) dispatch(ctx context.Context, in <-chan item) error {
	tick := time.NewTicker(emptyAfter / 4)
	defer tick.Stop()
	until := r.until
	for {
		if r.cur.rows == 0 && r.order.last() == r.no-1 { // whatever was read is in, or is none of this target's
			r.f.set(func() { r.f.passed = r.cur.passed })
		}
		if r.to != nil {
			at, err := Covers(r.cur.passed, *r.to)
			if err != nil || at && r.held == nil {
				return err
			}
		}
		if r.held != nil && r.cur.rows == 0 && len(r.cur.txs) == 0 {
			tx := r.held
			r.held = nil
			if err := r.add(tx); err != nil {
				return err
			}
			continue
		}
		var work chan<- *batch
		if r.cur.rows > 0 || r.due() {
			work = r.work
		}
		next := in
		if r.held != nil || r.cur.barrier || len(r.cur.txs) >= batchTransactions || r.cur.rows >= batchRows || r.cur.bytes >= batchBytes {
			next = nil
		}
		if len(next) > 0 { // rather grow than be sent
			work = nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case work <- r.cur:
			r.sent()
		case to := <-until:
			until, r.to = nil, &to
			if past(r.f.State().Position, to) {
				return fmt.Errorf("%w: it has %s", ErrPast, Print(r.f.State().Position))
			}
		case it := <-next:
			if it.err != nil {
				return it.err
			}
			if err := r.take(it.tx); err != nil {
				return err
			}
		case <-tick.C:
		}
	}
}

// due: a position without rows is to be recorded.
func (r *round) due() bool {
	since := time.Since(r.noted)
	return r.own && since >= emptyAfter || since >= idleAfter
}

func (r *round) sent() {
	r.claims.note(r.cur.no, r.cur.claims, r.cur.barrier, r.order.last())
	r.base, r.noted = r.cur.after, time.Now()
	r.begin(r.cur.passed)
}

// take looks at a transaction that was read. It is held back if the batch that grows is to go without it.
func (r *round) take(tx *changes.Transaction) error {
	if tx.GTID == "" && tx.Rows == 0 { // the end of the log
		r.cur.passed, r.cur.after.Position = tx.End, tx.End
		r.ahead.Release(weight(tx))
		return tx.Close()
	}
	if Covered(r.from, tx.End) { // it is in: the log was read from before what is recorded
		r.ahead.Release(weight(tx))
		return tx.Close()
	}
	if r.f.o.Skip != nil && r.f.o.Skip(tx) {
		r.cur.passed, r.cur.after.Position = tx.End, tx.End
		r.ahead.Release(weight(tx))
		return tx.Close()
	}
	if tx.Rows == 0 {
		r.passedBy(tx)
		r.own = true
		r.ahead.Release(weight(tx))
		return tx.Close()
	}
	claims, barrier, err := r.claimsOf(tx)
	if err != nil {
		r.held = tx
		return err
	}
	dep := r.claims.after(claims, barrier)
	if r.cur.rows > 0 && (barrier || dep > r.cur.dep && dep > r.order.last()) {
		r.held = tx
		return nil
	}
	return r.put(tx, claims, barrier, dep)
}

// add puts a transaction that was held back into the batch, which is empty now.
func (r *round) add(tx *changes.Transaction) error {
	claims, barrier, err := r.claimsOf(tx)
	if err != nil {
		return err
	}
	return r.put(tx, claims, barrier, r.claims.after(claims, barrier))
}

func (r *round) put(tx *changes.Transaction, claims []claim, barrier bool, dep uint64) error {
	b := r.cur
	b.txs, b.claims, b.barrier = append(b.txs, tx), append(b.claims, claims...), barrier
	b.dep = max(b.dep, dep)
	b.rows, b.bytes = b.rows+tx.Rows, b.bytes+tx.Bytes
	b.after.Rows += uint64(tx.Rows)
	r.passedBy(tx)
	b.states = append(b.states, b.after)
	return nil
}

// passedBy moves the position that the batch records.
func (r *round) passedBy(tx *changes.Transaction) {
	a := &r.cur.after
	a.Seq, a.Position, a.GTID, a.Committed = a.Seq+1, tx.End, tx.GTID, tx.Committed
	r.cur.passed = tx.End
}

// claimsOf gives what a transaction conflicts by. One worker needs none.
func (r *round) claimsOf(tx *changes.Transaction) (_ []claim, barrier bool, err error) {
	if tx.Rows > mostClaims/4 {
		return nil, true, nil
	}
	var c claimer
	for ch, err := range tx.Changes {
		if err != nil {
			return nil, false, fmt.Errorf("transaction %s: %w", tx.GTID, err)
		}
		t, err := r.tables.bind(ch.Table)
		if err != nil {
			return nil, false, fmt.Errorf("transaction %s: %w", tx.GTID, err)
		}
		c.change(t, &ch)
		if len(c.out) > mostClaims {
			return nil, true, nil
		}
	}
	return c.out, false, nil
}

// flush sends what is left and waits until all is in.
func (r *round) flush(ctx context.Context) error {
	last := r.no - 1
	if !samePosition(r.cur.after.Position, r.base.Position) || r.cur.rows > 0 {
		select {
		case r.work <- r.cur:
			last = r.no
			r.sent()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return r.order.wait(ctx, last)
}

// Covers: position p has all that q has. An error when they are of histories that parted.
func Covers(p, q changes.Position) (bool, error) {
	switch {
	case !q.MariaDB.IsZero():
		all := true
		for _, want := range q.MariaDB.Last() {
			have := lastOf(p.MariaDB, want.Domain)
			if have.Seq == want.Seq && have.Server != want.Server {
				return false, fmt.Errorf("%s and %s are one number given out by two servers: %w", have, want, binlog.ErrDiverged)
			}
			all = all && have.Seq >= want.Seq
		}
		return all, nil
	case !q.MySQL.IsZero():
		return p.MySQL.Union(q.MySQL).String() == p.MySQL.String(), nil
	case !q.File.IsZero() && !p.File.IsZero():
		o, err := q.File.Compare(p.File)
		return err == nil && o != binlog.After, err
	}
	return q.File.IsZero(), nil
}

func lastOf(p binlog.MariaDB, domain uint32) binlog.GTID {
	for _, g := range p.Last() {
		if g.Domain == domain {
			return g
		}
	}
	return binlog.GTID{}
}

// Covered is Covers where an error is no.
func Covered(p, q changes.Position) bool {
	ok, err := Covers(p, q)
	return ok && err == nil
}

// past: p has more than q, so that q can't be stopped at any more.
func past(p, q changes.Position) bool {
	switch {
	case !q.MariaDB.IsZero():
		for _, want := range q.MariaDB.Last() {
			if lastOf(p.MariaDB, want.Domain).Seq > want.Seq {
				return true
			}
		}
		return false
	case !q.MySQL.IsZero():
		return Covered(p, q) && !Covered(q, p)
	}
	o, err := p.File.Compare(q.File)
	return err == nil && o == binlog.After
}
