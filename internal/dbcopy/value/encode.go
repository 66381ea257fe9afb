package value

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The rows of a chunk file, before compression: for each column of each row, in the catalog's order, a uvarint that is
// 0 for NULL and the length in bytes plus one otherwise, then the canonical value's bytes. There is no header and no
// end mark: the manifest has the file's checksum and the number of rows.

// maxValue bounds one value, in bytes: the servers' own limit (max_allowed_packet is at most 1 GiB).
const maxValue = 1 << 30

// Append appends one row.
func Append(to []byte, vals [][]byte) []byte {
	for _, v := range vals {
		if v == nil {
			to = append(to, 0)
			continue
		}
		to = append(binary.AppendUvarint(to, uint64(len(v))+1), v...)
	}
	return to
}

// Reader reads rows of n columns.
type Reader struct {
	r    *bufio.Reader
	vals [][]byte
	buf  []byte
	ends []int
}

func NewReader(r io.Reader, n int) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, 64<<10), vals: make([][]byte, n), ends: make([]int, n), buf: make([]byte, 0, 4096)}
}

// next gives the next row, valid until the next call, and io.EOF after the last.
func (r *Reader) Next() ([][]byte, error) {
	r.buf = r.buf[:0]
	for i := range r.vals {
		n, err := binary.ReadUvarint(r.r)
		if err == io.EOF && i > 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
		if n == 0 {
			r.ends[i] = -1
			continue
		}
		if n--; n > maxValue {
			return nil, fmt.Errorf("a value of %d bytes: the file is not of rows", n)
		}
		from := len(r.buf)
		if err := r.fill(int(n)); err != nil {
			return nil, err
		}
		r.ends[i] = from + int(n)
	}
	from := 0
	for i, end := range r.ends {
		if r.vals[i] = nil; end >= 0 {
			r.vals[i] = r.buf[from:end:end]
			from = end
		}
	}
	return r.vals, nil
}

// fill reads n bytes behind buf, growing it by what has really come: a damaged length must not take the memory that
// it claims.
func (r *Reader) fill(n int) error {
	for n > 0 {
		k := min(n, 1<<20)
		from := len(r.buf)
		r.buf = append(r.buf, make([]byte, k)...)
		if _, err := io.ReadFull(r.r, r.buf[from:]); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		n -= k
	}
	return nil
}
