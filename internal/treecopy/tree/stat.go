package tree

import "time"

// Kind is an entry's type, in find's letters.
type Kind byte

// The kinds. Those behind Symlink are reported and left out.
const (
	File        Kind = 'f'
	Directory   Kind = 'd'
	Symlink     Kind = 'l'
	BlockDevice Kind = 'b'
	CharDevice  Kind = 'c'
	FIFO        Kind = 'p'
	Socket      Kind = 's'
)

// Carried says whether entries of this kind are copied.
func (k Kind) Carried() bool { return k == File || k == Directory || k == Symlink }

func (k Kind) String() string {
	switch k {
	case File:
		return "file"
	case Directory:
		return "directory"
	case Symlink:
		return "symbolic link"
	case BlockDevice:
		return "block device"
	case CharDevice:
		return "character device"
	case FIFO:
		return "FIFO"
	case Socket:
		return "socket"
	}
	return "entry of unknown type"
}

// Stat is what a listing says of an entry.
type Stat struct {
	Path   Path // below the tree's root; "" is the root
	Kind   Kind
	Size   int64  // bytes, of a file
	Mode   uint32 // 12 bits
	UID    uint32
	GID    uint32
	MTime  Time
	CTime  Time   // at the source alone: with Inode, what a later pass tells a change from
	Inode  uint64 // on a Gluster mount it is made from the gfid
	Names  uint64 // hard links
	Blocks int64  // of 512 bytes that a file takes on the disk: fewer than its size needs when it has holes
	Link   Path   // a symbolic link's target, as it stands there
}

// Same says whether an entry is in the state in which it was seen before: no byte, no attribute and no name of it has changed since, as far as
// its file system tells. Whoever puts a file's time of modification back changes its time of change.
func (s *Stat) Same(was *Stat) bool {
	return s.Kind == was.Kind && s.Size == was.Size && s.Mode == was.Mode && s.UID == was.UID && s.GID == was.GID && s.MTime == was.MTime &&
		s.CTime == was.CTime && s.Inode == was.Inode && s.Names == was.Names && s.Link == was.Link
}

// Sparse says whether a file takes less room than its size.
func (s *Stat) Sparse() bool { return s.Kind == File && s.Blocks*512 < s.Size }

// Attr is an extended attribute, by the name that the kernel has for it: user.mime, system.posix_acl_access.
type Attr struct {
	Name  string
	Value string // any bytes
}

// Time is a file's time: whole seconds since 1970, UTC, and the nanoseconds after them, 0 to 999,999,999, also before 1970.
type Time struct {
	Sec  int64
	Nsec int64
}

// TimeOf is a time as files have it.
func TimeOf(t time.Time) Time { return Time{t.Unix(), int64(t.Nanosecond())} }

// Time is it in Go's terms.
func (t Time) Time() time.Time { return time.Unix(t.Sec, t.Nsec) }
