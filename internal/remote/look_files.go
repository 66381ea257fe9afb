package remote

import (
	"fmt"
	"path"
	"strings"
	"time"
)

// TreeFormat is what the listings of this file print of each entry, for find -printf: eleven fields, each with a NUL after it: type, size in
// bytes, mode in octal, owner, group, times of modification and of change in seconds since 1970 with nanoseconds, inode, number of hard links,
// path with ./ before it, and a symbolic link's target. NUL is the one byte that neither a path nor a target can hold.
const TreeFormat = `%y\0%s\0%m\0%U\0%G\0%T@\0%C@\0%i\0%n\0%p\0%l\0`

// treeRoot refuses what can't be a tree's directory.
func treeRoot(dir string) error {
	if !path.IsAbs(dir) || path.Clean(dir) != dir || strings.ContainsRune(dir, 0) {
		return fmt.Errorf("%q is not the absolute path of a directory", dir)
	}
	return nil
}

func treeQuery(name, dir string, argv ...string) (Query, error) {
	if err := treeRoot(dir); err != nil {
		return Query{}, err
	}
	return Query{name: name + " " + dir, argv: argv}, nil
}

// TreeMount says on which kind of file system a directory is and what is mounted there, as df --output=fstype,source prints it: a line of
// titles and one with both.
func TreeMount(dir string) (Query, error) {
	q, err := treeQuery("file system of", dir, "env", "LC_ALL=C", "df", "--output=fstype,source", "--", dir)
	q.limit, q.timeout = 64<<10, 30*time.Second
	return q, err
}

// TreeList lists a directory and all below it on the same file system, in TreeFormat. For Stream, without input. An entry that vanishes
// meanwhile is left out; whatever else can't be looked at makes it fail at its end.
func TreeList(dir string) (Query, error) {
	return treeQuery("list of", dir, "env", "--chdir="+dir, "LC_ALL=C", "find", ".", "-ignore_readdir_race", "-xdev", "-printf", TreeFormat)
}

// TreeStat lists the entries whose paths come on its input, each with ./ before it and a NUL behind, in TreeFormat. For Stream. It ends with
// status 123 when one of them could not be looked at, and lists the others.
func TreeStat(dir string) (Query, error) {
	return treeQuery("look at files in", dir, "env", "--chdir="+dir, "LC_ALL=C", "xargs", "--null", "--no-run-if-empty",
		"sh", "-c", `exec find "$@" -maxdepth 0 -printf "$0"`, TreeFormat)
}

// TreeTar makes a tar in pax format of the entries whose paths come on its input, each with ./ before it and a NUL behind; directories
// without what is in them. For Stream. It has times to the nanosecond, owners by number, hard links among these entries, extended attributes
// in user.*, ACLs, and the holes of sparse files. It ends with status 1 when a file changed while it was read, with 2 when one could not be
// read, and goes on with the others in both cases.
func TreeTar(dir string) (Query, error) {
	return treeQuery("read of files in", dir, "env", "LC_ALL=C", "tar", "--create", "--file=-", "--directory="+dir, "--format=pax", "--pax-option=delete=atime",
		"--numeric-owner", "--xattrs", "--xattrs-include=user.*", "--acls", "--sparse", "--no-recursion", "--null", "--no-unquote", "--verbatim-files-from", "--files-from=-")
}
