// Package stream has the service that follows one database's log to another, there or back. It must not import another step
// package; what it knows of logs and rows is in internal/dbcopy/follow.
package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
	"github.com/slipway-dev/slipway/internal/dbcopy/follow"
	"github.com/slipway-dev/slipway/migrate"
)

// Look looks at one direction: follow.Link has more. begin is where the stream began, nil for the way there.
type Look interface {
	// String says from where to where.
	String() string
	// Tip is where the log that is followed ends now.
	Tip(ctx context.Context) (changes.Position, error)
	// Applied is how far it has been applied; follow.ErrNoStream when it hasn't begun.
	Applied(ctx context.Context, begin *changes.Position) (changes.Position, error)
}

// Act follows, too.
type Act interface {
	Look
	// Follow applies each transaction exactly once, until ctx ends or until yields where to stop.
	Follow(ctx context.Context, begin *changes.Position, until <-chan changes.Position, applied func(at changes.Position, lag time.Duration), tell func(string)) error
}

type onlyLook struct{ Look }

// OnlyLook closes a looker that can do more.
func OnlyLook(l Look) Look { return onlyLook{l} }

// Follow is the service. Its position is in the database that follows, in the transactions of the rows.
type Follow struct {
	ID    migrate.StepID
	Title string
	// Begin is where a way back begins: before the first write. Nil for the way there, which begins where the copy stands.
	Begin *migrate.Ref[changes.Position]
	// Back is how it ends when the run goes back: a way back is drained, a way there is no more than stopped.
	Back migrate.StopPolicy
}

// Spec is the service's.
func (sv Follow) Spec() migrate.Spec {
	s := migrate.Spec{ID: sv.ID, Version: 1, Title: sv.Title, OnRollback: sv.Back, Timeout: time.Hour}
	if sv.Begin != nil {
		s.Needs = []migrate.Dep{sv.Begin.Dep()}
	}
	return s
}

// begin is where the stream began.
func begin[C any](sv Follow, s *migrate.Scope[C]) (*changes.Position, error) {
	if sv.Begin == nil {
		return nil, nil
	}
	at, err := migrate.Value(s, *sv.Begin)
	if err != nil {
		return nil, err
	}
	return &at, nil
}

// Plan says from where it follows.
func (sv Follow) Plan(ctx context.Context, s *migrate.Scope[Look], _ migrate.Recorded[changes.Position]) (migrate.Plan[changes.Position], error) {
	var p migrate.Plan[changes.Position]
	from, err := begin(sv, s)
	if errors.Is(err, migrate.ErrNotRecorded) {
		p.Effects = []migrate.Effect{{Verb: "follow", Object: s.C.String(), Detail: "from before the first write"}}
		return p, nil
	}
	if err != nil {
		return p, err
	}
	at, err := s.C.Applied(ctx, from)
	where := "from " + follow.Print(at)
	switch {
	case errors.Is(err, follow.ErrNoStream) && from == nil:
		where = "from where the copy stands"
	case errors.Is(err, follow.ErrNoStream):
		at, where = *from, "from "+follow.Print(*from)
	case err != nil:
		return p, err
	}
	p.Want = at
	p.Effects = []migrate.Effect{{Verb: "follow", Object: s.C.String(), Detail: where}}
	return p, nil
}

// Follow follows; see Act.
func (sv Follow) Follow(ctx context.Context, s *migrate.Scope[Act], f *migrate.Feed[changes.Position]) error {
	from, err := begin(sv, s)
	if err != nil {
		return err
	}
	err = s.C.Follow(ctx, from, f.Until(), f.Applied, func(what string) { s.Progress(migrate.Progress{What: what}) })
	if stop := (*changes.StopError)(nil); errors.As(err, &stop) && stop.GTID != "" && stop.End.String() != "" {
		if sv.Begin == nil {
			return fmt.Errorf("%w; do at the target by hand what it did, then type slipway db follow --skip-ddl %s", err, stop.GTID)
		}
		return fmt.Errorf("%w; do at the source by hand what it did, then type slipway db follow --way-back --skip-ddl %s", err, stop.GTID)
	}
	return err
}

// Tip is where the log ends now.
func (sv Follow) Tip(ctx context.Context, s *migrate.Scope[Look]) (changes.Position, error) {
	return s.C.Tip(ctx)
}

// Verify holds when what is applied is exactly what was before at.
func (sv Follow) Verify(ctx context.Context, s *migrate.Scope[Look], at changes.Position) error {
	from, err := begin(sv, s)
	if err != nil {
		return err
	}
	is, err := s.C.Applied(ctx, from)
	if err != nil {
		return err
	}
	all, err := follow.Covers(is, at)
	if err != nil {
		return err
	}
	if !all {
		return fmt.Errorf("%s: all up to %s was to be applied, and it stands at %s", s.C.String(), follow.Print(at), follow.Print(is))
	}
	none, err := follow.Covers(at, is)
	if err != nil {
		return err
	}
	if !none {
		return fmt.Errorf("%s: it was to stop at %s, and stands at %s", s.C.String(), follow.Print(at), follow.Print(is))
	}
	return nil
}

// Undo leaves the position where it is: it is true, and whoever follows again goes on there.
func (sv Follow) Undo(context.Context, *migrate.Scope[Act], migrate.Recorded[changes.Position]) error {
	return nil
}
