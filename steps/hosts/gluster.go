package hosts

import (
	"context"
	"time"

	"github.com/slipway-dev/slipway/inventory/scan"
	"github.com/slipway-dev/slipway/migrate"
)

// Gluster looks whether the volume can be read and believed: started, all bricks up, nothing that waits to be healed,
// nothing in split-brain.
type Gluster struct {
	Volume string
	Keep   Keep
}

// GlusterLooker looks at one volume: scan.LookAtVolume.
type GlusterLooker interface {
	Volume(ctx context.Context) (*scan.Volume, error)
}

// GlusterOut is what was found.
type GlusterOut struct {
	Volume   string
	ID       string
	Bricks   int
	Replicas int
	Digest   string // scan.Volume's
}

var _ migrate.Step[GlusterLooker, GlusterLooker, GlusterOut] = Gluster{}

// Spec implements migrate.Step.
func (st Gluster) Spec() migrate.Spec {
	return migrate.Spec{ID: "preflight.gluster", Version: 1, Title: "look at the Gluster volume's health", Timeout: 5 * time.Minute, OnUndoFailure: migrate.GoOn}
}

func (st Gluster) object() string { return "Gluster volume " + st.Volume }

// Plan implements migrate.Step.
func (st Gluster) Plan(ctx context.Context, s *migrate.Scope[GlusterLooker], rec migrate.Recorded[GlusterOut]) (migrate.Plan[GlusterOut], error) {
	if !rec.Complete {
		return migrate.Plan[GlusterOut]{Effects: []migrate.Effect{{Verb: "read", Object: st.object(),
			Detail: "gluster volume info, status, heal info and pool list, through sudo; sudo and gluster write their logs, nothing else changes there"}}}, nil
	}
	v, err := s.C.Volume(ctx)
	switch {
	case ctx.Err() != nil:
		return migrate.Plan[GlusterOut]{}, err
	case err != nil:
		return again(rec.Out, GlusterOut{}, st.object(), err), nil
	}
	return again(rec.Out, st.out(v), st.object(), nil), nil
}

// Run implements migrate.Step.
func (st Gluster) Run(ctx context.Context, s *migrate.Scope[GlusterLooker], _ GlusterOut) (GlusterOut, error) {
	s.Progress(migrate.Progress{What: "ask for " + st.object() + " and what waits to be healed"})
	v, err := s.C.Volume(ctx)
	if err != nil {
		return GlusterOut{}, err
	}
	if err := st.Keep.keep(ctx, "gluster", v); err != nil {
		return GlusterOut{}, err
	}
	if err := all(nil, v.Problems()); err != nil {
		return GlusterOut{}, err
	}
	return st.out(v), nil
}

func (st Gluster) out(v *scan.Volume) GlusterOut {
	return GlusterOut{Volume: v.Name, ID: v.ID, Bricks: len(v.Bricks), Replicas: v.Replicas, Digest: v.Digest()}
}

// Verify implements migrate.Step: a second look at everything.
func (st Gluster) Verify(ctx context.Context, s *migrate.Scope[GlusterLooker], out GlusterOut) error {
	v, err := s.C.Volume(ctx)
	if err != nil {
		return err
	}
	if err := all(nil, v.Problems()); err != nil {
		return err
	}
	if st.out(v) != out {
		return differs("gluster volume " + st.Volume)
	}
	return nil
}

// Undo implements migrate.Step. There is nothing: it only looked.
func (Gluster) Undo(context.Context, *migrate.Scope[GlusterLooker], migrate.Recorded[GlusterOut]) error {
	return nil
}
