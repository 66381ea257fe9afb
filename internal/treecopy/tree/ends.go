package tree

import (
	"context"
	"errors"
	"io"
)

// Source is a tree that is read. Its methods may be called side by side.
//
// Errors: ErrLost where the connection broke and another try may help; ErrNoTree; the context's cause. What is wrong with single entries is in
// their members and sums, and no error.
type Source interface {
	// Name is what messages call it.
	Name() string
	// List gives every entry that it finds, in Compare's order, the root first; special files too. An entry that vanishes meanwhile is left
	// out; a directory that can't be read is an error. An error of each ends it and is returned.
	List(ctx context.Context, each func(Stat) error) error
	// Read writes the members of these paths as a Stream, in their order and each exactly once, and closes it.
	Read(ctx context.Context, paths []Path, out io.Writer) error
	// Hash gives the sums of these files, and the attributes of these entries of whatever kind, in their order and each exactly once. Its answer is
	// of the bytes on the disk as far as the system allows to ask for that: pages of the file that are in memory are dropped first where they
	// are clean.
	Hash(ctx context.Context, paths []Path, each func(Sum) error) error
}

// Target is a tree that is written. Its methods may be called side by side for different entries, in the order: Probe, Write of directories,
// Write of the rest, Remove, Finish. No method follows a symbolic link, or leaves the root or its file system.
type Target interface {
	Source
	// Probe finds out what the tree's file system and this process can keep, by trying it in a directory of its own that it takes away again.
	Probe(ctx context.Context) (Keeps, error)
	// Write takes a Stream in and tells of each member what became of it, in their order and each exactly once. A file, symbolic link or
	// further name appears whole, with all its attributes, or not at all, and what was told of is on the disk when Write returns. A directory
	// is made if it isn't there, open to this process alone where it is new, and gets its attributes from Finish. What has another kind
	// is replaced; a directory that is in the way only when it is empty. A member whose State isn't Stable is not written.
	Write(ctx context.Context, in io.Reader, each func(Written) error) error
	// Remove takes away entries, each before the directory that it is in: files, links, empty directories. Absent is fine.
	Remove(ctx context.Context, paths []Path) error
	// Finish gives directories their attributes, each before the one that it is in, and returns when everything is on the disk.
	Finish(ctx context.Context, dirs []Member) error
	// Sweep takes away what a Write or a Probe that was killed has left half made. No other may go on at the same root.
	Sweep(ctx context.Context) error
}

// Doubter is a Source that has more than one way to read an entry.
type Doubter interface {
	// Doubts are the entries that were not read in the way that is usual, so far, sorted.
	Doubts() []Doubt
}

// Doubt is such an entry, and why.
type Doubt struct {
	Path Path
	Why  string
}

// ErrLost: the connection to the tree's machine broke. What was told of is there; try again.
var ErrLost = errors.New("the connection was lost")

// ErrNoTree: the root isn't there or is no directory. Nothing was done.
var ErrNoTree = errors.New("there is no such directory")

// ErrFull: the target has no room left, in bytes or in inodes. What was told of stays; make it larger, and try again.
var ErrFull = errors.New("there is no room left")

// TempPrefix begins the name of what a Target has half made, in its root. A listing leaves such names at the root out.
const TempPrefix = ".slipway-half-"

// Keeps is what a target keeps of what entries have.
type Keeps struct {
	Root   string // what tells the tree from another one that is at the same place later: its file system's id and the root's inode
	Owners bool   // any owner and group, by number
	UID    uint32 // whom files belong to that it makes
	GID    uint32
	Attrs  bool  // extended attributes in user.*
	ACLs   bool  // POSIX ACLs
	Holes  bool  // holes in sparse files
	Grain  int64 // nanoseconds that its times of modification are multiples of; 1 where it keeps all
	Bytes  int64 // that are free
	Inodes int64 // that are free; -1 where it doesn't count them
}

// State is how it went with one entry.
type State byte

const (
	Stable     State = 's' // read as a whole, in the state that its Stat says, which was the same before and after
	Changed    State = 'c' // it changed while it was read
	Gone       State = 'g' // it isn't there
	Unreadable State = 'u' // it is there and can't be read, or isn't of a kind that is carried; see Why
	Failed     State = 'x' // it couldn't be written; see Why
	Doubtful   State = 'd' // a Gluster brick has it, and whether that is what the volume has isn't sure; see Why
)

// Member is an entry as it is read or written.
type Member struct {
	Stat
	Attrs  []Attr // sorted by name: user.*, and the ACLs system.posix_acl_access and system.posix_acl_default
	SameAs Path   // not "": the entry is a further name of this file, which is before it in the stream or was written earlier; without contents
}

// End is what is known of a member once it was read.
type End struct {
	State State
	Sum   [32]byte // SHA-256 of a file's contents
	At    Time     // when its reading began, by the clock of the machine that reads: what changed less than two seconds before may change again unseen
	Why   string   // for Unreadable and Doubtful: the reason
}

// Sum is an entry's, as Source.Hash found it.
type Sum struct {
	Member // as it was before and after, without SameAs; the Path alone where it is gone
	End
}

// Written is what became of a member at the target.
type Written struct {
	Path  Path
	State State    // Stable: it is there. Changed, Gone, Unreadable: as the source said. Failed: see Why
	Sum   [32]byte // of a file's contents, computed by whoever wrote it
	Why   string
}
