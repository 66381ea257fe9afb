//go:build !linux

package storage

import (
	"errors"

	"github.com/slipway-dev/slipway/internal/lab/machine"
)

var errNotLinux = errors.New("the lab's volumes need Linux")

type loop struct{}

func openLoop(string) (*loop, error)                   { return nil, errNotLinux }
func (*loop) close() error                             { return errNotLinux }
func (*loop) showIn(*machine.Machine, string) error    { return errNotLinux }
func (*loop) hideIn(*machine.Machine, string) error    { return errNotLinux }
func mounted(*machine.Machine, string) (bool, error)   { return false, errNotLinux }
func inMachine(_ *machine.Machine, path string) string { return path }
