package disk

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

const (
	writers = 8    // write files at once
	perSync = 4096 // members at most become durable together: so many have temporary names at once
)

// errOld: a kernel that can't keep a writer within its tree. Whoever sees it needs another machine to write from.
var errOld = errors.New("this kernel can't keep a writer within a directory: writing needs Linux 5.6 or newer")

// full makes the system's errors of a lack of room tree.ErrFull.
func full(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("%w: %w", tree.ErrFull, err)
	}
	return err
}

// Write writes files under temporary names in the root, several at once, brings them to the disk with one call for all, and renames them.
func (d *Disk) Write(ctx context.Context, in io.Reader, each func(tree.Written) error) error {
	if d.old {
		return errOld
	}
	stream := tree.NewStreamReader(in)
	for more := true; more; {
		b, err := d.newBatch()
		if err != nil {
			return err
		}
		if more, err = b.write(ctx, stream); err == nil {
			err = b.commit(each)
		}
		b.close()
		if err != nil {
			return full(err)
		}
	}
	return nil
}

// A batch is what becomes durable together.
type batch struct {
	d       *Disk
	sync    int // a descriptor of the root that is of this batch alone: errors of writing back are told once to each that was open before
	prefix  string
	members []*writing
	at      map[tree.Path]*writing
}

// writing is a member while it is written.
type writing struct {
	tree.Member
	end  tree.End
	temp string // its temporary name, while it has one
	out  tree.Written
	err  error
}

func (d *Disk) newBatch() (*batch, error) {
	fd, err := d.open("", unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	return &batch{d: d, sync: fd, prefix: newPrefix(), at: map[tree.Path]*writing{}}, nil
}

// newPrefix begins temporary names that nothing else has.
func newPrefix() string {
	var random [8]byte
	rand.Read(random[:]) // never fails
	return tree.TempPrefix + hex.EncodeToString(random[:]) + "-"
}

// close takes away what is half made.
func (b *batch) close() {
	for _, w := range b.members {
		b.discard(w)
	}
	unix.Close(b.sync)
}

func (b *batch) discard(w *writing) {
	if w.temp != "" {
		unix.Unlinkat(b.d.root, w.temp, 0) // what stays is swept by the next pass
		w.temp = ""
	}
}

// write takes members in until it has enough of them; more says whether the stream goes on.
func (b *batch) write(ctx context.Context, stream *tree.StreamReader) (more bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	defer all.Wait()
	slots := make(chan struct{}, writers)
	for len(b.members) < perSync {
		if err := context.Cause(ctx); err != nil {
			return false, err
		}
		m, err := stream.Next()
		if errors.Is(err, io.EOF) {
			all.Wait()
			return false, context.Cause(ctx)
		}
		if err != nil {
			return false, err
		}
		w, err := b.add(m)
		if err != nil {
			return false, err
		}
		if w.Kind != tree.File || w.SameAs != "" {
			if err := b.small(w, stream); err != nil {
				return false, err
			}
			continue
		}
		b.name(w)
		slots <- struct{}{}
		contents := make(chan *piece, 2)
		all.Go(func() {
			defer func() { <-slots }()
			if w.err = b.file(w, contents); fatal(w.err) {
				cancel(w.err)
			}
			for p := range contents {
				p.free()
			}
		})
		err = w.take(ctx, stream, contents)
		close(contents)
		if err != nil {
			return false, err
		}
	}
	all.Wait()
	return true, context.Cause(ctx)
}

// fatal says whether an error is no single entry's.
func fatal(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EROFS) || errors.Is(err, tree.ErrStream)
}

// add begins a member.
func (b *batch) add(m tree.Member) (*writing, error) {
	if err := b.d.mayWrite(m.Path); err != nil {
		return nil, err
	}
	w := &writing{Member: m, out: tree.Written{Path: m.Path}}
	b.members = append(b.members, w)
	b.at[m.Path] = w
	return w, nil
}

// take hands a file's contents on to whoever writes it.
func (w *writing) take(ctx context.Context, stream *tree.StreamReader, to chan<- *piece) error {
	for {
		at, data, err := stream.Data()
		if errors.Is(err, io.EOF) {
			w.end = stream.End()
			return nil
		}
		if err != nil {
			return err
		}
		p := newPiece(at)
		p.n = copy(p.buf[:], data)
		select {
		case to <- p:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// small makes what has no contents, but for further names, which are made when their file has its own. What goes wrong with the one is kept in it.
func (b *batch) small(w *writing, stream *tree.StreamReader) error {
	if _, _, err := stream.Data(); err == nil {
		return fmt.Errorf("%w: contents of %s, which has none", tree.ErrStream, w.Path)
	} else if !errors.Is(err, io.EOF) {
		return err
	}
	w.end = stream.End()
	switch {
	case w.end.State != tree.Stable || w.SameAs != "":
	case w.Kind == tree.Directory:
		w.err = b.directory(w)
	case w.Kind == tree.Symlink:
		w.err = b.symlink(w)
	default:
		w.err = errKind(w.Kind)
	}
	if fatal(w.err) {
		return w.err
	}
	return nil
}

// name gives a member its temporary name.
func (b *batch) name(w *writing) string {
	w.temp = fmt.Sprintf("%s%d", b.prefix, len(b.members))
	return w.temp
}

// mayWrite refuses paths that are not for others to write, besides those that lead out.
func (d *Disk) mayWrite(p tree.Path) error {
	if err := p.Check(); err != nil {
		return err
	}
	if temporary(p) {
		return fmt.Errorf("%s: names that begin so are this program's own: %w", p, tree.ErrUnsafe)
	}
	return nil
}
