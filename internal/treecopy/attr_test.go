package treecopy_test

import "golang.org/x/sys/unix"

func setAttr(path, name, value string) error { return unix.Lsetxattr(path, name, []byte(value), 0) }
