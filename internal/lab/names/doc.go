// Package names is the lab's DNS: two authoritative servers (BIND; a primary
// that takes signed updates, and a secondary that follows by NOTIFY and AXFR)
// and a resolver for the lab's clients (unbound) that caches by TTL.
//
// They serve shop.example, which is production's zone, rehearsal.example, and
// zones that are added while the lab runs. The resolver knows these two and the
// lab's own names (google.lab, ovh.lab); it answers NXDOMAIN to everything else,
// and so also to a zone that was added and that nobody delegated.
//
// It must import nothing of the lab but machine, network and rootfs.
//
// Sources: RFC 2136 (update), RFC 8945 (TSIG), RFC 1996 (NOTIFY), RFC 5936
// (AXFR), BIND 9.18's and unbound 1.17's reference manuals.
package names
