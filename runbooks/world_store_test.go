package runbooks_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"testing"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
	"github.com/slipway-dev/slipway/internal/snapshot"
	"github.com/slipway-dev/slipway/internal/treecopy"
	"github.com/slipway-dev/slipway/internal/treecopy/treetest"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/steps/gluster"
	"github.com/slipway-dev/slipway/steps/mariadb"
)

// tester is what the world needs of a test.
type tester interface {
	Helper()
	Fatal(...any)
}

const runID = "20261123-010203-7f3a"

const password = "correct horse battery staple"

// shared is on the disk once for all tests, and only read: the artifacts that runs take, and a secret.
type shared struct {
	dir   string
	store *snapshot.Store
}

var theShared = sync.OnceValues(func() (*shared, error) {
	dir, err := os.MkdirTemp("", "runbooks-test-")
	if err != nil {
		return nil, err
	}
	s := &shared{dir: dir}
	if err := os.WriteFile(s.password(), []byte(password), 0o600); err != nil {
		return s, err
	}
	if s.store, err = snapshot.At(filepath.Join(dir, "snapshots")); err != nil {
		return s, err
	}
	ctx := context.Background()
	w, err := s.store.Begin(ctx, runID, snapshot.MariaDB, 0)
	if err != nil {
		return s, err
	}
	if _, err := w.Commit(ctx, snapshot.Contents{Tool: "test", From: "db2", Detail: catalog()}); err != nil {
		return s, err
	}
	_, err = treecopy.Take(ctx, treetest.Shop(), s.store, runID, treecopy.Options{From: "gluster volume assets", Tool: "test"})
	return s, err
})

func (s *shared) password() string { return filepath.Join(s.dir, "password") }

func TestMain(m *testing.M) {
	debug.SetGCPercent(800) // thousands of short lives: memory is cheaper than time
	code := m.Run()
	if s, _ := theShared(); s != nil {
		if err := os.RemoveAll(s.dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// catalog is of two tables.
func catalog() dbcopy.Catalog {
	table := func(name string) dbcopy.Table {
		return dbcopy.Table{Name: name, Collation: "utf8mb4_general_ci", Columns: []value.Column{{Name: "id", Type: "int", Kind: value.Number}}, Key: []string{"id"}, Rows: 15, Bytes: 150,
			Create: "CREATE TABLE `" + name + "` (\n  `id` int(11) NOT NULL,\n  PRIMARY KEY (`id`)\n) ENGINE=InnoDB"}
	}
	return dbcopy.Catalog{Checksum: value.ChecksumName, Schemas: []dbcopy.Schema{{Name: "shop", Tables: []dbcopy.Table{table("items"), table("orders")}}}}
}

// store is the snapshots of the run: how far each part has come. What is whole is read from the shared disk.
type store struct {
	disk  *snapshot.Store
	state map[snapshot.Part]snapshot.State
}

func newStore(t tester) store {
	t.Helper()
	s, err := theShared()
	if err != nil {
		t.Fatal(err)
	}
	return store{s.store, map[snapshot.Part]snapshot.State{}}
}

func (s *store) String() string { return fmt.Sprintf("snapshots %v", s.state) }

// storeHand is the store as steps have it. The wiring opens it with the step's stamp.
type storeHand struct {
	w    *world
	mark migrate.Stamp
}

func (h storeHand) Where() string { return "/snapshots" }

func (h storeHand) Look(ctx context.Context, id snapshot.ID, p snapshot.Part) (snapshot.Entry, error) {
	return ask(h.w, func() (snapshot.Entry, error) {
		e := snapshot.Entry{ID: id, Part: p, State: h.w.store.state[p]}
		if e.State == snapshot.Whole {
			return h.w.store.disk.Look(ctx, id, p)
		}
		if e.State == "" || id != runID {
			e.State = snapshot.Absent
		}
		return e, nil
	})
}

func (h storeHand) Open(ctx context.Context, id snapshot.ID, p snapshot.Part) (*snapshot.Artifact, error) {
	return ask(h.w, func() (*snapshot.Artifact, error) {
		switch h.w.store.state[p] {
		case snapshot.Whole:
			return h.w.store.disk.Open(ctx, id, p)
		case snapshot.Half:
			return nil, snapshot.ErrHalf
		}
		return nil, snapshot.ErrNotFound
	})
}

// take makes a part whole; a kill in the middle leaves it half made, and the next attempt begins it anew.
func (h storeHand) take(id snapshot.ID, p snapshot.Part) error {
	if id != runID {
		return snapshot.ErrNotOwner
	}
	return h.w.act(onDisk, markOf(h.mark), "take snapshot "+string(p), func() { h.w.store.state[p] = snapshot.Half }, func() error {
		if h.w.store.state[p] == snapshot.Whole {
			return snapshot.ErrExists
		}
		h.w.store.state[p] = snapshot.Whole
		return nil
	})
}

func (h storeHand) Discard(_ context.Context, owner, id snapshot.ID, p snapshot.Part) error {
	state, err := ask(h.w, func() (snapshot.State, error) { return h.w.store.state[p], nil })
	if err != nil || state != snapshot.Half {
		return err
	}
	if owner != id {
		return snapshot.ErrNotOwner
	}
	return h.w.act(onDisk, markOf(h.mark), "repair: discard half a snapshot "+string(p), nil, func() error { delete(h.w.store.state, p); return nil })
}

// rowStore and fileStore are the store as the two snapshot steps have it.
type (
	rowStore  struct{ storeHand }
	fileStore struct{ storeHand }
)

func (s rowStore) Take(ctx context.Context, src mariadb.Source, run snapshot.ID, _ dbcopy.Options) (snapshot.Rows, error) {
	if err := s.take(run, snapshot.MariaDB); err != nil {
		return snapshot.Rows{}, err
	}
	art, err := s.Open(ctx, run, snapshot.MariaDB)
	if err != nil {
		return snapshot.Rows{}, err
	}
	return dbcopy.Summary(art)
}

func (s fileStore) Take(ctx context.Context, src gluster.Source, run snapshot.ID, _ treecopy.Options) (*snapshot.Artifact, error) {
	if err := s.take(run, snapshot.Assets); err != nil {
		return nil, err
	}
	return s.Open(ctx, run, snapshot.Assets)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
