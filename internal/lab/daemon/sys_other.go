//go:build !linux

package daemon

import (
	"errors"

	"github.com/slipway-dev/slipway/internal/lab/place"
)

var errNotLinux = errors.New("the lab needs Linux")

// Hold refuses.
func Hold(place.Place) (func(), error) { return nil, errNotLinux }

func raiseLimits() error { return errNotLinux }
