package machine

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// cgroupTop is the directory under which all labs of a computer keep their cgroups.
const cgroupTop = "slipway-lab"

// hierarchy is one mounted cgroup tree of this computer.
type hierarchy struct {
	mount   string // where this computer has it
	base    string // mount plus this process's own group: where groups may be made
	options string // version 1: the controllers, as mount(2) wants them; version 2: empty
}

// cgroupTrees are the trees of this computer. unified is always there; v1 is empty on a computer with version 2 only.
type cgroupTrees struct {
	unified hierarchy
	v1      []hierarchy
}

// findCgroups reads the trees from the formats of proc_pid_mountinfo(5) and cgroups(7), /proc/[pid]/cgroup.
func findCgroups(mountinfo, self string) (cgroupTrees, error) {
	var trees cgroupTrees
	own := map[string]string{} // controllers -> path of this process
	for line := range strings.Lines(self) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) == 3 {
			own[parts[1]] = parts[2]
		}
	}
	scan := bufio.NewScanner(strings.NewReader(mountinfo))
	for scan.Scan() {
		before, after, ok := strings.Cut(scan.Text(), " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if !ok || len(left) < 5 || len(right) < 3 {
			continue
		}
		mount := left[4]
		switch right[0] {
		case "cgroup2":
			if trees.unified.mount == "" {
				// Groups of the lab are made at the top: the group of a login session ends with the session.
				trees.unified = hierarchy{mount: mount, base: mount}
			}
		case "cgroup":
			for controllers, at := range own {
				if controllers == "" || !sameControllers(controllers, right[2]) {
					continue
				}
				base := filepath.Join(mount, at)
				if _, err := os.Stat(base); err != nil {
					base = mount
				}
				trees.v1 = append(trees.v1, hierarchy{mount: mount, base: base, options: controllers})
			}
		}
	}
	if trees.unified.mount == "" {
		return cgroupTrees{}, errors.New("no cgroup version 2 tree is mounted: mount one (mount -t cgroup2 none /sys/fs/cgroup/unified)")
	}
	slices.SortFunc(trees.v1, func(a, b hierarchy) int { return strings.Compare(a.options, b.options) })
	return trees, nil
}

// sameControllers says whether all of controllers ("cpu,cpuacct", "name=systemd") are among the mount's super options.
func sameControllers(controllers, super string) bool {
	have := strings.Split(super, ",")
	for c := range strings.SplitSeq(controllers, ",") {
		if !slices.Contains(have, c) {
			return false
		}
	}
	return true
}

func thisCgroups() (cgroupTrees, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return cgroupTrees{}, err
	}
	self, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return cgroupTrees{}, err
	}
	return findCgroups(string(mounts), string(self))
}

// makeV2 makes a version 2 group, with every controller that there is handed down to its parent's children if controllers is set.
func (h hierarchy) makeV2(rel string, controllers bool) (string, error) {
	dir := h.base
	for part := range strings.SplitSeq(rel, "/") {
		if controllers {
			if err := handDown(dir); err != nil {
				return "", err
			}
		}
		dir = filepath.Join(dir, part)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", err
		}
	}
	return dir, nil
}

// handDown enables for dir's children what dir itself may use.
func handDown(dir string) error {
	have, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return err
	}
	for _, c := range strings.Fields(string(have)) {
		if err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+c), 0o644); err != nil {
			return fmt.Errorf("enable cgroup controller %s in %s: %w", c, dir, err)
		}
	}
	return nil
}

// makeV1 makes a version 1 group. A cpuset group takes no process before it has processors and memory nodes: they are its parent's.
func (h hierarchy) makeV1(rel string) (string, error) {
	dir := h.base
	for part := range strings.SplitSeq(rel, "/") {
		parent := dir
		dir = filepath.Join(dir, part)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", err
		}
		if !sameControllers("cpuset", h.options) {
			continue
		}
		for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
			value, err := os.ReadFile(filepath.Join(parent, name))
			if err != nil {
				return "", err
			}
			if err := os.WriteFile(filepath.Join(dir, name), value, 0o644); err != nil {
				return "", err
			}
		}
	}
	return dir, nil
}

// groupPatience is for how long a group may stay busy: 2 s were not enough on 2 processors with 40 programs that wanted them.
const groupPatience = 30 * time.Second

// removeGroups removes a tree of groups whose processes have ended. The kernel lets go of a group a moment after its last process has been
// waited for, hence the patience.
func removeGroups(ctx context.Context, top string) error {
	var err error
	for until := time.Now().Add(groupPatience); time.Now().Before(until); {
		if err = rmdirTree(top); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
	return fmt.Errorf("remove cgroup %s: %w", top, err)
}

func rmdirTree(top string) error {
	var dirs []string
	err := filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case entry.IsDir():
			dirs = append(dirs, path)
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.Reverse(dirs)
	for _, dir := range dirs {
		if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// killGroup ends every process under a version 2 group and waits until it is empty.
func killGroup(ctx context.Context, dir string) error {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := os.WriteFile(filepath.Join(dir, "cgroup.kill"), []byte("1"), 0o644); err != nil {
		return fmt.Errorf("kill what is left in %s: %w", dir, err)
	}
	for {
		events, err := os.ReadFile(filepath.Join(dir, "cgroup.events"))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if strings.Contains(string(events), "populated 0") {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("processes in %s do not end: %w", dir, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}
