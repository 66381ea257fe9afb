package cloudsql

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-multierror"

	"github.com/slipway-dev/slipway/internal/errlist"
	"github.com/slipway-dev/slipway/internal/google"
	"github.com/slipway-dev/slipway/migrate"
)

// Database makes the empty schemas that the rows are loaded into.
type Database struct {
	Instance  migrate.Ref[google.Instance]
	Names     []string // in the order in which they are made
	Charset   string   // "utf8mb4"
	Collation string   // "utf8mb4_0900_ai_ci"
}

// DatabaseOut are the schemas that were made.
type DatabaseOut struct {
	Instance string
	Names    []string
}

// Spec is the step's.
func (st Database) Spec() migrate.Spec {
	return migrate.Spec{ID: "standup.sql-database", Version: 1, Title: "make the databases", Timeout: 20 * time.Minute,
		Needs: []migrate.Dep{st.Instance.Dep()}}
}

func (st Database) effect(name string) migrate.Effect {
	return migrate.Effect{Verb: "create", Object: "database " + name, Detail: st.Charset + ", " + st.Collation}
}

// Plan looks for the schemas. The instance is this run's own, so one that is there is what an earlier attempt made.
func (st Database) Plan(ctx context.Context, s *migrate.Scope[AdminLook], rec migrate.Recorded[DatabaseOut]) (migrate.Plan[DatabaseOut], error) {
	p := migrate.Plan[DatabaseOut]{Want: DatabaseOut{Names: st.Names}}
	if len(st.Names) == 0 {
		return p, errors.New("no database is named: there is nothing to load the rows into")
	}
	inst, err := migrate.Value(s, st.Instance)
	if errors.Is(err, migrate.ErrNotRecorded) { // a plan, before there is an instance
		for _, name := range st.Names {
			p.Effects = append(p.Effects, st.effect(name))
		}
		return p, nil
	}
	if err != nil {
		return p, err
	}
	p.Want.Instance = inst.Name
	missing, err := st.missing(ctx, s, inst.Name)
	if err != nil {
		return p, err
	}
	if len(missing) == 0 && rec.Attempts > 0 {
		return migrate.Done(p.Want), nil
	}
	for _, name := range missing {
		p.Effects = append(p.Effects, st.effect(name))
	}
	return p, nil
}

// missing are the schemas that aren't there yet. One that is there with another character set or collation is an error.
func (st Database) missing(ctx context.Context, s *migrate.Scope[AdminLook], instance string) ([]string, error) {
	all, err := s.C.Databases(ctx, instance)
	if err != nil {
		return nil, err
	}
	have := make(map[string]google.Database, len(all))
	for _, d := range all {
		have[d.Name] = d
	}
	var errs *multierror.Error
	var out []string
	for _, name := range st.Names {
		d, there := have[name]
		if !there {
			out = append(out, name)
		} else if d.Charset != st.Charset || d.Collation != st.Collation {
			errs = multierror.Append(errs, fmt.Errorf("database %s of instance %s is %s, %s, not %s, %s: %w", name, instance, d.Charset, d.Collation, st.Charset, st.Collation, google.ErrExists))
		}
	}
	return out, errlist.OrNil(errs)
}

// Run makes them, one after the other: an instance takes one operation at a time. One that is there as wanted is left as it is.
func (st Database) Run(ctx context.Context, s *migrate.Scope[AdminMake], want DatabaseOut) (DatabaseOut, error) {
	for _, name := range want.Names {
		if err := s.C.CreateDatabase(ctx, want.Instance, google.Database{Name: name, Charset: st.Charset, Collation: st.Collation}, s.Tell); err != nil {
			return want, err
		}
	}
	return want, nil
}

// Verify: they are there with their character set and collation.
func (st Database) Verify(ctx context.Context, s *migrate.Scope[AdminLook], out DatabaseOut) error {
	missing, err := st.missing(ctx, s, out.Instance)
	if err != nil {
		return err
	}
	var errs *multierror.Error
	for _, name := range missing {
		errs = multierror.Append(errs, fmt.Errorf("database %s isn't on instance %s", name, out.Instance))
	}
	return errlist.OrNil(errs)
}

// Undo drops them, with all that was loaded into them, if their instance carries this run's stamp.
func (st Database) Undo(ctx context.Context, s *migrate.Scope[AdminMake], rec migrate.Recorded[DatabaseOut]) error {
	var errs *multierror.Error
	for _, name := range rec.Want.Names {
		if err := s.C.DeleteDatabase(ctx, rec.Want.Instance, name, s.Tell); err != nil {
			errs = multierror.Append(errs, err)
		}
	}
	return errlist.OrNil(errs)
}
