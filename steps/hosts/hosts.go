package hosts

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/inventory"
	"github.com/slipway-dev/slipway/inventory/scan"
	"github.com/slipway-dev/slipway/migrate"
)

// Preflight reaches all hosts at once, reads their facts and says all that is wrong. Hosts of one role that differ (drift)
// are counted and kept, not refused: a real fleet is uneven, and what matters of it is checked where it matters.
type Preflight struct {
	Inventory *inventory.Inventory
	// Clocks is how far two hosts' clocks may be apart.
	Clocks time.Duration
	Keep   Keep
}

// HostsLooker looks at all hosts: scan.LookAtFleet.
type HostsLooker interface {
	Fleet(ctx context.Context, tell func(done, total int)) (*scan.Fleet, error)
}

// HostsOut is what was found. Digest is scan.Fleet's: of names, releases and versions of services.
type HostsOut struct {
	Hosts  int
	Digest string
	Drift  int // differences between hosts of a role
	Notes  int // what a person should know
}

var _ migrate.Step[HostsLooker, HostsLooker, HostsOut] = Preflight{}

// Spec implements migrate.Step.
func (st Preflight) Spec() migrate.Spec {
	return migrate.Spec{ID: "preflight.hosts", Version: 1, Title: "reach all hosts and read their facts", Timeout: 5 * time.Minute, OnUndoFailure: migrate.GoOn}
}

func (st Preflight) object() string {
	return fmt.Sprintf("%d hosts: %s", len(st.Inventory.Hosts), strings.Join(st.Inventory.Names(), " "))
}

// Plan implements migrate.Step.
func (st Preflight) Plan(ctx context.Context, s *migrate.Scope[HostsLooker], rec migrate.Recorded[HostsOut]) (migrate.Plan[HostsOut], error) {
	if !rec.Complete {
		return migrate.Plan[HostsOut]{Effects: []migrate.Effect{{Verb: "read", Object: st.object(), Detail: "facts over SSH; sshd logs the logins, nothing else changes there"}}}, nil
	}
	f, err := s.C.Fleet(ctx, tell(s))
	if ctx.Err() != nil {
		return migrate.Plan[HostsOut]{}, err
	}
	now := st.out(f)
	now.Drift, now.Notes = rec.Out.Drift, rec.Out.Notes // packages are upgraded and units fail by themselves
	return again(rec.Out, now, st.object(), err), nil
}

// Run implements migrate.Step.
func (st Preflight) Run(ctx context.Context, s *migrate.Scope[HostsLooker], _ HostsOut) (HostsOut, error) {
	f, unread := s.C.Fleet(ctx, tell(s))
	if err := st.Keep.keep(ctx, "hosts", f); err != nil {
		return HostsOut{}, err
	}
	if err := all(unread, f.Problems(st.Inventory, st.Clocks)); err != nil {
		return HostsOut{}, err
	}
	return st.out(f), nil
}

func (st Preflight) out(f *scan.Fleet) HostsOut {
	return HostsOut{Hosts: len(f.Hosts), Digest: f.Digest(), Drift: len(f.Drift), Notes: len(f.Notes())}
}

func tell(s *migrate.Scope[HostsLooker]) func(done, total int) {
	return func(done, total int) {
		s.Progress(migrate.Progress{What: fmt.Sprintf("read facts (%d of %d hosts)", done, total), Done: int64(done), Total: int64(total)})
	}
}

// Verify implements migrate.Step: a second look at everything.
func (st Preflight) Verify(ctx context.Context, s *migrate.Scope[HostsLooker], out HostsOut) error {
	f, unread := s.C.Fleet(ctx, tell(s))
	if err := all(unread, f.Problems(st.Inventory, st.Clocks)); err != nil {
		return err
	}
	if now := st.out(f); now.Hosts != out.Hosts || now.Digest != out.Digest {
		return differs("hosts")
	}
	return nil
}

// Undo implements migrate.Step. There is nothing: it only looked.
func (Preflight) Undo(context.Context, *migrate.Scope[HostsLooker], migrate.Recorded[HostsOut]) error {
	return nil
}
