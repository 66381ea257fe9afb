//go:build lab

package place

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/remote/sshtest"
	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// mounts makes what runs on a host see other file systems at some directories, each in a mount namespace of its own that ends with it.
func (h *host) mounts(options string, dirs ...string) {
	script := "set -e\n"
	for _, d := range dirs {
		script += "mount -t tmpfs -o " + options + " none " + d + "\n"
	}
	h.shell = []string{"unshare", "--mount", "sh", "-c", script + `exec sh -c "$0"`}
}

// Where nothing may execute, that is said, and nothing is left; one directory that may is enough.
func TestNoExec(t *testing.T) {
	h := newHost(t)
	home, err := os.MkdirTemp("/run", "place") // a file system over /tmp would hide one that is there
	if err != nil {
		t.Fatal(err)
	}
	h.home = home
	defer os.Remove(home)
	all := []string{h.home, "/tmp", "/var/tmp", "/dev/shm"}
	for _, options := range []string{"noexec", "ro"} {
		h.mounts(options, all...)
		_, _, err := Open(t.Context(), h.place("/"), h.options)
		if !errors.Is(err, ErrNoExec) || errors.Is(err, tree.ErrLost) || !strings.Contains(err.Error(), h.place("/").String()) {
			t.Errorf("%s: %v", options, err)
		}
		h.clean(options)
	}
	for i := range all {
		h.mounts("noexec", append(append([]string(nil), all[:i]...), all[i+1:]...)...)
		src, closer := h.open("/")
		if err := src.Hash(t.Context(), nil, nil); err != nil {
			t.Errorf("only %s: %v", all[i], err)
		}
		if err := closer.Close(); err != nil {
			t.Error(err)
		}
		h.clean("only " + all[i])
		for _, dir := range all {
			sshtest.Eventually(t, "only "+all[i]+": nothing is left in "+dir, func() bool {
				left, err := filepath.Glob(dir + "/.slipway-agent-*")
				return err == nil && len(left) == 0
			})
		}
	}
}

// A directory without room for the agent: it didn't come whole, and nothing of it stays.
func TestNoRoomForTheAgent(t *testing.T) {
	h := newHost(t)
	h.mounts("size=64k", h.home)
	if _, _, err := Open(t.Context(), h.place("/"), h.options); err == nil || errors.Is(err, tree.ErrLost) || !strings.Contains(err.Error(), "No space left") {
		t.Errorf("%v", err)
	}
	if left, err := os.ReadDir(h.home); err != nil || len(left) != 0 {
		t.Errorf("%v, %v", left, err)
	}
	h.clean("it had no room")
}
