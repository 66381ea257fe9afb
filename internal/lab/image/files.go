package image

import (
	"archive/tar"
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/slipway-dev/slipway/internal/lab/machine"
)

// archiveFiles writes an image's topmost layer: its files and programs, in the order they are declared, with the directories above them. below are the layers
// under it, topmost first, by whose passwd and group owners are looked up.
func archiveFiles(w io.Writer, img Image, below []string) error {
	to := tar.NewWriter(w)
	made := map[string]bool{}
	for _, d := range img.Files {
		if d.Dir {
			made[strings.Trim(path.Clean(d.Path), "/")] = true // its own entry says more than a parent's would
		}
	}
	for _, f := range img.Files {
		if err := addFile(to, f, below, made); err != nil {
			return fmt.Errorf("image %s: %s: %w", img.Name, f.Path, err)
		}
	}
	for _, p := range img.Programs {
		if err := addProgram(to, p, below, made); err != nil {
			return fmt.Errorf("image %s: %s: %w", img.Name, p.Target, err)
		}
	}
	return to.Close()
}

func addFile(to *tar.Writer, f machine.File, below []string, made map[string]bool) error {
	h := &tar.Header{Name: strings.Trim(path.Clean(f.Path), "/"), Mode: int64(f.Mode.Perm()), Size: int64(len(f.Content)), Typeflag: tar.TypeReg, Format: tar.FormatPAX}
	switch {
	case f.Link != "":
		h.Typeflag, h.Linkname, h.Mode, h.Size = tar.TypeSymlink, f.Link, 0o777, 0
	case f.Dir:
		h.Typeflag, h.Name, h.Size = tar.TypeDir, h.Name+"/", 0
		if f.Mode&fs.ModeSticky != 0 {
			h.Mode |= 0o1000
		}
		if h.Mode == 0 {
			h.Mode = 0o755
		}
	case h.Mode == 0:
		h.Mode = 0o644
	}
	var err error
	if h.Uid, h.Gid, err = owner(f.Owner, below); err != nil {
		return err
	}
	if err := addParents(to, h.Name, below, made); err != nil {
		return err
	}
	if err := to.WriteHeader(h); err != nil {
		return err
	}
	if h.Size > 0 {
		_, err = to.Write(f.Content)
	}
	return err
}

func addProgram(to *tar.Writer, p Program, below []string, made map[string]bool) error {
	f, err := os.Open(p.Source)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	h := &tar.Header{Name: strings.Trim(path.Clean(p.Target), "/"), Mode: 0o755, Size: info.Size(), Typeflag: tar.TypeReg, Format: tar.FormatPAX}
	if err := addParents(to, h.Name, below, made); err != nil {
		return err
	}
	if err := to.WriteHeader(h); err != nil {
		return err
	}
	_, err = io.Copy(to, f)
	return err
}

// addParents writes the directories above name that no layer below has: an entry for one that is there would change its owner and mode.
func addParents(to *tar.Writer, name string, below []string, made map[string]bool) error {
	dir := path.Dir(strings.TrimSuffix(name, "/"))
	if dir == "." || made[dir] {
		return nil
	}
	if err := addParents(to, dir, below, made); err != nil {
		return err
	}
	made[dir] = true
	for _, layer := range below {
		info, err := os.Lstat(filepath.Join(layer, dir))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return err
		case info.Mode()&fs.ModeSymlink != 0:
			return fmt.Errorf("/%s is a symbolic link in the layers below: name the place it leads to", dir)
		}
		return nil
	}
	return to.WriteHeader(&tar.Header{Name: dir + "/", Mode: 0o755, Typeflag: tar.TypeDir, Format: tar.FormatPAX})
}

// owner reads "user", "user:group" or numbers, as machine.File has them.
func owner(spec string, below []string) (uid, gid int, err error) {
	if spec == "" {
		return 0, 0, nil
	}
	user, group, hasGroup := strings.Cut(spec, ":")
	if uid, err = strconv.Atoi(user); err != nil {
		entry, err := account(below, "etc/passwd", user, 4)
		if err != nil {
			return 0, 0, err
		}
		if uid, err = strconv.Atoi(entry[2]); err != nil {
			return 0, 0, err
		}
		if gid, err = strconv.Atoi(entry[3]); err != nil {
			return 0, 0, err
		}
	}
	if !hasGroup {
		return uid, gid, nil
	}
	if gid, err = strconv.Atoi(group); err == nil {
		return uid, gid, nil
	}
	entry, err := account(below, "etc/group", group, 3)
	if err != nil {
		return 0, 0, err
	}
	gid, err = strconv.Atoi(entry[2])
	return uid, gid, err
}

// account finds a line of passwd(5) or group(5) in the topmost layer that has the file.
func account(below []string, file, name string, fields int) ([]string, error) {
	for _, layer := range below {
		f, err := os.Open(filepath.Join(layer, file))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		defer f.Close()
		scan := bufio.NewScanner(f)
		for scan.Scan() {
			entry := strings.Split(scan.Text(), ":")
			if entry[0] == name && len(entry) >= fields {
				return entry, nil
			}
		}
		if err := scan.Err(); err != nil {
			return nil, err
		}
		break // what lies below is hidden
	}
	return nil, fmt.Errorf("no entry %q in /%s of the image's layers", name, file)
}
