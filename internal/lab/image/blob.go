package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/slipway-dev/slipway/internal/lab/rootfs"
)

// blob is an uncompressed layer archive in a file. It is a v1.Layer: compressed it is the same bytes, since nothing is ever sent over a wire.
type blob struct {
	Hex   string // SHA-256 of the file
	Bytes int64
	path  string
}

func (b *blob) hash() v1.Hash                        { return v1.Hash{Algorithm: "sha256", Hex: b.Hex} }
func (b *blob) Digest() (v1.Hash, error)             { return b.hash(), nil }
func (b *blob) DiffID() (v1.Hash, error)             { return b.hash(), nil }
func (b *blob) Compressed() (io.ReadCloser, error)   { return os.Open(b.path) }
func (b *blob) Uncompressed() (io.ReadCloser, error) { return os.Open(b.path) }
func (b *blob) Size() (int64, error)                 { return b.Bytes, nil }
func (b *blob) MediaType() (types.MediaType, error)  { return types.OCIUncompressedLayer, nil }

// blobs is the cache of layer archives: one file by the name of its hash, and beside it, by the name of what it was made of, which that is.
type blobs struct{ dir string }

func openBlobs(dir string) (blobs, error) {
	for _, sub := range []string{"sha256", "made"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return blobs{}, err
		}
	}
	return blobs{dir}, nil
}

func (b blobs) path(hex string) string { return filepath.Join(b.dir, "sha256", hex) }

// layer archives a root file system layer's directory, unless that was done before. The caller holds the store's lock.
func (b blobs) layer(ctx context.Context, dir string) (*blob, error) {
	note := filepath.Join(b.dir, "made", filepath.Base(dir)+".json")
	raw, err := os.ReadFile(note)
	if err == nil {
		var made blob
		if err := json.Unmarshal(raw, &made); err != nil {
			return nil, fmt.Errorf("%s: %w: delete it and go on", note, err)
		}
		made.path = b.path(made.Hex)
		info, err := os.Stat(made.path)
		if err == nil && info.Size() == made.Bytes {
			return &made, nil
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	made, err := b.write(ctx, func(w io.Writer) error { return archiveLayer(w, dir) })
	if err != nil {
		return nil, err
	}
	if raw, err = json.Marshal(made); err != nil {
		return nil, err
	}
	return made, os.WriteFile(note, raw, 0o644)
}

// files archives an image's topmost layer.
func (b blobs) files(ctx context.Context, img Image, below []string) (*blob, error) {
	return b.write(ctx, func(w io.Writer) error { return archiveFiles(w, img, below) })
}

// write keeps what fill writes, under its hash.
func (b blobs) write(ctx context.Context, fill func(io.Writer) error) (*blob, error) {
	f, err := os.CreateTemp(b.dir, "writing-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name()) // gone already where all went well
	h := sha256.New()
	if err := fill(until(ctx, io.MultiWriter(f, h))); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	info, err := f.Stat()
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return nil, err
	}
	made := &blob{Hex: hex.EncodeToString(h.Sum(nil)), Bytes: info.Size()}
	made.path = b.path(made.Hex)
	return made, os.Rename(f.Name(), made.path)
}

// writerFunc is a function as a writer.
type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// until fails once the context has ended: archives are long, and nothing below takes a context.
func until(ctx context.Context, w io.Writer) io.Writer {
	return writerFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return w.Write(p)
	})
}

var _ v1.Layer = (*blob)(nil)

// layers returns an image's layers, lowest first, archiving what wasn't yet.
func (b blobs) layers(ctx context.Context, store *rootfs.Store, img Image) ([]v1.Layer, error) {
	var below []string // topmost first
	if img.Layer != nil {
		var err error
		if below, err = store.Ensure(ctx, *img.Layer); err != nil {
			return nil, err
		}
	}
	var out []v1.Layer
	for i := len(below) - 1; i >= 0; i-- {
		l, err := b.layer(ctx, below[i])
		if err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	if len(img.Files) == 0 && len(img.Programs) == 0 {
		return out, nil
	}
	top, err := b.files(ctx, img, below)
	if err != nil {
		return nil, err
	}
	return append(out, top), nil
}
