package dbcopy

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/internal/binlog"
	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
)

// side is one of the two servers that are compared. Each statement is a transaction of its own: no view is held open.
type side struct {
	ep       Endpoint
	flavor   value.Flavor
	db       ask.Queryer
	patience time.Duration
	say      func(string)
}

// extraConnections are beside the workers': one that finds edges, one that looks again.
const extraConnections = 2

func newSide(ep Endpoint, f value.Flavor, o CompareOptions, more Session, say func(string)) (_ *side, end func() error, err error) {
	db, err := ep.Open(RowSession().With(more), o.Workers+extraConnections)
	if err != nil {
		return nil, nil, err
	}
	return &side{ep, f, db, o.Patience, say}, db.Close, nil
}

// try does it again for a while when the connection is lost. on is the table that it is about, for messages; it may be empty.
func (s *side) try(ctx context.Context, on string, do func() error) error {
	var since time.Time
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		err := do()
		if err == nil {
			return nil
		}
		if errors.As(err, new(*placed)) { // the other side's, which was tried again already
			return err
		}
		err = s.explain(ctx, on, err)
		if !errors.Is(err, ErrLost) || ctx.Err() != nil {
			return err
		}
		if since.IsZero() {
			since = time.Now()
		}
		tried := time.Since(since)
		if tried >= s.patience {
			return fmt.Errorf("%w; it was tried again for %s", err, tried.Round(time.Second))
		}
		s.say(fmt.Sprintf("%v; trying again for %s more", err, (s.patience - tried).Round(time.Second)))
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// explain says which server an error came from, and gives those that a person can do something about their kind.
func (s *side) explain(ctx context.Context, on string, err error) error {
	switch ask.Number(err) {
	case 1142, 1143: // denied on the table, on a column
		return s.denied(ctx, on, err)
	case 1054, 1146, 1412: // unknown column, no such table, another definition than at the transaction's begin
		err = fmt.Errorf("%w: %w", ErrDefinitions, err)
	}
	return s.ep.Explain(err)
}

// denied adds the statement that gives what is lacked. "SELECT command denied to user ..." are both servers' words; which table it is in
// full, MySQL doesn't say.
func (s *side) denied(ctx context.Context, on string, err error) error {
	grantee, gerr := ask.Grantee(ctx, s.db)
	if gerr != nil { // what is lacked is said all the same
		grantee = "the account"
	}
	what := "SELECT"
	if text, _, ok := strings.Cut(err.Error(), " command denied "); ok {
		what = text[strings.LastIndex(text, ": ")+1:]
	}
	if strings.Contains(what, "with locking clause") { // MySQL's words: a repair locks the rows that it writes
		what = "SELECT, INSERT, DELETE"
	}
	if on == "" {
		on = "the table"
	}
	return s.ep.Explain(fmt.Errorf("%w: %w; type there: GRANT %s ON %s TO %s", ErrPrivileges, err, strings.TrimSpace(what), on, grantee))
}

// tally is the checksum of rows and their number.
type tally struct {
	rows int64
	sum  value.Sum
}

// sum is the checksum of a piece.
func (s *side) sum(ctx context.Context, p *piece) (t tally, err error) {
	err = s.try(ctx, p.def.from(), func() (err error) {
		t.rows, t.sum, err = serverSum(ctx, s.db, s.flavor, p.def.schema, p.def.table, p.key(), p.after, p.upTo)
		return err
	})
	return t, err
}

// edge is the key of the n-th row after an edge, nil when there are fewer.
func (s *side) edge(ctx context.Context, p *piece, n int64) (b value.Bound, err error) {
	where, err := p.where()
	if err != nil {
		return nil, err
	}
	key := p.key()
	query := fmt.Sprintf("SELECT %s FROM %s%s ORDER BY %s LIMIT 1 OFFSET %d", value.ReadAll(s.flavor, key), p.def.from(), where, value.Names(key), n-1)
	err = s.try(ctx, p.def.from(), func() error {
		b = nil
		return s.each(ctx, query, key, 0, func(vals [][]byte, _ []sql.RawBytes) error { b = cloneBound(vals); return nil })
	})
	return b, err
}

// each reads rows of canonical values of the columns, and more expressions behind them. What do is given is valid until it returns.
func (s *side) each(ctx context.Context, query string, cs []value.Column, more int, do func(vals [][]byte, rest []sql.RawBytes) error) error {
	rows, err := s.db.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	raw, ptrs, vals := make([]sql.RawBytes, len(cs)+more), make([]any, len(cs)+more), make([][]byte, len(cs))
	for i := range raw {
		ptrs[i] = &raw[i]
	}
	for rows.Next() {
		if err := rows.Scan(ptrs...); err != nil {
			return err
		}
		for i, c := range cs {
			if vals[i] = raw[i]; raw[i] == nil {
				continue
			}
			if vals[i], err = c.Canonical(raw[i]); err != nil {
				return err
			}
		}
		if err := do(vals, raw[len(cs):]); err != nil {
			return err
		}
	}
	return rows.Err()
}

// buckets are the checksums of a piece's rows, by the lowest bits of the hash of some columns. n is a power of two.
func (s *side) buckets(ctx context.Context, p *piece, by []value.Column, n int) (out map[uint64]tally, err error) {
	where, err := p.where()
	if err != nil {
		return nil, err
	}
	query := fmt.Sprintf("SELECT %s&%d,COUNT(*),SUM(%s) FROM %s%s GROUP BY 1", value.Hash(s.flavor, by), n-1, value.Hash(s.flavor, p.def.table.Columns), p.def.from(), where)
	err = s.try(ctx, p.def.from(), func() error {
		out = map[uint64]tally{}
		return s.each(ctx, query, nil, 3, func(_ [][]byte, r []sql.RawBytes) error {
			b, err := strconv.ParseUint(string(r[0]), 10, 64)
			if err != nil {
				return err
			}
			var t tally
			if t.rows, err = strconv.ParseInt(string(r[1]), 10, 64); err != nil {
				return err
			}
			t.sum, err = value.ParseSum(string(r[2]))
			out[b] = t
			return err
		})
	})
	return out, err
}

// state is what a side has of a row: nothing, or the row with this hash.
type state struct {
	there bool
	hash  uint64
}

// states reads the keys and hashes of the rows for which a condition holds, by their keys as value.Append writes them.
func (s *side) states(ctx context.Context, d *definition, key []value.Column, where string) (out map[string]state, err error) {
	err = s.try(ctx, d.from(), func() (err error) { out, err = s.readStates(ctx, d, key, where); return err })
	return out, err
}

func (s *side) readStates(ctx context.Context, d *definition, key []value.Column, where string) (map[string]state, error) {
	query := "SELECT " + value.ReadAll(s.flavor, key) + "," + value.Hash(s.flavor, d.table.Columns) + " FROM " + d.from() + where
	out := map[string]state{}
	return out, s.each(ctx, query, key, 1, func(vals [][]byte, r []sql.RawBytes) error {
		h, err := strconv.ParseUint(string(r[0]), 10, 64)
		out[string(value.Append(nil, vals))] = state{true, h}
		return err
	})
}

// position is how far the source has written its log. What a statement has read before is in it: a transaction's events are in the log
// before its rows can be seen.
func (s *side) position(ctx context.Context) (pos binlog.MariaDB, err error) {
	err = s.try(ctx, "", func() error {
		var text string
		if err := s.db.QueryRowContext(ctx, "SELECT @@global.gtid_binlog_pos").Scan(&text); err != nil {
			return err
		}
		pos, err = binlog.ParseMariaDB(text)
		return err
	})
	return pos, err
}

func cloneBound(vals [][]byte) value.Bound {
	out := make(value.Bound, len(vals))
	for i, v := range vals {
		if v != nil {
			out[i] = append([]byte{}, v...)
		}
	}
	return out
}

// from is `schema`.`table`.
func (d *definition) from() string { return ddl.Qualified(d.schema, d.table.Name) }

// identity is the columns that tell the table's rows apart; none where nothing does.
func (d *definition) identity() []value.Column {
	if key := d.table.RangeKey(); len(key) > 0 {
		return key
	}
	t := *d.table
	t.Key = t.apart
	return t.RangeKey()
}

// keyed is the condition that a row's identity is one of these. Where a collation takes other rows for equal, they come too.
func keyed(cs []value.Column, keys []value.Bound) (string, error) {
	var or []string
	for _, k := range keys {
		var and []string
		for i, c := range cs {
			switch {
			case c.Kind == value.Long: // a key over its first characters
				c.Kind = value.Short
			case c.Kind == value.Address:
				c.Kind, c.Charset = value.Short, "ascii"
			}
			lit, err := c.Edge(k[i])
			if err != nil {
				return "", err
			}
			if len(cs) == 1 {
				and = append(and, lit)
			} else {
				and = append(and, ddl.Quote(c.Name)+"="+lit)
			}
		}
		or = append(or, strings.Join(and, " AND "))
	}
	if len(cs) == 1 {
		return " WHERE " + ddl.Quote(cs[0].Name) + " IN (" + strings.Join(or, ",") + ")", nil
	}
	return " WHERE (" + strings.Join(or, ") OR (") + ")", nil
}
