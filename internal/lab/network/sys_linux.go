package network

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

func inodeOf(f *os.File) (uint64, error) {
	var stat unix.Stat_t
	err := unix.Fstat(int(f.Fd()), &stat)
	return stat.Ino, err
}

// within runs f on a thread in the network namespace. The thread is not used for anything else afterwards.
func within(space *os.File, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Setns(int(space.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("enter the lab's network: %w", err)
			return
		}
		done <- f()
	}()
	return <-done
}
