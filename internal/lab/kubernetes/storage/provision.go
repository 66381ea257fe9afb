package storage

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

// Annotations by which Kubernetes' volume controller and scheduler talk to a provisioner (k8s.io/component-helpers/storage/volume).
const (
	wantsProvisioner = "volume.kubernetes.io/storage-provisioner"
	selectedNode     = "volume.kubernetes.io/selected-node"
	provisionedBy    = "pv.kubernetes.io/provisioned-by"
	// dataFinalizer keeps a PersistentVolume until what is in it is deleted.
	dataFinalizer = "external-provisioner.volume.kubernetes.io/finalizer"
)

// provision makes the volume of a claim that waits for one of ours.
func (s *Storage) provision(ctx context.Context, key string) error {
	namespace, name, err := cache.SplitMetaNamespaceKey(key)
	if err != nil {
		return err
	}
	c, err := s.claims.PersistentVolumeClaims(namespace).Get(name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	d, ours := s.driver(c.Annotations[wantsProvisioner])
	if !ours || c.Spec.VolumeName != "" || c.DeletionTimestamp != nil || c.Spec.StorageClassName == nil {
		return nil
	}
	class, err := s.classes.Get(*c.Spec.StorageClassName)
	if err != nil {
		return err
	}
	if class.VolumeBindingMode != nil && *class.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer && c.Annotations[selectedNode] == "" {
		return nil // the scheduler has not decided yet
	}
	err = d.allows(c.Spec.AccessModes)
	if c.Spec.VolumeMode != nil && *c.Spec.VolumeMode == corev1.PersistentVolumeBlock {
		err = fmt.Errorf("%s: volumes are file systems, not devices", class.Name)
	}
	if err != nil {
		s.events.Event(c, corev1.EventTypeWarning, "ProvisioningFailed", err.Error())
		return nil // the claim itself is wrong: trying again won't help
	}
	pv := newVolume(d, class, c)
	size := pv.Spec.Capacity[corev1.ResourceStorage]
	if err := s.volumes.create(ctx, pv.Spec.CSI.VolumeHandle, size.Value()); err != nil {
		s.events.Event(c, corev1.EventTypeWarning, "ProvisioningFailed", err.Error())
		return err
	}
	if _, err := s.config.Client.CoreV1().PersistentVolumes().Create(ctx, pv, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	s.events.Eventf(c, corev1.EventTypeNormal, "ProvisioningSucceeded", "made volume %s of %s", pv.Name, size.String())
	return nil
}

// newVolume is the PersistentVolume for a claim. Its name and handle follow from the claim's UID, so that a second attempt finds the first's.
func newVolume(d driver, class *storagev1.StorageClass, c *corev1.PersistentVolumeClaim) *corev1.PersistentVolume {
	id := "pvc-" + string(c.UID)
	request := c.Spec.Resources.Requests[corev1.ResourceStorage]
	mode := corev1.PersistentVolumeFilesystem
	pv := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: id, Annotations: map[string]string{provisionedBy: d.name}, Finalizers: []string{dataFinalizer}},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:         corev1.ResourceList{corev1.ResourceStorage: *resource.NewQuantity(roundSize(request.Value()), resource.BinarySI)},
			AccessModes:      c.Spec.AccessModes,
			StorageClassName: class.Name,
			MountOptions:     class.MountOptions,
			VolumeMode:       &mode,
			ClaimRef: &corev1.ObjectReference{APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: c.Namespace, Name: c.Name, UID: c.UID,
				ResourceVersion: c.ResourceVersion},
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: d.name, VolumeHandle: id, FSType: "ext4"}},
		},
	}
	if class.ReclaimPolicy != nil {
		pv.Spec.PersistentVolumeReclaimPolicy = *class.ReclaimPolicy
	}
	return pv
}

// reclaim deletes what is in a volume whose claim is gone, and then the volume's object.
func (s *Storage) reclaim(ctx context.Context, name string) error {
	pv, err := s.pvs.Get(name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, ours := s.driver(pv.Annotations[provisionedBy]); !ours || pv.Spec.CSI == nil {
		return nil
	}
	free := pv.Status.Phase == corev1.VolumeReleased || pv.Status.Phase == corev1.VolumeFailed
	if !free || !slices.Contains(pv.Finalizers, dataFinalizer) {
		return nil
	}
	volumes := s.config.Client.CoreV1().PersistentVolumes()
	if pv.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete {
		if err := s.volumes.remove(pv.Spec.CSI.VolumeHandle); err != nil {
			return err // a node still has it: it is asked again
		}
		err := volumes.Delete(ctx, name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(pv.UID))})
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	} else if pv.DeletionTimestamp == nil {
		return nil // retained
	}
	now, err := volumes.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	now.Finalizers = slices.DeleteFunc(now.Finalizers, func(f string) bool { return f == dataFinalizer })
	_, err = volumes.Update(ctx, now, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
