package pass

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// TestRun: a first pass copies everything, a second one finds nothing.
func TestRun(t *testing.T) {
	src, dst := shop(), newMemory("target")
	dst.dir("lost+found")
	dst.write("lost+found/#1", "of the file system's")
	st := state(t, t.TempDir())
	r := mustRun(t, src, dst, st, small)
	dst.remove("lost+found/#1", "lost+found")
	dst.files[""].MTime = src.files[""].MTime
	same(t, src, dst)
	if !r.First || r.Sent != 10 || r.Dirs != 4 || r.Kept != 0 || !r.Whole() || count(r, Special) != 1 || r.Problems[0].Name != `"pipe"` {
		t.Errorf("%+v", r)
	}
	sent := src.sent()
	r = mustRun(t, src, dst, st, small)
	if r.First || r.Sent != 0 || r.Dirs != 0 || r.Kept != 14 || r.Found != (Totals{}) || src.sent() != sent || dst.hash["acl"] != 0 {
		t.Errorf("%+v", r)
	}
}

// TestChanges: each kind of change comes over with the next pass, and nothing else is read.
func TestChanges(t *testing.T) {
	old := func(m *memory) tree.Time { return m.files["img/b.jpg"].MTime }
	for _, x := range []struct {
		name string
		do   func(*memory)
		read []tree.Path
	}{
		{"nothing", func(*memory) {}, nil},
		{"another size", func(m *memory) { m.write("img/b.jpg", "bb") }, []tree.Path{"img/b.jpg"}},
		{"a rewrite with its time put back", func(m *memory) {
			at := old(m)
			m.edit("img/b.jpg", func(f *file) { f.content, f.MTime = []byte("B"), at })
		}, []tree.Path{"img/b.jpg"}},
		{"a new inode with all times put back", func(m *memory) {
			was := *m.files["img/b.jpg"]
			m.write("img/b.jpg", "B")
			m.files["img/b.jpg"].MTime, m.files["img/b.jpg"].CTime = was.MTime, was.CTime
		}, []tree.Path{"img/b.jpg"}},
		{"a mode", func(m *memory) { m.edit("img/b.jpg", func(f *file) { f.Mode = 0o600 }) }, []tree.Path{"img/b.jpg"}},
		{"an attribute", func(m *memory) {
			m.edit("img/b.jpg", func(f *file) { f.attrs = []tree.Attr{{Name: "user.b", Value: "1"}} })
		}, []tree.Path{"img/b.jpg"}},
		{"a directory's mode", func(m *memory) { m.edit("img", func(f *file) { f.Mode = 0o700 }) }, nil},
		{"a file gone", func(m *memory) { m.remove("img/b.jpg") }, nil},
		{"a directory gone", func(m *memory) { m.remove("img/big/\xff\n'\"", "img/big") }, nil},
		{"a name moved", func(m *memory) { f := *m.files["img/b.jpg"]; m.remove("img/b.jpg"); m.put("img/c.jpg", f) }, []tree.Path{"img/c.jpg"}},
		{"a directory in a file's place", func(m *memory) { m.remove("img/b.jpg"); m.dir("img/b.jpg"); m.write("img/b.jpg/x", "x") }, []tree.Path{"img/b.jpg/x"}},
		{"a file in a directory's place", func(m *memory) { m.remove("img/big/\xff\n'\"", "img/big"); m.write("img/big", "x") }, []tree.Path{"img/big"}},
		{"a link in a directory's place", func(m *memory) {
			m.remove("img/big/\xff\n'\"", "img/big")
			m.put("img/big", file{Stat: tree.Stat{Kind: tree.Symlink, Mode: 0o777, Link: "/"}})
		}, nil},
		{"a pipe in a file's place", func(m *memory) { m.put("img/b.jpg", file{Stat: tree.Stat{Kind: tree.FIFO}}) }, nil},
		{"a name more of a file", func(m *memory) { m.link("img/b2", "img/b.jpg") }, []tree.Path{"img/b.jpg"}},
		{"a name less of a file", func(m *memory) { m.remove("img/hard") }, []tree.Path{"index.html"}},
		{"a file of several names rewritten", func(m *memory) { m.edit("img/hard", func(f *file) { f.content = []byte("new") }) }, []tree.Path{"img/hard"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			src, dst := shop(), newMemory("target")
			st := state(t, t.TempDir())
			mustRun(t, src, dst, st, small)
			same(t, src, dst)
			clear(src.read)
			src.later()
			x.do(src)
			src.later()
			mustRun(t, src, dst, st, small)
			same(t, src, dst)
			var read []tree.Path
			for p := range src.read {
				read = append(read, p)
			}
			if slices.Sort(read); !slices.Equal(read, x.read) {
				t.Errorf("read %v, and not %v", read, x.read)
			}
			if r := mustRun(t, src, dst, st, small); r.Found != (Totals{}) {
				t.Errorf("a third pass found %+v", r.Found)
			}
		})
	}
}

// TestSameTick: a file that was read right after it had been changed is read again: a change that came later in the same tick doesn't show.
func TestSameTick(t *testing.T) {
	src, dst := shop(), newMemory("target")
	st := state(t, t.TempDir())
	src.write("new", "one")
	mustRun(t, src, dst, st, small)
	src.files["new"].content = []byte("two") // size and all times stay
	src.later()
	mustRun(t, src, dst, st, small)
	same(t, src, dst)
	clear(src.read)
	if mustRun(t, src, dst, st, small); len(src.read) > 0 {
		t.Errorf("read %v", src.read)
	}
}

// TestChangesWhileRead: what changes while it is read is read again, up to a limit; what vanishes is dropped.
func TestChangesWhileRead(t *testing.T) {
	src, dst := shop(), newMemory("target")
	st := state(t, t.TempDir())
	src.look = func(p tree.Path, times int) {
		switch {
		case p == "img/b.jpg" && times < 3, p == "acl", p == "img/hard" && times == 1:
			src.edit(p, func(f *file) { f.content = fmt.Appendf(nil, "%s %d", p, times) })
		}
	}
	r := mustRun(t, src, dst, st, small)
	if r.Whole() || count(r, Changing) != 1 || src.read["acl"] != attempts || src.read["img/b.jpg"] != 3 || r.Retried != attempts-1+2+3 {
		t.Errorf("%+v; %v", r, src.read)
	}
	if p := r.Problems; len(p) != 2 || p[0].Path != "acl" || p[0].Why != "it changed while it was read, 6 times" {
		t.Errorf("%+v", p)
	}
	src.look = nil
	src.later()
	if r := mustRun(t, src, dst, st, small); !r.Whole() {
		t.Errorf("%+v", r)
	}
	same(t, src, dst)
	src.later()
	src.write("img/b.jpg", "a new one")
	src.fault = func(op string, _ int) error {
		if op == "read" {
			src.remove("img/b.jpg")
		}
		return nil
	}
	if r := mustRun(t, src, dst, st, small); r.Removed != 1 || r.Sent != 0 {
		t.Errorf("%+v", r)
	}
	same(t, src, dst)
}

// TestRefusals: what speaks against a pass is said before anything is changed, and at once.
func TestRefusals(t *testing.T) {
	src, dst := shop(), newMemory("target")
	dst.write("theirs", "1")
	dst.keeps.Owners, dst.keeps.Grain, dst.keeps.Bytes = false, 1e9, 10
	before := different(src, dst)
	_, err := Run(t.Context(), src, dst, state(t, t.TempDir()), small)
	var extra *ExtraError
	var room *RoomError
	if !errors.As(err, &extra) || !errors.As(err, &room) || !errors.Is(err, tree.ErrFull) || extra.Entries != 1 {
		t.Error(err)
	}
	for _, want := range []string{
		`target has 1 entries that the source hasn't: "theirs"; nothing was changed; --delete takes them away`,
		`target doesn't keep owner and group: "acl" has it; --without owner copies without`,
		`target doesn't keep times to the nanosecond: "" has it, and so have 13 more; --without times copies without`,
		"target: there is no room left: ",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nnot: %s", err, want)
		}
	}
	if src.sent() != 0 || len(dst.files) != 2 || different(src, dst) == "" || before == "" {
		t.Error("something was done")
	}
}

// TestWithout: what the target can't keep is left away when somebody says so, and else refused when it is met.
func TestWithout(t *testing.T) {
	for _, x := range []struct {
		lack func(*tree.Keeps)
		f    Feature
		want func(*file)
	}{
		{func(k *tree.Keeps) { k.Owners, k.UID, k.GID = false, 0, 7 }, Owner, func(f *file) { f.UID, f.GID = 0, 7 }},
		{func(k *tree.Keeps) { k.Attrs = false }, Xattr, func(f *file) { f.attrs = f.attrs[:min(1, len(f.attrs))] }},
		{func(k *tree.Keeps) { k.ACLs = false }, ACL, func(f *file) { f.attrs = f.attrs[min(1, len(f.attrs)):] }},
		{func(k *tree.Keeps) { k.Grain = 2e9 }, Times, func(f *file) { f.MTime = tree.Time{Sec: f.MTime.Sec &^ 1} }},
	} {
		t.Run(string(x.f), func(t *testing.T) {
			src, dst := shop(), newMemory("target")
			x.lack(&dst.keeps)
			st := state(t, t.TempDir())
			_, err := Run(t.Context(), src, dst, st, small)
			var unkept *UnkeptError
			if !errors.As(err, &unkept) || unkept.Feature != x.f {
				t.Fatal(err)
			}
			o := small
			o.Without = []Feature{x.f}
			mustRun(t, src, dst, st, o)
			if c, err := Verify(t.Context(), src, dst, st, o, false); err != nil || !c.Same() {
				t.Errorf("%v, %+v", err, c)
			}
			seen := map[*file]bool{}
			for _, f := range src.files {
				if !seen[f] {
					x.want(f)
				}
				seen[f] = true
			}
			same(t, src, dst)
		})
	}
}

// TestSparse: holes are weighed where the target keeps them, and refused where it doesn't.
func TestSparse(t *testing.T) {
	src, dst := shop(), newMemory("target")
	src.write("sparse", string(make([]byte, 10_000)))
	src.files["sparse"].Blocks = 0
	dst.keeps.Bytes = 6000
	dst.keeps.Holes = false
	_, err := Run(t.Context(), src, dst, state(t, t.TempDir()), small)
	var unkept *UnkeptError
	if !errors.As(err, &unkept) || unkept.Feature != Holes || !errors.Is(err, tree.ErrFull) {
		t.Error(err)
	}
	dst.keeps.Holes = true
	mustRun(t, src, dst, state(t, t.TempDir()), small)
}

// TestVanished: an empty mount point at the source doesn't empty the target.
func TestVanished(t *testing.T) {
	src, dst := shop(), newMemory("target")
	st := state(t, t.TempDir())
	mustRun(t, src, dst, st, small)
	none := newMemory("source")
	_, err := Run(t.Context(), none, dst, st, small)
	var gone *VanishedError
	if !errors.As(err, &gone) || gone.Gone != 13 || gone.Of != 14 {
		t.Error(err)
	}
	same(t, src, dst)
	o := small
	o.Delete = true
	mustRun(t, none, dst, st, o)
	same(t, none, dst)
}

// TestOtherTarget: a volume that was made anew at the same place is filled, whatever the manifest says.
func TestOtherTarget(t *testing.T) {
	src, dst := shop(), newMemory("target")
	st := state(t, t.TempDir())
	mustRun(t, src, dst, st, small)
	anew := newMemory("target")
	anew.keeps.Root = "another"
	told := ""
	o := small
	o.Tell = func(s string) { told += s }
	mustRun(t, src, anew, st, o)
	same(t, src, anew)
	if !strings.Contains(told, "another directory or volume") {
		t.Error(told)
	}
}

// TestAdopt: without a manifest, what the target has already is compared and not sent; what differs in anything is.
func TestAdopt(t *testing.T) {
	src, dst := shop(), newMemory("target")
	mustRun(t, src, dst, state(t, t.TempDir()), small)
	dst.edit("img/b.jpg", func(f *file) { f.content = []byte("x") })
	dst.edit("acl", func(f *file) { f.attrs = nil })
	dst.remove("img.txt")
	clear(src.read)
	r := mustRun(t, src, dst, state(t, t.TempDir()), small)
	same(t, src, dst)
	if r.Adopted != 3 || len(src.read) != 4 || src.read["img/b.jpg"] != 1 || src.read["acl"] != 1 || src.read["img.txt"] != 1 || src.read["index.html"]+src.read["img/hard"] != 1 {
		t.Errorf("%+v; %v", r, src.read)
	}
}

// TestDelete: what only the target has goes when that is said, directories with all in them.
func TestDelete(t *testing.T) {
	src, dst := shop(), newMemory("target")
	dst.dir("a")
	dst.dir("a/b")
	dst.write("a/b/c", "")
	dst.dir("img.txt") // in a file's way
	dst.write("img.txt/x", "")
	o := small
	o.Delete = true
	r := mustRun(t, src, dst, state(t, t.TempDir()), o)
	same(t, src, dst)
	if r.Removed != 4 {
		t.Errorf("%+v", r)
	}
}

// TestVerifyWhileCopying: bytes that went wrong at the target are found before they are recorded.
func TestVerifyWhileCopying(t *testing.T) {
	src, dst := shop(), newMemory("target")
	bad := 2
	dst.spoil = func(p tree.Path, b []byte) []byte {
		if p == "img/b.jpg" && bad > 0 {
			bad--
			return []byte("?")
		}
		return b
	}
	o := small
	o.Verify = true
	r := mustRun(t, src, dst, state(t, t.TempDir()), o)
	same(t, src, dst)
	if r.Retried != 2 || r.Checked != 7+2 {
		t.Errorf("%+v", r)
	}
	bad = 1000
	src.write("img/b.jpg", "2")
	st := state(t, t.TempDir())
	r = mustRun(t, src, dst, st, o)
	if r.Whole() || count(r, Failed) != 1 || r.Problems[0].Why != "it reads back otherwise than it was written, 6 times" {
		t.Errorf("%+v", r)
	}
	for e, err := range st.known() {
		if err != nil || e.Path == "img/b.jpg" {
			t.Errorf("%v %v is recorded", err, e)
		}
	}
}

// TestTold: a target that tells of other bytes than were sent is not believed.
func TestTold(t *testing.T) {
	src, dst := shop(), newMemory("target")
	r, err := Run(t.Context(), src, liar{dst}, state(t, t.TempDir()), small)
	if err != nil || count(r, Failed) != 9 || r.Sent != 1 || !strings.Contains(r.Problems[0].Why, "other bytes arrived than were sent") {
		t.Errorf("%v, %+v", err, r)
	}
}

type liar struct{ *memory }

// Write tells of wrong sums.
func (l liar) Write(ctx context.Context, in io.Reader, each func(tree.Written) error) error {
	return l.memory.Write(ctx, in, func(w tree.Written) error { w.Sum[0]++; return each(w) })
}

// TestReport: the last report is kept for others to see.
func TestReport(t *testing.T) {
	src, dst := shop(), newMemory("target")
	dir := t.TempDir()
	mustRun(t, src, dst, state(t, dir), small)
	b, err := os.ReadFile(filepath.Join(dir, lastName))
	var r Report
	if err := errors.Join(err, json.Unmarshal(b, &r)); err != nil || r.Sent != 10 || r.Counts[0] != (Count{Special, 1}) || r.Slowest == nil {
		t.Errorf("%v: %s", err, b)
	}
}

// doubter is a source that didn't read everything in the usual way.
type doubter struct {
	*memory
	doubts []tree.Doubt
}

func (d doubter) Doubts() []tree.Doubt { return d.doubts }

// TestDoubts: what a source was in doubt about is named, and the pass is whole all the same.
func TestDoubts(t *testing.T) {
	src := doubter{shop(), []tree.Doubt{{Path: "img/b.jpg", Why: "a heal waits"}}}
	r, err := Run(t.Context(), src, newMemory("target"), state(t, t.TempDir()), small)
	if err != nil || count(r, Doubtful) != 1 || !r.Whole() || !slices.ContainsFunc(r.Problems, func(p Problem) bool {
		return p.Name == `"img/b.jpg"` && p.Trouble == Doubtful && p.Why == "a heal waits"
	}) {
		t.Errorf("%+v, %v", r, err)
	}
}
