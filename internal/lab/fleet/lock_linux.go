package fleet

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// useLock marks a checkpoint as used, until the file is closed, and notes when.
func useLock(dir string) (*os.File, error) {
	f, err := os.OpenFile(dir+".use", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if err := errors.Join(unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB), os.Chtimes(f.Name(), now, now)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// lockUnused takes the lock of something that nobody uses; nil if somebody does.
func lockUnused(mark string) (*os.File, error) {
	f, err := os.OpenFile(mark, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, f.Close()
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// removeAttribute removes an extended attribute; that it isn't there is no error.
func removeAttribute(path, name string) error {
	if err := unix.Removexattr(path, name); err != nil && !errors.Is(err, unix.ENODATA) {
		return err
	}
	return nil
}
