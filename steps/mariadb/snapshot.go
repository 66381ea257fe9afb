// Package mariadb has the steps that read and, in a cut-over, change the source's MariaDB. It must not import another step
// package; what it knows of SQL is in internal/dbcopy.
package mariadb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/snapshot"
	"github.com/slipway-dev/slipway/migrate"
)

// Source is a MariaDB that is only read: *dbcopy.Source.
type Source interface {
	// Name is what messages call it.
	Name() string
	// Survey looks at schemas; what it finds is for the caller to judge.
	Survey(ctx context.Context, schemas []string) (dbcopy.Survey, error)
	// Take makes run's artifact in the store, whole or not at all.
	Take(ctx context.Context, store *snapshot.Store, run snapshot.ID, o dbcopy.Options) (snapshot.Rows, error)
}

// StoreLook looks into the store of snapshots: *snapshot.Store has more.
type StoreLook interface {
	Where() string
	Look(ctx context.Context, id snapshot.ID, p snapshot.Part) (snapshot.Entry, error)
	Open(ctx context.Context, id snapshot.ID, p snapshot.Part) (*snapshot.Artifact, error)
}

// StoreHand makes and discards a run's own snapshot.
type StoreHand interface {
	StoreLook
	// Take has src make run's artifact here.
	Take(ctx context.Context, src Source, run snapshot.ID, o dbcopy.Options) (snapshot.Rows, error)
	// Discard removes owner's half-made part, and nothing else.
	Discard(ctx context.Context, owner, id snapshot.ID, p snapshot.Part) error
}

// Store is a StoreHand.
type Store struct{ *snapshot.Store }

// Take has src make run's artifact in the store.
func (s Store) Take(ctx context.Context, src Source, run snapshot.ID, o dbcopy.Options) (snapshot.Rows, error) {
	return src.Take(ctx, s.Store, run, o)
}

type (
	onlySource struct{ Source }
	onlyStore  struct{ StoreLook }
)

// OnlySource closes a source that can do more.
func OnlySource(s Source) Source { return onlySource{s} }

// OnlyStore closes a store that can do more.
func OnlyStore(s StoreLook) StoreLook { return onlyStore{s} }

// Look is what the snapshot step looks with.
type Look struct {
	Source Source
	Store  StoreLook
}

// NewLook joins the two, for migrate.BothEyes.
func NewLook(src Source, store StoreLook) Look { return Look{src, store} }

// Hand is what the snapshot step acts with: it reads the source and writes into the store.
type Hand struct {
	Source Source
	Store  StoreHand
}

// NewHand joins the two, for migrate.With.
func NewHand(src Source, store StoreHand) Hand { return Hand{src, store} }

// Snapshot takes a consistent snapshot of a standby's schemas as an artifact, with the place in its binary log; or, given
// one to reuse, proves that it is whole.
//
// A whole artifact outlives the run: its Undo removes only what is half made, because later rehearsals fill their targets
// from it.
type Snapshot struct {
	Schemas     []string
	Reuse       snapshot.ID   // "": take one
	Tool        string        // this program's version, for the manifest
	Connections int           // to read with; 0: dbcopy's default
	ChunkBytes  int64         // 0: dbcopy's default
	Timeout     time.Duration // 0: 24 hours
}

// Spec is the step's.
func (st Snapshot) Spec() migrate.Spec {
	timeout := st.Timeout
	if timeout == 0 {
		timeout = 24 * time.Hour
	}
	return migrate.Spec{ID: "copy.mariadb-snapshot", Version: 1, Title: "take a snapshot of the database from the standby", Timeout: timeout, Tries: 3}
}

// Plan finds the artifact that is to be used or that this run has made; else it looks at the source and refuses what
// can't be carried.
func (st Snapshot) Plan(ctx context.Context, s *migrate.Scope[Look], rec migrate.Recorded[snapshot.Rows]) (migrate.Plan[snapshot.Rows], error) {
	var p migrate.Plan[snapshot.Rows]
	id := st.Reuse
	if id == "" {
		id = snapshot.ID(s.Run())
	}
	e, err := s.C.Store.Look(ctx, id, snapshot.MariaDB)
	if err != nil {
		return p, err
	}
	switch {
	case e.State == snapshot.Whole:
		return st.found(ctx, s, id, rec)
	case st.Reuse != "" || e.State == snapshot.Damaged || e.State == snapshot.Foreign:
		_, err := s.C.Store.Open(ctx, id, snapshot.MariaDB)
		return p, err
	case e.State == snapshot.Writing:
		return p, fmt.Errorf("snapshot %s: %w", id, snapshot.ErrBusy)
	}
	sv, err := s.C.Source.Survey(ctx, st.Schemas)
	if err == nil {
		err = sv.Refused()
	}
	if err != nil {
		return p, err
	}
	p.Want = snapshot.Rows{ID: id, Schemas: slices.Clone(st.Schemas)}
	p.Effects = st.effects(s, id, &sv)
	return p, nil
}

// found looks at a whole artifact. One that is reused for the first time in this run is read to its last byte.
func (st Snapshot) found(ctx context.Context, s *migrate.Scope[Look], id snapshot.ID, rec migrate.Recorded[snapshot.Rows]) (migrate.Plan[snapshot.Rows], error) {
	var p migrate.Plan[snapshot.Rows]
	art, err := s.C.Store.Open(ctx, id, snapshot.MariaDB)
	if err != nil {
		return p, err
	}
	out, err := dbcopy.Summary(art)
	if err != nil {
		return p, err
	}
	if rec.Complete && out.Digest == rec.Out.Digest {
		return migrate.Done(rec.Out), nil
	}
	if st.Reuse != "" {
		if !slices.Equal(out.Schemas, st.Schemas) {
			return p, fmt.Errorf("snapshot %s has the schemas %q, and %q are configured; use another snapshot, or take a new one", id, out.Schemas, st.Schemas)
		}
		if err := art.Verify(ctx, reading(s, art)); err != nil {
			return p, err
		}
	}
	return migrate.Done(out), nil
}

func reading[C any](s *migrate.Scope[C], art *snapshot.Artifact) func(done, total int64) {
	return func(done, total int64) {
		s.Progress(migrate.Progress{What: "reading snapshot " + string(art.Manifest.ID) + " to verify it", Done: done, Total: total, Unit: "bytes"})
	}
}

// effects are without the server's estimates of rows and bytes, which change from one look to the next.
func (st Snapshot) effects(s *migrate.Scope[Look], id snapshot.ID, sv *dbcopy.Survey) []migrate.Effect {
	src := s.C.Source.Name()
	var out []migrate.Effect
	for _, sc := range sv.Catalog.Schemas {
		out = append(out, migrate.Effect{Verb: "read", Object: fmt.Sprintf("%d tables and %d views of schema %s on %s", len(sc.Tables), len(sc.Views), sc.Name, src),
			Detail: "in one consistent snapshot, without a global lock"})
	}
	if n := len(sv.Catalog.Text.Objects); n > 0 {
		out = append(out, migrate.Effect{Verb: "read", Object: fmt.Sprintf("the text of %d functions, procedures, triggers and events on %s", n, src)})
	}
	out = append(out,
		migrate.Effect{Verb: "hold", Object: "table definitions on " + src, Detail: "ALTER, DROP, RENAME and TRUNCATE wait there until the snapshot is read, and replication behind them"},
		migrate.Effect{Verb: "write", Object: "snapshot " + string(id) + ", part " + string(snapshot.MariaDB), Detail: "in " + s.C.Store.Where() + "; a rollback leaves it for later rehearsals"})
	for _, f := range sv.Findings {
		switch f.Severity {
		case dbcopy.Refuse: // a copy can be taken, or there would be no plan
			out = append(out, migrate.Effect{Verb: "warn of", Object: f.Object, Detail: "the " + string(f.Stops) + " would be refused: " + f.What})
		case dbcopy.Rewrite:
			out = append(out, migrate.Effect{Verb: "rewrite", Object: f.Object, Detail: "for the target: " + f.What})
		case dbcopy.Leave:
			out = append(out, migrate.Effect{Verb: "leave out", Object: f.Object, Detail: f.What})
		case dbcopy.Warn:
			out = append(out, migrate.Effect{Verb: "warn of", Object: f.Object, Detail: f.What})
		}
	}
	return out
}

// Run takes the snapshot, from the beginning: a consistent view ends with the connection that had it.
func (st Snapshot) Run(ctx context.Context, s *migrate.Scope[Hand], want snapshot.Rows) (snapshot.Rows, error) {
	if want.ID != snapshot.ID(s.Run()) {
		return want, fmt.Errorf("snapshot %s is not this run's to make: %w", want.ID, snapshot.ErrNotOwner)
	}
	out, err := s.C.Store.Take(ctx, s.C.Source, want.ID, dbcopy.Options{Tool: st.Tool, Schemas: want.Schemas, Connections: st.Connections, ChunkBytes: st.ChunkBytes,
		Progress: func(p dbcopy.Progress) {
			s.Progress(migrate.Progress{What: fmt.Sprintf("reading %s from %s, %d of about %d rows", p.Doing, s.C.Source.Name(), p.Rows, p.TotalRows), Done: p.Bytes, Total: p.TotalBytes, Unit: "bytes"})
		}})
	if err != nil {
		return want, transient(err)
	}
	s.Moved(migrate.Tally{Rows: out.Rows, Bytes: out.Bytes})
	return out, nil
}

// transient marks what is worth another try.
func transient(err error) error {
	if errors.Is(err, dbcopy.ErrLost) || errors.Is(err, dbcopy.ErrSchemaChanged) || errors.Is(err, snapshot.ErrUnread) {
		return migrate.Transient(err)
	}
	return err
}

// Verify reads the whole artifact against its checksums. That its rows are the source's was checked, chunk by chunk,
// against the source's own server before it was kept.
func (st Snapshot) Verify(ctx context.Context, s *migrate.Scope[Look], out snapshot.Rows) error {
	art, err := s.C.Store.Open(ctx, out.ID, snapshot.MariaDB)
	if err != nil {
		return err
	}
	if art.Digest != out.Digest {
		return fmt.Errorf("snapshot %s has digest %.12s, and %.12s was recorded: it is another one: %w", out.ID, art.Digest, out.Digest, snapshot.ErrDamaged)
	}
	return art.Verify(ctx, reading(s, art))
}

// Undo removes the run's half-made artifact. A whole one stays.
func (st Snapshot) Undo(ctx context.Context, s *migrate.Scope[Hand], _ migrate.Recorded[snapshot.Rows]) error {
	id := snapshot.ID(s.Run())
	return s.C.Store.Discard(ctx, id, id, snapshot.MariaDB)
}
