//go:build lab

package cloudsql

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/lab/dbpair"
	"github.com/slipway-dev/slipway/internal/lab/dbtest"
	"github.com/slipway-dev/slipway/internal/lab/machine"
	"github.com/slipway-dev/slipway/internal/secret"
	"github.com/slipway-dev/slipway/internal/snapshot"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal"
	"github.com/slipway-dev/slipway/migrate/steptest"
)

var servers struct {
	lab       *dbpair.Lab
	maria, my *dbpair.Server
}

func TestMain(m *testing.M) {
	machine.Main()
	os.Exit(dbtest.Main(m, "cloudsql", func(ctx context.Context, lab *dbpair.Lab) (err error) {
		servers.lab = lab
		servers.maria, servers.my, err = dbtest.Pair(ctx, lab)
		return err
	}))
}

// TestLoadAndVerifyForReal runs both steps through the engine, from a real MariaDB's snapshot into a real MySQL: forward,
// again, after writes that change nothing, after one that changes a row, and back.
func TestLoadAndVerifyForReal(t *testing.T) {
	ctx, maria, my := dbtest.Limit(t, 5*time.Minute), servers.maria, servers.my
	dbtest.Do(t, maria, "CREATE DATABASE shop", "CREATE TABLE shop.orders (id INT PRIMARY KEY, name VARCHAR(20) DEFAULT CONCAT('a','b'))", "INSERT INTO shop.orders SELECT seq, CONCAT('order ', seq) FROM shop.seq_1_to_2000",
		"CREATE VIEW shop.v AS SELECT COUNT(*) AS n FROM shop.orders")
	dbtest.Do(t, my, "CREATE DATABASE shop")
	end := func(s *dbpair.Server, user string) dbcopy.Endpoint {
		return dbcopy.Endpoint{Name: s.Name, Addr: s.Addr, User: user, Password: secret.New(dbpair.Password)}
	}
	store, err := snapshot.At(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	id, err := migrate.NewID(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	taken, err := dbcopy.NewSource(end(maria, dbpair.Reader)).Take(ctx, store, snapshot.ID(id), dbcopy.Options{Tool: "test", Schemas: []string{"shop"}, ChunkBytes: 2000})
	if err != nil {
		t.Fatal(err)
	}
	target := dbcopy.NewTarget(end(my, dbpair.Loader))
	rb := migrate.NewRunbook[migrate.Rehearsal]()
	rb.PhaseInOrder("copy")
	snap := steptest.Given(rb, "copy.mariadb-snapshot", taken)
	inst := steptest.Given(rb, "standup.sql-instance", "instance")
	artifacts := migrate.Look("snapshots", OnlyArtifacts(store))
	eye := migrate.BothEyes(artifacts, migrate.LookAt(inst, NoRows(), func(context.Context, string) (RowsLook, error) { return OnlyRows(target), nil }), NewLook)
	loaded := migrate.Add(rb, Load{Snapshot: snap, DeferBytes: 1}, eye,
		migrate.With(artifacts, migrate.Created[migrate.Rehearsal](inst, func(context.Context, string, migrate.Stamp) (RowsLoad, error) { return target, nil }), NewHand))
	migrate.Add(rb, Verify{Snapshot: snap, Load: loaded}, eye, migrate.NoHands[migrate.Rehearsal](eye))
	migrate.AddGate(rb, migrate.Gate{ID: "gate"})
	root := t.TempDir()
	dir, err := journal.MakeDir(root, id)
	if err != nil {
		t.Fatal(err)
	}
	began := false
	life := func(back bool) error {
		t.Helper()
		o := migrate.Options{Tool: "test", Who: "test"}
		var r *migrate.Run
		var err error
		if began {
			r, err = migrate.Open(dir, rb, o)
		} else {
			r, err = migrate.Begin(dir, id, rb, o)
		}
		if err != nil {
			t.Fatal(err)
		}
		began = true
		defer r.Close()
		if back {
			return r.Rollback(ctx, "", "test")
		}
		return r.Resume(ctx)
	}
	waits := func(when string) {
		t.Helper()
		if err := life(false); !errors.Is(err, migrate.ErrWaiting) {
			t.Fatalf("%s: %v", when, err)
		}
	}
	waits("first")
	waits("again")
	dbtest.Do(t, my, "CREATE DATABASE other", "CREATE TABLE other.t (id INT)")
	waits("after writes that change nothing")
	dbtest.Do(t, my, "UPDATE shop.orders SET name = 'order 7 ' WHERE id = 7")
	if err := life(false); !errors.Is(err, migrate.ErrDrift) || !strings.Contains(err.Error(), "copy.sql-verify") {
		t.Errorf("after a row was changed: %v", err)
	}
	dbtest.Do(t, my, "UPDATE shop.orders SET name = 'order 7' WHERE id = 7")
	waits("after it was changed back")
	if err := life(true); !errors.Is(err, migrate.ErrRolledBack) {
		t.Fatal(err)
	}
	state, err := target.Look(ctx, []string{"shop"})
	if err != nil || state.Run != "" || len(state.Foreign) > 0 || state.Objects > 0 {
		t.Errorf("left after the rollback: %+v, %v", state, err)
	}
	if e, err := store.Look(t.Context(), snapshot.ID(id), snapshot.MariaDB); err != nil || e.State != snapshot.Whole {
		t.Errorf("the snapshot is %s, %v", e.State, err)
	}
}
