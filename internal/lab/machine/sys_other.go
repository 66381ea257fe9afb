//go:build !linux

package machine

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

var (
	errNotLinux           = errors.New("machines need Linux")
	sigTerm     os.Signal = os.Interrupt
	sigHalt     os.Signal = os.Interrupt
)

func stageAttr(Spec, *os.File) *syscall.SysProcAttr { return nil }
func bindLife(*exec.Cmd)                            {}
func execAttr(*os.File) *syscall.SysProcAttr        { return nil }
func joinV1([]string) error                         { return errNotLinux }
func enter(int, *os.File) error                     { return errNotLinux }
func frozen(string) string                          { return "" }
func runStage()                                     {}

func onFirstThread() bool { return false }
