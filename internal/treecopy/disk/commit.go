package disk

import (
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// syncsWhole says whether syncfs does for this file system all that fsync does for every file, and tells of errors: it does from Linux 5.8 on,
// where statx also learned to tell of mounts. File systems that aren't named here, FUSE among them, don't hear of a syncfs.
func syncsWhole(root int, fs int64) bool {
	var st unix.Statx_t
	if err := unix.Statx(root, "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &st); err != nil || st.Mask&unix.STATX_MNT_ID == 0 {
		return false
	}
	switch fs {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC, unix.TMPFS_MAGIC, unix.OVERLAYFS_SUPER_MAGIC, unix.NFS_SUPER_MAGIC:
		return true
	}
	return false
}

// commit brings what was written to the disk, gives it its names, brings those to the disk too, and tells of it.
func (b *batch) commit(each func(tree.Written) error) error {
	if len(b.members) == 0 {
		return nil
	}
	if err := b.syncAll(); err != nil {
		return err
	}
	if err := b.place(); err != nil {
		return err
	}
	if err := b.syncNames(); err != nil {
		return err
	}
	for _, w := range b.members {
		if err := each(w.result()); err != nil {
			return err
		}
	}
	return nil
}

func (w *writing) result() tree.Written {
	out := w.out
	out.State, out.Why = w.end.State, w.end.Why
	if out.State == tree.Stable && w.err != nil {
		out.State, out.Why = tree.Failed, why(w.err)
	}
	if out.State != tree.Stable {
		out.Sum = [32]byte{}
	}
	return out
}

func (b *batch) syncAll() error { return done(func() error { return unix.Syncfs(b.sync) }) }

// syncNames brings the directories that got names to the disk.
func (b *batch) syncNames() error {
	if b.d.whole {
		return b.syncAll()
	}
	synced := map[tree.Path]bool{}
	for _, w := range b.members {
		dir, ok := w.Path.Parent()
		if !ok || synced[dir] {
			continue
		}
		synced[dir] = true
		if err := b.d.syncDir(dir); err != nil && !gone(err) {
			return err
		}
	}
	return nil
}

func (d *Disk) syncDir(p tree.Path) error {
	fd, err := d.open(p, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return done(func() error { return unix.Fsync(fd) })
}

// place gives files and links their names, several at once, and then further names to files.
func (b *batch) place() error {
	var all sync.WaitGroup
	work := make(chan *writing)
	for range writers {
		all.Go(func() {
			for w := range work {
				w.err = b.rename(w)
			}
		})
	}
	for _, w := range b.members {
		switch {
		case w.err != nil || w.end.State != tree.Stable:
			b.discard(w)
		case w.temp != "":
			work <- w
		}
	}
	close(work)
	all.Wait()
	for _, w := range b.members {
		if w.SameAs != "" && w.end.State == tree.Stable {
			w.err = b.link(w)
		}
		if fatal(w.err) {
			return w.err
		}
	}
	return nil
}

// rename gives a member its name, in place of what has it.
func (b *batch) rename(w *writing) error {
	dir, name, err := b.d.openParent(w.Path)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	rename := func() error { return done(func() error { return unix.Renameat(b.d.root, w.temp, dir, name) }) }
	if err = rename(); errors.Is(err, unix.EISDIR) {
		if err = done(func() error { return unix.Unlinkat(dir, name, unix.AT_REMOVEDIR) }); err != nil {
			return fmt.Errorf("a directory is in its place: %w", err)
		}
		err = rename()
	}
	if err == nil {
		w.temp = ""
	}
	return err
}

// link gives a file a further name.
func (b *batch) link(w *writing) error {
	if first := b.at[w.SameAs]; first != nil {
		if r := first.result(); r.State != tree.Stable || first.Kind != tree.File {
			return fmt.Errorf("its file %s was not written", w.SameAs)
		}
		w.out.Sum = first.out.Sum
	}
	fd, err := b.d.open(w.SameAs, unix.O_PATH)
	if err != nil {
		return fmt.Errorf("its file %s: %s", w.SameAs, why(err))
	}
	defer unix.Close(fd)
	st, err := statFD(fd, w.SameAs)
	if err != nil {
		return err
	}
	if err := kept(&st, &w.Member); err != nil {
		return fmt.Errorf("its file %s isn't the one that was read: %w", w.SameAs, err)
	}
	if b.named(w, st.Inode) {
		return nil
	}
	from, name, err := b.d.openParent(w.SameAs)
	if err != nil {
		return err
	}
	defer unix.Close(from)
	temp := b.name(w)
	if err := done(func() error { return unix.Linkat(from, name, b.d.root, temp, 0) }); err != nil {
		return err
	}
	return b.rename(w)
}

// named says whether a member's name is its file's already: a rename over a name of the same file does nothing.
func (b *batch) named(w *writing, inode uint64) bool {
	dir, name, err := b.d.openParent(w.Path)
	if err != nil {
		return false
	}
	defer unix.Close(dir)
	st, err := lstatAt(dir, name)
	return err == nil && st.Ino == inode
}
