package pass

import (
	"bufio"
	"bytes"
	"container/heap"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// known gives what is known, in Compare's order, each path once and without what is gone. An entry holds until the next.
func (s *State) known() iter.Seq2[*Entry, error] {
	return func(yield func(*Entry, error) bool) {
		all, err := s.cursors()
		if err != nil {
			yield(nil, fmt.Errorf("state %s: %w", s.dir, err))
			return
		}
		heap.Init(&all)
		var e Entry
		for len(all) > 0 {
			c := all[0] // the latest of those at the first path
			e = c.at
			for len(all) > 0 && all[0].at.Path == e.Path {
				switch err := all[0].next(); {
				case errors.Is(err, io.EOF):
					heap.Pop(&all)
				case err != nil:
					yield(nil, fmt.Errorf("state %s: %w", s.dir, err))
					return
				default:
					heap.Fix(&all, 0)
				}
			}
			if !e.Gone && !yield(&e, nil) {
				return
			}
		}
	}
}

// logged gives what is in the log, the earliest run first.
func (s *State) logged(each func(*Entry)) error {
	for _, run := range s.runs {
		c := s.run(run, 0)
		for {
			err := c.next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return fmt.Errorf("state %s: %w", s.dir, err)
			}
			each(&c.at)
		}
	}
	return nil
}

func (s *State) cursors() (all cursors, err error) {
	if s.manifest != nil {
		in, err := readFrames(s.manifest)
		if err != nil {
			return nil, err
		}
		if _, err := firstFrame(in); err != nil {
			return nil, whole(err)
		}
		all = append(all, &cursor{more: in})
	}
	for i, run := range s.runs {
		all = append(all, s.run(run, i+1))
	}
	for i := 0; i < len(all); i++ {
		switch err := all[i].next(); {
		case errors.Is(err, io.EOF): // an empty manifest
			all = append(all[:i], all[i+1:]...)
			i--
		case err != nil:
			return nil, err
		}
	}
	return all, nil
}

// readRun is how much of a run is in memory while it is merged with others, in bytes: there may be thousands.
const readRun = 4 << 10

func (s *State) run(at span, age int) *cursor {
	return &cursor{age: age, in: records{r: bufio.NewReaderSize(io.NewSectionReader(s.log, at.off, at.n), readRun)}}
}

// cursor goes through one sorted row of entries.
type cursor struct {
	at   Entry
	age  int // larger is later
	in   records
	more *frames // of the manifest: where in goes on
}

// next goes to the next entry; io.EOF behind the last.
func (c *cursor) next() error {
	if c.in.r == nil {
		c.in.r = bufio.NewReader(bytes.NewReader(nil))
	}
	for {
		b, err := c.in.next()
		switch {
		case err == nil:
			if err := decodeEntry(b, &c.at); err != nil {
				return fmt.Errorf("%w: an entry: %w", ErrDamaged, err)
			}
			return nil
		case !errors.Is(err, io.EOF):
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		case c.more == nil:
			return io.EOF
		}
		contents, err := c.more.next()
		if err != nil {
			return whole(err)
		}
		if len(contents) == 0 {
			return io.EOF
		}
		c.in.r.Reset(bytes.NewReader(contents))
	}
}

// cursors is a heap: the first path, and of equal ones the latest, is on top.
type cursors []*cursor

func (c cursors) Len() int { return len(c) }
func (c cursors) Less(i, j int) bool {
	if d := tree.Compare(c[i].at.Path, c[j].at.Path); d != 0 {
		return d < 0
	}
	return c[i].age > c[j].age
}
func (c cursors) Swap(i, j int) { c[i], c[j] = c[j], c[i] }

// Push is for container/heap.
func (c *cursors) Push(x any) { *c = append(*c, x.(*cursor)) }

// Pop is for container/heap.
func (c *cursors) Pop() any {
	last := (*c)[len(*c)-1]
	*c = (*c)[:len(*c)-1]
	return last
}
