package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestArchiveLayer covers what needs no privileges; whiteouts and opaque directories need root and are in the lab's tests.
func TestArchiveLayer(t *testing.T) {
	dir := t.TempDir()
	err := errors.Join(os.MkdirAll(filepath.Join(dir, "b/c"), 0o750), os.WriteFile(filepath.Join(dir, "b/file"), []byte("content"), 0o640),
		os.Symlink("file", filepath.Join(dir, "b/link")), os.Link(filepath.Join(dir, "b/file"), filepath.Join(dir, "b/second")))
	if err != nil {
		t.Fatal(err)
	}
	var one, two bytes.Buffer
	if err := errors.Join(archiveLayer(&one, dir), archiveLayer(&two, dir)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Error("the same tree gives other bytes the second time")
	}
	headers, contents := read(t, one.Bytes())
	if h := headers["b/file"]; h == nil || h.Mode != 0o640 || contents["b/file"] != "content" || h.Uname != "" {
		t.Errorf("file: %+v", h)
	}
	if h := headers["b/second"]; h == nil || h.Typeflag != tar.TypeLink || h.Linkname != "b/file" {
		t.Errorf("hard link: %+v", h)
	}
	if h := headers["b/link"]; h == nil || h.Typeflag != tar.TypeSymlink || h.Linkname != "file" {
		t.Errorf("symbolic link: %+v", h)
	}
	if h := headers["b/c/"]; h == nil || h.Mode != 0o750 {
		t.Errorf("directory: %+v", h)
	}
}
