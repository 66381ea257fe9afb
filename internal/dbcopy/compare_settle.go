package dbcopy

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/slipway-dev/slipway/internal/binlog"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
)

// A row that differs isn't a difference yet: the target may not have the source's last change of it. It is looked at again, with growing
// pauses, until the target has it in a state that the source was seen in since, or until it differs for good:
//
//   - where the follower's position is known, when the source's row was the same at several looks, the follower had passed the
//     position at which it was read, and the target's row was none of the source's states even then;
//   - where it isn't, when it has differed for Settle.
//
// A row that changes faster than both sides can be looked at is never equal by chance alone. So the states that the source was seen in
// are kept, and such a row is looked at nearly without a pause, so that most of its states are seen.
const (
	firstPause   = 100 * time.Millisecond
	longPause    = 2 * time.Second
	warmPause    = 40 * time.Millisecond // of a row that has changed at the source since it was first seen
	hotPause     = 5 * time.Millisecond  // of one that has changed since the look before
	quietLooks   = 4                     // looks in a row at which nothing changed and the follower was past: by then 3 s have gone by
	hotLooks     = 50                    // looks at a row that changes all the time, at least, before it differs for good
	leastLooks   = 3                     // looks, at least, where time decides
	lookRows     = 500                   // rows that are looked at by one statement
	mostSuspect  = 20_000
	mostStanding = 10 * time.Second // how long the follower may stand still before a row it has not reached, at least
)

// stands is mostStanding; a test has less time.
var stands = mostStanding

// again is what of a piece is being looked at again.
type again struct{ left int }

// suspect is a row that differed.
type suspect struct {
	def            *definition
	id             string // its key, as value.Append writes it
	key            [][]byte
	source, target state   // as last seen
	was            []state // that the source was seen in
	since          time.Time
	next           time.Time
	looks, quiet   int
	passed         int            // looks at which the follower had passed first
	changed        bool           // at the source, since the look before
	first, read    binlog.MariaDB // the source's position after it was first read, and after it was first read as it is now
	wrote          bool           // it was repaired, or may have been, and must prove to be equal now
	tries          int            // to repair it
	had            [2]state       // what both had before it was repaired
	fields         []string       // that differed then
	again          *again
}

// settle looks at suspects again. One goroutine does; others add to it.
type settle struct {
	c *compare

	mu     sync.Mutex
	all    []*suspect
	ranges int
	why    string

	repairs *repairs // nil: nothing is written

	applied binlog.MariaDB // the follower's position when it was last asked
	moved   time.Time      // when it was last another
}

// add takes a suspect over; it waits while there are too many.
func (s *settle) add(ctx context.Context, x *suspect) error {
	for {
		s.mu.Lock()
		if len(s.all) < mostSuspect {
			x.since = time.Now()
			x.next, x.was = x.since.Add(firstPause), []state{x.source}
			s.take(x)
			s.mu.Unlock()
			s.c.mu.Lock()
			s.c.out.Again.Rows++
			s.c.mu.Unlock()
			return nil
		}
		s.mu.Unlock()
		if err := sleep(ctx, firstPause); err != nil {
			return err
		}
	}
}

func (s *settle) take(x *suspect) {
	if x.again.left++; x.again.left == 1 {
		s.ranges++
	}
	s.all = append(s.all, x)
}

// again has a row that was, or was not, repaired looked at from the beginning.
func (s *settle) again(x *suspect) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x.since = time.Now()
	x.looks, x.quiet, x.passed, x.was, x.next = 0, 0, 0, []state{x.source}, x.since
	s.take(x)
}

// drop takes a suspect out.
func (s *settle) drop(x *suspect) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x.again.left--; x.again.left == 0 {
		s.ranges--
	}
	if i := slices.Index(s.all, x); i >= 0 {
		s.all = slices.Delete(s.all, i, i+1)
	}
}

// describe says what is being looked at again.
func (s *settle) describe(p *CompareProgress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.Ranges, p.Again = s.ranges, len(s.all)
	if len(s.all) == 0 {
		return
	}
	p.Longest = time.Since(slices.MinFunc(s.all, func(a, b *suspect) int { return a.since.Compare(b.since) }).since)
	p.Why = cmp.Or(s.why, "they differed, and the follower may have their changes still before it")
}

// run looks again until over is closed and nothing is left.
func (s *settle) run(ctx context.Context, over <-chan struct{}) error {
	for {
		ended := false
		select {
		case <-over:
			ended = true
		default:
		}
		for _, batch := range s.due() {
			if err := s.look(ctx, batch); err != nil {
				return fmt.Errorf("look again at rows of %s: %w", batch[0].def, err)
			}
		}
		s.mu.Lock()
		left, next := len(s.all), time.Now().Add(firstPause)
		for _, x := range s.all {
			if x.next.Before(next) {
				next = x.next
			}
		}
		s.mu.Unlock()
		if s.repairs != nil {
			if err := s.repairs.do(ctx, ended && left == 0); err != nil {
				return err
			}
		}
		s.mu.Lock()
		left = len(s.all)
		s.mu.Unlock()
		if ended && left == 0 {
			return nil
		}
		if err := sleep(ctx, max(time.Until(next), time.Millisecond)); err != nil {
			return err
		}
	}
}

// due are the suspects whose pause is over, in batches of one table.
func (s *settle) due() (out [][]*suspect) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	open := map[*definition]int{} // the batch that has room
	for _, x := range s.all {
		if x.next.After(now) {
			continue
		}
		i, ok := open[x.def]
		if !ok || len(out[i]) == lookRows {
			i = len(out)
			open[x.def], out = i, append(out, nil)
		}
		out[i] = append(out[i], x)
	}
	return out
}

// look reads the rows at the source, then at the target, and decides about those of which enough is known.
func (s *settle) look(ctx context.Context, batch []*suspect) error {
	def, keys := batch[0].def, make([]value.Bound, len(batch))
	for i, x := range batch {
		keys[i] = x.key
	}
	cs := def.identity()
	where, err := keyed(cs, keys)
	if err != nil {
		return err
	}
	// In this order: what the follower has passed, the source reads, and only then the target.
	var pos binlog.MariaDB
	if s.c.o.Applied != nil {
		if err := s.ask(ctx); err != nil {
			return err
		}
	}
	src, err := s.c.src.states(ctx, def, cs, where)
	if err == nil && s.c.o.Applied != nil {
		pos, err = s.c.src.position(ctx)
	}
	if err != nil {
		return err
	}
	dst, err := s.c.dst.states(ctx, def, cs, where)
	if err != nil {
		return err
	}
	for _, x := range batch {
		still := x.looks > 0 && x.source == src[x.id] && x.target == dst[x.id]
		past := s.c.o.Applied != nil && x.looks > 0 && passed(s.applied, x.read)
		if s.c.o.Applied != nil && x.looks > 0 && passed(s.applied, x.first) {
			x.passed++
		}
		x.changed = x.looks > 0 && x.source != src[x.id]
		if x.looks == 0 {
			x.first = pos
		}
		if x.looks == 0 || x.changed {
			x.read = pos
		}
		x.looks++
		x.source, x.target = src[x.id], dst[x.id]
		if !slices.Contains(x.was, x.source) {
			x.was = append(x.was, x.source)
		}
		if still && past {
			x.quiet++
		} else {
			x.quiet = 0
		}
		if err := s.decide(ctx, x); err != nil {
			return err
		}
	}
	return nil
}

// decide: equal, wrong, or to be looked at again.
func (s *settle) decide(ctx context.Context, x *suspect) error {
	age := time.Since(x.since)
	if slices.Contains(x.was, x.target) {
		s.drop(x)
		s.c.mu.Lock()
		s.c.out.Again.Longest = max(s.c.out.Again.Longest, age)
		s.c.mu.Unlock()
		if x.wrote {
			return s.c.differs(ctx, x, "")
		}
		return nil
	}
	wrong, hot := false, len(x.was) > 1
	switch late := age >= s.c.o.Settle; {
	case s.c.o.Applied == nil:
		wrong = late && x.looks >= leastLooks && (!hot || x.looks >= hotLooks)
	case x.quiet >= quietLooks:
		wrong = true
	case late && hot && x.passed >= hotLooks: // before that the target had states of before the first look
		wrong = true
	case late && !passed(s.applied, x.read):
		if err := s.standing(x); err != nil {
			return err
		}
	}
	if wrong {
		s.drop(x)
		if s.repairs != nil && !x.wrote {
			s.repairs.wrong[x.def] = append(s.repairs.wrong[x.def], x)
			return nil
		}
		why := ""
		switch {
		case x.wrote:
			why = "it was repaired, and differs again"
		case hot:
			why = fmt.Sprintf("it changes all the time; it was looked at %d times, and the target never had what the source had had", x.looks)
		}
		return s.c.differs(ctx, x, why)
	}
	pause := min(firstPause<<min(x.looks, 10), longPause)
	if hot {
		pause = warmPause
		if x.changed {
			pause = hotPause
		}
	}
	x.next = time.Now().Add(pause)
	if end := x.since.Add(s.c.o.Settle); s.c.o.Applied == nil && x.looks >= leastLooks-1 && end.After(time.Now()) && end.Before(x.next) {
		x.next = end
	}
	return nil
}

// ask asks how far the follower is.
func (s *settle) ask(ctx context.Context) error {
	at, err := s.c.o.Applied(ctx)
	if err != nil {
		return fmt.Errorf("ask how far the follower is: %w", err)
	}
	if s.moved.IsZero() || at.String() != s.applied.String() {
		s.moved = time.Now()
		s.mu.Lock()
		s.why = ""
		s.mu.Unlock()
	}
	s.applied = at
	return nil
}

// standing ends the comparison when the follower has not moved for long while a row waits for it.
func (s *settle) standing(x *suspect) error {
	stood := time.Since(s.moved)
	s.mu.Lock()
	s.why = fmt.Sprintf("the follower is at %s, and they were read at %s", s.applied, x.read)
	s.mu.Unlock()
	if stood < max(s.c.o.Settle, stands) {
		return nil
	}
	return fmt.Errorf("%w: it has been at %s for %s, and the source's rows were read at %s", ErrFollowerStands, s.applied, stood.Round(time.Second), x.read)
}

// passed says whether a follower that has applied all until at has applied all until what.
func passed(at, what binlog.MariaDB) bool {
	last := at.Last()
	for _, w := range what.Last() {
		i := slices.IndexFunc(last, func(g binlog.GTID) bool { return g.Domain == w.Domain })
		if i < 0 || last[i].Seq < w.Seq {
			return false
		}
	}
	return true
}
