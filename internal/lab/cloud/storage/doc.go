// Package storage is the lab's Cloud Storage JSON API v1: buckets and objects,
// kept as files in a directory. Uploads in one request, in two parts and
// resumable; generations and their preconditions; ranges.
//
// It must import nothing of the lab but rest. Answers for buckets follow the
// exchanges recorded against the real API; objects follow the discovery document
// and are unproven (docs/lab.md).
package storage
