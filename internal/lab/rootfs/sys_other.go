//go:build !linux

package rootfs

import (
	"context"
	"errors"

	"github.com/slipway-dev/slipway/internal/lab/progress"
)

var errNotLinux = errors.New("the lab needs Linux")

// Lock refuses.
func Lock(context.Context, string, progress.Func, string) (func(), error) { return nil, errNotLinux }

func syncTree(string) error { return errNotLinux }
