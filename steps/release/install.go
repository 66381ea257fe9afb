package release

import (
	"context"
	"fmt"
	"time"

	"github.com/slipway-dev/slipway/internal/kube"
	"github.com/slipway-dev/slipway/migrate"
)

// Install installs the release with its writers off: edge, caches and stores come up, and nothing writes to the target while it is filled.
type Install struct {
	Shape
	After []migrate.Dep // the namespace, secrets and claims that the chart refers to
}

// Spec: a release that can't be uninstalled holds the cluster, whose deletion would leave the LoadBalancer behind, paid for and forgotten.
func (st Install) Spec() migrate.Spec {
	return migrate.Spec{ID: "standup.release", Version: 1, Title: "install the release, writers off", Timeout: 30 * time.Minute,
		Needs: append([]migrate.Dep{st.Instance.Dep()}, st.After...)}
}

// Plan looks at the release's revisions and at what runs of it.
func (st Install) Plan(ctx context.Context, s *migrate.Scope[Look], rec migrate.Recorded[kube.Release]) (migrate.Plan[kube.Release], error) {
	p := migrate.Plan[kube.Release]{Want: kube.Release{Namespace: st.Namespace, Name: st.Name, Service: st.Service}}
	sp, _, err := spec(s, st.Shape, false)
	if err != nil {
		return p, err
	}
	all, err := s.C.History(ctx, st.Namespace, st.Name)
	if err != nil {
		return p, err
	}
	what, err := consists(sp)
	if err != nil {
		return p, err
	}
	install := migrate.Effect{Verb: "install", Object: st.object(), Detail: what + "; " + st.Writers + "=false"}
	if len(all) == 0 {
		p.Effects = []migrate.Effect{install}
		return p, nil
	}
	last := all[len(all)-1]
	if err := foreign(st.Shape, last, s.Stamp()); err != nil {
		return p, err
	}
	if e, ok := left(st.Shape, last); ok {
		p.Effects = []migrate.Effect{e, install}
		return p, nil
	}
	address, why, err := stands(ctx, s.C, sp, last)
	if err != nil {
		return p, err
	}
	if why == "" && rec.Attempts > 0 {
		out := kube.Release{Namespace: st.Namespace, Name: st.Name, Revision: last.Number, Service: st.Service, Address: address}
		return migrate.Done(out), nil
	}
	install.Detail += "; now: " + why
	p.Effects = []migrate.Effect{install}
	return p, nil
}

// Run installs, or finishes what an earlier attempt began, and waits until every pod is ready and the LoadBalancer has an address.
func (st Install) Run(ctx context.Context, s *migrate.Scope[Make], want kube.Release) (kube.Release, error) {
	sp, real, err := spec(s, st.Shape, false)
	if err == nil && !real {
		err = fmt.Errorf("%s: %w", st.object(), migrate.ErrNotRecorded)
	}
	if err != nil {
		return want, err
	}
	return put(ctx, s, sp)
}

func put(ctx context.Context, s *migrate.Scope[Make], sp kube.ReleaseSpec) (kube.Release, error) {
	out := kube.Release{Namespace: sp.Namespace, Name: sp.Name, Service: sp.Service}
	rev, err := s.C.PutRelease(ctx, sp, s.Tell)
	if err != nil {
		return out, err
	}
	out.Revision = rev.Number
	if err := s.C.WaitReady(ctx, sp.Namespace, rev.Workloads, s.Tell); err != nil {
		return out, fmt.Errorf("release %s/%s, revision %d: %w", sp.Namespace, sp.Name, rev.Number, err)
	}
	out.Address, err = s.C.WaitAddress(ctx, sp.Namespace, sp.Service, s.Tell)
	return out, err
}

// Verify: the wanted values are deployed, every workload is ready, and the address is the one that is recorded.
func (st Install) Verify(ctx context.Context, s *migrate.Scope[Look], out kube.Release) error {
	return verify(ctx, s, st.Shape, false, out)
}

func verify(ctx context.Context, s *migrate.Scope[Look], sh Shape, writers bool, out kube.Release) error {
	sp, _, err := spec(s, sh, writers)
	if err != nil {
		return err
	}
	all, err := s.C.History(ctx, sh.Namespace, sh.Name)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return fmt.Errorf("%s isn't there", sh.object())
	}
	address, why, err := stands(ctx, s.C, sp, all[len(all)-1])
	switch {
	case err != nil:
		return err
	case why != "":
		return fmt.Errorf("%s: %s", sh.object(), why)
	case address != out.Address:
		return fmt.Errorf("%s: its address is %s, not %s", sh.object(), address, out.Address)
	}
	return nil
}

// Undo uninstalls it and waits until its LoadBalancer's address is released.
func (st Install) Undo(ctx context.Context, s *migrate.Scope[Make], rec migrate.Recorded[kube.Release]) error {
	return s.C.UninstallRelease(ctx, rec.Want.Namespace, rec.Want.Name, s.Tell)
}
