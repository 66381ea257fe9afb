package treecopy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/snapshot"
	"github.com/slipway-dev/slipway/internal/treecopy"
)

func write(t testing.TB, parts ...string) {
	t.Helper()
	path := filepath.Join(parts[:len(parts)-1]...)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(parts[len(parts)-1]), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// entry finds an entry of the index.
func entry(x *treecopy.Index, path string) *treecopy.Entry {
	for i := range x.Entries {
		if string(x.Entries[i].Path) == path {
			return &x.Entries[i]
		}
	}
	return nil
}

// on does something before the nth command of a kind.
func on(what string, nth int32, do func()) func(string) {
	var n atomic.Int32
	return func(is string) {
		if is == what && n.Add(1) == nth {
			do()
		}
	}
}

// Files that change, grow, shrink, are replaced, vanish or appear between the listing and the reading, and after it.
func TestChangesMeanwhile(t *testing.T) {
	for name, c := range map[string]struct {
		when string
		nth  int32
		do   func(t *testing.T, dir string)
		want string // contents of a/f; "-": it is gone
	}{
		"grows before it is read":     {"tar", 1, func(t *testing.T, d string) { write(t, d, "a/f", "longer") }, "longer"},
		"grows after it was read":     {"list", 2, func(t *testing.T, d string) { write(t, d, "a/f", "longer") }, "longer"},
		"shrinks after it was read":   {"list", 2, func(t *testing.T, d string) { write(t, d, "a/f", "") }, ""},
		"vanishes before it is read":  {"tar", 1, func(t *testing.T, d string) { must(t, os.Remove(filepath.Join(d, "a/f"))) }, "-"},
		"vanishes after it was read":  {"list", 2, func(t *testing.T, d string) { must(t, os.Remove(filepath.Join(d, "a/f"))) }, "-"},
		"vanishes with its directory": {"list", 2, func(t *testing.T, d string) { must(t, os.RemoveAll(filepath.Join(d, "a"))) }, "-"},
		"is replaced by one of the same size": {"list", 2, func(t *testing.T, d string) {
			write(t, d, "x", "new")
			must(t, os.Rename(filepath.Join(d, "x"), filepath.Join(d, "a/f")))
		}, "new"},
		"is rewritten and gets its old time back": {"list", 2, func(t *testing.T, d string) { rewrite(t, filepath.Join(d, "a/f"), "new") }, "new"},
		"appears": {"list", 2, func(t *testing.T, d string) { write(t, d, "a/f", "old"); write(t, d, "a/g", "x") }, "old"},
		"becomes a directory": {"list", 2, func(t *testing.T, d string) {
			must(t, os.Remove(filepath.Join(d, "a/f")))
			must(t, os.Mkdir(filepath.Join(d, "a/f"), 0o755))
		}, "-"},
		"gets another mode":                          {"list", 2, func(t *testing.T, d string) { must(t, os.Chmod(filepath.Join(d, "a/f"), 0o600)) }, "old"},
		"gets another name":                          {"list", 2, func(t *testing.T, d string) { must(t, os.Link(filepath.Join(d, "a/f"), filepath.Join(d, "b"))) }, "old"},
		"grows while it is looked at again":          {"stat", 1, func(t *testing.T, d string) { write(t, d, "a/f", "longest") }, "longest"},
		"vanishes before its directory is read last": {"tar", 2, func(t *testing.T, d string) { must(t, os.RemoveAll(filepath.Join(d, "a"))) }, "-"},
	} {
		t.Run(name, func(t *testing.T) {
			from, to := t.TempDir(), t.TempDir()
			write(t, from, "a/f", "old")
			write(t, from, "z/other", "other")
			src := &local{t: t, dir: from}
			do := on(c.when, c.nth, func() { c.do(t, from) })
			grow := on("list", 2, func() { write(t, from, "a/f", "longer") })
			src.before = func(what string) {
				if c.when == "stat" {
					grow(what)
				}
				do(what)
			}
			o := small
			o.Readers = 1
			x := take(t, src, store(t), o)
			fill(t, x, to)
			if d := oracle(t, from, to); d != "" {
				t.Error(d)
			}
			got, err := os.ReadFile(filepath.Join(to, "a/f"))
			if err != nil {
				got = []byte("-")
			}
			if string(got) != c.want {
				t.Errorf("a/f has %q, not %q", got, c.want)
			}
		})
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// rewrite changes contents, and puts the time of modification back.
func rewrite(t *testing.T, path, text string) {
	t.Helper()
	st, err := os.Stat(path)
	must(t, err)
	must(t, os.WriteFile(path, []byte(text), 0o644))
	must(t, os.Chtimes(path, time.Time{}, st.ModTime()))
}

// A file that never holds still is an error by name, and the rest isn't lost.
func TestUnstable(t *testing.T) {
	from := t.TempDir()
	write(t, from, "log", "0")
	write(t, from, "calm", "calm")
	n, tars := 0, 0
	src := &local{t: t, dir: from, before: func(what string) {
		if what == "tar" {
			tars++
			return
		}
		n++
		write(t, from, "log", fmt.Sprint(n))
	}}
	o := small
	o.Tries = 3
	s := store(t)
	_, err := treecopy.Take(t.Context(), src, s, run, o)
	if !errors.Is(err, treecopy.ErrUnstable) || !strings.Contains(err.Error(), `3 times: "log"`) || strings.Contains(err.Error(), "calm") {
		t.Fatal(err)
	}
	if tars != 1+o.Tries {
		t.Errorf("it was read %d times", tars)
	}
	if e, err := s.Look(t.Context(), run, snapshot.Assets); err != nil || e.State != snapshot.Half {
		t.Errorf("the part is %s, %v", e.State, err)
	}
	src.before = nil
	x := take(t, src, s, o)
	if entry(x, "calm") == nil || entry(x, "log") == nil {
		t.Error("entries are missing")
	}
}

// refusing is a source whose tar can't read some files, as for an account without the right: it goes on with the others and ends with 2.
type refusing struct {
	*local
	names []string
	all   bool // it says so of files that it has given, too
}

func (r *refusing) Tar(ctx context.Context, names io.Reader, out io.Writer) error {
	b, err := io.ReadAll(names)
	if err != nil {
		return err
	}
	var give strings.Builder
	said := ""
	for n := range strings.SplitSeq(strings.TrimSuffix(string(b), "\x00"), "\x00") {
		if slices.Contains(r.names, n) {
			said += "tar: " + n + ": Cannot open: Permission denied\n"
			if !r.all {
				continue
			}
		}
		give.WriteString(n + "\x00")
	}
	err = r.local.Tar(ctx, strings.NewReader(give.String()), out)
	if err == nil && said != "" {
		err = &treecopy.Failed{What: "here: tar", Status: 2, Stderr: said}
	}
	return err
}

func TestUnreadable(t *testing.T) {
	from := t.TempDir()
	write(t, from, "private", "x")
	write(t, from, "b", "b")
	s := store(t)
	src := &refusing{local: &local{t: t, dir: from}, names: []string{"./private"}}
	_, err := treecopy.Take(t.Context(), src, s, run, small)
	if !errors.Is(err, treecopy.ErrUnreadable) || !strings.Contains(err.Error(), `"private"`) || !strings.Contains(err.Error(), "Permission denied") {
		t.Fatal(err)
	}
	// What could be read only in part must not be taken for read.
	src.all = true
	if _, err = treecopy.Take(t.Context(), src, store(t), run, small); err == nil || !strings.Contains(err.Error(), "Permission denied") {
		t.Errorf("a read error: %v", err)
	}
	src.names = nil
	take(t, src, s, small)
}

// cutting is a source whose connection breaks in the middle of the nth tar.
type cutting struct {
	*local
	after atomic.Int32 // tars that go through
	read  atomic.Int64 // names that were asked for
}

func (c *cutting) Tar(ctx context.Context, names io.Reader, out io.Writer) error {
	b, err := io.ReadAll(names)
	if err != nil {
		return err
	}
	if c.after.Add(-1) < 0 {
		return fmt.Errorf("web1: %w", errors.Join(treecopy.ErrLost, c.local.Tar(ctx, strings.NewReader(string(b)), &short{w: out, n: 700})))
	}
	c.read.Add(int64(strings.Count(string(b), "\x00")))
	return c.local.Tar(ctx, strings.NewReader(string(b)), out)
}

// short takes n bytes and then no more, silently.
type short struct {
	w io.Writer
	n int
}

func (s *short) Write(b []byte) (int, error) {
	k := min(len(b), s.n)
	s.n -= k
	if _, err := s.w.Write(b[:k]); err != nil {
		return 0, err
	}
	return len(b), nil
}

// A connection that breaks loses the batches that were under way, and no other: a later attempt reads what is missing, and what has changed.
func TestCutAndResumed(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	for i := range 100 {
		write(t, from, fmt.Sprintf("d%d/f%02d", i%5, i), fmt.Sprintf("contents of %d", i))
	}
	must(t, os.Link(filepath.Join(from, "d0/f00"), filepath.Join(from, "d1/again")))
	s := store(t)
	src := &cutting{local: &local{t: t, dir: from}}
	src.after.Store(3)
	o := small
	o.Readers, o.BatchFiles = 1, 10
	if _, err := treecopy.Take(t.Context(), src, s, run, o); !errors.Is(err, treecopy.ErrLost) {
		t.Fatal(err)
	}
	if n := src.read.Load(); n != 30 {
		t.Fatalf("%d names were read before the cut", n)
	}
	// A torn note and a torn batch are as good as none.
	notes, err := filepath.Glob(filepath.Join(s.Where(), string(run), ".assets.half", ".batch-*.note"))
	must(t, err)
	if len(notes) != 3 {
		t.Fatal(notes)
	}
	must(t, os.Truncate(notes[2], 20))
	write(t, from, "d0/f00", "changed meanwhile")
	src.read.Store(0)
	src.after.Store(1000)
	var last treecopy.Progress
	o.Progress = func(p treecopy.Progress) { last = p }
	x := take(t, src, s, o)
	if n := src.read.Load(); n < 80+6 || n > 83+6 { // 80 files that weren't kept, at most 3 names of what changed, 6 directories
		t.Errorf("%d names were read by the second attempt", n)
	}
	if last.Reused != 20 {
		t.Errorf("%d entries were kept", last.Reused)
	}
	fill(t, x, to)
	if d := oracle(t, from, to); d != "" {
		t.Error(d)
	}
	if left, err := filepath.Glob(filepath.Join(s.Where(), string(run), "assets", ".*")); err != nil || left != nil {
		t.Errorf("left in the artifact: %v, %v", left, err)
	}
}

// A listing that fails, whatever it printed first, is never taken for the tree.
func TestListingFails(t *testing.T) {
	from := t.TempDir()
	write(t, from, "a/f", "x")
	for name, f := range map[string]func(ctx context.Context, l *local, out io.Writer) error{
		"find fails at its end": func(ctx context.Context, l *local, out io.Writer) error {
			return errors.Join(l.List(ctx, out), &treecopy.Failed{What: "here: find", Status: 1, Stderr: "find: './b': Permission denied"})
		},
		"it is cut off in a record": func(ctx context.Context, l *local, out io.Writer) error {
			return l.List(ctx, &short{w: out, n: 100})
		},
		"it is empty": func(context.Context, *local, io.Writer) error { return nil },
		"the connection breaks": func(ctx context.Context, l *local, out io.Writer) error {
			return errors.Join(l.List(ctx, &short{w: out, n: 100}), treecopy.ErrLost)
		},
	} {
		s := store(t)
		if _, err := treecopy.Take(t.Context(), &listing{&local{t: t, dir: from}, f}, s, run, small); err == nil {
			t.Errorf("%s: no error", name)
		} else {
			t.Log(name, "->", err)
		}
		if _, err := s.Open(t.Context(), run, snapshot.Assets); !errors.Is(err, snapshot.ErrHalf) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type listing struct {
	*local
	f func(context.Context, *local, io.Writer) error
}

func (l *listing) List(ctx context.Context, out io.Writer) error { return l.f(ctx, l.local, out) }

// Whatever is spoilt on the target is found, and named.
func TestCompareFinds(t *testing.T) {
	from := t.TempDir()
	write(t, from, "d/f", "contents")
	write(t, from, "d/g", "contents")
	must(t, os.Link(filepath.Join(from, "d/f"), filepath.Join(from, "d/same")))
	must(t, os.Symlink("f", filepath.Join(from, "d/l")))
	xattrs := setAttr(filepath.Join(from, "d/g"), "user.a", "b") == nil
	x := take(t, &local{t: t, dir: from}, store(t), small)
	for name, c := range map[string]struct {
		do   func(to string) error
		want string
	}{
		"a byte, with its time put back": {func(to string) error { rewrite(t, filepath.Join(to, "d/g"), "contentz"); return nil }, `"d/g": its contents differ`},
		"a file that is longer":          {func(to string) error { write(t, to, "d/g", "contents."); return nil }, `"d/g": its size is 9, not 8`},
		"a mode":                         {func(to string) error { return os.Chmod(filepath.Join(to, "d"), 0o700) }, `"d": its mode is 0700, not 0755`},
		"a time":                         {func(to string) error { return os.Chtimes(filepath.Join(to, "d/f"), time.Time{}, time.Unix(1, 1)) }, `its time of modification is 1.000000001`},
		"a file less":                    {func(to string) error { return os.Remove(filepath.Join(to, "d/g")) }, `"d/g": it is missing`},
		"a file more":                    {func(to string) error { write(t, to, "d/h", ""); return nil }, `"d/h": the source has no such file`},
		"lost+found below the root":      {func(to string) error { return os.Mkdir(filepath.Join(to, "d/lost+found"), 0o700) }, `"d/lost+found": the source has no such directory`},
		"a link elsewhere": {func(to string) error {
			p := filepath.Join(to, "d/l")
			return errors.Join(os.Remove(p), os.Symlink("g", p))
		}, `"d/l": its target is "g", not "f"`},
		"a copy and no hard link": {func(to string) error {
			p := filepath.Join(to, "d/same")
			return errors.Join(os.Rename(p, p+"2"), os.WriteFile(p, []byte("contents"), 0o644), os.Remove(p+"2"))
		}, `the file has 1 names, not 2`},
		"a file for a link": {func(to string) error {
			p := filepath.Join(to, "d/l")
			return errors.Join(os.Remove(p), os.WriteFile(p, nil, 0o644))
		}, `"d/l": it is of type f, not l`},
		"an attribute": {func(to string) error {
			if !xattrs {
				return nil
			}
			st, err := os.Stat(filepath.Join(to, "d/g"))
			return errors.Join(err, setAttr(filepath.Join(to, "d/g"), "user.a", "c"), os.Chtimes(filepath.Join(to, "d/g"), time.Time{}, st.ModTime()))
		}, map[bool]string{true: `"d/g": its extended attributes or ACLs differ: user.a="c", not user.a="b"`}[xattrs]},
	} {
		to := t.TempDir()
		fill(t, x, to)
		must(t, compare(t, x, to).Err())
		must(t, c.do(to))
		got := compare(t, x, to)
		if err := got.Err(); c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: want %q in %v", name, c.want, err)
		}
	}
}

// An artifact whose bytes have changed is not unpacked in silence.
func TestDamagedArtifact(t *testing.T) {
	from := t.TempDir()
	write(t, from, "f", strings.Repeat("contents ", 1000))
	s := store(t)
	x := take(t, &local{t: t, dir: from}, s, small)
	path := filepath.Join(s.Where(), string(run), "assets", entry(x, "f").Chunk)
	b, err := os.ReadFile(path)
	must(t, err)
	b[len(b)/2] ^= 1
	must(t, os.WriteFile(path, b, 0o600))
	if _, err := x.Send(t.Context(), treecopy.Fill(onThisMachine, t.TempDir()), all(x), 2, nil); !errors.Is(err, snapshot.ErrDamaged) {
		t.Errorf("got %v", err)
	}
}
