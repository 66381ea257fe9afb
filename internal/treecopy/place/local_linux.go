package place

import (
	"io"

	"github.com/slipway-dev/slipway/internal/treecopy/disk"
	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

func openLocal(path string, o Options) (tree.Target, io.Closer, error) {
	d, err := disk.Open(path, disk.Options{Rate: o.Rate})
	if err != nil {
		return nil, nil, err
	}
	if o.ReadOnly {
		return readOnly{d}, d, nil
	}
	return d, d, nil
}
