package proof

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/slipway-dev/slipway/internal/lab/machine"
)

// entry is all that tells whether a file was touched. The change time can't be set by any program, so a file that was written and put back shows.
type entry struct {
	mode         fs.FileMode
	uid, gid     uint32
	size         int64
	inode        uint64
	device       uint64 // of a device file
	mtime, ctime int64  // nanoseconds
}

// tree is a host's writable layers as they were at one moment.
type tree struct {
	files  map[string]entry // by path as seen on the host
	layers []layered
}

// layered is a mount that has read-only layers below the writable one.
type layered struct {
	at    string
	lower []string // topmost first
}

// readTree reads the writable layer of a machine's root and of its volumes. Files that vanish meanwhile are left out.
func readTree(ctx context.Context, m *machine.Machine) (tree, error) {
	t := tree{files: map[string]entry{}}
	for _, l := range m.Written() {
		t.layers = append(t.layers, layered{l.Path, l.Lower})
		if err := t.read(ctx, l.Upper, l.Path); err != nil {
			return tree{}, err
		}
	}
	return t, nil
}

func (t tree) read(ctx context.Context, dir, at string) error {
	return filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		info, err := d.Info()
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil {
			return err
		}
		e, err := newEntry(info)
		if err != nil {
			return err
		}
		t.files[path.Join(at, strings.TrimPrefix(name, dir))] = e
		return nil
	})
}

// below is what the read-only layers have at a path. Of several mounts the last whose place the path is under counts.
func (t tree) below(name string) (entry, bool, error) {
	for _, l := range slices.Backward(t.layers) {
		rest, ok := strings.CutPrefix(name, strings.TrimSuffix(l.at, "/")+"/")
		if !ok {
			continue
		}
		for _, dir := range l.lower {
			info, err := os.Lstat(filepath.Join(dir, rest))
			if os.IsNotExist(err) || errors.Is(err, syscall.ENOTDIR) {
				continue
			}
			if err != nil {
				return entry{}, false, err
			}
			e, err := newEntry(info)
			return e, err == nil && !isWhiteout(e), err
		}
		break
	}
	return entry{}, false, nil
}

// change is one path that differs.
type change struct {
	path  string
	how   string // "new", "changed", "gone", "removed" (of what the layers below have)
	owner uint32 // afterwards, or before where it is gone
	mode  fs.FileMode
}

// compare lists what differs, by path. A directory's times follow from what is in it and don't count, nor does its mere appearance in the writable layer, where overlayfs puts it when something in
// it changes.
func compare(before, after tree) ([]change, error) {
	var out []change
	for name, now := range after.files {
		was, there := before.files[name]
		how := "changed"
		if !there {
			var err error
			if was, there, err = after.below(name); err != nil {
				return nil, err
			}
			if !there {
				how = "new"
			}
		}
		switch {
		case there && isWhiteout(now) && !isWhiteout(was):
			how = "removed"
		case there && now.mode.IsDir() && now.mode == was.mode && now.uid == was.uid && now.gid == was.gid:
			continue
		case now == was:
			continue
		}
		out = append(out, change{name, how, now.uid, now.mode})
	}
	for name, was := range before.files {
		if _, there := after.files[name]; !there && !isWhiteout(was) {
			out = append(out, change{name, "gone", was.uid, was.mode})
		}
	}
	slices.SortFunc(out, func(a, b change) int { return strings.Compare(a.path, b.path) })
	return out, nil
}

// isWhiteout: overlayfs marks what is removed from a layer below by a character device 0:0.
func isWhiteout(e entry) bool { return e.mode&fs.ModeCharDevice != 0 && e.device == 0 }

func (c change) String() string {
	return fmt.Sprintf("%s %s (%v, owner %d)", c.how, c.path, c.mode, c.owner)
}
