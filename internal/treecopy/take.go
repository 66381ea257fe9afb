package treecopy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-dev/slipway/internal/snapshot"
)

// Options are how a tree is taken.
type Options struct {
	Tool       string // this program's version, for the manifest
	From       string // the volume, for the manifest
	Readers    int    // batches that are read at once; 0: 6, within the 8 commands at once that a host is asked for
	BatchFiles int    // most files of a batch; 0: 512
	BatchBytes int64  // from which size on a batch has no further file; 0: 16 MiB
	Tries      int    // how often a file that changes while it is read is read; 0: 6
	Progress   func(Progress)
}

func (o Options) filled() Options {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&o.Readers, 6)
	def(&o.BatchFiles, 512)
	def(&o.Tries, 6)
	if o.BatchBytes == 0 {
		o.BatchBytes = 16 << 20
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	return o
}

// ErrUnstable: files changed every time they were read, so there is no content of theirs that could be called theirs. Try again when whatever
// writes to them is calmer.
var ErrUnstable = errors.New("files change faster than they can be read")

// ErrUnreadable: files are there and the account may not read them, or their host can't. To fix on the host.
var ErrUnreadable = errors.New("files can't be read")

// Take reads a tree into run's artifact: it lists it, reads what it found in batches, lists it again, and reads again what has changed since,
// until every entry was read in the very state that a later look found it in. Entries that appear after the second listing are not in it, and
// those that vanish before they were read are dropped.
//
// An attempt that was killed or lost its connection is gone on with: batches that were written are kept, and only those of their files that
// have changed since are read again. After a full disk nothing is left.
func Take(ctx context.Context, src Source, store *snapshot.Store, run snapshot.ID, o Options) (*snapshot.Artifact, error) {
	o = o.filled()
	w, kept, err := store.Resume(ctx, run, snapshot.Assets, 0)
	if err != nil {
		return nil, err
	}
	t := &taking{src: src, w: w, o: o, read: map[Bytes]Entry{}, refused: map[Bytes]string{}}
	t.progress.Since = time.Now()
	art, err := t.run(ctx, kept)
	if err == nil {
		return art, nil
	}
	if errors.Is(err, syscall.ENOSPC) {
		return nil, errors.Join(err, w.Abort(ctx))
	}
	w.Leave()
	return nil, fmt.Errorf("read %s: %w", src.Name(), err)
}

// taking is one attempt.
type taking struct {
	src Source
	w   *snapshot.Writer
	o   Options

	mu       sync.Mutex
	read     map[Bytes]Entry  // as read last
	refused  map[Bytes]string // what tar could not read, and what it said
	batches  int              // names given to chunks so far
	progress Progress
}

// tree is what a listing found.
type tree struct {
	stats    map[Bytes]Stat
	specials []Reported
}

func (t *taking) run(ctx context.Context, kept []snapshot.Kept) (*snapshot.Artifact, error) {
	if err := t.adopt(kept); err != nil {
		return nil, err
	}
	if err := t.firstPass(ctx); err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		final, err := t.list(ctx, "listing again", nil)
		if err == nil {
			err = t.settle(ctx, final)
		}
		if err != nil {
			return nil, err
		}
		gone, err := t.directories(ctx, final)
		if err != nil {
			return nil, err
		}
		if len(gone) == 0 {
			return t.commit(ctx, final)
		}
		if try == t.o.Tries {
			return nil, fmt.Errorf("%w: directories vanish: %s", ErrUnstable, some(gone))
		}
	}
}

// adopt takes over what an earlier attempt has read.
func (t *taking) adopt(kept []snapshot.Kept) error {
	for _, k := range kept {
		var n batchNote
		if err := n.from(k); err != nil {
			return err
		}
		t.batches = max(t.batches, n.Number)
		for _, e := range n.Entries {
			if was, ok := t.read[e.Path]; !ok || was.Chunk < e.Chunk { // a later batch has the later state
				t.read[e.Path] = e
			}
		}
	}
	for _, e := range t.read {
		if e.Kind == File {
			t.progress.Files++
			t.progress.Bytes += e.Size
		}
	}
	t.progress.Reused = t.progress.Files
	return nil
}

func (t *taking) tell(f func(p *Progress)) {
	t.mu.Lock()
	f(&t.progress)
	p := t.progress
	t.mu.Unlock()
	t.o.Progress(p)
}

// have says whether an entry was read in the state that s is.
func (t *taking) have(s *Stat) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	e, ok := t.read[s.Path]
	return ok && e.same(s)
}

// list lists the tree. found, if not nil, is given each entry as it comes.
func (t *taking) list(ctx context.Context, doing string, found func(Stat) error) (tree, error) {
	out := tree{stats: map[Bytes]Stat{}}
	var files, size int64
	err := listing(func(w io.Writer) error { return t.src.List(ctx, w) }, func(s Stat) error {
		s.Path = inTree(string(s.Path))
		if what, is := special(s.Kind); is {
			out.specials = append(out.specials, Reported{s.Path, what})
			return nil
		}
		out.stats[s.Path] = s
		if s.Kind == File {
			files, size = files+1, size+s.Size
		}
		if len(out.stats)%1000 == 0 {
			n := int64(len(out.stats))
			t.tell(func(p *Progress) { p.Doing = fmt.Sprintf("%s, %d entries", doing, n) })
		}
		if found != nil {
			return found(s)
		}
		return nil
	})
	if err != nil {
		return out, err
	}
	if root, ok := out.stats[""]; !ok || root.Kind != Directory {
		return out, fmt.Errorf("it isn't a directory")
	}
	slices.SortFunc(out.specials, func(a, b Reported) int { return strings.Compare(string(a.Path), string(b.Path)) })
	t.tell(func(p *Progress) { p.Doing, p.TotalFiles, p.TotalBytes = "reading", files, size })
	return out, nil
}

// listing runs a command that prints a list and reads it.
func listing(command func(io.Writer) error, each func(Stat) error) error {
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := command(w)
		w.CloseWithError(err) // nil is io.EOF
		done <- err
	}()
	err := readList(r, each)
	r.CloseWithError(err)
	if cerr := <-done; cerr != nil && (err == nil || errors.Is(err, cerr)) {
		return cerr
	}
	return err
}

// firstPass lists and reads at once.
func (t *taking) firstPass(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	todo := make(chan []Stat)
	for range t.o.Readers {
		g.Go(func() error { return t.readAll(ctx, todo) })
	}
	g.Go(func() error {
		defer close(todo)
		send := func(b []Stat) error {
			select {
			case todo <- b:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		b := &batcher{o: t.o, send: send}
		_, err := t.list(ctx, "listing and reading", func(s Stat) error {
			if s.Kind == Directory || t.have(&s) {
				return nil
			}
			return b.add(s)
		})
		if err != nil {
			return err
		}
		return b.flush()
	})
	return g.Wait()
}

// readStats reads these entries, whatever was read of them before.
func (t *taking) readStats(ctx context.Context, stats []Stat) error {
	g, ctx := errgroup.WithContext(ctx)
	todo := make(chan []Stat)
	for range min(t.o.Readers, len(stats)) {
		g.Go(func() error { return t.readAll(ctx, todo) })
	}
	g.Go(func() error {
		defer close(todo)
		b := &batcher{o: t.o, send: func(b []Stat) error {
			select {
			case todo <- b:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}}
		for _, s := range stats {
			if err := b.add(s); err != nil {
				return err
			}
		}
		return b.flush()
	})
	return g.Wait()
}

func (t *taking) readAll(ctx context.Context, todo <-chan []Stat) error {
	for b := range todo {
		if err := t.batch(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// settle reads again what was not read in the state that final has it in, looks at it again, and so on. final is brought up to that.
func (t *taking) settle(ctx context.Context, final tree) error {
	open := t.unread(final)
	for try := 1; len(open) > 0; try++ {
		if try > t.o.Tries {
			return t.unsettled(open)
		}
		n := int64(len(open))
		t.tell(func(p *Progress) {
			p.Doing, p.Changed = fmt.Sprintf("reading %d files again that changed", n), p.Changed+n
		})
		if err := t.readStats(ctx, open); err != nil {
			return err
		}
		now, err := t.look(ctx, open)
		if err != nil {
			return err
		}
		for _, s := range open {
			if seen, ok := now[s.Path]; ok {
				final.stats[s.Path] = seen
			} else {
				delete(final.stats, s.Path)
				t.tell(func(p *Progress) { p.Vanished++ })
			}
		}
		open = t.unread(final)
	}
	return nil
}

// unread are the entries that have to be read, in order, and with them all names of the same files: only in one batch does tar see that they
// are one.
func (t *taking) unread(final tree) []Stat {
	inodes, in := map[uint64]bool{}, map[uint64]string{}
	want := func(s *Stat) bool { return s.Kind != Directory && !t.have(s) }
	for _, s := range final.stats {
		if s.Kind != File || s.Names == 1 {
			continue
		}
		chunk := t.read[s.Path].Chunk
		if was, ok := in[s.Inode]; want(&s) || ok && was != chunk {
			inodes[s.Inode] = true
		}
		in[s.Inode] = chunk
	}
	var out []Stat
	for _, s := range final.stats {
		if want(&s) || s.Kind == File && s.Names > 1 && inodes[s.Inode] {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b Stat) int { return strings.Compare(string(a.Path), string(b.Path)) })
	return out
}

// look looks at entries again. What the look at their names doesn't find is gone only if a whole listing doesn't find it either: find says of
// a name that is gone and of one that can't be looked at the same.
func (t *taking) look(ctx context.Context, stats []Stat) (map[Bytes]Stat, error) {
	names := make([]Bytes, len(stats))
	for i, s := range stats {
		names[i] = s.Path
	}
	now := map[Bytes]Stat{}
	var failed *Failed
	err := listing(func(w io.Writer) error { return t.src.Stat(ctx, nameList(names), w) }, func(s Stat) error {
		s.Path = inTree(string(s.Path))
		now[s.Path] = s
		return nil
	})
	if err != nil && !(errors.As(err, &failed) && failed.Status == 123) {
		return nil, err
	}
	if len(now) == len(names) {
		return now, nil
	}
	all, err := t.list(ctx, "looking for files that are gone", nil)
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		if s, ok := all.stats[n]; ok {
			now[n] = s
		} else {
			delete(now, n)
		}
	}
	return now, nil
}

func (t *taking) unsettled(open []Stat) error {
	var unreadable, changing []Bytes
	said := map[string]bool{}
	for _, s := range open {
		if why, ok := t.refused[s.Path]; ok {
			unreadable = append(unreadable, s.Path)
			said[why] = true
			continue
		}
		changing = append(changing, s.Path)
	}
	var errs []error
	if len(unreadable) > 0 {
		why := make([]string, 0, len(said))
		for s := range said {
			why = append(why, s)
		}
		slices.Sort(why)
		errs = append(errs, fmt.Errorf("%w: %s; tar says: %s; give the account the right to read them, and type slipway resume", ErrUnreadable, some(unreadable), strings.Join(why[:min(3, len(why))], "; ")))
	}
	if len(changing) > 0 {
		errs = append(errs, fmt.Errorf("%w: %d times: %s", ErrUnstable, t.o.Tries, some(changing)))
	}
	return errors.Join(errs...)
}

// some names the first of many paths.
func some(paths []Bytes) string {
	const most = 10
	slices.Sort(paths)
	var b strings.Builder
	for i, p := range paths[:min(most, len(paths))] {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(p.String())
	}
	if n := len(paths) - most; n > 0 {
		fmt.Fprintf(&b, " and %d more", n)
	}
	return b.String()
}
