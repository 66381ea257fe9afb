package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// TestReadChanging changes a file once its reading has begun, which it shows by its first piece; the pieces that are read ahead of that are
// bounded, and the file has more.
func TestReadChanging(t *testing.T) {
	const size = 16 << 20
	past := time.Unix(1_600_000_000, 0)
	for _, x := range []struct {
		name   string
		change func(p string) error
		want   tree.State
	}{
		{"left alone", func(string) error { return nil }, tree.Stable},
		{"grows", func(p string) error { return appendTo(p, "more") }, tree.Changed},
		{"shrinks", func(p string) error { return os.Truncate(p, size/2) }, tree.Changed},
		{"rewritten, its time put back", func(p string) error {
			f, err := os.OpenFile(p, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteAt([]byte("x"), 5)
			return errors.Join(err, f.Close(), os.Chtimes(p, past, past))
		}, tree.Changed},
		{"replaced", func(p string) error { return errors.Join(os.WriteFile(p+"+", nil, 0o644), os.Rename(p+"+", p)) }, tree.Changed},
		{"removed", os.Remove, tree.Changed},
		{"another mode", func(p string) error { return os.Chmod(p, 0o600) }, tree.Changed},
		{"another attribute", func(p string) error { return unix.Setxattr(p, "user.x", nil, 0) }, tree.Changed},
		{"another name", func(p string) error { return os.Link(p, p+"2") }, tree.Changed},
	} {
		t.Run(x.name, func(t *testing.T) {
			root := t.TempDir()
			put(t, root, "file", strings.Repeat("0123456789abcdef", size/16))
			must(t, os.Chtimes(filepath.Join(root, "file"), past, past))
			put(t, root, "next", "next")
			d := open(t, root)
			r, w := io.Pipe()
			go func() { w.CloseWithError(d.Read(t.Context(), []tree.Path{"file", "next"}, w)) }()
			s := tree.NewStreamReader(r)
			_, err := s.Next()
			must(t, err)
			_, _, err = s.Data()
			must(t, err)
			must(t, x.change(filepath.Join(root, "file")))
			for err == nil {
				_, _, err = s.Data()
			}
			if s.End().State != x.want {
				t.Errorf("%c, want %c", s.End().State, x.want)
			}
			m, err := s.Next()
			must(t, err)
			_, b, err := s.Data()
			if m.Path != "next" || string(b) != "next" || err != nil {
				t.Errorf("after it comes %s with %q: %v", m.Path, b, err)
			}
			_, err = s.Next()
			if err != io.EOF {
				t.Error(err)
			}
		})
	}
}

func appendTo(p, s string) error {
	f, err := os.OpenFile(p, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(s)
	return errors.Join(err, f.Close())
}

// TestReadStates reads what isn't a file, or isn't there.
func TestReadStates(t *testing.T) {
	root, outside := t.TempDir(), t.TempDir()
	put(t, outside, "secret", "secret")
	must(t, os.Symlink(outside, filepath.Join(root, "out")))
	must(t, os.Symlink(outside+"/secret", filepath.Join(root, "link")))
	must(t, unix.Mkfifo(filepath.Join(root, "fifo"), 0o644))
	must(t, unix.Mknod(filepath.Join(root, "null"), unix.S_IFCHR|0o644, int(unix.Mkdev(1, 3))))
	must(t, unix.Mknod(filepath.Join(root, "socket"), unix.S_IFSOCK|0o644, 0))
	must(t, unix.Mknod(filepath.Join(root, "block"), unix.S_IFBLK|0o644, int(unix.Mkdev(7, 200))))
	must(t, os.Mkdir(filepath.Join(root, "mounted"), 0o755))
	put(t, root, "file", "")
	d := withMount(t, root, filepath.Join(root, "mounted"))
	if got := pathsOf(list(t, d)); len(got) != 9 { // these, and the root
		t.Errorf("listed %q", got)
	}
	for _, x := range []struct {
		path tree.Path
		want tree.State
		why  string
	}{
		{"link", tree.Stable, ""},
		{"absent", tree.Gone, ""},
		{"file/below", tree.Gone, ""},
		{"link/below", tree.Gone, ""},
		{"out/secret", tree.Gone, ""},
		{"fifo", tree.Unreadable, "a FIFO is not carried"},
		{"null", tree.Unreadable, "a character device is not carried"},
		{"socket", tree.Unreadable, "a socket is not carried"},
		{"block", tree.Unreadable, "a block device is not carried"},
		{"mounted", tree.Unreadable, "another file system is mounted there"},
		{"mounted/below", tree.Unreadable, "another file system is mounted there"},
	} {
		for _, old := range []bool{false, true} {
			d.old = old
			of, ends := members(t, d, x.path)
			if ends[0].State != x.want || ends[0].Why != x.why || of[0].Path != x.path {
				t.Errorf("old %v: %s is %c: %q", old, of[0].Path, ends[0].State, ends[0].Why)
			}
			must(t, d.Hash(t.Context(), []tree.Path{x.path}, func(s tree.Sum) error {
				if s.State != x.want || s.Why != x.why || s.Path != x.path {
					t.Errorf("hash, old %v: %s is %c: %q", old, s.Path, s.State, s.Why)
				}
				return nil
			}))
		}
	}
}

// TestReadSwapped reads while a file and its directory are swapped for what lies outside, and for what would block.
func TestReadSwapped(t *testing.T) {
	root, outside := t.TempDir(), t.TempDir()
	put(t, outside, "file", "secret")
	put(t, root, "a/file", "inside")
	must(t, os.Symlink(outside, filepath.Join(root, "to-dir")))
	must(t, os.Symlink(outside+"/file", filepath.Join(root, "to-file")))
	must(t, unix.Mkfifo(filepath.Join(root, "fifo"), 0o644))
	fifo, err := os.OpenFile(filepath.Join(root, "fifo"), os.O_RDWR, 0)
	must(t, err)
	defer fifo.Close()
	_, err = fifo.WriteString("for somebody else")
	must(t, err)
	for _, old := range []bool{false, true} {
		d := open(t, root)
		d.old = old
		seen := map[tree.State]int{}
		during(t, func() {
			for _, x := range [][2]string{{"a", "to-dir"}, {"a/file", "to-file"}, {"a/file", "fifo"}} {
				a, b := filepath.Join(root, x[0]), filepath.Join(root, x[1])
				unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
				unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
			}
		}, func() {
			var b bytes.Buffer
			must(t, d.Read(t.Context(), []tree.Path{"a/file", "a/file", "a/file", "a/file"}, &b))
			if strings.Contains(b.String(), "secret") {
				t.Fatal("read what is outside")
			}
			must(t, d.Hash(t.Context(), []tree.Path{"a/file", "a/file"}, func(s tree.Sum) error {
				if seen[s.State]++; s.State == tree.Unreadable && s.Why != "a FIFO is not carried" {
					t.Errorf("unreadable: %s", s.Why)
				}
				return nil
			}))
		})
		if seen[tree.Stable] == 0 || seen[tree.Gone] == 0 || seen[tree.Unreadable] == 0 {
			t.Errorf("old %v: not everything was hit: %v", old, seen)
		}
	}
	must(t, fifo.SetReadDeadline(time.Now().Add(time.Second)))
	b := make([]byte, 100)
	if n, err := fifo.Read(b); string(b[:n]) != "for somebody else" {
		t.Errorf("the FIFO has %q left: %v", b[:n], err)
	}
}

// TestHashChanging changes a file while it is hashed, slowly.
func TestHashChanging(t *testing.T) {
	root := t.TempDir()
	put(t, root, "file", strings.Repeat("x", 4<<20))
	d, err := Open(root, Options{Rate: 8 << 20})
	must(t, err)
	defer d.Close()
	time.AfterFunc(100*time.Millisecond, func() { os.Chmod(filepath.Join(root, "file"), 0o600) })
	must(t, d.Hash(t.Context(), []tree.Path{"file"}, func(s tree.Sum) error {
		if s.State != tree.Changed || s.Sum != [32]byte{} {
			t.Errorf("%c %x", s.State, s.Sum)
		}
		return nil
	}))
}

func TestReadUnsafe(t *testing.T) {
	d := open(t, t.TempDir())
	for _, p := range []tree.Path{"..", "a/../..", "/etc/passwd", "a//b", "./a", "a\x00b"} {
		if err := d.Read(t.Context(), []tree.Path{"a", p}, io.Discard); !errors.Is(err, tree.ErrUnsafe) {
			t.Errorf("read %s: %v", p, err)
		}
		if err := d.Hash(t.Context(), []tree.Path{p}, func(tree.Sum) error { return nil }); !errors.Is(err, tree.ErrUnsafe) {
			t.Errorf("hash %s: %v", p, err)
		}
		if err := d.Remove(t.Context(), []tree.Path{p}); !errors.Is(err, tree.ErrUnsafe) {
			t.Errorf("remove %s: %v", p, err)
		}
		if err := d.Finish(t.Context(), []tree.Member{{Stat: tree.Stat{Path: p}}}); !errors.Is(err, tree.ErrUnsafe) {
			t.Errorf("finish %s: %v", p, err)
		}
		if _, err := d.open(p, unix.O_PATH); !errors.Is(err, tree.ErrUnsafe) {
			t.Errorf("open %s: %v", p, err)
		}
	}
}

// TestReadLinks reads names of one file: the contents travel once, and all of them are as stable as the first.
func TestReadLinks(t *testing.T) {
	root := t.TempDir()
	put(t, root, "one", strings.Repeat("1", 3*tree.MaxData))
	must(t, os.Link(filepath.Join(root, "one"), filepath.Join(root, "two")))
	must(t, os.Link(filepath.Join(root, "one"), filepath.Join(root, "three")))
	d := open(t, root)
	var b bytes.Buffer
	must(t, d.Read(t.Context(), []tree.Path{"two", "three", "one"}, &b))
	if b.Len() > 3*tree.MaxData+1000 {
		t.Errorf("%d bytes travelled", b.Len())
	}
	of, ends := members(t, d, "two", "three", "one")
	for i, want := range []tree.Path{"", "two", "two"} {
		if of[i].SameAs != want || ends[i].State != tree.Stable || ends[i].Sum != ends[0].Sum {
			t.Errorf("%s is the same as %s, %c", of[i].Path, of[i].SameAs, ends[i].State)
		}
	}
	if _, err := carry(t.Context(), d, open(t, t.TempDir()), "three"); err != nil {
		t.Errorf("one name alone: %v", err)
	}
}

// TestReadBounded lets a reader wait that has many files before it, large ones or small ones.
func TestReadBounded(t *testing.T) {
	for _, x := range []struct{ files, size int }{{50, 2 << 20}, {1000, 4000}} {
		root := t.TempDir()
		var paths []tree.Path
		for i := range x.files {
			put(t, root, fmt.Sprint(i), strings.Repeat("x", x.size))
			paths = append(paths, tree.Path(fmt.Sprint(i)))
		}
		d := open(t, root)
		r, w := io.Pipe()
		result := make(chan error, 1)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		go func() { result <- d.Read(t.Context(), paths, w) }()
		_, err := r.Read(make([]byte, 1)) // it has begun to write
		must(t, err)
		time.Sleep(300 * time.Millisecond)
		runtime.ReadMemStats(&after)
		if held := int64(after.HeapInuse) - int64(before.HeapInuse); held > 24<<20 {
			t.Errorf("%d MiB are held of %d files of %d bytes", held>>20, x.files, x.size)
		}
		r.CloseWithError(io.ErrClosedPipe)
		if err := <-result; !errors.Is(err, io.ErrClosedPipe) {
			t.Error(err)
		}
	}
}

func TestReadCancelled(t *testing.T) {
	root := t.TempDir()
	put(t, root, "file", strings.Repeat("x", 8<<20))
	d := open(t, root)
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	out := writerFunc(func(b []byte) (int, error) { cancel(enough); return len(b), nil })
	if err := d.Read(ctx, []tree.Path{"file", "file", "file"}, out); !errors.Is(err, enough) {
		t.Errorf("read: %v", err)
	}
	if err := d.Hash(ctx, []tree.Path{"file"}, func(tree.Sum) error { t.Error("hashed"); return nil }); !errors.Is(err, enough) {
		t.Errorf("hash: %v", err)
	}
	if err := d.Remove(ctx, []tree.Path{"file"}); !errors.Is(err, enough) {
		t.Errorf("remove: %v", err)
	}
	if err := d.Write(ctx, stream(t, file("file", "y")), func(tree.Written) error { t.Error("written"); return nil }); !errors.Is(err, enough) {
		t.Errorf("write: %v", err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// TestHoles reads a file of which hardly anything is there, and one that has nothing but a hole at its end.
func TestHoles(t *testing.T) {
	root := t.TempDir()
	put(t, root, "front", "data")
	must(t, os.Truncate(filepath.Join(root, "front"), 64<<20))
	f, err := os.Create(filepath.Join(root, "middle"))
	must(t, err)
	_, err = f.WriteAt([]byte("data"), 32<<20)
	must(t, err)
	must(t, f.Truncate(64<<20))
	must(t, f.Close())
	src, dst := open(t, root), open(t, t.TempDir())
	copyAll(t, src, dst)
	if want, got := show(t, src), show(t, dst); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for _, p := range []tree.Path{"front", "middle"} {
		of, ends := members(t, dst, p)
		if of[0].Blocks*512 > 64<<10 {
			t.Errorf("%s takes %d blocks", p, of[0].Blocks)
		}
		must(t, dst.Hash(t.Context(), []tree.Path{p}, func(s tree.Sum) error {
			if s.State != tree.Stable || s.Sum != ends[0].Sum {
				t.Errorf("%s: hashed as %x, read as %x", p, s.Sum, ends[0].Sum)
			}
			return nil
		}))
	}
}

func TestRate(t *testing.T) {
	r := newRate(1000)
	now := time.Unix(1000, 0)
	for i, x := range []struct {
		after time.Duration
		n     int
		want  time.Duration
	}{{0, 500, 0}, {0, 250, 500 * time.Millisecond}, {250 * time.Millisecond, 100, 500 * time.Millisecond}, {2 * time.Second, 100, 0}, {0, 1, 100 * time.Millisecond}} {
		now = now.Add(x.after)
		if got := r.reserve(now, x.n); got != x.want {
			t.Errorf("%d: waits %s, want %s", i, got, x.want)
		}
	}
	root := t.TempDir()
	put(t, root, "file", strings.Repeat("x", 2<<20))
	d, err := Open(root, Options{Rate: 8 << 20})
	must(t, err)
	defer d.Close()
	begin := time.Now()
	must(t, d.Read(t.Context(), []tree.Path{"file"}, io.Discard))
	if took := time.Since(begin); took < 200*time.Millisecond { // 2 MiB, of which the last piece isn't waited for
		t.Errorf("took %s", took)
	}
}
