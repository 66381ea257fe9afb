//go:build lab

package kubernetes

import (
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
)

func mustAddr(s string) netip.Addr { return netip.MustParseAddr(s) }

// leftovers is everything of clusters that this computer has outside their directories: processes, mounts, loop devices, cgroups, by name.
func leftovers(t *testing.T) string {
	t.Helper()
	var out []string
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range processes {
		raw, err := os.ReadFile(p)
		if err != nil {
			continue // it ended
		}
		// Those of other labs on this computer are not ours.
		group, err := os.ReadFile(filepath.Join(filepath.Dir(p), "cgroup"))
		if err == nil && strings.Contains(string(group), "slipway-lab/kubetest/k") {
			out = append(out, "process "+strings.ReplaceAll(string(raw), "\x00", " "))
		}
	}
	// This thread's: the first one, which /proc/self is, may have been left in a machine's namespace by what ran there.
	mounts, err := os.ReadFile("/proc/thread-self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, "slipway-kubetest") {
			out = append(out, "mount "+strings.TrimSpace(line))
		}
	}
	loops, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range loops {
		if raw, err := os.ReadFile(l); err == nil && strings.Contains(string(raw), "slipway-kubetest") {
			out = append(out, "loop "+strings.TrimSpace(string(raw)))
		}
	}
	err = filepath.WalkDir("/sys/fs/cgroup", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && strings.Contains(path, "slipway-lab/kubetest/k") {
			out = append(out, "cgroup "+path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	sort.Strings(out)
	return strings.Join(out, "\n")
}

// readSysctls are the settings that a kubelet would change for the whole computer.
func readSysctls(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, s := range kernelDefaults {
		raw, err := os.ReadFile("/proc/sys/" + s.Key)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s=%s", s.Key, raw)
	}
	return b.String()
}

// logMemory logs what the cluster's machines hold, as the kernel shares it out among processes (PSS).
func logMemory(t *testing.T, b *bench) {
	t.Helper()
	total := 0
	for _, name := range []string{"k1-control", "k1-node1", "k1-node2"} {
		m := b.launcher.Machine(name)
		if m == nil {
			continue
		}
		processes, err := filepath.Glob("/proc/[0-9]*")
		if err != nil {
			t.Fatal(err)
		}
		sum := 0
		for _, p := range processes {
			if group, err := os.ReadFile(p + "/cgroup"); err != nil || !strings.Contains(string(group), "slipway-lab/kubetest/"+name) {
				continue
			}
			raw, err := os.ReadFile(p + "/smaps_rollup")
			if err != nil {
				continue
			}
			for line := range strings.Lines(string(raw)) {
				var kb int
				if _, err := fmt.Sscanf(line, "Pss: %d kB", &kb); err == nil {
					sum += kb
					if comm, err := os.ReadFile(p + "/comm"); err == nil && kb > 10<<10 {
						t.Logf("%s: %s %d MB", name, strings.TrimSpace(string(comm)), kb>>10)
					}
				}
			}
		}
		t.Logf("%s: %d MB", name, sum>>10)
		total += sum
	}
	t.Logf("together %d MB", total>>10)
}
