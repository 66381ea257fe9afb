package recheck

import (
	"errors"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/slipway-dev/slipway/internal/binlog"
	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
	"github.com/slipway-dev/slipway/internal/dbcopy/follow"
)

// What is kept of the log at most; reading waits while there is no room. A key takes its own bytes and about keyBytes more.
const (
	roomBytes = 32 << 20
	roomMarks = 50_000
	keyBytes  = 400
)

// mark is a transaction of which not all that it changed is verified.
type mark struct {
	no        uint64
	end       changes.Position
	committed time.Time
	open      int       // keys that are verified up to before it
	whole     bool      // all that it changed is in the book
	passed    time.Time // when the target was first seen to have it, by this machine's clock
}

// what is what is looked at: a row, or the rows that a foreign key's columns have a value in.
type what struct {
	t   *table
	key *reference // nil: a row
	id  string     // of the row, or the values; as value.Append writes them
}

// open is one that isn't verified.
type open struct {
	what
	first uint64 // the mark from which on it isn't
	last  uint64 // the last that changed it
	there bool   // the log says that the row is there after that

	was    []sample
	looks  int
	quiet  int            // looks in a row, all of them past read, at which nothing changed
	both   dbcopy.Both    // as last seen
	read   binlog.MariaDB // the source's position after it was first seen so
	next   time.Time
	calm   uint64 // the last mark that may have changed it out of the log's sight, when it was last seen
	odd    bool   // the two sides are the same, and not what the log says
	weighs int
}

// sample is what the source had when a mark could be seen there.
type sample struct {
	has  dbcopy.Found
	seen uint64
}

// book is what was changed and isn't verified. The reader of the log writes into it, and who looks at rows crosses out.
type book struct {
	mu       sync.Mutex
	marks    []*mark
	no       uint64 // of the last mark
	all      map[what]*open
	weighs   int
	most     int // that it ever weighed
	room     int
	read     changes.Position // how far the log was read
	newest   time.Time        // when the last that was read was committed
	verified changes.Position
	waits    bool // the reader waits: for room, or for all before a statement that was passed by
}

func newBook(from changes.Position, room int) *book {
	return &book{all: map[what]*open{}, room: room, read: from, verified: from}
}

// begin enters a transaction.
func (b *book) begin(tx *changes.Transaction) *mark {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.no++
	m := &mark{no: b.no, end: tx.End, committed: tx.Committed}
	b.marks = append(b.marks, m)
	return m
}

// full: nothing more can be entered now.
func (b *book) full() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waits = b.weighs >= b.room || len(b.marks) >= roomMarks
	return b.waits
}

// stand: nothing more is read until all that is in the book is verified.
func (b *book) stand() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waits = true
}

// change enters what a transaction changed. A row that is in the book already is there once.
func (b *book) change(m *mark, w what, there bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	x := b.all[w]
	if x == nil {
		x = &open{what: w, first: m.no, weighs: len(w.id) + keyBytes}
		b.all[w] = x
		b.weighs += x.weighs
		b.most = max(b.most, b.weighs)
		m.open++
	}
	x.last, x.there, x.quiet, x.next = m.no, there, 0, time.Time{}
}

// cascades notes that a transaction may have changed rows of these tables of which the log says nothing.
func (b *book) cascades(m *mark, ts []*table) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range ts {
		t.cascaded = m.no
	}
}

// ended: all of a transaction is in the book; m is nil where it changed nothing.
func (b *book) ended(m *mark, end changes.Position, committed time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.read = end
	if !committed.IsZero() {
		b.newest = committed
	}
	if m != nil {
		m.whole = true
	}
	b.settle()
}

// settle moves what is verified over transactions of which nothing is open.
func (b *book) settle() {
	n := 0
	for n < len(b.marks) && b.marks[n].whole && b.marks[n].open == 0 {
		b.verified = b.marks[n].end
		n++
	}
	b.marks = slices.Delete(b.marks, 0, n)
	if len(b.marks) == 0 {
		b.verified = b.read
	}
}

// reach says how far the target has the log and how far it can be seen at the source, as marks: the last of each, or what is before the first.
func (b *book) reach(applied changes.Position, visible binlog.File) (has, seen uint64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := sort.Search(len(b.marks), func(i int) bool {
		in, cerr := follow.Covers(applied, b.marks[i].end)
		err = errors.Join(err, cerr)
		return !in
	})
	for i := n - 1; i >= 0 && b.marks[i].passed.IsZero(); i-- {
		b.marks[i].passed = time.Now()
	}
	k := sort.Search(len(b.marks), func(i int) bool {
		order, cerr := b.marks[i].end.File.Compare(visible)
		err = errors.Join(err, cerr)
		return order == binlog.After
	})
	first := b.no + 1 - uint64(len(b.marks))
	return first + uint64(n) - 1, first + uint64(k) - 1, err
}

// due are those that can be looked at now, at most so many.
func (b *book) due(upTo uint64, most int) (out []*open) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.marks) == 0 || b.marks[0].no > upTo {
		return nil
	}
	now := time.Now()
	for _, x := range b.all {
		if x.first <= upTo && !x.next.After(now) {
			if out = append(out, x); len(out) == most {
				break
			}
		}
	}
	return out
}

// hurry has all that is open looked at at once.
func (b *book) hurry() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, x := range b.all {
		x.next = time.Time{}
	}
}

// advance: it is verified up to and with mark no.
func (b *book) advance(x *open, no uint64) {
	b.markOf(x.first).open--
	if no >= x.last {
		delete(b.all, x.what)
		b.weighs -= x.weighs
		return
	}
	x.first = no + 1
	b.markOf(x.first).open++
	x.was = slices.DeleteFunc(x.was, func(s sample) bool { return s.seen <= no })
}

func (b *book) markOf(no uint64) *mark { return b.marks[no-b.marks[0].no] }

// Standing is how far the verification is.
type Standing struct {
	Verified     changes.Position
	Open         int           // rows that are to be compared yet
	Known        bool          // how far behind it is: not before something was read
	Lag          time.Duration // behind the follower
	Transactions int64         // behind the follower, by their GTIDs
}

// standing holds what is verified against what the target has.
func (b *book) standing(s follow.State) (out Standing, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	out = Standing{Verified: b.verified, Open: len(b.all)}
	at, err := follow.Covers(b.verified, s.Position)
	if out.Known = at; at || err != nil {
		return out, err
	}
	for _, g := range s.Position.MariaDB.Last() {
		for _, v := range b.verified.MariaDB.Last() {
			if v.Domain == g.Domain {
				out.Transactions += max(0, int64(g.Seq)-int64(v.Seq))
			}
		}
	}
	since := b.newest
	if len(b.marks) > 0 {
		since = b.marks[0].committed
		if p := b.marks[0].passed; !p.IsZero() {
			out.Lag = time.Since(p)
		}
	}
	if out.Known = !since.IsZero(); out.Known {
		out.Lag = max(out.Lag, s.Committed.Sub(since))
	}
	return out, nil
}
