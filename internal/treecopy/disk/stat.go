package disk

import (
	"golang.org/x/sys/unix"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// kindOf is a mode's.
func kindOf(mode uint32) tree.Kind {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return tree.File
	case unix.S_IFDIR:
		return tree.Directory
	case unix.S_IFLNK:
		return tree.Symlink
	case unix.S_IFBLK:
		return tree.BlockDevice
	case unix.S_IFCHR:
		return tree.CharDevice
	case unix.S_IFIFO:
		return tree.FIFO
	case unix.S_IFSOCK:
		return tree.Socket
	}
	return '?'
}

// statOf is what the system says of an entry, in the tree's terms, but for a link's target.
func statOf(p tree.Path, st *unix.Stat_t) tree.Stat {
	s := tree.Stat{
		Path: p, Kind: kindOf(st.Mode), Mode: st.Mode & 0o7777, UID: st.Uid, GID: st.Gid,
		MTime: tree.Time{Sec: int64(st.Mtim.Sec), Nsec: int64(st.Mtim.Nsec)}, CTime: tree.Time{Sec: int64(st.Ctim.Sec), Nsec: int64(st.Ctim.Nsec)},
		Inode: st.Ino, Names: uint64(st.Nlink),
	}
	if s.Kind == tree.File {
		s.Size, s.Blocks = st.Size, st.Blocks
	}
	return s
}

// statFD is an open entry's.
func statFD(fd int, p tree.Path) (tree.Stat, error) {
	st, err := fstat(fd)
	if err != nil {
		return tree.Stat{Path: p}, err
	}
	return statOf(p, &st), nil
}
