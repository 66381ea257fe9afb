package bricks_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/treecopy/bricks"
	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// store is a tree in memory: a volume's mount, or a brick of it.
type store struct {
	tree.Source // whatever isn't here must not be asked for
	name        string
	files       map[tree.Path]held
	asked       []tree.Path
	fails       error
}

type held struct {
	stat  tree.Stat
	attrs []tree.Attr
	text  string
	end   tree.End
}

func (s *store) Name() string { return s.name }

func (s *store) List(_ context.Context, each func(tree.Stat) error) error {
	var all []tree.Stat
	for _, h := range s.files {
		all = append(all, h.stat)
	}
	slices.SortFunc(all, func(a, b tree.Stat) int { return tree.Compare(a.Path, b.Path) })
	for _, st := range all {
		if err := each(st); err != nil {
			return err
		}
	}
	return nil
}

func (s *store) get(p tree.Path) held {
	s.asked = append(s.asked, p)
	h, ok := s.files[p]
	if !ok {
		return held{stat: tree.Stat{Path: p}, end: tree.End{State: tree.Gone}}
	}
	if h.end.State == 0 {
		h.end.State = tree.Stable
	}
	h.end.Sum = sha256.Sum256([]byte(h.text))
	return h
}

func (s *store) Read(_ context.Context, paths []tree.Path, out io.Writer) error {
	w := tree.NewStreamWriter(out)
	for _, p := range paths {
		h := s.get(p)
		if err := errors.Join(w.Begin(&tree.Member{Stat: h.stat, Attrs: h.attrs}), w.Data(0, []byte(h.text)), w.End(&h.end)); err != nil {
			return err
		}
	}
	if s.fails != nil {
		return s.fails
	}
	return w.Close()
}

func (s *store) Hash(_ context.Context, paths []tree.Path, each func(tree.Sum) error) error {
	for _, p := range paths {
		h := s.get(p)
		if err := each(tree.Sum{Member: tree.Member{Stat: h.stat, Attrs: h.attrs}, End: h.end}); err != nil {
			return err
		}
	}
	return s.fails
}

func (s *store) ReadBrick(ctx context.Context, paths []tree.Path, out io.Writer) error {
	return s.Read(ctx, paths, out)
}

func (s *store) HashBrick(ctx context.Context, paths []tree.Path, each func(tree.Sum) error) error {
	return s.Hash(ctx, paths, each)
}

func file(p tree.Path, text string) held {
	return held{stat: tree.Stat{Path: p, Kind: tree.File, Size: int64(len(text)), Names: 1, Inode: 7}, text: text}
}

// volume is a mount and two bricks with the same four files and a directory.
func volume() (mount, a, b *store) {
	for _, s := range []**store{&mount, &a, &b} {
		*s = &store{files: map[tree.Path]held{"": {stat: tree.Stat{Kind: tree.Directory}}}}
		for i, p := range []tree.Path{"a", "b", "c", "d"} {
			(*s).files[p] = file(p, strings.Repeat(string(p), i+1))
		}
	}
	mount.name, a.name, b.name = "mount", "files1", "files2"
	return mount, a, b
}

// readAll reads as who copies does: what has changed is read again.
func readAll(t *testing.T, s tree.Source) (got map[tree.Path]string, rounds int) {
	t.Helper()
	got = map[tree.Path]string{}
	var todo []tree.Path
	if err := s.List(t.Context(), func(st tree.Stat) error { todo = append(todo, st.Path); return nil }); err != nil {
		t.Fatal(err)
	}
	for len(todo) > 0 {
		if rounds++; rounds > 3 {
			t.Fatalf("%v change for ever", todo)
		}
		var out bytes.Buffer
		if err := s.Read(t.Context(), todo, &out); err != nil {
			t.Fatal(err)
		}
		r := tree.NewStreamReader(&out)
		var again []tree.Path
		for i := 0; ; i++ {
			m, err := r.Next()
			if errors.Is(err, io.EOF) {
				if i != len(todo) {
					t.Fatalf("%d members of %d", i, len(todo))
				}
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if m.Path != todo[i] {
				t.Fatalf("%s comes where %s should", m.Path, todo[i])
			}
			var text []byte
			for {
				_, b, err := r.Data()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				text = append(text, b...)
			}
			if r.End().State == tree.Changed {
				again = append(again, m.Path)
				continue
			}
			if m.Kind == tree.File && r.End().State == tree.Stable && r.End().Sum != sha256.Sum256(text) {
				t.Fatalf("%s: its sum isn't its contents'", m.Path)
			}
			got[m.Path] = fmt.Sprintf("%c:%s", r.End().State, text)
		}
		todo = again
	}
	return got, rounds
}

// TestDoubts: a file comes from the bricks when both bear it out, and through the mount when anything speaks against it; whatever a brick
// says, what is read is what the mount has.
func TestDoubts(t *testing.T) {
	alter := func(f func(*held)) func(*store) {
		return func(s *store) { h := s.files["b"]; f(&h); s.files["b"] = h }
	}
	for name, c := range map[string]struct {
		change func(*store)
		why    string
	}{
		"nothing":          {func(*store) {}, ""},
		"other time":       {alter(func(h *held) { h.stat.MTime.Nsec++ }), "different states"},
		"other gfid":       {alter(func(h *held) { h.stat.Inode++ }), "different states"},
		"other attributes": {alter(func(h *held) { h.attrs = []tree.Attr{{Name: "user.a", Value: "b"}} }), "different states"},
		"a heal waits":     {alter(func(h *held) { h.end = tree.End{State: tree.Doubtful, Why: "a heal waits"} }), "a heal waits"},
		"it changed":       {alter(func(h *held) { h.end = tree.End{State: tree.Changed} }), "it changed while it was read"},
		"unreadable":       {alter(func(h *held) { h.end = tree.End{State: tree.Unreadable, Why: "input/output error"} }), "input/output error"},
		"gone":             {func(s *store) { delete(s.files, "b") }, "it isn't there"},
	} {
		for which := range 2 {
			t.Run(fmt.Sprint(name, " on brick ", which+1), func(t *testing.T) {
				mount, a, b := volume()
				c.change([]*store{a, b}[which])
				s, err := bricks.Over(mount, a, b)
				if err != nil {
					t.Fatal(err)
				}
				got, rounds := readAll(t, s)
				want := map[tree.Path]string{"": "s:", "a": "s:a", "b": "s:bb", "c": "s:ccc", "d": "s:dddd"}
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("read %q", got)
				}
				through := []tree.Path{""}
				if c.why != "" {
					through = append(through, "b")
				}
				if !slices.Equal(mount.asked, through) || rounds != len(through) {
					t.Errorf("through the mount came %q, in %d rounds", mount.asked, rounds)
				}
				d := s.Doubts()
				if c.why == "" && len(d) > 0 || c.why != "" && (len(d) != 1 || d[0].Path != "b" || !strings.Contains(d[0].Why, c.why)) {
					t.Errorf("doubts: %q", d)
				}

				mount.asked = nil
				if s, err = bricks.Over(mount, a, b); err != nil { // without what was learnt
					t.Fatal(err)
				}
				var sums []tree.Path
				err = s.Hash(t.Context(), []tree.Path{"a", "b", "c"}, func(sum tree.Sum) error {
					sums = append(sums, sum.Path)
					if sum.State != tree.Stable || sum.Sum != mountSum(mount, sum.Path) {
						t.Errorf("%s: %c, another sum than the mount's", sum.Path, sum.State)
					}
					return nil
				})
				if err != nil || !slices.Equal(sums, []tree.Path{"a", "b", "c"}) || !slices.Equal(mount.asked, through[1:]) {
					t.Errorf("sums of %q, of which %q through the mount: %v", sums, mount.asked, err)
				}
			})
		}
	}
}

func mountSum(s *store, p tree.Path) [32]byte { return sha256.Sum256([]byte(s.files[p].text)) }

// TestDamage: a brick has other contents of a file, and neither it nor Gluster knows. With three bricks two are believed and the third is named;
// with two nobody can tell, and what the mount would give is a toss.
func TestDamage(t *testing.T) {
	for n := 2; n <= 3; n++ {
		for which := range n {
			t.Run(fmt.Sprint("brick ", which+1, " of ", n), func(t *testing.T) {
				mount, a, b := volume()
				_, c, _ := volume()
				c.name = "files3"
				replicas := []*store{a, b, c}[:n]
				h := replicas[which].files["b"]
				h.text = "xx"
				replicas[which].files["b"] = h
				over := make([]bricks.Brick, n)
				for i := range replicas {
					over[i] = replicas[i]
				}
				s, err := bricks.Over(mount, over...)
				if err != nil {
					t.Fatal(err)
				}
				for range n { // whichever's turn it is
					got, _ := readAll(t, s)
					switch {
					case n == 2 && got["b"][0] != byte(tree.Unreadable), n == 3 && got["b"] != "s:bb", got["c"] != "s:ccc":
						t.Errorf("read %q", got)
					}
					err := s.Hash(t.Context(), []tree.Path{"a", "b"}, func(sum tree.Sum) error {
						if n == 2 && sum.Path == "b" {
							if sum.State != tree.Unreadable || !strings.Contains(sum.Why, "files1 has SHA-256") || !strings.Contains(sum.Why, "files2 has SHA-256") {
								t.Errorf("%c %s", sum.State, sum.Why)
							}
						} else if sum.State != tree.Stable || sum.Sum != mountSum(mount, sum.Path) {
							t.Errorf("%s: %c", sum.Path, sum.State)
						}
						return nil
					})
					if err != nil {
						t.Fatal(err)
					}
				}
				if d := s.Doubts(); n == 3 && (len(d) != 1 || d[0].Path != "b" || !strings.Contains(d[0].Why, replicas[which].name)) {
					t.Errorf("doubts: %q", d)
				}
				if slices.Contains(mount.asked, "b") {
					t.Error("the mount was believed")
				}
			})
		}
	}
}

// TestTurns: the bricks take turns at reading and bearing out, and the mount is left alone.
func TestTurns(t *testing.T) {
	mount, a, b := volume()
	s, err := bricks.Over(mount, a, b)
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		if err := s.Read(t.Context(), []tree.Path{"a"}, io.Discard); err != nil {
			t.Fatal(err)
		}
	}
	if len(a.asked) != 4 || len(b.asked) != 4 || len(mount.asked) != 0 {
		t.Errorf("asked: %d, %d, %d", len(a.asked), len(b.asked), len(mount.asked))
	}
}

// TestLostBrick: a brick that is lost is an error, not a doubt about each of its files, whichever of the two it is.
func TestLostBrick(t *testing.T) {
	for which := range 2 {
		mount, a, b := volume()
		[]*store{a, b}[which].fails = fmt.Errorf("files: %w", tree.ErrLost)
		s, err := bricks.Over(mount, a, b)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // it reads, and it bears out
			if err := s.Read(t.Context(), []tree.Path{"a", "b"}, io.Discard); !errors.Is(err, tree.ErrLost) {
				t.Errorf("read: %v", err)
			}
		}
		if err := s.Hash(t.Context(), []tree.Path{"a", "b"}, func(tree.Sum) error { return nil }); !errors.Is(err, tree.ErrLost) {
			t.Errorf("hash: %v", err)
		}
		if len(s.Doubts()) > 0 {
			t.Errorf("doubts: %q", s.Doubts())
		}
	}
	if _, err := bricks.Over(nil, nil); err == nil {
		t.Error("one brick is enough")
	}
}
