package image

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/slipway-dev/slipway/internal/lab/machine"
)

// Where containerd 1.6 keeps what, under its root directory.
const (
	contentDir   = "io.containerd.content.v1.content/blobs/sha256"
	snapshotsDir = "io.containerd.snapshotter.v1.overlayfs/snapshots"
	metadata     = "io.containerd.metadata.v1.bolt/meta.db"
	snapshotMeta = "io.containerd.snapshotter.v1.overlayfs/metadata.db"
)

// Shared is where a node sees the set, read-only.
const Shared = "/opt/images"

const architecture = runtime.GOARCH

// Set is a containerd store with images in it, in the cache. Nothing writes to it.
type Set struct{ dir string }

// Bind shows the set to a node.
func (s Set) Bind() machine.Bind {
	return machine.Bind{Source: s.dir, Target: Shared, ReadOnly: true}
}

// Lay makes root, an empty or missing directory, into a containerd root directory that has the set's images: copies of the two databases, and symbolic links for
// each archive and each unpacked layer, which lead to where Bind shows them. So a node starts with all images in milliseconds, and what it
// deletes is a link.
func (s Set) Lay(root string) error {
	for _, db := range []string{metadata, snapshotMeta} {
		if err := copyFile(filepath.Join(s.dir, db), filepath.Join(root, db)); err != nil {
			return fmt.Errorf("lay images under %s: %w", root, err)
		}
	}
	for _, dir := range []string{contentDir, snapshotsDir} {
		entries, err := os.ReadDir(filepath.Join(s.dir, dir))
		if err != nil {
			return fmt.Errorf("lay images under %s: %w", root, err)
		}
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			return err
		}
		for _, e := range entries {
			if err := os.Symlink(filepath.Join(Shared, dir, e.Name()), filepath.Join(root, dir, e.Name())); err != nil {
				return fmt.Errorf("lay images under %s: %w", root, err)
			}
		}
	}
	return nil
}

func copyFile(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o711); err != nil {
		return err
	}
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, w.Close())
}
