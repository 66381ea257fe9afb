package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Dir is the directory of one run on this machine's disk: 0700, the files in it 0600.
type Dir struct{ path string }

// MakeDir makes root/run durably. It fails with fs.ErrExist when there is one.
func MakeDir(root, run string) (*Dir, error) {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, fmt.Errorf("make directory of runs: %w", err)
	}
	path := filepath.Join(root, run)
	if err := os.Mkdir(path, 0o700); err != nil {
		return nil, fmt.Errorf("make directory of run: %w", err)
	}
	if err := syncDir(root); err != nil {
		return nil, err
	}
	return OpenDir(path)
}

// OpenDir takes an existing directory. It is refused when others than its owner may look into it.
func OpenDir(path string) (*Dir, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open directory of run: %w", err)
	}
	if !st.IsDir() {
		return nil, fmt.Errorf("open directory of run: %s is not a directory", path)
	}
	if st.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("open directory of run: %s has mode %04o and must be its owner's alone: type chmod 0700 %s",
			path, st.Mode().Perm(), path)
	}
	return &Dir{path}, nil
}

// Path is the directory's path; the journal is Path()/journal.jsonl.
func (d *Dir) Path() string { return d.path }

func (d *Dir) Open() (io.ReadCloser, error) { return os.Open(filepath.Join(d.path, Name)) }

func (d *Dir) OpenWrite() (File, error) {
	// Not os.O_APPEND: positions are explicit, see File.
	return os.OpenFile(filepath.Join(d.path, Name), os.O_RDWR|os.O_CREATE, 0o600)
}

func (d *Dir) SyncDir() error { return syncDir(d.path) }

func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (d *Dir) Lock(h Holder) (Lock, error) {
	l, err := lockFile(filepath.Join(d.path, LockName), h)
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (d *Dir) Holder() (Holder, bool, error) {
	h, held, err := whoHolds(filepath.Join(d.path, LockName))
	if errors.Is(err, fs.ErrNotExist) {
		return Holder{}, false, nil
	}
	return h, held, err
}
