//go:build !linux

package labtest

import "errors"

var errNotLinux = errors.New("the lab needs Linux")

func ownNetwork() (uint64, error) { return 0, errNotLinux }

func enter(string, bool, func()) (func(), error) { return nil, errNotLinux }
