package rootfs

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/slipway-dev/slipway/internal/lab/progress"
)

// Lock takes an exclusive lock on path for this process and says what it waits for if another holds it. The lock ends with unlock or with the process.
func Lock(ctx context.Context, path string, report progress.Func, waits string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return nil, err
	}
	var task *progress.Task
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			if task != nil {
				task.End()
			}
			return func() { _ = f.Close() }, nil // closing is what unlocks
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errors.Join(err, f.Close())
		}
		if task == nil {
			task = progress.Begin(report, waits)
		}
		task.At("waiting", 0, 0)
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// syncTree writes the file system of path to disk.
func syncTree(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(f.Fd())), f.Close())
}
