package snapshot

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Writer makes one part. Files may be created from several goroutines; Commit or Abort ends it.
//
// A part that a killed run left half made is begun anew where a consistent read of the source ended with the connection
// that had it (Begin), or gone on with where each file holds for itself (Resume).
type Writer struct {
	store  *Store
	id     ID
	part   Part
	begun  time.Time
	expect int64
	at     draft

	mu     sync.Mutex
	files  []File
	open   int
	stored int64
	broken error // the first failed write: the part can't become whole
}

// Begin starts owner's part anew. expect is about how many bytes before compression will come, for the messages of a
// full disk and to refuse what can't fit; 0 when it isn't known.
//
// ErrExists when the part is whole (use it), ErrBusy when another process writes it, *NoSpaceError when it can't fit.
func (s *Store) Begin(ctx context.Context, owner ID, p Part, expect int64) (*Writer, error) {
	return s.begin(ctx, owner, p, expect, func(w *Writer) error { return w.empty(ctx) })
}

// begin opens a half-made part and has prepare deal with what an earlier attempt left in it.
func (s *Store) begin(ctx context.Context, owner ID, p Part, expect int64, prepare func(*Writer) error) (*Writer, error) {
	if err := owner.Check(); err != nil {
		return nil, err
	}
	w := &Writer{store: s, id: owner, part: p, begun: time.Now().UTC(), expect: expect}
	if err := w.begin(ctx, prepare); err != nil {
		return nil, w.explain("begin", err)
	}
	return w, nil
}

// leastRatio is the best compression that rows are credited with when it is asked whether they can fit.
const leastRatio = 10

func (w *Writer) begin(ctx context.Context, prepare func(*Writer) error) (err error) {
	if w.at, err = w.store.at.begin(ctx, w.id, w.part); err != nil {
		return err
	}
	if err = prepare(w); err == nil {
		var free int64
		if free, err = w.store.at.free(); err == nil && free < w.expect/leastRatio {
			err = syscall.ENOSPC
		}
	}
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, ErrUnread):
		w.at.leave() // what is there can still be gone on with
	case err != nil:
		err = errors.Join(err, w.Abort(ctx))
	}
	return err
}

// empty removes what an earlier attempt left.
func (w *Writer) empty(ctx context.Context) error {
	left, err := w.at.names(ctx)
	if err != nil {
		return err
	}
	return w.at.remove(ctx, left...)
}

// NoSpaceError: the store's disk is full. Nothing is left that looks whole; after making room, resume the run.
type NoSpaceError struct {
	Dir    string
	Needed int64 // bytes that are still to come, before compression; 0: not known
	Free   int64
}

func (e *NoSpaceError) Error() string {
	need := ""
	if e.Needed > 0 {
		need = fmt.Sprintf("up to %d bytes more needed, ", e.Needed)
	}
	return fmt.Sprintf("no space left in the snapshot directory %s: %s%d bytes free; nothing half made is left; make room there and type slipway resume", e.Dir, need, e.Free)
}

// Unwrap lets errors.Is find syscall.ENOSPC.
func (e *NoSpaceError) Unwrap() error { return syscall.ENOSPC }

func (w *Writer) explain(doing string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		free, ferr := w.store.at.free()
		if ferr != nil {
			return fmt.Errorf("%s: %w (%w)", doing, err, ferr)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		var raw int64
		for _, f := range w.files {
			raw += f.Raw
		}
		err = &NoSpaceError{Dir: w.store.Where(), Needed: max(0, w.expect-raw), Free: free}
	}
	return fmt.Errorf("%s snapshot %s, %s: %w", doing, w.id, w.part, err)
}

// Chunk is one file being written; it is compressed. It is of one goroutine.
type Chunk struct {
	w    *Writer
	file outFile
	zip  *zstd.Encoder
	sum  hash.Hash
	crc  uint32
	rec  File
	err  error
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Create starts a file; ctx lasts until it is closed. name is lower-case letters, digits, dots and dashes; of says what it holds.
func (w *Writer) Create(ctx context.Context, name, of string) (*Chunk, error) {
	if name == "" || name[0] == '.' || name == manifestName || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789.-") != "" {
		return nil, fmt.Errorf("snapshot %s, %s: %q can't be a file's name here", w.id, w.part, name)
	}
	c := &Chunk{w: w, sum: sha256.New(), rec: File{Name: name, Of: of, Blocks: []uint32{}}}
	var err error
	if c.file, err = w.at.create(ctx, name); err != nil {
		return nil, w.failed(of, err)
	}
	// One goroutine each: the callers write several files at once.
	c.zip, err = zstd.NewWriter((*stored)(c), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		c.file.giveUp()
		return nil, w.failed(of, err)
	}
	w.mu.Lock()
	w.open++
	w.mu.Unlock()
	return c, nil
}

func (w *Writer) failed(of string, err error) error {
	err = w.explain("write "+of+" into", err)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken == nil {
		w.broken = err
	}
	return err
}

// Write takes bytes before compression.
func (c *Chunk) Write(b []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.zip.Write(b)
	c.rec.Raw += int64(n)
	if err != nil {
		c.err = c.w.failed(c.rec.Of, err)
	}
	return n, c.err
}

// Raw is how many bytes were written so far, before compression.
func (c *Chunk) Raw() int64 { return c.rec.Raw }

// Close makes the file durable and gives its record, which is the manifest's once the part is committed.
func (c *Chunk) Close() (File, error) {
	err := cmp.Or(c.zip.Close(), c.err)
	if err == nil {
		err = c.file.Sync()
	}
	if err == nil {
		err = c.file.Close()
	} else {
		c.file.giveUp()
	}
	c.w.mu.Lock()
	c.w.open--
	c.w.mu.Unlock()
	if c.err != nil {
		return File{}, c.err
	}
	if err != nil {
		c.err = c.w.failed(c.rec.Of, err)
		return File{}, c.err
	}
	if c.rec.Size%BlockSize != 0 {
		c.rec.Blocks = append(c.rec.Blocks, c.crc)
	}
	c.rec.SHA256 = hex.EncodeToString(c.sum.Sum(nil))
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	c.w.files = append(c.w.files, c.rec)
	c.w.stored += c.rec.Size
	return c.rec, nil
}

// stored is the chunk's side towards the disk: what the encoder gives out.
type stored Chunk

func (c *stored) Write(b []byte) (int, error) {
	n, err := c.file.Write(b)
	done := b[:n]
	c.sum.Write(done)
	for len(done) > 0 {
		k := min(int64(len(done)), BlockSize-c.rec.Size%BlockSize)
		c.crc = crc32.Update(c.crc, castagnoli, done[:k])
		c.rec.Size += k
		if c.rec.Size%BlockSize == 0 {
			c.rec.Blocks, c.crc = append(c.rec.Blocks, c.crc), 0
		}
		done = done[k:]
	}
	return n, err
}

// Contents is what the caller of Commit says about a part; the writer knows the rest of the manifest.
type Contents struct {
	Tool, From string
	Position   *Position
	Objects    []Object
	Detail     any
}

// Commit makes the part whole: the manifest is written last, and the part gets its name when all of it is on the
// disk. It gives the artifact as a later run would open it. After an error the part isn't whole; Abort it.
func (w *Writer) Commit(ctx context.Context, c Contents) (*Artifact, error) {
	w.mu.Lock()
	broken, open, files := w.broken, w.open, slices.Clone(w.files)
	w.mu.Unlock()
	if broken != nil {
		return nil, broken
	}
	if open > 0 {
		return nil, fmt.Errorf("commit snapshot %s, %s: %d files are still open", w.id, w.part, open)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	m := Manifest{Format: Format, ID: w.id, Part: w.part, Tool: c.Tool, From: c.From, Begun: w.begun, Made: time.Now().UTC(),
		Position: c.Position, Objects: c.Objects, Files: files, Detail: c.Detail}
	if m.Objects == nil {
		m.Objects = []Object{}
	}
	b, err := seal(m)
	if err == nil {
		err = w.dropNotes(ctx)
	}
	if err == nil {
		err = w.at.commit(ctx, b)
	}
	if err != nil {
		return nil, w.explain("commit", err)
	}
	return w.store.Open(ctx, w.id, w.part)
}

// Abort removes what was written, also when ctx has ended. Use it when a write failed: a full disk gets its room back for the journal.
func (w *Writer) Abort(ctx context.Context) error {
	if err := w.at.abort(ctx); err != nil {
		return fmt.Errorf("remove half-made snapshot %s, %s: %w", w.id, w.part, err)
	}
	return nil
}
