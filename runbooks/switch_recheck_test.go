package runbooks_test

import (
	"context"
	"fmt"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
)

// checker does what recheck.Link does: it reads the source's log from where the comparison began, and looks at each row once the target has
// it. How far it is lies at the target.
type checker struct{ w *switchWorld }

func (c checker) String() string { return "what is followed" }

func (c checker) Tip(ctx context.Context) (changes.Position, error) {
	return link{c.w, false}.Tip(ctx)
}

// verified is the mark, in a world without one where the comparison began.
func (c checker) verified(from changes.Position) int {
	if c.w.checked == nil {
		return index(c.w.source.log, from)
	}
	return *c.w.checked
}

func (c checker) Verified(_ context.Context, from changes.Position) (changes.Position, error) {
	return see(c.w, true, func() changes.Position { return position(c.w.source.log, c.verified(from)) })
}

func (c checker) Recheck(ctx context.Context, from changes.Position, until <-chan changes.Position, verified func(changes.Position, time.Duration), _ func(string)) error {
	at, err := see(c.w, true, func() int { return c.verified(from) })
	if err != nil {
		return err
	}
	end := -1
	for {
		type reach struct {
			at, has int
			lost    string
		}
		is, err := see(c.w, true, func() (r reach) {
			r.has = c.w.target.streams[forwardStream].at
			for r.at = at; r.at < r.has && r.lost == ""; r.at++ {
				if key := c.w.source.log[r.at].key; key != "" && c.w.target.rows[key] != 1 {
					r.lost = key
				}
			}
			return r
		})
		if err != nil {
			return err
		}
		if is.lost != "" {
			c.w.mu.Lock()
			c.w.found++
			c.w.mu.Unlock()
			return &dbcopy.DifferentError{Target: "the target", Living: true, Differences: []dbcopy.Difference{{Object: "table shop.orders", Key: is.lost, What: "the target hasn't it"}}}
		}
		if is.at > at && (is.at-at > together || is.at == end) {
			err := c.w.act("note what is verified", nil, func() {
				c.w.checked = &is.at
				c.w.target.commit(logged{mark: true})
			})
			if err != nil {
				return err
			}
		}
		at = is.at
		verified(position(c.w.source.log, at), time.Duration(max(0, is.has-at))*10*time.Millisecond)
		if end >= 0 && at > end {
			return fmt.Errorf("it is to be verified up to %d, and is up to %d: the source was written to", end, at)
		}
		if at == end {
			return nil
		}
		select {
		case p := <-until:
			end = index(c.w.source.log, p)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// repair is a person who writes anew what was passed by.
func (w *switchWorld) repair() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.missed != "" && w.doors[db1].letsAny() && w.done["let write at db1"] > 0 {
		w.target.commit(logged{key: w.missed, mark: true})
		w.missed = ""
	}
}
