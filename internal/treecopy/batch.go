package treecopy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/slipway-dev/slipway/internal/snapshot"
)

// batcher puts entries into batches. All names of a file with several go into the same one, when all have been found or at the end.
type batcher struct {
	o      Options
	send   func([]Stat) error
	batch  []Stat
	bytes  int64
	linked map[uint64][]Stat
	order  []uint64
}

func (b *batcher) add(s Stat) error {
	if s.Kind == File && s.Names > 1 {
		if b.linked == nil {
			b.linked = map[uint64][]Stat{}
		}
		if len(b.linked[s.Inode]) == 0 {
			b.order = append(b.order, s.Inode)
		}
		b.linked[s.Inode] = append(b.linked[s.Inode], s)
		return nil
	}
	return b.put(s)
}

func (b *batcher) put(group ...Stat) error {
	b.batch = append(b.batch, group...)
	if group[0].Kind == File {
		b.bytes += group[0].Size
	}
	if len(b.batch) < b.o.BatchFiles && b.bytes < b.o.BatchBytes {
		return nil
	}
	return b.sendBatch()
}

func (b *batcher) sendBatch() error {
	if len(b.batch) == 0 {
		return nil
	}
	full := b.batch
	b.batch, b.bytes = nil, 0
	return b.send(full)
}

func (b *batcher) flush() error {
	for _, inode := range b.order {
		if err := b.put(b.linked[inode]...); err != nil {
			return err
		}
	}
	b.linked, b.order = nil, nil
	return b.sendBatch()
}

// batchNote is what is noted beside a batch: what a later attempt needs to use it.
type batchNote struct {
	Number  int     `json:"number"`
	Entries []Entry `json:"entries"`
}

func (n *batchNote) from(k snapshot.Kept) error {
	if err := json.Unmarshal(k.Note, n); err != nil {
		return fmt.Errorf("note of %s: %w", k.File.Name, err)
	}
	return nil
}

// batch reads entries into a file of the artifact. Those that can't be read are remembered and left to the next listing, which knows whether
// they are gone; the others are then read once more, because the status that tar ends with for a file that it couldn't open is also the one
// for a file that it could read only in part.
func (t *taking) batch(ctx context.Context, stats []Stat) error {
	names := make([]Bytes, len(stats))
	for i, s := range stats {
		names[i] = s.Path
	}
	for len(names) > 0 {
		got, err := t.readBatch(ctx, names)
		var failed *Failed
		if !errors.As(err, &failed) {
			return err
		}
		missing := len(names) - len(got)
		if failed.Status != 2 || missing == 0 {
			return err
		}
		t.refuse(names, got, failed)
		names = got
	}
	return nil
}

// refuse remembers which names tar gave nothing for.
func (t *taking) refuse(names, got []Bytes, why *Failed) {
	t.mu.Lock()
	defer t.mu.Unlock()
	has := map[Bytes]bool{}
	for _, n := range got {
		has[n] = true
	}
	for _, n := range names {
		if !has[n] {
			t.refused[n] = why.said(2)
		}
	}
}

// readBatch runs one tar. Without an error, or with one that only says that files changed, what was read is taken over; after *Failed with
// status 2 it isn't, and got are the names that tar gave something for.
func (t *taking) readBatch(ctx context.Context, names []Bytes) (got []Bytes, err error) {
	t.mu.Lock()
	t.batches++
	n := batchNote{Number: t.batches}
	t.mu.Unlock()
	chunk, err := t.w.Create(ctx, fmt.Sprintf("batch-%06d.tar.zst", n.Number), fmt.Sprintf("batch %d of files", n.Number))
	if err != nil {
		return nil, err
	}
	var files, bytes int64
	name := fmt.Sprintf("batch-%06d.tar.zst", n.Number)
	err = t.stream(ctx, names, func(r io.Reader) error {
		return scan(io.TeeReader(r, chunk), name, func(k int64) {
			bytes += k
			t.tell(func(p *Progress) { p.Bytes += k })
		}, func(e Entry) error {
			n.Entries = append(n.Entries, e)
			got = append(got, e.Path)
			if e.Kind == File {
				files++
				t.tell(func(p *Progress) { p.Files++ })
			}
			return nil
		})
	})
	var failed *Failed
	if errors.As(err, &failed) && failed.Status == 1 {
		err = nil // files changed while they were read: the next listing says which
	}
	if err != nil || len(n.Entries) == 0 {
		t.tell(func(p *Progress) { p.Bytes, p.Files = p.Bytes-bytes, p.Files-files })
		return got, errors.Join(err, chunk.Discard(ctx))
	}
	if _, err := chunk.CloseNoted(ctx, n); err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range n.Entries {
		t.read[e.Path] = e
		delete(t.refused, e.Path)
	}
	return got, nil
}

// stream runs tar over names and has take read what it prints. take's own error, if any, is the one that counts; then tar's.
func (t *taking) stream(ctx context.Context, names []Bytes, take func(io.Reader) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := t.src.Tar(ctx, nameList(names), w)
		w.CloseWithError(errOr(err, io.EOF))
		done <- err
	}()
	err := take(r)
	r.CloseWithError(errOr(err, io.ErrClosedPipe))
	cerr := <-done
	switch {
	case cerr == nil:
		return err
	case err == nil || errors.Is(err, cerr) || errors.Is(err, io.ErrUnexpectedEOF):
		return cerr
	}
	return err
}

func errOr(err, or error) error {
	if err != nil {
		return err
	}
	return or
}

// directories reads all directories' own attributes, and says which are gone.
func (t *taking) directories(ctx context.Context, final tree) (gone []Bytes, err error) {
	var dirs []Stat
	for _, s := range final.stats {
		if s.Kind == Directory {
			dirs = append(dirs, s)
		}
	}
	sortStats(dirs)
	t.tell(func(p *Progress) { p.Doing = fmt.Sprintf("reading the attributes of %d directories", len(dirs)) })
	t.mu.Lock()
	for _, d := range dirs {
		delete(t.read, d.Path)
	}
	t.mu.Unlock()
	for len(dirs) > 0 {
		n := min(len(dirs), 8*t.o.BatchFiles)
		if err := t.batch(ctx, dirs[:n]); err != nil {
			return nil, err
		}
		for _, d := range dirs[:n] {
			if e, ok := t.read[d.Path]; !ok || e.Kind != Directory {
				gone = append(gone, d.Path)
			}
		}
		dirs = dirs[n:]
	}
	return gone, nil
}

// pathLess sorts a directory before what is in it, and the entries of one directory together.
func pathLess(a, b Bytes) int {
	return strings.Compare(strings.ReplaceAll(string(a), "/", "\x00"), strings.ReplaceAll(string(b), "/", "\x00"))
}
