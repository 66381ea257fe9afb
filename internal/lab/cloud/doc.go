// Package cloud is the lab's cloud: HTTPS endpoints under google.lab and
// ovh.lab that answer the Google and OVH APIs which the product uses, with the
// real thing behind each. An instance is a MySQL server, a cluster is a
// Kubernetes cluster, a record is in the name servers, an object is a file.
//
// It puts the APIs (packages below this one, which know no part of the lab)
// together with those parts, and keeps no state over a restart: a cloud that
// starts is empty, with new keys.
//
// It must not be imported by the product, which reaches it over HTTPS alone.
package cloud
