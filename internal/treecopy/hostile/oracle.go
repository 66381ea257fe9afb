package hostile

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Differences says in what a copy isn't what the tree is, entry by entry: kind, contents, size, mode, owner, time of modification, a link's target,
// which names are one file, attributes, ACLs, whether there are holes. What isn't carried must not be there.
func Differences(tree, copied string) ([]string, error) {
	want, err := look(tree, false)
	if err != nil {
		return nil, err
	}
	got, err := look(copied, true)
	if err != nil {
		return nil, err
	}
	all := maps.Clone(want)
	maps.Copy(all, got)
	var out []string
	for _, p := range slices.Sorted(maps.Keys(all)) {
		if got[p] != want[p] {
			out = append(out, fmt.Sprintf("%q: is %q, should be %q", p, got[p], want[p]))
		}
	}
	return out, nil
}

// A looker goes through a tree, name by name.
type looker struct {
	facts   map[string]string
	first   map[uint64]string // a file's first name, by inode
	special bool              // entries that aren't carried count too
}

func look(root string, special bool) (map[string]string, error) {
	r, err := os.OpenRoot(root)
	if err != nil {
		return nil, err
	}
	l := &looker{facts: map[string]string{}, first: map[uint64]string{}, special: special}
	return l.facts, l.dir(r, "")
}

func (l *looker) dir(r *os.Root, path string) error {
	defer r.Close()
	if err := l.fact(r, ".", path); err != nil {
		return err
	}
	self, err := r.Open(".")
	if err != nil {
		return err
	}
	defer self.Close()
	entries, err := self.ReadDir(-1)
	if err != nil {
		return err
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	for _, e := range entries {
		p := path + "/" + e.Name()
		if !e.IsDir() {
			if err := l.fact(r, e.Name(), p); err != nil {
				return err
			}
			continue
		}
		below, err := r.OpenRoot(e.Name())
		if err != nil {
			return err
		}
		if err := l.dir(below, p); err != nil {
			return err
		}
	}
	return nil
}

// fact says in a line what an entry is.
func (l *looker) fact(r *os.Root, name, path string) error {
	info, err := r.Lstat(name)
	if err != nil {
		return err
	}
	st := info.Sys().(*syscall.Stat_t)
	kind := info.Mode().Type()
	fact := fmt.Sprintf("%v %d:%d %d.%09d", kind, st.Uid, st.Gid, st.Mtim.Sec, st.Mtim.Nsec)
	switch kind {
	case fs.ModeSymlink:
		to, err := r.Readlink(name)
		if err != nil {
			return err
		}
		l.facts[path] = fact + " to " + to
		return nil
	case 0, fs.ModeDir:
	default:
		if l.special {
			l.facts[path] = fact
		}
		return nil
	}
	f, err := r.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	attrs, err := attributes(f)
	if err != nil {
		return err
	}
	fact += fmt.Sprintf(" mode %04o attributes %q", st.Mode&0o7777, attrs)
	if kind == 0 {
		sum := sha256.New()
		if _, err := io.Copy(sum, f); err != nil {
			return err
		}
		if _, ok := l.first[st.Ino]; !ok {
			l.first[st.Ino] = path
		}
		fact += fmt.Sprintf(" %d bytes %x holes %v is %q", st.Size, sum.Sum(nil), st.Blocks*512 < st.Size, l.first[st.Ino])
	}
	l.facts[path] = fact
	return nil
}

// attributes are those that are kept, with their values.
func attributes(f *os.File) (out []string, err error) {
	b := make([]byte, 64<<10)
	n, err := unix.Flistxattr(int(f.Fd()), b)
	if err != nil {
		return nil, err
	}
	for name := range strings.SplitSeq(string(b[:n]), "\x00") {
		if !strings.HasPrefix(name, "user.") && !strings.HasPrefix(name, "system.posix_acl_") {
			continue
		}
		n, err := unix.Fgetxattr(int(f.Fd()), name, b)
		if err != nil {
			return nil, err
		}
		out = append(out, name+"="+string(b[:n]))
	}
	slices.Sort(out)
	return out, nil
}
