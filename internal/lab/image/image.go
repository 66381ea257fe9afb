package image

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/internal/lab/machine"
	"github.com/slipway-dev/slipway/internal/lab/rootfs"
)

// Registry is the host part of the images' names. Nothing answers there: a name that was not imported gives the pull error that a wrong name
// gives anywhere.
const Registry = "registry.lab"

// Engine is the layer of what runs containers: of the machine that imports images, and of the machines of a cluster.
var Engine = rootfs.Layer{
	Name: "cluster", Suite: rootfs.Bookworm, On: &rootfs.Base,
	// containerd and what it calls; nft for kube-proxy; mount and mkfs for volumes.
	Packages: []string{"containerd", "runc", "containernetworking-plugins", "nftables", "mount", "e2fsprogs"},
}

// Image says what an image is made of. It is a value; equal values make the same image.
type Image struct {
	// Name is the whole reference: registry.lab/shop/web:1.
	Name string
	// Layer is the root file system with all that it lies on; nil: nothing but Files and Programs.
	Layer *rootfs.Layer
	// Files are the topmost layer. Owners given by name are those of Layer's passwd and group.
	Files []machine.File
	// Programs are copied from this computer into the topmost layer.
	Programs []Program

	Entrypoint []string
	Cmd        []string
	Env        []string // "NAME=value"
	User       string   // "uid" or "uid:gid", numbers: Kubernetes refuses names where a pod says runAsNonRoot
	Dir        string   // working directory; empty: /
	Ports      []string // "8080/tcp": documentation, as in any image
}

// Program is an executable file of this computer.
type Program struct {
	Source string // on this computer
	Target string // in the image, absolute
}

// format is part of every key: raise it when the way stores are made changes what comes out.
const format = 1

// check refuses what containerd or a kubelet would refuse later, and less clearly.
func (i Image) check() error {
	name, tag, ok := strings.Cut(strings.TrimPrefix(i.Name, Registry+"/"), ":")
	switch {
	case !strings.HasPrefix(i.Name, Registry+"/") || !ok || name == "" || tag == "" || strings.ContainsAny(i.Name, " @"):
		return fmt.Errorf("image %q: want %s/<name>:<tag>", i.Name, Registry)
	case len(i.Entrypoint) == 0 && len(i.Cmd) == 0:
		return fmt.Errorf("image %s: neither entrypoint nor command", i.Name)
	case strings.Trim(i.User, "0123456789:") != "":
		return fmt.Errorf("image %s: user %q: want numbers", i.Name, i.User)
	case i.Layer == nil && len(i.Files) == 0 && len(i.Programs) == 0:
		return fmt.Errorf("image %s: nothing in it", i.Name)
	}
	return nil
}

// setKey is the hash of all that goes into a store of these images.
func setKey(images []Image) (string, error) {
	type one struct {
		Image
		Layer    string
		Programs []string
	}
	content := struct {
		Format int
		Engine string
		Images []one
	}{Format: format, Engine: Engine.Key()}
	var errs []error
	seen := map[string]bool{}
	for _, img := range images {
		errs = append(errs, img.check())
		if seen[img.Name] {
			errs = append(errs, fmt.Errorf("image %s: declared twice", img.Name))
		}
		seen[img.Name] = true
		o := one{Image: img}
		if img.Layer != nil {
			o.Layer = img.Layer.Key()
		}
		for _, p := range img.Programs {
			sum, err := fileSum(p.Source)
			errs = append(errs, err)
			o.Programs = append(o.Programs, p.Target+"="+sum)
		}
		content.Images = append(content.Images, o)
	}
	if err := errors.Join(errs...); err != nil {
		return "", err
	}
	slices.SortFunc(content.Images, func(a, b one) int { return strings.Compare(a.Name, b.Name) })
	raw, err := json.Marshal(content)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])[:16], nil
}

func fileSum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func shortSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])[:16]
}

func exists(path string) (bool, error) {
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
