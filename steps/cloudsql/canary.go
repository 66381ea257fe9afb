package cloudsql

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy/changes"
	"github.com/slipway-dev/slipway/internal/dbcopy/follow"
	"github.com/slipway-dev/slipway/migrate"
)

// Canary proves the way back before anybody relies on it: a row is written at the target, and must come to the source.
type Canary struct {
	Begin   migrate.Ref[changes.Position]
	After   []migrate.Dep // the way back
	Timeout time.Duration
}

// CanaryOut is the canary that came back.
type CanaryOut struct {
	ID   string `json:"id"`
	Took string `json:"took"`
}

// Spec is the step's.
func (st Canary) Spec() migrate.Spec {
	return migrate.Spec{ID: "switch.canary", Version: 1, Title: "send a canary through the way back", Needs: append([]migrate.Dep{st.Begin.Dep()}, st.After...), Timeout: st.Timeout}
}

// Plan names a canary that no other attempt to switch has.
func (st Canary) Plan(ctx context.Context, s *migrate.Scope[PairLook], rec migrate.Recorded[CanaryOut]) (migrate.Plan[CanaryOut], error) {
	var p migrate.Plan[CanaryOut]
	p.Effects = []migrate.Effect{{Verb: "write", Object: "a canary at " + s.C.Name(), Detail: "and wait until it is at the source"}}
	at, err := migrate.Value(s, st.Begin)
	if err != nil {
		return p, migrate.Known(err)
	}
	if rec.Complete {
		there, err := s.C.Arrived(ctx, rec.Out.ID)
		if err != nil {
			return p, err
		}
		if there {
			return migrate.Done(rec.Out), nil
		}
	}
	sum := sha256.Sum256([]byte(follow.Print(at)))
	p.Want.ID = s.Run() + "-" + hex.EncodeToString(sum[:6])
	return p, nil
}

// Run sends it and waits.
func (st Canary) Run(ctx context.Context, s *migrate.Scope[PairAct], want CanaryOut) (CanaryOut, error) {
	began := time.Now()
	if err := s.C.Send(ctx, want.ID); err != nil {
		return want, err
	}
	err := s.C.Await(ctx, want.ID, func(d time.Duration) {
		s.Progress(migrate.Progress{What: fmt.Sprintf("waiting for the canary at the source, for %s", d.Round(time.Second))})
	})
	want.Took = time.Since(began).Round(time.Millisecond).String()
	return want, err
}

// Verify looks whether it is at the source.
func (st Canary) Verify(ctx context.Context, s *migrate.Scope[PairLook], out CanaryOut) error {
	there, err := s.C.Arrived(ctx, out.ID)
	if err == nil && !there {
		err = fmt.Errorf("canary %s isn't at the source", out.ID)
	}
	return err
}

// Undo leaves the canary where it is: it is a row like others, on both sides.
func (st Canary) Undo(context.Context, *migrate.Scope[PairAct], migrate.Recorded[CanaryOut]) error {
	return nil
}
