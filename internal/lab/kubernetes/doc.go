// Package kubernetes starts and stops real Kubernetes clusters inside the lab: Kubernetes built from source, a control plane in one machine, nodes that run
// containers with containerd and runc in a machine each, on the lab's bridge. It also does there what a cloud does around a managed
// cluster: routes to the pods of each node, disks and shared file systems (package storage), load balancers (package balancer), and the
// acceptance of the cloud's access tokens.
//
// Everything runs in the lab's machines or in the process that calls this package, and ends with it. It knows no cloud API and no shop, and imports
// image, machine, network, progress and rootfs alone of the lab.
package kubernetes
