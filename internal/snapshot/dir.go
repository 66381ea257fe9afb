package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// directory is a place on a disk. A half-made part has another name; the kernel's lock on it is the hold of the process that writes it.
type directory struct {
	path string
	sys  system
}

func (d *directory) String() string { return d.path }

func (d *directory) wholePath(id ID, p Part) string {
	return filepath.Join(d.path, string(id), string(p))
}

func (d *directory) halfPath(id ID, p Part) string {
	return filepath.Join(d.path, string(id), "."+string(p)+".half")
}

// ids: a store whose directory isn't there yet is empty. A stray file does no harm.
func (d *directory) ids(context.Context) (out []ID, err error) {
	dirs, err := os.ReadDir(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, e := range dirs {
		if e.IsDir() && ID(e.Name()).Check() == nil {
			out = append(out, ID(e.Name()))
		}
	}
	return out, err
}

func (d *directory) manifest(_ context.Context, id ID, p Part) ([]byte, error) {
	dir := d.wholePath(id, p)
	b, err := os.ReadFile(filepath.Join(dir, manifestName))
	if !errors.Is(err, fs.ErrNotExist) {
		return b, err
	}
	if _, err := os.Stat(dir); err == nil {
		return nil, fmt.Errorf("%s is missing: %w", manifestName, ErrDamaged)
	}
	if _, err := os.Stat(d.halfPath(id, p)); err == nil {
		return nil, ErrHalf
	}
	return nil, ErrNotFound
}

func (d *directory) whole(id ID, p Part) shelf { return files(d.wholePath(id, p)) }

func (d *directory) writing(id ID, p Part) (bool, error) {
	unlock, err := lock(d.halfPath(id, p))
	if errors.Is(err, ErrBusy) {
		return true, nil
	}
	if err == nil {
		unlock()
	}
	return false, err
}

func (d *directory) free() (int64, error) {
	dir := d.path
	for {
		free, err := d.sys.free(dir)
		if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			return free, err
		}
		dir = filepath.Dir(dir)
	}
}

func (d *directory) begin(_ context.Context, id ID, p Part) (draft, error) {
	half, whole := d.halfPath(id, p), d.wholePath(id, p)
	if err := makeDir(filepath.Dir(half)); err != nil {
		return nil, err
	}
	if _, err := os.Stat(whole); err == nil {
		return nil, ErrExists
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := makeDir(half); err != nil {
		return nil, err
	}
	unlock, err := lock(half)
	if err != nil {
		return nil, err
	}
	return &halfDir{files: files(half), in: d, id: id, part: p, unlock: unlock}, nil
}

func (d *directory) discard(_ context.Context, id ID, p Part) error {
	unlock, err := lock(d.halfPath(id, p))
	if errors.Is(err, fs.ErrNotExist) {
		return d.dropEmpty(id)
	}
	if err != nil {
		return err
	}
	defer unlock()
	if err := os.RemoveAll(d.halfPath(id, p)); err != nil {
		return err
	}
	return d.dropEmpty(id)
}

// dropEmpty removes a snapshot's directory when nothing is in it.
func (d *directory) dropEmpty(id ID) error {
	dir := filepath.Join(d.path, string(id))
	left, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(left) > 0 {
		return nil
	}
	if err == nil {
		err = os.Remove(dir)
	}
	if err != nil {
		return err
	}
	return syncDir(d.path)
}

// files is a directory's.
type files string

func (f files) names(context.Context) (out []string, err error) {
	entries, err := os.ReadDir(string(f))
	for _, e := range entries {
		if e.Name() != manifestName {
			out = append(out, e.Name())
		}
	}
	return out, err
}

func (f files) open(_ context.Context, name string) (io.ReadCloser, error) {
	return os.Open(filepath.Join(string(f), name))
}

// halfDir is a half-made part in a directory.
type halfDir struct {
	files
	in     *directory
	id     ID
	part   Part
	unlock func()
}

func (h *halfDir) create(_ context.Context, name string) (outFile, error) {
	return h.in.sys.create(filepath.Join(string(h.files), name))
}

func (h *halfDir) put(ctx context.Context, name string, body []byte) error {
	f, err := h.create(ctx, name)
	if err != nil {
		return err
	}
	if _, err = f.Write(body); err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = syncDir(string(h.files))
	}
	return err
}

func (h *halfDir) remove(ctx context.Context, names ...string) error {
	for _, n := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := os.RemoveAll(filepath.Join(string(h.files), n)); err != nil {
			return err
		}
	}
	return nil
}

func (h *halfDir) commit(ctx context.Context, manifest []byte) error {
	const tmp = "." + manifestName
	half, whole := string(h.files), h.in.wholePath(h.id, h.part)
	if err := h.put(ctx, tmp, manifest); err != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { return os.Rename(filepath.Join(half, tmp), filepath.Join(half, manifestName)) },
		func() error { return syncDir(half) },
		func() error { return os.Rename(half, whole) },
		func() error { return syncDir(filepath.Dir(whole)) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	h.unlock()
	return nil
}

func (h *halfDir) leave() { h.unlock() }

func (h *halfDir) abort(context.Context) error {
	defer h.unlock()
	if err := os.RemoveAll(string(h.files)); err != nil {
		return err
	}
	return h.in.dropEmpty(h.id)
}
