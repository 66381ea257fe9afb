package follow

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
)

// batch is neighbours of the source's order that go in together: one commit of the target for all of them.
type batch struct {
	no      uint64
	dep     uint64 // the batch that must be in before this one is begun
	txs     []*changes.Transaction
	states  []State // after each of them
	rows    int64
	bytes   int64
	before  uint64 // State.Seq before it
	after   State
	passed  changes.Position // of the log, with it
	claims  []claim
	barrier bool
}

func (b *batch) close() error {
	var errs []error
	for _, tx := range b.txs {
		errs = append(errs, tx.Close())
	}
	return errors.Join(errs...)
}

// packetBytes is about how long a packet of statements gets.
const packetBytes = 256 << 10

// worker applies batches over one connection.
type worker struct {
	f     *Follower
	r     *round
	conn  *sql.Conn
	w     writer
	dirty bool // the session's settings aren't known
}

func (w *worker) loop(ctx context.Context) error {
	defer w.drop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case b := <-w.r.work:
			w.r.given.Store(b.no)
			err := errors.Join(w.batch(ctx, b), b.close())
			w.r.release(b)
			if ctx.Err() != nil { // what ended the others is the reason
				return nil
			}
			if err != nil {
				return err
			}
		}
	}
}

func (w *worker) drop() {
	if w.conn != nil {
		// Not back into the pool: it may be in a transaction.
		_ = w.conn.Raw(func(any) error { return driver.ErrBadConn })
		w.conn.Close()
		w.conn = nil
	}
}

// Waits before a batch is tried again.
const (
	lockWait = 20 * time.Millisecond
	fullWait = 5 * time.Second
)

// batch applies one batch. What fails while earlier ones are under way is tried again when they are in: it may have
// failed because they weren't. Then, if it fails again, it is tried a row at a time, which names the row.
func (w *worker) batch(ctx context.Context, b *batch) error {
	alone, single := false, false
	for {
		need := b.dep
		if alone {
			need = b.no - 1
		}
		if err := w.r.order.wait(ctx, need); err != nil {
			return err
		}
		err := w.try(ctx, b, single)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if passing(err) || errors.Is(err, dbcopy.ErrFenced) || ask.Denied(err) {
			return err
		}
		w.r.retried.Add(1)
		w.rollback(ctx)
		wait := time.Duration(0)
		switch n := ask.Number(err); {
		case !alone:
			alone = true
		case n == 1205 || n == 1213: // lock wait timeout, deadlock
			w.f.o.Tell(fmt.Sprintf("somebody else holds locks on the target's rows; trying again: %v", err))
			wait = lockWait
		case full(err):
			w.f.o.Tell(fmt.Sprintf("%s is out of disk space: %v; nothing is lost, and it goes on when there is room", w.f.ep.Name, err))
			wait = fullWait
		case !single:
			single = true
		default:
			return errors.Join(err, w.before(ctx, b, err))
		}
		if wait > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(wait):
			}
		}
	}
}

// before puts in what stands in a batch before the transaction that can't be applied.
func (w *worker) before(ctx context.Context, b *batch, why error) error {
	var at *txError
	if !errors.As(why, &at) || at.no == 0 {
		return nil
	}
	part := *b
	part.txs, part.after, part.passed = b.txs[:at.no], b.states[at.no-1], b.states[at.no-1].Position
	return w.try(ctx, &part, true)
}

// txError is an error of the no-th transaction of a batch.
type txError struct {
	no int
	error
}

func (e *txError) Unwrap() error { return e.error }

// try is one attempt, its commit included.
func (w *worker) try(ctx context.Context, b *batch, single bool) (err error) {
	if w.conn == nil {
		if w.conn, err = w.f.rows.Conn(ctx); err != nil {
			return err
		}
		w.w.flavor, w.dirty = w.f.flavor, true
	}
	if w.dirty {
		for _, s := range []string{"SET SESSION sql_mode='" + strictMode + "'", "SET SESSION foreign_key_checks=" + w.f.checks()} {
			if _, err := w.conn.ExecContext(ctx, s); err != nil {
				return err
			}
		}
		w.w.loose, w.w.free, w.dirty = false, w.f.o.CascadesLogged, false
	}
	w.w.reset()
	w.w.one = single
	w.w.plain("START TRANSACTION")
	for i, tx := range b.txs {
		if err := w.transaction(ctx, tx, single); err != nil {
			return &txError{i, err}
		}
	}
	w.w.session(false, w.f.o.CascadesLogged)
	if err := w.send(ctx); err != nil {
		return err
	}
	if err := w.r.order.turn(ctx, b.no); err != nil {
		return err
	}
	return w.commit(ctx, b)
}

func (w *worker) transaction(ctx context.Context, tx *changes.Transaction, single bool) error {
	for ch, err := range tx.Changes {
		if err != nil {
			return fmt.Errorf("transaction %s: %w", tx.GTID, err)
		}
		t, err := w.r.tables.bind(ch.Table)
		if err != nil {
			return fmt.Errorf("transaction %s: %w", tx.GTID, err)
		}
		if err := w.w.add(t, &ch, w.f.o.CascadesLogged || ch.NoForeignKeys); err != nil {
			return rowError(tx, t, &ch, err)
		}
		if int64(len(w.w.text)) >= w.f.most {
			return rowError(tx, t, &ch, fmt.Errorf("%w: %d bytes; SET GLOBAL max_allowed_packet = 1073741824 at the target", ErrTooLarge, len(w.w.text)))
		}
		if !single && len(w.w.text) < min(packetBytes, int(w.f.most)/4) {
			continue
		}
		if err := w.send(ctx); err != nil {
			if single && !passing(err) && ctx.Err() == nil {
				err = rowError(tx, t, &ch, w.f.cascade(ctx, t, &ch, err))
			}
			return err
		}
	}
	return nil
}

func rowError(tx *changes.Transaction, t *table, ch *changes.Change, cause error) error {
	vals := ch.Before
	if vals == nil {
		vals = ch.After
	}
	return &RowError{GTID: tx.GTID, Table: t.of.Schema + "." + t.of.Name, Key: t.key(vals), Kind: ch.Kind, Cause: cause}
}

// send runs the statements that are written, and holds what each did against what it must have done.
func (w *worker) send(ctx context.Context) error {
	w.w.end()
	if len(w.w.text) == 0 {
		return nil
	}
	defer w.w.reset()
	got, err := counts(ctx, w.conn, string(w.w.text))
	if err != nil {
		return err
	}
	if len(got) != len(w.w.want) {
		return fmt.Errorf("%d statements were sent, and the target answered %d", len(w.w.want), len(got))
	}
	for i, n := range w.w.want {
		if n != 0 && got[i] != n {
			return fmt.Errorf("%w: %d of %d were there", ErrGone, got[i], n)
		}
	}
	return nil
}

// counts runs statements in one round trip and gives the rows that each found or added.
func counts(ctx context.Context, c *sql.Conn, text string) (out []int64, err error) {
	err = c.Raw(func(dc any) error {
		r, err := dc.(driver.ExecerContext).ExecContext(ctx, text, nil)
		if err != nil {
			return err
		}
		out = r.(mysql.Result).AllRowsAffected()
		return nil
	})
	return out, err
}

// commit puts the position in and commits. The turn is this batch's.
func (w *worker) commit(ctx context.Context, b *batch) error {
	stmt, err := commitSQL(w.f.o.Stream, b.after.Fence, b.before, b.after)
	if err != nil {
		return err
	}
	n, err := counts(ctx, w.conn, stmt)
	if err != nil {
		return err
	}
	if len(n) != 1 || n[0] != 1 {
		return overtaken(ctx, w.conn, w.f.o.Stream, b.after.Fence, b.before)
	}
	if _, err := counts(ctx, w.conn, "COMMIT"); err != nil {
		return lostCommit(err)
	}
	w.r.order.done(b.no, func() {
		w.f.set(func() {
			b.after.Applied = time.Now()
			w.f.state, w.f.passed = b.after, b.passed
		})
	})
	return nil
}

// lostCommit: whatever a commit failed with, what is recorded is asked for before anything is tried again.
func lostCommit(err error) error { return fmt.Errorf("commit: %w: %w", errMoved, err) }

func (w *worker) rollback(ctx context.Context) {
	w.dirty = true
	if w.conn == nil {
		return
	}
	if _, err := w.conn.ExecContext(ctx, "ROLLBACK"); err != nil {
		w.drop()
	}
}

// full: the target's disk is. MySQL says so of its tables; for its log it waits and says nothing, see watch.
func full(err error) bool {
	switch ask.Number(err) {
	case 3, 1021, 1026, 1041, 1114, 1598, 3675:
		return true
	}
	return false
}

// binder keeps tables as changes are applied to them.
type binder struct {
	dict  dictionary
	mu    sync.Mutex
	bound map[*changes.Table]*table
}

// boundRoom is how many are kept: the log may describe a table anew as often as it likes.
const boundRoom = 10_000

func (b *binder) bind(t *changes.Table) (*table, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if x := b.bound[t]; x != nil {
		return x, nil
	}
	x, err := b.dict.bind(t)
	if err != nil {
		return nil, err
	}
	if len(b.bound) >= boundRoom || b.bound == nil {
		b.bound = map[*changes.Table]*table{}
	}
	b.bound[t] = x
	return x, nil
}
