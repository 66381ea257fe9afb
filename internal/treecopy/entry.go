package treecopy

import (
	"fmt"
	"slices"
)

// Kind is an entry's type, in find's letters.
type Kind string

// The kinds that are carried. Everything else is reported.
const (
	File      Kind = "f"
	Directory Kind = "d"
	Symlink   Kind = "l"
)

// special are the kinds that are reported and left out.
func special(k Kind) (string, bool) {
	switch k {
	case "b":
		return "block device", true
	case "c":
		return "character device", true
	case "p":
		return "FIFO", true
	case "s":
		return "socket", true
	}
	return "", false
}

// Stat is what a listing says of an entry.
type Stat struct {
	Path  Bytes // below the tree's root; "" is the root
	Kind  Kind
	Size  int64 // bytes, of a file
	Mode  uint32
	UID   uint32
	GID   uint32
	MTime Time
	CTime Time
	Inode uint64
	Names uint64 // hard links
	Link  Bytes  // a symbolic link's target
}

// Attr is an extended attribute or an ACL, under the name that tar's pax header has for it: SCHILY.xattr.user.mime, SCHILY.acl.access.
type Attr struct {
	Name  Bytes      `json:"name"`
	Value base64Text `json:"value"`
}

// Entry is one entry of an artifact's index.
type Entry struct {
	Path   Bytes  `json:"path"`
	Kind   Kind   `json:"kind"`
	Size   int64  `json:"size,omitempty"`
	Mode   uint32 `json:"mode"` // 12 bits
	UID    uint32 `json:"uid"`
	GID    uint32 `json:"gid"`
	MTime  Time   `json:"mtime"`
	CTime  Time   `json:"ctime"` // with Inode: what a later pass tells a change from
	Inode  uint64 `json:"inode,omitempty"`
	Link   Bytes  `json:"link,omitempty"`
	Group  int    `json:"group,omitempty"` // files with the same number, not 0, are one file of several names
	Attrs  []Attr `json:"attrs,omitempty"`
	SHA256 string `json:"sha256,omitempty"` // of a file's contents, hex
	Place
}

// Place is where an entry's member is: in which of the artifact's files, and from which byte on, before compression. A member is what tar
// made of an entry, whole: extended header, header, contents, padding.
type Place struct {
	Chunk  string `json:"chunk"`
	Offset int64  `json:"offset"`
	Length int64  `json:"length"`
}

// sameFile: what was read is what the listing says now. A difference means that the entry changed, whichever way round.
func (e *Entry) same(s *Stat) bool {
	if e.Kind != s.Kind || e.Mode != s.Mode || e.UID != s.UID || e.GID != s.GID || e.MTime != s.MTime || e.CTime != s.CTime {
		return false
	}
	switch e.Kind {
	case File:
		return e.Size == s.Size
	case Symlink:
		return e.Link == s.Link
	}
	return true
}

// Difference is one way in which a target isn't what the index says.
type Difference struct {
	Path Bytes
	What string
}

func (d Difference) String() string {
	if d.Path == "" {
		return "the root of the tree: " + d.What
	}
	return d.Path.String() + ": " + d.What
}

// differs says in which way what a listing of the target has isn't the entry, without contents and hard links.
func (e *Entry) differs(s *Stat) []string {
	if e.Kind != s.Kind {
		return []string{fmt.Sprintf("it is of type %s, not %s", s.Kind, e.Kind)}
	}
	var out []string
	not := func(what string, has, wants any) {
		if has != wants {
			out = append(out, fmt.Sprintf("%s is %v, not %v", what, has, wants))
		}
	}
	if e.Kind == File {
		not("its size", s.Size, e.Size)
	}
	if e.Kind == Symlink {
		not("its target", s.Link, e.Link)
	} else { // a symbolic link's mode means nothing
		not("its mode", fmt.Sprintf("%04o", s.Mode), fmt.Sprintf("%04o", e.Mode))
	}
	not("its owner", fmt.Sprintf("%d:%d", s.UID, s.GID), fmt.Sprintf("%d:%d", e.UID, e.GID))
	not("its time of modification", s.MTime, e.MTime)
	return out
}

func sameAttrs(a, b []Attr) bool { return slices.Equal(a, b) }
