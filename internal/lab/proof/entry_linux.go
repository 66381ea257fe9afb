package proof

import (
	"fmt"
	"io/fs"
	"syscall"
)

func newEntry(info fs.FileInfo) (entry, error) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return entry{}, fmt.Errorf("%s: no file status", info.Name())
	}
	return entry{mode: info.Mode(), uid: stat.Uid, gid: stat.Gid, size: stat.Size, inode: stat.Ino, device: stat.Rdev, mtime: stat.Mtim.Nano(), ctime: stat.Ctim.Nano()}, nil
}
