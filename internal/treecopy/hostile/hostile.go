// Package hostile makes file trees that are hard to copy, changes them while they are copied, and says afterwards what in a copy isn't as it was.
// It counts what it made and did, so that a run of tests can fail which has missed something.
//
// Only tests import it. It imports golang.org/x/sys/unix alone, and nothing of Slipway: what it finds wrong, it finds by its own means.
package hostile

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Trait is something that makes a tree hard to copy.
type Trait int

// The traits: those that a tree has when it is made, and those that it gets while it is copied.
const (
	Plain Trait = iota
	Large
	EmptyFile
	EmptyDirectory
	Deep
	LongName
	ControlName
	NotUTF8
	Owner
	SetID
	Nanoseconds
	Before1970
	DanglingLink
	AbsoluteLink
	UpLink
	DirectoryLink
	HardLink
	UserAttr
	AccessACL
	DefaultACL
	Sparse
	Unwritable
	Fifo
	Socket
	Device

	Grew
	Shrank
	Rewritten
	Replaced
	Vanished
	Appeared
	Renamed
	AnotherMode
	AnotherAttr
	AnotherName
	FileToDirectory
	DirectoryToLink

	traits
)

var traitNames = [traits]string{
	"plain file", "large file", "empty file", "empty directory", "deep path", "name of 255 bytes", "name with control characters", "name that isn't UTF-8",
	"owner", "set-id mode", "nanoseconds", "time before 1970", "dangling link", "absolute link", "link upwards", "link to a directory", "hard link",
	"user attribute", "ACL", "default ACL", "sparse file", "file without permissions", "FIFO", "socket", "device",
	"grew", "shrank", "rewritten with its time put back", "replaced", "vanished", "appeared", "renamed", "another mode", "another attribute", "another name",
	"a file became a directory", "a directory became a link to outside",
}

func (t Trait) String() string { return traitNames[t] }

// Hits counts traits.
type Hits [traits]int

// Add adds another count.
func (h *Hits) Add(o Hits) {
	for t := range o {
		h[t] += o[t]
	}
}

// String names them all, with how often each was hit.
func (h Hits) String() string {
	var b strings.Builder
	for t, n := range h {
		fmt.Fprintf(&b, "%s %d, ", Trait(t), n)
	}
	return strings.TrimSuffix(b.String(), ", ")
}

// Missing are the traits that were never hit.
func (h *Hits) Missing() (out []Trait) {
	for t, n := range h {
		if n == 0 {
			out = append(out, Trait(t))
		}
	}
	return out
}

// Tree is a tree that was made. Its Mutate runs once at a time.
type Tree struct {
	Hits    Hits
	root    string
	outside string // a directory that links lead to
	rng     *rand.Rand
	dirs    []string
	files   []string // with the links
	n       int
}

// New makes a tree of so many entries or somewhat more below a directory, which must be there and empty: of the same entries for the same seed. Links to outside lead to the other directory. It must run as root.
func New(root, outside string, seed uint64, entries int) (*Tree, error) {
	t := &Tree{root: root, outside: outside, rng: rand.New(rand.NewPCG(seed, 5)), dirs: []string{root}}
	for t.n < entries {
		if err := t.add(); err != nil {
			return nil, fmt.Errorf("seed %d, entry %d: %w", seed, t.n, err)
		}
	}
	for _, dir := range t.dirs { // names that came later have changed them
		if err := t.touch(dir); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (t *Tree) hit(x Trait) { t.Hits[x]++ }

func (t *Tree) one(of []string) string { return of[t.rng.IntN(len(of))] }

// fresh is a path for a new entry, in a directory that is there.
func (t *Tree) fresh() string { return filepath.Join(t.one(t.dirs), t.name()) }

// name is one that no other entry has.
func (t *Tree) name() string {
	t.n++
	name := fmt.Sprintf("%d", t.n)
	switch t.rng.IntN(12) {
	case 0:
		t.hit(LongName)
		for len(name) < 255 {
			name += "l"
		}
	case 1:
		t.hit(ControlName)
		name += "\n\x01\x1b[31m\t\x7f\r"
	case 2:
		t.hit(NotUTF8)
		name += "\xff\xfe\xc3("
	case 3:
		name = "-" + name + " '\"$(x)*\\"
	case 4:
		name = "..." + name
	case 5:
		name = " " + name + "!"
	}
	return name
}

// bytes are contents that no other file has.
func (t *Tree) bytes(n int) []byte {
	b := make([]byte, n)
	for i := 0; i+8 <= n; i += 8 {
		x := t.rng.Uint64()
		for j := range 8 {
			b[i+j] = byte(x >> (8 * j))
		}
	}
	return b
}

// touch gives an entry a time of modification.
func (t *Tree) touch(p string) error {
	at := time.Unix(1_700_000_000-int64(t.rng.IntN(1_000_000)), 0)
	switch t.rng.IntN(4) {
	case 0:
		t.hit(Before1970)
		at = time.Unix(-int64(t.rng.IntN(1_000_000))-1, 1)
	case 1, 2:
		t.hit(Nanoseconds)
		at = at.Add(time.Duration(1 + t.rng.IntN(999_999_999)))
	}
	return os.Chtimes(p, at, at)
}
