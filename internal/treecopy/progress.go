package treecopy

import (
	"fmt"
	"strings"
	"time"
)

// Progress is how far a tree has come. Totals are 0 until they are known.
type Progress struct {
	Doing                  string
	Files, Bytes           int64
	TotalFiles, TotalBytes int64
	Changed                int64 // entries read again because they had changed
	Vanished               int64 // entries that were gone before they could be read
	Reused                 int64 // entries kept from an earlier attempt; Files has them too
	Since                  time.Time
}

// Count is the part of it that a line of progress says beside the bytes done.
func (p Progress) Count() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d", p.Files)
	if p.TotalFiles > 0 {
		fmt.Fprintf(&b, " of %d", p.TotalFiles)
	}
	b.WriteString(" files")
	if took := time.Since(p.Since); !p.Since.IsZero() && took > time.Second {
		fmt.Fprintf(&b, ", %.1f MB/s", float64(p.Bytes)/1e6/took.Seconds())
	}
	for _, n := range []struct {
		n    int64
		what string
	}{{p.Reused, "kept from before"}, {p.Changed, "read again"}, {p.Vanished, "gone meanwhile"}} {
		if n.n > 0 {
			fmt.Fprintf(&b, ", %d %s", n.n, n.what)
		}
	}
	return b.String()
}

// Space is what entries, by their place in the index, take at least where they are written.
func (x *Index) Space(entries []int) Space {
	var s Space
	seen := map[int]bool{}
	for _, i := range entries {
		e := &x.Entries[i]
		if e.Kind == File {
			s.Bytes += min(e.Size, e.Length) // holes take nothing, and a further name of a file next to nothing
		}
		if e.Group == 0 || !seen[e.Group] {
			s.Inodes++
		}
		seen[e.Group] = true
	}
	return s
}
