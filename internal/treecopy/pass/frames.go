package pass

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
)

// The manifest and the log are rows of frames: the length of the contents in 4 bytes, the CRC-32C of those 4 bytes and of the
// contents in 4 bytes, all with the lowest byte first, and the contents. The first frame is the header. Each further one of the log is a run: the entries of one batch, sorted. Those of the manifest are
// sorted over all of them, and the last is empty: a manifest without it isn't whole.

const (
	frameHead = 8
	maxFrame  = 1 << 30
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrDamaged: a file of the state isn't as it was written. Take the directory away, and copy again: what the target has is hashed and kept.
var ErrDamaged = errors.New("the state is damaged")

// errTorn: the last frame was not written to its end.
var errTorn = errors.New("the last frame is cut off")

func appendFrame(b, contents []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(contents)))
	b = binary.LittleEndian.AppendUint32(b, checksum(b[len(b)-4:], contents))
	return append(b, contents...)
}

// checksum covers the length too, so that a stretch of zeros is no row of empty frames.
func checksum(length, contents []byte) uint32 {
	return crc32.Update(crc32.Checksum(length, castagnoli), castagnoli, contents)
}

// frames reads them.
type frames struct {
	r    *bufio.Reader
	off  int64 // of the next
	size int64 // of the file
	buf  []byte
}

func newFrames(r io.Reader, size int64) *frames {
	return &frames{r: bufio.NewReaderSize(r, 256<<10), size: size}
}

// next is the contents of the next frame, which hold until the call after; io.EOF behind the last. A bad frame with nothing behind it is errTorn:
// whoever wrote it was killed. One with something behind it is ErrDamaged.
func (f *frames) next() ([]byte, error) {
	var head [frameHead]byte
	switch _, err := io.ReadFull(f.r, head[:]); {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, errTorn
	case err != nil:
		return nil, err
	}
	n := int64(binary.LittleEndian.Uint32(head[:]))
	end := f.off + frameHead + n
	if n > maxFrame || end > f.size {
		return nil, errTorn
	}
	if int64(cap(f.buf)) < n {
		f.buf = make([]byte, n)
	}
	b := f.buf[:n]
	if _, err := io.ReadFull(f.r, b); err != nil {
		return nil, err
	}
	if checksum(head[:4], b) != binary.LittleEndian.Uint32(head[4:]) {
		if end == f.size || f.zeros(head[:], b) {
			return nil, errTorn
		}
		return nil, fmt.Errorf("%w: at byte %d", ErrDamaged, f.off)
	}
	f.off = end
	return b, nil
}

// zeros says whether there is nothing but zeros from a frame on: room that was given to the file, and never written.
func (f *frames) zeros(parts ...[]byte) bool {
	for _, b := range parts {
		for _, c := range b {
			if c != 0 {
				return false
			}
		}
	}
	for {
		switch c, err := f.r.ReadByte(); {
		case err != nil:
			return true
		case c != 0:
			return false
		}
	}
}

// header says what a file is of.
type header struct {
	source, target string // what the places are called
	root           string // tree.Keeps.Root of the target
}

const magic = "slipway files 1"

func (h header) contents() []byte {
	return fmt.Appendf(nil, "%s\n%q\n%q\n%q\n", magic, h.source, h.target, h.root)
}

func parseHeader(b []byte) (h header, err error) {
	lines := bytes.Split(b, []byte("\n"))
	if len(lines) != 5 || string(lines[0]) != magic {
		return h, fmt.Errorf("%w: it doesn't begin with %q", ErrDamaged, magic)
	}
	for i, v := range []*string{&h.source, &h.target, &h.root} {
		if *v, err = strconv.Unquote(string(lines[i+1])); err != nil {
			return h, fmt.Errorf("%w: header: %w", ErrDamaged, err)
		}
	}
	return h, nil
}
