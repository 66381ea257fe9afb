// Package disk is a file tree on this machine: a tree.Target below one directory, on Linux.
//
// Everything is opened relative to a descriptor of that directory, by the kernel's rules that no symbolic link is followed and neither the
// directory nor its file system is left (openat2, from Linux 5.6). An older kernel can be read from: there each name of a path is opened by
// itself. Whoever changes the tree meanwhile can make an entry vanish or change, and nothing worse.
//
// It imports package tree and golang.org/x/sys/unix alone, and nothing else of Slipway: it is the larger part of the agent, which is small.
package disk
