// Package treetest has a file tree in memory that answers as find, tar, xargs and sha256sum would on a host or in the mover: for tests of what
// reads trees or fills them. Only tests import it; it imports internal/treecopy alone.
package treetest

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slipway-dev/slipway/internal/treecopy"
)

// Node is a file, a directory or a symbolic link. Names of one file share it.
type Node struct {
	Kind     treecopy.Kind
	Mode     int64
	UID, GID int
	MTime    time.Time
	CTime    time.Time
	Content  []byte
	Link     string
	inode    uint64
}

// Tree is a mounted file system. "" is its root. It is safe for concurrent use through its methods; Nodes is for when nothing runs.
type Tree struct {
	Nodes map[string]*Node
	Room  int64 // bytes of contents that fit; 0: any number

	mu    sync.Mutex
	next  uint64
	clock time.Time
}

// began is when the clock of a Tree stands at first.
var began = time.Date(2026, 11, 23, 1, 2, 3, 456789012, time.UTC)

// New is an empty file system: its root belongs to root, as a fresh volume's does.
func New() *Tree {
	t := &Tree{Nodes: map[string]*Node{}, clock: began}
	t.Put("", Node{Kind: treecopy.Directory, Mode: 0o755})
	return t
}

// Shop is a small tree with one of everything.
func Shop() *Tree {
	t := New()
	at := func(n int) time.Time { return began.Add(-time.Duration(n) * 1111111111) }
	for p, n := range map[string]Node{
		"":                    {Kind: treecopy.Directory, Mode: 0o755, MTime: at(1)},
		"thumbs":              {Kind: treecopy.Directory, Mode: 0o2775, MTime: at(2)},
		"thumbs/1.png":        {Kind: treecopy.File, Mode: 0o644, MTime: at(3), Content: bytes.Repeat([]byte("png"), 5000)},
		"thumbs/two\nlines":   {Kind: treecopy.File, Mode: 0o600, MTime: at(4), Content: []byte("2")},
		"thumbs/\xff":         {Kind: treecopy.File, Mode: 0o644, MTime: at(5), Content: []byte("not UTF-8")},
		"-empty":              {Kind: treecopy.File, Mode: 0o444, MTime: at(6)},
		"thumbs/latest":       {Kind: treecopy.Symlink, Mode: 0o777, MTime: at(7), Link: "1.png"},
		"thumbs/old":          {Kind: treecopy.Directory, Mode: 0o755, MTime: at(8)},
		"thumbs/old/kept.png": {Kind: treecopy.File, Mode: 0o644, MTime: at(9), Content: []byte("kept")},
	} {
		n.UID, n.GID = 33, 33
		t.Put(p, n)
	}
	t.Nodes["thumbs/same.png"] = t.Nodes["thumbs/1.png"]
	return t
}

// Put makes or replaces an entry. Times that are zero are the clock's.
func (t *Tree) Put(p string, n Node) *Node {
	t.next++
	t.clock = t.clock.Add(time.Millisecond)
	n.inode = t.next
	if n.MTime.IsZero() {
		n.MTime = t.clock
	}
	n.CTime = t.clock
	t.Nodes[p] = &n
	return &n
}

// Names are all paths, sorted.
func (t *Tree) Names() []string { return slices.Sorted(maps.Keys(t.Nodes)) }

// String shows everything, without inodes and times of change.
func (t *Tree) String() string {
	var b strings.Builder
	for _, p := range t.Names() {
		n := t.Nodes[p]
		fmt.Fprintf(&b, "%q %s %o %d:%d %d %.6x %q %d\n", p, n.Kind, n.Mode, n.UID, n.GID, n.MTime.UnixNano(), sha256.Sum256(n.Content), n.Link, t.links(n))
	}
	return b.String()
}

func (t *Tree) links(n *Node) (names int) {
	for _, o := range t.Nodes {
		if o == n {
			names++
		}
	}
	return names
}

func (t *Tree) print(w io.Writer, p string) error {
	n := t.Nodes[p]
	name := "."
	if p != "" {
		name = "./" + p
	}
	stamp := func(at time.Time) string { return fmt.Sprintf("%d.%09d0", at.Unix(), at.Nanosecond()) }
	_, err := fmt.Fprintf(w, "%s\x00%d\x00%o\x00%d\x00%d\x00%s\x00%s\x00%d\x00%d\x00%s\x00%s\x00", n.Kind, len(n.Content), n.Mode, n.UID, n.GID, stamp(n.MTime), stamp(n.CTime), n.inode, t.links(n), name, n.Link)
	return err
}

// List is find's.
func (t *Tree) List(_ context.Context, w io.Writer) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.Names() {
		if err := t.print(w, p); err != nil {
			return err
		}
	}
	return nil
}

// Stat is find's, of some names.
func (t *Tree) Stat(_ context.Context, names io.Reader, w io.Writer) error {
	return t.each(names, 123, func(p string) error { return t.print(w, p) })
}

// each does f for every name, and fails with a status when one isn't there.
func (t *Tree) each(names io.Reader, status int, f func(p string) error) error {
	all, err := io.ReadAll(names)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	var missing []string
	for name := range strings.SplitSeq(strings.TrimSuffix(string(all), "\x00"), "\x00") {
		p := strings.TrimPrefix(strings.TrimPrefix(name, "."), "/")
		if t.Nodes[p] == nil {
			missing = append(missing, name)
			continue
		}
		if err := f(p); err != nil {
			return err
		}
	}
	if missing != nil {
		return &treecopy.Failed{What: "fake", Status: status, Stderr: fmt.Sprintf("%q: No such file or directory", missing)}
	}
	return nil
}

// Hash is sha256sum's.
func (t *Tree) Hash(_ context.Context, names io.Reader, w io.Writer) error {
	return t.each(names, 123, func(p string) error {
		_, err := fmt.Fprintf(w, "%x *./%s\x00", sha256.Sum256(t.Nodes[p].Content), p)
		return err
	})
}

// Tar is tar's.
func (t *Tree) Tar(_ context.Context, names io.Reader, w io.Writer) error {
	tw := tar.NewWriter(w)
	first := map[*Node]string{}
	err := t.each(names, 2, func(p string) error {
		n := t.Nodes[p]
		h := &tar.Header{Name: "./" + p, Mode: n.Mode, Uid: n.UID, Gid: n.GID, ModTime: n.MTime, ChangeTime: n.CTime, Format: tar.FormatPAX}
		switch was := first[n]; {
		case n.Kind == treecopy.Directory:
			h.Typeflag, h.Name = tar.TypeDir, strings.TrimSuffix(h.Name, "/")+"/"
		case n.Kind == treecopy.Symlink:
			h.Typeflag, h.Linkname = tar.TypeSymlink, n.Link
		case was != "":
			h.Typeflag, h.Linkname = tar.TypeLink, was
		default:
			h.Typeflag, h.Size = tar.TypeReg, int64(len(n.Content))
			first[n] = h.Name
		}
		if err := tw.WriteHeader(h); err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg {
			return nil
		}
		_, err := tw.Write(n.Content)
		return err
	})
	return errors.Join(err, tw.Close())
}

// Extract is tar's. A file that comes new changes its directory's time.
func (t *Tree) Extract(_ context.Context, in io.Reader) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	tr := tar.NewReader(in)
	var dirs []func()
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			_, err := io.Copy(io.Discard, in)
			for _, d := range dirs {
				d()
			}
			return err
		}
		if err != nil {
			return &treecopy.Failed{What: "fake tar", Status: 2, Stderr: err.Error()}
		}
		p := strings.Trim(strings.TrimPrefix(h.Name, "."), "/")
		n := Node{Mode: h.Mode, UID: h.Uid, GID: h.Gid, MTime: h.ModTime, Link: h.Linkname}
		switch h.Typeflag {
		case tar.TypeDir:
			n.Kind = treecopy.Directory
			if was := t.Nodes[p]; was == nil {
				t.put(p, n)
			}
			dirs = append(dirs, func() { was := t.Nodes[p]; n.inode, n.CTime = was.inode, was.CTime; *was = n })
			continue
		case tar.TypeSymlink:
			n.Kind = treecopy.Symlink
		case tar.TypeLink:
			to := t.Nodes[strings.TrimPrefix(h.Linkname, "./")]
			if to == nil {
				return &treecopy.Failed{What: "fake tar", Status: 2, Stderr: "Cannot hard link: No such file or directory"}
			}
			t.put(p, n)
			t.Nodes[p] = to
			continue
		default:
			n.Kind, n.Link = treecopy.File, ""
			if n.Content, err = io.ReadAll(tr); err != nil {
				return err
			}
			if t.Room > 0 && t.used()+int64(len(n.Content)) > t.Room {
				return &treecopy.Failed{What: "fake tar", Status: 2, Stderr: "Cannot write: No space left on device"}
			}
		}
		t.put(p, n)
	}
}

func (t *Tree) put(p string, n Node) {
	t.Put(p, n)
	if p == "" {
		return
	}
	dir := path.Dir(p)
	if dir == "." {
		dir = ""
	}
	if t.Nodes[dir] == nil {
		t.put(dir, Node{Kind: treecopy.Directory, Mode: 0o755})
	}
	t.Nodes[dir].MTime = t.clock
}

func (t *Tree) used() (n int64) {
	for _, o := range t.Nodes {
		n += int64(len(o.Content))
	}
	return n
}

// Free is df's.
func (t *Tree) Free(context.Context) (treecopy.Space, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.Room == 0 {
		return treecopy.Space{Bytes: 1 << 40, Inodes: 1 << 20}, nil
	}
	return treecopy.Space{Bytes: t.Room - t.used(), Inodes: 1 << 20}, nil
}

// Name is HOST:DIRECTORY.
func (t *Tree) Name() string { return "web1:/srv/assets" }

// Mount is a Gluster volume's.
func (t *Tree) Mount(context.Context) (treecopy.Mount, error) {
	return treecopy.Mount{Type: "fuse.glusterfs", Source: "files1:/assets"}, nil
}
