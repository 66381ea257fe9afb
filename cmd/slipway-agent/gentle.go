package main

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// How much an agent gives way: processor as nice(1) does by default, disk as ionice --class best-effort --classdata 7, the lowest before idle,
// which would not get on at all on a busy host. See ioprio_set(2) for how class and level are put together.
const (
	niceness    = 10
	whoProcess  = 1
	lowPriority = 2<<13 | 7
)

// beGentle gives way to other programs. Both are a thread's own and go to the threads that it makes, so each thread is told; as long as there
// are some that weren't, since they may come from those that weren't either.
func beGentle() error {
	done := map[int]bool{}
	for more := true; more; {
		more = false
		all, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return fmt.Errorf("list this program's threads: %w", err)
		}
		for _, e := range all {
			id, err := strconv.Atoi(e.Name())
			if err != nil || done[id] {
				continue
			}
			done[id], more = true, true
			// What gives way more already stays as it is: to take that back isn't everybody's. getpriority(2): the system call gives 20 less the niceness.
			if now, err := unix.Getpriority(unix.PRIO_PROCESS, id); err != nil || 20-now < niceness {
				if err := unix.Setpriority(unix.PRIO_PROCESS, id, niceness); err != nil && err != unix.ESRCH {
					return fmt.Errorf("nice: %w", err)
				}
			}
			if _, _, errno := unix.Syscall(unix.SYS_IOPRIO_SET, whoProcess, uintptr(id), lowPriority); errno != 0 && errno != unix.ESRCH {
				return fmt.Errorf("ionice: %w", errno)
			}
		}
	}
	return nil
}
