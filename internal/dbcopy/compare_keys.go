package dbcopy

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/slipway-dev/slipway/internal/binlog"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
)

// Rows looks at single rows of two living servers, by their keys: what a verification needs that goes on after a comparison. What is to
// be made of a row that differs is for whoever asks.
type Rows struct {
	c   *compare
	end [2]func() error
}

// Keyed is a table whose rows a key tells apart.
type Keyed struct {
	def *definition
	Key []value.Column
}

func (t *Keyed) String() string { return t.def.String() }

// Found is what a side has of what was looked for: so many rows, and their checksum.
type Found struct {
	Rows int64
	Sum  value.Sum
}

// Both is what the two sides have. The source was read first.
type Both struct{ Source, Target Found }

// OpenRows reads the definitions on both sides, and refuses what Compare would: tables that one side alone has, other columns. Of the
// options it takes Schemas, Workers (statements at once), Patience, Most and Tell.
func OpenRows(ctx context.Context, src *Source, dst *Target, o CompareOptions) (*Rows, error) {
	r := &Rows{c: newCompare(src, dst, o)}
	err := r.c.open(src.ep, dst.ep, &r.end)
	if err == nil {
		_, err = r.c.objects(ctx)
	}
	if err == nil && len(r.c.out.Found) > 0 {
		err = &DifferentError{Target: dst.ep.Name, Living: true, Differences: r.c.out.Found, More: r.c.out.More}
	}
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// Close ends the connections.
func (r *Rows) Close() (err error) {
	for _, end := range r.end {
		if end != nil {
			err = errors.Join(err, end())
		}
	}
	return err
}

// Table gives a table; false when the source hasn't it, or no key tells its rows apart.
func (r *Rows) Table(schema, name string) (*Keyed, bool) {
	for i := range r.c.defs.tables {
		d := &r.c.defs.tables[i]
		if d.schema == schema && d.table.Name == name {
			key := d.identity()
			return &Keyed{d, key}, len(key) > 0
		}
	}
	return nil, false
}

// MostLook is how many rows one Look is for, at most.
const MostLook = lookRows

// Look reads rows at the source, and then at the target. They are named by their keys as value.Append writes them.
func (r *Rows) Look(ctx context.Context, t *Keyed, ids []string) (map[string]Both, error) {
	where, err := t.where(ids)
	if err != nil {
		return nil, err
	}
	has, err := r.states(ctx, t, where)
	if err != nil {
		return nil, err
	}
	out := make(map[string]Both, len(ids))
	for _, id := range ids {
		out[id] = Both{has[0][id].found(), has[1][id].found()}
	}
	return out, nil
}

func (s state) found() (f Found) {
	if s.there {
		f.Rows = 1
		f.Sum.Add(s.hash)
	}
	return f
}

// Under reads all rows at once that have values in columns, at the source, and then at the target.
func (r *Rows) Under(ctx context.Context, t *Keyed, columns []string, vals [][]byte) (b Both, err error) {
	where, err := t.under(columns, vals)
	if err != nil {
		return b, err
	}
	for i, s := range []*side{r.c.src, r.c.dst} {
		f := []*Found{&b.Source, &b.Target}[i]
		query := "SELECT COUNT(*),COALESCE(SUM(" + value.Hash(s.flavor, t.def.table.Columns) + "),0) FROM " + t.def.from() + where
		err := s.try(ctx, t.def.from(), func() error {
			return s.each(ctx, query, nil, 2, func(_ [][]byte, raw []sql.RawBytes) (err error) {
				if f.Rows, err = strconv.ParseInt(string(raw[0]), 10, 64); err == nil {
					f.Sum, err = value.ParseSum(string(raw[1]))
				}
				return err
			})
		})
		if err != nil {
			return b, err
		}
	}
	return b, nil
}

func (t *Keyed) under(columns []string, vals [][]byte) (string, error) {
	var cs []value.Column
	for _, name := range columns {
		i := slices.IndexFunc(t.def.table.Columns, func(c value.Column) bool { return c.Name == name })
		if i < 0 {
			return "", fmt.Errorf("%s: it has no column %s", t, ddl.Quote(name))
		}
		cs = append(cs, t.def.table.Columns[i])
	}
	return keyed(cs, []value.Bound{vals})
}

// Name looks at rows once more and names those that differ now, as Compare does.
func (r *Rows) Name(ctx context.Context, t *Keyed, ids []string) ([]Difference, error) {
	slices.Sort(ids)
	ids = ids[:min(len(ids), r.c.o.Most)]
	where, err := t.where(ids)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	has, err := r.states(ctx, t, where)
	if err != nil {
		return nil, err
	}
	r.c.out.Found = nil
	for _, id := range ids {
		if has[0][id] == has[1][id] {
			continue
		}
		key, err := readKey(id, len(t.Key))
		if err != nil {
			return nil, err
		}
		if err := r.c.differs(ctx, &suspect{def: t.def, id: id, key: key, source: has[0][id], target: has[1][id]}, ""); err != nil {
			return nil, err
		}
	}
	return r.c.out.Found, nil
}

// NameUnder is Name for what Under looks at: rows that one side alone has there.
func (r *Rows) NameUnder(ctx context.Context, t *Keyed, columns []string, vals [][]byte) ([]Difference, error) {
	where, err := t.under(columns, vals)
	if err != nil {
		return nil, err
	}
	has, err := r.states(ctx, t, where)
	if err != nil {
		return nil, err
	}
	all := maps.Clone(has[0])
	maps.Copy(all, has[1])
	maps.DeleteFunc(all, func(id string, _ state) bool { return has[0][id] == has[1][id] })
	return r.Name(ctx, t, slices.Collect(maps.Keys(all)))
}

// states are both sides' of the rows for which a condition holds.
func (r *Rows) states(ctx context.Context, t *Keyed, where string) (has [2]map[string]state, err error) {
	for i, s := range []*side{r.c.src, r.c.dst} {
		if has[i], err = s.states(ctx, t.def, t.Key, where); err != nil {
			return has, err
		}
	}
	return has, nil
}

// where is the condition that a row's key is one of these.
func (t *Keyed) where(ids []string) (string, error) {
	keys := make([]value.Bound, len(ids))
	for i, id := range ids {
		var err error
		if keys[i], err = readKey(id, len(t.Key)); err != nil {
			return "", err
		}
	}
	return keyed(t.Key, keys)
}

// KeyName prints a row's key, as a Difference has it.
func (t *Keyed) KeyName(id string) string {
	key, err := readKey(id, len(t.Key))
	if err != nil {
		return strconv.Quote(id)
	}
	return (&suspect{def: t.def, key: key}).name()
}

// Written is how far the source has written its log: all that Look, Under saw there before is in it.
func (r *Rows) Written(ctx context.Context) (binlog.MariaDB, error) { return r.c.src.position(ctx) }

// Visible is how far the source's log can be seen in its rows: whoever reads them now sees all that is before.
func (r *Rows) Visible(ctx context.Context) (binlog.File, error) { return r.c.src.visible(ctx) }

// visible is Visible. A transaction is in the log, and may be applied elsewhere, a moment before its rows can be seen: with semi-synchronous
// replication (AFTER_SYNC) for as long as no replica has answered. Outside of a snapshot, Binlog_snapshot_position is the last of which they can.
// Where another session asks for its status at the same moment the answer may be that session's, and older, which does no harm,
// but for one in which the file is of one answer and the offset of the other: so the lower of two is taken.
func (s *side) visible(ctx context.Context) (at binlog.File, err error) {
	err = s.try(ctx, "", func() error {
		for {
			one, err := askSnapshotPosition(ctx, s.db)
			if err != nil {
				return err
			}
			two, err := askSnapshotPosition(ctx, s.db)
			if err != nil {
				return err
			}
			if at = one; one.Name == "" {
				return errors.New("it doesn't say how far its binary log can be seen: is log_bin on?")
			}
			if one.Name == two.Name {
				at.Offset = min(one.Offset, two.Offset)
				return nil
			}
			if err := sleep(ctx, time.Millisecond); err != nil {
				return err
			}
		}
	})
	return at, err
}

// seen waits until all that is before a position can be seen. The place of the last visible commit needn't be the log's end, which has events
// of the server's own: what counts is the transactions before it.
func (s *side) seen(ctx context.Context, pos binlog.MariaDB) error {
	began := time.Now()
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		at, err := s.visible(ctx)
		if err != nil {
			return err
		}
		var text sql.NullString
		err = s.try(ctx, "", func() error {
			return s.db.QueryRowContext(ctx, "SELECT CONVERT(BINLOG_GTID_POS(?, ?) USING utf8mb4)", at.Name, at.Offset).Scan(&text)
		})
		if err != nil {
			return err
		}
		has, err := binlog.ParseMariaDB(text.String)
		if err != nil {
			return fmt.Errorf("%s: the GTID position at %s of its log: %w", s.ep.Name, at, err)
		}
		if passed(has, pos) {
			return nil
		}
		if time.Since(began) > time.Second {
			s.say(fmt.Sprintf("waiting until what %s has in its log until %s can be seen; until %s it can", s.ep.Name, pos, has))
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}
