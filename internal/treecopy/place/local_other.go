//go:build !linux

package place

import (
	"fmt"
	"io"
	"runtime"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

func openLocal(path string, _ Options) (tree.Target, io.Closer, error) {
	return nil, nil, fmt.Errorf("%s: files of this machine can be copied on Linux, and not on %s", path, runtime.GOOS)
}
