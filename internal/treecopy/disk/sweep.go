package disk

import (
	"context"
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// Sweep takes away every name in the root that begins with tree.TempPrefix.
func (d *Disk) Sweep(ctx context.Context) error {
	if d.old {
		return errOld
	}
	names, err := d.names("")
	if err != nil {
		return err
	}
	return d.keepTime(func() error {
		for _, name := range names {
			if !strings.HasPrefix(name, tree.TempPrefix) {
				continue
			}
			if err := context.Cause(ctx); err != nil {
				return err
			}
			if err := d.clear(name); err != nil {
				return &os.PathError{Op: "sweep", Path: name, Err: err}
			}
		}
		return nil
	})
}

// clear takes away an entry of the root, and what is in it if it is a directory; which is Probe's, and flat.
func (d *Disk) clear(name string) error {
	err := d.remove(tree.Path(name))
	if errors.Is(err, unix.ENOTEMPTY) {
		names, err := d.names(tree.Path(name))
		if err != nil {
			return err
		}
		for _, n := range names {
			if err := d.remove(tree.Path(name).Join(n)); err != nil && !gone(err) {
				return err
			}
		}
		return d.remove(tree.Path(name))
	}
	if gone(err) {
		return nil
	}
	return err
}

// names reads a directory.
func (d *Disk) names(p tree.Path) ([]string, error) {
	fd, err := d.openQuiet(p, unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	dir := os.NewFile(uintptr(fd), p.String())
	defer dir.Close()
	return dir.Readdirnames(-1)
}
