package disk

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// Options are how a tree is read.
type Options struct {
	Rate int64 // bytes a second that Read and Hash take from files, together; 0: as fast as it goes
}

// Disk is a tree. Its methods may be called side by side, as tree.Target says.
type Disk struct {
	name  string
	root  int    // descriptor of the root
	dev   uint64 // that the root is on
	old   bool   // the kernel has no openat2
	fuse  bool   // each call is a message to a program, and maybe to other machines
	whole bool   // syncfs brings everything that was written to the disk, and tells of errors
	rate  *rate
}

var _ tree.Target = (*Disk)(nil)

// Open opens the tree below a directory; a symbolic link on the way to it is followed. The error is tree.ErrNoTree where there is none.
func Open(root string, o Options) (*Disk, error) {
	fd, err := again(func() (int, error) { return unix.Open(root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0) })
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return nil, fmt.Errorf("%s: %w", root, tree.ErrNoTree)
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: root, Err: err}
	}
	d := &Disk{name: root, root: fd, rate: newRate(o.Rate)}
	if err := d.learn(); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("%s: %w", root, err)
	}
	return d, nil
}

// learn finds out what kernel and file system this is.
func (d *Disk) learn() error {
	st, err := fstat(d.root)
	if err != nil {
		return err
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(d.root, &fs); err != nil {
		return err
	}
	d.dev = st.Dev
	d.fuse = fs.Type == unix.FUSE_SUPER_MAGIC
	d.whole = syncsWhole(d.root, int64(fs.Type))
	fd, err := again(func() (int, error) {
		return unix.Openat2(d.root, ".", &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: within})
	})
	switch {
	case err == nil:
		unix.Close(fd)
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM): // a container's filter may not know it
		d.old = true
	default:
		return err
	}
	return nil
}

// Name is the root's, as it was given.
func (d *Disk) Name() string { return d.name }

// Close gives the tree back. Nothing of it may go on.
func (d *Disk) Close() error { return unix.Close(d.root) }
