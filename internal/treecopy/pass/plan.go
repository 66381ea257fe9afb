package pass

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"slices"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// op is what is to be done with an entry.
type op byte

const (
	opDir   op = 'd' // made, and given its attributes in the end
	opSend  op = 's' // a file or a symbolic link: sent
	opAdopt op = 'a' // a file that the target has at its size: compared, and sent where it differs
)

// item is an entry of the source with which something is to be done.
type item struct {
	op    op
	had   bool // it was copied once: if it is gone, it is taken away at the target
	since bool // the source has changed it since
	tree.Stat
}

// plan is all that is to be done. Items lie in a file without a name: a million of them don't fit into memory.
type plan struct {
	file *os.File
	w    *bufio.Writer
	rec  []byte
	buf  []byte

	Totals
	links  map[uint64]*linked // by inode: files with several names
	before []tree.Path        // to be taken away before anything is sent: they are in a directory's place
	after  []tree.Path        // to be taken away when all is sent
}

// Totals is how much there is to do.
type Totals struct {
	Dirs    int64 `json:"dirs"`
	Files   int64 `json:"files"` // and symbolic links, to be sent
	Adopt   int64 `json:"adopt"` // files to be compared with what the target has already
	Bytes   int64 `json:"bytes"` // of Files and Adopt
	Removed int64 `json:"removed"`
}

// linked is the names of one file. If one of them is sent all are, in one batch.
type linked struct {
	names []item
	send  bool
}

func newPlan(dir string) (*plan, error) {
	f, err := os.CreateTemp(dir, "plan-")
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("state: %w", err), f.Close())
	}
	return &plan{file: f, w: bufio.NewWriterSize(f, 256<<10), links: map[uint64]*linked{}}, nil
}

func (p *plan) close() error { return p.file.Close() }

func (p *plan) add(it item) error {
	switch it.op {
	case opDir:
		p.Dirs++
	case opSend:
		p.Files++
		p.Bytes += it.Size
	case opAdopt:
		p.Adopt++
		p.Bytes += it.Size
	}
	flag := byte(0)
	if it.had {
		flag = 1
	}
	p.rec = tree.AppendStat(append(p.rec[:0], byte(it.op), flag), &it.Stat)
	p.buf = appendRecord(p.buf[:0], p.rec)
	if _, err := p.w.Write(p.buf); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	return nil
}

// name adds a name of a file that has several.
func (p *plan) name(it item, send bool) {
	l := p.links[it.Inode]
	if l == nil {
		l = &linked{}
		p.links[it.Inode] = l
	}
	l.names = append(l.names, it)
	l.send = l.send || send
}

// end says that nothing more will be added. kept is called for each name that needs nothing.
func (p *plan) end(kept func()) error {
	for inode, l := range p.links {
		if !l.send {
			for range l.names {
				kept()
			}
			delete(p.links, inode)
			continue
		}
		p.Files += int64(len(l.names))
		p.Bytes += l.names[0].Size
	}
	p.Removed = int64(len(p.before) + len(p.after))
	if err := p.w.Flush(); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	return nil
}

// nothing says whether nothing is to be done.
func (p *plan) nothing() bool { return p.Totals == Totals{} }

// items are those of the file, in the order in which they were added.
func (p *plan) items() iter.Seq2[item, error] {
	return func(yield func(item, error) bool) {
		in := records{r: bufio.NewReaderSize(io.NewSectionReader(p.file, 0, 1<<62), 256<<10)}
		for {
			b, err := in.next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err == nil && len(b) < 2 {
				err = io.ErrUnexpectedEOF
			}
			var it item
			if err == nil {
				it.op, it.had = op(b[0]), b[1] == 1
				_, err = tree.DecodeStat(b[2:], &it.Stat)
			}
			if err != nil {
				yield(it, fmt.Errorf("read the plan back: %w", err))
				return
			}
			if !yield(it, nil) {
				return
			}
		}
	}
}

// batches gives what is to be sent in pieces that are no larger than asked for, but for single files and the names of one.
func (p *plan) batches(most Batch) iter.Seq2[[]item, error] {
	return func(yield func([]item, error) bool) {
		var batch []item
		var bytes int64
		flush := func() bool {
			b := batch
			batch, bytes = nil, 0
			return len(b) == 0 || yield(b, nil)
		}
		put := func(items []item) bool {
			if len(batch) > 0 && (len(batch)+len(items) > most.Files || bytes+items[0].Size > most.Bytes) && !flush() {
				return false
			}
			batch = append(batch, items...)
			bytes += items[0].Size
			return true
		}
		for it, err := range p.items() {
			switch {
			case err != nil:
				yield(nil, err)
				return
			case it.op == opDir:
			case !put([]item{it}):
				return
			}
		}
		linked := slices.SortedFunc(maps.Values(p.links), func(a, b *linked) int { return tree.Compare(a.names[0].Path, b.names[0].Path) })
		for _, l := range linked {
			if !put(l.names) {
				return
			}
		}
		flush()
	}
}
