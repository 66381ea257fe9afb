package kube

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/release/common"
	release "helm.sh/helm/v4/pkg/release/v1"
	"helm.sh/helm/v4/pkg/storage/driver"

	"github.com/slipway-dev/slipway/internal/stamp"
)

// digestLabel holds ReleaseSpec.Digest on each revision.
const digestLabel = "slipway-digest"

// Release is a release as later steps need it: all of it may be journaled.
type Release struct {
	Namespace string
	Name      string
	Revision  int
	Service   string
	Address   string // of the LoadBalancer
}

// Revision is one revision of a release.
type Revision struct {
	Number    int
	Status    string // deployed, superseded, failed, pending-install, pending-upgrade, pending-rollback, uninstalling
	Digest    string // of chart and values; "" where another than Slipway made it
	Labels    map[string]string
	Back      int // the revision that this one went back to; 0 for none
	Since     time.Time
	Workloads []Workload // whose pods are waited for
}

// Pending: a Helm client has begun it and hasn't said how it ended. One whose client is dead stays so until it is repaired.
func (r Revision) Pending() bool { return common.Status(r.Status).IsPending() }

// Uninstalling: a client has begun to take the release away.
func (r Revision) Uninstalling() bool {
	return r.Status == string(common.StatusUninstalling) || r.Status == string(common.StatusUninstalled)
}

// Deployed: it is what runs.
func (r Revision) Deployed() bool { return r.Status == string(common.StatusDeployed) }

// History is all revisions of a release, the oldest first; none when there is no release.
func (v Viewer) History(ctx context.Context, namespace, name string) ([]Revision, error) {
	cfg, err := v.c.helm(ctx, namespace)
	if err != nil {
		return nil, err
	}
	all, err := again(ctx, v.c, func() ([]*release.Release, error) { return history(cfg, name) })
	if err != nil {
		return nil, fmt.Errorf("look at release %s/%s: %w", namespace, name, err)
	}
	out := make([]Revision, 0, len(all))
	for _, r := range all {
		objects, err := parseManifest(r.Manifest)
		if err != nil {
			return nil, fmt.Errorf("look at release %s/%s, revision %d: %w", namespace, name, r.Version, err)
		}
		out = append(out, Revision{Number: r.Version, Status: r.Info.Status.String(), Digest: r.Labels[digestLabel], Labels: r.Labels,
			Back: r.Info.RollbackRevision, Since: r.Info.LastDeployed, Workloads: workloadsOf(objects)})
	}
	return out, nil
}

func history(cfg *action.Configuration, name string) ([]*release.Release, error) {
	got, err := cfg.Releases.History(name)
	if errors.Is(err, driver.ErrReleaseNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []*release.Release
	for _, g := range got {
		r, ok := g.(*release.Release)
		if !ok {
			return nil, fmt.Errorf("helm gave a %T", g)
		}
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b *release.Release) int { return a.Version - b.Version })
	return out, nil
}

// History is the Viewer's.
func (m Maker) History(ctx context.Context, namespace, name string) ([]Revision, error) {
	return m.c.View().History(ctx, namespace, name)
}

// PutRelease installs the release, or upgrades it when what runs isn't what is wanted. It waits for no pod; see Viewer.WaitReady. A
// revision that this run left pending is marked as failed first (its client is dead: a run has one writer); another's is ErrExists.
func (m Maker) PutRelease(ctx context.Context, spec ReleaseSpec, tell Tell) (Revision, error) {
	name := spec.Namespace + "/" + spec.Name
	if err := m.hold(ctx, spec.Namespace); err != nil {
		return Revision{}, fmt.Errorf("put release %s: %w", name, err)
	}
	last, there, err := m.settled(ctx, spec.Namespace, spec.Name, tell)
	if err != nil {
		return Revision{}, fmt.Errorf("put release %s: %w", name, err)
	}
	digest, err := spec.Digest()
	if err != nil {
		return Revision{}, err
	}
	if there && last.Deployed() && last.Digest == digest {
		return last, nil
	}
	cfg, err := m.c.helm(ctx, spec.Namespace)
	if err != nil {
		return Revision{}, err
	}
	ch, values, err := spec.prepare()
	if err != nil {
		return Revision{}, err
	}
	labels := maps.Clone(m.mark.Labels())
	labels[digestLabel] = digest
	about := fmt.Sprintf("slipway run %s, step %s", m.mark.Run, m.mark.Step)
	if !there {
		tell("installing release "+name, 0, 0)
		in := action.NewInstall(cfg)
		in.ReleaseName, in.Namespace, in.Labels, in.Description = spec.Name, spec.Namespace, labels, about
		in.WaitStrategy, in.Timeout, in.PostRenderer = waitNot, hookTimeout, stamper{m.mark}
		_, err = in.Run(ch, values)
	} else {
		tell(fmt.Sprintf("upgrading release %s from revision %d", name, last.Number), 0, 0)
		up := action.NewUpgrade(cfg)
		up.Namespace, up.Labels, up.Description = spec.Namespace, labels, about
		up.ServerSideApply, up.ForceConflicts, up.ResetValues = "true", true, true
		up.WaitStrategy, up.Timeout, up.PostRenderer = waitNot, hookTimeout, stamper{m.mark}
		_, err = up.Run(spec.Name, ch, values)
	}
	if err != nil {
		return Revision{}, fmt.Errorf("put release %s: %w", name, cause(ctx, err))
	}
	return m.now(ctx, spec.Namespace, spec.Name, digest)
}

// now reads back what Helm says that it has done: some of its failures to write its record are only logged.
func (m Maker) now(ctx context.Context, namespace, name, digest string) (Revision, error) {
	all, err := m.c.View().History(ctx, namespace, name)
	if err != nil {
		return Revision{}, err
	}
	if len(all) == 0 {
		return Revision{}, fmt.Errorf("release %s/%s: Helm says done and has no record of it", namespace, name)
	}
	last := all[len(all)-1]
	if !last.Deployed() || last.Digest != digest {
		return last, fmt.Errorf("release %s/%s: Helm says done, and revision %d is %s", namespace, name, last.Number, last.Status)
	}
	return last, nil
}

// settled gives the last revision when nothing is under way on the release. A release that an earlier attempt was uninstalling is
// uninstalled to the end, and then isn't there.
func (m Maker) settled(ctx context.Context, namespace, name string, tell Tell) (Revision, bool, error) {
	all, err := m.c.View().History(ctx, namespace, name)
	if err != nil || len(all) == 0 {
		return Revision{}, false, err
	}
	last := all[len(all)-1]
	if err := m.mark.Check(last.Labels); err != nil {
		return last, true, fmt.Errorf("revision %d: %w: %w", last.Number, ErrExists, err)
	}
	if last.Uninstalling() {
		return Revision{}, false, m.UninstallRelease(ctx, namespace, name, tell)
	}
	if !last.Pending() {
		return last, true, nil
	}
	tell(fmt.Sprintf("release %s/%s: revision %d was left %s; marking it as failed", namespace, name, last.Number, last.Status), 0, 0)
	cfg, err := m.c.helm(ctx, namespace)
	if err != nil {
		return last, true, err
	}
	recs, err := again(ctx, m.c, func() ([]*release.Release, error) { return history(cfg, name) })
	if err != nil || len(recs) == 0 || recs[len(recs)-1].Version != last.Number {
		return last, true, fmt.Errorf("repair revision %d: it has changed meanwhile: %w", last.Number, err)
	}
	rec := recs[len(recs)-1]
	rec.SetStatus(common.StatusFailed, fmt.Sprintf("left %s by a client that died; marked as failed by slipway run %s", last.Status, m.mark.Run))
	if err := cfg.Releases.Update(rec); err != nil {
		return last, true, fmt.Errorf("repair revision %d: %w", last.Number, cause(ctx, err))
	}
	last.Status = string(common.StatusFailed)
	return last, true, nil
}

// RollbackRelease makes a new revision that is what an earlier one was. When the last revision is that already, nothing is done. A release
// that is gone is an error: there is nothing to go back to.
func (m Maker) RollbackRelease(ctx context.Context, namespace, name string, to int, tell Tell) (Revision, error) {
	if err := m.hold(ctx, namespace); err != nil {
		return Revision{}, fmt.Errorf("roll release %s/%s back to revision %d: %w", namespace, name, to, err)
	}
	last, there, err := m.settled(ctx, namespace, name, tell)
	if err != nil {
		return last, fmt.Errorf("roll release %s/%s back to revision %d: %w", namespace, name, to, err)
	}
	if !there {
		return last, fmt.Errorf("roll release %s/%s back to revision %d: there is no release", namespace, name, to)
	}
	if last.Deployed() && (last.Number == to || last.Back == to) {
		return last, nil
	}
	cfg, err := m.c.helm(ctx, namespace)
	if err != nil {
		return last, err
	}
	tell(fmt.Sprintf("rolling release %s/%s back from revision %d to revision %d", namespace, name, last.Number, to), 0, 0)
	rb := action.NewRollback(cfg)
	rb.Version, rb.WaitStrategy, rb.Timeout = to, waitNot, hookTimeout
	rb.ServerSideApply, rb.ForceConflicts = "true", true
	if err := rb.Run(name); err != nil {
		return last, fmt.Errorf("roll release %s/%s back to revision %d: %w", namespace, name, to, cause(ctx, err))
	}
	all, err := m.c.View().History(ctx, namespace, name)
	if err != nil {
		return last, err
	}
	if last = all[len(all)-1]; !last.Deployed() || last.Back != to {
		return last, fmt.Errorf("release %s/%s: Helm says that it went back to revision %d, and revision %d is %s", namespace, name, to, last.Number, last.Status)
	}
	return last, nil
}

// UninstallRelease returns when every object of the release is gone, a LoadBalancer's address with its Service. Absent is fine;
// another's is stamp.ErrForeign. What Helm leaves (it only logs what it skips) is an error that names it.
func (m Maker) UninstallRelease(ctx context.Context, namespace, name string, tell Tell) error {
	if err := m.hold(ctx, namespace); err != nil {
		return fmt.Errorf("uninstall release %s/%s: %w", namespace, name, err)
	}
	all, err := m.c.View().History(ctx, namespace, name)
	if err != nil {
		return err
	}
	if len(all) > 0 {
		if err := m.mark.Check(all[len(all)-1].Labels); err != nil {
			return fmt.Errorf("uninstall release %s/%s: %w", namespace, name, err)
		}
		cfg, err := m.c.helm(ctx, namespace)
		if err != nil {
			return err
		}
		tell("uninstalling release "+namespace+"/"+name, 0, 0)
		un := action.NewUninstall(cfg)
		un.WaitStrategy, un.Timeout, un.DeletionPropagation = waitNot, hookTimeout, "background"
		if _, err := un.Run(name); err != nil {
			return fmt.Errorf("uninstall release %s/%s: %w", namespace, name, cause(ctx, err))
		}
	}
	return m.released(ctx, namespace, name, tell)
}

// cause is why Helm's requests failed, where this side ended them.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w (%w)", context.Cause(ctx), err)
	}
	return err
}

// released waits until no object of a release of this run is left in the namespace.
func (m Maker) released(ctx context.Context, namespace, name string, tell Tell) error {
	began := time.Now()
	for pause := time.Duration(0); ; {
		left, err := m.c.View().Leftovers(ctx, namespace, m.mark)
		if err != nil || len(left) == 0 {
			return err
		}
		var ending, kept []string
		for _, o := range left {
			if o.Ending {
				ending = append(ending, o.Name)
			} else {
				kept = append(kept, o.Name)
			}
		}
		// Helm's own deletions come first; what the collector takes (pods of a ReplicaSet) has no label of the run.
		if len(kept) > 0 && time.Since(began) > m.c.pace.trouble/4 {
			return fmt.Errorf("uninstall release %s/%s: Helm has left %s; look at them, and delete them by hand", namespace, name, strings.Join(kept, ", "))
		}
		tell(fmt.Sprintf("waiting until release %s/%s is gone: %s, %s", namespace, name, strings.Join(append(ending, kept...), ", "), since(began)), 0, 0)
		pause = m.c.pace.next(pause)
		if err := sleep(ctx, pause); err != nil {
			return fmt.Errorf("wait until release %s/%s is gone (left: %s): %w", namespace, name, strings.Join(append(ending, kept...), ", "), err)
		}
	}
}

// Leftover is an object of a release that Helm may have forgotten.
type Leftover struct {
	Name   string // "Service shop-edge"
	Ending bool   // it is being deleted
}

// Leftovers are the objects in a namespace that Helm made for a run.
func (v Viewer) Leftovers(ctx context.Context, namespace string, mark stamp.Stamp) ([]Leftover, error) {
	return v.leftovers(ctx, namespace, "app.kubernetes.io/managed-by=Helm,"+stamp.RunLabel+"="+mark.Run)
}
