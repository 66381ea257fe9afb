package dbcopy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
)

// planAhead is how many chunks the planner is ahead of the readers: enough that the totals of what is read next are exact, few
// enough that the pages it looked at are still in the source's memory when they are read.
const planAhead = 256

// span is a range of a table of which no row is in yet.
type span struct {
	after, upTo value.Bound
	place       uint64 // of the first chunk in it; those behind count on
}

// tablePlan is what of a table is to be moved.
type tablePlan struct {
	table *live
	spans []span
}

// placeStep is how far apart the places of chunks are when an attempt begins: so many can come between two.
const placeStep = 1 << 32

// plan cuts what is to be moved into chunks, the largest table first.
func (c *copier) plan(ctx context.Context, plans []tablePlan, parts chan<- *livePart) error {
	slices.SortStableFunc(plans, func(a, b tablePlan) int { return cmp.Compare(b.table.estSize, a.table.estSize) })
	for _, p := range plans {
		give := func(after, upTo value.Bound, place uint64) error {
			select {
			case parts <- &livePart{c: c, t: p.table, after: after, upTo: upTo, place: place}:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		for _, s := range p.spans {
			if !p.table.def.ranges {
				if err := give(nil, nil, s.place); err != nil {
					return err
				}
				continue
			}
			if err := c.cutSpan(ctx, p.table, s, give); err != nil {
				return fmt.Errorf("cut %s into chunks: %w", p.table.def, err)
			}
		}
		p.table.cut.Store(p.table.def.ranges && p.table.planned.Load() > 0)
	}
	return nil
}

func (c *copier) cutSpan(ctx context.Context, t *live, s span, give func(after, upTo value.Bound, place uint64) error) error {
	after, place := s.after, s.place
	for {
		n := int64(firstRows)
		if row := t.usual(); row > 0 {
			n = max(1, min(int64(float64(c.copts.ChunkBytes)/row), mostRows))
		}
		edge, err := c.edge(ctx, t, after, s.upTo, n)
		if err != nil {
			return errors.Join(errSource, c.src.ep.Explain(err))
		}
		if edge == nil || s.upTo != nil && sameBound(edge, s.upTo) {
			t.planned.Add(n / 2) // somewhere in the middle
			return give(after, s.upTo, place)
		}
		t.planned.Add(n)
		if err := give(after, edge, place); err != nil {
			return err
		}
		after = edge
		place++
	}
}

func sameBound(a, b value.Bound) bool {
	return slices.EqualFunc(a, b, func(x, y []byte) bool { return string(x) == string(y) })
}

// edge is the key of the n-th row of a range, nil when it hasn't as many. It is asked for in the view: there the table's definition
// is held, and a statement of others that waits for it isn't waited for.
func (c *copier) edge(ctx context.Context, t *live, after, upTo value.Bound, n int64) (edge value.Bound, err error) {
	key := t.def.table.RangeKey()
	where, err := value.Within(key, after, upTo)
	if err != nil {
		return nil, err
	}
	query := fmt.Sprintf("SELECT %s FROM %s%s%s ORDER BY %s LIMIT 1 OFFSET %d", value.ReadAll(value.MariaDB, key), ddl.Qualified(t.def.schema, t.def.table.Name), byPrimary(t.def.table), where, value.Names(key), n-1)
	c.planner.mu.Lock()
	defer c.planner.mu.Unlock()
	err = scan(ctx, c.planner.Conn, query, key, func(vals [][]byte) error {
		edge = keepKey(edge, vals, places(len(vals)))
		return nil
	})
	return edge, err
}

func places(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}
