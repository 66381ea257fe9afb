package disk

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// within are the kernel's rules for every path.
const within = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV

// longest is how many bytes of a path the kernel takes at once; a tree may be deeper.
const longest = 4000

// open opens an entry by its path. A symbolic link at its end is opened as itself with O_PATH, one before is ELOOP or ENOTDIR, another file
// system is EXDEV.
func (d *Disk) open(p tree.Path, flags int) (int, error) {
	if err := p.Check(); err != nil {
		return -1, err
	}
	at, rest := d.root, string(p)
	if rest == "" {
		rest = "."
	}
	for {
		piece, tail := d.piece(rest)
		how := flags
		if tail != "" {
			how = unix.O_PATH | unix.O_DIRECTORY
		}
		fd, err := d.step(at, piece, how)
		if at != d.root {
			unix.Close(at)
		}
		if err != nil || tail == "" {
			return fd, err
		}
		at, rest = fd, tail
	}
}

// piece cuts off what one step can open: one name on an old kernel.
func (d *Disk) piece(p string) (head, tail string) {
	most := len(p)
	switch {
	case d.old:
		most = strings.IndexByte(p, '/')
	case most > longest:
		most = strings.LastIndexByte(p[:longest], '/')
	}
	if most < 0 || most == len(p) {
		return p, ""
	}
	return p[:most], p[most+1:]
}

func (d *Disk) step(at int, p string, flags int) (int, error) {
	flags |= unix.O_NOFOLLOW | unix.O_CLOEXEC
	if !d.old {
		return again(func() (int, error) {
			return unix.Openat2(at, p, &unix.OpenHow{Flags: uint64(flags), Resolve: within})
		})
	}
	fd, err := again(func() (int, error) { return unix.Openat(at, p, flags, 0) })
	if err != nil {
		return -1, err
	}
	st, err := fstat(fd)
	if err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR && st.Dev != d.dev {
		err = unix.EXDEV
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// openParent opens the directory that an entry is in, for calls that take a directory and a name.
func (d *Disk) openParent(p tree.Path) (dir int, name string, err error) {
	parent, ok := p.Parent()
	if !ok || p.Check() != nil {
		return -1, "", tree.ErrUnsafe
	}
	dir, err = d.open(parent, unix.O_PATH|unix.O_DIRECTORY)
	return dir, p.Base(), err
}

// openQuiet opens for reading, without a new time of access where the system allows that.
func (d *Disk) openQuiet(p tree.Path, flags int) (int, error) {
	flags |= unix.O_RDONLY
	fd, err := d.open(p, flags|unix.O_NOATIME)
	if errors.Is(err, unix.EPERM) {
		fd, err = d.open(p, flags)
	}
	return fd, err
}

// gone says whether an error means that there is no such entry: it isn't there, or the way to it is no directory of this tree any more.
func gone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ESTALE)
}

// why is an error in words that say enough without the path.
func why(err error) string {
	switch {
	case errors.Is(err, unix.EXDEV):
		return "another file system is mounted there"
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENOTDIR):
		return "its directory is none, or a symbolic link"
	}
	return err.Error()
}

// again does a call until no signal interrupts it: file systems in user space let signals through, and Go sends itself some.
func again[T any](call func() (T, error)) (T, error) {
	for {
		v, err := call()
		if err != unix.EINTR {
			return v, err
		}
	}
}

// done is again for calls that have no result.
func done(call func() error) error {
	_, err := again(func() (struct{}, error) { return struct{}{}, call() })
	return err
}

func fstat(fd int) (unix.Stat_t, error) {
	return again(func() (st unix.Stat_t, err error) { err = unix.Fstat(fd, &st); return st, err })
}

func lstatAt(dir int, name string) (unix.Stat_t, error) {
	return again(func() (st unix.Stat_t, err error) {
		err = unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT)
		return st, err
	})
}

// readlinkAt reads a link; name is "" where at is the link itself.
func readlinkAt(at int, name string) (tree.Path, error) {
	var buf [unix.PathMax]byte
	n, err := again(func() (int, error) { return unix.Readlinkat(at, name, buf[:]) })
	return tree.Path(buf[:max(n, 0)]), err
}
