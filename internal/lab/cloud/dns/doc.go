// Package dns is the lab's Cloud DNS API v1: managed zones, record sets and
// changes, with a Backend behind it that has real name servers follow.
//
// As at Google the API's own state changes at once and atomically, a change is
// "pending" before it is "done", and the name servers follow on their own: done
// does not mean that they answer it.
//
// It must import nothing of the lab but rest. Answers follow the exchanges
// recorded against the real API as far as they reach; changes.create and the
// errors are unproven (docs/lab.md).
package dns
