package dbcopy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-dev/slipway/internal/binlog"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
)

// CompareOptions are what of two living servers is compared, and how.
type CompareOptions struct {
	Schemas    []string
	Only       []Region      // nothing but these; empty: all tables and views of the schemas
	Workers    int           // checksums that each of the servers computes at once; 0: 4
	ChunkBytes int64         // a chunk has about so many bytes, by the source's estimate of a row; 0: 4 MiB
	Most       int           // at most so many rows are named; 0: 50. Without Repair, no more are looked for then
	Settle     time.Duration // how long rows that differ are looked at again; 0: 10 s
	Patience   time.Duration // how long a server that is lost is tried again; 0: 1 minute
	Repair     bool          // rows of the target that differ are written anew from the source's
	// Applied is how far the follower has applied the source's log, or nil where nobody knows or nothing is followed. With it, a row
	// differs when the follower has passed the state that the source has it in; without it, when it has differed for Settle.
	Applied func(context.Context) (binlog.MariaDB, error)
	Tell    func(CompareProgress) // may be nil; called twice a second, and when there is something to say; never twice at once
}

// Region is a table, or the rows of it after one edge of its range key and up to another, the latter included.
type Region struct {
	Schema, Table string
	After, UpTo   value.Bound
}

const (
	defaultSettle   = 10 * time.Second
	defaultPatience = time.Minute
)

// CompareProgress is how far a comparison has come.
type CompareProgress struct {
	Progress                // totals are the source's estimates
	Chunks    int64         // ranges whose checksums were compared
	Ranges    int           // of them, those with rows that are being looked at again
	Again     int           // rows that are being looked at again
	Longest   time.Duration // for how long the oldest of these has differed
	Why       string        // why they are looked at again
	Different int64         // rows that differ, for good
	Repaired  int64
	Say       string // what a person should know now: a server is lost and is tried again
}

// Comparison is what a comparison found. Its JSON is documented in docs/json.md.
type Comparison struct {
	Source   ServerVersion `json:"source"`
	Target   ServerVersion `json:"target"`
	Schemas  []string      `json:"schemas"`
	Began    time.Time     `json:"began"`
	Took     time.Duration `json:"took"`
	Position string        `json:"position"` // the source's gtid_binlog_pos when it began: all written until there is compared
	Decided  string        `json:"decided"`  // "gtid" or "time": what makes a row that differs a difference

	Tables int64 `json:"tables"`
	Views  int64 `json:"views"`
	Chunks int64 `json:"chunks"`
	Rows   int64 `json:"rows"`  // that the source had
	Bytes  int64 `json:"bytes"` // by the source's estimate of a row

	Again     Again        `json:"again"`
	Different int64        `json:"different"` // rows and objects that differ, with those that were repaired
	Repaired  int64        `json:"repaired"`
	Found     []Difference `json:"differences"`
	More      bool         `json:"more"` // not all that differ are named; without repair, no more were looked for
}

// Again is what was looked at again because it was changing.
type Again struct {
	Ranges  int64         `json:"ranges"`
	Rows    int64         `json:"rows"`
	Longest time.Duration `json:"longest"` // how long it took until the last of them was found equal
}

// Same says whether the target has what the source has, after repairs.
func (c *Comparison) Same() bool { return c.Different == c.Repaired }

var (
	// ErrOneServer: source and target are one server. Correct a reference.
	ErrOneServer = errors.New("source and target are one and the same server")
	// ErrKinds: the source is no MariaDB, or the target is no MySQL of 8.0.21 or later. Correct a reference.
	ErrKinds = errors.New("the source is to be a MariaDB, and the target a MySQL")
	// ErrNoSchema: a server hasn't the schema. Correct the name; or copy it first.
	ErrNoSchema = errors.New("no such schema")
	// ErrDefinitions: a definition changed while rows were compared. Try again when nobody changes any.
	ErrDefinitions = errors.New("a definition changed while rows were compared")
	// ErrFollowerStands: the follower doesn't go on, so rows that differ can't be judged. See that it runs.
	ErrFollowerStands = errors.New("the follower stands still")
)

// compare is one comparison under way.
type compare struct {
	o        CompareOptions
	src, dst *side
	defs     definitions
	settle   settle
	meter    meter
	chunks   atomic.Int64
	enough   context.CancelCauseFunc

	mu  sync.Mutex
	out Comparison

	telling sync.Mutex
}

// errEnough ends a comparison that has found more than it names.
var errEnough = errors.New("enough differences")

// Compare compares every row of every table of the schemas on two servers that are written to: on the target, by a follower that applies
// what is written to the source. Ranges whose checksums differ are looked into until the rows are known that do, and these are looked at
// again until they are equal, or differ for good. It writes nothing, but with Repair the rows of the target that differ for good.
//
// What differs is in the Comparison. An error says that they could not be compared, and the Comparison is what was found until then.
func Compare(ctx context.Context, src *Source, dst *Target, o CompareOptions) (Comparison, error) {
	c := newCompare(src, dst, o)
	err := c.run(ctx, src.ep, dst.ep)
	c.out.Took = time.Since(c.out.Began)
	slices.SortStableFunc(c.out.Found, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(a.Object, b.Object), cmp.Compare(len(a.Key), len(b.Key)), cmp.Compare(a.Key, b.Key))
	})
	return c.out, err
}

func newCompare(src *Source, dst *Target, o CompareOptions) *compare {
	o.Workers, o.Most, o.ChunkBytes = cmp.Or(o.Workers, defaultWorkers), cmp.Or(o.Most, defaultMost), cmp.Or(o.ChunkBytes, defaultChunkBytes)
	o.Settle, o.Patience = cmp.Or(o.Settle, defaultSettle), cmp.Or(o.Patience, defaultPatience)
	if o.Tell == nil {
		o.Tell = func(CompareProgress) {}
	}
	c := &compare{o: o}
	c.settle.c = c
	c.out = Comparison{Source: ServerVersion{Name: src.ep.Name}, Target: ServerVersion{Name: dst.ep.Name}, Schemas: slices.Clone(o.Schemas), Began: time.Now().UTC(), Decided: "time", Found: []Difference{}}
	if o.Applied != nil {
		c.out.Decided = "gtid"
	}
	return c
}

// open makes the connections; end gives them back.
func (c *compare) open(src, dst Endpoint, end *[2]func() error) (err error) {
	say := func(what string) { c.tell(what) }
	if c.src, end[0], err = newSide(src, value.MariaDB, c.o, Session{"max_statement_time": "0", "tx_read_only": "1"}, say); err != nil {
		return err
	}
	c.dst, end[1], err = newSide(dst, value.MySQL, c.o, Session{"max_execution_time": "0"}, say)
	return err
}

// Rounds compares again and again, with a pause between, until the caller has enough or ctx ends: what a verification does that goes on
// until the switch. An error is given once and ends it.
func Rounds(ctx context.Context, src *Source, dst *Target, o CompareOptions, pause time.Duration) iter.Seq2[Comparison, error] {
	return func(yield func(Comparison, error) bool) {
		for {
			c, err := Compare(ctx, src, dst, o)
			if !yield(c, err) || err != nil {
				return
			}
			if sleep(ctx, pause) != nil {
				return
			}
		}
	}
}

func (c *compare) run(ctx context.Context, src, dst Endpoint) (err error) {
	var end [2]func() error
	defer func() {
		for _, give := range end {
			if give != nil {
				_ = give() // nothing is under way any more
			}
		}
	}()
	if err := c.open(src, dst, &end); err != nil {
		return err
	}
	if c.o.Repair {
		db, err := dst.Open(LoadSession(strictMode), 1)
		if err != nil {
			return err
		}
		defer db.Close()
		c.settle.repairs = &repairs{c, db, map[*definition][]*suspect{}, map[*definition][]*suspect{}}
	}
	regions, err := c.objects(ctx)
	if err != nil {
		return err
	}
	pos, err := c.src.position(ctx)
	if err != nil {
		return err
	}
	c.out.Position = pos.String()
	if c.o.Applied != nil { // who goes on from this position relies on it
		if err := c.src.seen(ctx, pos); err != nil {
			return err
		}
	}
	ctx, c.enough = context.WithCancelCause(ctx)
	defer c.enough(nil)
	quiet := c.ticker()
	defer quiet()
	g, ctx := errgroup.WithContext(ctx)
	queue := make(chan *piece, 2*c.o.Workers)
	g.Go(func() error { defer close(queue); return c.cut(ctx, regions, queue) })
	var busy sync.WaitGroup
	for range c.o.Workers {
		busy.Add(1)
		g.Go(func() error {
			defer busy.Done()
			for p := range queue {
				if err := c.piece(ctx, p); err != nil {
					return fmt.Errorf("compare %s: %w", p.def, err)
				}
			}
			return nil
		})
	}
	over := make(chan struct{})
	go func() { busy.Wait(); close(over) }()
	g.Go(func() error { return c.settle.run(ctx, over) })
	if err := g.Wait(); err != nil && !errors.Is(context.Cause(ctx), errEnough) {
		return err
	}
	return nil
}

// ticker tells how far it is, twice a second, until stop is called.
func (c *compare) ticker() (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				c.tell("")
			case <-end:
				return
			}
		}
	}()
	return func() { close(end); <-ended }
}

func (c *compare) tell(say string) {
	p := CompareProgress{Chunks: c.chunks.Load(), Say: say}
	p.Rows, p.Bytes = c.meter.rows.Load(), c.meter.bytes.Load()
	p.TotalRows, p.TotalBytes = max(p.Rows, c.meter.totalRows), max(p.Bytes, c.meter.totalBytes)
	c.settle.describe(&p)
	c.mu.Lock()
	p.Different, p.Repaired = c.out.Different, c.out.Repaired
	c.mu.Unlock()
	c.telling.Lock()
	defer c.telling.Unlock()
	c.o.Tell(p)
}

// note records something that differs, and names it while there is room.
func (c *compare) note(d Difference) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out.Different++
	if d.Repaired {
		c.out.Repaired++
	}
	if len(c.out.Found) < c.o.Most {
		c.out.Found = append(c.out.Found, d)
		return
	}
	c.out.More = true
	if !c.o.Repair && c.enough != nil {
		c.enough(errEnough)
	}
}

// room says whether the next difference will be named.
func (c *compare) room() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.out.Found) < c.o.Most
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
