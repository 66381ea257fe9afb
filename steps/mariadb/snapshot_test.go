package mariadb

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
	"github.com/slipway-dev/slipway/internal/snapshot"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/steptest"
)

// fakeSource is a MariaDB with one table.
type fakeSource struct {
	p        *steptest.Process
	findings []dbcopy.Finding
}

func (f *fakeSource) Name() string { return "db2" }

func (f *fakeSource) Survey(context.Context, []string) (dbcopy.Survey, error) {
	return dbcopy.Survey{Catalog: catalog(), Findings: f.findings, Rows: 3}, f.p.Look()
}

func catalog() dbcopy.Catalog {
	return dbcopy.Catalog{Checksum: value.ChecksumName, Schemas: []dbcopy.Schema{{Name: "shop", Tables: []dbcopy.Table{{Name: "orders", Rows: 3, Bytes: 9,
		Columns: []value.Column{{Name: "id", Type: "int", Kind: value.Number}}, Key: []string{"id"}}}, Views: []dbcopy.View{}, LeftOut: []dbcopy.LeftOut{{Kind: "trigger", Name: "tr"}}}}}
}

// Take writes what a killed one leaves, or the whole, as the real one does: through the store.
func (f *fakeSource) Take(ctx context.Context, store *snapshot.Store, run snapshot.ID, o dbcopy.Options) (out snapshot.Rows, err error) {
	half := func() {
		dir := filepath.Join(store.Where(), string(run), ".mariadb.half")
		if os.MkdirAll(dir, 0o700) == nil {
			_ = os.WriteFile(filepath.Join(dir, "0001.zst"), []byte("torn"), 0o600)
		}
	}
	err = f.p.Act("take snapshot "+string(run), half, func() error {
		art, err := write(ctx, store, run)
		if err == nil {
			out, err = dbcopy.Summary(art)
		}
		return err
	})
	return out, err
}

func write(ctx context.Context, store *snapshot.Store, run snapshot.ID) (*snapshot.Artifact, error) {
	w, err := store.Begin(ctx, run, snapshot.MariaDB, 0)
	if err != nil {
		return nil, err
	}
	c, err := w.Create(ctx, "0001.zst", "table shop.orders, chunk 1")
	if err == nil {
		_, err = c.Write([]byte("some rows"))
	}
	if err == nil {
		_, err = c.Close()
	}
	if err != nil {
		return nil, err
	}
	return w.Commit(ctx, snapshot.Contents{Tool: "test", From: "db2", Detail: catalog()})
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

func world(t *testing.T, p *steptest.Process, st Snapshot) (steptest.World, *fakeStore) {
	t.Helper()
	real, err := snapshot.At(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	src, store := &fakeSource{p: p}, &fakeStore{Store{real}, p}
	return steptest.World{
		Add: func(rb *migrate.Runbook[migrate.Rehearsal]) {
			source := migrate.Look("the source's MariaDB", OnlySource(src))
			migrate.Add(rb, st, migrate.BothEyes(source, migrate.Look("snapshots", OnlyStore(store)), NewLook),
				migrate.With(source, migrate.Maker[migrate.Rehearsal]("snapshots", func(context.Context, migrate.Stamp) (StoreHand, error) { return store, nil }), NewHand))
		},
		// A whole artifact is left on purpose: State shows half-made ones.
		State: func() string {
			half, err := filepath.Glob(filepath.Join(real.Where(), "*", ".*.half"))
			if err != nil {
				t.Error(err)
			}
			var out []string
			for _, h := range half {
				out = append(out, filepath.Base(filepath.Dir(h)))
			}
			return strings.Join(out, " ")
		},
		Leaves: "a whole artifact, for later rehearsals",
		Spoil: []steptest.Spoil{
			{Name: "a byte of a file is another", Do: func() { spoil(t, real, "0001.zst", func(b []byte) []byte { b[len(b)/2] ^= 1; return b }) }},
			{Name: "a file is cut", Do: func() { spoil(t, real, "0001.zst", func(b []byte) []byte { return b[:len(b)-1] }) }},
			{Name: "the manifest is another", Do: func() { spoil(t, real, "manifest.json", func(b []byte) []byte { b[len(b)/2] ^= 1; return b }) }},
		},
	}, store
}

func spoil(t *testing.T, s *snapshot.Store, name string, f func([]byte) []byte) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.Where(), "*", "mariadb", name))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	b, err := os.ReadFile(files[0])
	if err == nil {
		err = os.WriteFile(files[0], f(b), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestSnapshot(t *testing.T) {
	steptest.Run(t, steptest.Case{RealTime: true, New: func(t *testing.T, p *steptest.Process) steptest.World {
		w, _ := world(t, p, Snapshot{Schemas: []string{"shop"}, Tool: "test"})
		return w
	}})
}

const earlier snapshot.ID = "20261101-010203-0000"

func TestReuse(t *testing.T) {
	steptest.Run(t, steptest.Case{RealTime: true, New: func(t *testing.T, p *steptest.Process) steptest.World {
		w, store := world(t, p, Snapshot{Schemas: []string{"shop"}, Reuse: earlier})
		if _, err := write(t.Context(), store.Store.Store, earlier); err != nil {
			t.Fatal(err)
		}
		w.Found, w.Leaves = true, ""
		return w
	}})
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
	w, store := world(t, p, Snapshot{Schemas: []string{"shop"}, Reuse: earlier})
	says := func(want string) {
		t.Helper()
		if _, err := outline(w); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	says("no such snapshot")
	if err := os.MkdirAll(filepath.Join(store.Where(), string(earlier), ".mariadb.half"), 0o700); err != nil {
		t.Fatal(err)
	}
	says("half made; type slipway resume " + string(earlier))
	if err := os.RemoveAll(filepath.Join(store.Where(), string(earlier))); err != nil {
		t.Fatal(err)
	}
	if _, err := write(t.Context(), store.Store.Store, earlier); err != nil {
		t.Fatal(err)
	}
	spoil(t, store.Store.Store, "0001.zst", func(b []byte) []byte { b[3] ^= 1; return b })
	says("altered between bytes")
	spoil(t, store.Store.Store, "0001.zst", func(b []byte) []byte { b[3] ^= 1; return b })
	w.Add = func(rb *migrate.Runbook[migrate.Rehearsal]) {
		source := migrate.Look("the source's MariaDB", OnlySource(&fakeSource{p: p}))
		migrate.Add(rb, Snapshot{Schemas: []string{"cms"}, Reuse: earlier}, migrate.BothEyes(source, migrate.Look("snapshots", OnlyStore(store)), NewLook),
			migrate.With(source, migrate.Maker[migrate.Rehearsal]("snapshots", func(context.Context, migrate.Stamp) (StoreHand, error) { return store, nil }), NewHand))
	}
	says(`has the schemas ["shop"], and ["cms"] are configured`)
}

func TestPlanSaysAll(t *testing.T) {
	p := &steptest.Process{}
	w, store := world(t, p, Snapshot{Schemas: []string{"shop"}})
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
	for _, want := range []string{"read 1 tables and 0 views of schema shop on db2", "hold table definitions on db2", "write snapshot 00000000-000000-0000, part mariadb", store.Where()} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the plan doesn't say %q:\n%s", want, text.String())
		}
	}
}
