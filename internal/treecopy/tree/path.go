package tree

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Path is a path below a tree's root, "" for the root itself, or a symbolic link's target: any bytes but NUL.
type Path string

// String quotes it for messages, whatever it contains.
func (p Path) String() string { return strconv.Quote(string(p)) }

// Compare sorts paths as listings come: a directory before what is in it, the names of one directory in the order of their bytes, and with
// each the whole tree below it before the next. It is the order of the bytes where a slash counts as less than all others.
func Compare(a, b Path) int {
	n := min(len(a), len(b))
	for i := range n {
		x, y := a[i], b[i]
		if x == y {
			continue
		}
		switch {
		case x == '/':
			return -1
		case y == '/':
			return 1
		case x < y:
			return -1
		}
		return 1
	}
	return len(a) - len(b)
}

// Parent is the directory that an entry is in; ok is false for the root.
func (p Path) Parent() (dir Path, ok bool) {
	if p == "" {
		return "", false
	}
	i := strings.LastIndexByte(string(p), '/')
	return p[:max(i, 0)], true
}

// Base is the last name of a path.
func (p Path) Base() string { return string(p[strings.LastIndexByte(string(p), '/')+1:]) }

// Join is the path of a name in a directory.
func (p Path) Join(name string) Path {
	if p == "" {
		return Path(name)
	}
	return p + "/" + Path(name)
}

// ErrUnsafe: a path could lead out of its tree. Whoever sent it is broken or lies; nothing was done with it.
var ErrUnsafe = errors.New("the path could lead out of the tree")

// Check refuses a path that could lead out of the tree by its text: an empty name, ".", "..", a NUL. What lies there as a symbolic link is for
// whoever opens it to refuse.
func (p Path) Check() error {
	if p == "" {
		return nil
	}
	for name := range strings.SplitSeq(string(p), "/") {
		if name == "" || name == "." || name == ".." || strings.IndexByte(name, 0) >= 0 {
			return fmt.Errorf("%s: %w", p, ErrUnsafe)
		}
	}
	return nil
}
