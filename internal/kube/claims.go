package kube

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
)

// Claim is a PersistentVolumeClaim to be made.
type Claim struct {
	Namespace, Name string
	Class           string // of storage; "" for the cluster's default
	Mode            string // ReadWriteOnce or ReadWriteMany
	Size            string // "50Gi"
}

// ClaimState is a claim as it is seen now.
type ClaimState struct {
	Claim
	Labels map[string]string
	Phase  string // Pending, Bound, Lost
	Volume string // the PersistentVolume that it is bound to; "" for none
	Lazy   bool   // its class binds it when a pod first uses it: Pending is all that can be had before
	Ending bool   // it is being deleted
	Why    string // the cluster's last words on why it isn't bound
}

// Ready: it is bound, or will be by its first pod.
func (s ClaimState) Ready() bool {
	return !s.Ending && (s.Phase == string(corev1.ClaimBound) || s.Lazy && s.Phase == string(corev1.ClaimPending))
}

// Differs says in which way a claim that is there isn't what is wanted; "" when it is. A volume that is larger than asked for is fine.
func (s ClaimState) Differs(want Claim) string {
	var diffs []string
	if want.Class != "" && s.Class != want.Class {
		diffs = append(diffs, fmt.Sprintf("class %s, not %s", s.Class, want.Class))
	}
	if s.Mode != want.Mode {
		diffs = append(diffs, fmt.Sprintf("mode %s, not %s", s.Mode, want.Mode))
	}
	has, err1 := resource.ParseQuantity(s.Size)
	asks, err2 := resource.ParseQuantity(want.Size)
	if err1 != nil || err2 != nil || has.Cmp(asks) < 0 {
		diffs = append(diffs, fmt.Sprintf("size %s, not %s", s.Size, want.Size))
	}
	return strings.Join(diffs, ", ")
}

// Claim says what is there under a name; false when nothing is.
func (v Viewer) Claim(ctx context.Context, namespace, name string) (ClaimState, bool, error) {
	got, err := again(ctx, v.c, func() (*corev1.PersistentVolumeClaim, error) {
		return v.c.client.CoreV1().PersistentVolumeClaims(namespace).Get(ctx, name, metav1.GetOptions{})
	})
	if apierrors.IsNotFound(err) {
		return ClaimState{}, false, nil
	}
	if err != nil {
		return ClaimState{}, false, fmt.Errorf("look at claim %s/%s: %w", namespace, name, err)
	}
	s := ClaimState{Claim: Claim{Namespace: namespace, Name: name}, Labels: got.Labels, Phase: string(got.Status.Phase), Volume: got.Spec.VolumeName,
		Ending: got.DeletionTimestamp != nil}
	if got.Spec.StorageClassName != nil {
		s.Class = *got.Spec.StorageClassName
	}
	for _, m := range got.Spec.AccessModes {
		s.Mode = string(m) // claims made here have one
	}
	if q, ok := got.Spec.Resources.Requests[corev1.ResourceStorage]; ok {
		s.Size = q.String()
	}
	if got.Status.Phase == corev1.ClaimPending {
		if s.Lazy, err = v.lazy(ctx, s.Class); err != nil {
			return s, true, fmt.Errorf("claim %s/%s: %w", namespace, name, err)
		}
		words, err := v.events(ctx, namespace, "PersistentVolumeClaim", name)
		if err != nil {
			return s, true, err
		}
		if len(words) > 0 {
			s.Why = words[0]
		}
	}
	return s, true, nil
}

// ErrNoClass: the cluster has no such storage class. Name one that it has.
var ErrNoClass = errors.New("no such storage class")

func (v Viewer) lazy(ctx context.Context, class string) (bool, error) {
	if class == "" {
		return false, nil // statically bound, or the default hasn't been filled in yet
	}
	sc, err := again(ctx, v.c, func() (*storagev1.StorageClass, error) {
		return v.c.client.StorageV1().StorageClasses().Get(ctx, class, metav1.GetOptions{})
	})
	if apierrors.IsNotFound(err) {
		return false, fmt.Errorf("%w: %s", ErrNoClass, class)
	}
	if err != nil {
		return false, fmt.Errorf("look at storage class %s: %w", class, err)
	}
	return sc.VolumeBindingMode != nil && *sc.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer, nil
}

// ApplyClaim makes a claim with this run's stamp and waits until it is bound, or until nothing but a pod is missing where its class
// binds late. One that isn't this run's is ErrExists; so is one of this run's that differs, since a claim can't be changed.
func (m Maker) ApplyClaim(ctx context.Context, want Claim, tell Tell) (ClaimState, error) {
	name := want.Namespace + "/" + want.Name
	size, err := resource.ParseQuantity(want.Size)
	if err != nil {
		return ClaimState{}, fmt.Errorf("claim %s: size %q: %w", name, want.Size, err)
	}
	if want.Class != "" {
		if _, err := m.c.View().lazy(ctx, want.Class); err != nil {
			return ClaimState{}, fmt.Errorf("claim %s: %w", name, err)
		}
	}
	if err := m.hold(ctx, want.Namespace); err != nil {
		return ClaimState{}, fmt.Errorf("make claim %s: %w", name, err)
	}
	have, there, err := m.c.View().Claim(ctx, want.Namespace, want.Name)
	if err != nil {
		return have, err
	}
	if there {
		if err := m.mark.Check(have.Labels); err != nil {
			return have, fmt.Errorf("make claim %s: %w: %w", name, ErrExists, err)
		}
		if d := have.Differs(want); d != "" {
			return have, fmt.Errorf("make claim %s: it is there with %s: %w", name, d, ErrExists)
		}
	}
	spec := corev1ac.PersistentVolumeClaimSpec().WithAccessModes(corev1.PersistentVolumeAccessMode(want.Mode)).
		WithResources(corev1ac.VolumeResourceRequirements().WithRequests(corev1.ResourceList{corev1.ResourceStorage: size}))
	if want.Class != "" {
		spec = spec.WithStorageClassName(want.Class)
	}
	ac := corev1ac.PersistentVolumeClaim(want.Name, want.Namespace).WithLabels(m.mark.Labels()).WithSpec(spec)
	if !there {
		_, err = again(ctx, m.c, func() (*corev1.PersistentVolumeClaim, error) {
			return m.c.client.CoreV1().PersistentVolumeClaims(want.Namespace).Apply(ctx, ac, applyOptions())
		})
		if err != nil {
			return have, fmt.Errorf("make claim %s: %w", name, err)
		}
	}
	return m.bound(ctx, want, tell)
}

func (m Maker) bound(ctx context.Context, want Claim, tell Tell) (ClaimState, error) {
	name, began := want.Namespace+"/"+want.Name, time.Now()
	for pause := time.Duration(0); ; {
		s, there, err := m.c.View().Claim(ctx, want.Namespace, want.Name)
		switch {
		case err != nil:
			return s, err
		case !there:
			return s, fmt.Errorf("claim %s: it was there, and now it isn't", name)
		case s.Ending:
			return s, fmt.Errorf("claim %s is being deleted", name)
		case s.Ready():
			return s, nil
		}
		tell(fmt.Sprintf("waiting for claim %s (%s, %s): %s, %s %s", name, want.Size, want.Mode, s.Phase, since(began), s.Why), 0, 0)
		pause = m.c.pace.next(pause)
		if err := sleep(ctx, pause); err != nil {
			return s, fmt.Errorf("wait for claim %s: %s %s: %w", name, s.Phase, s.Why, err)
		}
	}
}

// DeleteClaim returns when the claim and its volume are gone, so that no disk outlives the cluster. Absent is fine; another's is
// stamp.ErrForeign; a volume that is kept by its reclaim policy is an error that names it.
func (m Maker) DeleteClaim(ctx context.Context, namespace, name string, tell Tell) error {
	if err := m.hold(ctx, namespace); err != nil {
		return fmt.Errorf("delete claim %s/%s: %w", namespace, name, err)
	}
	began, asked, volume := time.Now(), false, ""
	for pause := time.Duration(0); ; {
		s, there, err := m.c.View().Claim(ctx, namespace, name)
		if err != nil && !errors.Is(err, ErrNoClass) {
			return err
		}
		left := strings.TrimSpace("its volume " + volume)
		if there {
			if err := m.mark.Check(s.Labels); err != nil {
				return fmt.Errorf("delete claim %s/%s: %w", namespace, name, err)
			}
			left = "the claim, which a pod may still use"
			if s.Volume != "" {
				volume = s.Volume
			}
			if !asked && !s.Ending {
				_, err := again(ctx, m.c, func() (struct{}, error) {
					return struct{}{}, m.c.client.CoreV1().PersistentVolumeClaims(namespace).Delete(ctx, name, metav1.DeleteOptions{})
				})
				if err != nil && !apierrors.IsNotFound(err) {
					return fmt.Errorf("delete claim %s/%s: %w", namespace, name, err)
				}
			}
			asked = true
		} else if gone, err := m.volumeGone(ctx, namespace, name, volume); err != nil || gone {
			return err
		}
		tell(fmt.Sprintf("waiting until claim %s/%s is gone: %s is left, %s", namespace, name, left, since(began)), 0, 0)
		pause = m.c.pace.next(pause)
		if err := sleep(ctx, pause); err != nil {
			return fmt.Errorf("wait until claim %s/%s is gone (left: %s): %w", namespace, name, left, err)
		}
	}
}

// volumeGone looks for the volumes that were bound to a claim, also for those of an attempt that was killed after the claim had gone.
func (m Maker) volumeGone(ctx context.Context, namespace, name, volume string) (bool, error) {
	all, err := again(ctx, m.c, func() (*corev1.PersistentVolumeList, error) {
		return m.c.client.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
	})
	if err != nil {
		return false, fmt.Errorf("look for the volumes of claim %s/%s: %w", namespace, name, err)
	}
	for _, pv := range all.Items {
		ref := pv.Spec.ClaimRef
		if pv.Name != volume && (ref == nil || ref.Namespace != namespace || ref.Name != name) {
			continue
		}
		if pv.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete {
			return false, fmt.Errorf("volume %s of claim %s/%s stays: its reclaim policy is %s; delete it by hand: kubectl delete pv %s", pv.Name, namespace, name,
				pv.Spec.PersistentVolumeReclaimPolicy, pv.Name)
		}
		if pv.Status.Phase == corev1.VolumeFailed {
			return false, fmt.Errorf("volume %s of claim %s/%s can't be deleted: %s", pv.Name, namespace, name, pv.Status.Message)
		}
		return false, nil
	}
	return true, nil
}
