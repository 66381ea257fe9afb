// Package mount gives the agent a view of a Gluster volume of its own: mounted afresh, read-only, in a mount namespace that no other process of
// the host sees, by a client that ends with the agent. Nothing is written on the host, not even a directory or a log.
//
// It imports nothing of Slipway.
package mount

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrMount: the volume can't be mounted. The text has the client's own words.
var ErrMount = errors.New("the Gluster volume can't be mounted")

const (
	client  = "/usr/sbin/glusterfs"
	patient = 30 * time.Second // until the client has asked the volume's servers
)

// Apart starts this program again in a mount namespace of its own, with these arguments, and doesn't return unless that fails; in the
// program that was started so it returns nil. mark is an environment variable that tells the two apart. Call it first in main, since all that
// the process holds but its descriptors is gone after it.
func Apart(mark string, args []string) error {
	if os.Getenv(mark) != "" {
		return nil
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("a mount namespace of its own: %w; sign in as root", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("a mount namespace of its own: %w", err)
	}
	err := unix.Exec("/proc/self/exe", args, append(os.Environ(), mark+"=1"))
	return fmt.Errorf("start in a mount namespace: %w", err)
}

// under are directories of every Linux system that an agent needs nothing of: in its own namespace another one covers it.
var under = []string{"/mnt", "/media", "/srv", "/opt"}

// Gluster mounts a volume of a server, read-only, and gives the directory. Only after Apart. The client is killed when this process ends,
// however it ends, and with it the mount.
func Gluster(ctx context.Context, server, volume string) (dir string, err error) {
	if _, err := os.Stat(client); err != nil {
		return "", fmt.Errorf("%w: %w: install Gluster's client there (glusterfs-client), or give a host that has it", ErrMount, err)
	}
	at := slices.IndexFunc(under, func(d string) bool { st, err := os.Lstat(d); return err == nil && st.IsDir() })
	if at < 0 {
		return "", fmt.Errorf("%w: none of %s is a directory", ErrMount, strings.Join(under, ", "))
	}
	if err := unix.Mount("slipway-agent", under[at], "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0700,size=16m"); err != nil {
		return "", fmt.Errorf("%w: %w; sign in as root", ErrMount, err)
	}
	dir, log := filepath.Join(under[at], "volume"), filepath.Join(under[at], "log")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", fmt.Errorf("%w: %w", ErrMount, err)
	}
	cmd := exec.Command(client, "--no-daemon", "--read-only", "--acl", "--volfile-server="+server, "--volfile-id=/"+volume, "--log-level=WARNING", "--log-file="+log, dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	ended := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the signal comes when the thread that started it ends: this one stays
		err := cmd.Start()
		if err == nil {
			err = cmd.Wait()
		}
		ended <- err
		select {}
	}()
	ctx, cancel := context.WithTimeoutCause(ctx, patient, fmt.Errorf("it isn't there after %s", patient))
	defer cancel()
	for {
		if mounted(dir) {
			return dir, nil
		}
		select {
		case err := <-ended:
			return "", fmt.Errorf("%w: volume %s of %s: the client ended: %v%s", ErrMount, volume, server, err, last(log))
		case <-ctx.Done():
			return "", fmt.Errorf("%w: volume %s of %s: %w%s", ErrMount, volume, server, context.Cause(ctx), last(log))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// mounted says whether the volume's root answers: Gluster gives it the inode 1.
func mounted(dir string) bool {
	var fs unix.Statfs_t
	if unix.Statfs(dir, &fs) != nil || fs.Type != unix.FUSE_SUPER_MAGIC {
		return false
	}
	var st unix.Stat_t
	return unix.Stat(dir, &st) == nil && st.Ino == 1
}

// last is the end of the client's log, behind a colon.
func last(log string) string {
	b, err := os.ReadFile(log)
	if err != nil || len(b) == 0 {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(bytes.ToValidUTF8(b, []byte("?")))), "\n")
	return ": " + strings.Join(lines[max(0, len(lines)-3):], "; ")
}
