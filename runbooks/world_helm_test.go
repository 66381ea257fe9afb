package runbooks_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-dev/slipway/internal/kube"
)

// helm is the revisions of the one release, and what runs of it.
type helm struct {
	all     []kube.Revision
	runs    string // digest of what is applied
	ready   time.Time
	address string
	balance time.Time // when the address is given, or taken away
}

func (h *helm) String() string {
	if len(h.all) == 0 {
		return fmt.Sprintf("no release, runs %q at %q", h.runs, h.address)
	}
	return fmt.Sprintf("release %s, runs %.6s at %s", h.all[len(h.all)-1].Status, h.runs, h.address)
}

const address = "10.77.3.1"

func (h *helm) settle(now time.Time) {
	if h.balance.IsZero() || now.Before(h.balance) {
		return
	}
	h.balance = time.Time{}
	if h.address = ""; h.runs != "" {
		h.address = address
	}
}

func (v kubeView) History(context.Context, string, string) ([]kube.Revision, error) {
	return in(v.api, func(in *inside) []kube.Revision { return append([]kube.Revision(nil), in.helm.all...) })
}

func (v kubeView) Ready(context.Context, string, []kube.Workload) (string, error) {
	return in(v.api, func(in *inside) string {
		if in.helm.runs == "" || time.Now().Before(in.helm.ready) {
			return "web 0/2 (ContainerCreating)"
		}
		return ""
	})
}

func (v kubeView) Address(context.Context, string, string) (string, error) {
	return in(v.api, func(in *inside) string { return in.helm.address })
}

// settled repairs what an attempt that died has left, as the real maker does, and gives the last revision.
func (m kubeMake) settled(ctx context.Context, namespace, name string) (last kube.Revision, there bool, err error) {
	if err := m.hold(ctx, namespace); err != nil {
		return last, false, err
	}
	all, err := m.History(ctx, namespace, name)
	if err != nil || len(all) == 0 {
		return last, false, err
	}
	last = all[len(all)-1]
	if err := m.mark.Check(last.Labels); err != nil {
		return last, true, fmt.Errorf("%w: %w", kube.ErrExists, err)
	}
	if last.Uninstalling() {
		return kube.Revision{}, false, m.UninstallRelease(ctx, namespace, name, nil)
	}
	if !last.Pending() {
		return last, true, nil
	}
	last.Status = "failed"
	return last, true, m.change("repair: mark a revision as failed", nil, func(in *inside) error {
		in.helm.all[len(in.helm.all)-1].Status = "failed"
		return nil
	})
}

// revise makes a revision. A client that is killed in the middle leaves it pending, with some of its objects applied.
func (m kubeMake) revise(what, pending string, r kube.Revision) (kube.Revision, error) {
	r.Labels = m.mark.Labels()
	begin := func(in *inside, status string) {
		if n := len(in.helm.all); n > 0 {
			if l := &in.helm.all[n-1]; status == "deployed" && l.Deployed() {
				l.Status = "superseded"
			}
		}
		r.Number, r.Status = len(in.helm.all)+1, status
		in.helm.all = append(in.helm.all, r)
		if in.helm.address == "" {
			in.helm.balance = m.w.in(30 * time.Second)
		}
		in.helm.runs, in.helm.ready = r.Digest, m.w.in(40*time.Second)
	}
	err := m.change(what, func(in *inside) { begin(in, pending) }, func(in *inside) error {
		if n := len(in.helm.all); n > 0 && in.helm.all[n-1].Pending() {
			return errors.New("another operation (install/upgrade/rollback) is in progress")
		}
		begin(in, "deployed")
		return nil
	})
	return r, err
}

func (m kubeMake) PutRelease(ctx context.Context, sp kube.ReleaseSpec, _ kube.Tell) (kube.Revision, error) {
	digest, err := sp.Digest()
	if err != nil {
		return kube.Revision{}, err
	}
	last, there, err := m.settled(ctx, sp.Namespace, sp.Name)
	if err != nil || there && last.Deployed() && last.Digest == digest {
		return last, err
	}
	what, pending := "install the release", "pending-install"
	if writers, ok := sp.Values["writers"].(map[string]any); ok && writers["enabled"] == true {
		what = "open the release"
	}
	if there {
		pending = "pending-upgrade"
	}
	return m.revise(what, pending, kube.Revision{Digest: digest, Workloads: []kube.Workload{{Kind: "Deployment", Name: "web"}}})
}

func (m kubeMake) RollbackRelease(ctx context.Context, namespace, name string, to int, _ kube.Tell) (kube.Revision, error) {
	last, there, err := m.settled(ctx, namespace, name)
	if err != nil || !there {
		return last, errors.Join(err, fmt.Errorf("roll back to %d, there: %v", to, there))
	}
	if last.Deployed() && (last.Number == to || last.Back == to) {
		return last, nil
	}
	all, err := m.History(ctx, namespace, name)
	if err != nil || to < 1 || to > len(all) {
		return last, fmt.Errorf("no revision %d of %d: %w", to, len(all), err)
	}
	return m.revise("close the release", "pending-rollback", kube.Revision{Digest: all[to-1].Digest, Back: to, Workloads: all[to-1].Workloads})
}

// UninstallRelease waits until the address is given back. A client that is killed in the middle leaves the release
// "uninstalling", with its LoadBalancer.
func (m kubeMake) UninstallRelease(ctx context.Context, namespace, name string, _ kube.Tell) error {
	if err := m.hold(ctx, namespace); err != nil {
		return err
	}
	all, err := m.History(ctx, namespace, name)
	if err != nil {
		return err
	}
	if len(all) > 0 {
		if err := m.mark.Check(all[len(all)-1].Labels); err != nil {
			return err
		}
		err = m.change("uninstall the release", func(in *inside) {
			in.helm.all[len(in.helm.all)-1].Status, in.helm.runs = "uninstalling", ""
		}, func(in *inside) error {
			in.helm.all, in.helm.runs, in.helm.balance = nil, "", m.w.in(20*time.Second)
			return nil
		})
		if err != nil {
			return err
		}
	}
	for {
		at, err := m.Address(ctx, namespace, "edge")
		if err != nil || at == "" {
			return err
		}
		if err := m.w.wait(ctx); err != nil {
			return err
		}
	}
}

func (m kubeMake) WaitReady(ctx context.Context, namespace string, all []kube.Workload, _ kube.Tell) error {
	for {
		why, err := m.Ready(ctx, namespace, all)
		if err != nil || why == "" {
			return err
		}
		if err := m.w.wait(ctx); err != nil {
			return err
		}
	}
}

func (m kubeMake) WaitAddress(ctx context.Context, namespace, service string, _ kube.Tell) (string, error) {
	for {
		at, err := m.Address(ctx, namespace, service)
		if err != nil || at != "" {
			return at, err
		}
		if err := m.w.wait(ctx); err != nil {
			return "", err
		}
	}
}
