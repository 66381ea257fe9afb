package machine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Spec says what a machine is made of. Only Name and Lower are mandatory.
type Spec struct {
	// Name is the machine's name within its launcher and, unless Hostname is set, its host name. Lower case letters, digits and dashes.
	Name string
	// Hostname is what the machine calls itself; Name if empty.
	Hostname string
	// Lower holds the read-only layers, topmost first.
	Lower []string
	// Upper is the writable layer, an absolute path on a file system that can carry an overlay. Empty: a directory of the launcher's,
	// kept until Remove, so that a machine started again under its name finds what it wrote.
	Upper string
	// Argv is the first process, an absolute path and its arguments. Empty: systemd (/sbin/init). See Idle for a machine in
	// which everything is started by Exec. The first process must reap children.
	Argv []string
	// Env is added to the first process's environment, "NAME=value".
	Env []string
	// Files are written at each start, before the first process runs. What the machine itself is to keep over a restart does
	// not belong here.
	Files []File
	// Binds are directories or files of this computer that are seen inside.
	Binds []Bind
	// Volumes are directory trees apart from the root: see Volume.
	Volumes []Volume
	// Devices are made in /dev beside the usual ones (null, zero, full, random, urandom, tty, ptmx, fuse).
	Devices []Device
	// Sysctls are set in the machine's namespaces before the first process runs, in this order.
	Sysctls []Sysctl
	// Cgroups chooses what the machine sees in /sys/fs/cgroup.
	Cgroups CgroupView
	// Net connects the machine; nil: a network namespace with nothing in it but a loopback device that is down.
	Net Wire
	// HostNetwork leaves the machine in the network of the process that starts it (for building layers). Excludes Net.
	HostNetwork bool
	// Volatile drops every fsync in the root file system: faster, and worthless for anything that measures or proves durability.
	Volatile bool
}

// Idle is a first process that only reaps: for machines whose programs are started by Exec. It needs Debian's tini in the layers.
func Idle() []string { return []string{"/usr/bin/tini", "--", "/bin/sleep", "infinity"} }

// Wire connects a machine's network namespace. It is called once per start, after the namespace exists and before anything of the machine runs
// in it. netns stays the caller's to close.
type Wire interface {
	Connect(ctx context.Context, netns *os.File) error
}

// File is one entry of a tree: a file, a symbolic link (Link set) or a directory (Dir set). Missing parents are made with mode 0755.
type File struct {
	Path    string      // absolute, inside the tree
	Mode    fs.FileMode // permission bits; 0 means 0644, for directories 0755
	Owner   string      // "user" or "user:group" by the tree's own passwd and group, or numbers; empty: root
	Content []byte
	Link    string
	Dir     bool
}

// Text is a File of mode 0644 that belongs to root.
func Text(path, content string) File { return File{Path: path, Content: []byte(content)} }

// Symlink is a File that points at target.
func Symlink(path, target string) File { return File{Path: path, Link: target} }

// Bind makes Source of this computer visible at Target. Target is made if it is missing; it is a directory if Source is one.
type Bind struct {
	Source, Target string
	ReadOnly       bool
}

// Volume is a tree with a mount of its own at Path. Without Lower it is a plain directory (no overlay under it: what itself mounts overlays, as containerd does,
// needs that). With Lower it is an overlay that keeps hard links whole (overlayfs "index"), which a Gluster brick needs and the root overlay does not give.
type Volume struct {
	Path  string
	Lower []string // read-only trees, topmost first
	// Upper is where what is written goes, an absolute path. Empty: a directory of the launcher's, kept until Remove.
	Upper string
}

// Device is a character device.
type Device struct {
	Path         string // absolute, under /dev
	Major, Minor uint32
}

// Kmsg is the kernel's log, which a kubelet insists on.
func Kmsg() Device { return Device{Path: "/dev/kmsg", Major: 1, Minor: 11} }

// Sysctl is one kernel setting, by its path under /proc/sys ("net/ipv4/ip_forward").
type Sysctl struct{ Key, Value string }

// CgroupView says what a machine sees of the cgroups.
type CgroupView int

const (
	// Unified: a version 2 tree that begins at the machine. Where this computer has the controllers on version 1 (a hybrid), the tree carries
	// none, which systemd 247 to 262 is content with.
	Unified CgroupView = iota
	// Controllers: the controllers, beginning at the machine, in whatever form this computer has them: on a hybrid the version 1 hierarchies plus the
	// version 2 tree in /sys/fs/cgroup/unified; else the version 2 tree with controllers enabled and the first process in a leaf named
	// init, so that the rest may be divided. For machines that run containers.
	Controllers
)

var errNoLayers = errors.New("no layers")

func (s Spec) check() error {
	if s.Name == "" || strings.Trim(s.Name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return fmt.Errorf("machine name %q: want lower case letters, digits and dashes", s.Name)
	}
	if len(s.Lower) == 0 {
		return fmt.Errorf("machine %s: %w", s.Name, errNoLayers)
	}
	if s.HostNetwork && s.Net != nil {
		return fmt.Errorf("machine %s: HostNetwork and Net exclude each other", s.Name)
	}
	for _, f := range s.Files {
		if !path.IsAbs(f.Path) {
			return fmt.Errorf("machine %s: file %q: path is not absolute", s.Name, f.Path)
		}
	}
	lower := slices.Clone(s.Lower)
	for _, v := range s.Volumes {
		lower = append(lower, v.Lower...)
	}
	for _, dir := range lower {
		if !filepath.IsAbs(dir) || strings.ContainsAny(dir, ":,\\") {
			return fmt.Errorf("machine %s: layer %q: want an absolute path without colon, comma and backslash", s.Name, dir)
		}
	}
	return nil
}
