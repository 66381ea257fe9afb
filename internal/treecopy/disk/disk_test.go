package disk

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// open opens a tree that is closed when the test ends.
func open(t testing.TB, root string) *Disk {
	t.Helper()
	d, err := Open(root, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// put writes a file with a time of modification that is its own.
func put(t testing.TB, root, name, contents string) {
	t.Helper()
	p := filepath.Join(root, name)
	must(t, os.MkdirAll(filepath.Dir(p), 0o755))
	must(t, os.WriteFile(p, []byte(contents), 0o644))
	at := time.Unix(1700000000+int64(len(name)), 123456789)
	must(t, os.Chtimes(p, at, at))
}

func list(t testing.TB, d *Disk) (out []tree.Stat) {
	t.Helper()
	must(t, d.List(t.Context(), func(s tree.Stat) error { out = append(out, s); return nil }))
	return out
}

// carry copies entries from one tree to the other and gives what was told of them.
func carry(ctx context.Context, src, dst *Disk, paths ...tree.Path) (out []tree.Written, err error) {
	r, w := io.Pipe()
	go func() { w.CloseWithError(src.Read(ctx, paths, w)) }()
	err = dst.Write(ctx, r, func(m tree.Written) error { out = append(out, m); return nil })
	r.CloseWithError(io.ErrClosedPipe)
	return out, err
}

// members reads entries.
func members(t testing.TB, d *Disk, paths ...tree.Path) (out []tree.Member, ends []tree.End) {
	t.Helper()
	var b bytes.Buffer
	must(t, d.Read(t.Context(), paths, &b))
	s := tree.NewStreamReader(&b)
	for {
		m, err := s.Next()
		if err == io.EOF {
			return out, ends
		}
		must(t, err)
		for err == nil {
			_, _, err = s.Data()
		}
		out, ends = append(out, m), append(ends, s.End())
	}
}

// copyAll copies a whole tree as a pass does that finds nothing at the target.
func copyAll(t testing.TB, src, dst *Disk) {
	t.Helper()
	var dirs, rest []tree.Path
	for _, s := range list(t, src) {
		switch {
		case s.Kind == tree.Directory:
			dirs = append(dirs, s.Path)
		case s.Kind.Carried():
			rest = append(rest, s.Path)
		}
	}
	for _, paths := range [][]tree.Path{dirs, rest} {
		told, err := carry(t.Context(), src, dst, paths...)
		must(t, err)
		if len(told) != len(paths) {
			t.Fatalf("told of %d of %d", len(told), len(paths))
		}
		for i, w := range told {
			if w.Path != paths[i] || w.State != tree.Stable {
				t.Fatalf("%s: told %c of %s: %s", paths[i], w.State, w.Path, w.Why)
			}
		}
	}
	of, _ := members(t, src, dirs...)
	for i, j := 0, len(of)-1; i < j; i, j = i+1, j-1 {
		of[i], of[j] = of[j], of[i]
	}
	must(t, dst.Finish(t.Context(), of))
}

// show shows a tree without what differs from disk to disk.
func show(t testing.TB, d *Disk) string {
	t.Helper()
	var b strings.Builder
	first := map[uint64]tree.Path{}
	for _, s := range list(t, d) {
		if !s.Kind.Carried() {
			continue
		}
		if _, ok := first[s.Inode]; !ok {
			first[s.Inode] = s.Path
		}
		of, ends := members(t, d, s.Path)
		fmt.Fprintf(&b, "%s %s %d %04o %d:%d %v -> %s as %s %v %x %q\n", s.Path, s.Kind, s.Size, s.Mode, s.UID, s.GID, s.MTime, s.Link, first[s.Inode], s.Sparse(), ends[0].Sum, of[0].Attrs)
	}
	return b.String()
}

// TestCopy copies one of everything.
func TestCopy(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	put(t, from, "empty", "")
	put(t, from, "dir/small", "small")
	put(t, from, "dir/large", strings.Repeat("0123456789abcde\n", 100_000))
	put(t, from, "dir!/not \xff\xfe\nUTF-8", "name")
	put(t, from, "set-id", "x")
	must(t, os.Chown(filepath.Join(from, "set-id"), 33, 34))
	must(t, os.Chmod(filepath.Join(from, "set-id"), 0o751|os.ModeSetuid|os.ModeSetgid))
	must(t, os.Link(filepath.Join(from, "dir/small"), filepath.Join(from, "dir!/second name")))
	must(t, os.Symlink("/absolute/../nowhere", filepath.Join(from, "link")))
	must(t, os.Symlink("dir", filepath.Join(from, "to-dir")))
	must(t, os.MkdirAll(filepath.Join(from, "none/in/it"), 0o700))
	must(t, unix.Setxattr(filepath.Join(from, "dir/small"), "user.mime", []byte("text/\x00plain"), 0))
	must(t, os.Truncate(filepath.Join(from, "empty"), 1<<20))
	must(t, unix.Mkfifo(filepath.Join(from, "fifo"), 0o600))
	must(t, os.Chmod(filepath.Join(from, "none/in"), 0o775|os.ModeSticky))
	at := time.Unix(-5, 7)
	must(t, os.Chtimes(from, at, at))

	src, dst := open(t, from), open(t, to)
	copyAll(t, src, dst)
	want, got := show(t, src), show(t, dst)
	if got != want {
		t.Fatalf("got\n%s\nwant\n%s", got, want)
	}
	if n := strings.Count(want, "\n"); n != 14 {
		t.Fatalf("%d entries:\n%s", n, want)
	}
	copyAll(t, src, dst) // over what is there
	if got := show(t, dst); got != want {
		t.Fatalf("the second time\n%s\nwant\n%s", got, want)
	}
	sum := sha256.Sum256(make([]byte, 1<<20))
	must(t, dst.Hash(t.Context(), []tree.Path{"empty"}, func(s tree.Sum) error {
		if s.State != tree.Stable || s.Sum != sum {
			t.Errorf("hash is %c %x", s.State, s.Sum)
		}
		return nil
	}))
	must(t, dst.Remove(t.Context(), []tree.Path{"none/in/it", "none/in", "none", "link", "absent", "absent/too"}))
	if n := len(list(t, dst)); n != 10 {
		t.Errorf("%d entries are left", n)
	}
}
