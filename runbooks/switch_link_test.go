package runbooks_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/internal/binlog"
	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
	"github.com/slipway-dev/slipway/internal/dbcopy/follow"
)

const forwardStream = "forward"

// position is where a log stands after its first n transactions: the source's, whose transactions have domains, or the
// target's.
func position(log []logged, n int) (p changes.Position) {
	var last [3]uint64
	for _, l := range log[:n] {
		last[l.domain]++
	}
	var err error
	switch {
	case last[0] == uint64(n) && n > 0:
		p.MySQL, err = binlog.ParseMySQL(fmt.Sprintf("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-%d", n))
	case last[2] > 0:
		p.MariaDB, err = binlog.ParseMariaDB(fmt.Sprintf("1-1-%d,2-2-%d", last[1], last[2]))
	default:
		p.MariaDB, err = binlog.ParseMariaDB(fmt.Sprintf("1-1-%d", last[1]))
	}
	if err != nil {
		panic(err)
	}
	return p
}

// index is how many transactions of a log a position has.
func index(log []logged, p changes.Position) int {
	for n := len(log); n > 0; n-- {
		if all, err := follow.Covers(p, position(log, n)); err == nil && all {
			return n
		}
	}
	return 0
}

// link follows one side's log to the other, as follow.Link does.
type link struct {
	w    *switchWorld
	back bool
}

func (l link) sides() (from, to *dbSide) {
	if l.back {
		return l.w.target, l.w.source
	}
	return l.w.source, l.w.target
}

func (l link) String() string { return map[bool]string{false: "there", true: "back"}[l.back] }

func (l link) name(begin *changes.Position) string {
	if begin == nil {
		return forwardStream
	}
	return "reverse-" + follow.Print(*begin)
}

func (l link) Tip(context.Context) (changes.Position, error) {
	from, _ := l.sides()
	return see(l.w, false, func() changes.Position { return position(from.log, len(from.log)) })
}

func (l link) Applied(_ context.Context, begin *changes.Position) (p changes.Position, err error) {
	from, to := l.sides()
	at, err := see(l.w, true, func() int {
		if s := to.streams[l.name(begin)]; s != nil {
			return s.at
		}
		return -1
	})
	if err == nil && at < 0 {
		err = follow.ErrNoStream
	}
	if err != nil {
		return p, err
	}
	return position(from.log, at), nil
}

// together is how many transactions are applied at once.
const together = 3

func (l link) Follow(ctx context.Context, begin *changes.Position, until <-chan changes.Position, applied func(changes.Position, time.Duration), _ func(string)) error {
	from, to := l.sides()
	name := l.name(begin)
	if there, err := see(l.w, true, func() bool { return to.streams[name] != nil }); err != nil {
		return err
	} else if !there {
		err := l.w.act("begin the way "+l.String(), nil, func() {
			s := &reached{begin: index(from.log, *begin)}
			s.at, to.streams[name], l.w.newest = s.begin, s, s
			to.commit(logged{domain: l.domain(), mark: true})
		})
		if err != nil {
			return err
		}
	}
	end := -1
	for {
		type reach struct{ at, tip int }
		is, err := see(l.w, true, func() reach { return reach{to.streams[name].at, len(from.log)} })
		if err != nil {
			return err
		}
		applied(position(from.log, is.at), time.Duration(is.tip-is.at)*10*time.Millisecond)
		switch {
		case end >= 0 && is.at > end:
			return follow.ErrPast
		case is.at == end:
			return nil
		}
		next, wait := is.tip, 200*time.Millisecond
		if end >= 0 {
			next = end
		}
		if next = min(next, is.at+together); next > is.at {
			if err := l.w.act("apply "+l.String(), nil, func() { l.apply(name, is.at, next) }); err != nil {
				return err
			}
			wait = time.Millisecond
		}
		select {
		case p := <-until:
			end = index(from.log, p)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}

func (l link) domain() uint32 {
	if l.back {
		return 1 // of the master that it writes to
	}
	return 0
}

// apply commits transactions and the position after them in one.
func (l link) apply(name string, at, end int) {
	from, to := l.sides()
	if s := to.streams[name]; s.at != at {
		l.w.wrong("the way %s applies what comes after %d, and stands at %d: two follow at once", l, at, s.at)
		return
	}
	wrote := false
	for _, x := range from.log[at:end] {
		if cameBack(x) || x.key == "" {
			continue
		}
		if l.back && len(l.w.triggers) > 0 && !strings.HasPrefix(x.key, "canary-") { // whose table has none
			l.w.wrong("the way back writes, and the source has %d triggers", len(l.w.triggers))
		}
		if !l.back && len(l.w.made) > 0 {
			l.w.wrong("the target follows, and has %v", l.w.made)
		}
		wrote = true
		if !l.back && l.w.miss != nil && l.w.missed == "" && l.w.miss() {
			l.w.missed = x.key
			continue
		}
		to.commit(logged{domain: l.domain(), key: x.key, mark: true})
		var n uint64
		if _, err := fmt.Sscanf(x.key, "order-%d", &n); err == nil {
			to.next = max(to.next, n+1)
		}
	}
	if !wrote {
		to.commit(logged{domain: l.domain(), mark: true})
	}
	to.streams[name].at = end
}

// cameBack is the filter by origin: what an applier committed is on the other side.
func cameBack(x logged) bool { return x.mark }

// catchUp is a follower that goes on when all is over: what it brings is there once.
func (w *switchWorld) catchUp(l link) {
	from, to := l.sides()
	for name, s := range to.streams {
		if name == forwardStream || s == w.newest {
			triggers := w.triggers
			w.triggers = nil
			l.apply(name, s.at, len(from.log))
			w.triggers = triggers
		}
	}
}
