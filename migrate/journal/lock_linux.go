package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// The lock is an open-file-description lock (fcntl(2), F_OFD_SETLK) on the lock file: the kernel drops it with the last
// descriptor, so it cannot outlive its process, and F_OFD_GETLK asks for it without taking it. The file's text only
// says who; that it is still there means nothing.
type fileLock struct {
	f    *os.File
	path string
}

// holderSize pads the text so that each writer overwrites all of the one before, in one write, in bytes.
const holderSize = 1024

func whole() *unix.Flock_t { return &unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart} }

func lockFile(path string, h Holder) (*fileLock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) // close-on-exec: no child keeps the lock
	if err != nil {
		return nil, fmt.Errorf("lock run: %w", err)
	}
	err = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, whole())
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		who := readHolder(f)
		return nil, errors.Join(&LockedError{who}, f.Close())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock run: %s: %w", path, err), f.Close())
	}
	l := &fileLock{f, path}
	if err := errors.Join(l.Held(), l.write(h)); err != nil { // Held: the file may have been replaced before the lock was ours
		return nil, errors.Join(fmt.Errorf("lock run: %w", err), f.Close())
	}
	return l, nil
}

func (l *fileLock) write(h Holder) error {
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if len(text) >= holderSize {
		return fmt.Errorf("holder is %d bytes long", len(text))
	}
	pad := make([]byte, holderSize)
	for i := range pad {
		pad[i] = ' '
	}
	copy(pad, text)
	pad[holderSize-1] = '\n'
	_, err = l.f.WriteAt(pad, 0)
	return err
}

// Held looks whether the file with the lock is still the one that others would try to lock.
func (l *fileLock) Held() error {
	mine, err := l.f.Stat()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrLockLost, err)
	}
	there, err := os.Stat(l.path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrLockLost, err)
	}
	if !os.SameFile(mine, there) {
		return fmt.Errorf("%w: %s was replaced", ErrLockLost, l.path)
	}
	return nil
}

func (l *fileLock) Release() error { return l.f.Close() }

func whoHolds(path string) (Holder, bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return Holder{}, false, err
	}
	defer f.Close()
	lk := whole()
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, lk); err != nil {
		return Holder{}, false, fmt.Errorf("ask for lock %s: %w", path, err)
	}
	if lk.Type == unix.F_UNLCK {
		return Holder{}, false, nil
	}
	return readHolder(f), true, nil
}

// readHolder gives the zero Holder for a text that says nothing: that the run is held is known without it.
func readHolder(f *os.File) (h Holder) {
	b := make([]byte, holderSize)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return Holder{}
	}
	if json.Unmarshal(b[:n], &h) != nil {
		return Holder{}
	}
	return h
}
