//go:build lab

package cloudsql

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/lab/dbpair"
	"github.com/slipway-dev/slipway/internal/lab/machine"
	"github.com/slipway-dev/slipway/internal/secret"
	"github.com/slipway-dev/slipway/internal/snapshot"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal"
	"github.com/slipway-dev/slipway/migrate/steptest"
)

var lab *dbpair.Lab

func TestMain(m *testing.M) {
	machine.Main()
	os.Exit(func() int {
		var err error
		if lab, err = dbpair.Open(context.Background(), "cloudsql", os.Stderr); err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
			return 1
		}
		defer func() {
			if err := lab.Close(context.Background()); err != nil {
				fmt.Fprintln(os.Stderr, "error:", err)
			}
		}()
		return m.Run()
	}())
}

// TestLoadAndVerifyForReal runs both steps through the engine, from a real MariaDB's snapshot into a real MySQL: forward,
// again, after writes that change nothing, after one that changes a row, and back.
func TestLoadAndVerifyForReal(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	maria, err := lab.MariaDB(ctx, "maria", dbpair.Options{})
	if err != nil {
		t.Fatal(err)
	}
	my, err := lab.MySQL(ctx, "mysql", dbpair.Options{})
	if err != nil {
		t.Fatal(err)
	}
	sql := func(s *dbpair.Server, stmts ...string) {
		t.Helper()
		db, err := s.Open(dbpair.Root, "")
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		for _, stmt := range stmts {
			if _, err := db.ExecContext(ctx, stmt); err != nil {
				t.Fatalf("%s: %v", stmt, err)
			}
		}
	}
	sql(maria, "CREATE DATABASE shop", "CREATE TABLE shop.orders (id INT PRIMARY KEY, name VARCHAR(20) DEFAULT CONCAT('a','b'))", "INSERT INTO shop.orders SELECT seq, CONCAT('order ', seq) FROM shop.seq_1_to_2000",
		"CREATE VIEW shop.v AS SELECT COUNT(*) AS n FROM shop.orders")
	sql(my, "CREATE DATABASE shop")
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
	sql(my, "CREATE DATABASE other", "CREATE TABLE other.t (id INT)")
	waits("after writes that change nothing")
	sql(my, "UPDATE shop.orders SET name = 'order 7 ' WHERE id = 7")
	if err := life(false); !errors.Is(err, migrate.ErrDrift) || !strings.Contains(err.Error(), "copy.sql-verify") {
		t.Errorf("after a row was changed: %v", err)
	}
	sql(my, "UPDATE shop.orders SET name = 'order 7' WHERE id = 7")
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
