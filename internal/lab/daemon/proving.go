package daemon

import (
	"context"
	"errors"

	"github.com/slipway-dev/slipway/internal/lab/progress"
	"github.com/slipway-dev/slipway/internal/lab/proof"
	"github.com/slipway-dev/slipway/internal/lab/verb"
)

// ZoneKeeper is the Part whose zones belong into a proof.
type ZoneKeeper interface {
	proof.Zones
	// Untouched are zones that nothing may change, Restored those that a rehearsal changes and puts back.
	Untouched() []string
	Restored() []string
}

func (d *Daemon) beginProof(ctx context.Context, report progress.Func) error {
	d.busy.Lock()
	defer d.busy.Unlock()
	d.mu.Lock()
	up := d.up
	d.mu.Unlock()
	if !up {
		return errNotUp
	}
	s := proof.Source{Fleet: d.lab.Fleet}
	for _, part := range d.started {
		if zones, ok := part.(ZoneKeeper); ok {
			s.Zones, s.Untouched, s.Restored = zones, zones.Untouched(), zones.Restored()
		}
	}
	var err error
	d.proof, err = proof.Begin(ctx, s, report) // one that was begun before is forgotten
	return err
}

func (d *Daemon) endProof(ctx context.Context, report progress.Func) (verb.Proof, error) {
	d.busy.Lock()
	defer d.busy.Unlock()
	if d.proof == nil {
		return verb.Proof{}, errors.New("no proof was begun: slipway-lab proof begin")
	}
	out, err := d.proof.End(ctx, report)
	if err == nil {
		d.proof = nil
	}
	return out, err
}
