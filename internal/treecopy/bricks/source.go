// Package bricks reads the files of a Gluster volume straight from its bricks where that is safe, and through the volume's mount where it
// isn't: through the mount each file costs round trips to every replica.
//
// Names come from the mount alone. A file comes from a brick when two bricks have it in the same state with the same contents, and each finds
// nothing that speaks against it (package disk's Brick says what it looks at). Whatever is in doubt is said to have changed, so that who reads asks
// again, and is then read through the mount.
//
// It imports package tree alone.
package bricks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// Brick is the directory of one brick on its host. Of what it gives, Stat is what the volume's mount says of the file, if nothing is in doubt:
// State is tree.Doubtful otherwise, and for all that isn't a file.
type Brick interface {
	// Name is what messages call it.
	Name() string
	// ReadBrick writes the members of these paths as a tree.Stream, in their order and each exactly once.
	ReadBrick(ctx context.Context, paths []tree.Path, out io.Writer) error
	// HashBrick gives the sums of these files, in their order and each exactly once.
	HashBrick(ctx context.Context, paths []tree.Path, each func(tree.Sum) error) error
}

// Source is a volume: names from its mount, contents from its bricks.
type Source struct {
	tree.Source // the mount
	bricks      []Brick
	turn        atomic.Uint32

	mu      sync.Mutex
	through map[tree.Path]string // what is read through the mount, and why; "": it isn't a file
}

// Over is the volume that is mounted as mount and has replicas as bricks: at least two, each with all files.
func Over(mount tree.Source, replicas ...Brick) (*Source, error) {
	if len(replicas) < 2 {
		return nil, fmt.Errorf("a volume of %d bricks: contents are read from bricks only where a second one bears them out", len(replicas))
	}
	return &Source{Source: mount, bricks: replicas, through: map[tree.Path]string{}}, nil
}

// Doubt is a file that was read through the mount, and why.
type Doubt struct {
	Path tree.Path
	Why  string
}

// Doubts are all of them so far, sorted.
func (s *Source) Doubts() []Doubt {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Doubt
	for _, p := range slices.SortedFunc(maps.Keys(s.through), tree.Compare) {
		if why := s.through[p]; why != "" {
			out = append(out, Doubt{p, why})
		}
	}
	return out
}

func (s *Source) doubt(p tree.Path, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.through[p] = why
}

// List lists the mount.
func (s *Source) List(ctx context.Context, each func(tree.Stat) error) error {
	return s.Source.List(ctx, func(st tree.Stat) error {
		if st.Kind != tree.File {
			s.doubt(st.Path, "")
		}
		return each(st)
	})
}

// pair is which brick reads next, and which bears it out: all take turns, so that no host carries the whole.
func (s *Source) pair() (reads, bears Brick) {
	i := int(s.turn.Add(1))
	return s.bricks[i%len(s.bricks)], s.bricks[(i+1)%len(s.bricks)]
}

// run is a row of paths that are read the same way.
type run struct {
	mount bool
	paths []tree.Path
}

func (s *Source) runs(paths []tree.Path) []run {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []run
	for _, p := range paths {
		_, mount := s.through[p]
		if n := len(out); n == 0 || out[n-1].mount != mount {
			out = append(out, run{mount: mount})
		}
		last := &out[len(out)-1]
		last.paths = append(last.paths, p)
	}
	return out
}

// Read is tree.Source's.
func (s *Source) Read(ctx context.Context, paths []tree.Path, out io.Writer) error {
	w := tree.NewStreamWriter(out)
	for _, r := range s.runs(paths) {
		var err error
		if r.mount {
			err = forward(w, func(out io.Writer) error { return s.Source.Read(ctx, r.paths, out) }, func(*tree.Member, *tree.End) error { return nil })
		} else {
			err = s.read(ctx, r.paths, w)
		}
		if err != nil {
			return err
		}
	}
	return w.Close()
}

// read reads from one brick, and hands a member's end on when the other has said what it has.
func (s *Source) read(ctx context.Context, paths []tree.Path, w *tree.StreamWriter) error {
	reads, bears := s.pair()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	sums := make(chan tree.Sum, len(paths))
	done := make(chan error, 1)
	go func() {
		err := bears.HashBrick(ctx, paths, func(sum tree.Sum) error { sums <- sum; return nil })
		close(sums)
		if err != nil {
			cancel(err)
		}
		done <- err
	}()
	next := 0
	err := forward(w, func(out io.Writer) error { return reads.ReadBrick(ctx, paths, out) }, func(m *tree.Member, e *tree.End) error {
		if next == len(paths) || m.Path != paths[next] {
			return fmt.Errorf("%s: %w: %s wasn't asked for", reads.Name(), tree.ErrStream, m.Path)
		}
		next++
		sum, ok := <-sums
		if !ok || sum.Path != m.Path {
			return fmt.Errorf("%s: it has no sum of %s: %w", bears.Name(), m.Path, tree.ErrLost)
		}
		if why := doubtful(reads, m, *e, bears, sum); why != "" {
			s.doubt(m.Path, why)
			*e = tree.End{State: tree.Changed}
		}
		return nil
	})
	if err == nil && next < len(paths) {
		err = fmt.Errorf("%s: it gave %d of %d files: %w", reads.Name(), next, len(paths), tree.ErrStream)
	}
	if err != nil {
		cancel(err)
	}
	if berr := <-done; err == nil || berr != nil && errors.Is(err, berr) {
		return berr
	}
	return err
}

// doubtful says what speaks against a file as two bricks have it; "": nothing.
func doubtful(a Brick, m *tree.Member, e tree.End, b Brick, sum tree.Sum) string {
	switch {
	case e.State != tree.Stable:
		return a.Name() + ": " + words(e)
	case sum.State != tree.Stable:
		return b.Name() + ": " + words(sum.End)
	case !m.Same(&sum.Stat) || !slices.Equal(m.Attrs, sum.Attrs):
		return fmt.Sprintf("%s and %s have it in different states", a.Name(), b.Name())
	case e.Sum != sum.End.Sum:
		return fmt.Sprintf("%s and %s have different contents of it: SHA-256 %.8x… and %.8x…", a.Name(), b.Name(), e.Sum, sum.End.Sum)
	}
	return ""
}

func words(e tree.End) string {
	switch {
	case e.Why != "":
		return e.Why
	case e.State == tree.Gone:
		return "it isn't there"
	}
	return "it changed while it was read"
}

// forward passes a stream on member by member, without its close; end may change a member's end.
func forward(w *tree.StreamWriter, read func(io.Writer) error, end func(*tree.Member, *tree.End) error) error {
	pr, pw := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := read(pw)
		pw.CloseWithError(err)
		done <- err
	}()
	err := func() error {
		r := tree.NewStreamReader(pr)
		for {
			m, err := r.Next()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if err := w.Begin(&m); err != nil {
				return err
			}
			for {
				off, b, err := r.Data()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					return err
				}
				if err := w.Data(off, b); err != nil {
					return err
				}
			}
			e := r.End()
			if err := end(&m, &e); err != nil {
				return err
			}
			if err := w.End(&e); err != nil {
				return err
			}
		}
	}()
	if err != nil {
		pr.CloseWithError(err)
	} else {
		_, err = io.Copy(io.Discard, pr)
	}
	if rerr := <-done; rerr != nil && (err == nil || errors.Is(err, rerr)) {
		return rerr
	}
	return err
}

// Hash is tree.Source's: of files that two bricks agree on, from there; of others through the mount.
func (s *Source) Hash(ctx context.Context, paths []tree.Path, each func(tree.Sum) error) error {
	for _, r := range s.runs(paths) {
		sums := make([]tree.Sum, 0, len(r.paths))
		keep := func(sum tree.Sum) error { sums = append(sums, sum); return nil }
		var err error
		if r.mount {
			err = s.Source.Hash(ctx, r.paths, keep)
		} else {
			sums, err = s.hash(ctx, r.paths)
		}
		if err != nil {
			return err
		}
		for _, sum := range sums {
			if err := each(sum); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Source) hash(ctx context.Context, paths []tree.Path) ([]tree.Sum, error) {
	one, two := s.pair()
	var got [2][]tree.Sum
	var errs [2]error
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	for i, b := range []Brick{one, two} {
		wg.Go(func() {
			errs[i] = b.HashBrick(ctx, paths, func(sum tree.Sum) error { got[i] = append(got[i], sum); return nil })
			if errs[i] == nil && len(got[i]) != len(paths) {
				errs[i] = fmt.Errorf("%s: it gave %d of %d sums: %w", b.Name(), len(got[i]), len(paths), tree.ErrStream)
			}
			if errs[i] != nil {
				cancel(errs[i])
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	var again []tree.Path
	var at []int
	for i, sum := range got[0] {
		if why := doubtful(one, &sum.Member, sum.End, two, got[1][i]); why != "" {
			s.doubt(paths[i], why)
			again, at = append(again, paths[i]), append(at, i)
		}
	}
	if len(again) == 0 {
		return got[0], nil
	}
	n := 0
	err := s.Source.Hash(ctx, again, func(sum tree.Sum) error {
		if n == len(at) {
			return fmt.Errorf("%s: %w", s.Name(), tree.ErrStream)
		}
		got[0][at[n]] = sum
		n++
		return nil
	})
	if err == nil && n < len(at) {
		err = fmt.Errorf("%s: it gave %d of %d sums: %w", s.Name(), n, len(at), tree.ErrStream)
	}
	return got[0], err
}
