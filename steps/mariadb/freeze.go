package mariadb

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/internal/binlog"
	"github.com/slipway-dev/slipway/internal/dbcopy/freeze"
	"github.com/slipway-dev/slipway/internal/dbhost"
	"github.com/slipway-dev/slipway/migrate"
)

// MastersLook looks at the servers that writes come in at: *freeze.Masters has more.
type MastersLook interface {
	// Names are what messages call them, in their order.
	Names() []string
	// Look says who may write, of each.
	Look(ctx context.Context) ([]freeze.State, error)
	// Hosts are those whose option files can be written, what messages call them; none, where no host can be reached.
	Hosts() []string
	// Held names those of the hosts whose server would come up writable after a restart, or read-only by a file that isn't the run's.
	Held(ctx context.Context, run string) (open []string, err error)
	// Triggers are those of the first.
	Triggers(ctx context.Context, schemas []string) ([]freeze.Trigger, error)
}

// MastersAct freezes them.
type MastersAct interface {
	MastersLook
	// Freeze stops all writes at all of them, or none: what can't be done in time is taken back. It says where they stand.
	Freeze(ctx context.Context, wants []freeze.Want, o freeze.Options) ([]freeze.Stopped, binlog.MariaDB, error)
	// Thaw takes a freeze back, whole or torn, as often as it is called.
	Thaw(ctx context.Context, wants []freeze.Want) error
	// Hold has the servers come up read-only, by a file on each host that is the run's. Release takes such files away.
	Hold(ctx context.Context, run string) error
	Release(ctx context.Context, run string) error
	// DropTriggers drops triggers at the first, one after another in this order; those that are gone already are no error.
	DropTriggers(ctx context.Context, ts []freeze.Trigger) error
	// RestoreTriggers makes those again that aren't there, as they were, in this order: each fires after those that are there.
	RestoreTriggers(ctx context.Context, ts []freeze.Trigger) error
}

type onlyMasters struct{ MastersLook }

// OnlyMasters closes a looker that can do more.
func OnlyMasters(l MastersLook) MastersLook { return onlyMasters{l} }

// Freeze stops all writes to the source: at all masters, or at none. Where their hosts can be reached, what is frozen comes up frozen
// after a restart too: the option files are written before, and on the way back taken away before it is thawed. Then a host
// that restarts in between comes up as it is about to be.
type Freeze struct {
	Patience time.Duration // how long what runs is waited for before it is ended
	Limit    time.Duration // how long the whole may take; over it the source is writable again
}

// Frozen is what was changed, and where the source stands.
type Frozen struct {
	Wants   []freeze.Want    `json:"wants"` // by master
	Stopped []freeze.Stopped `json:"stopped"`
	At      binlog.MariaDB   `json:"at"`
}

// Spec is the step's.
func (st Freeze) Spec() migrate.Spec {
	return migrate.Spec{ID: "switch.freeze", Version: 1, Title: "stop all writes to the source", Timeout: 2*st.Limit + time.Minute}
}

// Plan sees whether they are frozen. Sessions that began before a freeze of somebody else's could still write, so nothing
// that was found frozen is taken for done.
func (st Freeze) Plan(ctx context.Context, s *migrate.Scope[MastersLook], rec migrate.Recorded[Frozen]) (migrate.Plan[Frozen], error) {
	var p migrate.Plan[Frozen]
	states, err := s.C.Look(ctx)
	if err != nil {
		return p, err
	}
	if rec.Complete && !slices.ContainsFunc(states, func(x freeze.State) bool { return !x.Frozen() }) {
		open, err := s.C.Held(ctx, s.Run())
		if err != nil || len(open) == 0 {
			return migrate.Done(rec.Out), err
		}
	}
	p.Want = rec.Want
	if rec.Attempts == 0 {
		for _, x := range states {
			p.Want.Wants = append(p.Want.Wants, x.Want())
		}
	}
	for i, name := range s.C.Names() {
		detail := "read_only"
		if i < len(p.Want.Wants) && len(p.Want.Wants[i].Lock) > 0 {
			detail += "; locked, because they write in spite of it: " + accounts(p.Want.Wants[i].Lock)
		}
		p.Effects = append(p.Effects, migrate.Effect{Verb: "freeze", Object: name, Detail: detail})
	}
	for _, h := range s.C.Hosts() {
		p.Effects = append(p.Effects, migrate.Effect{Verb: "write", Object: dbhost.FileName + " on " + h, Detail: "read_only = ON, so that it comes up frozen"})
	}
	return p, nil
}

func accounts(as []freeze.Account) string {
	names := make([]string, len(as))
	for i, a := range as {
		names[i] = a.String()
	}
	return strings.Join(names, ", ")
}

// Run freezes them.
func (st Freeze) Run(ctx context.Context, s *migrate.Scope[MastersAct], want Frozen) (Frozen, error) {
	err := s.C.Hold(ctx, s.Run())
	if err != nil {
		return want, err
	}
	want.Stopped, want.At, err = s.C.Freeze(ctx, want.Wants, freeze.Options{Patience: st.Patience, Limit: st.Limit, Tell: func(what string) { s.Progress(migrate.Progress{What: what}) }})
	return want, err
}

// Verify looks whether all of them are frozen.
func (st Freeze) Verify(ctx context.Context, s *migrate.Scope[MastersLook], out Frozen) error {
	states, err := s.C.Look(ctx)
	if err != nil {
		return err
	}
	for i, x := range states {
		if !x.Frozen() {
			return fmt.Errorf("%s isn't frozen: read_only is %t, and these write in spite of it: [%s]; prepared transactions: %q", s.C.Names()[i], x.ReadOnly, accounts(x.Above), x.Prepared)
		}
	}
	return nil
}

// Undo thaws what this step froze.
func (st Freeze) Undo(ctx context.Context, s *migrate.Scope[MastersAct], rec migrate.Recorded[Frozen]) error {
	if err := s.C.Release(ctx, s.Run()); err != nil {
		return err
	}
	return s.C.Thaw(ctx, rec.Want.Wants)
}
