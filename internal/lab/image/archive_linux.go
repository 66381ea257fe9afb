package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Whiteouts, as the OCI image specification writes them ("Image Layer Filesystem Changeset").
const (
	whiteoutPrefix = ".wh."
	whiteoutOpaque = ".wh..wh..opq"
)

// inode identifies a file of which several names may be found.
type inode struct{ dev, ino uint64 }

// archiver writes one layer directory as a tar archive.
type archiver struct {
	root  string
	to    *tar.Writer
	names map[inode]string // the first name of a file with several
}

// archiveLayer writes the directory of a root file system layer (an overlayfs upper directory, or a whole tree) as an OCI layer: owners, modes, times, hard links, extended
// attributes and device nodes kept; overlayfs whiteouts and opaque directories turned into the specification's. The order is that of the names, so that
// the same tree gives the same bytes.
func archiveLayer(w io.Writer, root string) error {
	a := archiver{root: root, to: tar.NewWriter(w), names: map[inode]string{}}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path == root {
			return nil
		}
		return a.add(path)
	})
	if err != nil {
		return fmt.Errorf("archive layer %s: %w", root, err)
	}
	return a.to.Close()
}

func (a *archiver) add(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%s: no inode data", path)
	}
	rel, err := filepath.Rel(a.root, path)
	if err != nil {
		return err
	}
	mode := info.Mode()
	if mode&fs.ModeCharDevice != 0 && stat.Rdev == 0 {
		return a.empty(filepath.Join(filepath.Dir(rel), whiteoutPrefix+filepath.Base(rel)))
	}
	if mode&fs.ModeSocket != 0 {
		return nil // a socket is its listener's, which is gone
	}
	link := ""
	if mode&fs.ModeSymlink != 0 {
		if link, err = os.Readlink(path); err != nil {
			return err
		}
	}
	h, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return err
	}
	h.Name, h.Format = rel, tar.FormatPAX
	h.Uname, h.Gname = "", "" // this computer's names for the numbers
	h.AccessTime, h.ChangeTime = time.Time{}, time.Time{}
	if mode.IsDir() {
		h.Name += "/"
	}
	if mode.IsRegular() && stat.Nlink > 1 {
		key := inode{stat.Dev, stat.Ino}
		if first, ok := a.names[key]; ok {
			h.Typeflag, h.Linkname, h.Size = tar.TypeLink, first, 0
			return a.to.WriteHeader(h)
		}
		a.names[key] = rel
	}
	opaque := false
	if mode.IsRegular() || mode.IsDir() {
		attrs, err := readAttributes(path)
		if err != nil {
			return err
		}
		for _, x := range attrs {
			switch {
			case x.name == "trusted.overlay.opaque":
				opaque = x.value == "y"
			case strings.HasPrefix(x.name, "trusted.overlay."):
				if x.name != "trusted.overlay.impure" && x.name != "trusted.overlay.origin" && x.name != "trusted.overlay.uuid" {
					return fmt.Errorf("%s has %s: the layer was made with overlay features that an image can't express", path, x.name)
				}
			default:
				if h.PAXRecords == nil {
					h.PAXRecords = map[string]string{}
				}
				h.PAXRecords["SCHILY.xattr."+x.name] = x.value
			}
		}
	}
	if err := a.to.WriteHeader(h); err != nil {
		return err
	}
	if opaque {
		return a.empty(filepath.Join(rel, whiteoutOpaque))
	}
	if !mode.IsRegular() {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(a.to, f)
	return errors.Join(err, f.Close())
}

func (a *archiver) empty(name string) error {
	return a.to.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Typeflag: tar.TypeReg, Format: tar.FormatPAX})
}

type attribute struct{ name, value string }

// readAttributes returns the extended attributes in the order the file system gives them. The archive does not depend on it: PAX records are sorted.
func readAttributes(path string) ([]attribute, error) {
	size, err := unix.Llistxattr(path, nil)
	if errors.Is(err, unix.ENOTSUP) || err == nil && size == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("extended attributes of %s: %w", path, err)
	}
	list := make([]byte, size)
	if size, err = unix.Llistxattr(path, list); err != nil {
		return nil, fmt.Errorf("extended attributes of %s: %w", path, err)
	}
	var out []attribute
	for name := range bytes.SplitSeq(bytes.TrimSuffix(list[:size], []byte{0}), []byte{0}) {
		n, err := unix.Lgetxattr(path, string(name), nil)
		if err != nil {
			return nil, fmt.Errorf("extended attribute %s of %s: %w", name, path, err)
		}
		value := make([]byte, n)
		if n, err = unix.Lgetxattr(path, string(name), value); err != nil {
			return nil, fmt.Errorf("extended attribute %s of %s: %w", name, path, err)
		}
		out = append(out, attribute{string(name), string(value[:n])})
	}
	return out, nil
}
