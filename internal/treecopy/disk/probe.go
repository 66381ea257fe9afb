package disk

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"

	"golang.org/x/sys/unix"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// Probe tries what it asks about, in a directory of its own.
func (d *Disk) Probe(context.Context) (k tree.Keeps, err error) {
	if d.old {
		return k, errOld
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(d.root, &fs); err != nil {
		return k, err
	}
	root, err := fstat(d.root)
	if err != nil {
		return k, err
	}
	k.Root = fmt.Sprintf("%08x%08x-%x", uint32(fs.Fsid.Val[0]), uint32(fs.Fsid.Val[1]), root.Ino)
	k.Bytes, k.Inodes = int64(fs.Bavail)*int64(fs.Frsize), -1
	if fs.Files > 0 {
		k.Inodes = int64(min(fs.Ffree, math.MaxInt64))
	}
	k.UID, k.GID = uint32(os.Geteuid()), uint32(os.Getegid())
	err = d.keepTime(func() error { return d.try(&k) })
	return k, full(err)
}

// keepTime has the root's time of modification as it was before, when names in it have come and gone.
func (d *Disk) keepTime(f func() error) error {
	was, err := statFD(d.root, "")
	if err != nil {
		return err
	}
	err = f()
	if e := setTime(d.root, ".", was.MTime); err == nil && e != nil {
		err = fmt.Errorf("put back the root's time of modification: %w", e)
	}
	return err
}

// try makes a directory and a file in it, and finds out what can be done with them.
func (d *Disk) try(k *tree.Keeps) (err error) {
	name := newPrefix() + "probe"
	if err := done(func() error { return unix.Mkdirat(d.root, name, 0o700) }); err != nil {
		return err
	}
	defer func() {
		if e := d.clear(name); err == nil {
			err = e
		}
	}()
	dir, err := d.open(tree.Path(name), unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	fd, err := d.create(name+"/file", unix.O_RDWR)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	st, err := fstat(fd)
	if err != nil {
		return err
	}
	k.GID = st.Gid // a set-group-ID root gives its own

	k.Attrs = keepsAttr(fd, "user.slipway", "\x00value")
	k.ACLs = keepsAttr(fd, aclAccess, someACL()) && keepsAttr(dir, aclDefault, someACL())
	if k.Grain, err = grain(dir); err != nil {
		return err
	}
	if k.Holes, err = keepsHoles(fd); err != nil {
		return err
	}
	k.Owners = keepsOwner(fd, 65533, 65532) && keepsOwner(fd, 33, 33)
	return nil
}

func keepsOwner(fd int, uid, gid uint32) bool {
	if err := done(func() error { return unix.Fchown(fd, int(uid), int(gid)) }); err != nil {
		return false
	}
	st, err := fstat(fd)
	return err == nil && st.Uid == uid && st.Gid == gid
}

func keepsAttr(fd int, name, value string) bool {
	if err := done(func() error { return unix.Fsetxattr(fd, name, []byte(value), 0) }); err != nil {
		return false
	}
	got, err := sized(func(b []byte) (int, error) { return unix.Fgetxattr(fd, name, b) })
	return err == nil && string(got) == value
}

// someACL is one that no mode could say: a further user may read. Format: linux/posix_acl_xattr.h, version 2; tag, permissions and id of each.
func someACL() string {
	const none = math.MaxUint32
	b := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range []struct {
		tag, perm uint16
		id        uint32
	}{{0x01, 6, none}, {0x02, 4, 65533}, {0x04, 4, none}, {0x10, 4, none}, {0x20, 0, none}} {
		b = binary.LittleEndian.AppendUint16(b, e.tag)
		b = binary.LittleEndian.AppendUint16(b, e.perm)
		b = binary.LittleEndian.AppendUint32(b, e.id)
	}
	return string(b)
}

// keepsHoles says whether a file of a megabyte with data at its end takes less than that.
func keepsHoles(fd int) (bool, error) {
	const size = 1 << 20
	if _, err := again(func() (int, error) { return unix.Pwrite(fd, []byte("end"), size-3) }); err != nil {
		return false, err
	}
	if err := done(func() error { return unix.Fsync(fd) }); err != nil { // before that not every file system knows
		return false, err
	}
	st, err := fstat(fd)
	return err == nil && st.Blocks*512 < size, err
}

// grain finds what the times of the file in a directory are multiples of.
func grain(dir int) (int64, error) {
	const second = 1_000_000_000
	asked := tree.Time{Sec: 1_234_567_891, Nsec: 987_654_321} // an odd second: some keep every other
	if err := setTime(dir, "file", asked); err != nil {
		return 0, err
	}
	st, err := lstatAt(dir, "file")
	if err != nil {
		return 0, err
	}
	got := statOf("", &st).MTime
	off := (got.Sec-asked.Sec)*second + got.Nsec - asked.Nsec
	for _, g := range []int64{1, 100, 1000, 1_000_000, 10_000_000, second, 2 * second} {
		if -g < off && off < g && (got.Sec*second+got.Nsec)%g == 0 {
			return g, nil
		}
	}
	return 0, fmt.Errorf("the file system keeps no times of modification: %s became %s", asked.Time().UTC(), got.Time().UTC())
}
