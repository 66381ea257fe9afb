package pass

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// attempts is how often an entry is read, and written, before it is given up.
const attempts = 6

// send copies the items of a batch, and records what came of them. An error is of the connection or of an end as a whole; troubles with single
// entries are in the report.
func (r *runner) send(ctx context.Context, items []item) error {
	pending, why := items, map[tree.Path]again(nil)
	for try := 0; len(pending) > 0; try++ {
		if try == attempts {
			for _, it := range pending {
				r.report.trouble(it.Path, why[it.Path].trouble, fmt.Sprintf("%s, %d times", why[it.Path].why, attempts))
			}
			return nil
		}
		if try > 0 {
			r.again(pending, why)
			if err := r.o.Pause(ctx, 50*time.Millisecond<<try); err != nil {
				return err
			}
		}
		err := r.steady(ctx, func() error {
			if len(pending) == 0 { // all was told of before the connection broke
				return nil
			}
			outcomes, err := r.relay(ctx, pending)
			if err != nil && !errors.Is(err, tree.ErrLost) && !errors.Is(err, tree.ErrFull) {
				return err // of what was told before it nothing is known
			}
			var bad error
			if why, bad = r.settle(ctx, pending, outcomes); bad != nil {
				return errors.Join(err, bad)
			}
			pending = slices.DeleteFunc(slices.Clone(pending), func(it item) bool { _, redo := why[it.Path]; return !redo })
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// again is why an entry must be done again.
type again struct {
	trouble Trouble
	why     string
}

// settle looks at what came of the first of some items, and records those that are at the target. It gives those that must be done again.
func (r *runner) settle(ctx context.Context, items []item, outcomes []outcome) (map[tree.Path]again, error) {
	redo := map[tree.Path]again{}
	var there []outcome
	var gone []tree.Path
	for i := range outcomes {
		o := &outcomes[i]
		p := o.Member.Path
		switch {
		case o.End.State == tree.Gone:
			if items[i].had {
				gone = append(gone, p)
			}
		case o.End.State == tree.Changed:
			why := "it changed while it was read"
			if o.End.Why != "" {
				why = o.End.Why
			}
			redo[p] = again{Changing, why}
		case o.End.State != tree.Stable:
			r.report.trouble(p, Unreadable, o.End.Why)
		case o.Written.State != tree.Stable:
			r.report.trouble(p, Failed, o.Written.Why)
		case o.Kind == tree.File && o.SameAs == "" && o.End.Sum != o.Written.Sum:
			redo[p] = again{Failed, "other bytes arrived than were sent"}
		case o.Kind != tree.Directory: // a directory is there for good when it has its attributes
			there = append(there, *o)
		}
	}
	if r.o.Verify {
		if err := r.readBack(ctx, there, redo); err != nil {
			return nil, err
		}
	}
	for _, it := range items[len(outcomes):] {
		redo[it.Path] = again{Failed, "it isn't known whether it was written"}
	}
	allNames(items, redo)
	r.gone(gone)
	return redo, r.recorded(slices.DeleteFunc(there, func(o outcome) bool { _, bad := redo[o.Member.Path]; return bad }))
}

// recorded writes down that entries are at the target.
func (r *runner) recorded(there []outcome) error {
	run := make([]Entry, 0, len(there))
	for i := range there {
		o := &there[i]
		run = append(run, Entry{Stat: o.Stat, Sum: o.End.Sum, At: o.End.At})
		r.touch(o.Member.Path)
	}
	if err := r.state.record(run); err != nil {
		return err
	}
	r.report.add(&r.report.Sent, int64(len(run)))
	r.o.Meter.do(func(p *Progress) { p.Files += int64(len(run)) })
	return nil
}

// readBack has the target read what it wrote; what isn't what the source read must be done again.
func (r *runner) readBack(ctx context.Context, there []outcome, redo map[tree.Path]again) error {
	var files []tree.Path
	want := map[tree.Path]*outcome{}
	for i := range there {
		if o := &there[i]; o.Kind == tree.File && o.SameAs == "" {
			files = append(files, o.Member.Path)
			want[o.Member.Path] = o
		}
	}
	if len(files) == 0 {
		return nil
	}
	n := 0
	err := r.dst.Hash(ctx, files, func(s tree.Sum) error {
		if n == len(files) || s.Path != files[n] {
			return fmt.Errorf("%w: it hashed %s", tree.ErrStream, s.Path)
		}
		n++
		if s.State != tree.Stable {
			redo[s.Path] = again{Failed, "it can't be read back: " + s.End.Why}
		} else if s.Sum != want[s.Path].End.Sum {
			redo[s.Path] = again{Failed, "it reads back otherwise than it was written"}
		}
		return nil
	})
	if err == nil && n < len(files) {
		err = fmt.Errorf("%w: it hashed %d of %d files", tree.ErrStream, n, len(files))
	}
	if err != nil {
		return r.named("read back from", r.dst.Name(), err)
	}
	r.report.add(&r.report.Checked, int64(len(files)))
	return nil
}

// allNames adds to what must be done again all names of the files that have one among it, so that they stay names of one file.
func allNames(items []item, redo map[tree.Path]again) {
	files := map[uint64]again{}
	for _, it := range items {
		if why, ok := redo[it.Path]; ok && it.Kind == tree.File && it.Names > 1 {
			files[it.Inode] = why
		}
	}
	for _, it := range items {
		if why, ok := files[it.Inode]; ok && it.Kind == tree.File {
			redo[it.Path] = why
		}
	}
}

// again counts what is done again.
func (r *runner) again(items []item, why map[tree.Path]again) {
	r.report.add(&r.report.Retried, int64(len(items)))
	first := items[0].Path
	r.o.Meter.do(func(p *Progress) {
		p.Retried += int64(len(items))
		p.Again = fmt.Sprintf("%s: %s", first, why[first].why)
	})
}

// adopt compares files that the target has already, and gives those that must be sent all the same.
func (r *runner) adopt(ctx context.Context, items []item) (send []item, err error) {
	var here, there []tree.Sum
	err = r.steady(ctx, func() (err error) {
		here, there, err = r.both(ctx, paths(items))
		return err
	})
	if err != nil {
		return nil, err
	}
	var run []Entry
	var n int64
	for i, it := range items {
		a, b := &here[i], &there[i]
		if a.State != tree.Stable || b.State != tree.Stable || a.Kind != tree.File || r.fits.differs(a, b) != "" {
			it.op = opSend
			send = append(send, it)
			continue
		}
		run = append(run, Entry{Stat: a.Stat, Sum: a.Sum, At: a.At})
		n += a.Size
	}
	if err := r.state.record(run); err != nil {
		return nil, err
	}
	r.report.add(&r.report.Adopted, int64(len(run)))
	r.o.Meter.do(func(p *Progress) { p.Files += int64(len(run)); p.Bytes += n })
	return send, nil
}
