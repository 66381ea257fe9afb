package recheck

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
	"github.com/slipway-dev/slipway/internal/dbcopy/follow"
)

const (
	lookers   = 2                     // batches of rows that are looked at at once
	mostDue   = 10 * dbcopy.MostLook  // rows that are looked at between two looks at how far the follower is
	roundWait = 50 * time.Millisecond // between two rounds: what comes meanwhile is looked at in one statement
	drainWait = 2 * time.Millisecond  // the same when the source is frozen
	noteEvery = time.Second           // how far it is
	fullWait  = 10 * time.Millisecond // while there is no room
	tellEvery = 10 * time.Second
)

// run is a verification across attempts.
type run struct {
	Link
	until    <-chan changes.Position
	verified func(changes.Position, time.Duration)
	tell     func(string)

	to     *changes.Position // to stop at
	fence  uint64
	db     *sql.DB // at the target
	rows   *dbcopy.Rows
	tables map[string]*table
	book   *book
	noted  time.Time
	told   time.Time
}

// errSkipped: a person took a statement on himself, and all before it is verified. It goes on behind it, with the definitions of now.
var errSkipped = errors.New("a statement was passed by")

// once is one attempt. It returns nil when all is verified up to the position to stop at.
func (r *run) once(ctx context.Context, from changes.Position) (err error) {
	if r.db, err = r.Link.to.Open(dbcopy.TextSession(), 2); err != nil {
		return err
	}
	defer r.db.Close()
	k, err := take(ctx, r.db, from, func() ([]changes.Table, error) { return follow.Tables(ctx, r.from.Endpoint, r.schemas) })
	if err != nil {
		return r.Link.to.Explain(err)
	}
	r.fence = k.fence
	o := dbcopy.CompareOptions{Schemas: r.schemas, Workers: lookers, Tell: func(p dbcopy.CompareProgress) {
		if p.Say != "" {
			r.tell(p.Say)
		}
	}}
	if r.rows, err = dbcopy.OpenRows(ctx, dbcopy.NewSource(r.from.Endpoint), dbcopy.NewTarget(r.Link.to), o); err != nil {
		return err
	}
	defer r.rows.Close()
	if r.tables, err = tables(r.rows, k.tables); err != nil {
		return err
	}
	if err := r.bind(ctx); err != nil {
		return err
	}
	r.book = newBook(k.position, r.room)
	log, err := changes.Open(ctx, r.from, k.position, changes.Options{Tables: k.tables, Tell: r.tell})
	if err != nil {
		return err
	}
	defer log.Close()
	g, ctx := errgroup.WithContext(ctx)
	skipped := make(chan *changes.StopError, 1)
	g.Go(func() error { return r.read(ctx, log, skipped) })
	g.Go(func() error { return r.verify(ctx, skipped) }) // it ends with an error, whatever becomes of it
	if err = g.Wait(); errors.Is(err, errOver) {
		err = nil
	}
	return err
}

func (r *run) bind(ctx context.Context) error {
	source, err := r.from.Endpoint.Open(dbcopy.TextSession(), 1)
	if err != nil {
		return err
	}
	defer source.Close()
	return bind(ctx, r.tables, source, r.db, r.schemas)
}

// errOver: all is verified that was to be.
var errOver = errors.New("verified")

// read enters what the log has.
func (r *run) read(ctx context.Context, log *changes.Stream, skipped chan<- *changes.StopError) error {
	for {
		tx, err := log.Next(ctx)
		var stop *changes.StopError
		if errors.As(err, &stop) {
			return r.stopped(ctx, stop, skipped)
		}
		if err != nil {
			return err
		}
		if err := errors.Join(r.take(ctx, tx), tx.Close()); err != nil {
			return err
		}
	}
}

// take enters a transaction; it waits while there is no room.
func (r *run) take(ctx context.Context, tx *changes.Transaction) error {
	var m *mark
	if tx.Rows > 0 {
		m = r.book.begin(tx)
		for ch, err := range tx.Changes {
			if err != nil {
				return fmt.Errorf("transaction %s: %w", tx.GTID, err)
			}
			for r.book.full() {
				if err := sleep(ctx, fullWait); err != nil {
					return err
				}
			}
			t := r.tables[ch.Table.Schema+"."+ch.Table.Name]
			if t == nil {
				return fmt.Errorf("transaction %s: table %s.%s: %w", tx.GTID, ch.Table.Schema, ch.Table.Name, dbcopy.ErrDefinitions)
			}
			r.book.enter(m, t, &ch)
		}
	}
	committed := tx.Committed
	if tx.GTID == "" { // the end of the log, by this machine's clock
		committed = time.Time{}
	}
	r.book.ended(m, tx.End, committed)
	return nil
}

// stopped is for what the log can't be read past. The follower stops there too; where a person has passed it by, this goes on behind it.
func (r *run) stopped(ctx context.Context, stop *changes.StopError, skipped chan<- *changes.StopError) error {
	skips, err := follow.Skips(ctx, r.Link.to, follow.ForwardStream)
	if err != nil {
		return errors.Join(stop, err)
	}
	for _, s := range skips {
		if s.GTID == stop.GTID && stop.End.String() != "" {
			skipped <- stop
			<-ctx.Done()
			return context.Cause(ctx)
		}
	}
	return stop
}

// verify looks at what is in the book until all is verified that is to be.
func (r *run) verify(ctx context.Context, skipped <-chan *changes.StopError) error {
	var behind *changes.StopError
	for {
		s, err := follow.ReadOn(ctx, r.db, follow.ForwardStream)
		if err != nil {
			return r.Link.to.Explain(err)
		}
		busy, err := r.round(ctx, s)
		if err != nil {
			return err
		}
		at, err := r.book.standing(s)
		if err != nil {
			return err
		}
		if r.to != nil && follow.Covered(at.Verified, *r.to) {
			if err := note(ctx, r.db, r.fence, *r.to); err != nil {
				return r.Link.to.Explain(err)
			}
			r.verified(*r.to, 0)
			return errOver
		}
		if behind != nil && at.Open == 0 {
			return r.skip(ctx, behind)
		}
		if err := r.note(ctx, at); err != nil {
			return err
		}
		wait := roundWait
		switch {
		case busy:
			wait = 0
		case r.to != nil:
			wait = drainWait
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case to := <-r.until:
			r.to = &to
			r.book.hurry()
		case behind = <-skipped:
			r.book.stand()
		case <-time.After(wait):
		}
	}
}

// note notes how far it is, and says so.
func (r *run) note(ctx context.Context, at Standing) error {
	if time.Since(r.noted) < noteEvery {
		return nil
	}
	r.noted = time.Now()
	if err := note(ctx, r.db, r.fence, at.Verified); err != nil {
		return r.Link.to.Explain(err)
	}
	if at.Known {
		r.verified(at.Verified, at.Lag)
	}
	if at.Open > 0 && time.Since(r.told) >= tellEvery {
		r.told = time.Now()
		r.tell(fmt.Sprintf("verified up to %s; %d rows of %d transactions that the target has are still to be compared", follow.Print(at.Verified), at.Open, at.Transactions))
	}
	return nil
}

// skip goes on behind a statement.
func (r *run) skip(ctx context.Context, behind *changes.StopError) error {
	defs, err := follow.Tables(ctx, r.from.Endpoint, r.schemas) // as they are now
	if err != nil {
		return err
	}
	text, err := json.Marshal(defs)
	if err != nil {
		return err
	}
	if err := note(ctx, r.db, r.fence, behind.End); err != nil {
		return r.Link.to.Explain(err)
	}
	if _, err := r.db.ExecContext(ctx, "UPDATE "+ownTable+" SET `tables` = "+ddl.Literal(string(text))+" WHERE `stream` = "+ownStream); err != nil {
		return r.Link.to.Explain(fmt.Errorf("note the definitions behind %s: %w", behind.GTID, err))
	}
	return errSkipped
}

// batch is rows of one table that are looked at by one statement on each side, or what one foreign key's columns have a value in.
type batch []*open

// batches sorts what is due.
func batches(due []*open) (out []batch) {
	room := map[*table]int{}
	for _, x := range due {
		if x.key != nil {
			out = append(out, batch{x})
			continue
		}
		i, ok := room[x.t]
		if !ok || len(out[i]) == dbcopy.MostLook {
			i = len(out)
			room[x.t], out = i, append(out, nil)
		}
		out[i] = append(out[i], x)
	}
	return out
}

// round looks once at what is due; busy says that more may be due already.
func (r *run) round(ctx context.Context, s follow.State) (busy bool, err error) {
	r.book.mu.Lock()
	idle := len(r.book.all) == 0
	r.book.mu.Unlock()
	if idle {
		return false, nil
	}
	visible, err := r.rows.Visible(ctx)
	if err != nil {
		return false, err
	}
	l := look{applied: s.Position, draining: r.to != nil}
	if l.has, l.seen, err = r.book.reach(s.Position, visible); err != nil {
		return false, err
	}
	due := r.book.due(min(l.has, l.seen), mostDue)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(lookers)
	bs := batches(due)
	wrong := make([]batch, len(bs))
	for i, b := range bs {
		g.Go(func() (err error) {
			wrong[i], err = r.look(gctx, l, b)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return false, err
	}
	r.book.mu.Lock()
	busy = len(due) > 0 && (len(due) == mostDue || r.book.waits)
	r.book.mu.Unlock()
	return busy, r.name(ctx, wrong)
}

// look looks at a batch, and gives what differs for good.
func (r *run) look(ctx context.Context, l look, b batch) (wrong batch, err error) {
	found := map[string]dbcopy.Both{}
	if x := b[0]; x.key != nil {
		columns, vals, err := x.under()
		if err != nil {
			return nil, err
		}
		if found[x.id], err = r.rows.Under(ctx, x.t.rows, columns, vals); err != nil {
			return nil, err
		}
	} else {
		ids := make([]string, len(b))
		for i, x := range b {
			ids[i] = x.id
		}
		if found, err = r.rows.Look(ctx, x.t.rows, ids); err != nil {
			return nil, err
		}
	}
	for _, x := range b {
		if f := found[x.id]; f.Source != f.Target || x.key == nil && (f.Source.Rows > 0) != x.there {
			if l.written, err = r.rows.Written(ctx); err != nil {
				return nil, err
			}
			l.still = r.frozen(l)
			break
		}
	}
	for _, x := range b {
		l.both = found[x.id]
		if r.book.judge(x, l) {
			wrong = append(wrong, x)
		}
	}
	return wrong, nil
}

// frozen: it is to stop where the source's log ended, and all of it is read and at the target. Nothing changes on either side.
func (r *run) frozen(l look) bool {
	if r.to == nil || !follow.Covered(*r.to, changes.Position{MariaDB: l.written}) || !follow.Covered(l.applied, *r.to) {
		return false
	}
	r.book.mu.Lock()
	defer r.book.mu.Unlock()
	return follow.Covered(r.book.read, *r.to) && l.has == r.book.no && l.seen == r.book.no
}

// name names what differs for good. What is found equal then is looked at again.
func (r *run) name(ctx context.Context, wrong []batch) error {
	var all []dbcopy.Difference
	more := false
	for _, b := range wrong {
		if len(b) == 0 {
			continue
		}
		if len(all) >= mostNamed {
			more = true
			break
		}
		ds, err := r.nameBatch(ctx, b)
		if err != nil {
			return err
		}
		all = append(all, ds...)
	}
	if len(all) == 0 {
		return nil
	}
	slices.SortFunc(all, func(a, b dbcopy.Difference) int { return cmp.Compare(a.String(), b.String()) })
	all = slices.CompactFunc(all, func(a, b dbcopy.Difference) bool { return a.String() == b.String() }) // by its key, and by a foreign key
	return &dbcopy.DifferentError{Target: r.Link.to.Name, Living: true, Differences: all, More: more}
}

// mostNamed: about so many rows are named.
const mostNamed = 50

func (r *run) nameBatch(ctx context.Context, b batch) ([]dbcopy.Difference, error) {
	if x := b[0]; x.key != nil {
		columns, vals, err := x.under()
		if err != nil {
			return nil, err
		}
		return r.rows.NameUnder(ctx, x.t.rows, columns, vals)
	}
	var ids []string
	var odd []dbcopy.Difference
	for _, x := range b {
		if !x.odd {
			ids = append(ids, x.id)
			continue
		}
		says := "the log says that it isn't there, and both sides have it"
		if x.there {
			says = "the log says that it is there, and neither side has it"
		}
		odd = append(odd, dbcopy.Difference{Object: x.t.rows.String(), Key: x.t.rows.KeyName(x.id), What: says})
	}
	if len(ids) == 0 {
		return odd, nil
	}
	ds, err := r.rows.Name(ctx, b[0].t.rows, ids)
	return append(odd, ds...), err
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
