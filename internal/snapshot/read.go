package snapshot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"io/fs"
	"slices"

	"github.com/hashicorp/go-multierror"
	"github.com/klauspost/compress/zstd"

	"github.com/slipway-dev/slipway/internal/errlist"
)

const manifestName = "manifest.json"

// sealed is the manifest's file: the manifest as it was written, and the SHA-256 of those bytes.
type sealed struct {
	SHA256   string          `json:"sha256"`
	Manifest json.RawMessage `json:"manifest"`
}

func seal(m Manifest) ([]byte, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("write manifest: %w", err)
	}
	sum := sha256.Sum256(body)
	return box(hex.EncodeToString(sum[:]), body), nil
}

// box puts a manifest's file together by hand, because the digest is of these very bytes.
func box(sum string, body []byte) []byte {
	return fmt.Appendf(nil, "{\"sha256\":%q,\n\"manifest\":%s}\n", sum, body)
}

// Artifact is one whole part, opened for reading.
type Artifact struct {
	Manifest Manifest
	Digest   string // SHA-256 of the manifest, hex: names this artifact's very contents
	detail   json.RawMessage
	files    shelf
	where    string
}

// Open reads a part's manifest; it doesn't look at the other files (see Verify). ErrNotFound, ErrHalf, ErrDamaged, ErrFormat.
func (s *Store) Open(ctx context.Context, id ID, p Part) (*Artifact, error) {
	if err := id.Check(); err != nil {
		return nil, err
	}
	fail := func(err error) (*Artifact, error) {
		return nil, fmt.Errorf("snapshot %s, %s, in %s: %w", id, p, s.Where(), err)
	}
	b, err := s.at.manifest(ctx, id, p)
	switch {
	case errors.Is(err, ErrHalf):
		return fail(fmt.Errorf("%w; type slipway resume %s, or use another snapshot", err, id))
	case errors.Is(err, ErrNotFound):
		return fail(fmt.Errorf("%w; see slipway snapshot list", err))
	case err != nil:
		return fail(err)
	}
	var was sealed
	if err := json.Unmarshal(b, &was); err != nil {
		return fail(fmt.Errorf("%s: %w: %w", manifestName, ErrDamaged, err))
	}
	if sum := sha256.Sum256(was.Manifest); !bytes.Equal(b, box(hex.EncodeToString(sum[:]), was.Manifest)) {
		return fail(fmt.Errorf("%s was altered: %w", manifestName, ErrDamaged))
	}
	var version struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(was.Manifest, &version); err != nil {
		return fail(fmt.Errorf("%s: %w: %w", manifestName, ErrDamaged, err))
	}
	if version.Format < 1 || version.Format > Format {
		return fail(fmt.Errorf("%w %d, and this program reads formats 1 to %d; use the version of this program that made it, or take a new snapshot", ErrFormat, version.Format, Format))
	}
	var detail json.RawMessage
	a := &Artifact{Manifest: Manifest{Detail: &detail}, Digest: was.SHA256, files: s.at.whole(id, p), where: s.Where() + "/" + string(id) + "/" + string(p)}
	if err := json.Unmarshal(was.Manifest, &a.Manifest); err != nil {
		return fail(fmt.Errorf("%s: %w: %w", manifestName, ErrDamaged, err))
	}
	a.Manifest.Detail, a.detail = nil, detail
	if a.Manifest.ID != id || a.Manifest.Part != p {
		return fail(fmt.Errorf("%s is of snapshot %s, %s: %w", manifestName, a.Manifest.ID, a.Manifest.Part, ErrDamaged))
	}
	return a, nil
}

// Detail reads the part's own detail into v, strictly.
func (a *Artifact) Detail(v any) error {
	d := json.NewDecoder(bytes.NewReader(a.detail))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("snapshot %s, %s: detail of the manifest: %w", a.Manifest.ID, a.Manifest.Part, err)
	}
	return nil
}

// File finds a file's record by name.
func (a *Artifact) File(name string) (File, error) {
	i := slices.IndexFunc(a.Manifest.Files, func(f File) bool { return f.Name == name })
	if i < 0 {
		return File{}, fmt.Errorf("snapshot %s, %s: the manifest has no file %s: %w", a.Manifest.ID, a.Manifest.Part, name, ErrDamaged)
	}
	return a.Manifest.Files[i], nil
}

// Path is the directory that the part's files are in, or the bucket and what their names begin with.
func (a *Artifact) Path() string { return a.where }

// Stored is how many bytes the part's files have on disk, without the manifest.
func (a *Artifact) Stored() (n int64) {
	for _, f := range a.Manifest.Files {
		n += f.Size
	}
	return n
}

// ErrUnread: the disk or the bucket doesn't give what is in it now. It says nothing of the snapshot; try again.
var ErrUnread = errors.New("snapshot can't be read now")

// Read opens a file. What it yields is to be trusted only when it has ended with io.EOF: the checksum over the stored
// bytes is compared there, and an altered file ends with ErrDamaged instead. ErrUnread.
func (a *Artifact) Read(ctx context.Context, f File) (io.ReadCloser, error) {
	file, err := a.files.open(ctx, f.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, a.damaged(f, "it is missing")
	}
	if err != nil {
		return nil, a.unread(f, err)
	}
	r := &chunkReader{a: a, rec: f, file: &source{ReadCloser: file}, sum: sha256.New()}
	r.zip, err = zstd.NewReader(io.TeeReader(r.file, r.sum), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
	if err != nil {
		file.Close()
		return nil, r.bad(err.Error())
	}
	return r, nil
}

func (a *Artifact) damaged(f File, what string) error {
	return fmt.Errorf("snapshot %s, %s: file %s (%s): %s: %w", a.Manifest.ID, a.Manifest.Part, f.Name, f.Of, what, ErrDamaged)
}

func (a *Artifact) unread(f File, err error) error {
	return fmt.Errorf("%w: %s, %s: file %s (%s): %w", ErrUnread, a.Manifest.ID, a.Manifest.Part, f.Name, f.Of, err)
}

// source remembers why its file could not be read, which the decoder may say in other words.
type source struct {
	io.ReadCloser
	err error
}

func (s *source) Read(b []byte) (int, error) {
	n, err := s.ReadCloser.Read(b)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

type chunkReader struct {
	a    *Artifact
	rec  File
	file *source
	zip  *zstd.Decoder
	sum  hash.Hash
	n    int64
	err  error
}

func (r *chunkReader) bad(what string) error {
	if r.file.err != nil {
		return r.a.unread(r.rec, r.file.err)
	}
	return r.a.damaged(r.rec, what)
}

func (r *chunkReader) Read(b []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.zip.Read(b)
	r.n += int64(n)
	switch {
	case errors.Is(err, io.EOF):
		r.err = io.EOF
		if _, err := io.Copy(r.sum, r.file); err != nil { // what lies behind the last frame counts too
			r.err = r.bad(err.Error())
		} else if hex.EncodeToString(r.sum.Sum(nil)) != r.rec.SHA256 || r.n != r.rec.Raw {
			r.err = r.bad("its checksum is another")
		}
	case err != nil:
		r.err = r.bad(err.Error())
	}
	return n, r.err
}

func (r *chunkReader) Close() error {
	r.zip.Close()
	return r.file.Close()
}

// Verify reads every stored byte and finds all that is missing, torn, altered or too many, each with its file and
// place. progress, if not nil, is told the bytes read so far and their total.
func (a *Artifact) Verify(ctx context.Context, progress func(done, total int64)) error {
	var bad *multierror.Error
	var done int64
	total := a.Stored()
	known := map[string]bool{}
	for _, f := range a.Manifest.Files {
		known[f.Name] = true
		err := a.verifyFile(ctx, f, func(n int64) {
			done += n
			if progress != nil {
				progress(done, total)
			}
		})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		bad = multierror.Append(bad, err)
	}
	names, err := a.files.names(ctx)
	if err != nil {
		return fmt.Errorf("verify snapshot %s, %s: %w", a.Manifest.ID, a.Manifest.Part, err)
	}
	for _, name := range names {
		if !known[name] {
			bad = multierror.Append(bad, a.damaged(File{Name: name, Of: "unknown"}, "the manifest doesn't name it"))
		}
	}
	return errlist.OrNil(bad)
}

func (a *Artifact) verifyFile(ctx context.Context, f File, read func(int64)) error {
	file, err := a.files.open(ctx, f.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return a.damaged(f, "it is missing")
	}
	if err != nil {
		return a.unread(f, err)
	}
	defer file.Close()
	sum, block, at := sha256.New(), make([]byte, BlockSize), int64(0)
	for i := 0; ; i++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := io.ReadFull(file, block)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return a.unread(f, fmt.Errorf("after byte %d: %w", at, err))
		}
		if n == 0 {
			break
		}
		if at+int64(n) > f.Size {
			return a.damaged(f, fmt.Sprintf("it goes on after its end at byte %d", f.Size))
		}
		if whole := min(BlockSize, f.Size-at); int64(n) < whole {
			return a.damaged(f, fmt.Sprintf("torn: it ends at byte %d of %d", at+int64(n), f.Size))
		}
		if i >= len(f.Blocks) || crc32.Checksum(block[:n], castagnoli) != f.Blocks[i] {
			return a.damaged(f, fmt.Sprintf("altered between bytes %d and %d", at, at+int64(n)))
		}
		sum.Write(block[:n])
		at += int64(n)
		read(int64(n))
	}
	if at < f.Size {
		return a.damaged(f, fmt.Sprintf("torn: it ends at byte %d of %d", at, f.Size))
	}
	if hex.EncodeToString(sum.Sum(nil)) != f.SHA256 {
		return a.damaged(f, "altered: its SHA-256 is another")
	}
	return nil
}
