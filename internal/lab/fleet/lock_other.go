//go:build !linux

package fleet

import (
	"errors"
	"os"
)

var errNotLinux = errors.New("the lab needs Linux")

func useLock(string) (*os.File, error)     { return nil, errNotLinux }
func lockUnused(string) (*os.File, error)  { return nil, errNotLinux }
func removeAttribute(string, string) error { return errNotLinux }
