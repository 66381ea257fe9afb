package treecopy

import (
	"context"
	"errors"
	"fmt"

	"github.com/slipway-dev/slipway/internal/snapshot"
)

// Digests knows what the files of an artifact have in them.
type Digests struct {
	id  snapshot.ID
	sum map[Bytes]string
}

// ErrNoFile: the artifact has no file of that name.
var ErrNoFile = errors.New("there is no such file")

// Digests of the index's files.
func (x *Index) Digests() *Digests {
	d := &Digests{x.art.Manifest.ID, map[Bytes]string{}}
	for i := range x.Entries {
		if e := &x.Entries[i]; e.Kind == File {
			d.sum[e.Path] = e.SHA256
		}
	}
	return d
}

// Digest is the SHA-256, in hex, of a file by its path below the tree's root.
func (d *Digests) Digest(_ context.Context, path string) (string, error) {
	sum, ok := d.sum[Bytes(path)]
	if !ok {
		return "", fmt.Errorf("snapshot %s, %s: %w", d.id, Bytes(path), ErrNoFile)
	}
	return sum, nil
}
