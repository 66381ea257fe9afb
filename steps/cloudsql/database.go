package cloudsql

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-dev/slipway/internal/google"
	"github.com/slipway-dev/slipway/migrate"
)

// Database makes the empty schema that the rows are loaded into.
type Database struct {
	Instance  migrate.Ref[google.Instance]
	Name      string
	Charset   string // "utf8mb4"
	Collation string // "utf8mb4_0900_ai_ci"
}

// DatabaseOut is the schema that was made.
type DatabaseOut struct {
	Instance string
	Name     string
}

// Spec is the step's.
func (st Database) Spec() migrate.Spec {
	return migrate.Spec{ID: "standup.sql-database", Version: 1, Title: "make the database", Timeout: 20 * time.Minute,
		Needs: []migrate.Dep{st.Instance.Dep()}}
}

func (st Database) effect() migrate.Effect {
	return migrate.Effect{Verb: "create", Object: "database " + st.Name, Detail: st.Charset + ", " + st.Collation}
}

// Plan looks for the schema.
func (st Database) Plan(ctx context.Context, s *migrate.Scope[AdminLook], rec migrate.Recorded[DatabaseOut]) (migrate.Plan[DatabaseOut], error) {
	p := migrate.Plan[DatabaseOut]{Want: DatabaseOut{Name: st.Name}, Effects: []migrate.Effect{st.effect()}}
	inst, err := migrate.Value(s, st.Instance)
	if errors.Is(err, migrate.ErrNotRecorded) { // a plan, before there is an instance
		return p, nil
	}
	if err != nil {
		return p, err
	}
	p.Want.Instance = inst.Name
	have, err := st.find(ctx, s, inst.Name)
	if err != nil {
		return p, err
	}
	if have && rec.Attempts > 0 {
		return migrate.Done(p.Want), nil
	}
	return p, nil
}

func (st Database) find(ctx context.Context, s *migrate.Scope[AdminLook], instance string) (bool, error) {
	all, err := s.C.Databases(ctx, instance)
	if err != nil {
		return false, err
	}
	for _, d := range all {
		if d.Name != st.Name {
			continue
		}
		if d.Charset != st.Charset || d.Collation != st.Collation {
			return true, fmt.Errorf("database %s of instance %s is %s, %s, not %s, %s: %w", st.Name, instance, d.Charset, d.Collation, st.Charset, st.Collation, google.ErrExists)
		}
		return true, nil
	}
	return false, nil
}

// Run makes it.
func (st Database) Run(ctx context.Context, s *migrate.Scope[AdminMake], want DatabaseOut) (DatabaseOut, error) {
	return want, s.C.CreateDatabase(ctx, want.Instance, google.Database{Name: want.Name, Charset: st.Charset, Collation: st.Collation}, s.Tell)
}

// Verify: it is there with its character set and collation.
func (st Database) Verify(ctx context.Context, s *migrate.Scope[AdminLook], out DatabaseOut) error {
	have, err := st.find(ctx, s, out.Instance)
	if err == nil && !have {
		err = fmt.Errorf("database %s isn't on instance %s", out.Name, out.Instance)
	}
	return err
}

// Undo drops it, with all that was loaded into it, if its instance carries this run's stamp.
func (st Database) Undo(ctx context.Context, s *migrate.Scope[AdminMake], rec migrate.Recorded[DatabaseOut]) error {
	return s.C.DeleteDatabase(ctx, rec.Want.Instance, rec.Want.Name, s.Tell)
}
