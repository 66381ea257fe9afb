package recheck

import (
	"strings"
	"time"

	"github.com/slipway-dev/slipway/internal/binlog"
	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
	"github.com/slipway-dev/slipway/internal/dbcopy/follow"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
)

// A row that differs isn't a difference yet: the source's may have changed since the target's last change. It is verified once the target
// has it in a state in which the source was seen, up to the transaction that both had by then. It differs for good when
//
//   - nothing changes it any more (a drain), at once;
//   - else, when both sides' rows stayed the same over quietLooks looks, each when the follower had passed the position at which the
//     source's was first seen so, and the log, read to the end of what was looked at, has no change of it since.
const (
	quietLooks = 4
	firstPause = 100 * time.Millisecond
	longPause  = time.Second
	hotPause   = 5 * time.Millisecond // of a row that changed since it was last looked at
	mostWas    = 256                  // states of the source that are kept
)

// look is one look at the two sides.
type look struct {
	applied   changes.Position // the target's position before it
	has, seen uint64           // the same as a mark, and the last mark that the source showed
	both      dbcopy.Both
	written   binlog.MariaDB // the source's position after it; zero where nothing differed
	draining  bool           // somebody waits for the end
	still     bool           // nothing changes on either side
}

// judge says whether a row differs for good, after a look at it.
func (b *book) judge(x *open, l look) (wrong bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.all[x.what] != x { // crossed out since
		return false
	}
	if len(x.was) == mostWas {
		x.was = x.was[1:]
	}
	x.was = append(x.was, sample{l.both.Source, l.seen})
	best := uint64(0)
	for _, s := range x.was {
		if s.has == l.both.Target {
			best = max(best, min(s.seen, l.has))
		}
	}
	if best >= x.first && !b.odd(x, l, best) {
		x.odd = false
		b.advance(x, best)
		b.settle()
		x.looks, x.quiet, x.next = 0, 0, time.Now().Add(hotPause)
		return false
	}
	return b.differs(x, l)
}

// odd: both sides are the same, and not what the log says of the row: it is there, or isn't. Either it has changed again, which will be
// read, or the row was not found by its key. Who waits for room can't read on, and what he hasn't read will be verified for itself.
func (b *book) odd(x *open, l look, best uint64) bool {
	x.odd = x.key == nil && best >= x.last && x.t.cascaded <= x.last && !b.waits && (l.both.Source.Rows > 0) != x.there
	return x.odd
}

// differs is for a look at which the target had none of the source's states.
func (b *book) differs(x *open, l look) (wrong bool) {
	same := x.looks > 0 && x.both == l.both && x.calm == x.t.cascaded
	changed := x.looks > 0 && x.both.Source != l.both.Source
	x.both, x.calm = l.both, x.t.cascaded
	x.looks++
	switch {
	case !same:
		x.read, x.quiet = l.written, 0
	case covers(l.applied, x.read):
		x.quiet++
	}
	pause := min(firstPause<<min(x.quiet, 10), longPause)
	switch {
	case l.draining:
		pause = 0
	case changed:
		pause = hotPause
	}
	x.next = time.Now().Add(pause)
	return l.still || x.quiet >= quietLooks && (b.waits || covers(b.read, l.written))
}

// covers: position p has all that q has.
func covers(p changes.Position, q binlog.MariaDB) bool {
	return follow.Covered(p, changes.Position{MariaDB: q})
}

// under is the columns of a foreign key that the log says the values of, and these.
func (x *open) under() (columns []string, vals [][]byte, err error) {
	all, err := value.NewReader(strings.NewReader(x.id), len(x.key.columns)).Next()
	if err != nil {
		return nil, nil, err
	}
	for i, v := range all {
		if v != nil {
			columns, vals = append(columns, x.key.columns[i]), append(vals, v)
		}
	}
	return columns, vals, nil
}
