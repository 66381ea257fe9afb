package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// walk lists a tree by other means, and sorts it by the contract's words alone: by the bytes, a slash before all others.
func walk(t *testing.T, root string) (out []string) {
	t.Helper()
	must(t, filepath.WalkDir(root, func(p string, _ fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(root, p)
		if rel == "." {
			rel = ""
		}
		out = append(out, strings.ReplaceAll(rel, "/", "\x00"))
		return err
	}))
	slices.Sort(out)
	for i := range out {
		out[i] = strings.ReplaceAll(out[i], "\x00", "/")
	}
	return out
}

func pathsOf(all []tree.Stat) (out []string) {
	for _, s := range all {
		out = append(out, string(s.Path))
	}
	return out
}

// grow makes directories within directories, with names that tell orders apart.
func grow(t *testing.T, root string, entries int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	dirs := []string{root}
	for range entries {
		b := make([]byte, 1+rng.IntN(3))
		for i := range b {
			b[i] = "ab\x01!-.0\xff\n"[rng.IntN(9)]
		}
		p := filepath.Join(dirs[rng.IntN(len(dirs))], "n"+string(b))
		if rng.IntN(4) == 0 {
			if os.Mkdir(p, 0o755) == nil {
				dirs = append(dirs, p)
			}
			continue
		}
		if f, err := os.OpenFile(p, os.O_CREATE|os.O_EXCL, 0o644); err == nil {
			f.Close()
		}
	}
}

func TestListOrder(t *testing.T) {
	root := t.TempDir()
	grow(t, root, 3000)
	for i := range 3*atOnce + 1 { // more than one look's worth in one directory
		must(t, os.WriteFile(filepath.Join(root, fmt.Sprintf("many-%d", i)), nil, 0o644))
	}
	want := walk(t, root)
	for _, x := range []struct {
		name string
		old  bool
		most int
	}{{"as it is", false, mayHold}, {"an old kernel", true, mayHold}, {"hardly any memory", false, 1}} {
		t.Run(x.name, func(t *testing.T) {
			d := open(t, root)
			d.old = x.old
			l := &listing{d: d, most: x.most}
			l.moved.L = &l.mu
			var got []string
			peak := 0
			must(t, l.run(t.Context(), func(s tree.Stat) error {
				got = append(got, string(s.Path))
				l.mu.Lock()
				defer l.mu.Unlock()
				peak = max(peak, l.held)
				return nil
			}))
			if !slices.Equal(got, want) {
				t.Fatalf("got %d, want %d entries:\n%q\n%q", len(got), len(want), got, want)
			}
			if l.held != 0 {
				t.Errorf("%d bytes are held at the end", l.held)
			}
			if x.most == 1 && peak > 512<<10 { // the names of the one large directory, and those above
				t.Errorf("%d bytes were held", peak)
			}
			t.Logf("%d entries, at most %d bytes held", len(got), peak)
		})
	}
}

// TestListDeep lists, reads and writes what is deeper than the kernel takes a path.
func TestListDeep(t *testing.T) {
	for _, old := range []bool{false, true} {
		src, dst := open(t, t.TempDir()), open(t, t.TempDir())
		name := strings.Repeat("d", 255)
		at := src.root
		for range 40 {
			must(t, unix.Mkdirat(at, name, 0o755))
			next, err := unix.Openat(at, name, unix.O_DIRECTORY, 0)
			must(t, err)
			defer unix.Close(next)
			at = next
		}
		fd, err := unix.Openat(at, "file", unix.O_CREAT|unix.O_WRONLY, 0o644)
		must(t, err)
		_, err = unix.Write(fd, []byte("deep"))
		must(t, err)
		must(t, unix.Close(fd))
		src.old = old
		copyAll(t, src, dst)
		all := list(t, dst)
		if last := all[len(all)-1]; len(all) != 42 || len(last.Path) != 40*256+4 || last.Size != 4 {
			t.Errorf("%d entries, the last is of %d bytes at a path of %d", len(all), last.Size, len(last.Path))
		}
	}
}

func TestListLeavesOut(t *testing.T) {
	root := t.TempDir()
	put(t, root, tree.TempPrefix+"1", "")
	put(t, root, tree.TempPrefix+"dir/in", "")
	put(t, root, "sub/"+tree.TempPrefix+"kept", "")
	if got, want := pathsOf(list(t, open(t, root))), []string{"", "sub", "sub/" + tree.TempPrefix + "kept"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestListEnds(t *testing.T) {
	root := t.TempDir()
	grow(t, root, 300)
	d := open(t, root)
	stop := errors.New("enough")
	n := 0
	if err := d.List(t.Context(), func(tree.Stat) error {
		if n++; n == 20 {
			return stop
		}
		return nil
	}); !errors.Is(err, stop) || n != 20 {
		t.Errorf("%v after %d", err, n)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	if err := d.List(ctx, func(tree.Stat) error { cancel(stop); return nil }); !errors.Is(err, stop) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestOpenNoTree(t *testing.T) {
	root := t.TempDir()
	put(t, root, "file", "")
	for _, p := range []string{"file", "absent", "file/below"} {
		if _, err := Open(filepath.Join(root, p), Options{}); !errors.Is(err, tree.ErrNoTree) {
			t.Errorf("%s: %v", p, err)
		}
	}
	must(t, os.Mkdir(filepath.Join(root, "dir"), 0o700))
	d := open(t, filepath.Join(root, "dir"))
	must(t, os.Remove(filepath.Join(root, "dir")))
	if err := d.List(t.Context(), func(tree.Stat) error { return nil }); !errors.Is(err, tree.ErrNoTree) {
		t.Errorf("removed after it was opened: %v", err)
	}
}

// TestListVanishing lists while directories come, go, and become links to what is outside.
func TestListVanishing(t *testing.T) {
	root, outside := t.TempDir(), t.TempDir()
	put(t, outside, "secret", "")
	grow(t, root, 300)
	d := open(t, root)
	during(t, func() {
		p := filepath.Join(root, "flips")
		os.Mkdir(p, 0o700)
		os.WriteFile(filepath.Join(p, "x"), nil, 0o600)
		os.RemoveAll(p)
		os.Symlink(outside, p)
		os.Remove(p)
	}, func() {
		for _, s := range list(t, d) {
			if s.Path.Base() == "secret" {
				t.Fatalf("listed %s", s.Path)
			}
		}
	})
}
