package pass

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// file is what a name in a memory leads to. Names of one file share it.
type file struct {
	tree.Stat // without Path and Names
	content   []byte
	attrs     []tree.Attr
}

// memory is a tree in memory.
type memory struct {
	name  string
	keeps tree.Keeps

	mu    sync.Mutex
	files map[tree.Path]*file
	inode uint64
	clock tree.Time
	read  map[tree.Path]int // how often each was read with its contents
	hash  map[tree.Path]int
	ops   int

	fault func(op string, n int) error             // before each call, and each member that is read or written; n counts them all
	look  func(p tree.Path, times int)             // in the middle of a read, without the lock
	spoil func(p tree.Path, content []byte) []byte // what is written in place of a content
	room  int64                                    // bytes; 0: any number
}

var began = tree.Time{Sec: 1_790_000_000}

func newMemory(name string) *memory {
	m := &memory{name: name, files: map[tree.Path]*file{}, clock: began, read: map[tree.Path]int{}, hash: map[tree.Path]int{}}
	m.keeps = tree.Keeps{Root: "root of " + name, Owners: true, Attrs: true, ACLs: true, Holes: true, Grain: 1, Bytes: 1 << 40, Inodes: -1}
	m.put("", file{Stat: tree.Stat{Kind: tree.Directory, Mode: 0o755}})
	return m
}

// later lets time go by: what is written after it looks other than what was written before.
func (m *memory) later() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clock.Sec += 10
}

func (m *memory) tick() tree.Time {
	m.clock.Nsec += 1000
	return m.clock
}

// put makes an entry, or replaces it. What has no time of modification gets the clock's.
func (m *memory) put(p tree.Path, f file) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.set(p, f)
}

func (m *memory) set(p tree.Path, f file) {
	m.inode++
	f.Inode, f.CTime = m.inode, m.tick()
	if f.MTime == (tree.Time{}) {
		f.MTime = f.CTime
	}
	if f.Kind == tree.File {
		f.Size, f.Blocks = int64(len(f.content)), int64(len(f.content)+511)/512
	}
	m.drop(p)
	m.files[p] = &f
	m.moved(p)
}

// moved changes the times of an entry's directory.
func (m *memory) moved(p tree.Path) {
	if dir, ok := p.Parent(); ok {
		if d := m.files[dir]; d != nil {
			d.MTime, d.CTime = m.tick(), m.clock
		}
	}
}

func (m *memory) drop(p tree.Path) {
	if f := m.files[p]; f != nil {
		f.CTime = m.tick()
		delete(m.files, p)
		m.moved(p)
	}
}

func (m *memory) write(p tree.Path, text string) {
	m.put(p, file{Stat: tree.Stat{Kind: tree.File, Mode: 0o644}, content: []byte(text)})
}

func (m *memory) dir(p tree.Path) { m.put(p, file{Stat: tree.Stat{Kind: tree.Directory, Mode: 0o755}}) }

// edit changes a file where it is.
func (m *memory) edit(p tree.Path, f func(*file)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files[p].CTime = m.tick()
	f(m.files[p])
	m.files[p].Size = int64(len(m.files[p].content))
}

func (m *memory) remove(paths ...tree.Path) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range paths {
		m.drop(p)
	}
}

func (m *memory) link(p, to tree.Path) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drop(p)
	m.files[p] = m.files[to]
	m.files[p].CTime = m.tick()
	m.moved(p)
}

func (m *memory) stat(p tree.Path) tree.Stat {
	s := m.files[p].Stat
	s.Path, s.Names = p, 0
	for _, f := range m.files {
		if f == m.files[p] {
			s.Names++
		}
	}
	return s
}

func (m *memory) paths() []tree.Path {
	return slices.SortedFunc(maps.Keys(m.files), tree.Compare)
}

// step counts an operation, which a test may have fail.
func (m *memory) step(ctx context.Context, op string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	m.mu.Lock()
	m.ops++
	n, fault := m.ops, m.fault
	m.mu.Unlock()
	if fault != nil {
		return fault(op, n)
	}
	return nil
}

// Name is for tree.Source.
func (m *memory) Name() string { return m.name }

// List is for tree.Source.
func (m *memory) List(ctx context.Context, each func(tree.Stat) error) error {
	m.mu.Lock()
	paths := m.paths()
	m.mu.Unlock()
	for _, p := range paths {
		if err := m.step(ctx, "list"); err != nil {
			return err
		}
		m.mu.Lock()
		ok := m.files[p] != nil
		var s tree.Stat
		if ok {
			s = m.stat(p)
		}
		m.mu.Unlock()
		if !ok {
			continue
		}
		if err := each(s); err != nil {
			return err
		}
	}
	return nil
}

// member looks at an entry; its contents are a copy.
func (m *memory) member(p tree.Path) (mem tree.Member, content []byte, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.files[p]
	if f == nil {
		return tree.Member{Stat: tree.Stat{Path: p}}, nil, false
	}
	return tree.Member{Stat: m.stat(p), Attrs: f.attrs}, bytes.Clone(f.content), true
}

// Read is for tree.Source.
func (m *memory) Read(ctx context.Context, paths []tree.Path, out io.Writer) error {
	w := tree.NewStreamWriter(out)
	seen := map[uint64]tree.Path{}
	for _, p := range paths {
		if err := m.step(ctx, "read"); err != nil {
			return err
		}
		mem, content, ok := m.member(p)
		m.mu.Lock()
		at := m.clock
		m.mu.Unlock()
		end := tree.End{State: tree.Stable, At: at}
		switch {
		case !ok:
			end = tree.End{State: tree.Gone}
		case !mem.Kind.Carried():
			end = tree.End{State: tree.Unreadable, Why: "it is a " + mem.Kind.String()}
		}
		if first, ok := seen[mem.Inode]; ok && mem.Names > 1 {
			mem.SameAs = first
		}
		seen[mem.Inode] = p
		if err := w.Begin(&mem); err != nil {
			return err
		}
		if mem.Kind == tree.File && end.State == tree.Stable {
			if mem.SameAs == "" {
				m.mu.Lock()
				m.read[p]++
				times, look := m.read[p], m.look
				m.mu.Unlock()
				if look != nil {
					look(p, times)
				}
				for off := 0; off < len(content); off += 1000 {
					if err := w.Data(int64(off), content[off:min(off+1000, len(content))]); err != nil {
						return err
					}
				}
			}
			end.Sum = sha256.Sum256(content)
			now, _, ok := m.member(p)
			if !ok || !now.Stat.Same(&mem.Stat) {
				end.State = tree.Changed
			}
		}
		if err := w.End(&end); err != nil {
			return err
		}
	}
	return w.Close()
}

// Hash is for tree.Source.
func (m *memory) Hash(ctx context.Context, paths []tree.Path, each func(tree.Sum) error) error {
	for _, p := range paths {
		if err := m.step(ctx, "hash"); err != nil {
			return err
		}
		mem, content, ok := m.member(p)
		s := tree.Sum{Member: mem, End: tree.End{State: tree.Stable, At: m.clock}}
		if !ok {
			s.State = tree.Gone
		}
		if mem.Kind == tree.File {
			s.Sum = sha256.Sum256(content)
		}
		m.mu.Lock()
		m.hash[p]++
		m.mu.Unlock()
		if err := each(s); err != nil {
			return err
		}
	}
	return nil
}

// Probe is for tree.Target.
func (m *memory) Probe(ctx context.Context) (tree.Keeps, error) {
	return m.keeps, m.step(ctx, "probe")
}

// Sweep is for tree.Target.
func (m *memory) Sweep(ctx context.Context) error { return m.step(ctx, "sweep") }

// Write is for tree.Target: what it tells of is there, as one batch.
func (m *memory) Write(ctx context.Context, in io.Reader, each func(tree.Written) error) (err error) {
	r := tree.NewStreamReader(in)
	var told []tree.Written
	tell := func() error {
		for _, w := range told {
			if err := each(w); err != nil {
				return err
			}
		}
		return nil
	}
	for {
		if err := m.step(ctx, "write"); err != nil {
			if errors.Is(err, tree.ErrLost) { // the half of it was told of by then
				told = told[:len(told)/2]
				return errors.Join(err, tell())
			}
			return err
		}
		mem, err := r.Next()
		if errors.Is(err, io.EOF) {
			return tell()
		}
		if err != nil {
			return err
		}
		var content []byte
		for {
			off, b, err := r.Data()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
			content = append(append(content, make([]byte, off-int64(len(content)))...), b...)
		}
		w := tree.Written{Path: mem.Path, State: r.End().State}
		if w.State == tree.Stable {
			full := false
			if w, full = m.keep(&mem, content); full {
				return errors.Join(tree.ErrFull, tell())
			}
		}
		told = append(told, w)
	}
}

func (m *memory) keep(mem *tree.Member, content []byte) (w tree.Written, full bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w = tree.Written{Path: mem.Path, State: tree.Stable}
	there := m.files[mem.Path]
	dir, _ := mem.Path.Parent()
	switch {
	case m.files[dir] == nil || m.files[dir].Kind != tree.Directory:
		return tree.Written{Path: mem.Path, State: tree.Failed, Why: "there is no directory for it"}, false
	case mem.Kind == tree.Directory && there != nil && there.Kind == tree.Directory:
		return w, false
	case there != nil && there.Kind == tree.Directory:
		for p := range m.files {
			if d, _ := p.Parent(); d == mem.Path && p != "" {
				return tree.Written{Path: mem.Path, State: tree.Failed, Why: "a directory that isn't empty is in its way"}, false
			}
		}
	case m.room > 0 && m.used()+int64(len(content)) > m.room:
		return w, true
	}
	if mem.SameAs != "" {
		m.drop(mem.Path)
		m.files[mem.Path] = m.files[mem.SameAs]
		m.moved(mem.Path)
		return w, false
	}
	w.Sum = sha256.Sum256(content)
	if m.spoil != nil {
		content = m.spoil(mem.Path, content)
	}
	f := file{Stat: mem.Stat, content: content, attrs: mem.Attrs}
	m.set(mem.Path, f)
	m.files[""].MTime = m.tick() // what is half made has its name there
	return w, false
}

func (m *memory) used() (n int64) {
	for _, f := range m.files {
		n += int64(len(f.content))
	}
	return n
}

// Remove is for tree.Target.
func (m *memory) Remove(ctx context.Context, paths []tree.Path) error {
	for _, p := range paths {
		if err := m.step(ctx, "remove"); err != nil {
			return err
		}
		m.mu.Lock()
		for below := range m.files {
			if d, _ := below.Parent(); d == p && m.files[p] != nil && m.files[p].Kind == tree.Directory {
				m.mu.Unlock()
				return fmt.Errorf("%s isn't empty", p)
			}
		}
		m.drop(p)
		m.mu.Unlock()
	}
	return nil
}

// Finish is for tree.Target.
func (m *memory) Finish(ctx context.Context, dirs []tree.Member) error {
	for _, d := range dirs {
		if err := m.step(ctx, "finish"); err != nil {
			return err
		}
		m.mu.Lock()
		f := m.files[d.Path]
		if f != nil && f.Kind == tree.Directory {
			f.Mode, f.MTime, f.attrs, f.UID, f.GID = d.Mode, d.MTime, d.Attrs, d.UID, d.GID
		}
		m.mu.Unlock()
	}
	return nil
}

// sent is how often contents were read, of all files.
func (m *memory) sent() (n int) {
	for _, times := range m.read {
		n += times
	}
	return n
}

// same compares two memories by their own means: everything that is kept, and which names are of one file.
func same(t *testing.T, a, b *memory) {
	t.Helper()
	if d := different(a, b); d != "" {
		t.Error(d)
	}
}

func different(a, b *memory) string {
	group := func(m *memory, f *file) (names []tree.Path) {
		for _, p := range m.paths() {
			if m.files[p] == f {
				names = append(names, p)
			}
		}
		return names
	}
	for p, f := range a.files {
		if !f.Kind.Carried() {
			continue
		}
		g := b.files[p]
		if g == nil {
			return fmt.Sprintf("%s isn't there", p)
		}
		if f.Kind != g.Kind || f.Mode != g.Mode || f.UID != g.UID || f.GID != g.GID || f.MTime != g.MTime || f.Link != g.Link || !bytes.Equal(f.content, g.content) || !slices.Equal(f.attrs, g.attrs) {
			return fmt.Sprintf("%s: %+v\nand not %+v", p, g, f)
		}
		if x, y := group(a, f), group(b, g); !slices.Equal(x, y) {
			return fmt.Sprintf("%s: its file has the names %v, and not %v", p, y, x)
		}
	}
	for p := range b.files {
		if f := a.files[p]; f == nil || !f.Kind.Carried() {
			return fmt.Sprintf("%s is there", p)
		}
	}
	return ""
}

// shop is a small tree with one of everything.
func shop() *memory {
	m := newMemory("source")
	m.dir("img")
	m.dir("img/big")
	m.dir("empty")
	m.write("index.html", "<html>")
	m.write("img/a.jpg", string(bytes.Repeat([]byte("a"), 3500)))
	m.write("img/b.jpg", "b")
	m.write("img/empty", "")
	m.write("img/big/\xff\n'\"", "no UTF-8")
	m.write("img.txt", "sorts between img and img/")
	m.put("link", file{Stat: tree.Stat{Kind: tree.Symlink, Mode: 0o777, Link: "../../nowhere"}})
	m.put("acl", file{Stat: tree.Stat{Kind: tree.File, Mode: 0o4640, UID: 33, GID: 34, MTime: tree.Time{Sec: -5, Nsec: 999999999}}, content: []byte("x"), attrs: []tree.Attr{{Name: "system.posix_acl_access", Value: "\x02"}, {Name: "user.a", Value: "\x00"}}})
	m.link("img/hard", "index.html")
	m.link("zhard", "index.html")
	m.put("pipe", file{Stat: tree.Stat{Kind: tree.FIFO}})
	m.later()
	return m
}

// state opens a state for a test.
func state(t *testing.T, dir string) *State {
	t.Helper()
	s, err := OpenState(dir, "source", "target")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// quick doesn't wait.
func quick(ctx context.Context, _ time.Duration) error { return context.Cause(ctx) }

// small are options with batches so small that there are several.
var small = Options{Parallel: 2, Batch: Batch{Files: 3, Bytes: 4000}, Pause: quick}

func mustRun(t *testing.T, src, dst *memory, st *State, o Options) *Report {
	t.Helper()
	r, err := Run(t.Context(), src, dst, st, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// count is how many entries had a trouble.
func count(r *Report, t Trouble) int64 {
	for _, c := range r.Counts {
		if c.Trouble == t {
			return c.Entries
		}
	}
	return 0
}
