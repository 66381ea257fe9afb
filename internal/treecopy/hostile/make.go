package hostile

import (
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// add makes an entry, of a kind that is drawn.
func (t *Tree) add() error {
	makers := [...]func(p string) error{
		t.plain, t.plain, t.plain, t.plain, t.plain, t.large, t.empty, t.directory, t.directory, t.directory, t.deep, t.owner, t.setID, t.hardLink, t.hardLink,
		t.attrs, t.acl, t.sparse, t.sparseEnd, t.unwritable, t.fifo, t.socket, t.device, t.dangling, t.absolute, t.up, t.toDirectory,
	}
	return makers[t.rng.IntN(len(makers))](t.fresh())
}

func (t *Tree) put(p string, trait Trait, contents []byte) error {
	t.hit(trait)
	if err := os.WriteFile(p, contents, 0o644); err != nil {
		return err
	}
	t.files = append(t.files, p)
	return t.touch(p)
}

func (t *Tree) plain(p string) error { return t.put(p, Plain, t.bytes(1+t.rng.IntN(20_000))) }
func (t *Tree) large(p string) error { return t.put(p, Large, t.bytes(1<<20+t.rng.IntN(2<<20))) }
func (t *Tree) empty(p string) error { return t.put(p, EmptyFile, nil) }

func (t *Tree) directory(p string) error {
	t.hit(EmptyDirectory)
	if err := os.Mkdir(p, 0o755); err != nil {
		return err
	}
	if len(p) < 1500 { // others are left empty
		t.dirs = append(t.dirs, p)
	}
	return nil
}

// deep makes directories within each other, as far as a path goes.
func (t *Tree) deep(p string) error {
	t.hit(Deep)
	for len(p) < 3500 {
		if err := os.Mkdir(p, 0o755); err != nil {
			return err
		}
		p = filepath.Join(p, strings.Repeat("deep", 60))
	}
	return os.WriteFile(p, []byte("deep"), 0o644)
}

func (t *Tree) owner(p string) error {
	t.hit(Owner)
	return errors.Join(t.plain(p), os.Lchown(p, 1+t.rng.IntN(60_000), 1+t.rng.IntN(60_000)))
}

func (t *Tree) setID(p string) error {
	t.hit(SetID)
	return errors.Join(t.owner(p), os.Chmod(p, 0o750|[]os.FileMode{os.ModeSetuid, os.ModeSetgid, os.ModeSticky}[t.rng.IntN(3)]))
}

func (t *Tree) unwritable(p string) error {
	t.hit(Unwritable)
	return errors.Join(t.plain(p), os.Chmod(p, 0))
}

func (t *Tree) hardLink(p string) error {
	if len(t.files) == 0 {
		return nil
	}
	to := t.one(t.files)
	if st, err := os.Lstat(to); err != nil || !st.Mode().IsRegular() {
		return err
	}
	t.hit(HardLink)
	if err := os.Link(to, p); err != nil {
		return err
	}
	t.files = append(t.files, p)
	return nil
}

func (t *Tree) attrs(p string) error {
	t.hit(UserAttr)
	err := t.plain(p)
	for _, name := range []string{"user.mime", "user.\xff", "user.empty"}[:1+t.rng.IntN(3)] {
		err = errors.Join(err, unix.Setxattr(p, name, t.bytes(t.rng.IntN(500)), 0))
	}
	return err
}

// acl gives a file or a directory an ACL. Format: linux/posix_acl_xattr.h, version 2; tag, permissions and id of each.
func (t *Tree) acl(p string) error {
	b := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range [][3]uint32{{0x01, 7, math.MaxUint32}, {0x02, 5, 1000 + uint32(t.rng.IntN(9))}, {0x04, 5, math.MaxUint32}, {0x10, 7, math.MaxUint32}, {0x20, 1, math.MaxUint32}} {
		b = binary.LittleEndian.AppendUint16(b, uint16(e[0]))
		b = binary.LittleEndian.AppendUint16(b, uint16(e[1]))
		b = binary.LittleEndian.AppendUint32(b, e[2])
	}
	if t.rng.IntN(2) == 0 {
		t.hit(DefaultACL)
		return errors.Join(t.directory(p), unix.Setxattr(p, "system.posix_acl_default", b, 0))
	}
	t.hit(AccessACL)
	return errors.Join(t.plain(p), unix.Setxattr(p, "system.posix_acl_access", b, 0))
}

// sparse makes a file with data between holes.
func (t *Tree) sparse(p string) error {
	if err := t.put(p, Sparse, nil); err != nil {
		return err
	}
	f, err := os.OpenFile(p, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	for range 1 + t.rng.IntN(3) {
		_, e := f.WriteAt(t.bytes(1000), int64(1+t.rng.IntN(8))<<18)
		err = errors.Join(err, e)
	}
	return errors.Join(err, f.Close(), t.touch(p))
}

func (t *Tree) sparseEnd(p string) error {
	return errors.Join(t.put(p, Sparse, t.bytes(t.rng.IntN(2)*5000)), os.Truncate(p, 1<<20), t.touch(p))
}

func (t *Tree) fifo(p string) error   { t.hit(Fifo); return unix.Mkfifo(p, 0o644) }
func (t *Tree) socket(p string) error { t.hit(Socket); return unix.Mknod(p, unix.S_IFSOCK|0o644, 0) }
func (t *Tree) device(p string) error {
	t.hit(Device)
	return unix.Mknod(p, unix.S_IFCHR|0o644, int(unix.Mkdev(1, 5)))
}

func (t *Tree) link(p string, trait Trait, to string) error {
	t.hit(trait)
	t.files = append(t.files, p)
	at := []unix.Timespec{{Sec: 1_600_000_000}, {Sec: 1_600_000_000, Nsec: int64(t.rng.IntN(1_000_000_000))}}
	return errors.Join(os.Symlink(to, p), os.Lchown(p, t.rng.IntN(100), 33), unix.UtimesNanoAt(unix.AT_FDCWD, p, at, unix.AT_SYMLINK_NOFOLLOW))
}

func (t *Tree) dangling(p string) error { return t.link(p, DanglingLink, "not/there\xff\n") }
func (t *Tree) absolute(p string) error {
	return t.link(p, AbsoluteLink, filepath.Join(t.outside, "file"))
}
func (t *Tree) up(p string) error          { return t.link(p, UpLink, "../../../../../etc/passwd") }
func (t *Tree) toDirectory(p string) error { return t.link(p, DirectoryLink, t.one(t.dirs)) }
