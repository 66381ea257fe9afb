package cloudsql

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/snapshot"
	"github.com/slipway-dev/slipway/migrate"
)

var errNoTarget = errors.New("there is no target yet")

// Load fills the target from a snapshot, chunk by chunk, each exactly once.
//
// It keeps its progress, and the mark that says whose load it is, in a schema of its own on the target, _slipway. That
// stays as long as the load does: it is what tells this run's tables from anybody else's.
type Load struct {
	Snapshot   migrate.Ref[snapshot.Rows]
	Workers    int           // connections; 0: dbcopy's default
	DeferBytes int64         // from which size on a table's keys are made after its rows; 0: dbcopy's default
	Timeout    time.Duration // 0: 24 hours
}

// Loaded is what is in the target.
type Loaded struct {
	Snapshot snapshot.ID `json:"snapshot"`
	Digest   string      `json:"digest"` // of the snapshot
	Server   string      `json:"server"` // the target's server_uuid
	Schemas  []string    `json:"schemas"`
	Tables   int64       `json:"tables"`
	Views    int64       `json:"views"`
	Rows     int64       `json:"rows"`
	Bytes    int64       `json:"bytes"`
	Routines int64       `json:"routines"` // functions and procedures that are there
	NotMade  []string    `json:"not_made"` // and those that the target doesn't take, each with the reason
	Grants   []string    `json:"grants"`   // statements for the target: what the source's accounts may; nil: not known. Nobody runs them
}

const defaultTimeout = 24 * time.Hour

func orDefault(d time.Duration) time.Duration {
	if d == 0 {
		return defaultTimeout
	}
	return d
}

// Spec is the step's.
func (st Load) Spec() migrate.Spec {
	return migrate.Spec{ID: "copy.sql-load", Version: 1, Title: "load the snapshot into the target's database", Timeout: orDefault(st.Timeout), Tries: 5,
		Needs: []migrate.Dep{st.Snapshot.Dep()}}
}

// Plan refuses a target that holds anything but this run's own load.
func (st Load) Plan(ctx context.Context, s *migrate.Scope[LoadLook], rec migrate.Recorded[Loaded]) (migrate.Plan[Loaded], error) {
	var p migrate.Plan[Loaded]
	mark := migrate.Effect{Verb: "create", Object: "schema _slipway on the target", Detail: "progress, and this run's mark; dropped when the load is undone"}
	snap, err := migrate.Value(s, st.Snapshot)
	if errors.Is(err, migrate.ErrNotRecorded) { // a plan, before there is a snapshot
		p.Effects = []migrate.Effect{mark, {Verb: "load", Object: "the snapshot's tables, rows, functions, procedures and views into " + s.C.Target.Name(), Detail: "definitions are compiled there before a row moves"}}
		return p, nil
	}
	if err != nil {
		return p, err
	}
	state, err := s.C.Target.Look(ctx, snap.Schemas)
	if err != nil {
		return p, transient(err)
	}
	if err := ours(s, &state, snap); err != nil {
		return p, err
	}
	p.Want = Loaded{Snapshot: snap.ID, Digest: snap.Digest, Server: state.Server, Schemas: snap.Schemas, Tables: snap.Tables, Views: snap.Views, Rows: snap.Rows, Bytes: snap.Bytes}
	if state.Phase == dbcopy.PhaseLoaded && state.Objects == snap.Tables+snap.Views {
		if rec.Complete && rec.Out.Server == state.Server && rec.Out.Digest == state.Digest && rec.Out.Routines == state.Routines {
			return migrate.Done(rec.Out), nil
		}
		if state.Routines == snap.Routines { // else Run says which the target doesn't take
			p.Want.Routines = state.Routines
			return migrate.Done(p.Want), nil
		}
	}
	art, err := s.C.Snapshots.Open(ctx, snap.ID, snapshot.MariaDB)
	if err != nil {
		return p, err
	}
	found, err := dbcopy.Preview(art)
	if err != nil {
		return p, err
	}
	if state.Run == "" {
		p.Effects = append(p.Effects, mark)
	}
	p.Effects = append(p.Effects, migrate.Effect{Verb: "load", Object: fmt.Sprintf("snapshot %s: %d tables with %d rows, %d views, %d functions and procedures", snap.ID, snap.Tables, snap.Rows, snap.Views, snap.Routines),
		Detail: fmt.Sprintf("into %s; definitions are compiled there before a row moves", s.C.Target.Name())})
	for _, f := range found {
		switch f.Severity {
		case dbcopy.Rewrite:
			p.Effects = append(p.Effects, migrate.Effect{Verb: "rewrite", Object: f.Object, Detail: f.What})
		case dbcopy.Leave:
			p.Effects = append(p.Effects, migrate.Effect{Verb: "leave out", Object: f.Object, Detail: f.What})
		}
	}
	return p, nil
}

// ours refuses a target that is another's.
func ours[C any](s *migrate.Scope[C], state *dbcopy.State, snap snapshot.Rows) error {
	if state.Run != "" && state.Run != s.Run() {
		return fmt.Errorf("%w: run %s; type slipway rollback %s, or use another instance", dbcopy.ErrOtherRun, state.Run, state.Run)
	}
	if state.Run != "" && state.Digest != snap.Digest {
		return fmt.Errorf("%w: this run loaded snapshot %s (digest %.12s) before, and now has %s (%.12s)", dbcopy.ErrOtherRun, state.ID, state.Digest, snap.ID, snap.Digest)
	}
	if len(state.Foreign) > 0 {
		return fmt.Errorf("the target isn't empty: it has %q, which no load of Slipway made; nothing was changed; use an empty database", state.Foreign)
	}
	return nil
}

// transient marks what is worth another try.
func transient(err error) error {
	if errors.Is(err, dbcopy.ErrLost) || errors.Is(err, snapshot.ErrUnread) {
		return migrate.Transient(err)
	}
	return err
}

func owner[C any](s *migrate.Scope[C]) dbcopy.Owner {
	st := s.Stamp()
	return dbcopy.Owner{Run: st.Run, Fence: st.Fence}
}

// Run loads what isn't loaded yet.
func (st Load) Run(ctx context.Context, s *migrate.Scope[LoadHand], want Loaded) (Loaded, error) {
	art, err := s.C.Snapshots.Open(ctx, want.Snapshot, snapshot.MariaDB)
	if err != nil {
		return want, err
	}
	if art.Digest != want.Digest {
		return want, fmt.Errorf("snapshot %s has digest %.12s, and %.12s was recorded: it is another one: %w", want.Snapshot, art.Digest, want.Digest, snapshot.ErrDamaged)
	}
	out, err := s.C.Target.Load(ctx, art, owner(s), dbcopy.LoadOptions{Workers: st.Workers, DeferBytes: st.DeferBytes, Progress: progress(s, "loading"),
		Moved: func(rows, bytes int64) { s.Moved(migrate.Tally{Rows: rows, Bytes: bytes}) }})
	if err != nil {
		return want, transient(err)
	}
	want.Server, want.Routines, want.NotMade, want.Grants = out.Server, int64(len(out.Routines)), nil, out.Grants
	for _, f := range out.NotMade {
		want.NotMade = append(want.NotMade, f.String())
	}
	return want, nil
}

func progress[C any](s *migrate.Scope[C], doing string) func(dbcopy.Progress) {
	return func(p dbcopy.Progress) {
		s.Progress(migrate.Progress{What: fmt.Sprintf("%s: %s, %d of %d rows", doing, p.Doing, p.Rows, p.TotalRows), Done: p.Bytes, Total: p.TotalBytes, Unit: "bytes"})
	}
}

// Verify looks that the load went through and that what it made is there. The rows are compared by the step after it.
func (st Load) Verify(ctx context.Context, s *migrate.Scope[LoadLook], out Loaded) error {
	state, err := s.C.Target.Look(ctx, out.Schemas)
	if err != nil {
		return transient(err)
	}
	switch {
	case state.Run != s.Run():
		return fmt.Errorf("the target's load is of run %q, and this is run %s", state.Run, s.Run())
	case state.Digest != out.Digest || state.Server != out.Server:
		return fmt.Errorf("server %s has snapshot %s (digest %.12s) loaded, and server %s with %s (%.12s) was recorded", state.Server, state.ID, state.Digest, out.Server, out.Snapshot, out.Digest)
	case state.Phase != dbcopy.PhaseLoaded:
		return fmt.Errorf("the target says that its load is in phase %q", state.Phase)
	case state.Objects != out.Tables+out.Views || len(state.Foreign) > 0:
		return fmt.Errorf("the target has %d of the %d tables and views that were loaded, and %q besides", state.Objects, out.Tables+out.Views, state.Foreign)
	case state.Routines != out.Routines:
		return fmt.Errorf("the target has %d of the %d functions and procedures that were made", state.Routines, out.Routines)
	}
	return nil
}

// Undo drops what this run's load made, and then its mark.
func (st Load) Undo(ctx context.Context, s *migrate.Scope[LoadHand], _ migrate.Recorded[Loaded]) error {
	return transient(s.C.Target.Drop(ctx, owner(s)))
}
