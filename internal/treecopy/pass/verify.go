package pass

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// Difference is one entry that isn't the same at both ends.
type Difference struct {
	Path  tree.Path `json:"-"`
	Name  string    `json:"path"` // the Path as it is printed: quoted
	What  string    `json:"what"`
	Since bool      `json:"since,omitempty"` // no pass has copied it as the source has it now: the next one does
}

// Comparison is what a comparison of two whole trees found.
type Comparison struct {
	Source string        `json:"source"`
	Target string        `json:"target"`
	Began  time.Time     `json:"began"`
	Took   time.Duration `json:"took"`

	Entries     int64        `json:"entries"` // of the source
	Files       int64        `json:"files"`   // whose contents both ends have hashed
	Bytes       int64        `json:"bytes"`
	LeftOut     int64        `json:"left_out"` // devices, sockets, FIFOs
	Different   int64        `json:"different"`
	Differences []Difference `json:"differences"`      // by path, the first of them
	Repair      *Report      `json:"repair,omitempty"` // what was sent anew
	Unrepaired  int64        `json:"unrepaired"`       // of Different, that are still so
}

// Same says whether the target has what the source has, also after a repair.
func (c *Comparison) Same() bool { return c.Unrepaired == 0 && (c.Repair == nil || c.Repair.Whole()) }

// Verify compares everything: kinds, modes, owners, times, links and which names are of one file, by listings; attributes, ACLs and the contents of
// every file by having both ends read them. With repair, what differs is sent anew, read back, and recorded; what only the target has is taken away
// if o.Delete says so. Without it nothing is changed.
func Verify(ctx context.Context, src tree.Source, dst tree.Target, st *State, o Options, repair bool) (*Comparison, error) {
	o.Verify = true
	v := &verifier{runner: newRunner(src, dst, st, o), toTarget: map[uint64]uint64{}, toSource: map[uint64]uint64{}}
	v.c = &Comparison{Source: src.Name(), Target: dst.Name(), Began: v.report.Began, Differences: []Difference{}}
	err := v.run(ctx, repair)
	v.c.Took = time.Since(v.c.Began)
	slices.SortFunc(v.c.Differences, func(a, b Difference) int { return tree.Compare(a.Path, b.Path) })
	return v.c, err
}

type verifier struct {
	*runner
	c    *Comparison
	plan *plan

	toTarget, toSource map[uint64]uint64 // which inode of one is which of the other, of files with several names
	dir                string            // as comparison.dir

	mu     sync.Mutex // of what follows, and of the Comparison and the plan's links
	redo   []item
	extras int64
}

func (v *verifier) run(ctx context.Context, repair bool) (err error) {
	if err := v.begin(ctx); err != nil {
		return err
	}
	if v.plan, err = newPlan(v.state.dir); err != nil {
		return err
	}
	defer v.plan.close()
	v.o.Meter.stage(Hashing)
	if err := v.compareAll(ctx); err != nil {
		return err
	}
	v.c.Unrepaired = v.c.Different
	if !repair || v.c.Different == 0 {
		return nil
	}
	slices.SortFunc(v.redo, func(a, b item) int { return tree.Compare(a.Path, b.Path) })
	for _, it := range v.redo {
		if err := v.plan.add(it); err != nil {
			return err
		}
	}
	if err := v.plan.end(func() {}); err != nil {
		return err
	}
	if !v.o.Delete {
		v.plan.before, v.plan.after = nil, nil
	}
	v.c.Repair, v.report.Found = &v.report.Report, v.plan.Totals
	v.o.Meter.do(func(p *Progress) { p.Todo = v.plan.Totals })
	err = v.execute(ctx, v.plan)
	v.report.close(nil, err)
	if err != nil {
		return err
	}
	v.c.Unrepaired = int64(len(v.report.Problems))
	if !v.o.Delete {
		v.c.Unrepaired += v.extras
	}
	return nil
}

func (v *verifier) compareAll(ctx context.Context) error {
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(v.o.Parallel)
	var batch []item
	var bytes int64
	flush := func() {
		if items := batch; len(items) > 0 {
			all.Go(func() error { return v.hash(ctx, items) })
		}
		batch, bytes = nil, 0
	}
	for s, err := range sights(list(ctx, v.src), v.state.known(), list(ctx, v.dst)) {
		if err != nil {
			return errors.Join(err, all.Wait())
		}
		it, ok := v.look(s)
		if !ok {
			continue
		}
		if len(batch) == v.o.Batch.Files || bytes+it.Size > v.o.Batch.Bytes {
			flush()
		}
		batch, bytes = append(batch, it), bytes+it.Size
	}
	flush()
	return all.Wait()
}

// look compares what the listings say; an entry that is the same as far as they go must be hashed.
func (v *verifier) look(s sight) (it item, hash bool) {
	if s.source != nil {
		v.c.Entries++
		if !s.source.Kind.Carried() {
			v.c.LeftOut++
			s.source = nil
		}
	}
	if s.source == nil {
		if s.target != nil && s.path != "lost+found" && !strings.HasPrefix(string(s.path), "lost+found/") {
			v.extra(s)
		}
		return it, false
	}
	it = item{op: opSend, had: s.known != nil, since: s.known == nil || !s.known.unchanged(s.source), Stat: *s.source}
	if it.Kind == tree.Directory {
		it.op = opDir
	}
	linked := it.Kind == tree.File && it.Names > 1
	if linked {
		v.mu.Lock()
		v.plan.name(it, false)
		v.mu.Unlock()
	}
	if s.target == nil {
		v.differ(it, "the target hasn't it")
		return it, false
	}
	if s.target.Kind == tree.Directory && it.Kind != tree.Directory {
		v.dir = string(s.path) + "/"
	}
	if d := v.fits.statsDiffer(s.source, s.target); d != "" {
		v.differ(it, d)
		return it, false
	}
	if it.Kind == tree.File && (linked || s.target.Names > 1) && !v.sameFile(s.source.Inode, s.target.Inode) {
		v.differ(it, "it isn't a name of the same file as its other names at the source are")
		return it, false
	}
	return it, it.Kind != tree.Symlink
}

// sameFile says whether two inodes are of each other only.
func (v *verifier) sameFile(source, target uint64) bool {
	t, a := v.toTarget[source]
	s, b := v.toSource[target]
	if !a && !b {
		v.toTarget[source], v.toSource[target] = target, source
		return true
	}
	return a && b && t == target && s == source
}

func (v *verifier) extra(s sight) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.extras++
	v.note(Difference{Path: s.path, What: "only the target has it", Since: s.known != nil})
	if v.dir != "" && strings.HasPrefix(string(s.path), v.dir) {
		v.plan.before = append(v.plan.before, s.path)
	} else {
		v.plan.after = append(v.plan.after, s.path)
	}
}

func (v *verifier) differ(it item, what string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.note(Difference{Path: it.Path, What: what, Since: it.since})
	if it.Kind == tree.File && it.Names > 1 {
		v.plan.links[it.Inode].send = true
	} else {
		v.redo = append(v.redo, it)
	}
}

// note counts a difference. The caller has the mutex.
func (v *verifier) note(d Difference) {
	v.c.Different++
	if len(v.c.Differences) < mostNamed {
		d.Name = d.Path.String()
		v.c.Differences = append(v.c.Differences, d)
	}
}

// hash has both ends read entries, and compares what they found.
func (v *verifier) hash(ctx context.Context, items []item) error {
	for try := 1; len(items) > 0; try++ {
		var here, there []tree.Sum
		err := v.steady(ctx, func() (err error) {
			here, there, err = v.both(ctx, paths(items))
			return err
		})
		if err != nil {
			return err
		}
		var moving []item
		for i, it := range items {
			a, b := &here[i], &there[i]
			switch {
			case (a.State == tree.Changed || b.State == tree.Changed) && try < attempts:
				moving = append(moving, it)
			case a.State == tree.Gone && b.State == tree.Gone:
			case a.State == tree.Gone:
				v.differ(it, "the source hasn't it any more")
			case b.State == tree.Gone:
				v.differ(it, "the target hasn't it any more")
			case a.State != tree.Stable:
				v.differ(it, "it can't be read at the source: "+because(a))
			case b.State != tree.Stable:
				v.differ(it, "it can't be read at the target: "+because(b))
			default:
				v.same(it, a, b)
			}
		}
		if items = moving; len(items) > 0 {
			if err := v.o.Pause(ctx, 50*time.Millisecond<<try); err != nil {
				return err
			}
		}
	}
	return nil
}

func because(s *tree.Sum) string {
	if s.State == tree.Changed {
		return fmt.Sprintf("it changed while it was read, %d times", attempts)
	}
	return s.Why
}

func (v *verifier) same(it item, a, b *tree.Sum) {
	if d := v.fits.differs(a, b); d != "" {
		v.differ(it, d)
	}
	if a.Kind != tree.File {
		return
	}
	v.o.Meter.do(func(p *Progress) { p.Files++; p.Bytes += a.Size })
	v.mu.Lock()
	defer v.mu.Unlock()
	v.c.Files++
	v.c.Bytes += a.Size
}
