package switchover

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/ddl"
	"github.com/slipway-dev/slipway/internal/dbcopy/follow"
	"github.com/slipway-dev/slipway/internal/dbcopy/freeze"
)

// Fit looks, before a switch is begun, whether the servers are what they were named as, and the target was copied and can be
// followed to: a switch begins by
// locking accounts at whatever it is told is the target. All that is wrong is told at once. It changes nothing.
//
// ErrStandby; dbcopy.ErrKinds, ErrNoSchema, ErrDenied, ErrLogin, ErrLost; follow.ErrNoPosition, ErrNotCopied, and what follow.Fits gives; freeze.ErrOneDomain.
func Fit(ctx context.Context, source dbcopy.Endpoint, standby *dbcopy.Endpoint, target dbcopy.Endpoint, schemas []string) error {
	ss, err := look(ctx, source)
	ts, terr := look(ctx, target)
	bad := []error{err, terr}
	if err == nil && terr == nil {
		if err := dbcopy.Kinds(ss.ServerVersion, ts.ServerVersion); err != nil {
			return err // what else is wrong says nothing then
		}
	}
	if standby != nil && err == nil {
		bad = append(bad, fitStandby(ctx, source, *standby, ss))
	}
	if err == nil {
		bad = append(bad, tables(ctx, source, schemas))
	}
	if terr == nil {
		lacks := tables(ctx, target, schemas)
		bad = append(bad, lacks, follow.Begun(ctx, target))
		if lacks == nil {
			bad = append(bad, follow.Fits(ctx, target, schemas))
		}
	}
	return errors.Join(bad...)
}

func fitStandby(ctx context.Context, source, standby dbcopy.Endpoint, ss server) error {
	bs, err := look(ctx, standby)
	switch {
	case err != nil:
		return err
	case bs.is == ss.is:
		return fmt.Errorf("%s and %s: %w", source.Name, standby.Name, ErrStandby)
	}
	if _, err := freeze.NewMasters(freeze.NewMariaDB(source), freeze.NewMariaDB(standby)).Look(ctx); errors.Is(err, freeze.ErrOneDomain) {
		return err
	}
	return nil // what else keeps them from being frozen, the run says
}

// ErrStandby: the other master is named twice. Name another, or none.
var ErrStandby = errors.New("source and standby are one and the same server")

// server is one, and which process it is.
type server struct {
	dbcopy.ServerVersion
	is [3]string
}

func look(ctx context.Context, ep dbcopy.Endpoint) (s server, err error) {
	s.Name = ep.Name
	err = in(ctx, ep, func(db *sql.DB) error {
		return db.QueryRowContext(ctx, "SELECT VERSION(), @@hostname, @@port, @@pid_file").Scan(&s.Version, &s.is[0], &s.is[1], &s.is[2])
	})
	return s, err
}

// tables: each of the schemas has some. One that has none wasn't copied, or isn't meant.
func tables(ctx context.Context, ep dbcopy.Endpoint, schemas []string) error {
	db, err := ep.Open(dbcopy.TextSession(), 1)
	if err != nil {
		return err
	}
	defer db.Close()
	var bad []error
	for _, s := range schemas {
		const unknown = 1049
		names, err := ask.Column(ctx, db, "SHOW TABLES FROM "+ddl.Quote(s))
		switch {
		case ask.Number(err) == unknown:
			bad = append(bad, fmt.Errorf("%s: schema %s: %w", ep.Name, s, dbcopy.ErrNoSchema))
		case err != nil:
			return ep.Denied(ctx, err, dbcopy.SchemaGrants("SELECT", schemas)...)
		case len(names) == 0:
			bad = append(bad, fmt.Errorf("%s: schema %s: %w with tables", ep.Name, s, dbcopy.ErrNoSchema))
		}
	}
	return errors.Join(bad...)
}
