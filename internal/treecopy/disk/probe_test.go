package disk

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

func TestProbe(t *testing.T) {
	all := tree.Keeps{Owners: true, Attrs: true, ACLs: true, Holes: true, Grain: 1}
	none := all
	none.Attrs, none.ACLs = false, false
	for _, x := range []struct {
		name, root string
		want       tree.Keeps
	}{
		{"this machine's", t.TempDir(), all},
		{"tmpfs", mounted(t, "tmpfs", "size", "1m", "nr_inodes", "50"), all},
		{"ramfs", mounted(t, "ramfs"), none},
	} {
		t.Run(x.name, func(t *testing.T) {
			put(t, x.root, "file", "x")
			was := time.Unix(1_600_000_000, 42)
			must(t, os.Chtimes(x.root, was, was))
			d := open(t, x.root)
			k, err := d.Probe(t.Context())
			must(t, err)
			got := k
			got.Root, got.UID, got.GID, got.Bytes, got.Inodes = "", 0, 0, 0, 0
			if got != x.want {
				t.Errorf("%+v", k)
			}
			if x.name == "tmpfs" && (k.Bytes != 1<<20-4096 || k.Inodes != 48) {
				t.Errorf("%d bytes and %d inodes are free", k.Bytes, k.Inodes)
			}
			if x.name == "ramfs" && k.Inodes != -1 {
				t.Errorf("%d inodes are free of a file system that doesn't count them", k.Inodes)
			}
			if got := walk(t, x.root); !slices.Equal(got, []string{"", "file"}) {
				t.Errorf("left behind: %q", got)
			}
			if now := list(t, d)[0].MTime; now != tree.TimeOf(was) {
				t.Errorf("the root's time is %v", now)
			}
			if other, err := open(t, t.TempDir()).Probe(t.Context()); err != nil || other.Root == k.Root {
				t.Errorf("another tree is %q too: %v", other.Root, err)
			}
		})
	}
}

func TestProbeGroup(t *testing.T) {
	root := t.TempDir()
	must(t, os.Chown(root, 0, 4711))
	must(t, os.Chmod(root, 0o755|os.ModeSetgid))
	if k, err := open(t, root).Probe(t.Context()); err != nil || k.UID != 0 || k.GID != 4711 {
		t.Errorf("files belong to %d:%d: %v", k.UID, k.GID, err)
	}
}

func TestProbeFull(t *testing.T) {
	d := open(t, mounted(t, "tmpfs", "nr_inodes", "2"))
	if _, err := d.Probe(t.Context()); !errors.Is(err, tree.ErrFull) {
		t.Error(err)
	}
	if got := walk(t, d.Name()); len(got) != 1 {
		t.Errorf("left behind: %q", got)
	}
}

// TestSweep takes away what was half made, and nothing else, outside least of all.
func TestSweep(t *testing.T) {
	root, outside := t.TempDir(), t.TempDir()
	put(t, outside, "kept", "x")
	put(t, root, tree.TempPrefix+"file", "x")
	put(t, root, tree.TempPrefix+"probe/file", "x")
	put(t, root, "dir/"+tree.TempPrefix+"kept", "x")
	must(t, os.Symlink(outside, filepath.Join(root, tree.TempPrefix+"link")))
	was := time.Unix(1_600_000_000, 42)
	must(t, os.Chtimes(root, was, was))
	d := open(t, root)
	must(t, d.Sweep(t.Context()))
	if got := walk(t, root); !slices.Equal(got, []string{"", "dir", "dir/" + tree.TempPrefix + "kept"}) {
		t.Errorf("there is %q", got)
	}
	if got := walk(t, outside); len(got) != 2 {
		t.Errorf("outside there is %q", got)
	}
	if now := list(t, d)[0].MTime; now != tree.TimeOf(was) {
		t.Errorf("the root's time is %v", now)
	}
	must(t, d.Sweep(t.Context()))
}

func TestRemove(t *testing.T) {
	root := t.TempDir()
	put(t, root, "dir/in", "x")
	put(t, root, "file", "x")
	d := open(t, root)
	if err := d.Remove(t.Context(), []tree.Path{"dir"}); !errors.Is(err, unix.ENOTEMPTY) {
		t.Errorf("a directory that isn't empty: %v", err)
	}
	if err := d.Remove(t.Context(), []tree.Path{""}); !errors.Is(err, tree.ErrUnsafe) {
		t.Errorf("the root: %v", err)
	}
	must(t, d.Remove(t.Context(), []tree.Path{"file/below", "dir/in", "dir", "dir", "file"}))
	if got := walk(t, root); len(got) != 1 {
		t.Errorf("there is %q", got)
	}
}
