package disk

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// Finish gives directories their owners, attributes, modes and times.
func (d *Disk) Finish(ctx context.Context, dirs []tree.Member) error {
	if d.old {
		return errOld
	}
	fd, err := d.open("", unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for i := range dirs {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if err := d.mayWrite(dirs[i].Path); err != nil {
			return err
		}
		if err := d.finishDir(&dirs[i]); err != nil {
			return full(fmt.Errorf("directory %s: %w", dirs[i].Path, err))
		}
	}
	return full(done(func() error { return unix.Syncfs(fd) }))
}

func (d *Disk) finishDir(m *tree.Member) error {
	fd, err := d.open(m.Path, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := setOpen(fd, m); err != nil {
		return err
	}
	if err := setTime(fd, ".", m.MTime); err != nil {
		return err
	}
	if err := keptOpen(fd, m); err != nil || d.whole {
		return err
	}
	return done(func() error { return unix.Fsync(fd) })
}
