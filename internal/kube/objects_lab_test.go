//go:build lab

package kube

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-dev/slipway/internal/secret"
	"github.com/slipway-dev/slipway/internal/stamp"
)

func TestLabNamespace(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	ns, m := space(t)
	if err := m.ApplyNamespace(ctx, ns); err != nil {
		t.Errorf("a second time: %v", err)
	}
	other := lab.Make(stamp.Stamp{Run: "another", Step: "standup.namespace"})
	if err := other.ApplyNamespace(ctx, ns); !errors.Is(err, ErrExists) {
		t.Errorf("another run makes it: %v", err)
	}
	if err := other.DeleteNamespace(ctx, ns, say(t)); !errors.Is(err, stamp.ErrForeign) {
		t.Errorf("another run deletes it: %v", err)
	}
	if err := m.ApplyNamespace(ctx, "default"); !errors.Is(err, ErrExists) {
		t.Errorf("the cluster's own: %v", err)
	}
	for range 2 {
		if err := m.DeleteNamespace(ctx, ns, say(t)); err != nil {
			t.Error(err)
		}
	}
	if _, there, err := lab.View().Namespace(ctx, ns); there || err != nil {
		t.Errorf("deleted, and there: %v, %v", there, err)
	}
}

func TestLabSecret(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	ns, m := space(t)
	s := Secret{Namespace: ns, Name: "db", Items: []Item{{"user", secret.New("shop")}, {"password", secret.New("one\x00two\nthree")}}}
	v := lab.View()
	if _, there, err := v.Secret(ctx, s); there || err != nil {
		t.Fatalf("%v, %v", there, err)
	}
	for range 2 {
		if err := m.ApplySecret(ctx, s); err != nil {
			t.Fatal(err)
		}
	}
	if got, there, err := v.Secret(ctx, s); err != nil || !there || !got.Same || got.Labels[stamp.RunLabel] != labRun {
		t.Errorf("%+v, %v, %v", got, there, err)
	}
	less := Secret{Namespace: ns, Name: "db", Items: s.Items[:1]}
	if got, _, err := v.Secret(ctx, less); err != nil || got.Same {
		t.Errorf("a key too many is the same: %v", err)
	}
	if err := m.ApplySecret(ctx, less); err != nil {
		t.Fatal(err)
	}
	if got, _, err := v.Secret(ctx, less); err != nil || !got.Same {
		t.Errorf("a key that isn't wanted any more stays: %v", err)
	}
	other := lab.Make(stamp.Stamp{Run: "another"})
	if err := other.ApplySecret(ctx, s); !errors.Is(err, ErrExists) {
		t.Errorf("another run's: %v", err)
	}
	if err := other.DeleteSecret(ctx, ns, "db"); !errors.Is(err, stamp.ErrForeign) {
		t.Errorf("another run's: %v", err)
	}
	bad := Secret{Namespace: ns, Name: "tls", Type: "kubernetes.io/tls", Items: []Item{{"tls.crt", secret.New("correct-horse")}}}
	if err := m.ApplySecret(ctx, bad); err == nil || strings.Contains(err.Error(), "correct-horse") {
		t.Errorf("a TLS secret without a key: %v", err)
	}
	for range 2 {
		if err := m.DeleteSecret(ctx, ns, "db"); err != nil {
			t.Error(err)
		}
	}
}

func TestLabClaims(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	ns, m := space(t)
	rwx := Claim{Namespace: ns, Name: "assets", Class: "standard-rwx", Mode: "ReadWriteMany", Size: "64Mi"}
	rwo := Claim{Namespace: ns, Name: "queue", Mode: "ReadWriteOnce", Size: "64Mi"}
	for range 2 {
		got, err := m.ApplyClaim(ctx, rwx, say(t))
		if err != nil || got.Phase != "Bound" || got.Volume == "" {
			t.Fatalf("%+v, %v", got, err)
		}
	}
	lazy, err := m.ApplyClaim(ctx, rwo, say(t))
	if err != nil || !lazy.Lazy || lazy.Phase != "Pending" || lazy.Class != "standard-rwo" {
		t.Fatalf("%+v, %v", lazy, err)
	}
	larger := rwx
	larger.Size = "1Gi"
	if _, err := m.ApplyClaim(ctx, larger, say(t)); !errors.Is(err, ErrExists) {
		t.Errorf("a claim that can't be changed: %v", err)
	}
	if _, err := m.ApplyClaim(ctx, Claim{Namespace: ns, Name: "x", Class: "nope", Mode: "ReadWriteOnce", Size: "1Gi"}, say(t)); !errors.Is(err, ErrNoClass) {
		t.Errorf("no such class: %v", err)
	}
	if err := m.ApplyPod(ctx, tools(ns, "user", "queue", "assets"), say(t)); err != nil {
		t.Fatal(err)
	}
	bound, _, err := lab.View().Claim(ctx, ns, "queue")
	if err != nil || bound.Phase != "Bound" {
		t.Errorf("after its first pod: %+v, %v", bound, err)
	}
	// A claim that a pod uses isn't gone yet, and the wait says so.
	short, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if err := m.DeleteClaim(short, ns, "queue", say(t)); err == nil || !strings.Contains(err.Error(), "which a pod may still use") {
		t.Errorf("a claim in use: %v", err)
	}
	if err := lab.Make(stamp.Stamp{Run: "another"}).DeleteClaim(ctx, ns, "assets", say(t)); !errors.Is(err, stamp.ErrForeign) {
		t.Errorf("another run's: %v", err)
	}
	if err := m.DeletePod(ctx, ns, "user", say(t)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for _, name := range []string{"queue", "assets"} {
			if err := m.DeleteClaim(ctx, ns, name, say(t)); err != nil {
				t.Error(err)
			}
		}
	}
	pvs, err := lab.client.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, pv := range pvs.Items {
		if pv.Spec.ClaimRef != nil && pv.Spec.ClaimRef.Namespace == ns {
			t.Errorf("volume %s is left", pv.Name)
		}
	}
}

const toolsImage = "registry.lab/lab/tools:1"

// tools is a pod that sleeps, with claims mounted at /mnt/NAME.
func tools(ns, name string, claims ...string) *corev1.Pod {
	zero := int64(0)
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, Spec: corev1.PodSpec{TerminationGracePeriodSeconds: &zero,
		Containers: []corev1.Container{{Name: "tools", Image: toolsImage, Command: []string{"/bin/sleep", "100000"}}}}}
	for _, c := range claims {
		p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: c, VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: c}}})
		p.Spec.Containers[0].VolumeMounts = append(p.Spec.Containers[0].VolumeMounts, corev1.VolumeMount{Name: c, MountPath: "/mnt/" + c})
	}
	return p
}
