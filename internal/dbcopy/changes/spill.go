package changes

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
)

// A transaction's changes are records, in memory or, beyond a bound, in a file: a uvarint of the record's length, then one byte
// kind (with recNoKeys), a uvarint of the table's number, then the row before and the row after as value.Append writes
// rows. The file is unlinked as soon as it is open, so that a killed program leaves none.

const recNoKeys = 0x80

// ErrSpill: a transaction too large for the memory could not be put on disk. Nothing of it was delivered; make room and go on.
var ErrSpill = errors.New("a large transaction could not be put on disk")

const spillPattern = "slipway-changes-*.spill"

// sweep removes what a program that was killed between making a file and unlinking it left. A file that another one works
// with has no name by then.
func sweep(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, spillPattern))
	if err != nil {
		return err
	}
	for _, f := range left {
		if err := os.Remove(f); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%w: %w", ErrSpill, err)
		}
	}
	return nil
}

// pile collects a transaction's records.
type pile struct {
	dir   string
	most  int64 // bytes in memory
	buf   []byte
	file  *os.File
	size  int64 // of the file
	rows  int64
	bytes int64
}

func (p *pile) put(rec []byte) error {
	p.buf = append(binary.AppendUvarint(p.buf, uint64(len(rec))), rec...)
	p.rows, p.bytes = p.rows+1, p.bytes+int64(len(rec))
	if p.file == nil && int64(len(p.buf)) <= p.most || p.file != nil && len(p.buf) < 1<<20 {
		return nil
	}
	return p.flush()
}

func (p *pile) flush() (err error) {
	if p.file == nil {
		if p.file, err = os.CreateTemp(p.dir, spillPattern); err != nil {
			p.file = nil
			return fmt.Errorf("%w: %w", ErrSpill, err)
		}
		if err = os.Remove(p.file.Name()); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%w: %w", ErrSpill, err)
		}
	}
	if _, err := p.file.Write(p.buf); err != nil {
		return fmt.Errorf("%w: %d MiB of it are there; make room in %s: %w", ErrSpill, p.size>>20, p.dir, err)
	}
	p.size += int64(len(p.buf))
	if p.buf = p.buf[:0]; cap(p.buf) > 4<<20 {
		p.buf = nil
	}
	return nil
}

// done ends the collecting.
func (p *pile) done() error {
	if p.file == nil {
		return nil
	}
	err := p.flush()
	p.buf = nil
	return err
}

func (p *pile) close() error {
	p.buf = nil
	if p.file == nil {
		return nil
	}
	err := p.file.Close()
	p.file = nil
	return err
}

// errClosed: a defect of the caller.
var errClosed = errors.New("the transaction was closed")

// changes gives the records as changes.
func (p *pile) changes(tables []*table) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		next := p.memory()
		if p.file != nil {
			next = p.stored()
		}
		var c Change
		for n := int64(0); n < p.rows; n++ {
			rec, err := next()
			if err == nil {
				err = c.decode(rec, tables)
			}
			if err != nil {
				yield(Change{}, fmt.Errorf("change %d of %d: %w", n+1, p.rows, err))
				return
			}
			if !yield(c, nil) {
				return
			}
		}
	}
}

func (p *pile) memory() func() ([]byte, error) {
	rest := p.buf
	return func() ([]byte, error) {
		n, k := binary.Uvarint(rest)
		if k <= 0 || n > uint64(len(rest)-k) {
			return nil, errClosed
		}
		rec := rest[k : k+int(n)]
		rest = rest[k+int(n):]
		return rec, nil
	}
}

func (p *pile) stored() func() ([]byte, error) {
	r := bufio.NewReaderSize(io.NewSectionReader(p.file, 0, p.size), 256<<10)
	var rec []byte
	return func() ([]byte, error) {
		n, err := binary.ReadUvarint(r)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrSpill, err)
		}
		if n > uint64(p.size) {
			return nil, fmt.Errorf("%w: a record of %d bytes", ErrSpill, n)
		}
		if uint64(cap(rec)) < n {
			rec = make([]byte, n)
		}
		rec = rec[:n]
		if _, err := io.ReadFull(r, rec); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrSpill, err)
		}
		return rec, nil
	}
}

// decode reads a record. Values stay in it.
func (c *Change) decode(rec []byte, tables []*table) error {
	bad := errors.New("not a record of a change")
	if len(rec) < 2 {
		return bad
	}
	c.Kind, c.NoForeignKeys = Kind(rec[0]&^recNoKeys), rec[0]&recNoKeys != 0
	no, k := binary.Uvarint(rec[1:])
	if k <= 0 || no >= uint64(len(tables)) {
		return bad
	}
	c.Table = tables[no].Table
	rest := rec[1+k:]
	row := func(to [][]byte) [][]byte {
		if cap(to) < len(c.Table.Columns) {
			to = make([][]byte, len(c.Table.Columns))
		}
		to = to[:len(c.Table.Columns)]
		for i := range to {
			n, k := binary.Uvarint(rest)
			if k <= 0 || n > uint64(len(rest)-k)+1 {
				rest = nil
				return nil
			}
			rest = rest[k:]
			if to[i] = nil; n > 0 {
				to[i] = rest[: n-1 : n-1]
				rest = rest[n-1:]
			}
		}
		return to
	}
	before, after := c.Before, c.After
	c.Before, c.After = nil, nil
	if c.Kind != Insert {
		if c.Before = row(before); c.Before == nil {
			return bad
		}
	}
	if c.Kind != Delete {
		if c.After = row(after); c.After == nil {
			return bad
		}
	}
	if len(rest) > 0 || c.Kind < Insert || c.Kind > Delete {
		return bad
	}
	return nil
}
