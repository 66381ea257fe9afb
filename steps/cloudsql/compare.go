package cloudsql

import (
	"context"
	"fmt"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/migrate"
)

// CompareLook compares two living servers: *switchover.Pair has more.
type CompareLook interface {
	// Name is what messages call the target.
	Name() string
	// Compare compares every row of every table, while the target follows.
	Compare(ctx context.Context, tell func(dbcopy.CompareProgress)) (dbcopy.Comparison, error)
}

type onlyCompare struct{ CompareLook }

// OnlyCompare closes a looker that can do more.
func OnlyCompare(l CompareLook) CompareLook { return onlyCompare{l} }

// CompareID is the step's id.
const CompareID migrate.StepID = "follow.compare"

// Compare compares every row while the target follows. It only looks.
type Compare struct {
	Follow  migrate.Dep
	Timeout time.Duration // 0: 24 hours
}

// Compared is what was found to be the same.
type Compared struct {
	Position string    `json:"position"` // the source's when it began: all written until there was compared
	Ended    time.Time `json:"ended"`
	Tables   int64     `json:"tables"`
	Rows     int64     `json:"rows"`
	Bytes    int64     `json:"bytes"`
}

// Spec is the step's.
func (st Compare) Spec() migrate.Spec {
	return migrate.Spec{ID: CompareID, Version: 1, Title: "compare every row while the target follows", Needs: []migrate.Dep{st.Follow}, Timeout: orDefault(st.Timeout), Tries: 3}
}

// Plan takes a comparison that was made for true: it says of what was written until then that it was the same.
func (st Compare) Plan(_ context.Context, s *migrate.Scope[CompareLook], rec migrate.Recorded[Compared]) (migrate.Plan[Compared], error) {
	if rec.Complete {
		return migrate.Done(rec.Out), nil
	}
	return migrate.Plan[Compared]{Effects: []migrate.Effect{{Verb: "compare", Object: "every row of every table in " + s.C.Name(), Detail: "by checksum, with the source, while it follows"}}}, nil
}

// Run compares.
func (st Compare) Run(ctx context.Context, s *migrate.Scope[CompareLook], _ Compared) (Compared, error) {
	c, err := s.C.Compare(ctx, func(p dbcopy.CompareProgress) {
		what := "comparing"
		if p.Again > 0 {
			what = fmt.Sprintf("comparing; %d rows that are changing are looked at again", p.Again)
		}
		s.Progress(migrate.Progress{What: what, Done: p.Rows, Total: p.TotalRows, Unit: "rows"})
	})
	if err != nil {
		return Compared{}, transient(err)
	}
	if !c.Same() {
		return Compared{}, fmt.Errorf("%s differs from the source in %d rows or objects; the first: %s; find out who wrote there, then type slipway db verify --repair, and resume", s.C.Name(), c.Different, c.Found[0])
	}
	s.Moved(migrate.Tally{Rows: c.Rows, Bytes: c.Bytes})
	return Compared{Position: c.Position, Ended: c.Began.Add(c.Took).Truncate(time.Second), Tables: c.Tables, Rows: c.Rows, Bytes: c.Bytes}, nil
}

// Verify has nothing to look at: rows have been written since.
func (st Compare) Verify(context.Context, *migrate.Scope[CompareLook], Compared) error { return nil }

// Undo has nothing to take back.
func (st Compare) Undo(context.Context, *migrate.Scope[CompareLook], migrate.Recorded[Compared]) error {
	return nil
}
