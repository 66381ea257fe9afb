//go:build !linux

package network

import (
	"errors"
	"os"
)

var errNotLinux = errors.New("the lab's network needs Linux")

func within(*os.File, func() error) error { return errNotLinux }
func inodeOf(*os.File) (uint64, error)    { return 0, errNotLinux }
