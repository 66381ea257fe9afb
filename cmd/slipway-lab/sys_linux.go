package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

var windowChange os.Signal = unix.SIGWINCH

func ownSession() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// interruptGroup interrupts a process that has a session of its own, with all that it started.
func interruptGroup(pid int) error { return unix.Kill(-pid, unix.SIGINT) }

// killGroup ends what is left of such a process; nothing is left as a rule.
func killGroup(pid int) error {
	if err := unix.Kill(-pid, unix.SIGKILL); !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}

// enterAndExec replaces this process by a program in a network namespace, where /etc/resolv.conf names one resolver.
func enterAndExec(space *os.File, resolver string, argv, env []string) error {
	name, err := exec.LookPath(argv[0])
	if err != nil {
		return usageError{err}
	}
	runtime.LockOSThread() // the namespaces are this thread's until the exec makes them the process's
	if err := unix.Setns(int(space.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter the lab's network: %w", err)
	}
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	// /sys shows the devices of the network it was mounted in; nothing here asks it. Only the resolver's file is another.
	file, err := os.CreateTemp("", "slipway-lab-resolv")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	if _, err := fmt.Fprintf(file, "nameserver %s\noptions timeout:1 attempts:2\n", resolver); err != nil {
		return err
	}
	if err := file.Chmod(0o644); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	if err := unix.Mount(file.Name(), "/etc/resolv.conf", "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("put the lab's resolver over /etc/resolv.conf: %w", err)
	}
	if err := os.Remove(file.Name()); err != nil { // the mount holds it
		return err
	}
	return fmt.Errorf("%s: %w", name, unix.Exec(name, argv, env))
}
