package dbcopy

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy/value"
)

// heap looks into a table that no key tells the rows of apart: what differs is how often rows of one hash are there. Such a table isn't
// followed. It is looked at again until both sides are equal, or have differed in the same way for Settle.
func (c *compare) heap(ctx context.Context, p *piece) error {
	began := time.Now()
	var lasting map[uint64][2]int64
	for looks := 1; ; looks++ {
		now, err := c.counts(ctx, p)
		if err != nil {
			return err
		}
		if len(now) == 0 {
			c.mu.Lock()
			c.out.Again.Longest = max(c.out.Again.Longest, time.Since(began))
			c.mu.Unlock()
			return nil
		}
		if lasting == nil {
			lasting = now
		}
		maps.DeleteFunc(lasting, func(h uint64, n [2]int64) bool { return now[h] != n })
		if time.Since(began) >= c.o.Settle && looks > 1 {
			break
		}
		c.tell(fmt.Sprintf("looking again at %s as a whole: it differed, and has no key to tell its rows apart by", p.def))
		if err := sleep(ctx, min(firstPause<<min(looks, 10), longPause, max(firstPause, c.o.Settle-time.Since(began)))); err != nil {
			return err
		}
	}
	if len(lasting) == 0 {
		c.note(Difference{Object: p.def.String(), What: "it was never found equal, and differs in other rows each time: without a key it can only be compared while nobody writes to it"})
		return nil
	}
	return c.nameHeap(ctx, p, lasting)
}

// counts gives how often rows are there, by their hash, where that differs. Of very many only some are looked for.
func (c *compare) counts(ctx context.Context, p *piece) (map[uint64][2]int64, error) {
	cs := p.def.table.Columns
	var t [2]tally
	if err := c.both(ctx, func(ctx context.Context, s *side, i int) (err error) { t[i], err = s.sum(ctx, p); return err }); err != nil {
		return nil, err
	}
	if t[0] == t[1] {
		return nil, nil
	}
	where, err := c.split(ctx, p, cs, max(t[0].rows, t[1].rows))
	if err != nil || len(where[0]) == 0 {
		return nil, err
	}
	var has [2]map[uint64]int64
	err = c.both(ctx, func(ctx context.Context, s *side, i int) error {
		return s.try(ctx, p.def.from(), func() error {
			has[i] = map[uint64]int64{}
			return s.each(ctx, "SELECT "+value.Hash(s.flavor, cs)+",COUNT(*) FROM "+p.def.from()+where[i][0]+" GROUP BY 1", nil, 2, func(_ [][]byte, r []sql.RawBytes) error {
				h, err := strconv.ParseUint(string(r[0]), 10, 64)
				if err != nil {
					return err
				}
				has[i][h], err = strconv.ParseInt(string(r[1]), 10, 64)
				return err
			})
		})
	})
	if err != nil {
		return nil, err
	}
	out := map[uint64][2]int64{}
	for i := range has {
		for h := range has[i] {
			if has[0][h] != has[1][h] {
				out[h] = [2]int64{has[0][h], has[1][h]}
			}
		}
	}
	return out, nil
}

// nameHeap notes rows by their first columns.
func (c *compare) nameHeap(ctx context.Context, p *piece, counts map[uint64][2]int64) error {
	t := p.def.table
	hashes := slices.Sorted(maps.Keys(counts))
	first := t.Columns[:min(3, len(t.Columns))]
	names := map[uint64]string{}
	for i, s := range []*side{c.src, c.dst} { // a row is read where it is more often
		var list []string
		for _, h := range hashes[:min(len(hashes), c.o.Most)] {
			if n := counts[h]; n[i] > n[1-i] {
				list = append(list, strconv.FormatUint(h, 10))
			}
		}
		if list == nil {
			continue
		}
		hash := value.Hash(s.flavor, t.Columns)
		query := "SELECT " + value.ReadAll(s.flavor, first) + "," + hash + " FROM " + p.def.from() + " WHERE " + hash + " IN (" + strings.Join(list, ",") + ")"
		err := s.try(ctx, p.def.from(), func() error {
			return s.each(ctx, query, first, 1, func(vals [][]byte, r []sql.RawBytes) error {
				h, err := strconv.ParseUint(string(r[0]), 10, 64)
				if err == nil && names[h] == "" {
					names[h] = printKey(t, append(vals[:len(vals):len(vals)], make([][]byte, len(t.Columns)-len(vals))...))
				}
				return err
			})
		})
		if err != nil {
			return err
		}
	}
	why := ""
	if c.o.Repair {
		why = "; it isn't repaired: the table has no key to do it by"
	}
	for _, h := range hashes {
		n := counts[h]
		c.note(Difference{Object: p.def.String(), Key: names[h], What: fmt.Sprintf("the source has it %d times and the target %d times", n[0], n[1]) + why})
	}
	return nil
}
