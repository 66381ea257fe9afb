package mariadb

import (
	"context"
	"fmt"
	"strings"

	"github.com/hashicorp/go-multierror"

	"github.com/slipway-dev/slipway/internal/dbcopy/freeze"
	"github.com/slipway-dev/slipway/internal/errlist"
	"github.com/slipway-dev/slipway/migrate"
)

// ReadyLook looks whether the masters can be frozen, and their freeze undone: *freeze.Masters has more.
type ReadyLook interface {
	Names() []string
	Look(ctx context.Context) ([]freeze.State, error)
	// Lacks names the privileges that Slipway's account lacks, by master.
	Lacks(ctx context.Context) ([][]string, error)
	// Standing says why a master doesn't apply what the other one logs, by master.
	Standing(ctx context.Context) ([]string, error)
	// Timers are how each stands with timers.
	Timers(ctx context.Context) ([]freeze.TimerState, error)
}

type onlyReady struct{ ReadyLook }

// OnlyReady closes a looker that can do more.
func OnlyReady(l ReadyLook) ReadyLook { return onlyReady{l} }

// Ready looks, while there is time, for what would keep the freeze from being done, or undone, on the night.
type Ready struct {
	Timer bool // the masters will have timers
}

// ReadyOut is what was seen.
type ReadyOut struct {
	Versions []string `json:"versions"` // by master
	Above    int      `json:"above"`    // accounts that write in spite of read_only, and will be locked
}

// Spec is the step's.
func (Ready) Spec() migrate.Spec {
	return migrate.Spec{ID: "follow.masters", Version: 1, Title: "look whether the source can be frozen"}
}

// Plan looks once a run: the freeze looks for itself.
func (Ready) Plan(_ context.Context, s *migrate.Scope[ReadyLook], rec migrate.Recorded[ReadyOut]) (migrate.Plan[ReadyOut], error) {
	if rec.Complete {
		return migrate.Done(rec.Out), nil
	}
	return migrate.Plan[ReadyOut]{Effects: []migrate.Effect{{Verb: "look", Object: "at " + strings.Join(s.C.Names(), ", "), Detail: "who may write, prepared transactions, replication, Slipway's privileges"}}}, nil
}

// Run looks, and tells all that is wrong at once.
func (st Ready) Run(ctx context.Context, s *migrate.Scope[ReadyLook], out ReadyOut) (ReadyOut, error) {
	states, err := s.C.Look(ctx)
	if err != nil {
		return out, err
	}
	lacks, err := s.C.Lacks(ctx)
	if err != nil {
		return out, err
	}
	standing, err := s.C.Standing(ctx)
	if err != nil {
		return out, err
	}
	timers, err := s.C.Timers(ctx)
	if err != nil {
		return out, err
	}
	var bad *multierror.Error
	for i, name := range s.C.Names() {
		out.Versions, out.Above = append(out.Versions, states[i].Version), out.Above+len(states[i].Above)
		if len(states[i].Prepared) > 0 {
			bad = multierror.Append(bad, &freeze.PreparedError{Server: name, XIDs: states[i].Prepared})
		}
		if len(lacks[i]) > 0 {
			bad = multierror.Append(bad, fmt.Errorf("%s: Slipway's account lacks privileges for the switch; grant it these ON *.*: %s", name, strings.Join(lacks[i], ", ")))
		}
		if st.Timer && timers[i].Lacking != "" {
			bad = multierror.Append(bad, fmt.Errorf("%s: %w: %s; mend that, or switch without (--no-timer): a process that dies in the middle then leaves the source frozen until one is started again", name, freeze.ErrNoTimer, timers[i].Lacking))
		}
		if standing[i] != "" {
			bad = multierror.Append(bad, &freeze.ReplicationError{Server: name, Reason: standing[i]})
		}
	}
	return out, errlist.OrNil(bad)
}

// Verify has nothing to look at: servers go on.
func (Ready) Verify(context.Context, *migrate.Scope[ReadyLook], ReadyOut) error { return nil }

// Undo has nothing to take back.
func (Ready) Undo(context.Context, *migrate.Scope[ReadyLook], migrate.Recorded[ReadyOut]) error {
	return nil
}
