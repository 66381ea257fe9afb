package treecopy_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/snapshot"
	"github.com/slipway-dev/slipway/internal/treecopy"
	"github.com/slipway-dev/slipway/internal/treecopy/treetest"
)

// An index that was made to lead out of the tree, or that the artifact doesn't bear out, is refused before anything is unpacked.
func TestIndexRefused(t *testing.T) {
	const at = `"kind":"f","mode":420,"uid":0,"gid":0,"mtime":"1.000000000","ctime":"1.000000000","chunk":"b.tar.zst"`
	root := `{"path":"","kind":"d","mode":493,"uid":0,"gid":0,"mtime":"1.000000000","ctime":"1.000000000","chunk":"b.tar.zst","offset":0,"length":512}` + "\n"
	ok := func(path string) string { return `{"path":` + path + `,` + at + `,"offset":0,"length":512}` + "\n" }
	for name, c := range map[string]struct{ index, want string }{
		"as it should be":         {root + ok(`"a"`), ""},
		"upwards":                 {root + ok(`"../x"`), "lead out of the tree"},
		"upwards within":          {root + ok(`"a/../../x"`), "lead out of the tree"},
		"absolute":                {root + ok(`"/etc/passwd"`), "lead out of the tree"},
		"a dot":                   {root + ok(`"a/./b"`), "lead out of the tree"},
		"NUL":                     {root + ok(`"a\u0000b"`), "lead out of the tree"},
		"without a root":          {ok(`"a"`), "no root"},
		"empty":                   {"", "no root"},
		"twice":                   {root + ok(`"a"`) + ok(`"a"`), "out of order"},
		"an unknown field":        {strings.Replace(root, `"kind"`, `"kindd"`, 1), "unknown field"},
		"behind the batch's end":  {root + strings.Replace(ok(`"a"`), `"offset":0`, `"offset":1024`, 1), "doesn't have it"},
		"before its beginning":    {root + strings.Replace(ok(`"a"`), `"offset":0`, `"offset":-512`, 1), "doesn't have it"},
		"in a batch there is not": {root + strings.Replace(ok(`"a"`), `b.tar`, `c.tar`, 1), "doesn't have it"},
	} {
		s := store(t)
		w, err := s.Begin(t.Context(), run, snapshot.Assets, 0)
		must(t, err)
		for file, text := range map[string]string{"b.tar.zst": strings.Repeat("\x00", 1024), "index.zst": c.index} {
			k, err := w.Create(t.Context(), file, file)
			must(t, err)
			_, err = io.WriteString(k, text)
			must(t, err)
			_, err = k.Close()
			must(t, err)
		}
		art, err := w.Commit(t.Context(), snapshot.Contents{Detail: treecopy.Detail{}})
		must(t, err)
		if _, err = treecopy.Open(t.Context(), art); (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: want %q, got %v", name, c.want, err)
		}
	}
}

// blind is a source that can't look at one of the files once: find prints an error and goes on, as for one that is gone.
type blind struct {
	*local
	name  string
	times int
}

func (b *blind) Stat(ctx context.Context, names io.Reader, out io.Writer) error {
	all, err := io.ReadAll(names)
	if err != nil {
		return err
	}
	if b.times--; b.times >= 0 {
		all = bytes.Replace(all, []byte(b.name+"\x00"), nil, 1)
		return errors.Join(b.local.Stat(ctx, bytes.NewReader(all), out), &treecopy.Failed{What: "here: find", Status: 123, Stderr: "find: Input/output error"})
	}
	return b.local.Stat(ctx, bytes.NewReader(all), out)
}

// A file that can't be looked at for a moment isn't taken for one that is gone.
func TestNotGone(t *testing.T) {
	from := t.TempDir()
	write(t, from, "f", "old")
	src := &blind{local: &local{t: t, dir: from, before: on("list", 2, func() { write(t, from, "f", "newer") })}, name: "./f", times: 1}
	x := take(t, src, store(t), small)
	if e := entry(x, "f"); e == nil || e.Size != 5 {
		t.Errorf("f is %+v", e)
	}
}

// garbling is a target whose sha256sum answers otherwise than it was asked.
type garbling struct {
	treecopy.View
	how func([]string) []string
}

func (g garbling) Hash(ctx context.Context, names io.Reader, out io.Writer) error {
	var b bytes.Buffer
	if err := g.View.Hash(ctx, names, &b); err != nil {
		return err
	}
	all := strings.SplitAfter(b.String(), "\x00")
	lines := g.how(all[:len(all)-1]) // behind the last NUL is nothing
	_, err := io.WriteString(out, strings.Join(lines, ""))
	return err
}

// An answer for another file, or for fewer, is never taken for the right one.
func TestHashesMustBeOfTheirFiles(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	for i := range 4 {
		write(t, from, fmt.Sprintf("f%d", i), fmt.Sprint(i))
	}
	x := take(t, &local{t: t, dir: from}, store(t), small)
	fill(t, x, to)
	for name, c := range map[string]struct {
		how  func([]string) []string
		want string
	}{
		"as it is":      {func(l []string) []string { return l }, ""},
		"one less":      {func(l []string) []string { return l[:len(l)-1] }, "ended after 3 of 4 files"},
		"none":          {func([]string) []string { return nil }, "ended after 0 of 4 files"},
		"two swapped":   {func(l []string) []string { l[0], l[1] = l[1], l[0]; return l }, "not readable"},
		"one twice":     {func(l []string) []string { return append(l, l[0]) }, "not readable"},
		"cut off":       {func(l []string) []string { l[3] = l[3][:30]; return l }, "EOF"},
		"another's sum": {func(l []string) []string { l[0] = l[1][:64] + l[0][64:]; return l }, "its contents differ"},
	} {
		got, err := x.Compare(t.Context(), garbling{treecopy.Look(onThisMachine, to), c.how}, treecopy.Contents, 1, nil)
		if err == nil {
			err = got.Err()
		}
		if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: want %q, got %v", name, c.want, err)
		}
	}
}

// Names of one file that were read in batches of their own, as can happen between two attempts, become one file again.
func TestNamesOfAFileAcrossAttempts(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	write(t, from, "a", "x")
	src := &cutting{local: &local{t: t, dir: from}}
	src.after.Store(1)
	s := store(t)
	if _, err := treecopy.Take(t.Context(), src, s, run, small); !errors.Is(err, treecopy.ErrLost) {
		t.Fatal(err)
	}
	must(t, os.Link(filepath.Join(from, "a"), filepath.Join(from, "b")))
	src.after.Store(100)
	x := take(t, src, s, small)
	if a, b := entry(x, "a"), entry(x, "b"); a.Group == 0 || a.Group != b.Group || a.Chunk != b.Chunk {
		t.Errorf("%+v\n%+v", a, b)
	}
	fill(t, x, to)
	if d := oracle(t, from, to); d != "" {
		t.Error(d)
	}
}

// Two files of two names each, crosswise: every name has the right contents, attributes and number of names.
func TestWrongLinks(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	link := func(dir, a, b string) { must(t, os.Link(filepath.Join(dir, a), filepath.Join(dir, b))) }
	write(t, from, "a", "same")
	write(t, from, "c", "same")
	must(t, os.Chtimes(filepath.Join(from, "a"), time.Unix(1, 2), time.Unix(1, 2)))
	must(t, os.Chtimes(filepath.Join(from, "c"), time.Unix(1, 2), time.Unix(1, 2)))
	link(from, "a", "b")
	link(from, "c", "d")
	st, err := os.Stat(from)
	must(t, err)
	x := take(t, &local{t: t, dir: from}, store(t), small)
	fill(t, x, to)
	must(t, compare(t, x, to).Err())
	must(t, os.Remove(filepath.Join(to, "b")))
	must(t, os.Remove(filepath.Join(to, "d")))
	link(to, "a", "d")
	link(to, "c", "b")
	must(t, os.Chtimes(to, st.ModTime(), st.ModTime()))
	if err := compare(t, x, to).Err(); err == nil || !strings.Contains(err.Error(), "it isn't a hard link to the files that it should be one to") {
		t.Error(err)
	}
}

// lossy is a tree in memory whose connection breaks at the nth tar.
type lossy struct {
	*treetest.Tree
	left int
}

func (l *lossy) Tar(ctx context.Context, names io.Reader, out io.Writer) error {
	if l.left--; l.left < 0 {
		return treecopy.ErrLost
	}
	return l.Tree.Tar(ctx, names, out)
}

// A second name doesn't change a file's time of change on every file system; the two are one file all the same.
func TestSecondNameWithoutATrace(t *testing.T) {
	src := &lossy{treetest.New(), 1}
	src.Put("a", treetest.Node{Kind: treecopy.File, Content: []byte("x")})
	s := store(t)
	if _, err := treecopy.Take(t.Context(), src, s, run, small); !errors.Is(err, treecopy.ErrLost) {
		t.Fatal(err)
	}
	src.Nodes["b"], src.left = src.Nodes["a"], 100
	x := take(t, src, s, small)
	if a, b := entry(x, "a"), entry(x, "b"); a.Group == 0 || a.Group != b.Group || a.Chunk != b.Chunk {
		t.Errorf("%+v\n%+v", a, b)
	}
}
