package dbcopy

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-dev/slipway/internal/dbcopy/value"
)

// piece is rows that are compared by one checksum: a range of a table's key, or a whole table.
type piece struct {
	def         *definition
	after, upTo value.Bound
}

// key is what the piece's edges are of.
func (p *piece) key() []value.Column {
	if !p.def.ranges {
		return nil
	}
	return p.def.table.RangeKey()
}

func (p *piece) where() (string, error) { return value.Within(p.key(), p.after, p.upTo) }

// bytesPerRow is the source's estimate.
func (p *piece) bytesPerRow() int64 {
	t := p.def.table
	return max(1, t.estBytes/max(1, t.estRows))
}

// cut cuts regions into pieces whose edges are keys that the source has now. Together they are all keys that there can be, so
// rows that come meanwhile, or that only the target has, are in one of them.
func (c *compare) cut(ctx context.Context, regions []*piece, queue chan<- *piece) error {
	for _, r := range regions {
		for rest := r; rest != nil; {
			p := rest
			rest = nil
			if p.def.ranges {
				n := max(1, min(c.o.ChunkBytes/p.bytesPerRow(), mostRows))
				edge, err := c.src.edge(ctx, p, n)
				if err != nil {
					return fmt.Errorf("find ranges of %s: %w", p.def, err)
				}
				if edge != nil {
					rest = &piece{p.def, edge, p.upTo}
					p = &piece{p.def, p.after, edge}
				}
			}
			select {
			case queue <- p:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

// both asks both servers at once.
func (c *compare) both(ctx context.Context, ask func(context.Context, *side, int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for i, s := range []*side{c.src, c.dst} {
		g.Go(func() error { return ask(ctx, s, i) })
	}
	return g.Wait()
}

// piece compares one piece by its checksums, and looks into it when they differ.
func (c *compare) piece(ctx context.Context, p *piece) error {
	var t [2]tally
	if err := c.both(ctx, func(ctx context.Context, s *side, i int) (err error) { t[i], err = s.sum(ctx, p); return err }); err != nil {
		return err
	}
	if c.chunks.Add(1) == 1 {
		c.tell("")
	}
	c.meter.add("", t[0].rows, t[0].rows*p.bytesPerRow())
	c.mu.Lock()
	c.out.Chunks, c.out.Rows, c.out.Bytes = c.out.Chunks+1, c.out.Rows+t[0].rows, c.out.Bytes+t[0].rows*p.bytesPerRow()
	if t[0] != t[1] {
		c.out.Again.Ranges++
	}
	c.mu.Unlock()
	switch {
	case t[0] == t[1]:
		return nil
	case len(p.def.identity()) == 0:
		return c.heap(ctx, p)
	}
	return c.into(ctx, p, max(t[0].rows, t[1].rows))
}

// Rows of a piece are told apart by their keys: the piece is split into buckets by a hash of the key, so that both servers split alike
// whatever they have, and buckets with other checksums are read as pairs of key and hash.
const (
	bucketRows  = 256     // about so many rows a bucket
	fewRows     = 2000    // so few are read without buckets
	mostBuckets = 1 << 16 // the servers keep so many sums in memory
	mostStates  = 100_000 // so many rows are held in memory at once, by each of the workers
)

// split gives conditions that together hold for all rows of a piece that differ, each for not too many.
func (c *compare) split(ctx context.Context, p *piece, by []value.Column, rows int64) (conditions [2][]string, err error) {
	where, err := p.where()
	if err != nil {
		return conditions, err
	}
	if rows <= fewRows {
		return [2][]string{{where}, {where}}, nil
	}
	n := min(mostBuckets, 1<<bits.Len64(uint64(rows/bucketRows)))
	var t [2]map[uint64]tally
	err = c.both(ctx, func(ctx context.Context, s *side, i int) (err error) {
		t[i], err = s.buckets(ctx, p, by, n)
		return err
	})
	if err != nil {
		return conditions, err
	}
	var list []string
	var held int64
	flush := func() {
		if list == nil {
			return
		}
		for i, s := range []*side{c.src, c.dst} {
			conditions[i] = append(conditions[i], also(where, fmt.Sprintf("%s&%d IN (%s)", value.Hash(s.flavor, by), n-1, strings.Join(list, ","))))
		}
		list, held = nil, 0
	}
	for b := range uint64(n) {
		if t[0][b] == t[1][b] {
			continue
		}
		more := max(t[0][b].rows, t[1][b].rows)
		if held+more > mostStates {
			flush()
		}
		list = append(list, fmt.Sprint(b))
		held += more
	}
	flush()
	return conditions, nil
}

// also adds a condition to what Within gives.
func also(where, more string) string {
	if where == "" {
		return " WHERE " + more
	}
	return where + " AND (" + more + ")"
}

// into finds the rows of a piece that differ now and hands them over to be looked at again.
func (c *compare) into(ctx context.Context, p *piece, rows int64) error {
	key := p.def.identity()
	where, err := c.split(ctx, p, key, rows)
	if err != nil {
		return err
	}
	again := &again{}
	for k := range where[0] {
		var has [2]map[string]state
		err := c.both(ctx, func(ctx context.Context, s *side, i int) (err error) {
			has[i], err = s.states(ctx, p.def, key, where[i][k])
			return err
		})
		if err != nil {
			return err
		}
		var keys []string
		for key, st := range has[0] {
			if has[1][key] != st {
				keys = append(keys, key)
			}
		}
		for key := range has[1] {
			if _, ok := has[0][key]; !ok {
				keys = append(keys, key)
			}
		}
		slices.Sort(keys)
		for _, k := range keys {
			b, err := readKey(k, len(key))
			if err != nil {
				return err
			}
			x := &suspect{def: p.def, id: k, key: b, source: has[0][k], target: has[1][k], again: again}
			if err := c.settle.add(ctx, x); err != nil {
				return err
			}
		}
	}
	return nil
}

// readKey reads what value.Append wrote.
func readKey(text string, columns int) (value.Bound, error) {
	b, out := []byte(text), make(value.Bound, columns)
	for i := range out {
		n, w := binary.Uvarint(b)
		if w <= 0 || n > uint64(len(b)-w)+1 {
			return nil, fmt.Errorf("%q is no key of %d columns", text, columns)
		}
		if b = b[w:]; n > 0 {
			out[i], b = b[:n-1:n-1], b[n-1:]
		}
	}
	return out, nil
}
