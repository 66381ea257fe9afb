//go:build lab

package kube

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"helm.sh/helm/v4/pkg/release/common"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-dev/slipway/internal/stamp"
)

func releaseOf(t *testing.T, ns string, values map[string]any) ReleaseSpec {
	t.Helper()
	return ReleaseSpec{Namespace: ns, Name: "pair", Chart: pair(t), Values: values, Service: "pair"}
}

func put(t *testing.T, m Maker, sp ReleaseSpec) Revision {
	t.Helper()
	rev, err := m.PutRelease(t.Context(), sp, say(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := lab.View().WaitReady(t.Context(), sp.Namespace, rev.Workloads, say(t)); err != nil {
		t.Fatal(err)
	}
	return rev
}

func replicasOf(t *testing.T, ns string) int {
	t.Helper()
	pods, err := lab.client.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return len(pods.Items)
}

func TestLabRelease(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	ns, m := space(t)
	one := releaseOf(t, ns, map[string]any{"replicas": 1, "balancer": true})
	if h, err := lab.View().History(ctx, ns, "pair"); err != nil || len(h) != 0 {
		t.Fatalf("%v, %v", h, err)
	}
	rev := put(t, m, one)
	if again := put(t, m, one); again.Number != 1 || rev.Number != 1 {
		t.Errorf("the same release again is revision %d", again.Number)
	}
	at, err := lab.View().WaitAddress(ctx, ns, "pair", say(t))
	if err != nil || at == "" {
		t.Errorf("%q, %v", at, err)
	}
	svc, err := lab.client.CoreV1().Services(ns).Get(ctx, "pair", metav1.GetOptions{})
	if err != nil || svc.Labels[stamp.RunLabel] != labRun {
		t.Errorf("the service's labels: %v, %v", svc.Labels, err)
	}
	for _, f := range svc.ManagedFields {
		if f.Operation == metav1.ManagedFieldsOperationApply && f.Manager != fieldManager {
			t.Errorf("fields are managed by %q", f.Manager)
		}
	}

	two := put(t, m, releaseOf(t, ns, map[string]any{"replicas": 3, "balancer": true, "message": "two"}))
	if two.Number != 2 || replicasOf(t, ns) != 3 {
		t.Errorf("revision %d with %d pods", two.Number, replicasOf(t, ns))
	}
	for range 2 {
		back, err := m.RollbackRelease(ctx, ns, "pair", 1, say(t))
		if err != nil || back.Number != 3 || back.Back != 1 || back.Digest != rev.Digest {
			t.Fatalf("%+v, %v", back, err)
		}
		if err := lab.View().WaitReady(ctx, ns, back.Workloads, say(t)); err != nil {
			t.Fatal(err)
		}
	}
	if replicasOf(t, ns) != 1 {
		t.Errorf("%d pods after the rollback", replicasOf(t, ns))
	}
	zero := put(t, m, releaseOf(t, ns, map[string]any{"replicas": 0, "balancer": true}))
	if replicasOf(t, ns) != 0 || zero.Number != 4 {
		t.Errorf("scaled to zero, ready, and %d pods are left", replicasOf(t, ns))
	}
	other := lab.Make(stamp.Stamp{Run: "another"})
	if _, err := other.PutRelease(ctx, one, say(t)); !errors.Is(err, ErrExists) {
		t.Errorf("another run's: %v", err)
	}
	if err := other.UninstallRelease(ctx, ns, "pair", say(t)); !errors.Is(err, stamp.ErrForeign) {
		t.Errorf("another run's: %v", err)
	}
	for range 2 {
		if err := m.UninstallRelease(ctx, ns, "pair", say(t)); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := lab.View().Leftovers(ctx, ns, mark("x")); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
	if _, err := m.RollbackRelease(ctx, ns, "pair", 1, say(t)); err == nil {
		t.Error("a release that is gone is rolled back")
	}
}

// leave makes the last revision look as a client leaves it that dies in the middle.
func leave(t *testing.T, ns string, status common.Status) {
	t.Helper()
	cfg, err := lab.helm(t.Context(), ns)
	if err != nil {
		t.Fatal(err)
	}
	all, err := history(cfg, "pair")
	if err != nil || len(all) == 0 {
		t.Fatalf("%v, %v", all, err)
	}
	all[len(all)-1].SetStatus(status, "left by a test")
	if err := cfg.Releases.Update(all[len(all)-1]); err != nil {
		t.Fatal(err)
	}
}

func TestLabPendingReleasesAreRepaired(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	ns, m := space(t)
	one, two := releaseOf(t, ns, map[string]any{"replicas": 1}), releaseOf(t, ns, map[string]any{"replicas": 2})
	put(t, m, one)
	leave(t, ns, common.StatusPendingInstall)
	if h, err := lab.View().History(ctx, ns, "pair"); err != nil || !h[0].Pending() {
		t.Fatalf("%+v, %v", h, err)
	}
	if rev := put(t, m, one); rev.Number != 2 || !rev.Deployed() {
		t.Errorf("an installation that was left: %+v", rev)
	}
	put(t, m, two)
	leave(t, ns, common.StatusPendingUpgrade)
	if rev := put(t, m, two); rev.Number != 4 || replicasOf(t, ns) != 2 {
		t.Errorf("an upgrade that was left: %+v, %d pods", rev, replicasOf(t, ns))
	}
	// Rolled back from a pending upgrade.
	put(t, m, one)
	leave(t, ns, common.StatusPendingUpgrade)
	back, err := m.RollbackRelease(ctx, ns, "pair", 4, say(t))
	if err != nil || back.Back != 4 {
		t.Fatalf("%+v, %v", back, err)
	}
	leave(t, ns, common.StatusPendingRollback)
	if back, err = m.RollbackRelease(ctx, ns, "pair", 4, say(t)); err != nil || back.Back != 4 || !back.Deployed() {
		t.Fatalf("a rollback that was left: %+v, %v", back, err)
	}
	leave(t, ns, common.StatusUninstalling)
	if rev := put(t, m, one); rev.Number != 1 {
		t.Errorf("a release that was being uninstalled: %+v", rev)
	}
	leave(t, ns, common.StatusPendingInstall)
	if err := m.UninstallRelease(ctx, ns, "pair", say(t)); err != nil {
		t.Error(err)
	}
}

// An attempt that is cut off leaves a release that the next one brings to its end; nothing of it goes on behind our back.
func TestLabReleaseIsCutOff(t *testing.T) {
	t.Parallel()
	ns, m := space(t)
	sp := releaseOf(t, ns, map[string]any{"replicas": 1, "balancer": true})
	for n := range 20 {
		ctx, cut := context.WithTimeoutCause(t.Context(), time.Duration(n*n*10+1)*time.Millisecond, errors.New("killed"))
		_, err := m.PutRelease(ctx, sp, say(t))
		cut()
		h, herr := lab.View().History(t.Context(), ns, "pair")
		if herr != nil {
			t.Fatal(herr)
		}
		status := "none"
		if len(h) > 0 {
			status = h[len(h)-1].Status
		}
		t.Logf("cut off after %d ms: %v; left %s", n*n*10+1, err, status)
		if err == nil {
			break
		}
		if !strings.Contains(err.Error(), "killed") {
			t.Errorf("%v doesn't say why", err)
		}
	}
	put(t, m, sp)
	for range 3 {
		ctx, cut := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, errors.New("killed"))
		err := m.UninstallRelease(ctx, ns, "pair", say(t))
		cut()
		t.Logf("uninstalling, cut off: %v", err)
	}
	if err := m.UninstallRelease(t.Context(), ns, "pair", say(t)); err != nil {
		t.Error(err)
	}
	if left, err := lab.View().Leftovers(t.Context(), ns, mark("x")); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
}

// A release whose pods crash is an error that names the pod and what to look at.
func TestLabReleaseThatCrashes(t *testing.T) {
	t.Parallel()
	ns, m := space(t)
	impatient := *lab
	impatient.pace.patience = 8 * time.Second
	rev, err := m.PutRelease(t.Context(), releaseOf(t, ns, map[string]any{"replicas": 2, "broken": true}), say(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	err = impatient.View().WaitReady(ctx, ns, rev.Workloads, say(t))
	if !errors.Is(err, ErrNotReady) || !strings.Contains(err.Error(), "last with exit status 3") || !strings.Contains(err.Error(), "kubectl logs -n "+ns+" pair-") {
		t.Error(err)
	}
	if why, err := lab.View().Ready(ctx, ns, rev.Workloads); err != nil || !strings.Contains(why, "pair") {
		t.Errorf("%q, %v", why, err)
	}
	if why, err := lab.View().Ready(ctx, ns, []Workload{{"Deployment", "nope"}}); err != nil || why != "Deployment nope isn't there" {
		t.Errorf("%q, %v", why, err)
	}
}
