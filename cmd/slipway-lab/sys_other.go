//go:build !linux

package main

import (
	"errors"
	"os"
	"syscall"
)

var windowChange os.Signal = os.Interrupt

func ownSession() *syscall.SysProcAttr { return nil }

func enterAndExec(*os.File, string, []string, []string) error { return errNotLinux }

func interruptGroup(int) error { return errNotLinux }

func killGroup(int) error { return errNotLinux }

var errNotLinux = errors.New("the lab needs Linux")
