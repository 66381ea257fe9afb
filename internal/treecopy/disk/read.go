package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

const (
	readers = 16 // read files at once
	ahead   = 32 // files at most are begun or read and wait to be handed on: at up to 512 KiB each, 16 MiB
)

// Read reads several files ahead, and writes them in their order. How much of it is in memory doesn't depend on how large they are. A further
// name of a file is told as such only where the file is among the same paths.
func (d *Disk) Read(ctx context.Context, paths []tree.Path, out io.Writer) error {
	for _, p := range paths {
		if err := p.Check(); err != nil {
			return err
		}
	}
	w := tree.NewStreamWriter(out)
	links := links{}
	err := inOrder(ctx, paths, d.readMember, func(r *reading) error { return links.write(w, r) })
	if err != nil {
		return err
	}
	return w.Close()
}

// reading is a member while it is read.
type reading struct {
	path   tree.Path
	known  chan struct{} // closed when member is set
	member tree.Member
	pieces chan *piece // closed when end is set
	end    tree.End
	drop   chan struct{} // closed when nobody wants the contents any more
}

// inOrder has paths read side by side, and hands them on in their order.
func inOrder(ctx context.Context, paths []tree.Path, read func(context.Context, *reading), hand func(*reading) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel(errors.New("the reader has ended"))

	queue, work := make(chan *reading, ahead), make(chan *reading)
	all.Go(func() {
		defer close(work)
		defer close(queue)
		for _, p := range paths {
			r := &reading{path: p, known: make(chan struct{}), pieces: make(chan *piece, 1), drop: make(chan struct{})}
			for _, to := range []chan *reading{work, queue} { // what is in the queue has a reader
				select {
				case to <- r:
				case <-ctx.Done():
					return
				}
			}
		}
	})
	for range min(readers, len(paths)) {
		all.Go(func() {
			for r := range work {
				read(ctx, r)
			}
		})
	}
	for range paths {
		var r *reading
		select {
		case r = <-queue:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := hand(r); err != nil {
			return err
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
	}
	return nil
}

// readMember reads an entry. What goes wrong is said in its end.
func (d *Disk) readMember(ctx context.Context, r *reading) {
	defer close(r.pieces)
	r.end.At = tree.TimeOf(time.Now())
	var once sync.Once
	know := func() { once.Do(func() { close(r.known) }) }
	defer know()
	r.member.Path = r.path
	fd, err := d.openEntry(&r.member)
	if err == nil {
		defer unix.Close(fd)
		know()
		sum := newSummer()
		if err = d.readOpen(ctx, fd, r, sum); err == nil && r.member.Kind == tree.File {
			r.end.Sum = sum.sum()
		}
	}
	r.end.State, r.end.Why = stateOf(err)
}

// errChanged: an entry isn't in the state any more in which it was before.
var errChanged = errors.New("it changed meanwhile")

// errKind: what is there is of a kind that isn't carried.
type errKind tree.Kind

func (k errKind) Error() string { return fmt.Sprintf("a %s is not carried", tree.Kind(k)) }

// stateOf puts an error of reading into the stream's terms.
func stateOf(err error) (tree.State, string) {
	switch {
	case err == nil:
		return tree.Stable, ""
	case errors.Is(err, errChanged), errors.Is(err, errShrank), errors.Is(err, unix.EAGAIN): // EAGAIN: it is being taken away from who has a lease on it
		return tree.Changed, ""
	case gone(err):
		return tree.Gone, ""
	}
	return tree.Unreadable, why(err)
}

// openEntry looks at an entry without opening it in earnest, which could block or do something, and then opens it if it is carried.
func (d *Disk) openEntry(m *tree.Member) (fd int, err error) {
	look, err := d.open(m.Path, unix.O_PATH)
	if err != nil {
		return -1, err
	}
	keep := false
	defer func() {
		if !keep {
			unix.Close(look)
		}
	}()
	if m.Stat, err = statFD(look, m.Path); err != nil {
		return -1, err
	}
	switch m.Kind {
	case tree.Symlink:
		m.Link, err = readlinkAt(look, "")
		keep = err == nil
		return look, err
	case tree.File:
		fd, err = d.openQuiet(m.Path, unix.O_NONBLOCK)
	case tree.Directory:
		fd, err = d.openQuiet(m.Path, unix.O_DIRECTORY)
	default:
		return -1, errKind(m.Kind)
	}
	if err != nil {
		return -1, err
	}
	if err = unchanged(fd, &m.Stat); err == nil {
		m.Attrs, err = d.attrs(fd, m.Kind)
	}
	if err != nil {
		unix.Close(fd)
	}
	return fd, err
}

// unchanged says whether an open entry is still what it was.
func unchanged(fd int, was *tree.Stat) error {
	now, err := statFD(fd, was.Path)
	if err != nil {
		return err
	}
	now.Link = was.Link // a link can't be given another target
	if !now.Same(was) {
		return errChanged
	}
	return nil
}

// errDropped: nobody wants the contents.
var errDropped = errors.New("dropped")

// readOpen reads an open entry's contents.
func (d *Disk) readOpen(ctx context.Context, fd int, r *reading, sum *summer) error {
	if r.member.Kind == tree.File {
		err := d.read(ctx, fd, r.member.Size, r.member.Sparse(), func(p *piece) error {
			sum.piece(p)
			select {
			case r.pieces <- p:
				return nil
			case <-r.drop:
				p.free()
				return errDropped
			case <-ctx.Done():
				p.free()
				return context.Cause(ctx)
			}
		})
		if err != nil {
			return err
		}
		sum.hole(r.member.Size)
	}
	return unchanged(fd, &r.member.Stat)
}

// links knows the files of several names that a stream had already, by inode.
type links map[uint64]*reading

// write writes a member: without contents where it is a further name.
func (l links) write(w *tree.StreamWriter, r *reading) error {
	<-r.known
	if m := &r.member; m.Kind == tree.File && m.Names > 1 {
		if first := l[m.Inode]; first != nil {
			return first.again(w, r)
		}
		l[m.Inode] = r
	}
	if err := w.Begin(&r.member); err != nil {
		return err
	}
	for p := range r.pieces {
		err := w.Data(p.at, p.bytes())
		p.free()
		if err != nil {
			return err
		}
	}
	return w.End(&r.end)
}

// again writes a member that is a further name of this one: it is as stable as that is, and in the same state.
func (r *reading) again(w *tree.StreamWriter, further *reading) error {
	close(further.drop)
	for p := range further.pieces {
		p.free()
	}
	end := r.end
	if end.State == tree.Stable && !further.member.Same(&r.member.Stat) {
		end = tree.End{State: tree.Changed, At: further.end.At}
	}
	further.member.SameAs = r.path
	if err := w.Begin(&further.member); err != nil {
		return err
	}
	return w.End(&end)
}
