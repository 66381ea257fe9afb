// Package place says where trees of files are, as people write it, and opens them: a directory of this machine, one of a host over SSH, one in a
// persistent volume claim of a cluster. For the latter two it brings the agent there and starts it.
//
// It makes no hand on a host by itself: who opens a place over SSH gives it one.
package place
