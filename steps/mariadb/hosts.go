package mariadb

import (
	"context"
	"strings"

	"github.com/slipway-dev/slipway/internal/dbcopy/freeze"
	"github.com/slipway-dev/slipway/internal/dbhost"
	"github.com/slipway-dev/slipway/migrate"
)

// DiskLook looks at what the masters come up with after a restart: *freeze.Masters and *dbhost.Looker together.
type DiskLook interface {
	// Look says on which host each master runs.
	Look(ctx context.Context) ([]freeze.State, error)
	// Hosts are what messages call the hosts, in the order of the masters.
	Hosts() []string
	// Ready tells all that would keep a run's file from being written there, or from counting.
	Ready(ctx context.Context, servers []string, run string) ([]dbhost.Options, error)
}

type onlyDisk struct{ DiskLook }

// OnlyDisk closes a looker that can do more.
func OnlyDisk(l DiskLook) DiskLook { return onlyDisk{l} }

// Hosts looks, while there is time, whether what is frozen can be kept frozen on disk.
type Hosts struct{}

// HostsOut is what was seen.
type HostsOut struct {
	Paths []string `json:"paths"` // of the files to come, by master
}

// Spec is the step's.
func (Hosts) Spec() migrate.Spec {
	return migrate.Spec{ID: "follow.hosts", Version: 1, Title: "look whether the source stays frozen when its hosts restart"}
}

// Plan looks once a run.
func (Hosts) Plan(_ context.Context, s *migrate.Scope[DiskLook], rec migrate.Recorded[HostsOut]) (migrate.Plan[HostsOut], error) {
	if rec.Complete {
		return migrate.Done(rec.Out), nil
	}
	return migrate.Plan[HostsOut]{Effects: []migrate.Effect{{Verb: "look", Object: "at " + strings.Join(s.C.Hosts(), ", "), Detail: "MariaDB's option files, whether one can be added"}}}, nil
}

// Run looks, and tells all that is wrong at once.
func (Hosts) Run(ctx context.Context, s *migrate.Scope[DiskLook], out HostsOut) (HostsOut, error) {
	states, err := s.C.Look(ctx)
	if err != nil {
		return out, err
	}
	names := make([]string, len(states))
	for i, x := range states {
		names[i] = x.Host
	}
	all, err := s.C.Ready(ctx, names, s.Run())
	for _, o := range all {
		out.Paths = append(out.Paths, o.Host+":"+o.Path())
	}
	return out, err
}

// Verify has nothing to look at: the freeze looks again.
func (Hosts) Verify(context.Context, *migrate.Scope[DiskLook], HostsOut) error { return nil }

// Undo has nothing to take back.
func (Hosts) Undo(context.Context, *migrate.Scope[DiskLook], migrate.Recorded[HostsOut]) error {
	return nil
}
