package cloudsql

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-dev/slipway/internal/binlog"
	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/snapshot"
	"github.com/slipway-dev/slipway/migrate"
)

// Verify compares every row in the target with what the source's server had in the snapshot. It is a step of its own, and
// not part of the load, so that its time and its outcome stand in the journal and the report: data counts as moved when
// this is done. It only looks.
//
// Whatever writes to the target afterwards lists it in its Ends: it holds for as long as nobody writes.
type Verify struct {
	Snapshot migrate.Ref[snapshot.Rows]
	Load     migrate.Ref[Loaded]
	Workers  int           // connections; 0: dbcopy's default
	Timeout  time.Duration // 0: 24 hours
}

// Verified is what was found to be the same.
type Verified struct {
	Snapshot snapshot.ID  `json:"snapshot"`
	Digest   string       `json:"digest"`  // of the snapshot
	Server   string       `json:"server"`  // the target's server_uuid
	Written  binlog.MySQL `json:"written"` // the target's gtid_executed as the comparison began
	Tables   int64        `json:"tables"`
	Chunks   int64        `json:"chunks"`
	Rows     int64        `json:"rows"`
	Bytes    int64        `json:"bytes"`
}

// Spec is the step's.
func (st Verify) Spec() migrate.Spec {
	return migrate.Spec{ID: "copy.sql-verify", Version: 1, Title: "compare every row in the target with the source's", Timeout: orDefault(st.Timeout), Tries: 5,
		Needs: []migrate.Dep{st.Snapshot.Dep(), st.Load.Dep()}}
}

// Plan takes an earlier comparison for true while nothing has been written to the target since; else it compares again.
func (st Verify) Plan(ctx context.Context, s *migrate.Scope[LoadLook], rec migrate.Recorded[Verified]) (migrate.Plan[Verified], error) {
	var p migrate.Plan[Verified]
	snap, err := migrate.Value(s, st.Snapshot)
	if errors.Is(err, migrate.ErrNotRecorded) { // a plan, before there is a snapshot
		p.Effects = []migrate.Effect{compare("every row of every table", s.C.Target.Name())}
		return p, nil
	}
	if err != nil {
		return p, err
	}
	p.Want = Verified{Snapshot: snap.ID, Digest: snap.Digest}
	p.Effects = []migrate.Effect{compare(fmt.Sprintf("%d rows of %d tables", snap.Rows, snap.Tables), s.C.Target.Name())}
	if !rec.Complete {
		return p, nil
	}
	switch err := st.Verify(ctx, s, rec.Out); {
	case err == nil:
		return migrate.Done(rec.Out), nil
	case differs(err):
		return p, nil // drift: the engine says so
	default:
		return p, err
	}
}

func compare(what, target string) migrate.Effect {
	return migrate.Effect{Verb: "compare", Object: what + " in " + target, Detail: "by checksum with what the source's server computed in the snapshot"}
}

func differs(err error) bool {
	var d *dbcopy.DifferentError
	return errors.As(err, &d) || errors.Is(err, errOtherServer)
}

var errOtherServer = errors.New("it is another server")

// Run compares.
func (st Verify) Run(ctx context.Context, s *migrate.Scope[LoadLook], want Verified) (Verified, error) {
	got, err := st.compare(ctx, s, want)
	if differs(err) {
		return want, fmt.Errorf("%w\nnobody uses it yet; to load it again: slipway rollback %s --to copy.mariadb-snapshot, then slipway resume %s", err, s.Run(), s.Run())
	}
	if err != nil {
		return want, err
	}
	s.Moved(migrate.Tally{Rows: got.Rows, Bytes: got.Bytes})
	want.Server, want.Written, want.Tables, want.Chunks, want.Rows, want.Bytes = got.Server, got.GTID, got.Tables, got.Chunks, got.Rows, got.Bytes
	return want, nil
}

func (st Verify) compare(ctx context.Context, s *migrate.Scope[LoadLook], want Verified) (dbcopy.Verified, error) {
	art, err := s.C.Snapshots.Open(ctx, want.Snapshot, snapshot.MariaDB)
	if err != nil {
		return dbcopy.Verified{}, err
	}
	if art.Digest != want.Digest {
		return dbcopy.Verified{}, fmt.Errorf("snapshot %s has digest %.12s, and %.12s was recorded: it is another one: %w", want.Snapshot, art.Digest, want.Digest, snapshot.ErrDamaged)
	}
	got, err := s.C.Target.Verify(ctx, art, dbcopy.VerifyOptions{Workers: st.Workers, Progress: progress(s, "comparing")})
	if err != nil {
		return dbcopy.Verified{}, transient(err)
	}
	return got, nil
}

// Verify holds when nothing was written to the target since the comparison began, which its GTID set tells exactly, or when
// a new comparison finds no difference.
func (st Verify) Verify(ctx context.Context, s *migrate.Scope[LoadLook], out Verified) error {
	snap, err := migrate.Value(s, st.Snapshot)
	if err != nil {
		return err
	}
	state, err := s.C.Target.Look(ctx, snap.Schemas)
	if err != nil {
		return transient(err)
	}
	if state.Server != out.Server {
		return fmt.Errorf("server %s was compared, and %s is there now: %w", out.Server, state.Server, errOtherServer)
	}
	// A server that logs nothing has an empty set, which says nothing.
	if order, err := out.Written.Compare(state.GTID); err == nil && order == binlog.Same && !state.GTID.IsZero() {
		return nil
	}
	_, err = st.compare(ctx, s, out)
	return err
}

// Undo has nothing to take back.
func (st Verify) Undo(context.Context, *migrate.Scope[LoadLook], migrate.Recorded[Verified]) error {
	return nil
}
