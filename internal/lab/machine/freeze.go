package machine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// settled is how long a machine has to freeze as a whole before those of its processes are looked for that can't.
const settled = time.Second

// Freeze stops every process of the machine where it stands: it holds its connections and answers nothing. One that waits in the kernel for
// another's answer, as a reader of a file system that the other serves, can't be stopped by the kernel; with the other stopped it gets no
// further, and counts as stopped.
func (m *Machine) Freeze(ctx context.Context) error {
	began := time.Now()
	return m.freezer(ctx, "1", func() (bool, error) {
		if time.Since(began) < settled {
			return false, nil
		}
		return noneRuns(m.group)
	})
}

// Thaw lets a frozen machine go on.
func (m *Machine) Thaw(ctx context.Context) error {
	return m.freezer(ctx, "0", func() (bool, error) { return false, nil })
}

// freezer asks for a state and waits until the kernel says that it is so, or enough.
func (m *Machine) freezer(ctx context.Context, state string, enough func() (bool, error)) error {
	if err := os.WriteFile(filepath.Join(m.group, "cgroup.freeze"), []byte(state), 0o644); err != nil {
		return fmt.Errorf("machine %s: %w", m.spec.Name, err)
	}
	for {
		events, err := os.ReadFile(filepath.Join(m.group, "cgroup.events"))
		if err != nil {
			return fmt.Errorf("machine %s: %w", m.spec.Name, err)
		}
		if frozen(string(events)) == state {
			return nil
		}
		if ok, err := enough(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("machine %s does not take cgroup.freeze=%s: %w", m.spec.Name, state, ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// noneRuns says whether no thread of a group runs, and one at least waits in the kernel where nothing interrupts it. A thread that could still
// run on would have been stopped by now.
func noneRuns(group string) (bool, error) {
	waits := false
	err := filepath.WalkDir(group, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "cgroup.threads" {
			return err
		}
		threads, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, id := range strings.Fields(string(threads)) {
			switch state(id) {
			case 'R':
				return errRuns
			case 'D':
				waits = true
			}
		}
		return nil
	})
	if errors.Is(err, errRuns) || errors.Is(err, fs.ErrNotExist) { // a group that went while it was walked: look again
		return false, nil
	}
	return waits, err
}

var errRuns = errors.New("a thread runs")

// state is a thread's, as proc(5) has it: the letter behind the name, which stands in parentheses and may hold any; 0 when it is gone.
func state(thread string) byte {
	stat, err := os.ReadFile(filepath.Join("/proc", thread, "stat"))
	if err != nil {
		return 0
	}
	i := strings.LastIndexByte(string(stat), ')')
	if i < 0 || i+2 >= len(stat) {
		return 0
	}
	return stat[i+2]
}
