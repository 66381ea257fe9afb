package pass

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// TestZeros: a stretch of zeros between frames is no row of empty ones.
func TestZeros(t *testing.T) {
	b := append(appendFrame(nil, []byte("a")), make([]byte, 2*frameHead)...)
	b = appendFrame(b, []byte("b"))
	in := newFrames(bytes.NewReader(b), int64(len(b)))
	if got, err := in.next(); err != nil || string(got) != "a" {
		t.Fatal(got, err)
	}
	if _, err := in.next(); !errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
}

// TestTakenAwayBeforeTheEnd: what a pass that was killed had recorded, and somebody took away at the target since, is sent again.
func TestTakenAwayBeforeTheEnd(t *testing.T) {
	src, dst := shop(), newMemory("target")
	st := state(t, t.TempDir())
	dst.fault = func(op string, _ int) error {
		if op == "finish" {
			return errKilled
		}
		return nil
	}
	if _, err := Run(t.Context(), src, dst, st, small); !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	dst.fault = nil
	dst.remove("img/a.jpg")
	mustRun(t, src, dst, st, small)
	same(t, src, dst)
}

// TestEditedInPlaceAndKilled: a directory in which the target alone wrote gets its time back, also when the pass that wrote was killed before.
func TestEditedInPlaceAndKilled(t *testing.T) {
	src, dst := shop(), newMemory("target")
	st := state(t, t.TempDir())
	mustRun(t, src, dst, st, small)
	src.later()
	src.edit("img/a.jpg", func(f *file) { f.content = []byte("new") })
	src.later()
	dst.fault = func(op string, _ int) error {
		if op == "finish" {
			return errKilled
		}
		return nil
	}
	if _, err := Run(t.Context(), src, dst, st, small); !errors.Is(err, errKilled) || different(src, dst) == "" {
		t.Fatal(err)
	}
	dst.fault = nil
	mustRun(t, src, dst, st, small)
	same(t, src, dst)
}

// TestLinkedAtTheTargetAlone: two files that the target has as names of one are not kept as they are.
func TestLinkedAtTheTargetAlone(t *testing.T) {
	src, dst := newMemory("source"), newMemory("target")
	at := tree.Time{Sec: 5}
	for _, p := range []tree.Path{"a", "b"} {
		src.put(p, file{Stat: tree.Stat{Kind: tree.File, MTime: at}, content: []byte("same")})
	}
	dst.put("a", file{Stat: tree.Stat{Kind: tree.File, MTime: at}, content: []byte("same")})
	dst.link("b", "a")
	mustRun(t, src, dst, state(t, t.TempDir()), small)
	same(t, src, dst)
}

// TestOneNameUnknown: when one name of a file must be sent all are, whichever it is.
func TestOneNameUnknown(t *testing.T) {
	for _, p := range []tree.Path{"img/hard", "index.html", "zhard"} {
		src, dst := shop(), newMemory("target")
		st := state(t, t.TempDir())
		mustRun(t, src, dst, st, small)
		if err := st.record([]Entry{{Stat: tree.Stat{Path: p}, Gone: true}}); err != nil {
			t.Fatal(err)
		}
		if r := mustRun(t, src, dst, st, small); r.Sent != 3 {
			t.Errorf("%s: %+v", p, r)
		}
		same(t, src, dst)
	}
}

// TestAnotherKindMeanwhile: what has become a directory since it was listed isn't taken for the file that it was.
func TestAnotherKindMeanwhile(t *testing.T) {
	src, dst := shop(), newMemory("target")
	src.fault = func(op string, _ int) error {
		src.mu.Lock()
		f := src.files["img/b.jpg"]
		src.mu.Unlock()
		if op == "read" && f.Kind == tree.File {
			src.dir("img/b.jpg")
		}
		return nil
	}
	r := mustRun(t, src, dst, state(t, t.TempDir()), small)
	if count(r, Changing) != 1 || r.Problems[0].Why != "it became a directory, 6 times" || dst.files["img/b.jpg"] != nil {
		t.Errorf("%+v", r)
	}
}

// crooked is an end that gives more, less or something else.
type crooked struct {
	*memory
	list func([]tree.Stat) []tree.Stat
	read func([]tree.Path) []tree.Path
	tell func([]tree.Written) []tree.Written
}

// List is for tree.Source.
func (c crooked) List(ctx context.Context, each func(tree.Stat) error) error {
	var all []tree.Stat
	if err := c.memory.List(ctx, func(s tree.Stat) error { all = append(all, s); return nil }); err != nil {
		return err
	}
	if c.list != nil {
		all = c.list(all)
	}
	for _, s := range all {
		if err := each(s); err != nil {
			return err
		}
	}
	return nil
}

// Read is for tree.Source.
func (c crooked) Read(ctx context.Context, paths []tree.Path, out io.Writer) error {
	if c.read != nil {
		paths = c.read(slices.Clone(paths))
	}
	return c.memory.Read(ctx, paths, out)
}

// Write is for tree.Target.
func (c crooked) Write(ctx context.Context, in io.Reader, each func(tree.Written) error) error {
	var all []tree.Written
	if err := c.memory.Write(ctx, in, func(w tree.Written) error { all = append(all, w); return nil }); err != nil {
		return err
	}
	if c.tell != nil {
		all = c.tell(all)
	}
	for _, w := range all {
		if err := each(w); err != nil {
			return err
		}
	}
	return nil
}

// TestCrooked: an end that doesn't keep to what it was asked for is stopped, and nothing of what it says is recorded.
func TestCrooked(t *testing.T) {
	for _, x := range []struct {
		name string
		end  crooked
		is   error
		says string
	}{
		{"a listing without its root", crooked{list: func(s []tree.Stat) []tree.Stat { return s[1:] }}, ErrOrder, "and not with the root"},
		{"an entry twice", crooked{list: func(s []tree.Stat) []tree.Stat { return append(s, s[len(s)-1]) }}, ErrOrder, " after "},
		{"an empty listing", crooked{list: func([]tree.Stat) []tree.Stat { return nil }}, tree.ErrNoTree, ""},
		{"a path that leads out", crooked{list: func(s []tree.Stat) []tree.Stat { s[1].Path = "../x"; return s }}, tree.ErrUnsafe, ""},
		{"other files", crooked{read: func(p []tree.Path) []tree.Path { slices.Reverse(p); return p }}, tree.ErrStream, "was asked for"},
		{"more files", crooked{read: func(p []tree.Path) []tree.Path { return append(p, "acl") }}, tree.ErrStream, "more was sent than was asked for"},
		{"fewer files", crooked{read: func(p []tree.Path) []tree.Path { return p[1:] }}, tree.ErrStream, ""},
		{"told of fewer", crooked{tell: func(w []tree.Written) []tree.Written { return w[1:] }}, tree.ErrStream, "told of"},
		{"told of more", crooked{tell: func(w []tree.Written) []tree.Written { return append(w, w[0]) }}, tree.ErrStream, "told of"},
		{"told of another", crooked{tell: func(w []tree.Written) []tree.Written { w[0].Path += "x"; return w }}, tree.ErrStream, "told of"},
	} {
		t.Run(x.name, func(t *testing.T) {
			src, dst := x.end, x.end
			src.memory, dst.memory = shop(), newMemory("target")
			src.tell, dst.list, dst.read = nil, nil, nil
			st := state(t, t.TempDir())
			if _, err := Run(t.Context(), src, dst, st, small); !errors.Is(err, x.is) || !strings.Contains(err.Error(), x.says) {
				t.Error(err)
			}
			if got := known(t, st); len(got) > 0 {
				t.Errorf("%v are recorded", got)
			}
		})
	}
}
