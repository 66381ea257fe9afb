package release

import (
	"context"
	"fmt"
	"time"

	"github.com/slipway-dev/slipway/internal/kube"
	"github.com/slipway-dev/slipway/migrate"
)

// Open upgrades the installed release with its writers on: from then on the target serves the shop whole.
type Open struct {
	Shape
	Installed migrate.Ref[kube.Release]
	After     []migrate.Dep // what must have been verified before anything writes
	Changes   []migrate.Dep // whose results the writers rightly change: rows and files that were filled in and compared
}

// OpenOut is the open release, and the revision that it goes back to.
type OpenOut struct {
	Release kube.Release
	Before  int
}

// Spec: standup.release's result, writers off, no longer holds once this one has begun, nor does what was copied stay as it was.
func (st Open) Spec() migrate.Spec {
	return migrate.Spec{ID: "open.release", Version: 1, Title: "open the release, writers on", Timeout: 30 * time.Minute,
		Needs: append([]migrate.Dep{st.Installed.Dep(), st.Instance.Dep()}, st.After...), Ends: append([]migrate.Dep{st.Installed.Dep()}, st.Changes...)}
}

// Plan looks at the release's revisions. Its before-image is the revision that was installed.
func (st Open) Plan(ctx context.Context, s *migrate.Scope[Look], rec migrate.Recorded[OpenOut]) (migrate.Plan[OpenOut], error) {
	p := migrate.Plan[OpenOut]{Want: OpenOut{Release: kube.Release{Namespace: st.Namespace, Name: st.Name, Service: st.Service}}}
	upgrade := migrate.Effect{Verb: "upgrade", Object: st.object(), Detail: st.Writers + "=true"}
	sp, real, err := spec(s, st.Shape, true)
	if err != nil {
		return p, err
	}
	if _, err := consists(sp); err != nil { // a chart that only renders with its writers off is found in the plan
		return p, err
	}
	if !real {
		p.Effects = []migrate.Effect{upgrade}
		return p, nil
	}
	was, err := migrate.Value(s, st.Installed)
	if err != nil {
		return p, err
	}
	if p.Want.Before = was.Revision; rec.Attempts > 0 {
		p.Want.Before = rec.Want.Before
	}
	all, err := s.C.History(ctx, st.Namespace, st.Name)
	if err != nil {
		return p, err
	}
	if len(all) == 0 {
		return p, fmt.Errorf("%s isn't there: somebody has uninstalled it", st.object())
	}
	last := all[len(all)-1]
	if e, ok := left(st.Shape, last); ok {
		p.Effects = []migrate.Effect{e, upgrade}
		return p, nil
	}
	address, why, err := stands(ctx, s.C, sp, last)
	if err != nil {
		return p, err
	}
	if why == "" && rec.Attempts > 0 {
		p.Want.Release.Revision, p.Want.Release.Address = last.Number, address
		return migrate.Done(p.Want), nil
	}
	p.Effects = []migrate.Effect{upgrade}
	return p, nil
}

// Run upgrades, or finishes what an earlier attempt began, and waits until every pod is ready.
func (st Open) Run(ctx context.Context, s *migrate.Scope[Make], want OpenOut) (OpenOut, error) {
	sp, real, err := spec(s, st.Shape, true)
	if err == nil && !real {
		err = fmt.Errorf("%s: %w", st.object(), migrate.ErrNotRecorded)
	}
	if err != nil {
		return want, err
	}
	want.Release, err = put(ctx, s, sp)
	return want, err
}

// Verify: the release with its writers on is deployed, every workload is ready, and the address is still the one that was.
func (st Open) Verify(ctx context.Context, s *migrate.Scope[Look], out OpenOut) error {
	return verify(ctx, s, st.Shape, true, out.Release)
}

// Undo goes back to the revision that was installed and waits until no writer is left. A release that is gone has no writers.
func (st Open) Undo(ctx context.Context, s *migrate.Scope[Make], rec migrate.Recorded[OpenOut]) error {
	w := rec.Want
	all, err := s.C.History(ctx, w.Release.Namespace, w.Release.Name)
	if err != nil || len(all) == 0 {
		return err
	}
	rev, err := s.C.RollbackRelease(ctx, w.Release.Namespace, w.Release.Name, w.Before, s.Tell)
	if err != nil {
		return err
	}
	return s.C.WaitReady(ctx, w.Release.Namespace, rev.Workloads, s.Tell)
}
