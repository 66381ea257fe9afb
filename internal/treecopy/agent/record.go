package agent

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// records writes records. Some are held back, for some tenths of a second as long as more of them come.
type records[T any] struct {
	w      *bufio.Writer
	encode func([]byte, *T) []byte
	buf    []byte
	went   time.Time
}

const holdBack = 100 * time.Millisecond

func newRecords[T any](w io.Writer, encode func([]byte, *T) []byte) *records[T] {
	return &records[T]{w: bufio.NewWriterSize(w, 64<<10), encode: encode, went: time.Now()}
}

func (r *records[T]) put(v T) error {
	r.buf = r.encode(r.buf[:0], &v)
	var head [binary.MaxVarintLen64]byte
	if _, err := r.w.Write(binary.AppendUvarint(head[:0], uint64(len(r.buf)))); err != nil {
		return err
	}
	if _, err := r.w.Write(r.buf); err != nil {
		return err
	}
	if now := time.Now(); now.Sub(r.went) > holdBack {
		r.went = now
		return r.w.Flush()
	}
	return nil
}

// all writes records, to the last.
func (r *records[T]) all(vs []T) error {
	for _, v := range vs {
		if err := r.put(v); err != nil {
			return err
		}
	}
	return r.w.Flush()
}

// eachRecord reads records to the end of r.
func eachRecord[T any](r io.Reader, decode func([]byte, *T) ([]byte, error), each func(T) error) error {
	in := bufio.NewReaderSize(r, 64<<10)
	var buf []byte
	for {
		if _, err := in.Peek(1); errors.Is(err, io.EOF) {
			return nil
		}
		n, err := binary.ReadUvarint(in)
		if err != nil {
			return cut(err)
		}
		if n > maxRecord {
			return fmt.Errorf("%w: a record of %d bytes", ErrProtocol, n)
		}
		if uint64(cap(buf)) < n {
			buf = make([]byte, max(n, 4<<10))
		}
		if _, err := io.ReadFull(in, buf[:n]); err != nil {
			return cut(err)
		}
		var v T
		rest, err := decode(buf[:n], &v)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrProtocol, err)
		}
		if len(rest) > 0 {
			return fmt.Errorf("%w: a record has %d bytes too many", ErrProtocol, len(rest))
		}
		if err := each(v); err != nil {
			return err
		}
	}
}

// allRecords reads records to the end of r.
func allRecords[T any](r io.Reader, decode func([]byte, *T) ([]byte, error)) (all []T, err error) {
	err = eachRecord(r, decode, func(v T) error {
		all = append(all, v)
		return nil
	})
	return all, err
}
