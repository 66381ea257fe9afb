package tree

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A Stream of members is a row of frames, each a letter, the length of what follows as a varint, and that:
//
//	m  a Member begins
//	d  a piece of its contents: the offset as a varint, then the bytes. Pieces come in order and don't overlap; between them are holes
//	e  its End
//	z  the stream ends, with nothing behind it: one that stops without was cut off
const (
	frameMember = 'm'
	frameData   = 'd'
	frameEnd    = 'e'
	frameClose  = 'z'
)

// MaxData is how many bytes a piece of contents has at most.
const MaxData = 256 << 10

// ErrStream: what came isn't a stream of members. The two ends are of different versions, or something got in between.
var ErrStream = errors.New("the stream of files is not readable")

// StreamWriter writes a stream. Its methods are called in the order Begin, Data as often as needed, End, for each member, and Close.
type StreamWriter struct {
	w   *bufio.Writer
	buf []byte
}

// NewStreamWriter writes to w.
func NewStreamWriter(w io.Writer) *StreamWriter {
	return &StreamWriter{w: bufio.NewWriterSize(w, MaxData+64)}
}

// Begin begins a member.
func (s *StreamWriter) Begin(m *Member) error {
	s.buf = AppendMember(s.buf[:0], m)
	return s.frame(frameMember, nil, s.buf)
}

// Data is a piece of the member's contents, at most MaxData bytes.
func (s *StreamWriter) Data(offset int64, b []byte) error {
	var head [binary.MaxVarintLen64]byte
	return s.frame(frameData, binary.AppendUvarint(head[:0], uint64(offset)), b)
}

// End ends a member.
func (s *StreamWriter) End(e *End) error {
	s.buf = AppendEnd(s.buf[:0], e)
	return s.frame(frameEnd, nil, s.buf)
}

// Flush hands on what was written so far.
func (s *StreamWriter) Flush() error { return s.w.Flush() }

// Close ends the stream. It doesn't close what it was written to.
func (s *StreamWriter) Close() error {
	if err := s.frame(frameClose, nil, nil); err != nil {
		return err
	}
	return s.w.Flush()
}

func (s *StreamWriter) frame(kind byte, head, b []byte) error {
	var h [1 + binary.MaxVarintLen64]byte
	h[0] = kind
	for _, part := range [][]byte{binary.AppendUvarint(h[:1], uint64(len(head)+len(b))), head, b} {
		if _, err := s.w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// StreamReader reads a stream.
type StreamReader struct {
	r    *bufio.Reader
	buf  []byte
	open bool // a member was begun and its End not read
	end  End
}

// NewStreamReader reads from r. It may read beyond the stream's end; NewStreamReaderOf doesn't.
func NewStreamReader(r io.Reader) *StreamReader {
	return NewStreamReaderOf(bufio.NewReaderSize(r, MaxData+64))
}

// NewStreamReaderOf reads from r no more than the stream.
func NewStreamReaderOf(r *bufio.Reader) *StreamReader { return &StreamReader{r: r} }

// Next is the next member; io.EOF behind the last one, once the stream has ended as it should. What is left of the one before is passed over.
func (s *StreamReader) Next() (Member, error) {
	var m Member
	for s.open {
		if _, _, err := s.Data(); err != nil && !errors.Is(err, io.EOF) {
			return m, err
		}
	}
	kind, b, err := s.frame()
	if err != nil {
		return m, err
	}
	switch kind {
	case frameClose:
		return m, io.EOF
	case frameMember:
		rest, err := DecodeMember(b, &m)
		if err != nil || len(rest) > 0 {
			return m, fmt.Errorf("%w: a member: %w", ErrStream, orTooLong(err))
		}
		s.open = true
		if err := m.Path.Check(); err != nil {
			return m, err
		}
		return m, m.SameAs.Check()
	}
	return m, fmt.Errorf("%w: frame %q between members", ErrStream, kind)
}

// Data is the next piece of the member's contents, in bytes that hold until the next call; io.EOF when there is none left and End is known.
func (s *StreamReader) Data() (offset int64, b []byte, err error) {
	if !s.open {
		return 0, nil, io.EOF
	}
	kind, b, err := s.frame()
	if err != nil {
		return 0, nil, err
	}
	switch kind {
	case frameData:
		off, n := binary.Uvarint(b)
		if n <= 0 || off > 1<<62 {
			return 0, nil, fmt.Errorf("%w: a piece of contents", ErrStream)
		}
		return int64(off), b[n:], nil
	case frameEnd:
		rest, err := DecodeEnd(b, &s.end)
		if err != nil || len(rest) > 0 {
			return 0, nil, fmt.Errorf("%w: a member's end: %w", ErrStream, orTooLong(err))
		}
		s.open = false
		return 0, nil, io.EOF
	}
	return 0, nil, fmt.Errorf("%w: frame %q in a member", ErrStream, kind)
}

// End is the member's, once Data has said io.EOF.
func (s *StreamReader) End() End { return s.end }

func orTooLong(err error) error {
	if err != nil {
		return err
	}
	return errors.New("it has too many bytes")
}

// frame reads one. Its bytes hold until the next.
func (s *StreamReader) frame() (kind byte, b []byte, err error) {
	kind, err = s.r.ReadByte()
	if err != nil {
		return 0, nil, cut(err)
	}
	n, err := binary.ReadUvarint(s.r)
	if err != nil {
		return 0, nil, cut(err)
	}
	most := uint64(MaxRecord)
	if kind == frameData {
		most = MaxData + binary.MaxVarintLen64
	}
	if n > most {
		return 0, nil, fmt.Errorf("%w: a frame %q of %d bytes", ErrStream, kind, n)
	}
	if uint64(cap(s.buf)) < n {
		s.buf = make([]byte, max(n, 64<<10))
	}
	b = s.buf[:n]
	if _, err := io.ReadFull(s.r, b); err != nil {
		return 0, nil, cut(err)
	}
	return kind, b, nil
}

// cut is io.EOF where a stream may not end.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Forward has read write a stream, and passes its members on to w, without the stream's end. begin and end may change what is passed on; a
// member that has become a further name is passed on without its contents.
func Forward(w *StreamWriter, read func(io.Writer) error, begin func(*Member) error, end func(*Member, *End) error) error {
	pr, pw := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := read(pw)
		pw.CloseWithError(err)
		done <- err
	}()
	err := forward(w, NewStreamReader(pr), begin, end)
	if err == nil {
		_, err = io.Copy(io.Discard, pr) // what reads is to end by itself
	}
	pr.CloseWithError(err)
	if rerr := <-done; rerr != nil && (err == nil || errors.Is(err, rerr)) {
		return rerr
	}
	return err
}

func forward(w *StreamWriter, r *StreamReader, begin func(*Member) error, end func(*Member, *End) error) error {
	for {
		m, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := begin(&m); err != nil {
			return err
		}
		if err := w.Begin(&m); err != nil {
			return err
		}
		for {
			off, b, err := r.Data()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
			if m.SameAs != "" {
				continue
			}
			if err := w.Data(off, b); err != nil {
				return err
			}
		}
		e := r.End()
		if err := end(&m, &e); err != nil {
			return err
		}
		if err := w.End(&e); err != nil {
			return err
		}
	}
}
