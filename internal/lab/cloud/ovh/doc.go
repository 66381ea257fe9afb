// Package ovh is the lab's OVH zone API (api.ovh.com/1.0, /domain/zone): signed
// requests with access rules per consumer key, and records that are edited in a
// stage of their own until POST refresh takes them to the name servers.
//
// Its manners are those that people meet: what is read back is the stage while
// the servers still answer the old; one refresh at a time; a TTL from 1 to 59 is
// stored as 60 with HTTP 200; a refresh that fails says nothing.
//
// It must import nothing of the lab. No exchange with the real API is recorded:
// shapes follow OVH's published schema (domain.json) and go-ovh, and all of it is
// unproven (docs/lab.md).
package ovh
