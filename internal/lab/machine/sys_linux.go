package machine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

var (
	sigTerm os.Signal = unix.SIGTERM
	// sigHalt is SIGRTMIN+3 as glibc counts, on which systemd halts (systemd(1), "Signals").
	sigHalt os.Signal = syscall.Signal(34 + 3)
)

func stageAttr(spec Spec, group *os.File) *syscall.SysProcAttr {
	flags := uintptr(unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC)
	if !spec.HostNetwork {
		flags |= unix.CLONE_NEWNET
	}
	return &syscall.SysProcAttr{Cloneflags: flags, Setsid: true, UseCgroupFD: true, CgroupFD: int(group.Fd())}
}

func bindLife(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = unix.SIGKILL
}

func execAttr(group *os.File) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, UseCgroupFD: true, CgroupFD: int(group.Fd())}
}

// joinV1 moves the calling thread into version 1 groups: what it forks begins there.
func joinV1(dirs []string) error {
	for _, dir := range dirs {
		if err := os.WriteFile(filepath.Join(dir, "tasks"), fmt.Append(nil, unix.Gettid()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// enter moves the calling thread, which must be locked and end afterwards, into the namespaces of a machine's first process.
func enter(pid int, netns *os.File) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("the machine has ended: %w", err)
	}
	defer unix.Close(fd)
	// A thread that shares its root and working directory with others can't change its mount namespace.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return err
	}
	spaces := unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWNET | unix.CLONE_NEWCGROUP
	if err := unix.Setns(fd, spaces); err != nil {
		return fmt.Errorf("enter the machine: %w", err)
	}
	if netns == nil {
		return nil
	}
	if err := unix.Setns(int(netns.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter the network namespace: %w", err)
	}
	return nil
}

// frozen reads the field of cgroup.events.
func frozen(events string) string {
	for line := range strings.Lines(events) {
		if value, ok := strings.CutPrefix(line, "frozen "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// runStage becomes the machine: descriptor 3 brings the order, descriptor 4 takes an error; it closes without a word when the first process runs.
func runStage() {
	said := os.NewFile(4, "said")
	unix.CloseOnExec(4)
	fmt.Fprintln(said, becomeMachine())
	os.Exit(125)
}

// becomeMachine returns only if it failed.
func becomeMachine() error {
	runtime.LockOSThread() // a cgroup namespace is a thread's until the exec below makes it the process's
	var ord order
	in := os.NewFile(3, "order")
	if err := json.NewDecoder(in).Decode(&ord); err != nil {
		return fmt.Errorf("no order from the launcher: %w", err)
	}
	if err := in.Close(); err != nil {
		return err
	}
	// The new namespace begins at the group the process is in now; at clone time it would begin at the launcher's.
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("cgroup namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := mountAll(ord); err != nil {
		return err
	}
	if err := pivot(ord.Root); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte(ord.Spec.Hostname)); err != nil {
		return fmt.Errorf("host name: %w", err)
	}
	if err := writeFiles(ord.Spec.Files); err != nil {
		return err
	}
	for _, s := range ord.Spec.Sysctls {
		if err := os.WriteFile(filepath.Join("/proc/sys", s.Key), []byte(s.Value), 0o644); err != nil {
			return fmt.Errorf("sysctl %s: %w", s.Key, err)
		}
	}
	argv := ord.Spec.Argv
	if len(argv) == 0 {
		argv = []string{"/sbin/init"}
		// A writable /sys makes systemd start udev and more. The cgroups below it are mounts of their own and stay writable.
		flags := uintptr(unix.MS_REMOUNT | unix.MS_BIND | unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC)
		if err := unix.Mount("", "/sys", "", flags, ""); err != nil {
			return fmt.Errorf("make /sys read-only: %w", err)
		}
	}
	err := unix.Exec(argv[0], argv, os.Environ())
	return fmt.Errorf("execute %s: %w", argv[0], err)
}

// mount is one mount point under the new root.
type mount struct {
	source, target, fstype string
	flags                  uintptr
	data                   string
}

func (m mount) do(root string) error {
	at := filepath.Join(root, m.target)
	if err := os.MkdirAll(at, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(m.source, at, m.fstype, m.flags, m.data); err != nil {
		return fmt.Errorf("mount %s on %s: %w", m.fstype, m.target, err)
	}
	return nil
}

// overlayOptions are set out loud, because distributions differ in their defaults. Without redirects and metadata-only copies an upper directory is
// a plain tree that can serve as a lower one later.
func overlayOptions(lower []string, upper, work string, index, volatile bool) string {
	opt := "lowerdir=" + strings.Join(lower, ":") + ",upperdir=" + upper + ",workdir=" + work + ",redirect_dir=nofollow,metacopy=off"
	if index {
		opt += ",index=on"
	} else {
		opt += ",index=off"
	}
	if volatile {
		opt += ",volatile"
	}
	return opt
}

func mountOverlay(at, options string) error {
	if len(options) >= os.Getpagesize() {
		return fmt.Errorf("the layers' paths have %d bytes, mount(2) takes %d: use shorter state and cache directories", len(options), os.Getpagesize()-1)
	}
	// The last mount of the same directories may be a moment from gone.
	var err error
	for range 100 {
		if err = unix.Mount("overlay", at, "overlay", 0, options); !errors.Is(err, unix.EBUSY) {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil {
		return fmt.Errorf("mount overlay (%s): %w", options, err)
	}
	return nil
}

func mountAll(ord order) error {
	const strict = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	spec, root := ord.Spec, ord.Root
	if err := mountOverlay(root, overlayOptions(spec.Lower, ord.Upper, ord.Work, false, spec.Volatile)); err != nil {
		return err
	}
	mounts := []mount{
		{"proc", "proc", "proc", strict, ""},
		{"sysfs", "sys", "sysfs", strict, ""},
		{"tmpfs", "dev", "tmpfs", unix.MS_NOSUID, "mode=755"},
		{"tmpfs", "dev/shm", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
		{"devpts", "dev/pts", "devpts", unix.MS_NOSUID | unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620,gid=5"},
		{"mqueue", "dev/mqueue", "mqueue", strict, ""},
		{"tmpfs", "run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=755"},
	}
	for _, m := range append(mounts, cgroupMounts(ord)...) {
		if err := m.do(root); err != nil {
			return err
		}
	}
	if ord.Leaf {
		if err := moveToLeaf(filepath.Join(root, "sys/fs/cgroup")); err != nil {
			return err
		}
	}
	if err := makeDevices(root, spec.Devices); err != nil {
		return err
	}
	for _, dir := range []string{"run/lock", "run/sshd"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			return err
		}
	}
	if err := os.Chmod(filepath.Join(root, "run/lock"), 0o777|fs.ModeSticky); err != nil {
		return err
	}
	for i, v := range spec.Volumes {
		if err := mountVolume(root, v, ord.Volumes[i]); err != nil {
			return fmt.Errorf("volume %s: %w", v.Path, err)
		}
	}
	for _, b := range spec.Binds {
		if err := bind(root, b.Source, b.Target, b.ReadOnly); err != nil {
			return err
		}
	}
	return nil
}

// cgroupMounts are the trees as seen from the cgroup namespace, which begins at the machine.
func cgroupMounts(ord order) []mount {
	const strict = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	const at = "sys/fs/cgroup"
	if len(ord.V1) == 0 {
		return []mount{{"cgroup2", at, "cgroup2", strict, ""}}
	}
	mounts := []mount{{"tmpfs", at, "tmpfs", strict, "mode=755"}, {"cgroup2", at + "/unified", "cgroup2", strict, ""}}
	for _, options := range ord.V1 {
		name := strings.TrimPrefix(options, "name=")
		if strings.HasPrefix(options, "name=") {
			options = "none," + options // a hierarchy without controllers (systemd's)
		}
		mounts = append(mounts, mount{"cgroup", filepath.Join(at, name), "cgroup", strict, options})
	}
	return mounts
}

// moveToLeaf empties the root of a version 2 tree: a group with processes of its own can't hand controllers to its children (cgroups(7)).
func moveToLeaf(tree string) error {
	leaf := filepath.Join(tree, "init")
	if err := os.MkdirAll(leaf, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(leaf, "cgroup.procs"), []byte("0"), 0o644)
}

func makeDevices(root string, more []Device) error {
	devices := append([]Device{{"/dev/null", 1, 3}, {"/dev/zero", 1, 5}, {"/dev/full", 1, 7}, {"/dev/random", 1, 8}, {"/dev/urandom", 1, 9},
		{"/dev/tty", 5, 0}, {"/dev/fuse", 10, 229}}, more...)
	for _, d := range devices {
		at := filepath.Join(root, d.Path)
		if err := unix.Mknod(at, unix.S_IFCHR|0o666, int(unix.Mkdev(d.Major, d.Minor))); err != nil {
			return fmt.Errorf("make %s: %w", d.Path, err)
		}
		if err := os.Chmod(at, 0o666); err != nil { // past the umask
			return err
		}
	}
	for _, l := range []struct{ name, target string }{{"ptmx", "pts/ptmx"}, {"fd", "/proc/self/fd"}, {"stdin", "/proc/self/fd/0"},
		{"stdout", "/proc/self/fd/1"}, {"stderr", "/proc/self/fd/2"}} {
		if err := os.Symlink(l.target, filepath.Join(root, "dev", l.name)); err != nil {
			return err
		}
	}
	return nil
}

func mountVolume(root string, v Volume, dirs volumeOrder) error {
	if len(v.Lower) == 0 {
		return bind(root, dirs.Upper, v.Path, false)
	}
	at, err := inside(root, v.Path)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(at, 0o755); err != nil {
		return err
	}
	return mountOverlay(at, overlayOptions(v.Lower, dirs.Upper, dirs.Work, true, false))
}

func bind(root, source, target string, readOnly bool) error {
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	at, err := inside(root, target)
	if err != nil {
		return err
	}
	if info.IsDir() {
		err = os.MkdirAll(at, 0o755)
	} else if err = os.MkdirAll(filepath.Dir(at), 0o755); err == nil {
		var f *os.File
		if f, err = os.OpenFile(at, os.O_CREATE|os.O_RDONLY, 0o644); err == nil {
			err = f.Close()
		}
	}
	if err != nil {
		return err
	}
	if err := unix.Mount(source, at, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind %s on %s: %w", source, target, err)
	}
	if !readOnly {
		return nil
	}
	if err := unix.Mount("", at, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("make %s read-only: %w", target, err)
	}
	return nil
}

// inside is where target is under root. A symbolic link on the way is refused: an absolute one would lead out to this computer's own tree.
func inside(root, target string) (string, error) {
	at := root
	for part := range strings.SplitSeq(strings.Trim(filepath.Clean(target), "/"), "/") {
		at = filepath.Join(at, part)
		info, err := os.Lstat(at)
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return "", err
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			return "", fmt.Errorf("%s: %s is a symbolic link in the layers: name the place it leads to", target, strings.TrimPrefix(at, root))
		}
	}
	return filepath.Join(root, target), nil
}

func pivot(root string) error {
	if err := os.Chdir(root); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leave the old root: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	// Units with a private /tmp (Apache, PHP) get mount namespaces of their own: only from a shared root do later FUSE mounts reach them.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("make mounts shared: %w", err)
	}
	return nil
}

// onFirstThread says whether the caller runs on the thread that the process began with.
func onFirstThread() bool { return unix.Gettid() == unix.Getpid() }
