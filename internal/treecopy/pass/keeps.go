package pass

import (
	"fmt"
	"strings"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// Feature is something that entries have and that not every target keeps.
type Feature string

// The features, as --without names them.
const (
	Owner Feature = "owner" // owner and group
	Xattr Feature = "xattr" // extended attributes in user.*
	ACL   Feature = "acl"   // POSIX ACLs
	Times Feature = "times" // times of modification as exact as the source has them
	Holes Feature = "holes" // in sparse files
)

// Features are all of them.
var Features = []Feature{Owner, Xattr, ACL, Times, Holes}

// UnkeptError: the tree uses what the target can't keep, and nobody said that it may be lost.
type UnkeptError struct {
	Target  string
	Feature Feature
	Example tree.Path
	Entries int64 // that have it; 0 where that isn't known before they are read
}

func (e *UnkeptError) Error() string {
	n := ""
	if e.Entries > 1 {
		n = fmt.Sprintf(", and so have %d more", e.Entries-1)
	}
	return fmt.Sprintf("%s doesn't keep %s: %s has it%s; --without %s copies without", e.Target, e.Feature.what(), e.Example, n, e.Feature)
}

func (f Feature) what() string {
	switch f {
	case Owner:
		return "owner and group"
	case Xattr:
		return "extended attributes"
	case ACL:
		return "ACLs"
	case Times:
		return "times to the nanosecond"
	}
	return "holes in files"
}

// fits makes of entries what the target keeps of them.
type fits struct {
	tree.Keeps
	without map[Feature]bool
}

// lacks gives the features that an entry's Stat has and the target doesn't keep.
func (f *fits) lacks(s *tree.Stat) (out []Feature) {
	if !f.Owners && (s.UID != f.UID || s.GID != f.GID) {
		out = append(out, Owner)
	}
	if s.MTime != f.time(s.MTime) {
		out = append(out, Times)
	}
	if !f.Holes && s.Sparse() {
		out = append(out, Holes)
	}
	return out
}

// strip takes away from a member what the target doesn't keep; a feature that nobody said may be lost is an error.
func (f *fits) strip(m *tree.Member, target string) error {
	lost := f.lacks(&m.Stat)
	kept := make([]tree.Attr, 0, len(m.Attrs))
	for _, a := range m.Attrs {
		user := strings.HasPrefix(a.Name, "user.")
		switch {
		case user && !f.Attrs:
			lost = append(lost, Xattr)
		case !user && !f.ACLs:
			lost = append(lost, ACL)
		default:
			kept = append(kept, a)
		}
	}
	for _, l := range lost {
		if !f.without[l] {
			return &UnkeptError{Target: target, Feature: l, Example: m.Path}
		}
	}
	if !f.Owners {
		m.UID, m.GID = f.UID, f.GID
	}
	m.MTime, m.Attrs = f.time(m.MTime), kept
	return nil
}

// time is the time that the target has of one of the source's.
func (f *fits) time(t tree.Time) tree.Time {
	grain := max(f.Grain, 1)
	if grain < 1e9 {
		return tree.Time{Sec: t.Sec, Nsec: t.Nsec - t.Nsec%grain}
	}
	s := grain / 1e9
	return tree.Time{Sec: t.Sec - ((t.Sec%s)+s)%s}
}
