// Package remote runs commands on hosts over SSH and forwards TCP connections through them.
//
// A Pool holds one connection per host, made when it is first needed and again when it was lost. What may be done with it
// depends on what is made of it:
//
//   - NewLooker: runs nothing but the queries that this package's own constructors make, none of which changes anything on
//     the host. It is what a rehearsal has of the real source. Its concrete type has no other method, so it can't be
//     asserted into anything that acts.
//   - NewActor: runs any argument vector. Construct it only where the design allows it (the one file of cmd).
//   - Dialer: a TCP connection from the host, for protocols that have rights of their own (MySQL).
//
// Host keys are pinned in a known_hosts file; an unknown or changed key stops that host. Everything takes a context and
// ends with it; a time limit that passes is an error. Every error begins with the host's name.
//
// It imports no other package of Slipway but internal/secret.
package remote
