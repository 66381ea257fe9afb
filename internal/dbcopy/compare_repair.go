package dbcopy

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
)

// differs notes a row that differs for good, or that did and was repaired, with the columns where both have it. Columns are compared by
// hashes that the servers compute: no value leaves them.
func (c *compare) differs(ctx context.Context, x *suspect, why string) error {
	d := Difference{Object: x.def.String(), What: "differs", Why: why, Repaired: x.wrote && why == ""}
	had := x.had
	if !x.wrote {
		had = [2]state{x.source, x.target}
	}
	switch {
	case !had[1].there:
		d.What = "the target hasn't it"
	case !had[0].there:
		d.What = "only the target has it"
	}
	d.Fields = x.fields
	if c.room() {
		d.Key = x.name()
		if d.Fields == nil && had[0].there && had[1].there && !x.wrote {
			var err error
			if d.Fields, err = c.fields(ctx, x); err != nil {
				return err
			}
		}
	}
	c.note(d)
	return nil
}

// name prints the row's key.
func (x *suspect) name() string {
	t, vals := *x.def.table, make([][]byte, len(x.def.table.Columns))
	t.Primary = nil
	for i, k := range x.def.identity() {
		t.Primary = append(t.Primary, k.Name)
		vals[slices.IndexFunc(t.Columns, func(c value.Column) bool { return c.Name == k.Name })] = x.key[i]
	}
	return printKey(&t, vals)
}

// fields names the columns in which a row differs.
func (c *compare) fields(ctx context.Context, x *suspect) (names []string, err error) {
	cs := x.def.identity()
	where, err := keyed(cs, []value.Bound{x.key})
	if err != nil {
		return nil, err
	}
	var hashes [2][]string
	err = c.both(ctx, func(ctx context.Context, s *side, i int) error {
		exprs := make([]string, len(x.def.table.Columns))
		for k, col := range x.def.table.Columns {
			exprs[k] = value.Hash(s.flavor, []value.Column{col})
		}
		query := "SELECT " + value.ReadAll(s.flavor, cs) + "," + strings.Join(exprs, ",") + " FROM " + x.def.from() + where
		return s.try(ctx, x.def.from(), func() error {
			return s.each(ctx, query, cs, len(exprs), func(vals [][]byte, r []sql.RawBytes) error {
				if string(value.Append(nil, vals)) != x.id {
					return nil // a collation takes it for equal
				}
				hashes[i] = nil
				for _, h := range r {
					hashes[i] = append(hashes[i], string(h))
				}
				return nil
			})
		})
	})
	if err != nil || hashes[0] == nil || hashes[1] == nil {
		return nil, err
	}
	for k, col := range x.def.table.Columns {
		if hashes[0][k] != hashes[1][k] {
			names = append(names, col.Name)
		}
	}
	return names, nil
}

// Rows are repaired in transactions of so many, so that rows whose unique values are swapped are mostly in one.
const (
	repairRows  = 100
	repairTries = 5 // of a transaction that waits for a lock in vain, and of a row that changes at the source meanwhile
	repairPause = 200 * time.Millisecond
)

// repairs are rows that wait to be written anew.
type repairs struct {
	c     *compare
	db    *sql.DB // at the target; one connection
	wrong map[*definition][]*suspect
	hard  map[*definition][]*suspect // a unique key refused them: they are tried once more, all at once
}

// do writes rows anew: those of tables that have enough of them waiting, or, at the end, all.
func (r *repairs) do(ctx context.Context, all bool) error {
	for i := range r.c.defs.tables {
		d := &r.c.defs.tables[i]
		for len(r.wrong[d]) >= repairRows || all && len(r.wrong[d]) > 0 {
			n := min(len(r.wrong[d]), repairRows)
			batch := r.wrong[d][:n:n]
			r.wrong[d] = r.wrong[d][n:]
			switch err := r.batch(ctx, d, batch); {
			case ask.Number(err) == duplicateEntry:
				r.hard[d] = append(r.hard[d], batch...)
			case err != nil:
				return fmt.Errorf("repair rows of %s: %w", d, err)
			}
		}
		if hard := r.hard[d]; all && hard != nil {
			r.hard[d] = nil
			switch err := r.batch(ctx, d, hard); {
			case ask.Number(err) == duplicateEntry:
				for _, x := range hard { // the server's words have the value in them
					if err := r.c.differs(ctx, x, "it wasn't repaired: another row of the target has a value of it that must be unique"); err != nil {
						return err
					}
				}
			case err != nil:
				return fmt.Errorf("repair rows of %s: %w", d, err)
			}
		}
	}
	return nil
}

// duplicateEntry is the server's error number of a unique key's refusal.
const duplicateEntry = 1062

// batch repairs rows of one table in one transaction, and hands them back to be looked at again.
func (r *repairs) batch(ctx context.Context, d *definition, batch []*suspect) error {
	for _, x := range batch {
		var err error
		if x.had = [2]state{x.source, x.target}; x.source.there && x.target.there && r.c.room() {
			if x.fields, err = r.c.fields(ctx, x); err != nil {
				return err
			}
		}
	}
	var changed []*suspect
	for try := 1; ; try++ {
		// What a lost connection leaves undone or done is found out when it is tried again.
		err := r.c.dst.try(ctx, d.from(), func() (err error) { changed, err = r.transaction(ctx, d, batch); return err })
		n := ask.Number(err)
		if err == nil {
			break
		}
		if try == repairTries || n != lockWaitTimeout && n != 1213 { // deadlock
			return err
		}
		r.c.tell(fmt.Sprintf("somebody holds rows of %s that are to be repaired; trying again (%d of %d)", d, try, repairTries))
		if err := sleep(ctx, time.Duration(try)*repairPause); err != nil {
			return err
		}
	}
	for _, x := range batch {
		if slices.Contains(changed, x) {
			if x.tries++; x.tries == repairTries {
				if err := r.c.differs(ctx, x, "it wasn't repaired: it changed at the source each time that it was to be"); err != nil {
					return err
				}
				continue
			}
		}
		r.c.settle.again(x)
	}
	return nil
}

// passed makes sure that the follower has passed the rows as the source has them now: what it brings later fits what is written from them.
// Where its position isn't known, rows must not have changed at the source for as long as they were looked at.
func (r *repairs) passed(ctx context.Context, d *definition, batch []*suspect) error {
	s := &r.c.settle
	if r.c.o.Applied == nil {
		return nil
	}
	cs, keys := d.identity(), make([]value.Bound, len(batch))
	for i, x := range batch {
		keys[i] = x.key
	}
	where, err := keyed(cs, keys)
	if err != nil {
		return err
	}
	now, err := r.c.src.states(ctx, d, cs, where)
	if err != nil {
		return err
	}
	pos, err := r.c.src.position(ctx)
	if err != nil {
		return err
	}
	for _, x := range batch {
		x.source, x.read = now[x.id], pos
	}
	for {
		if err := s.ask(ctx); err != nil || passed(s.applied, pos) {
			return err
		}
		if err := s.standing(batch[0]); err != nil {
			return err
		}
		if err := sleep(ctx, warmPause); err != nil {
			return err
		}
	}
}

// transaction locks the rows at the target, reads them again at the source, and writes those anew that the source still has as the
// follower has passed them. While it holds them, a follower that comes to one of them waits.
//
// What changed at the source isn't written: the follower is about to write it, on top of what it finds.
func (r *repairs) transaction(ctx context.Context, d *definition, batch []*suspect) (changed []*suspect, err error) {
	if err := r.passed(ctx, d, batch); err != nil {
		return nil, &placed{err}
	}
	conn, err := r.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil { // it may be in a transaction
			_ = conn.Raw(func(any) error { return errBad })
		}
		conn.Close()
	}()
	if _, err := conn.ExecContext(ctx, "START TRANSACTION"); err != nil {
		return nil, err
	}
	cs, keys := d.identity(), make([]value.Bound, len(batch))
	for i, x := range batch {
		keys[i] = x.key
	}
	where, err := keyed(cs, keys)
	if err != nil {
		return nil, err
	}
	locked := side{ep: r.c.dst.ep, flavor: value.MySQL, db: conn}
	has, err := locked.readStates(ctx, d, cs, where+" FOR UPDATE")
	if err != nil {
		return nil, err
	}
	now, err := r.c.src.states(ctx, d, cs, where)
	if err != nil {
		return nil, &placed{err}
	}
	hash := value.Hasher{Columns: cs}
	var gone []value.Bound
	var hashes []string
	var write []*suspect
	for _, x := range batch {
		switch {
		case now[x.id] == has[x.id]: // the follower was quicker
		case now[x.id] != x.source, r.c.o.Applied == nil && len(x.was) > 1:
			changed = append(changed, x)
		default:
			write = append(write, x)
			if has[x.id].there {
				gone = append(gone, x.key)
				hashes = append(hashes, strconv.FormatUint(hash.Row(x.key), 10))
			}
		}
	}
	if gone != nil {
		where, err := keyed(cs, gone)
		if err != nil {
			return nil, err
		}
		// Not those that only a collation takes for these.
		where = also(where, value.Hash(value.MySQL, cs)+" IN ("+strings.Join(hashes, ",")+")")
		if _, err := conn.ExecContext(ctx, "DELETE FROM "+d.from()+where); err != nil {
			return nil, err
		}
	}
	for _, x := range write {
		if x.wrote = true; !x.source.there {
			continue
		}
		if same, err := r.insert(ctx, conn, d, cs, x); err != nil {
			return nil, err
		} else if !same { // it changed just now: none of them is written
			if _, err := conn.ExecContext(ctx, "ROLLBACK"); err != nil {
				return nil, err
			}
			return batch, nil
		}
	}
	_, err = conn.ExecContext(ctx, "COMMIT")
	return changed, err
}

// insert reads a row at the source and writes it to the target, if it is still the one that it was.
func (r *repairs) insert(ctx context.Context, conn *sql.Conn, d *definition, cs []value.Column, x *suspect) (same bool, err error) {
	t := d.table
	where, err := keyed(cs, []value.Bound{x.key})
	if err != nil {
		return false, err
	}
	hash := value.Hasher{Columns: t.Columns}
	var stmt []byte
	var odd bool
	err = r.c.src.try(ctx, d.from(), func() error {
		same = false
		return r.c.src.each(ctx, "SELECT "+value.ReadAll(value.MariaDB, t.Columns)+" FROM "+d.from()+where, t.Columns, 0, func(vals [][]byte, _ []sql.RawBytes) (err error) {
			if hash.Row(vals) != x.source.hash {
				return nil // changed, or another that a collation takes for equal
			}
			same = true
			stmt, odd, err = insertStatement(stmt[:0], d, vals)
			return err
		})
	})
	if err != nil || !same {
		return false, err
	}
	if odd {
		if _, err := conn.ExecContext(ctx, "SET SESSION sql_mode = '"+looseMode+"'"); err != nil {
			return false, err
		}
	}
	if _, err := conn.ExecContext(ctx, string(stmt)); err != nil {
		return false, err
	}
	if odd {
		_, err = conn.ExecContext(ctx, "SET SESSION sql_mode = '"+strictMode+"'")
	}
	return true, err
}

// insertStatement writes one row's INSERT; odd says that it is taken outside strict mode alone.
func insertStatement(to []byte, d *definition, vals [][]byte) (_ []byte, odd bool, err error) {
	var stored []value.Column
	for _, c := range d.table.Columns {
		if !c.Generated {
			stored = append(stored, c)
		}
	}
	to = append(to, "INSERT INTO "+d.from()+" ("+value.Names(stored)+") VALUES ("...)
	first := true
	for i, c := range d.table.Columns {
		odd = odd || c.OddChoice(vals[i])
		if c.Generated {
			continue
		}
		if !first {
			to = append(to, ',')
		}
		first = false
		if to, err = c.Literal(to, vals[i]); err != nil {
			return nil, false, err
		}
	}
	return append(to, ')'), odd, nil
}
