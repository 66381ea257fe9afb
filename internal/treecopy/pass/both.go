package pass

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// both has the two ends hash the same paths at the same time.
func (r *runner) both(ctx context.Context, paths []tree.Path) (here, there []tree.Sum, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan error, 1)
	go func() {
		var err error
		if there, err = hashes(ctx, r.dst, paths); err != nil {
			cancel(err)
		}
		done <- err
	}()
	here, err = hashes(ctx, r.src, paths)
	if err != nil {
		cancel(err)
	}
	if other := <-done; other != nil && (err == nil || context.Cause(ctx) == other) {
		err = other // the one that came first
	}
	return here, there, err
}

func hashes(ctx context.Context, of tree.Source, paths []tree.Path) ([]tree.Sum, error) {
	got := make([]tree.Sum, 0, len(paths))
	err := of.Hash(ctx, paths, func(s tree.Sum) error {
		if len(got) == len(paths) || s.Path != paths[len(got)] {
			return fmt.Errorf("%w: it hashed %s", tree.ErrStream, s.Path)
		}
		got = append(got, s)
		return nil
	})
	if err == nil && len(got) < len(paths) {
		err = fmt.Errorf("%w: it hashed %d of %d files", tree.ErrStream, len(got), len(paths))
	}
	if err != nil {
		return nil, fmt.Errorf("hash %s: %w", of.Name(), err)
	}
	return got, nil
}

// differs says in what the target's entry isn't as the source's, as far as the target keeps it; "" where it is the same.
func (f *fits) differs(source, target *tree.Sum) string {
	if d := f.statsDiffer(&source.Stat, &target.Stat); d != "" {
		return d
	}
	if source.Kind == tree.File && source.Sum != target.Sum {
		return "its contents differ"
	}
	var what []string
	if f.Attrs && !slices.Equal(attrs(source.Attrs, true), attrs(target.Attrs, true)) {
		what = append(what, "its extended attributes differ")
	}
	if f.ACLs && !slices.Equal(attrs(source.Attrs, false), attrs(target.Attrs, false)) {
		what = append(what, "its ACL differs")
	}
	return strings.Join(what, "; ")
}

func attrs(all []tree.Attr, user bool) (out []tree.Attr) {
	for _, a := range all {
		if strings.HasPrefix(a.Name, "user.") == user {
			out = append(out, a)
		}
	}
	return out
}

// statsDiffer is differs for what a listing shows.
func (f *fits) statsDiffer(source, target *tree.Stat) string {
	if source.Kind != target.Kind {
		return fmt.Sprintf("it is a %s, and a %s at the source", target.Kind, source.Kind)
	}
	var what []string
	add := func(differs bool, format string, a ...any) {
		if differs {
			what = append(what, fmt.Sprintf(format, a...))
		}
	}
	add(source.Kind == tree.File && source.Size != target.Size, "it has %d bytes, and %d at the source", target.Size, source.Size)
	add(source.Kind == tree.Symlink && source.Link != target.Link, "it leads to %s, and to %s at the source", target.Link, source.Link)
	add(source.Kind != tree.Symlink && source.Mode != target.Mode, "its mode is %04o, and %04o at the source", target.Mode, source.Mode)
	add(f.Owners && (source.UID != target.UID || source.GID != target.GID), "it belongs to %d:%d, and to %d:%d at the source", target.UID, target.GID, source.UID, source.GID)
	add(f.time(source.MTime) != target.MTime, "its time is %s, and %s at the source", clock(target.MTime), clock(f.time(source.MTime)))
	return strings.Join(what, "; ")
}

func clock(t tree.Time) string { return t.Time().UTC().Format("2006-01-02T15:04:05.999999999Z") }
