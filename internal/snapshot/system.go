package snapshot

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// system is what a full disk can be played on in tests.
type system interface {
	create(path string) (outFile, error)
	free(dir string) (int64, error)
}

type realSystem struct{}

func (realSystem) create(path string) (outFile, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	return diskFile{f}, err
}

type diskFile struct{ *os.File }

func (f diskFile) giveUp() { _ = f.Close() }

func (realSystem) free(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}

// lock takes a directory for one process; the kernel gives it back when the process ends, however it ends. ErrBusy
// when another process has it; an error that is fs.ErrNotExist when the directory isn't there.
func lock(dir string) (unlock func(), err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		d.Close()
		if err == unix.EWOULDBLOCK {
			return nil, fmt.Errorf("%s: %w", dir, ErrBusy)
		}
		return nil, &os.PathError{Op: "flock", Path: dir, Err: err}
	}
	return func() { d.Close() }, nil
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return nil
}

// makeDir makes dir, private to the user, with every directory above it that is missing, durably.
func makeDir(dir string) error {
	if err := os.Mkdir(dir, 0o700); err == nil {
		return syncDir(filepath.Dir(dir))
	} else if os.IsExist(err) {
		return nil
	} else if !os.IsNotExist(err) || dir == filepath.Dir(dir) {
		return err
	}
	if err := makeDir(filepath.Dir(dir)); err != nil {
		return err
	}
	return makeDir(dir)
}
