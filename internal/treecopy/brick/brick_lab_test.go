//go:build lab

package brick

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/slipway-dev/slipway/internal/treecopy/disk"
	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// made is a directory that looks like a brick: attributes in trusted.* need root.
func made(t *testing.T) (root string) {
	t.Helper()
	root = t.TempDir()
	set(t, root, volumeID, strings.Repeat("v", 16))
	if err := os.Mkdir(filepath.Join(root, ".glusterfs"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b", "c"} {
		makeFile(t, root, name)
	}
	return root
}

func makeFile(t *testing.T, root, name string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.WriteFile(path, bytes.Repeat([]byte(name), 70_000), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(path, filepath.Join(root, ".glusterfs", name)); err != nil {
		t.Fatal(err)
	}
	for _, a := range recorded(t) {
		set(t, path, a.Name, a.Value)
	}
}

func set(t *testing.T, path, name, value string) {
	t.Helper()
	if err := unix.Setxattr(path, name, []byte(value), 0); err != nil {
		t.Fatalf("%s of %s: %v", name, path, err)
	}
}

// meddle does something once, when the first bytes have come.
type meddle struct {
	io.Writer
	do func()
}

func (m *meddle) Write(b []byte) (int, error) {
	if m.do != nil {
		m.do()
		m.do = nil
	}
	return m.Writer.Write(b)
}

// TestBrick: what is told of the second of three files, read and hashed, when something is wrong with it before or in between.
func TestBrick(t *testing.T) {
	for name, c := range map[string]struct {
		before func(t *testing.T, path string)
		state  tree.State
		why    string
	}{
		"as it should be": {state: tree.Stable},
		"a heal waits": {before: func(t *testing.T, path string) {
			set(t, path, "trusted.afr.assets-client-2", strings.Repeat("\x00", 11)+"\x01")
		}, state: tree.Doubtful, why: "a heal waits"},
		"sticky": {before: func(t *testing.T, path string) {
			if err := os.Chmod(path, 0o644|os.ModeSticky); err != nil {
				t.Fatal(err)
			}
		}, state: tree.Doubtful, why: "sticky"},
		"not Gluster's": {before: func(t *testing.T, path string) {
			if err := os.Remove(filepath.Join(filepath.Dir(path), ".glusterfs", "b")); err != nil {
				t.Fatal(err)
			}
		}, state: tree.Doubtful, why: "no name in .glusterfs"},
		"a directory": {before: func(t *testing.T, path string) {
			if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o755)); err != nil {
				t.Fatal(err)
			}
			for _, a := range recorded(t) {
				set(t, path, a.Name, a.Value)
			}
		}, state: tree.Doubtful, why: "it is a directory"},
		"gone": {before: func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}, state: tree.Gone},
	} {
		t.Run(name, func(t *testing.T) {
			root := made(t)
			b, err := Open(root, "/", disk.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			path := filepath.Join(root, "b")
			if c.before != nil {
				c.before(t, path)
			}
			paths := []tree.Path{"a", "b", "c"}
			want := []tree.State{tree.Stable, c.state, tree.Stable}
			n := 0
			err = b.HashBrick(t.Context(), paths, func(sum tree.Sum) error {
				if sum.Path != paths[n] || sum.State != want[n] || n == 1 && !strings.Contains(sum.Why, c.why) {
					t.Errorf("hash of %s: %c %s", sum.Path, sum.State, sum.Why)
				}
				n++
				return nil
			})
			if err != nil || n != len(paths) {
				t.Fatal(n, err)
			}
			var out bytes.Buffer
			if err := b.ReadBrick(t.Context(), paths, &out); err != nil {
				t.Fatal(err)
			}
			for n, sum := range members(t, &out) {
				m, e := &sum.Member, sum.End
				if m.Path != paths[n] || e.State != want[n] || n == 1 && !strings.Contains(e.Why, c.why) {
					t.Errorf("%s: %c %s", m.Path, e.State, e.Why)
				}
				if e.State == tree.Stable && (m.Inode != 11821805879331560201 || m.Names != 1 || m.CTime.Nsec != 153685047 || m.Size != 70_000) {
					t.Errorf("%+v", m.Stat)
				}
			}
		})
	}
}

// members reads a stream without its contents.
func members(t *testing.T, in io.Reader) (out []tree.Sum) {
	t.Helper()
	r := tree.NewStreamReader(in)
	for {
		m, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, _, err = r.Data()
		}
		out = append(out, tree.Sum{Member: m, End: r.End()})
	}
}

// TestMeanwhile: a write begins after Gluster's attributes of a file were looked at, and before the file is opened.
func TestMeanwhile(t *testing.T) {
	root := made(t)
	var paths []tree.Path
	for i := range 100 { // more than are read ahead
		name := fmt.Sprintf("f%02d", i)
		makeFile(t, root, name)
		paths = append(paths, tree.Path(name))
	}
	b, err := Open(root, "/", disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	var out bytes.Buffer
	err = b.ReadBrick(t.Context(), paths, &meddle{&out, func() {
		set(t, filepath.Join(root, "f99"), "trusted.afr.dirty", strings.Repeat("\x00", 3)+"\x01"+strings.Repeat("\x00", 8))
	}})
	if err != nil {
		t.Fatal(err)
	}
	got := members(t, &out)
	if last := got[len(got)-1]; len(got) != 100 || last.State != tree.Doubtful || !strings.Contains(last.Why, "changed while it was read") {
		t.Errorf("%d members, the last: %c %s", len(got), last.State, last.Why)
	}
}

// TestOwnNames: Gluster's own directory isn't the volume's.
func TestOwnNames(t *testing.T) {
	b, err := Open(made(t), "/", disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	err = b.HashBrick(t.Context(), []tree.Path{".glusterfs/a"}, func(sum tree.Sum) error {
		if sum.State != tree.Doubtful {
			t.Errorf("%c %s", sum.State, sum.Why)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
