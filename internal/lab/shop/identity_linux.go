package shop

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// fileIdentity sets whose files this thread makes (setfsuid(2)), and looks whether it worked: the call can't say.
func fileIdentity(id int) error {
	if err := errors.Join(unix.Setfsgid(id), unix.Setfsuid(id)); err != nil {
		return fmt.Errorf("make files as user %d: %w", id, err)
	}
	if was, err := unix.SetfsuidRetUid(-1); err != nil || was != id {
		return fmt.Errorf("make files as user %d: the kernel has user %d: %w", id, was, err)
	}
	return nil
}
