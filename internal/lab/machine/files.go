package machine

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// writeFiles writes entries into the tree that is the root of the calling process. Owners are looked up in that tree.
func writeFiles(files []File) error {
	for _, f := range files {
		if err := f.write(); err != nil {
			return fmt.Errorf("write %s: %w", f.Path, err)
		}
	}
	return nil
}

func (f File) write() error {
	uid, gid, err := lookupOwner(f.Owner, "/etc/passwd", "/etc/group")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(f.Path), 0o755); err != nil {
		return err
	}
	switch {
	case f.Link != "":
		if err := os.Remove(f.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.Symlink(f.Link, f.Path); err != nil {
			return err
		}
		return os.Lchown(f.Path, uid, gid)
	case f.Dir:
		mode := f.Mode
		if mode == 0 {
			mode = 0o755
		}
		if err := os.MkdirAll(f.Path, mode); err != nil {
			return err
		}
		return errors.Join(os.Chown(f.Path, uid, gid), os.Chmod(f.Path, mode))
	}
	mode := f.Mode
	if mode == 0 {
		mode = 0o644
	}
	// The file may be a link into nothing or to a shared file (/etc/resolv.conf, a masked unit): it is replaced, not followed. Never wider than
	// its mode, not even for a moment.
	if err := os.Remove(f.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := os.OpenFile(f.Path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(f.Content)
	return errors.Join(err, file.Chown(uid, gid), file.Chmod(mode), file.Close())
}

// lookupOwner reads "user", "user:group" or numbers, by the formats of passwd(5) and group(5). A user without a group means its own group.
func lookupOwner(owner, passwd, group string) (uid, gid int, err error) {
	if owner == "" {
		return 0, 0, nil
	}
	user, grp, hasGroup := strings.Cut(owner, ":")
	if uid, err = strconv.Atoi(user); err != nil {
		fields, err := findEntry(passwd, user)
		if err != nil {
			return 0, 0, err
		}
		if len(fields) < 4 {
			return 0, 0, fmt.Errorf("%s: entry of %s is too short", passwd, user)
		}
		if uid, err = strconv.Atoi(fields[2]); err != nil {
			return 0, 0, err
		}
		if gid, err = strconv.Atoi(fields[3]); err != nil {
			return 0, 0, err
		}
	}
	if !hasGroup {
		return uid, gid, nil
	}
	if gid, err = strconv.Atoi(grp); err == nil {
		return uid, gid, nil
	}
	fields, err := findEntry(group, grp)
	if err != nil {
		return 0, 0, err
	}
	if len(fields) < 3 {
		return 0, 0, fmt.Errorf("%s: entry of %s is too short", group, grp)
	}
	gid, err = strconv.Atoi(fields[2])
	return uid, gid, err
}

func findEntry(file, name string) ([]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	scan := bufio.NewScanner(f)
	for scan.Scan() {
		if fields := strings.Split(scan.Text(), ":"); fields[0] == name {
			return fields, nil
		}
	}
	if err := scan.Err(); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%s: no entry %q", file, name)
}
