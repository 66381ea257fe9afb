package place

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Check says in one line what this computer or user lacks for a lab, and what to do; nil if nothing.
func (p Place) Check() error {
	if os.Geteuid() != 0 {
		return errors.New("the lab needs root (namespaces, mounts, cgroups): run it with sudo, or in a virtual machine of your own")
	}
	filesystems, err := os.ReadFile("/proc/filesystems")
	if err != nil {
		return fmt.Errorf("the lab needs /proc: %w", err)
	}
	for _, need := range []struct{ name, why string }{{"overlay", "the hosts' root file systems"}, {"fuse", "the Gluster mounts"}} {
		if !hasFilesystem(string(filesystems), need.name) {
			return fmt.Errorf("the kernel has no %s (%s): modprobe %s, or boot a kernel that has it", need.name, need.why, need.name)
		}
	}
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err != nil {
		if _, err := os.Stat("/sys/fs/cgroup/unified/cgroup.procs"); err != nil {
			return errors.New("no cgroup version 2 tree is mounted: boot with cgroup v2, or mount -t cgroup2 none /sys/fs/cgroup/unified")
		}
	}
	if err := checkDebian(); err != nil {
		return err
	}
	for _, dir := range []struct{ path, variable string }{{p.State, StateVar}, {p.Cache, CacheVar}} {
		if err := checkFilesystem(dir.path, dir.variable); err != nil {
			return err
		}
	}
	return nil
}

func hasFilesystem(list, name string) bool {
	for line := range strings.Lines(list) {
		if fields := strings.Fields(line); len(fields) > 0 && fields[len(fields)-1] == name {
			return true
		}
	}
	return false
}

func checkDebian() error {
	release, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return fmt.Errorf("can't tell what system this is: %w", err)
	}
	for line := range strings.Lines(string(release)) {
		if strings.TrimSpace(line) == "ID=debian" {
			return nil
		}
	}
	return errors.New("the lab is built with Debian's apt and was tried on Debian 12 alone: run it on Debian 12, in a virtual machine or container of its own")
}

// checkFilesystem refuses a directory that can't carry the writable layer of an overlay.
func checkFilesystem(path, variable string) error {
	at := path
	for {
		var stat unix.Statfs_t
		err := unix.Statfs(at, &stat)
		switch {
		case errors.Is(err, fs.ErrNotExist) && at != "/":
			at = filepath.Dir(at)
			continue
		case err != nil:
			return fmt.Errorf("%s: %w", at, err)
		case stat.Type == unix.OVERLAYFS_SUPER_MAGIC || stat.Type == unix.NFS_SUPER_MAGIC || stat.Type == unix.FUSE_SUPER_MAGIC:
			return fmt.Errorf("%s lies on a file system that can't carry an overlay: set %s to a directory on ext4, xfs, btrfs or tmpfs", path, variable)
		}
		return nil
	}
}
