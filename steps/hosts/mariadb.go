package hosts

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/inventory"
	"github.com/slipway-dev/slipway/inventory/scan"
	"github.com/slipway-dev/slipway/migrate"
)

// MariaDB looks whether the database servers replicate and are set up so that their writes can be followed.
type MariaDB struct {
	Inventory    *inventory.Inventory
	SnapshotFrom string   // host
	Databases    []string // that move
	Keep         Keep
}

// MariaDBLooker looks at all MariaDB servers: scan.LookAtDatabases.
type MariaDBLooker interface {
	Databases(ctx context.Context) ([]scan.Database, error)
}

// MariaDBOut is what was found. Digest is scan.DatabasesDigest's: of versions and ids.
type MariaDBOut struct {
	Servers      int
	SnapshotFrom string
	Version      string // of that server
	Digest       string
}

var _ migrate.Step[MariaDBLooker, MariaDBLooker, MariaDBOut] = MariaDB{}

// Spec implements migrate.Step.
func (st MariaDB) Spec() migrate.Spec {
	return migrate.Spec{ID: "preflight.mariadb", Version: 1, Title: "look at MariaDB's replication and binary logs", Timeout: 2 * time.Minute, OnUndoFailure: migrate.GoOn}
}

func (st MariaDB) object() string {
	var names []string
	for _, h := range st.Inventory.With(inventory.DB) {
		names = append(names, h.Name)
	}
	return fmt.Sprintf("MariaDB on %s", strings.Join(names, " "))
}

// Plan implements migrate.Step.
func (st MariaDB) Plan(ctx context.Context, s *migrate.Scope[MariaDBLooker], rec migrate.Recorded[MariaDBOut]) (migrate.Plan[MariaDBOut], error) {
	if !rec.Complete {
		return migrate.Plan[MariaDBOut]{Effects: []migrate.Effect{{Verb: "read", Object: st.object(), Detail: "settings, grants and replication's state, in a session that is read only; nothing changes there"}}}, nil
	}
	dbs, err := s.C.Databases(ctx)
	if ctx.Err() != nil {
		return migrate.Plan[MariaDBOut]{}, err
	}
	return again(rec.Out, st.out(dbs), st.object(), err), nil
}

// Run implements migrate.Step.
func (st MariaDB) Run(ctx context.Context, s *migrate.Scope[MariaDBLooker], _ MariaDBOut) (MariaDBOut, error) {
	s.Progress(migrate.Progress{What: "ask " + st.object()})
	dbs, unread := s.C.Databases(ctx)
	if err := st.Keep.keep(ctx, "mariadb", dbs); err != nil {
		return MariaDBOut{}, err
	}
	if err := all(unread, scan.DatabaseProblems(st.Inventory, dbs, st.SnapshotFrom, st.Databases)); err != nil {
		return MariaDBOut{}, err
	}
	return st.out(dbs), nil
}

func (st MariaDB) out(dbs []scan.Database) MariaDBOut {
	out := MariaDBOut{Servers: len(dbs), SnapshotFrom: st.SnapshotFrom, Digest: scan.DatabasesDigest(dbs)}
	for _, d := range dbs {
		if d.Host == st.SnapshotFrom {
			out.Version = d.Version
		}
	}
	return out
}

// Verify implements migrate.Step: a second look at everything.
func (st MariaDB) Verify(ctx context.Context, s *migrate.Scope[MariaDBLooker], out MariaDBOut) error {
	dbs, unread := s.C.Databases(ctx)
	if err := all(unread, scan.DatabaseProblems(st.Inventory, dbs, st.SnapshotFrom, st.Databases)); err != nil {
		return err
	}
	if st.out(dbs) != out {
		return differs("mariadb")
	}
	return nil
}

// Undo implements migrate.Step. There is nothing: it only looked.
func (MariaDB) Undo(context.Context, *migrate.Scope[MariaDBLooker], migrate.Recorded[MariaDBOut]) error {
	return nil
}
