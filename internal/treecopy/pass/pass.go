package pass

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// Options are how a pass is made. The zero value is ready.
type Options struct {
	Delete   bool // what the target has and the source hasn't is taken away, also when no pass has copied it
	Verify   bool // each file that is sent is read back from the target's disk before it is recorded
	Without  []Feature
	Parallel int          // batches that go on at once; 0: 4
	Batch    Batch        // how large one is
	Meter    *Meter       // may be nil
	Tell     func(string) // what a person is to know meanwhile; may be nil

	// Pause waits; nil is a timer. For tests.
	Pause func(context.Context, time.Duration) error
}

// Batch is how large a batch gets: what is in one when a pass is killed is sent again.
type Batch struct {
	Files int   // 0: 1024
	Bytes int64 // 0: 32 MiB
}

func (o Options) orDefaults() Options {
	if o.Parallel == 0 {
		o.Parallel = 4
	}
	if o.Batch.Files == 0 {
		o.Batch.Files = 1024
	}
	if o.Batch.Bytes == 0 {
		o.Batch.Bytes = 32 << 20
	}
	if o.Tell == nil {
		o.Tell = func(string) {}
	}
	if o.Pause == nil {
		o.Pause = func(ctx context.Context, d time.Duration) error {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(d):
				return nil
			}
		}
	}
	return o
}

// runner is one pass under way.
type runner struct {
	src    tree.Source
	dst    tree.Target
	state  *State
	o      Options
	fits   fits
	report *tally

	mu     sync.Mutex
	dirty  map[tree.Path]bool // directories that must get their attributes: something in them was written or taken away
	lapsed []tree.Path        // that were copied once, and were gone when they were to be read
}

func newRunner(src tree.Source, dst tree.Target, st *State, o Options) *runner {
	r := &runner{src: src, dst: dst, state: st, o: o.orDefaults(), dirty: map[tree.Path]bool{}}
	r.fits.without = map[Feature]bool{}
	for _, f := range o.Without {
		r.fits.without[f] = true
	}
	r.report = &tally{Report: Report{Source: src.Name(), Target: dst.Name(), Began: time.Now().UTC()}, troubles: map[Trouble]int64{}}
	return r
}

// Run makes one pass. What the target has as the source had it when it was read last is recorded in st, also where Run ends with an error: the next
// Run goes on from there.
//
// Errors, where nothing was changed: ExtraError, VanishedError, UnkeptError, RoomError, all that apply at once; tree.ErrNoTree. Else: tree.ErrFull;
// tree.ErrLost after it was tried again; the context's cause; what the ends say. Troubles with single entries are in the report, and no error.
func Run(ctx context.Context, src tree.Source, dst tree.Target, st *State, o Options) (*Report, error) {
	r := newRunner(src, dst, st, o)
	err := r.pass1(ctx)
	r.report.close(src, err)
	return &r.report.Report, errors.Join(err, st.keep(&r.report.Report))
}

func (r *runner) pass1(ctx context.Context) error {
	if err := r.begin(ctx); err != nil {
		return err
	}
	p, err := newPlan(r.state.dir)
	if err != nil {
		return err
	}
	defer p.close()
	if err := r.compare(ctx, p); err != nil {
		return err
	}
	if err := r.execute(ctx, p); err != nil {
		return err
	}
	return r.state.fold()
}

// begin clears the target of what a killed pass has left, and finds out what it keeps and whether it is the one that is known.
func (r *runner) begin(ctx context.Context) error {
	return r.steady(ctx, func() (err error) {
		if err := r.dst.Sweep(ctx); err != nil {
			return r.named("sweep", r.dst.Name(), err)
		}
		if r.fits.Keeps, err = r.dst.Probe(ctx); err != nil {
			return r.named("probe", r.dst.Name(), err)
		}
		forgot, err := r.state.bind(r.fits.Root)
		if forgot {
			r.o.Tell(r.dst.Name() + " is another directory or volume than it was: all of it is compared anew")
		}
		return err
	})
}

// compare lists, and makes the plan.
func (r *runner) compare(ctx context.Context, p *plan) error {
	began := time.Now()
	defer func() { r.report.Took.List = time.Since(began) }()
	r.report.First = r.state.manifest == nil
	r.o.Meter.stage(Listing)
	c := &comparison{plan: p, report: r.report, fits: &r.fits, first: r.report.First, progress: func(n int64) {
		if n%256 == 0 {
			r.o.Meter.do(func(p *Progress) { p.Seen = n })
		}
	}}
	var target iter.Seq2[*tree.Stat, error]
	if c.first {
		target = list(ctx, r.dst)
	}
	if err := c.run(sights(list(ctx, r.src), r.state.known(), target)); err != nil {
		return err
	}
	r.report.Found, r.report.Kept = p.Totals, c.kept
	r.o.Meter.do(func(m *Progress) { m.Seen, m.Todo = r.report.Listed, p.Totals })
	return errors.Join(c.refusals(r.src.Name(), r.dst.Name(), &r.o)...)
}

// execute does what is planned.
func (r *runner) execute(ctx context.Context, p *plan) error {
	began := time.Now()
	defer func() { r.report.Took.Copy = time.Since(began) }()
	// What a killed pass has recorded has left its directories with other times.
	err := r.state.logged(func(e *Entry) {
		if e.Gone || e.Kind != tree.Directory {
			r.touch(e.Path)
		}
	})
	if err != nil {
		return err
	}
	if p.nothing() && len(r.dirty) == 0 {
		return nil
	}
	r.o.Meter.stage(Copying)
	if err := r.remove(ctx, p.before); err != nil {
		return err
	}
	if err := r.makeDirs(ctx, p); err != nil {
		return err
	}
	if err := r.sendAll(ctx, p); err != nil {
		return err
	}
	r.o.Meter.stage(Removing)
	if err := r.remove(ctx, append(p.after, r.lapsed...)); err != nil {
		return err
	}
	r.o.Meter.stage(Ending)
	return r.finish(ctx)
}

// sendAll goes through the files, some batches at once.
func (r *runner) sendAll(ctx context.Context, p *plan) error {
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(r.o.Parallel)
	for batch, err := range p.batches(r.o.Batch) {
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, all.Wait())
		}
		all.Go(func() error { return r.batch(ctx, batch) })
	}
	return all.Wait()
}

func (r *runner) batch(ctx context.Context, items []item) error {
	var send, adopt []item
	for _, it := range items {
		if it.op == opAdopt {
			adopt = append(adopt, it)
		} else {
			send = append(send, it)
		}
	}
	if len(adopt) > 0 {
		others, err := r.adopt(ctx, adopt)
		if err != nil {
			return err
		}
		send = append(send, others...)
	}
	return r.send(ctx, send)
}

// How often something is tried again when a connection breaks, and how long it waits before the first time; each time it is twice as long.
const (
	reconnects = 5
	reconnect  = time.Second
)

// steady does something again when a connection broke.
func (r *runner) steady(ctx context.Context, f func() error) error {
	for try := 1; ; try++ {
		err := f()
		if err == nil || !errors.Is(err, tree.ErrLost) || try > reconnects {
			return err
		}
		wait := reconnect << (try - 1)
		r.report.add(&r.report.Retried, 1)
		r.o.Meter.do(func(p *Progress) { p.Retried++; p.Again = err.Error() })
		r.o.Tell(fmt.Sprintf("%v; trying again in %s (%d of %d)", err, wait, try, reconnects))
		if err := r.o.Pause(ctx, wait); err != nil {
			return err
		}
	}
}

// touch notes that something that is no directory was written, or anything taken away: that changed its directory; and the root, where what is half
// made has its names.
func (r *runner) touch(p tree.Path) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.dirty, p)
	r.dirty[""] = true
	if dir, ok := p.Parent(); ok {
		r.dirty[dir] = true
	}
}

func (r *runner) gone(paths []tree.Path) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lapsed = append(r.lapsed, paths...)
}
