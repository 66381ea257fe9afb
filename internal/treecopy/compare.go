package treecopy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// Viewer looks at a target's tree: View, or what stands for it.
type Viewer interface {
	List(ctx context.Context, out io.Writer) error
	Hash(ctx context.Context, names io.Reader, out io.Writer) error
	Tar(ctx context.Context, names io.Reader, out io.Writer) error
}

// DifferentError is a target that isn't what the index says.
type DifferentError struct {
	Found []Difference // all, in the index's order, what is too much after them
}

func (e *DifferentError) Error() string {
	const most = 10
	var b strings.Builder
	fmt.Fprintf(&b, "%d differences: ", len(e.Found))
	for i, d := range e.Found[:min(most, len(e.Found))] {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(d.String())
	}
	if n := len(e.Found) - most; n > 0 {
		fmt.Fprintf(&b, "; and %d more", n)
	}
	return b.String()
}

// Depth is how deep a comparison looks.
type Depth int

const (
	// Attributes: names, types, sizes, modes, owners, times, links. It reads no contents.
	Attributes Depth = iota
	// Contents: Attributes, and the SHA-256 of every file that has the right ones, and extended attributes and ACLs.
	Contents
)

// Compared is what a comparison found.
type Compared struct {
	Files, Bytes int64        // hashed
	Missing      []int        // entries, by their place in the index, that aren't there or differ
	Extra        []Difference // what the index doesn't have
	Found        []Difference // all of it, for people
}

// Err is *DifferentError, or nil where nothing differs.
func (c *Compared) Err() error {
	if len(c.Found) == 0 {
		return nil
	}
	return &DifferentError{c.Found}
}

// lost+found is the file system's own, at the root of the volume.
const lostFound = Bytes("lost+found")

// Compare compares a target with the index. at is how many commands it may run at once. A difference is no error: see Compared.Err.
func (x *Index) Compare(ctx context.Context, v Viewer, depth Depth, at int, progress func(Progress)) (*Compared, error) {
	c := &comparing{x: x, v: v, tell: progress, has: map[Bytes]Stat{}, wrong: map[int][]string{}}
	c.progress = Progress{Doing: "listing the target"}
	c.say()
	err := listing(func(w io.Writer) error { return v.List(ctx, w) }, func(s Stat) error {
		s.Path = inTree(string(s.Path))
		c.has[s.Path] = s
		return nil
	})
	if err != nil {
		return nil, err
	}
	c.attributes()
	if depth == Contents {
		if err := c.contents(ctx, max(1, at)); err != nil {
			return nil, err
		}
		if err := c.extended(ctx); err != nil {
			return nil, err
		}
	}
	return c.result(), nil
}

type comparing struct {
	x        *Index
	v        Viewer
	tell     func(Progress)
	progress Progress
	has      map[Bytes]Stat
	wrong    map[int][]string // by entry
	out      Compared
}

func (c *comparing) say() {
	if c.tell != nil {
		c.tell(c.progress)
	}
}

// attributes compares everything that a listing shows. Entries with the same group number must be one file, and no other.
func (c *comparing) attributes() {
	inode, owner := map[int]uint64{}, map[uint64]int{}
	size := map[int]uint64{}
	for _, e := range c.x.Entries {
		if e.Group != 0 {
			size[e.Group]++
		}
	}
	for i := range c.x.Entries {
		e := &c.x.Entries[i]
		s, ok := c.has[e.Path]
		if !ok {
			c.wrong[i] = []string{"it is missing"}
			continue
		}
		if bad := e.differs(&s); len(bad) > 0 {
			c.wrong[i] = bad
			continue
		}
		if e.Kind != File {
			continue
		}
		names := max(1, size[e.Group])
		first, seen := inode[e.Group], e.Group != 0 && inode[e.Group] != 0
		was, taken := owner[s.Inode]
		switch {
		case s.Names != names:
			c.wrong[i] = append(c.wrong[i], fmt.Sprintf("the file has %d names, not %d", s.Names, names))
		case seen && first != s.Inode, taken && was != e.Group, taken && e.Group == 0:
			c.wrong[i] = append(c.wrong[i], "it isn't a hard link to the files that it should be one to")
		}
		owner[s.Inode] = e.Group
		if e.Group != 0 && !seen {
			inode[e.Group] = s.Inode
		}
	}
	for _, e := range c.x.Entries {
		delete(c.has, e.Path)
	}
	if s, ok := c.has[lostFound]; ok && s.Kind == Directory {
		for p := range c.has {
			if p == lostFound || strings.HasPrefix(string(p), string(lostFound)+"/") {
				delete(c.has, p)
			}
		}
	}
	for p, s := range c.has {
		what, is := special(s.Kind)
		if !is {
			what = map[Kind]string{File: "file", Directory: "directory", Symlink: "symbolic link"}[s.Kind]
		}
		c.out.Extra = append(c.out.Extra, Difference{p, "the source has no such " + what})
	}
	slices.SortFunc(c.out.Extra, func(a, b Difference) int { return pathLess(a.Path, b.Path) })
}

// contents hashes every file that is otherwise right; one of several names once.
func (c *comparing) contents(ctx context.Context, at int) error {
	var todo []int
	seen := map[int]bool{}
	var total int64
	for i := range c.x.Entries {
		e := &c.x.Entries[i]
		if e.Kind != File || c.wrong[i] != nil || e.Group != 0 && seen[e.Group] {
			continue
		}
		seen[e.Group] = true
		todo = append(todo, i)
		total += e.Size
	}
	c.progress = Progress{Doing: "comparing", Since: time.Now(), TotalFiles: int64(len(todo)), TotalBytes: total}
	parts := split(c.x.Entries, todo, total, at)
	results := make(chan hashed, 256)
	g, gctx := errgroup.WithContext(ctx)
	for _, part := range parts {
		g.Go(func() error { return c.hash(gctx, part, results) })
	}
	var err error
	go func() { err = g.Wait(); close(results) }()
	got := map[int]string{}
	for h := range results {
		got[h.entry] = h.sum
		c.out.Files, c.out.Bytes = c.out.Files+1, c.out.Bytes+c.x.Entries[h.entry].Size
		c.progress.Files, c.progress.Bytes = c.out.Files, c.out.Bytes
		c.say()
	}
	if err != nil {
		return err
	}
	for _, i := range todo {
		if got[i] != c.x.Entries[i].SHA256 {
			c.wrong[i] = append(c.wrong[i], fmt.Sprintf("its contents differ: SHA-256 is %.16s…, not %.16s…", got[i], c.x.Entries[i].SHA256))
		}
	}
	return nil
}

type hashed struct {
	entry int
	sum   string
}

// split deals entries out so that each part has about as many bytes. A file costs about as much as 16 KiB of contents besides.
func split(entries []Entry, todo []int, total int64, parts int) [][]int {
	const each = 16 << 10
	goal := (total+each*int64(len(todo)))/int64(parts) + 1
	var out [][]int
	var part []int
	var n int64
	for _, i := range todo {
		part = append(part, i)
		if n += entries[i].Size + each; n >= goal {
			out, part, n = append(out, part), nil, 0
		}
	}
	if len(part) > 0 {
		out = append(out, part)
	}
	return out
}

// hash has one command hash these entries. It answers in their order, each exactly once, or it fails.
func (c *comparing) hash(ctx context.Context, part []int, results chan<- hashed) error {
	names := make([]Bytes, len(part))
	for k, i := range part {
		names[k] = c.x.Entries[i].Path
	}
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := c.v.Hash(ctx, nameList(names), w)
		w.CloseWithError(errOr(err, io.EOF))
		done <- err
	}()
	b := bufio.NewReaderSize(r, 64<<10)
	next := 0
	err := func() error {
		for {
			line, err := field(b)
			if errors.Is(err, io.EOF) && line == "" {
				return nil
			}
			if err != nil {
				return err
			}
			sum, path, ok := strings.Cut(line, " *./")
			if !ok || len(sum) != 64 || next == len(names) || Bytes(path) != names[next] {
				return fmt.Errorf("sha256sum's answer is not readable: %.200q", line)
			}
			results <- hashed{part[next], sum}
			next++
		}
	}()
	r.CloseWithError(errOr(err, io.ErrClosedPipe))
	cerr := <-done
	var failed *Failed
	switch {
	case errors.As(cerr, &failed):
		return cerr
	case err != nil && !errors.Is(err, cerr):
		return err
	case cerr != nil:
		return cerr
	case next < len(names):
		return fmt.Errorf("sha256sum ended after %d of %d files", next, len(names))
	}
	return nil
}

// extended compares extended attributes and ACLs of the entries that have some: tar reads them back as it read them on the source.
func (c *comparing) extended(ctx context.Context) error {
	at := map[Bytes]int{}
	var names []Bytes
	for i := range c.x.Entries {
		if e := &c.x.Entries[i]; len(e.Attrs) > 0 && c.wrong[i] == nil {
			at[e.Path] = i
			names = append(names, e.Path)
		}
	}
	if len(names) == 0 {
		return nil
	}
	c.progress = Progress{Doing: "comparing extended attributes", TotalFiles: int64(len(names))}
	c.say()
	seen := map[int]bool{}
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := c.v.Tar(ctx, nameList(names), w)
		w.CloseWithError(errOr(err, io.EOF))
		done <- err
	}()
	err := scan(r, "", func(int64) {}, func(e Entry) error {
		i, ok := at[e.Path]
		if !ok {
			return fmt.Errorf("tar, %s: it wasn't asked for", e.Path)
		}
		seen[i] = true
		if !sameAttrs(e.Attrs, c.x.Entries[i].Attrs) {
			c.wrong[i] = append(c.wrong[i], "its extended attributes or ACLs differ: "+attrNames(e.Attrs)+", not "+attrNames(c.x.Entries[i].Attrs))
		}
		return nil
	})
	r.CloseWithError(errOr(err, io.ErrClosedPipe))
	if cerr := <-done; cerr != nil {
		return cerr
	}
	if err == nil && len(seen) != len(names) {
		err = fmt.Errorf("tar gave %d of %d entries", len(seen), len(names))
	}
	return err
}

func attrNames(as []Attr) string {
	var b bytes.Buffer
	for i, a := range as {
		if i > 0 {
			b.WriteString(" ")
		}
		fmt.Fprintf(&b, "%s=%.40q", strings.TrimPrefix(strings.TrimPrefix(string(a.Name), xattrPrefix), "SCHILY."), string(a.Value))
	}
	if len(as) == 0 {
		return "none"
	}
	return b.String()
}

func (c *comparing) result() *Compared {
	for i := range c.x.Entries {
		if bad, ok := c.wrong[i]; ok {
			c.out.Missing = append(c.out.Missing, i)
			c.out.Found = append(c.out.Found, Difference{c.x.Entries[i].Path, strings.Join(bad, ", ")})
		}
	}
	c.out.Found = append(c.out.Found, c.out.Extra...)
	return &c.out
}
