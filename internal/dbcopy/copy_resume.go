package dbcopy

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
)

// copiedTable has a row for each chunk that is in, written in the transaction of its rows. Chunks of a table are in the order of
// their places, which is that of their keys. Where one ends and the next doesn't begin, nothing is in yet.
var copiedTable = "CREATE TABLE IF NOT EXISTS " + ownTable("copied") + " (`id` BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, `schema` VARCHAR(64) NOT NULL, `table` VARCHAR(64) NOT NULL," +
	" `place` BIGINT UNSIGNED NOT NULL, `after` LONGTEXT, `up_to` LONGTEXT, `rows` BIGINT NOT NULL, `bytes` BIGINT NOT NULL, `sum` VARCHAR(40) NOT NULL, `verified` BOOLEAN NOT NULL," +
	" `view` VARCHAR(300) NOT NULL, `fence` BIGINT UNSIGNED NOT NULL, KEY (`schema`, `table`, `place`)) ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin COMMENT='ranges that slipway db copy has copied'"

// noted is a row of it.
type noted struct {
	id          uint64
	t           *live
	place       uint64
	after, upTo value.Bound
	rows, bytes int64
	sum         value.Sum
	verified    bool
}

// note is the statement that notes a chunk.
func (c *copier) note(d *definition, after, upTo value.Bound, place uint64, rows, bytes int64, sum value.Sum) (string, error) {
	lit := func(b value.Bound) (string, error) {
		if b == nil {
			return "NULL", nil
		}
		j, err := json.Marshal(b)
		return ddl.Literal(string(j)), err
	}
	a, err := lit(after)
	if err != nil {
		return "", err
	}
	u, err := lit(upTo)
	return fmt.Sprintf("INSERT INTO %s (`schema`, `table`, `place`, `after`, `up_to`, `rows`, `bytes`, `sum`, `verified`, `view`, `fence`) VALUES ('%s', '%s', %d, %s, %s, %d, %d, '%s', %v, '%s', %d)",
		ownTable("copied"), ddl.Escape(d.schema), ddl.Escape(d.table.Name), place, a, u, rows, bytes, sum, c.copts.Verify, ddl.Escape(c.pos.File.String()), c.own.Fence), err
}

// notes reads what is noted of a table, in order.
func (c *copier) notes(ctx context.Context, q ask.Queryer, t *live) ([]noted, error) {
	return ask.Each(ctx, q, func(r *sql.Rows) (n noted, err error) {
		var after, upTo sql.NullString
		var sum string
		n.t = t
		if err := r.Scan(&n.id, &n.place, &after, &upTo, &n.rows, &n.bytes, &sum, &n.verified); err != nil {
			return n, err
		}
		for _, e := range []struct {
			from sql.NullString
			to   *value.Bound
		}{{after, &n.after}, {upTo, &n.upTo}} {
			if e.from.Valid {
				err = errors.Join(err, json.Unmarshal([]byte(e.from.String), e.to))
			}
		}
		var serr error
		n.sum, serr = value.ParseSum(sum)
		return n, errors.Join(err, serr)
	}, fmt.Sprintf("SELECT `id`, `place`, `after`, `up_to`, `rows`, `bytes`, `sum`, `verified` FROM %s WHERE `schema` = '%s' AND `table` = '%s' ORDER BY `place`",
		ownTable("copied"), ddl.Escape(t.def.schema), ddl.Escape(t.def.table.Name)))
}

// settle says where the rows are from, holds what earlier attempts left against the view, takes away what isn't as the view has it,
// and gives what is to be copied.
//
// All that differs goes before anything comes: a row may have moved from one chunk to another, or a unique value from one row to
// another, and then neither chunk could come first.
func (c *copier) settle(ctx context.Context, q *sql.Conn) ([]tablePlan, error) {
	position, err := json.Marshal(c.pos)
	if err != nil {
		return nil, err
	}
	for _, stmt := range []string{
		fmt.Sprintf("UPDATE %s SET `position` = '%s' WHERE `run` = '%s' AND `fence` = %d", ownTable("load"), ddl.Escape(string(position)), ddl.Escape(c.own.Run), c.own.Fence),
		// Places are drawn apart again, so that chunks fit between. Nobody else writes here: older processes are fenced off.
		fmt.Sprintf("UPDATE %[1]s JOIN (SELECT `id`, ROW_NUMBER() OVER (PARTITION BY `schema`, `table` ORDER BY `place`) AS `n` FROM %[1]s) AS `o` USING (`id`) SET `place` = `n` * %[2]d", ownTable("copied"), placeStep),
	} {
		if err := c.mine(ctx, q); err != nil {
			return nil, err
		}
		if _, err := q.ExecContext(ctx, stmt); err != nil {
			return nil, fmt.Errorf("note where the rows are from: %w", err)
		}
	}
	var plans []tablePlan
	var all []noted
	for i := range c.defs.tables {
		d := &c.defs.tables[i]
		t := &live{def: d, estRows: d.table.estRows, estSize: d.table.estBytes}
		ns, err := c.notes(ctx, q, t)
		if err != nil {
			return nil, fmt.Errorf("read what is noted of %s: %w", d, err)
		}
		plans, all = append(plans, tablePlan{table: t}), append(all, ns...)
	}
	stale, err := c.hold(ctx, all)
	if err != nil {
		return nil, err
	}
	if err := c.takeAway(ctx, stale, len(all)); err != nil {
		return nil, err
	}
	for i := range plans {
		p := &plans[i]
		ns, err := c.notes(ctx, q, p.table)
		if err != nil {
			return nil, fmt.Errorf("read what is noted of %s: %w", p.table.def, err)
		}
		p.spans = gaps(p.table.def.ranges, ns)
		for _, n := range ns {
			p.table.rows.Add(n.rows)
			p.table.bytes.Add(n.bytes)
			p.table.planned.Add(n.rows)
			c.clock.add(n.rows, n.bytes)
		}
	}
	return plans, nil
}

// gaps gives what is between the chunks that are in.
func gaps(ranges bool, ns []noted) (out []span) {
	if !ranges {
		if len(ns) == 0 {
			out = append(out, span{place: 1})
		}
		return out
	}
	var after value.Bound
	place, open := uint64(1), true // open: nothing behind after is in, as far as was looked
	for _, n := range ns {
		if n.after != nil && (after == nil || !sameBound(after, n.after)) {
			out = append(out, span{after, n.after, place})
		}
		after, place, open = n.upTo, n.place+1, n.upTo != nil
	}
	if open {
		out = append(out, span{after, nil, place})
	}
	return out
}

// hold has both servers compute the checksums of chunks of earlier views, the source in this one, and gives those that aren't the same.
func (c *copier) hold(ctx context.Context, all []noted) ([]noted, error) {
	differs := make([]bool, len(all))
	var mu sync.Mutex
	next := 0
	g, ctx := errgroup.WithContext(ctx)
	for _, conn := range c.readers {
		g.Go(func() error {
			for {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= len(all) {
					return nil
				}
				n := &all[i]
				c.clock.doing(fmt.Sprintf("comparing what earlier attempts copied: chunk %d of %d, of %s", i+1, len(all), n.t.def))
				same, err := c.same(ctx, conn, n)
				if err != nil {
					return fmt.Errorf("compare %s with what an earlier attempt copied of it: %w", n.t.def, err)
				}
				differs[i] = !same
			}
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var out []noted
	for i, n := range all {
		if differs[i] {
			out = append(out, n)
		}
	}
	return out, nil
}

func (c *copier) same(ctx context.Context, conn *viewConn, n *noted) (bool, error) {
	p := livePart{c: c, t: n.t, after: n.after, upTo: n.upTo}
	theirs := make(chan counted, 1)
	go func() {
		conn.mu.Lock()
		defer conn.mu.Unlock()
		var t counted
		t.rows, t.sum, t.err = p.serverSum(ctx, conn, value.MariaDB)
		theirs <- t
	}()
	rows, sum, err := p.serverSum(ctx, c.rows, value.MySQL)
	t := <-theirs
	switch {
	case t.err != nil:
		return false, errors.Join(errSource, c.src.ep.Explain(t.err))
	case err != nil:
		return false, err
	}
	return rows == t.rows && sum == t.sum, nil
}

// takeAway removes the rows of chunks that differ, each with its note, and notes that the others are of this view.
func (c *copier) takeAway(ctx context.Context, stale []noted, all int) error {
	c.out.Again, c.out.Kept = int64(len(stale)), int64(all-len(stale))
	if all == 0 {
		return nil
	}
	conn, err := c.load.rows.Conn(ctx)
	if err != nil {
		return err
	}
	w := &rowLoader{load: c.load, conn: conn}
	defer w.drop()
	for i, n := range stale {
		c.clock.doing(fmt.Sprintf("taking away what changed at the source: chunk %d of %d, of %s", i+1, len(stale), n.t.def))
		where := ""
		if n.t.def.ranges {
			if where, err = value.Within(n.t.def.table.RangeKey(), n.after, n.upTo); err != nil {
				return err
			}
		}
		err := w.together(ctx, "DELETE FROM "+ddl.Qualified(n.t.def.schema, n.t.def.table.Name)+where, fmt.Sprintf("DELETE FROM %s WHERE `id` = %d", ownTable("copied"), n.id))
		if err != nil {
			return fmt.Errorf("take rows of %s away that changed at the source: %w", n.t.def, err)
		}
	}
	// What is left was just computed by both servers.
	err = w.together(ctx, fmt.Sprintf("UPDATE %s SET `fence` = %d, `view` = '%s', `verified` = TRUE", ownTable("copied"), c.own.Fence, ddl.Escape(c.pos.File.String())))
	if err != nil {
		return fmt.Errorf("note what is as the source has it: %w", err)
	}
	return nil
}

// together runs statements in one transaction that the owner alone can commit.
func (w *rowLoader) together(ctx context.Context, stmts ...string) error {
	if _, err := w.conn.ExecContext(ctx, "START TRANSACTION"); err != nil {
		return err
	}
	if err := w.held(ctx); err != nil {
		return err
	}
	for _, s := range append(stmts, "COMMIT") {
		if _, err := w.watch.exec(ctx, w.conn, s); err != nil {
			if full := w.full(err); full != nil {
				return full
			}
			return err
		}
	}
	return nil
}

// ErrPieces: what is noted at the target isn't all rows of one view. A defect of this program; report it. Nothing may be followed on it.
var ErrPieces = errors.New("the rows at the target are not of one view")

// whole sees that what is noted covers each table without a gap and is of this view.
func (c *copier) whole(ctx context.Context, q ask.Queryer) error {
	var other int64
	if err := q.QueryRowContext(ctx, fmt.Sprintf("SELECT COUNT(*) FROM %s WHERE `fence` <> %d", ownTable("copied"), c.own.Fence)).Scan(&other); err != nil {
		return err
	}
	if other > 0 {
		return fmt.Errorf("%d chunks: %w", other, ErrPieces)
	}
	for i := range c.defs.tables {
		t := &live{def: &c.defs.tables[i]}
		ns, err := c.notes(ctx, q, t)
		if err != nil {
			return err
		}
		if g := gaps(t.def.ranges, ns); len(g) > 0 {
			return fmt.Errorf("%s lacks %s: %w", t.def, edges(t.def.table.RangeKey(), g[0].after, g[0].upTo), ErrPieces)
		}
	}
	return nil
}

// verifyNoted holds what is at the target against what is noted: all of it when nothing was copied now, else what no attempt
// has verified.
func (c *copier) verifyNoted(ctx context.Context) error {
	diff := &DifferentError{Target: c.ep.Name, Living: true}
	var todo []noted
	for i := range c.defs.tables {
		ns, err := c.notes(ctx, c.rows, &live{def: &c.defs.tables[i]})
		if err != nil {
			return err
		}
		for _, n := range ns {
			if c.out.Already || !n.verified {
				todo = append(todo, n)
			}
		}
	}
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(c.copts.Workers)
	for i, n := range todo {
		g.Go(func() error {
			c.clock.doing(fmt.Sprintf("verifying chunk %d of %d, of %s", i+1, len(todo), n.t.def))
			p := livePart{c: c, t: n.t, after: n.after, upTo: n.upTo}
			rows, sum, err := p.serverSum(ctx, c.rows, value.MySQL)
			if err != nil {
				return fmt.Errorf("checksum of %s: %w", n.t.def, err)
			}
			if rows == n.rows && sum == n.sum {
				_, err := c.rows.ExecContext(ctx, fmt.Sprintf("UPDATE %s SET `verified` = TRUE WHERE `id` = %d", ownTable("copied"), n.id))
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			if len(diff.Differences) >= defaultMost {
				diff.More = true
				return nil
			}
			diff.Differences = append(diff.Differences, Difference{Object: n.t.def.String(), Key: p.String(), What: fmt.Sprintf("%d rows were copied and %d are there, or their values are others", n.rows, rows)})
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if len(diff.Differences) > 0 {
		return diff
	}
	return nil
}
