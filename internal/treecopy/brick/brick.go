// Package brick reads files in the directory of a Gluster brick, on the brick's host, and says of each whether it can be believed to be what the
// volume has. It is one half of package bricks; the other compares two of these.
//
// It is part of the agent, and imports packages tree and disk alone.
package brick

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/slipway-dev/slipway/internal/treecopy/disk"
	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// ErrNoBrick: the directory isn't a brick, or this account can't see that it is one.
var ErrNoBrick = errors.New("the directory isn't the root of a Gluster brick, or the account isn't root")

// Brick is a brick's directory.
type Brick struct {
	*disk.Disk
	root string // the directory that was opened
}

// Open opens a directory of a brick, "/" for all of it. Errors: ErrNoBrick, and those of disk.Open.
func Open(root, dir string, o disk.Options) (*Brick, error) {
	id, err := get(root, volumeID)
	if err != nil || len(id) != 16 {
		return nil, fmt.Errorf("%s: %w", root, ErrNoBrick)
	}
	root = filepath.Join(root, filepath.Join("/", dir))
	d, err := disk.Open(root, o)
	if err != nil {
		return nil, err
	}
	return &Brick{d, root}, nil
}

// ReadBrick is bricks.Brick's.
func (b *Brick) ReadBrick(ctx context.Context, paths []tree.Path, out io.Writer) error {
	before := b.look(paths)
	next := 0
	w := tree.NewStreamWriter(out)
	err := tree.Forward(w, func(out io.Writer) error { return b.Read(ctx, paths, out) }, func(m *tree.Member) error {
		before[next].read = m.Stat
		before[next].asVolume(&m.Stat)
		return nil
	}, func(_ *tree.Member, e *tree.End) error {
		b.judge(&before[next], e)
		next++
		return nil
	})
	if err != nil {
		return err
	}
	return w.Close()
}

// HashBrick is bricks.Brick's.
func (b *Brick) HashBrick(ctx context.Context, paths []tree.Path, each func(tree.Sum) error) error {
	before := b.look(paths)
	next := 0
	return b.Hash(ctx, paths, func(sum tree.Sum) error {
		l := &before[next]
		next++
		l.read = sum.Stat
		l.asVolume(&sum.Stat)
		b.judge(l, &sum.End)
		return each(sum)
	})
}

// Extended attributes of Gluster's own on a brick, and what they mean (xlators/storage/posix, xlators/cluster/{afr,dht,ec}, xlators/features of
// its source).
const (
	volumeID = "trusted.glusterfs.volume-id"  // of a brick's root: the volume's id, 16 bytes
	gfid     = "trusted.gfid"                 // the file's own id, 16 bytes
	mdata    = "trusted.glusterfs.mdata"      // the times that the volume tells
	linkTo   = "trusted.glusterfs.dht.linkto" // the file is on another brick, and this is a sign that says so
	afr      = "trusted.afr."                 // what another replica hasn't got yet, three counters; and dirty: a write goes on
	shard    = "trusted.glusterfs.shard."     // the file is the first piece of several
	disperse = "trusted.ec."                  // the file is a fragment
	rotten   = "trusted.bit-rot.bad-file"     // the scrubber has found it damaged
)

// looked is what was seen of a file beside its contents.
type looked struct {
	path   tree.Path
	attrs  []tree.Attr // in trusted.*
	read   tree.Stat   // as it was when it was opened, in the brick's own terms
	volume tree.Stat   // its times and inode as the volume tells them
	why    string      // it is in doubt
}

func (b *Brick) look(paths []tree.Path) []looked {
	out := make([]looked, len(paths))
	for i, p := range paths {
		out[i] = b.lookAt(p)
	}
	return out
}

// lookAt looks at the attributes by the file's name; that it is the same file that is read shows by its gfid and times, which two bricks must
// have alike.
func (b *Brick) lookAt(p tree.Path) looked {
	l := looked{path: p}
	if p.Check() != nil || p == "" || strings.HasPrefix(string(p), ".glusterfs") {
		l.why = "it isn't a file of the volume"
		return l
	}
	at := filepath.Join(b.root, string(p))
	names, err := list(at)
	for _, name := range names {
		if err != nil || !strings.HasPrefix(name, "trusted.") {
			continue
		}
		var v []byte
		if v, err = get(at, name); err == nil {
			l.attrs = append(l.attrs, tree.Attr{Name: name, Value: string(v)})
		}
	}
	if err != nil {
		l.why = "its attributes can't be read: " + err.Error()
		return l
	}
	slices.SortFunc(l.attrs, func(a, b tree.Attr) int { return strings.Compare(a.Name, b.Name) })
	l.understand()
	return l
}

// understand reads Gluster's attributes.
func (l *looked) understand() {
	var hasID, hasTimes bool
	for _, a := range l.attrs {
		v := []byte(a.Value)
		switch {
		case a.Name == linkTo:
			l.why = "the file is on another brick"
		case strings.HasPrefix(a.Name, afr) && strings.Trim(a.Value, "\x00") != "":
			l.why = "a heal waits, or a write goes on: " + a.Name + " is set"
		case strings.HasPrefix(a.Name, shard):
			l.why = "the file is in pieces (sharding)"
		case strings.HasPrefix(a.Name, disperse):
			l.why = "the brick has a fragment of it (disperse)"
		case a.Name == rotten:
			l.why = "Gluster's scrubber has found it damaged"
		case a.Name == gfid && len(v) == 16:
			hasID = true
			l.volume.Inode = binary.BigEndian.Uint64(v[8:]) // as the mount makes inodes of gfids
		case a.Name == mdata && len(v) == 57 && v[0] == 1:
			// A version, 8 bytes of flags, and seconds and nanoseconds of change, modification and access, 8 bytes each.
			hasTimes = true
			l.volume.CTime, l.volume.MTime = timeAt(v[9:]), timeAt(v[25:])
		}
	}
	switch {
	case l.why != "":
	case !hasID:
		l.why = "it has no gfid"
	case !hasTimes:
		l.why = "the volume's times aren't kept on the brick (features.ctime)"
	}
}

func timeAt(b []byte) tree.Time {
	return tree.Time{Sec: int64(binary.BigEndian.Uint64(b)), Nsec: int64(binary.BigEndian.Uint64(b[8:]))}
}

// asVolume puts what the brick's file system says into the terms of the volume's mount: its times and inode, and one name less, which is the
// brick's own in .glusterfs.
func (l *looked) asVolume(st *tree.Stat) {
	if l.why != "" || st.Kind != tree.File {
		return
	}
	st.Inode, st.MTime, st.CTime = l.volume.Inode, l.volume.MTime, l.volume.CTime
	st.Names--
}

// judge makes an end doubtful where anything speaks against the file, or has changed since it was looked at.
func (b *Brick) judge(before *looked, e *tree.End) {
	if e.State != tree.Stable {
		return
	}
	why := before.why
	switch {
	case why != "":
	case before.read.Kind != tree.File:
		why = "it is a " + before.read.Kind.String()
	case before.read.Mode&unix.S_ISVTX != 0:
		why = "its sticky bit is set, as on files that Gluster moves"
	case before.read.Names < 2:
		why = "it has no name in .glusterfs"
	default:
		if after := b.lookAt(before.path); !slices.Equal(after.attrs, before.attrs) {
			why = "Gluster's attributes of it changed while it was read"
		}
	}
	if why != "" {
		*e = tree.End{State: tree.Doubtful, Why: why, At: e.At}
	}
}

func list(path string) ([]string, error) {
	b := make([]byte, 64<<10) // the kernel's most
	n, err := unix.Llistxattr(path, b)
	if err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(string(b[:n]), "\x00"), "\x00"), nil
}

func get(path, name string) ([]byte, error) {
	b := make([]byte, 64<<10) // the kernel's most
	n, err := unix.Lgetxattr(path, name, b)
	return b[:max(n, 0)], err
}
