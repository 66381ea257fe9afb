package hostile

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Mutate changes the tree until the context ends, at most every so often. It gives the first error of a change that should have worked.
func (t *Tree) Mutate(ctx context.Context, pause time.Duration) error {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := t.mutate(); err != nil {
			return err
		}
	}
}

func (t *Tree) mutate() error {
	i := t.rng.IntN(len(t.files))
	p := t.files[i]
	st, err := os.Lstat(p)
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() {
		return t.appear()
	}
	switch t.rng.IntN(12) {
	case 0:
		t.hit(Grew)
		return change(p, func(f *os.File) error { _, err := f.WriteAt(t.bytes(5000), st.Size()); return err })
	case 1:
		t.hit(Shrank)
		return os.Truncate(p, st.Size()/2)
	case 2, 3:
		if st.Size() == 0 {
			return nil
		}
		t.hit(Rewritten)
		err := change(p, func(f *os.File) error { _, err := f.WriteAt(t.bytes(9), st.Size()/2); return err })
		return errors.Join(err, os.Truncate(p, st.Size()), os.Chtimes(p, st.ModTime(), st.ModTime()))
	case 4:
		t.hit(Replaced)
		beside := p[:len(p)-1] + "~"
		return errors.Join(os.WriteFile(beside, t.bytes(3000), 0o600), os.Rename(beside, p))
	case 5:
		t.hit(Vanished)
		t.files = append(t.files[:i], t.files[i+1:]...)
		return os.Remove(p)
	case 6:
		t.hit(Renamed)
		t.files[i] = t.fresh()
		return os.Rename(p, t.files[i])
	case 7:
		t.hit(AnotherMode)
		return os.Chmod(p, os.FileMode(t.rng.IntN(0o1000)))
	case 8:
		t.hit(AnotherAttr)
		return unix.Setxattr(p, "user.mutated", t.bytes(8), 0)
	case 9:
		t.hit(AnotherName)
		return t.hardLink(t.fresh())
	case 10:
		return t.turn(p, i)
	}
	return t.appear()
}

func (t *Tree) appear() error {
	t.hit(Appeared)
	return t.add()
}

// turn makes a directory of a file, and a link to outside of that for a moment.
func (t *Tree) turn(p string, i int) error {
	t.hit(FileToDirectory)
	t.files = append(t.files[:i], t.files[i+1:]...)
	if err := errors.Join(os.Remove(p), os.Mkdir(p, 0o700), os.WriteFile(p+"/file", t.bytes(100), 0o600)); err != nil {
		return err
	}
	t.hit(DirectoryToLink)
	beside := t.fresh()
	if err := os.Symlink(t.outside, beside); err != nil {
		return err
	}
	swap := func() error {
		return unix.Renameat2(unix.AT_FDCWD, p, unix.AT_FDCWD, beside, unix.RENAME_EXCHANGE)
	}
	err := swap()
	time.Sleep(time.Millisecond)
	t.files = append(t.files, beside)
	if t.rng.IntN(2) == 0 {
		return err // the link stays in its place
	}
	return errors.Join(err, swap())
}

func change(p string, f func(*os.File) error) error {
	o, err := os.OpenFile(p, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(f(o), o.Close())
}
