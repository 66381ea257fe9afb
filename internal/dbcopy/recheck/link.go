package recheck

import (
	"context"
	"errors"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
	"github.com/slipway-dev/slipway/internal/dbcopy/follow"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
)

// Link is the verification between a MariaDB and the MySQL that follows it, for whoever runs it as a service.
type Link struct {
	from    changes.Source
	to      dbcopy.Endpoint
	schemas []string
	room    int // bytes of what is kept of the log
}

// NewLink dials nothing.
func NewLink(maria, my dbcopy.Endpoint, schemas []string) Link {
	return Link{changes.Source{Endpoint: maria, Flavor: value.MariaDB}, my, schemas, roomBytes}
}

// String is for people.
func (l Link) String() string { return "what " + l.to.Name + " follows of " + l.from.Endpoint.Name }

// Tip is where the log that is read ends now.
func (l Link) Tip(ctx context.Context) (changes.Position, error) { return changes.Tip(ctx, l.from) }

// Verified is up to where all that the source committed was compared, by a comparison that began at from and what came after it.
func (l Link) Verified(ctx context.Context, from changes.Position) (changes.Position, error) {
	db, err := l.to.Open(dbcopy.TextSession(), 1)
	if err != nil {
		return from, err
	}
	defer db.Close()
	k, err := read(ctx, db, "")
	switch {
	case errors.Is(err, errNone), err == nil && k.began != follow.Print(from):
		return from, nil
	case err != nil:
		return from, l.to.Explain(err)
	}
	return k.position, nil
}

// Mark is how far a verification is, as it stands at a target.
type Mark struct {
	Began    string           // where the comparison began that it goes on from; as follow.Print writes it
	Position changes.Position // up to where all was compared
	Quiet    time.Duration    // since it was noted
}

// ReadMark reads it; nil: nothing was verified there beyond a comparison.
func ReadMark(ctx context.Context, target dbcopy.Endpoint) (*Mark, error) {
	db, err := target.Open(dbcopy.TextSession(), 1)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	k, err := read(ctx, db, "")
	if errors.Is(err, errNone) {
		return nil, nil
	}
	var micros int64
	if err == nil {
		err = db.QueryRowContext(ctx, "SELECT TIMESTAMPDIFF(MICROSECOND, `noted`, UTC_TIMESTAMP(6)) FROM "+ownTable+" WHERE `stream` = "+ownStream).Scan(&micros)
	}
	if err != nil {
		return nil, target.Denied(ctx, err, dbcopy.OwnGrant("SELECT"))
	}
	return &Mark{k.began, k.position, time.Duration(micros) * time.Microsecond}, nil
}

// Recheck verifies until ctx ends, or until yields a position up to which it verifies; then it returns nil. from is where the comparison began
// that it goes on from. verified is told how far it is and how far behind the follower, about once a second. A row that differs for good ends it with a
// *dbcopy.DifferentError.
func (l Link) Recheck(ctx context.Context, from changes.Position, until <-chan changes.Position, verified func(at changes.Position, lag time.Duration), tell func(string)) error {
	r := &run{Link: l, until: until, verified: verified, tell: tell}
	for {
		err := r.once(ctx, from)
		if !errors.Is(err, errSkipped) {
			return err
		}
	}
}
