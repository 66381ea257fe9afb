package treecopy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-dev/slipway/internal/snapshot"
)

// Extractor unpacks tars into a target's tree: Hand, or what stands for it.
type Extractor interface {
	Extract(ctx context.Context, in io.Reader) error
}

// Sent is what was sent.
type Sent struct{ Files, Bytes int64 }

// Send writes entries, by their place in the index, into the target: first all directories, so that none is made without its attributes; then
// everything else, at commands at once; then the directories again, whose times the files have changed. Of a file with several names all are
// sent when one is. A file is written under its own name, and gets its time when its contents are in: one that was cut off shows by its time.
//
// What was sent is counted when it has left this program; that it arrived is known when Send returns without an error.
func (x *Index) Send(ctx context.Context, to Extractor, entries []int, at int, progress func(Progress)) (Sent, error) {
	s := &sending{x: x, to: to, tell: progress, seen: map[int]bool{}}
	files, dirs := s.sort(entries)
	s.progress.Since = time.Now()
	s.progress.Doing = "making directories"
	if err := s.stream(ctx, dirs); err != nil {
		return s.sent, err
	}
	s.progress.Doing = "writing"
	g, gctx := errgroup.WithContext(ctx)
	todo := make(chan []chunkPart)
	for range max(1, min(at, len(files))) {
		g.Go(func() error {
			for part := range todo {
				if err := s.stream(gctx, part); err != nil {
					return err
				}
			}
			return nil
		})
	}
	g.Go(func() error {
		defer close(todo)
		for _, part := range tasks(files, max(1, at)) {
			select {
			case todo <- part:
			case <-gctx.Done():
				return context.Cause(gctx)
			}
		}
		return nil
	})
	if err := g.Wait(); err != nil {
		return s.sent, err
	}
	s.progress.Doing = "setting the directories' times"
	return s.sent, s.stream(ctx, dirs)
}

// chunkPart are the members of one of the artifact's files that are sent, by where they begin there.
type chunkPart struct {
	file    snapshot.File
	members []Entry
}

type sending struct {
	x  *Index
	to Extractor

	mu       sync.Mutex
	tell     func(Progress)
	progress Progress
	sent     Sent
	seen     map[int]bool // groups that were counted
}

// sort gives the members to send by the artifact's files. If anything is sent, so are all directories.
func (s *sending) sort(entries []int) (files, dirs []chunkPart) {
	if len(entries) == 0 {
		return nil, nil
	}
	groups := map[int]bool{}
	wanted := map[int]bool{}
	for _, i := range entries {
		wanted[i] = true
		groups[s.x.Entries[i].Group] = true
	}
	by := map[bool]map[string][]Entry{true: {}, false: {}}
	for i := range s.x.Entries {
		e := s.x.Entries[i]
		dir := e.Kind == Directory
		if !dir && !wanted[i] && !(e.Group != 0 && groups[e.Group]) {
			continue
		}
		by[dir][e.Chunk] = append(by[dir][e.Chunk], e)
		if e.Kind != File {
			continue
		}
		s.progress.TotalBytes += s.cost(&e)
		if e.Group == 0 || !s.seen[e.Group] {
			s.progress.TotalFiles++
		}
		s.seen[e.Group] = true
	}
	clear(s.seen)
	for _, f := range s.x.art.Manifest.Files {
		for _, dir := range []bool{true, false} {
			members := by[dir][f.Name]
			if len(members) == 0 {
				continue
			}
			slices.SortFunc(members, func(a, b Entry) int { return cmp(a.Offset, b.Offset) })
			if dir {
				dirs = append(dirs, chunkPart{f, members})
			} else {
				files = append(files, chunkPart{f, members})
			}
		}
	}
	return files, dirs
}

func cmp(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// cost is how many bytes of contents a member carries: a further name of a file has none.
func (s *sending) cost(e *Entry) int64 {
	if e.Group != 0 && e.Length < e.Size {
		return 0
	}
	return e.Size
}

// tasks puts several of the artifact's files into one command, so that there are a few times as many commands as run at once, and not one for
// each: a command costs a round trip to the target and a process there.
func tasks(files []chunkPart, at int) [][]chunkPart {
	n := max(1, len(files)/(at*3))
	var out [][]chunkPart
	for part := range slices.Chunk(files, n) {
		out = append(out, part)
	}
	return out
}

// stream sends members in one command.
func (s *sending) stream(ctx context.Context, parts []chunkPart) error {
	if len(parts) == 0 {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := s.write(ctx, w, parts)
		w.CloseWithError(errOr(err, io.EOF))
		done <- err
	}()
	err := s.to.Extract(ctx, r)
	r.CloseWithError(errOr(err, io.ErrClosedPipe))
	if werr := <-done; werr != nil && (err == nil || errors.Is(werr, snapshot.ErrDamaged)) {
		return werr
	}
	return full(err)
}

// full says of a target that it is full, in one word that callers can ask for.
func full(err error) error {
	var f *Failed
	if !errors.As(err, &f) {
		return err
	}
	// The write that fills a disk up is a short one, and tar doesn't try for the reason.
	for _, said := range []string{"No space left on device", "Disk quota exceeded", "Wrote only "} {
		if strings.Contains(f.Stderr, said) {
			return fmt.Errorf("%w: %w", ErrFull, err)
		}
	}
	return err
}

// ErrFull: the target has no room left, in bytes or in inodes. Make it larger, and try again: what is there stays and is not sent again.
var ErrFull = errors.New("the volume is full")

// write puts a tar together of members as they are in the artifact.
func (s *sending) write(ctx context.Context, w io.Writer, parts []chunkPart) error {
	for _, p := range parts {
		if err := s.writePart(ctx, w, p); err != nil {
			return err
		}
	}
	_, err := w.Write(make([]byte, 2*block)) // the end of a tar
	return err
}

func (s *sending) writePart(ctx context.Context, w io.Writer, p chunkPart) error {
	r, err := s.x.art.Read(ctx, p.file)
	if err != nil {
		return err
	}
	defer r.Close()
	buf := make([]byte, 256<<10)
	var at int64
	for i := range p.members {
		e := &p.members[i]
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := pass(io.Discard, r, e.Offset-at, buf); err != nil {
			return err
		}
		if err := pass(w, r, e.Length, buf); err != nil {
			return err
		}
		at = e.Offset + e.Length
		s.count(e)
	}
	return pass(io.Discard, r, -1, buf) // to the end, where the file's checksum is compared
}

// pass copies n bytes, or all that is left for -1.
func pass(w io.Writer, r io.Reader, n int64, buf []byte) error {
	in := r
	if n >= 0 {
		in = io.LimitReader(r, n)
	}
	got, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{in}, buf)
	if err == nil && n >= 0 && got < n {
		err = io.ErrUnexpectedEOF
	}
	return err
}

func (s *sending) count(e *Entry) {
	if e.Kind != File {
		return
	}
	s.mu.Lock()
	if e.Group == 0 || !s.seen[e.Group] {
		s.sent.Files++
	}
	s.seen[e.Group] = true
	s.sent.Bytes += s.cost(e)
	s.progress.Files, s.progress.Bytes = s.sent.Files, s.sent.Bytes
	p := s.progress
	s.mu.Unlock()
	if s.tell != nil {
		s.tell(p)
	}
}
