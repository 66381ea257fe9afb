//go:build lab

package cloudsql

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/lab/cloud/storage/buckettest"
	"github.com/slipway-dev/slipway/internal/lab/dbpair"
	"github.com/slipway-dev/slipway/internal/lab/dbtest"
	"github.com/slipway-dev/slipway/internal/secret"
	"github.com/slipway-dev/slipway/internal/snapshot"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal"
	"github.com/slipway-dev/slipway/migrate/steptest"
)

// TestFromBucket is a rehearsal's way of the rows through a bucket: a snapshot of a real MariaDB, whose first attempt is ended in the
// middle; then the source is gone, and a real MySQL is filled from the bucket and compared, over connections that break.
func TestFromBucket(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	maria, err := servers.lab.MariaDB(ctx, "maria-bucket", dbpair.Options{})
	if err != nil {
		t.Fatal(err)
	}
	my, err := servers.lab.MySQL(ctx, "mysql-bucket", dbpair.Options{})
	if err != nil {
		t.Fatal(err)
	}
	dbtest.Do(t, maria, "CREATE DATABASE shop", "CREATE TABLE shop.orders (id INT PRIMARY KEY, name VARCHAR(80))", "INSERT INTO shop.orders SELECT seq, SHA2(seq, 256) FROM shop.seq_1_to_20000",
		"CREATE FUNCTION shop.many() RETURNS INT READS SQL DATA RETURN (SELECT COUNT(*) FROM shop.orders)", "CREATE VIEW shop.v AS SELECT shop.many() AS n")
	dbtest.Do(t, my, "CREATE DATABASE shop", "SET GLOBAL log_bin_trust_function_creators = ON")
	end := func(s *dbpair.Server, user string) dbcopy.Endpoint {
		return dbcopy.Endpoint{Name: s.Name, Addr: s.Addr, User: user, Password: secret.New(dbpair.Password)}
	}
	cloud := buckettest.New(t)
	store := func() *snapshot.Store { return snapshot.InBucket(cloud.Bucket(), "rehearsals") }
	id, err := migrate.NewID(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	src, opts := dbcopy.NewSource(end(maria, dbpair.Reader)), dbcopy.Options{Tool: "test", Schemas: []string{"shop"}, ChunkBytes: 100_000}
	var uploads atomic.Int64
	dead := make(chan struct{})
	cloud.Hook(func(r *http.Request) bool { // as kill -9 does: no request of this attempt arrives any more
		if strings.Contains(r.UserAgent(), "killed") && strings.HasPrefix(r.URL.Path, "/upload/") && uploads.Add(1) == 6 {
			close(dead)
		}
		return !strings.Contains(r.UserAgent(), "killed") || uploads.Load() < 6
	}, nil)
	killed, kill := context.WithCancel(ctx)
	defer kill()
	go src.Take(killed, snapshot.InBucket(cloud.BucketAs("killed"), "rehearsals"), snapshot.ID(id), opts) // it goes on, and reaches nothing
	select {
	case <-dead:
	case <-ctx.Done():
		t.Fatal("no attempt was killed")
	}
	if e, err := store().Look(ctx, snapshot.ID(id), snapshot.MariaDB); err != nil || e.State != snapshot.Half {
		t.Fatalf("%+v, %v", e, err)
	}
	taken, err := src.Take(ctx, store(), snapshot.ID(id), opts)
	if err != nil || taken.Rows != 20000 || taken.Routines != 1 {
		t.Fatal(taken, err)
	}
	kill() // it holds the definitions, as the server would until it missed the process
	dbtest.Do(t, maria, "DROP DATABASE shop")
	art, err := store().Open(ctx, snapshot.ID(id), snapshot.MariaDB)
	if err == nil {
		err = art.Verify(ctx, nil)
	}
	if err != nil || len(art.Manifest.Files) < 10 {
		t.Fatal(err)
	}

	var n atomic.Int64
	cloud.Hook(func(r *http.Request) bool { return !strings.Contains(r.UserAgent(), "killed") }, func(*http.Request) bool { return n.Add(1)%5 != 0 }) // each fifth answer is lost
	target := dbcopy.NewTarget(end(my, dbpair.Loader))
	rb := migrate.NewRunbook[migrate.Rehearsal]()
	rb.PhaseInOrder("copy")
	snap := steptest.Given(rb, "copy.mariadb-snapshot", taken)
	inst := steptest.Given(rb, "standup.sql-instance", "instance")
	artifacts := migrate.Look("snapshots", OnlyArtifacts(store()))
	eye := migrate.BothEyes(artifacts, migrate.LookAt(inst, NoRows(), func(context.Context, string) (RowsLook, error) { return OnlyRows(target), nil }), NewLook)
	loaded := migrate.Add(rb, Load{Snapshot: snap, DeferBytes: 1}, eye,
		migrate.With(artifacts, migrate.Created[migrate.Rehearsal](inst, func(context.Context, string, migrate.Stamp) (RowsLoad, error) { return target, nil }), NewHand))
	migrate.Add(rb, Verify{Snapshot: snap, Load: loaded}, eye, migrate.NoHands[migrate.Rehearsal](eye))
	migrate.AddGate(rb, migrate.Gate{ID: "gate"})
	dir, err := journal.MakeDir(t.TempDir(), id)
	if err != nil {
		t.Fatal(err)
	}
	r, err := migrate.Begin(dir, id, rb, migrate.Options{Tool: "test", Who: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.Resume(ctx); !errors.Is(err, migrate.ErrWaiting) {
		t.Fatal(err)
	}
	db, err := my.Open(dbpair.Root, "shop")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var rows, wrong, many int
	if err := db.QueryRowContext(ctx, "SELECT COUNT(*), COALESCE(SUM(name <> SHA2(id, 256)), 0), (SELECT n FROM v) FROM orders").Scan(&rows, &wrong, &many); err != nil || rows != 20000 || wrong != 0 || many != 20000 {
		t.Errorf("%d rows, %d of them wrong, the view says %d; %v", rows, wrong, many, err)
	}
	// A row less in the bucket's own words is found: the comparison is with what the source's server had.
	dbtest.Do(t, my, "DELETE FROM shop.orders WHERE id = 77")
	_, err = target.Verify(ctx, art, dbcopy.VerifyOptions{})
	var d *dbcopy.DifferentError
	if !errors.As(err, &d) || !slices.ContainsFunc(d.Differences, func(x dbcopy.Difference) bool { return strings.Contains(fmt.Sprint(x), "77") }) {
		t.Errorf("a row less: %v", err)
	}
	if n.Load() < 20 {
		t.Errorf("%d requests: nothing was read from the bucket", n.Load())
	}
}
