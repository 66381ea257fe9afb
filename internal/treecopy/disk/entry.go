package disk

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// startAfter is how many bytes of a file are written before the disk is told to begin with them, so that the call that waits for all of
// them at the end has little to wait for.
const startAfter = 8 << 20

// temporary says whether a path is that of something half made, or below.
func temporary(p tree.Path) bool { return strings.HasPrefix(string(p), tree.TempPrefix) }

// file writes a file under its temporary name, with all its attributes. It takes contents to their end, or returns before.
func (b *batch) file(w *writing, contents <-chan *piece) error {
	fd, err := b.d.create(w.temp, unix.O_WRONLY)
	if err != nil {
		return err
	}
	sum, err := b.fill(fd, w, contents)
	if err == nil && w.end.State == tree.Stable {
		w.out.Sum = sum
		err = b.finishFile(fd, w)
	}
	if e := unix.Close(fd); err == nil { // network file systems tell of a full disk here
		err = e
	}
	return err
}

// create makes a new file in the root.
func (d *Disk) create(name string, flags int) (int, error) {
	return again(func() (int, error) {
		return unix.Openat2(d.root, name, &unix.OpenHow{Flags: uint64(flags | unix.O_CREAT | unix.O_EXCL | unix.O_CLOEXEC), Mode: 0o600, Resolve: within})
	})
}

// fill writes a file's contents and leaves out its holes.
func (b *batch) fill(fd int, w *writing, contents <-chan *piece) (sum [32]byte, err error) {
	s := newSummer()
	var started int64
	for p := range contents {
		if p.at < s.at || p.at > w.Size-int64(p.n) {
			p.free()
			return sum, fmt.Errorf("%w: contents of %s that overlap or go beyond its size", tree.ErrStream, w.Path)
		}
		err := writeAll(fd, p)
		if err == nil {
			s.piece(p)
		}
		p.free()
		if err != nil {
			return sum, err
		}
		if s.at-started >= startAfter {
			startWriting(fd, started, s.at-started)
			started = s.at
		}
	}
	if w.end.State != tree.Stable { // the end is known since the contents have ended
		return sum, nil
	}
	if s.at < w.Size {
		if err := done(func() error { return unix.Ftruncate(fd, w.Size) }); err != nil {
			return sum, err
		}
		s.hole(w.Size)
	}
	sum = s.sum()
	if sum != w.end.Sum {
		return sum, errors.New("what arrived isn't what was read")
	}
	return sum, nil
}

func writeAll(fd int, p *piece) error {
	for off := 0; off < p.n; {
		n, err := again(func() (int, error) { return unix.Pwrite(fd, p.buf[off:p.n], p.at+int64(off)) })
		if err != nil {
			return err
		}
		off += n
	}
	return nil
}

// startWriting has the disk begin with a stretch of a file. It is a hint: whether all is there is for the batch's end to find out.
func startWriting(fd int, at, n int64) { _ = unix.SyncFileRange(fd, at, n, unix.SYNC_FILE_RANGE_WRITE) }

// finishFile gives a new file everything but its name.
func (b *batch) finishFile(fd int, w *writing) error {
	if err := setOpen(fd, &w.Member); err != nil {
		return err
	}
	if err := setTime(b.d.root, w.temp, w.MTime); err != nil {
		return err
	}
	if err := keptOpen(fd, &w.Member); err != nil {
		return err
	}
	if b.d.whole {
		return nil
	}
	return done(func() error { return unix.Fsync(fd) })
}

// setOpen gives an open file or directory its owner, attributes and mode. Setting an owner takes set-id bits away, an attribute wants a file
// that may be written, and an ACL sets the mode's bits of the group: so the mode is last.
func setOpen(fd int, m *tree.Member) error {
	for _, a := range m.Attrs {
		if !carried(a.Name) {
			return fmt.Errorf("attribute %q is not carried", a.Name)
		}
	}
	if err := done(func() error { return unix.Fchown(fd, int(m.UID), int(m.GID)) }); err != nil {
		return fmt.Errorf("owner %d:%d: %w", m.UID, m.GID, err)
	}
	if err := setAttrs(fd, m.Attrs); err != nil {
		return err
	}
	if err := done(func() error { return unix.Fchmod(fd, m.Mode&0o7777) }); err != nil {
		return fmt.Errorf("mode %04o: %w", m.Mode, err)
	}
	return nil
}

func setTime(dir int, name string, t tree.Time) error {
	times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Sec: t.Sec, Nsec: t.Nsec}}
	return done(func() error { return unix.UtimesNanoAt(dir, name, times, unix.AT_SYMLINK_NOFOLLOW) })
}

// keptOpen is kept of an open entry.
func keptOpen(fd int, m *tree.Member) error {
	st, err := statFD(fd, m.Path)
	if err != nil {
		return err
	}
	return kept(&st, m)
}

// kept says what a file system took without a word and didn't keep. Of times it leaves the fractions to Probe.
func kept(st *tree.Stat, m *tree.Member) error {
	late := st.MTime.Sec - m.MTime.Sec
	switch {
	case st.Kind != m.Kind:
		return fmt.Errorf("it is a %s and should be a %s", st.Kind, m.Kind)
	case st.UID != m.UID || st.GID != m.GID:
		return fmt.Errorf("it belongs to %d:%d and should to %d:%d: the file system doesn't keep owners", st.UID, st.GID, m.UID, m.GID)
	case m.Kind != tree.Symlink && st.Mode != m.Mode:
		return fmt.Errorf("its mode is %04o and should be %04o: the file system doesn't keep modes", st.Mode, m.Mode)
	case late < -2 || late > 2:
		return fmt.Errorf("its time of modification is %s and should be %s: the file system doesn't keep such times", st.MTime.Time().UTC(), m.MTime.Time().UTC())
	case m.Kind == tree.File && st.Size != m.Size:
		return fmt.Errorf("it has %d bytes and should have %d", st.Size, m.Size)
	}
	return nil
}

// symlink makes a symbolic link under its temporary name.
func (b *batch) symlink(w *writing) error {
	root, temp := b.d.root, b.name(w)
	if err := done(func() error { return unix.Symlinkat(string(w.Link), root, temp) }); err != nil {
		return err
	}
	if err := done(func() error {
		return unix.Fchownat(root, temp, int(w.UID), int(w.GID), unix.AT_SYMLINK_NOFOLLOW)
	}); err != nil {
		return fmt.Errorf("owner %d:%d: %w", w.UID, w.GID, err)
	}
	if err := setTime(root, temp, w.MTime); err != nil {
		return err
	}
	fd, err := b.d.open(tree.Path(temp), unix.O_PATH)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return keptOpen(fd, &w.Member)
}

// directory makes a directory in its place, if there is none. It is for this process alone until Finish.
func (b *batch) directory(w *writing) error {
	if w.Path == "" {
		return nil
	}
	dir, name, err := b.d.openParent(w.Path)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	mkdir := func() error { return done(func() error { return unix.Mkdirat(dir, name, 0o700) }) }
	err = mkdir()
	if !errors.Is(err, unix.EEXIST) {
		return err
	}
	st, err := lstatAt(dir, name)
	if err != nil || kindOf(st.Mode) == tree.Directory {
		return err
	}
	if err := done(func() error { return unix.Unlinkat(dir, name, 0) }); err != nil {
		return err
	}
	return mkdir()
}
