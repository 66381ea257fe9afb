package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/slipway-dev/slipway/internal/lab/machine"
	"github.com/slipway-dev/slipway/internal/lab/rootfs"
)

func TestCheck(t *testing.T) {
	good := Image{Name: "registry.lab/shop/web:1", Layer: &rootfs.Base, Cmd: []string{"/bin/true"}, User: "33:33"}
	if err := good.check(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Image){
		"another registry": func(i *Image) { i.Name = "docker.io/shop/web:1" },
		"no tag":           func(i *Image) { i.Name = "registry.lab/shop/web" },
		"user by name":     func(i *Image) { i.User = "www-data" },
		"no command":       func(i *Image) { i.Cmd = nil },
		"nothing in it":    func(i *Image) { i.Layer = nil },
	} {
		img := good
		change(&img)
		if err := img.check(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestSetKey(t *testing.T) {
	program := filepath.Join(t.TempDir(), "p")
	write := func(content string) {
		if err := os.WriteFile(program, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	key := func(images ...Image) string {
		k, err := setKey(images)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	write("one")
	a := Image{Name: "registry.lab/a:1", Layer: &rootfs.Base, Cmd: []string{"/bin/true"}, Files: []machine.File{machine.Text("/x", "1")}}
	b := Image{Name: "registry.lab/b:1", Programs: []Program{{Source: program, Target: "/p"}}, Cmd: []string{"/p"}}
	first := key(a, b)
	if key(b, a) != first {
		t.Error("the order of declaration changes the key")
	}
	changed := a
	changed.Files = []machine.File{machine.Text("/x", "2")}
	if key(changed, b) == first {
		t.Error("another file has the same key")
	}
	changed = a
	changed.Layer = &rootfs.BookwormHost
	if key(changed, b) == first {
		t.Error("another layer has the same key")
	}
	write("two")
	if key(a, b) == first {
		t.Error("another program has the same key")
	}
	if _, err := setKey([]Image{a, a}); err == nil {
		t.Error("the same name twice is accepted")
	}
}

// read returns an archive's headers by name, and its contents.
func read(t *testing.T, raw []byte) (map[string]*tar.Header, map[string]string) {
	t.Helper()
	headers, contents := map[string]*tar.Header{}, map[string]string{}
	r := tar.NewReader(bytes.NewReader(raw))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return headers, contents
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if headers[h.Name] != nil {
			t.Errorf("%s is in the archive twice", h.Name)
		}
		headers[h.Name], contents[h.Name] = h, string(content)
	}
}

func TestArchiveFiles(t *testing.T) {
	below := t.TempDir()
	for path, content := range map[string]string{"etc/passwd": "root:x:0:0::/:/bin/sh\nwww-data:x:33:33::/:/bin/sh\n", "etc/group": "root:x:0:\nadm:x:4:\n"} {
		if err := errors.Join(os.MkdirAll(filepath.Join(below, filepath.Dir(path)), 0o755), os.WriteFile(filepath.Join(below, path), []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("etc", filepath.Join(below, "link")); err != nil {
		t.Fatal(err)
	}
	img := Image{Name: "registry.lab/a:1", Files: []machine.File{
		{Path: "/etc/shop/shop.ini", Mode: 0o640, Owner: "root:www-data", Content: []byte("x")},
		{Path: "/srv/own", Dir: true, Mode: 0o750, Owner: "www-data"},
		machine.Text("/srv/own/page", "hello"),
		machine.Symlink("/srv/now", "own"),
	}}
	var out bytes.Buffer
	err := archiveFiles(&out, img, []string{below})
	if err == nil {
		t.Fatal("a group that isn't there is accepted")
	}
	img.Files[0].Owner = "root:adm"
	out.Reset()
	if err := archiveFiles(&out, img, []string{below}); err != nil {
		t.Fatal(err)
	}
	headers, contents := read(t, out.Bytes())
	if headers["etc/"] != nil {
		t.Error("a directory of the layers below is written again, which would change it")
	}
	if h := headers["etc/shop/shop.ini"]; h == nil || h.Mode != 0o640 || h.Uid != 0 || h.Gid != 4 {
		t.Errorf("shop.ini: %+v", h)
	}
	if h := headers["srv/own/"]; h == nil || h.Mode != 0o750 || h.Uid != 33 || h.Gid != 33 {
		t.Errorf("own: %+v", h)
	}
	if contents["srv/own/page"] != "hello" || headers["srv/now"].Linkname != "own" {
		t.Errorf("contents: %q, link %+v", contents, headers["srv/now"])
	}
	for _, dir := range []string{"etc/shop/", "srv/"} {
		if h := headers[dir]; h == nil || h.Mode != 0o755 {
			t.Errorf("%s: %+v", dir, h)
		}
	}
	img.Files = []machine.File{machine.Text("/link/x", "")}
	if err := archiveFiles(io.Discard, img, []string{below}); err == nil || !strings.Contains(err.Error(), "symbolic link") {
		t.Errorf("a file below a link: %v", err)
	}
}

// TestBundleIsALayout: what is streamed to containerd is an OCI image layout by another reader's judgement.
func TestBundleIsALayout(t *testing.T) {
	store, err := openBlobs(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	img := Image{Name: "registry.lab/shop/web:1", Files: []machine.File{machine.Text("/x", "1")}, Cmd: []string{"/x"}, User: "33:33", Ports: []string{"8080/tcp"}}
	layers, err := store.layers(t.Context(), nil, img)
	if err != nil {
		t.Fatal(err)
	}
	var b bundle
	second := img
	second.Name = "registry.lab/shop/other:1"
	if err := errors.Join(b.add(img, layers), b.add(second, layers)); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := b.write(&out); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	_, contents := read(t, out.Bytes())
	for name, content := range contents {
		at := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range manifest.Manifests {
		names = append(names, d.Annotations[nameAnnotation])
		one, err := index.Image(d.Digest)
		if err != nil {
			t.Fatal(err)
		}
		// Fast leaves out the layers, which it takes for compressed ones.
		if err := validate.Image(one, validate.Fast); err != nil {
			t.Error(err)
		}
		config, err := one.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := config.Config.ExposedPorts["8080/tcp"]; config.Config.User != "33:33" || !ok || config.OS != "linux" {
			t.Errorf("configuration %+v", config.Config)
		}
	}
	if strings.Join(names, " ") != "registry.lab/shop/web:1 registry.lab/shop/other:1" {
		t.Errorf("names %v", names)
	}
	if got := b.ids(); len(got) != 2 || !strings.HasPrefix(got[0], "sha256:") {
		t.Errorf("ids %v", got)
	}
}

func TestLayIsLinks(t *testing.T) {
	set := Set{dir: t.TempDir()}
	for _, f := range []string{metadata, snapshotMeta, contentDir + "/aa", snapshotsDir + "/1/fs/file"} {
		at := filepath.Join(set.dir, f)
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, []byte(f), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	root := filepath.Join(t.TempDir(), "containerd")
	if err := set.Lay(root); err != nil {
		t.Fatal(err)
	}
	if raw, err := os.ReadFile(filepath.Join(root, metadata)); err != nil || string(raw) != metadata {
		t.Errorf("database: %q, %v", raw, err)
	}
	for _, l := range []string{contentDir + "/aa", snapshotsDir + "/1"} {
		if to, err := os.Readlink(filepath.Join(root, l)); err != nil || to != filepath.Join(Shared, l) {
			t.Errorf("%s leads to %q, %v", l, to, err)
		}
	}
	// What a node deletes is its own.
	if err := os.RemoveAll(filepath.Join(root, snapshotsDir, "1")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(set.dir, snapshotsDir, "1/fs/file")); err != nil {
		t.Error(err)
	}
}

// TestBlobIsKept: an archive is made once, and again when its file was damaged.
func TestBlobIsKept(t *testing.T) {
	store, err := openBlobs(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	img := Image{Name: "registry.lab/a:1", Files: []machine.File{machine.Text("/x", "1")}}
	one, err := store.files(t.Context(), img, nil)
	if err != nil {
		t.Fatal(err)
	}
	two, err := store.files(t.Context(), img, nil)
	if err != nil {
		t.Fatal(err)
	}
	if one.Hex != two.Hex {
		t.Error("the same files give other bytes the second time")
	}
	var _ v1.Layer = one
}
