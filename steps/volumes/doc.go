// Package volumes makes the target's persistent volumes, fills the one for assets and verifies it. It must not import another step package;
// Kubernetes API types stay in internal/kube.
package volumes
