package disk

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// Remove takes entries away.
func (d *Disk) Remove(ctx context.Context, paths []tree.Path) error {
	if d.old {
		return errOld
	}
	for _, p := range paths {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if err := d.mayWrite(p); err != nil {
			return err
		}
		if err := d.remove(p); err != nil && !gone(err) {
			return fmt.Errorf("remove %s: %w", p, err)
		}
	}
	return nil
}

func (d *Disk) remove(p tree.Path) error {
	dir, name, err := d.openParent(p)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	err = done(func() error { return unix.Unlinkat(dir, name, 0) })
	if errors.Is(err, unix.EISDIR) {
		err = done(func() error { return unix.Unlinkat(dir, name, unix.AT_REMOVEDIR) })
	}
	return err
}
