// Package treecopy copies file trees: it reads one from a host into an artifact, fills a volume from the artifact, and compares the two, file
// by file and byte by byte.
//
// It runs nothing itself but the commands that a Source or a Target gives it: find, tar, sha256sum, xargs of GNU, as every Debian host and the
// mover's image have them. Names are bytes without NUL, of whatever encoding.
//
// What is kept of an entry: type, contents, size, mode, owner and group by number, modification time to the nanosecond, a symbolic link's
// target, hard links among the tree's own names, extended attributes in user.*, POSIX ACLs, holes in sparse files. Devices, sockets and FIFOs are
// reported and left out. Not kept: access and change times, inode numbers, attributes outside of user.* (file capabilities among them).
//
// The package imports internal/remote and internal/snapshot; it must not import the engine, a step, or anything of Kubernetes.
package treecopy
