package disk

import (
	"context"
	"errors"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// Probe is not there yet.
func (d *Disk) Probe(context.Context) (tree.Keeps, error) {
	return tree.Keeps{}, errors.New("probe: not there yet")
}

// Sweep is not there yet.
func (d *Disk) Sweep(context.Context) error { return errors.New("sweep: not there yet") }
