//go:build !linux

package place

import (
	"errors"
	"runtime"
)

// Check refuses.
func (p Place) Check() error {
	return errors.New("the lab needs Linux, this is " + runtime.GOOS + ": run it on Debian 12, in a virtual machine")
}
