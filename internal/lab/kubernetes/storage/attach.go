package storage

import (
	"context"
	"fmt"
	"slices"

	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// attachFinalizer keeps a VolumeAttachment until the disk is detached.
const attachFinalizer = "slipway.lab/disk-attached"

// attachOrDetach does what a VolumeAttachment says: Kubernetes makes one when a pod with a disk is scheduled, and deletes it when the node has unmounted.
func (s *Storage) attachOrDetach(ctx context.Context, name string) error {
	va, err := s.attached.Get(name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if va.Spec.Attacher != disks.name {
		return nil
	}
	node, err := s.node(va.Spec.NodeName)
	if err != nil {
		return err
	}
	if va.Spec.Source.PersistentVolumeName == nil {
		return fmt.Errorf("attachment %s names no volume", name)
	}
	if va.DeletionTimestamp != nil {
		return s.detach(ctx, va, node)
	}
	if va.Status.Attached {
		return nil
	}
	pv, err := s.pvs.Get(*va.Spec.Source.PersistentVolumeName)
	if err != nil {
		return err
	}
	api := s.config.Client.StorageV1().VolumeAttachments()
	va = va.DeepCopy()
	if !slices.Contains(va.Finalizers, attachFinalizer) {
		va.Finalizers = append(va.Finalizers, attachFinalizer)
		if va, err = api.Update(ctx, va, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}
	failure := s.volumes.attach(pv.Spec.CSI.VolumeHandle, node, true)
	va.Status = storagev1.VolumeAttachmentStatus{Attached: failure == nil}
	if failure != nil {
		va.Status.AttachError = &storagev1.VolumeError{Time: metav1.Now(), Message: failure.Error()}
	}
	if _, err := api.UpdateStatus(ctx, va, metav1.UpdateOptions{}); err != nil {
		return err
	}
	return failure
}

func (s *Storage) detach(ctx context.Context, va *storagev1.VolumeAttachment, node Node) error {
	if !slices.Contains(va.Finalizers, attachFinalizer) {
		return nil
	}
	// The volume's object may be gone before its attachment; its handle is its name.
	if err := s.volumes.detach(*va.Spec.Source.PersistentVolumeName, node); err != nil {
		return err
	}
	va = va.DeepCopy()
	va.Finalizers = slices.DeleteFunc(va.Finalizers, func(f string) bool { return f == attachFinalizer })
	_, err := s.config.Client.StorageV1().VolumeAttachments().Update(ctx, va, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
