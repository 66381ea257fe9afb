// Package container is the lab's Kubernetes Engine API v1: clusters and their
// operations, with a Backend behind it that runs real clusters. The HTTP layer
// knows no Kubernetes; it can be tried with a Backend of a test's own.
//
// It must import nothing of the lab but rest.
//
// Answers follow the exchanges recorded against the real API as far as they
// reach; the rest follows the discovery document and is listed as unproven in
// docs/lab.md. Messages are the generated types of
// google.golang.org/api/container/v1.
package container
