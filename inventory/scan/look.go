package scan

import (
	"context"
	"errors"
	"sync"

	"github.com/hashicorp/go-multierror"

	"github.com/slipway-dev/slipway/internal/errlist"
)

// FleetLooker looks at all hosts and does nothing else.
type FleetLooker struct{ s Source }

// LookAtFleet opens one.
func LookAtFleet(s Source) FleetLooker { return FleetLooker{s} }

// Fleet is Source.Fleet.
func (l FleetLooker) Fleet(ctx context.Context, tell func(done, total int)) (*Fleet, error) {
	return l.s.Fleet(ctx, tell)
}

// DatabaseLooker looks at the MariaDB servers and does nothing else.
type DatabaseLooker struct {
	s Source
	a Account
}

// LookAtDatabases opens one.
func LookAtDatabases(s Source, a Account) DatabaseLooker { return DatabaseLooker{s, a} }

// Databases is Source.Databases.
func (l DatabaseLooker) Databases(ctx context.Context) ([]Database, error) {
	return l.s.Databases(ctx, l.a)
}

// VolumeLooker looks at one Gluster volume and does nothing else.
type VolumeLooker struct {
	s      Source
	volume string
}

// LookAtVolume opens one.
func LookAtVolume(s Source, volume string) VolumeLooker { return VolumeLooker{s, volume} }

// Volume is Source.Gluster.
func (l VolumeLooker) Volume(ctx context.Context) (*Volume, error) { return l.s.Gluster(ctx, l.volume) }

// Report is all that a scan finds. What could not be read is not in it.
type Report struct {
	Fleet     *Fleet     `json:"fleet"`
	Databases []Database `json:"databases"`
	Volume    *Volume    `json:"volume,omitempty"`
}

// All scans hosts, databases and the volume side by side. The error has all that could not be read; the report is there
// all the same.
func (s Source) All(ctx context.Context, a Account, volume string, tell func(done, total int)) (*Report, error) {
	var r Report
	var errs [3]error
	var wg sync.WaitGroup
	wg.Go(func() { r.Fleet, errs[0] = s.Fleet(ctx, tell) })
	wg.Go(func() { r.Databases, errs[1] = s.Databases(ctx, a) })
	wg.Go(func() { r.Volume, errs[2] = s.Gluster(ctx, volume) })
	wg.Wait()
	return &r, Join(errs[:]...)
}

// Join makes one list of errors that may be lists, without what is there twice: a host that is down fails every question.
func Join(errs ...error) error {
	var all *multierror.Error
	seen := map[string]bool{}
	for _, err := range errs {
		var several *multierror.Error
		list := []error{err}
		if errors.As(err, &several) {
			list = several.Errors
		}
		for _, e := range list {
			if e != nil && !seen[e.Error()] {
				seen[e.Error()] = true
				all = multierror.Append(all, e)
			}
		}
	}
	return errlist.OrNil(all)
}
