package agent

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// Version is the protocol's. Both ends have the same or don't speak; raise it with any change of the protocol, or of package tree's encodings.
const Version = 1

// ErrProtocol: what came isn't the protocol. Something got in between the two ends, or one of them is broken.
var ErrProtocol = errors.New("the agent's answer is not readable")

// The frames.
const (
	frameHello  = 'h'
	frameInput  = 'i'
	frameEnd    = 'q'
	frameBroken = 'b'
	framePing   = '.'

	frameWelcome = 'k'
	frameOutput  = 'o'
	frameDone    = 'z'
	frameFailed  = 'x'
)

// The operations.
const (
	opList   = 'L'
	opRead   = 'R'
	opHash   = 'H'
	opProbe  = 'P'
	opWrite  = 'W'
	opRemove = 'D'
	opFinish = 'F'
	opSweep  = 'S'
)

// maxFrame bounds a frame in bytes. What is longer is sent in several.
const maxFrame = 512 << 10

// mouth writes frames; several may at once.
type mouth struct {
	mu sync.Mutex
	w  *bufio.Writer
}

func newMouth(w io.Writer) *mouth { return &mouth{w: bufio.NewWriterSize(w, 64<<10)} }

func (m *mouth) say(kind byte, b []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var head [1 + binary.MaxVarintLen64]byte
	head[0] = kind
	if _, err := m.w.Write(binary.AppendUvarint(head[:1], uint64(len(b)))); err != nil {
		return err
	}
	if _, err := m.w.Write(b); err != nil {
		return err
	}
	return m.w.Flush()
}

// pieces is a writer whose bytes become frames of a kind.
type pieces struct {
	m    *mouth
	kind byte
}

func (p pieces) Write(b []byte) (n int, err error) {
	for len(b) > 0 {
		part := b[:min(len(b), maxFrame)]
		if err := p.m.say(p.kind, part); err != nil {
			return n, err
		}
		n, b = n+len(part), b[len(part):]
	}
	return n, nil
}

// ear reads frames.
type ear struct {
	r   *bufio.Reader
	buf []byte
}

// hear gives the next frame, in bytes that hold until the one after it. io.EOF stands for an end between two frames alone.
func (e *ear) hear() (kind byte, b []byte, err error) {
	if kind, err = e.r.ReadByte(); err != nil {
		return 0, nil, err
	}
	n, err := binary.ReadUvarint(e.r)
	if err != nil {
		return 0, nil, cut(err)
	}
	if n > maxFrame {
		return 0, nil, fmt.Errorf("%w: a frame %q of %d bytes", ErrProtocol, kind, n)
	}
	if uint64(cap(e.buf)) < n {
		e.buf = make([]byte, max(n, 64<<10))
	}
	if _, err := io.ReadFull(e.r, e.buf[:n]); err != nil {
		return 0, nil, cut(err)
	}
	return kind, e.buf[:n], nil
}

// cut is io.EOF where nothing may end.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// maxRecord bounds a record in bytes: an entry with what became of it.
const maxRecord = tree.MaxRecord + 64<<10
