package image

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// nameAnnotation gives an image its whole name in an archive's index, as containerd writes and reads it.
const nameAnnotation = "io.containerd.image.name"

// bundle is a set of images as one archive in the OCI image layout (opencontainers/image-spec, image-layout.md).
type bundle struct {
	images []v1.Image
	index  v1.ImageIndex
}

// add makes an image of its layers, lowest first.
func (b *bundle) add(img Image, layers []v1.Layer) error {
	config := v1.ConfigFile{OS: "linux", Architecture: architecture, RootFS: v1.RootFS{Type: "layers"}, Config: v1.Config{
		Entrypoint: img.Entrypoint, Cmd: img.Cmd, Env: img.Env, User: img.User, WorkingDir: img.Dir,
	}}
	if len(img.Ports) > 0 {
		config.Config.ExposedPorts = map[string]struct{}{}
		for _, p := range img.Ports {
			config.Config.ExposedPorts[p] = struct{}{}
		}
	}
	made, err := mutate.ConfigFile(mutate.MediaType(mutate.ConfigMediaType(empty.Image, types.OCIConfigJSON), types.OCIManifestSchema1), &config)
	if err != nil {
		return err
	}
	if made, err = mutate.AppendLayers(made, layers...); err != nil {
		return err
	}
	if b.index == nil {
		b.index = mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	}
	b.images = append(b.images, made)
	b.index = mutate.AppendManifests(b.index, mutate.IndexAddendum{Add: made, Descriptor: v1.Descriptor{
		Annotations: map[string]string{nameAnnotation: img.Name},
	}})
	return nil
}

// ids are the images' hashes of their configurations, "sha256:…".
func (b *bundle) ids() []string {
	var out []string
	for _, img := range b.images {
		if name, err := img.ConfigName(); err == nil { // it was computed for the index already
			out = append(out, name.String())
		}
	}
	return out
}

// write streams the archive. Layers that images share are in it once.
func (b *bundle) write(w io.Writer) error {
	to := tar.NewWriter(w)
	index, err := b.index.RawManifest()
	if err != nil {
		return err
	}
	err = errors.Join(writeBytes(to, "oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)), writeBytes(to, "index.json", index))
	if err != nil {
		return err
	}
	done := map[string]bool{}
	for _, img := range b.images {
		if err := writeImage(to, img, done); err != nil {
			return fmt.Errorf("write image archive: %w", err)
		}
	}
	return to.Close()
}

func writeImage(to *tar.Writer, img v1.Image, done map[string]bool) error {
	manifest, err := img.RawManifest()
	if err != nil {
		return err
	}
	digest, err := img.Digest()
	if err != nil {
		return err
	}
	config, err := img.RawConfigFile()
	if err != nil {
		return err
	}
	name, err := img.ConfigName()
	if err != nil {
		return err
	}
	for _, part := range []struct {
		hash    v1.Hash
		content []byte
	}{{digest, manifest}, {name, config}} {
		if done[part.hash.Hex] {
			continue // two names of one image
		}
		done[part.hash.Hex] = true
		if err := writeBytes(to, blobName(part.hash), part.content); err != nil {
			return err
		}
	}
	layers, err := img.Layers()
	if err != nil {
		return err
	}
	for _, l := range layers {
		if err := writeLayer(to, l, done); err != nil {
			return err
		}
	}
	return nil
}

func writeLayer(to *tar.Writer, l v1.Layer, done map[string]bool) error {
	hash, err := l.Digest()
	if err != nil || done[hash.Hex] {
		return err
	}
	done[hash.Hex] = true
	size, err := l.Size()
	if err != nil {
		return err
	}
	if err := to.WriteHeader(&tar.Header{Name: blobName(hash), Mode: 0o644, Size: size}); err != nil {
		return err
	}
	r, err := l.Compressed()
	if err != nil {
		return err
	}
	_, err = io.Copy(to, r)
	return errors.Join(err, r.Close())
}

func blobName(h v1.Hash) string { return "blobs/" + h.Algorithm + "/" + h.Hex }

func writeBytes(to *tar.Writer, name string, content []byte) error {
	if err := to.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
		return err
	}
	_, err := to.Write(content)
	return err
}
