package hostile

import (
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestOracle: a copy that cp made is the same, and each thing that is done to it is found. A name more or less is a difference of its directory too.
func TestOracle(t *testing.T) {
	at := time.Unix(1_700_000_000, 5)
	unseen := func(p string, f func(p string) error) error { return errors.Join(f(p), os.Chtimes(p, at, at)) }
	for _, x := range []struct {
		name  string
		spoil func(p string) error // p is the copy
		want  []string
	}{
		{"nothing", func(string) error { return nil }, nil},
		{"a byte", func(p string) error {
			return unseen(p+"/file", func(p string) error { return os.WriteFile(p, []byte("dbta"), 0o644) })
		}, []string{"/file"}},
		{"a size", func(p string) error {
			return unseen(p+"/file", func(p string) error { return os.Truncate(p, 3) })
		}, []string{"/file"}},
		{"a hole", func(p string) error {
			return unseen(p+"/hole", func(p string) error { return os.WriteFile(p, make([]byte, 1<<20), 0o644) })
		}, []string{"/hole"}},
		{"a mode", func(p string) error { return os.Chmod(p+"/file", 0o645) }, []string{"/file"}},
		{"an owner", func(p string) error { return os.Chown(p+"/dir", 1, 0) }, []string{"/dir"}},
		{"a link's group", func(p string) error { return os.Lchown(p+"/link", 0, 1) }, []string{"/link"}},
		{"an attribute", func(p string) error { return unix.Setxattr(p+"/file", "user.x", []byte("z"), 0) }, []string{"/file"}},
		{"no attribute", func(p string) error { return unix.Removexattr(p+"/file", "user.x") }, []string{"/file"}},
		{"a time", func(p string) error { return os.Chtimes(p+"/dir/one", at, at.Add(1)) }, []string{"/dir/one", "/dir/two"}},
		{"the root", func(p string) error { return os.Chtimes(p, at, at.Add(1)) }, []string{""}},
		{"a name", func(p string) error { return os.Remove(p + "/dir/two") }, []string{"/dir", "/dir/two"}},
		{"a further name", func(p string) error { return os.Link(p+"/file", p+"/zfile") }, []string{"", "/zfile"}},
		{"a file of its own", func(p string) error { return os.Rename(p+"/three", p+"/dir/two") }, []string{"", "/dir", "/dir/two", "/three"}},
		{"a FIFO", func(p string) error { return unix.Mkfifo(p+"/fifo", 0o644) }, []string{"", "/fifo"}},
		{"a target", func(p string) error { return os.Rename(p+"/link2", p+"/link") }, []string{"", "/link", "/link2"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			p, c := t.TempDir()+"/tree", t.TempDir()+"/copy"
			must(t, os.MkdirAll(p+"/dir", 0o755))
			for _, f := range []string{"file", "dir/one", "three", "hole"} {
				must(t, os.WriteFile(filepath.Join(p, f), []byte("data"), 0o644))
			}
			must(t, os.Truncate(p+"/hole", 1<<20))
			must(t, unix.Setxattr(p+"/file", "user.x", []byte("y"), 0))
			must(t, os.Link(p+"/dir/one", p+"/dir/two"))
			must(t, os.Symlink("a", p+"/link"))
			must(t, os.Symlink("b", p+"/link2"))
			must(t, unix.Mkfifo(p+"/not-carried", 0o644))
			for _, f := range []string{"file", "dir/one", "three", "hole", "dir", ""} {
				must(t, os.Chtimes(filepath.Join(p, f), at, at))
			}
			if out, err := exec.CommandContext(t.Context(), "cp", "-a", p, c).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			must(t, os.Remove(c+"/not-carried"))
			must(t, os.WriteFile(c+"/hole", []byte("data"), 0o644)) // what cp made of it is its own affair
			must(t, os.Truncate(c+"/hole", 1<<20))
			must(t, os.Chtimes(c+"/hole", at, at))
			must(t, os.Chtimes(c, at, at))

			must(t, x.spoil(c))
			found, err := Differences(p, c)
			must(t, err)
			var got []string
			for _, d := range found {
				path, _, _ := strings.Cut(d, ": is ")
				got = append(got, path)
			}
			var want []string
			for _, p := range x.want {
				want = append(want, strconv.Quote(p))
			}
			if !slices.Equal(got, want) {
				t.Errorf("found %q, want %q", found, want)
			}
		})
	}
}

// TestSeeds: the same seed makes the same tree, another another.
func TestSeeds(t *testing.T) {
	var paths [3][]string
	for i, seed := range []uint64{1, 1, 2} {
		root := t.TempDir()
		tree, err := New(root, t.TempDir(), seed, 150)
		must(t, err)
		if tree.Hits[Plain] == 0 {
			t.Error("no plain file was counted")
		}
		facts, err := look(root, true)
		must(t, err)
		paths[i] = slices.Sorted(maps.Keys(facts))
	}
	if !slices.Equal(paths[0], paths[1]) {
		t.Errorf("%q and %q", paths[0], paths[1])
	}
	if slices.Equal(paths[0], paths[2]) {
		t.Error("two seeds make the same tree")
	}
}

func TestMissing(t *testing.T) {
	var h, more Hits
	for x := range traits {
		h[x] = 1
		if x.String() == "" {
			t.Errorf("trait %d has no name", int(x))
		}
	}
	h[Deep], more[Deep] = 0, 2
	if got := h.Missing(); !slices.Equal(got, []Trait{Deep}) {
		t.Errorf("missing: %v", got)
	}
	if h.Add(more); h.Missing() != nil || h[Deep] != 2 {
		t.Errorf("added: %v", h)
	}
}
