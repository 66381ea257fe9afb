package gluster

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/snapshot"
	"github.com/slipway-dev/slipway/internal/treecopy"
	"github.com/slipway-dev/slipway/internal/treecopy/treetest"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/steptest"
)

const earlier snapshot.ID = "20261101-010203-0000"

// fakeSource is a mounted volume with a small shop in it.
type fakeSource struct {
	Tree
	p     *steptest.Process
	mount treecopy.Mount
}

func (f *fakeSource) Mount(context.Context) (treecopy.Mount, error) { return f.mount, f.p.Look() }

// Take leaves a half-made part when it is killed in the middle, as the real one does.
func (f *fakeSource) Take(ctx context.Context, store *snapshot.Store, run snapshot.ID, o treecopy.Options) (art *snapshot.Artifact, err error) {
	half := func() {
		dir := filepath.Join(store.Where(), string(run), ".assets.half")
		if os.MkdirAll(dir, 0o700) == nil {
			_ = os.WriteFile(filepath.Join(dir, "batch-000001.tar.zst"), []byte("torn"), 0o600)
		}
	}
	err = f.p.Act("take snapshot "+string(run), half, func() (err error) {
		art, err = f.Tree.Take(ctx, store, run, o)
		return err
	})
	return art, err
}

// fakeStore is the real store, whose one removal is an effect.
type fakeStore struct {
	Store
	p *steptest.Process
}

func (s *fakeStore) Look(ctx context.Context, id snapshot.ID, p snapshot.Part) (snapshot.Entry, error) {
	e, err := s.Store.Look(ctx, id, p)
	return e, errors.Join(err, s.p.Look())
}

func (s *fakeStore) Discard(ctx context.Context, owner, id snapshot.ID, p snapshot.Part) error {
	e, err := s.Store.Look(ctx, id, p)
	if err != nil || e.State != snapshot.Half {
		return errors.Join(err, s.Store.Discard(ctx, owner, id, p))
	}
	return s.p.Act("discard snapshot "+string(id), nil, func() error { return s.Store.Discard(ctx, owner, id, p) })
}

func world(t *testing.T, p *steptest.Process, st Snapshot) (steptest.World, *fakeStore, *fakeSource) {
	t.Helper()
	real, err := snapshot.At(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	src, store := &fakeSource{Tree{treetest.Shop()}, p, treecopy.Mount{Type: "fuse.glusterfs", Source: "files1:/assets"}}, &fakeStore{Store{real}, p}
	return steptest.World{
		Add: func(rb *migrate.Runbook[migrate.Rehearsal]) {
			source := migrate.Look("the source's Gluster", OnlySource(src))
			migrate.Add(rb, st, migrate.BothEyes(source, migrate.Look("snapshots", OnlyStore(store)), NewLook),
				migrate.With(source, migrate.Maker[migrate.Rehearsal]("snapshots", func(context.Context, migrate.Stamp) (StoreHand, error) { return store, nil }), NewHand))
		},
		// A whole artifact is left on purpose: State shows half-made ones.
		State: func() string {
			half, err := filepath.Glob(filepath.Join(real.Where(), "*", ".*.half"))
			if err != nil {
				t.Error(err)
			}
			return strings.Join(half, " ")
		},
		Leaves: "a whole artifact, for later rehearsals",
		Spoil: []steptest.Spoil{
			{Name: "a byte of a batch is another", Do: func() { spoil(t, real, "batch-000001.tar.zst", func(b []byte) []byte { b[len(b)/2] ^= 1; return b }) }},
			{Name: "the index is cut", Do: func() { spoil(t, real, "index.zst", func(b []byte) []byte { return b[:len(b)-1] }) }},
			{Name: "the manifest is another", Do: func() { spoil(t, real, "manifest.json", func(b []byte) []byte { b[len(b)/2] ^= 1; return b }) }},
			{Name: "a batch is gone", Do: func() {
				if err := os.Remove(filepath.Join(real.Where(), steptestRun(t, real), "assets", "batch-000001.tar.zst")); err != nil {
					t.Error(err)
				}
			}},
		},
	}, store, src
}

func steptestRun(t *testing.T, s *snapshot.Store) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(s.Where(), "*", "assets"))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	return filepath.Base(filepath.Dir(found[0]))
}

func spoil(t *testing.T, s *snapshot.Store, name string, f func([]byte) []byte) {
	t.Helper()
	path := filepath.Join(s.Where(), steptestRun(t, s), "assets", name)
	b, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, f(b), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestSnapshot(t *testing.T) {
	steptest.Run(t, steptest.Case{RealTime: true, New: func(t *testing.T, p *steptest.Process) steptest.World {
		w, _, _ := world(t, p, Snapshot{Volume: "assets", Tool: "test"})
		return w
	}})
}

func TestReuse(t *testing.T) {
	steptest.Run(t, steptest.Case{RealTime: true, New: func(t *testing.T, p *steptest.Process) steptest.World {
		w, store, _ := world(t, p, Snapshot{Volume: "assets", Reuse: earlier})
		write(t, store)
		w.Found, w.Leaves = true, ""
		return w
	}})
}

func write(t *testing.T, store *fakeStore) {
	t.Helper()
	if _, err := treecopy.Take(t.Context(), treetest.Shop(), store.Store.Store, earlier, treecopy.Options{Tool: "test", From: "gluster volume assets"}); err != nil {
		t.Fatal(err)
	}
}

// outline plans the step without a run.
func outline(w steptest.World) (*migrate.Outline, error) {
	rb := migrate.NewRunbook[migrate.Rehearsal]()
	rb.Phase("copy")
	w.Add(rb)
	return rb.Plan(context.Background(), migrate.Options{})
}

func TestReuseRefused(t *testing.T) {
	p := &steptest.Process{}
	st := Snapshot{Volume: "assets", Reuse: earlier}
	w, store, src := world(t, p, st)
	says := func(want string) {
		t.Helper()
		if _, err := outline(w); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	says("no such snapshot")
	if err := os.MkdirAll(filepath.Join(store.Where(), string(earlier), ".assets.half"), 0o700); err != nil {
		t.Fatal(err)
	}
	says("half made; type slipway resume " + string(earlier))
	if err := os.RemoveAll(filepath.Join(store.Where(), string(earlier))); err != nil {
		t.Fatal(err)
	}
	write(t, store)
	flip := func(b []byte) []byte { b[len(b)/2] ^= 1; return b }
	spoil(t, store.Store.Store, "batch-000001.tar.zst", flip)
	says("altered between bytes")
	spoil(t, store.Store.Store, "batch-000001.tar.zst", flip)
	st.Volume = "other"
	w.Add = func(rb *migrate.Runbook[migrate.Rehearsal]) {
		migrate.Add(rb, st, migrate.BothEyes(migrate.Look("the source's Gluster", OnlySource(src)), migrate.Look("snapshots", OnlyStore(store)), NewLook),
			migrate.With(migrate.Look("the source's Gluster", OnlySource(src)), migrate.Maker[migrate.Rehearsal]("snapshots", func(context.Context, migrate.Stamp) (StoreHand, error) { return store, nil }), NewHand))
	}
	says("is of gluster volume assets, and gluster volume other is configured")
}

// An empty mount point would make an empty shop.
func TestNotMounted(t *testing.T) {
	for name, c := range map[string]struct {
		mount treecopy.Mount
		want  string
	}{
		"not mounted":        {treecopy.Mount{Type: "ext4", Source: "/dev/sda1"}, "not a Gluster volume's mount"},
		"another volume":     {treecopy.Mount{Type: "fuse.glusterfs", Source: "files1:/backup"}, "is the mount of files1:/backup, not of volume assets"},
		"a part of it":       {treecopy.Mount{Type: "fuse.glusterfs", Source: "files1:/assets/thumbs"}, "not of volume assets"},
		"without a slash":    {treecopy.Mount{Type: "fuse.glusterfs", Source: "files1:assets"}, ""},
		"as it is":           {treecopy.Mount{Type: "fuse.glusterfs", Source: "files1:/assets"}, ""},
		"other type of fuse": {treecopy.Mount{Type: "fuse.sshfs", Source: "files1:/assets"}, "type fuse.sshfs"},
	} {
		w, _, src := world(t, &steptest.Process{}, Snapshot{Volume: "assets"})
		src.mount = c.mount
		_, err := outline(w)
		if (c.want == "") != (err == nil) || err != nil && !(strings.Contains(err.Error(), c.want) && errors.Is(err, treecopy.ErrNotMounted)) {
			t.Errorf("%s: want %q, got %v", name, c.want, err)
		}
	}
}

func TestPlanSaysAll(t *testing.T) {
	w, store, _ := world(t, &steptest.Process{}, Snapshot{Volume: "assets"})
	o, err := outline(w)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, ph := range o.Phases {
		for _, s := range ph.Steps {
			for _, e := range s.Effects {
				text.WriteString(e.String() + "\n")
			}
		}
	}
	for _, want := range []string{"read all files of Gluster volume assets on web1:/srv/assets", "nothing is written there", "write snapshot 00000000-000000-0000, part assets", store.Where()} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the plan doesn't say %q:\n%s", want, text.String())
		}
	}
}
