package storage

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// driver is one of the two kinds of volume.
type driver struct {
	name   string // of the CSI driver and of the provisioner
	class  string // the StorageClass, by the name that GKE has
	attach bool   // a disk: attached to one node at a time
	modes  []corev1.PersistentVolumeAccessMode
	// binding is when a claim gets its volume, as GKE's classes of the name have it.
	binding storagev1.VolumeBindingMode
}

// The drivers. GKE's are pd.csi.storage.gke.io and filestore.csi.storage.gke.io; these are the lab's own and don't pretend.
var (
	disks = driver{
		name: "disk.csi.slipway.lab", class: "standard-rwo", attach: true, binding: storagev1.VolumeBindingWaitForFirstConsumer,
		modes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce, corev1.ReadWriteOncePod},
	}
	shares = driver{
		name: "share.csi.slipway.lab", class: "standard-rwx", binding: storagev1.VolumeBindingImmediate,
		modes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany, corev1.ReadOnlyMany, corev1.ReadWriteOnce},
	}
)

// allows says whether a claim may ask the driver for the modes.
func (d driver) allows(modes []corev1.PersistentVolumeAccessMode) error {
	for _, m := range modes {
		ok := false
		for _, have := range d.modes {
			ok = ok || have == m
		}
		if !ok {
			return fmt.Errorf("%s: access mode %s is not among what it has: %v", d.class, m, d.modes)
		}
	}
	return nil
}

// Install makes the StorageClasses and tells the cluster of the drivers. standard-rwo is the default class, as in GKE.
func Install(ctx context.Context, client kubernetes.Interface) error {
	for _, d := range []driver{disks, shares} {
		meta := metav1.ObjectMeta{Name: d.class}
		if d.class == disks.class {
			meta.Annotations = map[string]string{"storageclass.kubernetes.io/is-default-class": "true"}
		}
		reclaim := corev1.PersistentVolumeReclaimDelete
		_, err := client.StorageV1().StorageClasses().Create(ctx, &storagev1.StorageClass{ObjectMeta: meta, Provisioner: d.name,
			ReclaimPolicy: &reclaim, VolumeBindingMode: &d.binding}, metav1.CreateOptions{})
		if err != nil {
			return fmt.Errorf("make StorageClass %s: %w", d.class, err)
		}
		group := storagev1.ReadWriteOnceWithFSTypeFSGroupPolicy
		_, err = client.StorageV1().CSIDrivers().Create(ctx, &storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: d.name},
			Spec: storagev1.CSIDriverSpec{AttachRequired: &d.attach, FSGroupPolicy: &group}}, metav1.CreateOptions{})
		if err != nil {
			return fmt.Errorf("make CSIDriver %s: %w", d.name, err)
		}
	}
	return nil
}
