package cloudsql

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/binlog"
	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
	"github.com/slipway-dev/slipway/internal/snapshot"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/steptest"
)

// fakeRows is a target with one server: whose load it has, which chunks, which tables, and how often it was written to.
type fakeRows struct {
	p       *steptest.Process
	server  string
	run     string
	fence   uint64
	art     snapshot.Rows
	phase   dbcopy.Phase
	chunks  map[string]int // times loaded
	tables  map[string]bool
	wrong   bool // a row is another
	written int
}

const chunkCount = 3

func newRows(p *steptest.Process) *fakeRows {
	return &fakeRows{p: p, server: "server-1", chunks: map[string]int{}, tables: map[string]bool{}}
}

func (f *fakeRows) Name() string { return "instance shop" }

func (f *fakeRows) gtid() binlog.MySQL {
	text := ""
	if f.written > 0 {
		text = fmt.Sprintf("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-%d", f.written)
	}
	s, err := binlog.ParseMySQL(text)
	if err != nil {
		panic(err)
	}
	return s
}

func (f *fakeRows) Look(context.Context, []string) (dbcopy.State, error) {
	s := dbcopy.State{Server: f.server, Version: "9.7.4", Run: f.run, Fence: f.fence, ID: string(f.art.ID), Digest: f.art.Digest, Phase: f.phase, Chunks: int64(len(f.chunks)), GTID: f.gtid()}
	for _, t := range slices.Sorted(maps.Keys(f.tables)) {
		if f.run == "" || t == "foreign" {
			s.Foreign = append(s.Foreign, "shop."+t)
		} else {
			s.Objects++
		}
	}
	return s, f.p.Look()
}

func (f *fakeRows) act(what string, half func(), do func()) error {
	return f.p.Act(what, half, func() error {
		do()
		f.written++
		return nil
	})
}

// Load does what the real one does: a mark, tables, each chunk in a transaction of its own, keys.
func (f *fakeRows) Load(_ context.Context, art *snapshot.Artifact, own dbcopy.Owner, o dbcopy.LoadOptions) (dbcopy.Loaded, error) {
	sum, err := dbcopy.Summary(art)
	if err != nil {
		return dbcopy.Loaded{}, err
	}
	if f.run != "" && f.run != own.Run {
		return dbcopy.Loaded{}, dbcopy.ErrOtherRun
	}
	if f.run != "" && f.fence > own.Fence {
		return dbcopy.Loaded{}, dbcopy.ErrFenced
	}
	if f.run == "" {
		if err := f.act("mark "+own.Run, nil, func() { f.run, f.art, f.phase = own.Run, sum, dbcopy.PhaseCompile }); err != nil {
			return dbcopy.Loaded{}, err
		}
	}
	f.fence = own.Fence
	if f.phase == dbcopy.PhaseCompile {
		if err := f.act("make tables", func() { f.tables["orders"] = true }, func() { f.tables["orders"], f.tables["items"], f.phase = true, true, dbcopy.PhaseRows }); err != nil {
			return dbcopy.Loaded{}, err
		}
	}
	for i := range chunkCount {
		name := fmt.Sprintf("chunk %d", i)
		if f.chunks[name] > 0 {
			continue
		}
		if err := f.act("load "+name, nil, func() { f.chunks[name]++; o.Moved(10, 100) }); err != nil {
			return dbcopy.Loaded{}, err
		}
	}
	if f.phase == dbcopy.PhaseRows {
		if err := f.act("make keys", nil, func() { f.phase = dbcopy.PhaseLoaded }); err != nil {
			return dbcopy.Loaded{}, err
		}
	}
	return dbcopy.Loaded{Server: f.server, ID: sum.ID, Digest: sum.Digest}, nil
}

func (f *fakeRows) Drop(_ context.Context, own dbcopy.Owner) error {
	if f.run != own.Run {
		return nil
	}
	if len(f.tables) > 0 {
		if err := f.act("drop tables", func() { delete(f.tables, "items") }, func() { clear(f.tables) }); err != nil {
			return err
		}
	}
	return f.act("drop mark", nil, func() { f.run, f.fence, f.art, f.phase = "", 0, snapshot.Rows{}, ""; clear(f.chunks) })
}

func (f *fakeRows) Verify(_ context.Context, art *snapshot.Artifact, _ dbcopy.VerifyOptions) (dbcopy.Verified, error) {
	if err := f.p.Look(); err != nil {
		return dbcopy.Verified{}, err
	}
	if f.wrong || len(f.tables) != 2 {
		return dbcopy.Verified{}, &dbcopy.DifferentError{Target: f.Name(), Differences: []dbcopy.Difference{{Object: "table shop.orders", What: "differs"}}}
	}
	return dbcopy.Verified{Server: f.server, GTID: f.gtid(), Tables: 2, Chunks: chunkCount, Rows: 30, Bytes: 300}, nil
}

func (f *fakeRows) state() string {
	return fmt.Sprintf("run %q phase %q snapshot %q tables %v chunks %v", f.run, f.phase, f.art.ID, slices.Sorted(maps.Keys(f.tables)), f.chunks)
}

// artifact is a real one of two tables.
func artifact(t *testing.T) (*snapshot.Store, snapshot.Rows) {
	t.Helper()
	store, err := snapshot.At(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w, err := store.Begin(t.Context(), "20261101-010203-0000", snapshot.MariaDB, 0)
	if err != nil {
		t.Fatal(err)
	}
	columns := []value.Column{{Name: "id", Type: "int", Kind: value.Number}}
	table := func(name string) dbcopy.Table {
		return dbcopy.Table{Name: name, Collation: "utf8mb4_general_ci", Columns: columns, Key: []string{"id"}, Rows: 15, Bytes: 150,
			Create: "CREATE TABLE `" + name + "` (\n  `id` int(11) NOT NULL DEFAULT uuid_short(),\n  PRIMARY KEY (`id`)\n) ENGINE=InnoDB"}
	}
	art, err := w.Commit(t.Context(), snapshot.Contents{Tool: "test", From: "db2", Detail: dbcopy.Catalog{Checksum: value.ChecksumName,
		Schemas: []dbcopy.Schema{{Name: "shop", Tables: []dbcopy.Table{table("items"), table("orders")}}}}})
	if err != nil {
		t.Fatal(err)
	}
	sum, err := dbcopy.Summary(art)
	if err != nil {
		t.Fatal(err)
	}
	return store, sum
}

func addLoad(rb *migrate.Runbook[migrate.Rehearsal], store *snapshot.Store, sum snapshot.Rows, f *fakeRows) (migrate.Ref[snapshot.Rows], migrate.Eye[LoadLook], migrate.Hand[migrate.Rehearsal, LoadHand]) {
	snap := steptest.Given(rb, "copy.mariadb-snapshot", sum)
	inst := steptest.Given(rb, "standup.sql-instance", "instance")
	artifacts := migrate.Look("snapshots", OnlyArtifacts(store))
	eye := migrate.BothEyes(artifacts, migrate.LookAt(inst, NoRows(), func(context.Context, string) (RowsLook, error) { return OnlyRows(f), nil }), NewLook)
	hand := migrate.With(artifacts, migrate.Created[migrate.Rehearsal](inst, func(context.Context, string, migrate.Stamp) (RowsLoad, error) { return f, nil }), NewHand)
	return snap, eye, hand
}

func TestLoad(t *testing.T) {
	steptest.Run(t, steptest.Case{RealTime: true, NotTwice: "a target holds one run's load", New: func(t *testing.T, p *steptest.Process) steptest.World {
		store, sum := artifact(t)
		f := newRows(p)
		return steptest.World{
			Add: func(rb *migrate.Runbook[migrate.Rehearsal]) {
				snap, eye, hand := addLoad(rb, store, sum, f)
				migrate.Add(rb, Load{Snapshot: snap}, eye, hand)
			},
			State: f.state,
			Spoil: []steptest.Spoil{
				{Name: "a table is gone", Do: func() { delete(f.tables, "items") }},
				{Name: "a table more", Do: func() { f.tables["foreign"] = true }},
				{Name: "another run's load", Do: func() { f.run = "20261101-010203-9999" }},
				{Name: "another snapshot's load", Do: func() { f.art.Digest = "0" }},
				{Name: "another server", Do: func() { f.server = "server-2" }},
				{Name: "it stopped half way", Do: func() { f.phase = dbcopy.PhaseKeys }},
			},
		}
	}})
}

func TestVerify(t *testing.T) {
	steptest.Run(t, steptest.Case{RealTime: true, New: func(t *testing.T, p *steptest.Process) steptest.World {
		store, sum := artifact(t)
		f := newRows(p)
		f.run, f.art, f.phase, f.tables, f.written = "20261123-010203-0001", sum, dbcopy.PhaseLoaded, map[string]bool{"orders": true, "items": true}, 7
		return steptest.World{
			Add: func(rb *migrate.Runbook[migrate.Rehearsal]) {
				snap, eye, _ := addLoad(rb, store, sum, f)
				loaded := steptest.Given(rb, "copy.sql-load", Loaded{Snapshot: sum.ID, Digest: sum.Digest, Server: "server-1"})
				migrate.Add(rb, Verify{Snapshot: snap, Load: loaded}, eye, migrate.NoHands[migrate.Rehearsal](eye))
			},
			State: f.state,
			Found: true,
			Spoil: []steptest.Spoil{
				{Name: "a row was written", Do: func() { f.wrong, f.written = true, 8 }},
				{Name: "a server without a log has another row", Do: func() { f.wrong, f.written = true, 0 }},
				{Name: "another server", Do: func() { f.server = "server-2" }},
			},
		}
	}})
}

// outline plans the step without a run.
func outline(add func(rb *migrate.Runbook[migrate.Rehearsal])) (string, error) {
	rb := migrate.NewRunbook[migrate.Rehearsal]()
	rb.Phase("copy")
	add(rb)
	o, err := rb.Plan(context.Background(), migrate.Options{})
	var text strings.Builder
	if o != nil {
		for _, ph := range o.Phases {
			for _, s := range ph.Steps {
				for _, e := range s.Effects {
					text.WriteString(e.String() + "\n")
				}
			}
		}
	}
	return text.String(), err
}

func TestLoadPlan(t *testing.T) {
	store, sum := artifact(t)
	f := newRows(&steptest.Process{})
	plan := func() (string, error) {
		return outline(func(rb *migrate.Runbook[migrate.Rehearsal]) {
			snap, eye, hand := addLoad(rb, store, sum, f)
			migrate.Add(rb, Load{Snapshot: snap}, eye, hand)
		})
	}
	text, err := plan()
	for _, want := range []string{"create schema _slipway on the target", "load snapshot 20261101-010203-0000: 2 tables with 30 rows, 0 views", "rewrite table shop.items, id: default-in-parentheses: DEFAULT (uuid_short())"} {
		if err != nil || !strings.Contains(text, want) {
			t.Errorf("the plan doesn't say %q (%v):\n%s", want, err, text)
		}
	}
	f.tables["foreign"] = true
	if _, err := plan(); err == nil || !strings.Contains(err.Error(), `it has ["shop.foreign"]`) {
		t.Errorf("a target that isn't empty: %v", err)
	}
	delete(f.tables, "foreign")
	f.run = "20261101-010203-9999"
	if _, err := plan(); err == nil || !strings.Contains(err.Error(), "type slipway rollback 20261101-010203-9999") {
		t.Errorf("another run's target: %v", err)
	}
}
