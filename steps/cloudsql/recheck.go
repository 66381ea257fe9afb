package cloudsql

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
	"github.com/slipway-dev/slipway/internal/dbcopy/follow"
	"github.com/slipway-dev/slipway/migrate"
)

// RecheckLook looks at a verification that goes on after a comparison: recheck.Link has more.
type RecheckLook interface {
	// String says what is verified.
	String() string
	// Tip is where the log that it reads ends now.
	Tip(ctx context.Context) (changes.Position, error)
	// Verified is up to where all was compared, by a comparison that began at from and what came after it.
	Verified(ctx context.Context, from changes.Position) (changes.Position, error)
}

// RecheckAct verifies, too.
type RecheckAct interface {
	RecheckLook
	// Recheck compares what is changed once the follower has it, until ctx ends or until yields where to stop.
	Recheck(ctx context.Context, from changes.Position, until <-chan changes.Position, verified func(at changes.Position, lag time.Duration), tell func(string)) error
}

type onlyRecheck struct{ RecheckLook }

// OnlyRecheck closes a looker that can do more.
func OnlyRecheck(l RecheckLook) RecheckLook { return onlyRecheck{l} }

// Recheck is the service that goes on from where the comparison began: it compares each row that the source has changed since. Its position
// is at the target.
type Recheck struct {
	Compared migrate.Ref[Compared]
}

// Spec is the service's.
func (sv Recheck) Spec() migrate.Spec {
	return migrate.Spec{ID: "follow.recheck", Version: 1, Title: "compare each row that is changed, once the target has it", Needs: []migrate.Dep{sv.Compared.Dep()}, OnRollback: migrate.Stop, Timeout: time.Hour}
}

// from is where the comparison began.
func from[C any](sv Recheck, s *migrate.Scope[C]) (at changes.Position, err error) {
	c, err := migrate.Value(s, sv.Compared)
	if err != nil {
		return at, err
	}
	if at, err = follow.ParsePosition(c.Position); err != nil {
		return at, fmt.Errorf("where the comparison began: %w", err)
	}
	return at, nil
}

// Plan says from where it goes on.
func (sv Recheck) Plan(ctx context.Context, s *migrate.Scope[RecheckLook], _ migrate.Recorded[changes.Position]) (p migrate.Plan[changes.Position], err error) {
	began, err := from(sv, s)
	if errors.Is(err, migrate.ErrNotRecorded) {
		p.Effects = []migrate.Effect{{Verb: "verify", Object: s.C.String(), Detail: "from where the comparison began"}}
		return p, nil
	}
	if err != nil {
		return p, err
	}
	if p.Want, err = s.C.Verified(ctx, began); err != nil {
		return p, err
	}
	p.Effects = []migrate.Effect{{Verb: "verify", Object: s.C.String(), Detail: "from " + follow.Print(p.Want)}}
	return p, nil
}

// Follow verifies; see RecheckAct.
func (sv Recheck) Follow(ctx context.Context, s *migrate.Scope[RecheckAct], f *migrate.Feed[changes.Position]) error {
	began, err := from(sv, s)
	if err != nil {
		return err
	}
	err = s.C.Recheck(ctx, began, f.Until(), f.Applied, func(what string) { s.Progress(migrate.Progress{What: what}) })
	if d := (*dbcopy.DifferentError)(nil); errors.As(err, &d) {
		return fmt.Errorf("%w; the source changed it, and the follower has passed that: find out who wrote there, then, while a process carries the run, type slipway db verify --repair", err)
	}
	return err
}

// Tip is where the log ends now.
func (sv Recheck) Tip(ctx context.Context, s *migrate.Scope[RecheckLook]) (changes.Position, error) {
	return s.C.Tip(ctx)
}

// Verify holds when all up to a position was compared.
func (sv Recheck) Verify(ctx context.Context, s *migrate.Scope[RecheckLook], at changes.Position) error {
	began, err := from(sv, s)
	if err != nil {
		return err
	}
	is, err := s.C.Verified(ctx, began)
	if err != nil {
		return err
	}
	all, err := follow.Covers(is, at)
	if err == nil && !all {
		err = fmt.Errorf("%s: it was to be verified up to %s, and is up to %s", s.C.String(), follow.Print(at), follow.Print(is))
	}
	return err
}

// Undo leaves the position where it is: it is true, and whoever goes on begins there.
func (sv Recheck) Undo(context.Context, *migrate.Scope[RecheckAct], migrate.Recorded[changes.Position]) error {
	return nil
}
