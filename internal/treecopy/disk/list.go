package disk

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

const (
	lookers = 32       // look at entries side by side: on a network file system each look is a round trip
	atOnce  = 512      // entries are looked at by one of them at a time
	held    = 64 << 20 // bytes of names and entries that are held ahead of whoever takes the listing
)

// List looks at directories side by side, in the order in which they are wanted, and as far ahead as the memory for it goes. Names that begin
// with tree.TempPrefix in the root are left out. Where another file system is mounted below the root, its root is listed and not entered.
func (d *Disk) List(ctx context.Context, each func(tree.Stat) error) error {
	root, err := statFD(d.root, "")
	if err != nil {
		return err
	}
	if root.Names == 0 {
		return fmt.Errorf("%s: %w", d.name, tree.ErrNoTree)
	}
	l := &listing{d: d}
	l.moved.L = &l.mu
	top := l.dir("")
	var all sync.WaitGroup
	for range lookers {
		all.Go(l.look)
	}
	stop := context.AfterFunc(ctx, l.end)
	defer func() { stop(); l.end(); all.Wait() }()
	if err := each(root); err != nil {
		return err
	}
	return l.give(ctx, top, each)
}

// A listing is taken entry by entry while what comes next is looked at already. Its work is a heap of chunks, the one that is wanted first on
// top; each is a stretch of names of one directory, or a directory whose names aren't known yet.
type listing struct {
	d     *Disk
	mu    sync.Mutex
	moved sync.Cond // a chunk was added, is ready, or was given; or it ended
	work  chunks
	held  int    // bytes
	want  *chunk // is waited for
	over  bool
}

// chunk is a stretch of a directory's entries.
type chunk struct {
	dir   tree.Path
	names []string // sorted; the first chunk of a directory gets its own when it is looked at
	first bool     // of its directory, whose names are to be read
	next  []*chunk // of the same directory, in their order; of the first
	ready bool
	stats []tree.Stat
	below []*chunk // the directories' first chunks, one for each entry that is a directory
	bytes int
	err   error
}

// at is where a chunk begins, to sort it among others.
func (c *chunk) at() tree.Path {
	if c.first {
		return c.dir
	}
	return c.dir.Join(c.names[0])
}

type chunks []*chunk

func (h chunks) Len() int           { return len(h) }
func (h chunks) Less(i, j int) bool { return tree.Compare(h[i].at(), h[j].at()) < 0 }
func (h chunks) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *chunks) Push(x any)        { *h = append(*h, x.(*chunk)) }
func (h *chunks) Pop() any {
	last := len(*h) - 1
	c := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return c
}

// dir adds a directory.
func (l *listing) dir(p tree.Path) *chunk {
	c := &chunk{dir: p, first: true}
	l.add(c)
	return c
}

func (l *listing) add(cs ...*chunk) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range cs {
		heap.Push(&l.work, c)
	}
	l.moved.Broadcast()
}

func (l *listing) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	l.moved.Broadcast()
}

// give hands on a directory's entries, each with all that is below it.
func (l *listing) give(ctx context.Context, first *chunk, each func(tree.Stat) error) error {
	if err := l.giveChunk(ctx, first, each); err != nil {
		return err
	}
	for _, c := range first.next {
		if err := l.giveChunk(ctx, c, each); err != nil {
			return err
		}
	}
	return nil
}

func (l *listing) giveChunk(ctx context.Context, c *chunk, each func(tree.Stat) error) error {
	if err := l.await(ctx, c); err != nil {
		return err
	}
	below := c.below
	for i := range c.stats {
		if err := each(c.stats[i]); err != nil {
			return err
		}
		if c.stats[i].Kind == tree.Directory {
			if err := l.give(ctx, below[0], each); err != nil {
				return err
			}
			below = below[1:]
		}
	}
	clear(c.names)
	c.names, c.stats, c.below = nil, nil, nil
	l.hold(c, -c.bytes)
	return nil
}

// hold counts bytes that a chunk has taken, or given back.
func (l *listing) hold(c *chunk, bytes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.bytes += bytes
	l.held += bytes
	l.moved.Broadcast()
}

// await waits until a chunk was looked at, which it now is even if no memory is left for looking ahead.
func (l *listing) await(ctx context.Context, c *chunk) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.want = c
	for !c.ready && !l.over {
		l.moved.Broadcast()
		l.moved.Wait()
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return c.err
}

// look looks at chunks until the listing has ended.
func (l *listing) look() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		for !l.over && (len(l.work) == 0 || l.held > held && l.work[0] != l.want) {
			l.moved.Wait()
		}
		if l.over {
			return
		}
		c := heap.Pop(&l.work).(*chunk)
		l.mu.Unlock()
		c.err = l.fill(c)
		l.mu.Lock()
		c.ready = true
		l.moved.Broadcast()
	}
}

// fill looks at a chunk's entries.
func (l *listing) fill(c *chunk) error {
	fd, err := l.d.openQuiet(c.dir, unix.O_DIRECTORY)
	if gone(err) || errors.Is(err, unix.EXDEV) {
		return nil
	}
	if err != nil {
		return &os.PathError{Op: "read the directory", Path: c.dir.String(), Err: err}
	}
	dir := os.NewFile(uintptr(fd), "")
	defer dir.Close()
	if c.first {
		names, err := dir.Readdirnames(-1)
		if err != nil && !gone(err) {
			return &os.PathError{Op: "read the directory", Path: c.dir.String(), Err: err}
		}
		l.split(c, names)
	}
	c.stats = make([]tree.Stat, 0, len(c.names))
	bytes := 0
	for _, name := range c.names {
		p := c.dir.Join(name)
		st, err := lstatAt(fd, name)
		if gone(err) {
			continue
		}
		if err != nil {
			return &os.PathError{Op: "look at", Path: p.String(), Err: err}
		}
		s := statOf(p, &st)
		if s.Kind == tree.Symlink {
			if s.Link, err = readlinkAt(fd, name); err != nil {
				continue // it isn't a link any more
			}
		}
		c.stats = append(c.stats, s)
		bytes += 256 + len(p) + len(s.Link)
		if s.Kind == tree.Directory {
			c.below = append(c.below, &chunk{dir: p, first: true})
		}
	}
	l.hold(c, bytes)
	l.add(c.below...)
	return nil
}

// split gives the first chunk of a directory its names, and makes further chunks of what is too much for one.
func (l *listing) split(c *chunk, names []string) {
	if c.dir == "" {
		names = slices.DeleteFunc(names, func(name string) bool { return strings.HasPrefix(name, tree.TempPrefix) })
	}
	slices.Sort(names)
	for part := range slices.Chunk(names, atOnce) {
		to := c
		if c.names != nil {
			to = &chunk{dir: c.dir}
			c.next = append(c.next, to)
		}
		to.names = part
		bytes := 0
		for _, name := range part {
			bytes += 32 + len(name)
		}
		l.hold(to, bytes)
	}
	l.add(c.next...)
}
