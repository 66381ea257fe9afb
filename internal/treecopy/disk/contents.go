package disk

import (
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// pieces are the buffers of all trees. How many are in use is bounded by what each operation does at once.
var pieces = sync.Pool{New: func() any { return new(piece) }}

// piece is a stretch of a file's contents.
type piece struct {
	at  int64
	n   int
	buf [tree.MaxData]byte
}

func newPiece(at int64) *piece {
	p := pieces.Get().(*piece)
	p.at, p.n = at, 0
	return p
}

func (p *piece) bytes() []byte { return p.buf[:p.n] }

// free gives it back: nobody may use it any more.
func (p *piece) free() { pieces.Put(p) }

// summer computes the SHA-256 of contents that come in pieces, with holes between them.
type summer struct {
	hash.Hash
	at int64
}

func newSummer() *summer { return &summer{Hash: sha256.New()} }

var zeros [64 << 10]byte

func (s *summer) piece(p *piece) {
	s.hole(p.at)
	s.Write(p.bytes())
	s.at += int64(p.n)
}

// hole goes on to an offset with zeros.
func (s *summer) hole(to int64) {
	for s.at < to {
		n := min(to-s.at, int64(len(zeros)))
		s.Write(zeros[:n])
		s.at += n
	}
}

func (s *summer) sum() (sum [32]byte) {
	s.Sum(sum[:0])
	return sum
}

// errShrank: a file ended before the size that it had.
var errShrank = errors.New("the file became shorter")

// read gives the contents of an open file, as far as it had them when it was looked at, piece by piece; without its holes, or all of them as data.
// Whoever gets a piece frees it.
func (d *Disk) read(ctx context.Context, fd int, size int64, holes bool, each func(*piece) error) error {
	for at, end := int64(0), int64(0); at < size; {
		if at == end {
			at, end = extent(fd, at, size, holes)
			if at == size {
				return nil
			}
		}
		p := newPiece(at)
		b := p.buf[:min(int64(len(p.buf)), end-at)]
		n, err := again(func() (int, error) { return unix.Pread(fd, b, at) })
		if err == nil && n == 0 {
			err = errShrank
		}
		if err == nil {
			err = d.rate.wait(ctx, n)
		}
		if err != nil {
			p.free()
			return err
		}
		p.n = n
		at += int64(n)
		if err := each(p); err != nil {
			return err
		}
	}
	return nil
}

// extent finds the next data from an offset on; a file system that can't say where holes are has none.
func extent(fd int, from, size int64, holes bool) (at, end int64) {
	if !holes {
		return from, size
	}
	at, err := unix.Seek(fd, from, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) { // nothing but a hole from there on
		return size, size
	}
	if err != nil || at < from {
		return from, size
	}
	end, err = unix.Seek(fd, at, unix.SEEK_HOLE)
	if err != nil || end <= at {
		return at, size
	}
	return min(at, size), min(end, size)
}
