// Package storage gives a lab's cluster the two kinds of volume that the product asks a cloud for: disks, which one node at a time has
// (ReadWriteOnce), and shares, which all nodes have at once (ReadWriteMany). It is a CSI driver for each, with the controllers beside it that a cloud runs:
// claims become volumes, disks are attached to nodes and detached.
//
// A volume is an ext4 file system of the size that was asked for, in a sparse file on a loop device. A disk is attached by making its device appear in the
// one node's /dev, so a second node is refused three times over: by Kubernetes' own attach controller, by ours, and by having no device. A share's device
// is mounted by several nodes at once; they are on one kernel, which then has one file system with several mounts, and they see the same files at once.
//
// Loop devices are set to clear themselves at the last close, so that a killed lab leaves none. The package imports machine alone of the lab.
package storage
