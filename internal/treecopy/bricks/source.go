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
	"slices"
	"strings"
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
	damaged map[tree.Path]damage // what one brick has other contents of than all others
}

// pair is a brick that reads, and one that bears it out: their places among the bricks.
type pair struct{ reads, bears int }

// damage is what is known of a file that bricks have different contents of, without any of them knowing.
type damage struct {
	good pair
	why  string
}

// Over is the volume that is mounted as mount and has replicas as bricks: at least two, each with all files.
func Over(mount tree.Source, replicas ...Brick) (*Source, error) {
	if len(replicas) < 2 {
		return nil, fmt.Errorf("a volume of %d bricks: contents are read from bricks only where a second one bears them out", len(replicas))
	}
	return &Source{Source: mount, bricks: replicas, through: map[tree.Path]string{}, damaged: map[tree.Path]damage{}}, nil
}

// Doubts are all of them so far, sorted: those that were read through the mount, and those of which a brick has damaged contents.
func (s *Source) Doubts() []tree.Doubt {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []tree.Doubt
	for p, why := range s.through {
		if why != "" {
			out = append(out, tree.Doubt{Path: p, Why: why})
		}
	}
	for p, d := range s.damaged {
		out = append(out, tree.Doubt{Path: p, Why: d.why})
	}
	slices.SortFunc(out, func(a, b tree.Doubt) int { return tree.Compare(a.Path, b.Path) })
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

// run is a row of paths that are read the same way.
type run struct {
	mount bool
	pair
	paths []tree.Path
}

// runs says how each of these is read. The bricks take turns, so that no host carries the whole.
func (s *Source) runs(paths []tree.Path) []run {
	turn := int(s.turn.Add(1))
	next := pair{turn % len(s.bricks), (turn + 1) % len(s.bricks)}
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []run
	for _, p := range paths {
		how := run{pair: next}
		if d, ok := s.damaged[p]; ok {
			how.pair = d.good
		}
		if _, how.mount = s.through[p]; how.mount {
			how.pair = pair{}
		}
		if n := len(out); n == 0 || out[n-1].mount != how.mount || out[n-1].pair != how.pair {
			out = append(out, how)
		}
		last := &out[len(out)-1]
		last.paths = append(last.paths, p)
	}
	return out
}

// Read is tree.Source's.
func (s *Source) Read(ctx context.Context, paths []tree.Path, out io.Writer) error {
	w := tree.NewStreamWriter(out)
	known := links{}
	for _, r := range s.runs(paths) {
		var err error
		if r.mount {
			err = tree.Forward(w, func(out io.Writer) error { return s.Source.Read(ctx, r.paths, out) }, known.begin, known.end)
		} else {
			err = s.read(ctx, r, w, known)
		}
		if err != nil {
			return err
		}
	}
	return w.Close()
}

// links are the files of several names that were passed on, by inode: a further name may come in another run than the first.
type links map[uint64]*tree.Sum

func (l links) begin(m *tree.Member) error {
	if m.Kind != tree.File || m.Names < 2 {
		return nil
	}
	if first := l[m.Inode]; first == nil {
		l[m.Inode] = &tree.Sum{Member: *m}
	} else if m.SameAs == "" {
		m.SameAs = first.Path
	}
	return nil
}

// end is the last word on a member: a further name is as its file.
func (l links) end(m *tree.Member, e *tree.End) error {
	first := l[m.Inode]
	switch {
	case m.Kind != tree.File || m.Names < 2:
	case first.Path == m.Path:
		first.End = *e
	case e.State == tree.Stable && (first.State != tree.Stable || first.End.Sum != e.Sum || !m.Same(&first.Stat)):
		*e = tree.End{State: tree.Changed}
	}
	return nil
}

// read reads from one brick, and hands a member's end on when the other has said what it has.
func (s *Source) read(ctx context.Context, r run, w *tree.StreamWriter, known links) error {
	paths, reads, bears := r.paths, s.bricks[r.reads], s.bricks[r.bears]
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
	err := tree.Forward(w, func(out io.Writer) error { return reads.ReadBrick(ctx, paths, out) }, known.begin, func(m *tree.Member, e *tree.End) error {
		if next == len(paths) || m.Path != paths[next] {
			return fmt.Errorf("%s: %w: %s wasn't asked for", reads.Name(), tree.ErrStream, m.Path)
		}
		next++
		sum, ok := <-sums
		if !ok || sum.Path != m.Path {
			return fmt.Errorf("%s: it has no sum of %s: %w", bears.Name(), m.Path, tree.ErrLost)
		}
		var err error
		if *e, err = s.judge(ctx, r.pair, tree.Sum{Member: *m, End: *e}, sum); err != nil {
			return err
		}
		return known.end(m, e)
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

// judge says how it went with a file that two bricks have read: as the first says if the second bears it out, tree.Changed if it is to be read
// again another way, tree.Unreadable if nobody can tell what is in it.
func (s *Source) judge(ctx context.Context, who pair, a, b tree.Sum) (tree.End, error) {
	why := s.doubtful(who, a, b)
	switch {
	case why != "":
		s.doubt(a.Path, why)
	case a.End.Sum != b.End.Sum:
		return s.disagree(ctx, a.Path)
	default:
		return a.End, nil
	}
	return tree.End{State: tree.Changed}, nil
}

// doubtful says what speaks against a file as two bricks have it, but for its contents; "": nothing.
func (s *Source) doubtful(who pair, a, b tree.Sum) string {
	one, two := s.bricks[who.reads].Name(), s.bricks[who.bears].Name()
	switch {
	case a.State != tree.Stable:
		return one + ": " + words(a.End)
	case b.State != tree.Stable:
		return two + ": " + words(b.End)
	case !a.Same(&b.Stat) || !slices.Equal(a.Attrs, b.Attrs):
		return one + " and " + two + " have it in different states"
	}
	return ""
}

// disagree asks all bricks for a file that two have with the same attributes and different contents. No heal would find that, and the mount
// would give either. Where more than half agree, they are read from; where that isn't so, the file is unreadable.
func (s *Source) disagree(ctx context.Context, p tree.Path) (tree.End, error) {
	sums := make([]tree.Sum, len(s.bricks))
	for i, b := range s.bricks {
		if err := sumsOf(ctx, b.Name(), b.HashBrick, []tree.Path{p}, func(_ int, sum tree.Sum) { sums[i] = sum }); err != nil {
			return tree.End{}, err
		}
	}
	has := make([]string, len(sums))
	for i := range sums {
		for j := range sums {
			if why := s.doubtful(pair{i, j}, sums[i], sums[j]); why != "" { // it is being written
				s.doubt(p, why)
				return tree.End{State: tree.Changed}, nil
			}
		}
		has[i] = fmt.Sprintf("%s has SHA-256 %.8x…", s.bricks[i].Name(), sums[i].End.Sum)
	}
	why := "its replicas have different contents, and none of them knows: " + strings.Join(has, ", ")
	for i := range sums {
		var same []int
		for j := range sums {
			if sums[j].End.Sum == sums[i].End.Sum {
				same = append(same, j)
			}
		}
		if len(same) == len(sums) { // they agree by now
			return tree.End{State: tree.Changed}, nil
		}
		if 2*len(same) > len(sums) {
			s.mu.Lock()
			s.damaged[p] = damage{pair{same[0], same[1]}, why}
			s.mu.Unlock()
			return tree.End{State: tree.Changed}, nil
		}
	}
	return tree.End{State: tree.Unreadable, Why: why}, nil
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

// Hash is tree.Source's: of files that two bricks agree on, from there; of others through the mount.
func (s *Source) Hash(ctx context.Context, paths []tree.Path, each func(tree.Sum) error) error {
	sums := make(map[tree.Path]tree.Sum, len(paths))
	todo := paths
	for try := 0; try < 3 && len(todo) > 0; try++ { // what is in doubt is asked for another way
		for _, r := range s.runs(todo) {
			if err := s.hash(ctx, r, sums); err != nil {
				return err
			}
		}
		again := todo
		todo = nil
		for _, p := range again {
			if sums[p].State == tree.Changed {
				todo = append(todo, p)
			}
		}
	}
	for _, p := range paths {
		if err := each(sums[p]); err != nil {
			return err
		}
	}
	return nil
}

// hash adds the sums of a run.
func (s *Source) hash(ctx context.Context, r run, sums map[tree.Path]tree.Sum) error {
	if r.mount {
		return sumsOf(ctx, s.Name(), s.Source.Hash, r.paths, func(_ int, sum tree.Sum) { sums[sum.Path] = sum })
	}
	got := [2][]tree.Sum{make([]tree.Sum, len(r.paths)), make([]tree.Sum, len(r.paths))}
	var errs [2]error
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	for i, which := range []int{r.reads, r.bears} {
		b := s.bricks[which]
		wg.Go(func() {
			errs[i] = sumsOf(ctx, b.Name(), b.HashBrick, r.paths, func(at int, sum tree.Sum) { got[i][at] = sum })
			if errs[i] != nil {
				cancel(errs[i])
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	for i, p := range r.paths {
		sum := got[0][i]
		var err error
		if sum.End, err = s.judge(ctx, r.pair, sum, got[1][i]); err != nil {
			return err
		}
		sums[p] = sum
	}
	return nil
}

// sumsOf asks for sums, and refuses an answer that isn't to the question.
func sumsOf(ctx context.Context, name string, ask func(context.Context, []tree.Path, func(tree.Sum) error) error, paths []tree.Path, each func(int, tree.Sum)) error {
	n := 0
	err := ask(ctx, paths, func(sum tree.Sum) error {
		if n == len(paths) || sum.Path != paths[n] {
			return fmt.Errorf("%s: %w: %s wasn't asked for", name, tree.ErrStream, sum.Path)
		}
		each(n, sum)
		n++
		return nil
	})
	if err == nil && n < len(paths) {
		err = fmt.Errorf("%s: it gave %d of %d sums: %w", name, n, len(paths), tree.ErrStream)
	}
	return err
}
