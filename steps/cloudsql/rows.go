package cloudsql

import (
	"context"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/snapshot"
)

// Artifacts is the store of snapshots, for reading: *snapshot.Store has more.
type Artifacts interface {
	Open(ctx context.Context, id snapshot.ID, p snapshot.Part) (*snapshot.Artifact, error)
}

// RowsLook looks at a target's tables and rows: *dbcopy.Target has more.
type RowsLook interface {
	// Name is what messages call the target.
	Name() string
	// Look reads what is in the schemas, and whose load it is.
	Look(ctx context.Context, schemas []string) (dbcopy.State, error)
	// Verify compares every row with an artifact; *dbcopy.DifferentError.
	Verify(ctx context.Context, art *snapshot.Artifact, o dbcopy.VerifyOptions) (dbcopy.Verified, error)
}

// RowsLoad fills a target, and drops what it made: *dbcopy.Target.
type RowsLoad interface {
	RowsLook
	// Load goes on where an earlier attempt of the same owner stopped; each chunk goes in exactly once.
	Load(ctx context.Context, art *snapshot.Artifact, own dbcopy.Owner, o dbcopy.LoadOptions) (dbcopy.Loaded, error)
	// Drop removes what the owner's load made and nothing else; that there is none is fine.
	Drop(ctx context.Context, own dbcopy.Owner) error
}

type (
	onlyArtifacts struct{ Artifacts }
	onlyRows      struct{ RowsLook }
)

// OnlyArtifacts closes a store that can do more.
func OnlyArtifacts(a Artifacts) Artifacts { return onlyArtifacts{a} }

// OnlyRows closes a target that can do more.
func OnlyRows(r RowsLook) RowsLook { return onlyRows{r} }

// NoRows is the target before there is one: empty.
func NoRows() RowsLook { return noRows{} }

type noRows struct{}

func (noRows) Name() string { return "the new instance" }

func (noRows) Look(context.Context, []string) (dbcopy.State, error) { return dbcopy.State{}, nil }

func (noRows) Verify(context.Context, *snapshot.Artifact, dbcopy.VerifyOptions) (dbcopy.Verified, error) {
	return dbcopy.Verified{}, errNoTarget
}

// LoadLook is what the steps that fill and verify a target look with.
type LoadLook struct {
	Snapshots Artifacts
	Target    RowsLook
}

// NewLook joins the two, for migrate.BothEyes.
func NewLook(a Artifacts, r RowsLook) LoadLook { return LoadLook{a, r} }

// LoadHand is what fills a target.
type LoadHand struct {
	Snapshots Artifacts
	Target    RowsLoad
}

// NewHand joins the two, for migrate.With.
func NewHand(a Artifacts, r RowsLoad) LoadHand { return LoadHand{a, r} }
