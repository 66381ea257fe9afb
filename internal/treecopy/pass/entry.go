package pass

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// Entry is what is known of one entry: the target has it as the source had it then.
type Entry struct {
	tree.Stat           // at the source, when it was read
	Sum       [32]byte  // SHA-256 of a file's contents
	At        tree.Time // when its reading began, by the source's clock
	Gone      bool      // the target hasn't it any more: the Path alone counts
}

// tick is how long two changes may lie apart and have the same time of change, in seconds: FAT has 2, all others less.
const tick = 2

// unchanged says whether the source has it as it was read. One that had been changed within a tick before it was read may have been changed again
// after that, and would look the same.
func (e *Entry) unchanged(now *tree.Stat) bool {
	settled := e.CTime.Sec < e.At.Sec-tick || e.CTime.Sec == e.At.Sec-tick && e.CTime.Nsec < e.At.Nsec
	return settled && now.Same(&e.Stat)
}

const (
	flagGone = 1 << iota
	flagSum
)

// appendEntry appends an entry's record, without its length: flags, Stat, and unless it is gone the time, and of a file the sum.
func appendEntry(b []byte, e *Entry) []byte {
	switch {
	case e.Gone:
		return tree.AppendStat(append(b, flagGone), &tree.Stat{Path: e.Path})
	case e.Kind == tree.File:
		b = tree.AppendStat(append(b, flagSum), &e.Stat)
		b = append(b, e.Sum[:]...)
	default:
		b = tree.AppendStat(append(b, 0), &e.Stat)
	}
	return binary.AppendVarint(binary.AppendVarint(b, e.At.Sec), e.At.Nsec)
}

func decodeEntry(b []byte, e *Entry) error {
	if len(b) == 0 {
		return io.ErrUnexpectedEOF
	}
	flags := b[0]
	*e = Entry{Gone: flags&flagGone != 0}
	b, err := tree.DecodeStat(b[1:], &e.Stat)
	if err != nil {
		return err
	}
	if e.Gone {
		return nil
	}
	if flags&flagSum != 0 {
		if len(b) < len(e.Sum) {
			return io.ErrUnexpectedEOF
		}
		b = b[copy(e.Sum[:], b):]
	}
	for _, v := range []*int64{&e.At.Sec, &e.At.Nsec} {
		n := 0
		if *v, n = binary.Varint(b); n <= 0 {
			return io.ErrUnexpectedEOF
		}
		b = b[n:]
	}
	return nil
}

// Records are texts with their length before them, as a varint.

func appendRecord(b, record []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(record))), record...)
}

// records reads them one by one.
type records struct {
	r   *bufio.Reader
	buf []byte
}

// next is a record that holds until the next call; io.EOF behind the last.
func (r *records) next() ([]byte, error) {
	n, err := binary.ReadUvarint(r.r)
	if err != nil {
		return nil, err
	}
	if n > tree.MaxRecord+128 {
		return nil, fmt.Errorf("a record of %d bytes", n)
	}
	if uint64(cap(r.buf)) < n {
		r.buf = make([]byte, max(n, 512))
	}
	if _, err := io.ReadFull(r.r, r.buf[:n]); err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	return r.buf[:n], nil
}
