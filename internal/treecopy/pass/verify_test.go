package pass

import (
	"context"
	"slices"
	"testing"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// TestVerify: each kind of difference is found, named, and repaired.
func TestVerify(t *testing.T) {
	for _, x := range []struct {
		name   string
		do     func(src, dst *memory)
		at     tree.Path
		what   string
		since  bool
		delete bool
	}{
		{"a flipped byte", func(_, dst *memory) { dst.files["img/a.jpg"].content[7] ^= 1 }, "img/a.jpg", "its contents differ", false, false},
		{"a size", func(_, dst *memory) { dst.edit("img/b.jpg", func(f *file) { f.content = []byte("bb") }) }, "img/b.jpg", "it has 2 bytes, and 1 at the source", false, false},
		{"a mode", func(_, dst *memory) { dst.files["acl"].Mode = 0o600 }, "acl", "its mode is 0600, and 4640 at the source", false, false},
		{"an owner", func(_, dst *memory) { dst.files["link"].UID = 5 }, "link", "it belongs to 5:0, and to 0:0 at the source", false, false},
		{"a time", func(_, dst *memory) { dst.files["acl"].MTime = tree.Time{Sec: 1} }, "acl", "its time is 1970-01-01T00:00:01Z, and 1969-12-31T23:59:55.999999999Z at the source", false, false},
		{"a link", func(_, dst *memory) { dst.files["link"].Link = "/" }, "link", `it leads to "/", and to "../../nowhere" at the source`, false, false},
		{"an attribute", func(_, dst *memory) { dst.files["acl"].attrs = dst.files["acl"].attrs[:1] }, "acl", "its extended attributes differ", false, false},
		{"an ACL", func(_, dst *memory) { dst.files["acl"].attrs = dst.files["acl"].attrs[1:] }, "acl", "its ACL differs", false, false},
		{"a directory's ACL", func(_, dst *memory) {
			dst.files["empty"].attrs = []tree.Attr{{Name: "system.posix_acl_default", Value: "\x02"}}
		}, "empty", "its ACL differs", false, false},
		{"one that lacks", func(_, dst *memory) { dst.files["img.txt"] = nil; delete(dst.files, "img.txt") }, "img.txt", "the target hasn't it", false, false},
		{"one that is new", func(src, dst *memory) {
			src.write("new", "")
			dst.files[""].MTime = src.files[""].MTime
			src.later()
		}, "new", "the target hasn't it", true, false},
		{"one too many", func(_, dst *memory) { dst.files["img/zz"] = &file{Stat: tree.Stat{Kind: tree.FIFO}} }, "img/zz", "only the target has it", false, true},
		{"another kind", func(_, dst *memory) {
			dst.files["img/b.jpg"] = &file{Stat: tree.Stat{Kind: tree.Symlink, Link: "a.jpg"}}
		}, "img/b.jpg", "it is a symbolic link, and a file at the source", false, false},
		{"a name of a file of its own", func(_, dst *memory) {
			f := *dst.files["zhard"]
			f.Inode = 1 << 40
			dst.files["zhard"] = &f
		}, "zhard", "it isn't a name of the same file as its other names at the source are", false, false},
	} {
		t.Run(x.name, func(t *testing.T) {
			src, dst := shop(), newMemory("target")
			st := state(t, t.TempDir())
			mustRun(t, src, dst, st, small)
			c, err := Verify(t.Context(), src, dst, st, small, false)
			if err != nil || !c.Same() || c.Different != 0 || c.Files != 9 || c.Entries != 15 || c.LeftOut != 1 || dst.hash["img/a.jpg"] != 1 {
				t.Fatalf("%v, %+v", err, c)
			}
			x.do(src, dst)
			c, err = Verify(t.Context(), src, dst, st, small, false)
			if err != nil || c.Same() || c.Different != 1 || !slices.Equal(c.Differences, []Difference{{x.at, x.at.String(), x.what, x.since}}) {
				t.Fatalf("%v, %+v", err, c)
			}
			o := small
			o.Delete = x.delete
			c, err = Verify(t.Context(), src, dst, st, o, true)
			if err != nil || !c.Same() || c.Different != 1 {
				t.Fatalf("%v, %+v", err, c)
			}
			same(t, src, dst)
			if r := mustRun(t, src, dst, st, small); r.Found != (Totals{}) {
				t.Errorf("a pass after it found %+v", r)
			}
		})
	}
}

// TestVerifyKeepsExtras: a repair takes nothing away unless it is told to.
func TestVerifyKeepsExtras(t *testing.T) {
	src, dst := shop(), newMemory("target")
	st := state(t, t.TempDir())
	mustRun(t, src, dst, st, small)
	dst.write("theirs", "1")
	c, err := Verify(t.Context(), src, dst, st, small, true)
	if err != nil || c.Same() || c.Unrepaired != 1 || dst.files["theirs"] == nil {
		t.Errorf("%v, %+v", err, c)
	}
}

// TestVerifyUnread: what can't be hashed is no sameness.
func TestVerifyUnread(t *testing.T) {
	src, dst := shop(), newMemory("target")
	st := state(t, t.TempDir())
	mustRun(t, src, dst, st, small)
	c, err := Verify(t.Context(), restless{src}, dst, st, small, false)
	if err != nil || c.Same() || c.Different != 1 || c.Differences[0].What != "it can't be read at the source: it changed while it was read, 6 times" {
		t.Errorf("%v, %+v", err, c)
	}
}

// TestRepairWithoutPass: a repair where no pass came before leaves it to the first pass to look at all of the target.
func TestRepairWithoutPass(t *testing.T) {
	src, dst := shop(), newMemory("target")
	mustRun(t, src, dst, state(t, t.TempDir()), small)
	dst.write("theirs", "1")
	dst.files["img/a.jpg"].content[7] ^= 1
	st := state(t, t.TempDir())
	if _, err := Verify(t.Context(), src, dst, st, small, true); err != nil {
		t.Fatal(err)
	}
	if r, err := Run(t.Context(), src, dst, st, small); err == nil || !r.First {
		t.Errorf("%v, %+v", err, r)
	}
}

type restless struct{ *memory }

// Hash says of one file that it changed.
func (r restless) Hash(ctx context.Context, paths []tree.Path, each func(tree.Sum) error) error {
	return r.memory.Hash(ctx, paths, func(s tree.Sum) error {
		if s.Path == "img/a.jpg" {
			s.State = tree.Changed
		}
		return each(s)
	})
}
