package pass

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// some is how many directories, or names to be taken away, are dealt with in one call.
const some = 1024

// makeDirs makes the directories of a plan, each after the one that it is in.
func (r *runner) makeDirs(ctx context.Context, p *plan) error {
	var items []item
	flush := func() error {
		if len(items) == 0 {
			return nil
		}
		err := r.send(ctx, items)
		items = items[:0]
		return err
	}
	for it, err := range p.items() {
		if err != nil {
			return err
		}
		if it.op != opDir {
			continue
		}
		r.touch(it.Path)
		r.mu.Lock()
		r.dirty[it.Path] = true
		r.mu.Unlock()
		if items = append(items, it); len(items) == some {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// remove takes entries away at the target, what is in a directory before the directory.
func (r *runner) remove(ctx context.Context, paths []tree.Path) error {
	slices.SortFunc(paths, func(a, b tree.Path) int { return tree.Compare(b, a) })
	for piece := range slices.Chunk(paths, some) {
		err := r.steady(ctx, func() error { return r.named("remove from", r.dst.Name(), r.dst.Remove(ctx, piece)) })
		if err != nil {
			return err
		}
		run := make([]Entry, len(piece))
		for i, p := range piece {
			run[i] = Entry{Stat: tree.Stat{Path: p}, Gone: true}
			r.touch(p)
		}
		if err := r.state.record(run); err != nil {
			return err
		}
		r.report.add(&r.report.Removed, int64(len(piece)))
	}
	return nil
}

// finish gives directories their attributes, each before the one that it is in, and returns when all is on the target's disk.
func (r *runner) finish(ctx context.Context) error {
	if len(r.dirty) == 0 {
		return nil
	}
	dirs := make([]item, 0, len(r.dirty))
	for d := range r.dirty {
		dirs = append(dirs, item{op: opDir, Stat: tree.Stat{Path: d, Kind: tree.Directory}})
	}
	slices.SortFunc(dirs, func(a, b item) int { return tree.Compare(b.Path, a.Path) })
	for piece := range slices.Chunk(dirs, some) {
		if err := r.finishSome(ctx, piece); err != nil {
			return err
		}
	}
	return nil
}

func (r *runner) finishSome(ctx context.Context, pending []item) error {
	for try := 0; len(pending) > 0; try++ {
		if try > 0 {
			if err := r.o.Pause(ctx, 50*time.Millisecond<<try); err != nil {
				return err
			}
		}
		var got []outcome
		var members []tree.Member
		var run []Entry
		var changed []item
		err := r.steady(ctx, func() (err error) {
			if got, err = r.collect(ctx, pending); err != nil {
				return err
			}
			members, run, changed = nil, nil, nil
			for i, o := range got {
				switch {
				case o.End.State == tree.Stable:
					run = append(run, Entry{Stat: o.Stat, At: o.End.At})
					if err := r.fits.strip(&o.Member, r.dst.Name()); err != nil {
						return err
					}
					members = append(members, o.Member)
				case o.End.State == tree.Changed && o.Kind == tree.Directory:
					changed = append(changed, pending[i])
				case o.End.State == tree.Unreadable:
					r.report.trouble(o.Member.Path, Unreadable, o.End.Why)
				} // what is gone, or is none any more, is for the next pass
			}
			return r.named("end directories of", r.dst.Name(), r.dst.Finish(ctx, members))
		})
		if err != nil {
			return err
		}
		if err := r.state.record(run); err != nil {
			return err
		}
		r.report.add(&r.report.Dirs, int64(len(run)))
		if try == attempts-1 {
			for _, it := range changed {
				r.report.trouble(it.Path, Changing, fmt.Sprintf("it changed while it was read, %d times", attempts))
			}
			return nil
		}
		pending = changed
	}
	return nil
}
