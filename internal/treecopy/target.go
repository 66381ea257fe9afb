package treecopy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/slipway-dev/slipway/internal/remote"
)

// Run runs one command with GNU's tools where a target's tree is mounted. An exit status that isn't 0 is *Failed.
type Run func(ctx context.Context, argv []string, in io.Reader, out io.Writer) error

// View is a target's tree, for looking.
type View struct {
	run Run
	dir string
}

// Look is the tree in dir, an absolute path, looked at with run.
func Look(run Run, dir string) View { return View{run, dir} }

// Hand is a target's tree, for filling.
type Hand struct{ View }

// Fill is the tree in dir, an absolute path, filled with run.
func Fill(run Run, dir string) Hand { return Hand{View{run, dir}} }

// List lists the tree, in remote.TreeFormat.
func (v View) List(ctx context.Context, out io.Writer) error {
	return v.run(ctx, []string{"env", "--chdir=" + v.dir, "LC_ALL=C", "find", ".", "-xdev", "-printf", remote.TreeFormat}, nil, out)
}

// Hash prints, for each path on names (./ before it, a NUL behind), its SHA-256 in hex, a space, an asterisk, the path, and a NUL.
func (v View) Hash(ctx context.Context, names io.Reader, out io.Writer) error {
	return v.run(ctx, []string{"env", "--chdir=" + v.dir, "LC_ALL=C", "xargs", "--null", "--no-run-if-empty", "sha256sum", "--binary", "--zero", "--"}, names, out)
}

// Tar makes a tar of the entries on names, as on the source.
func (v View) Tar(ctx context.Context, names io.Reader, out io.Writer) error {
	return v.run(ctx, []string{"env", "LC_ALL=C", "tar", "--create", "--file=-", "--directory=" + v.dir, "--format=pax", "--pax-option=delete=atime",
		"--numeric-owner", "--xattrs", "--xattrs-include=user.*", "--acls", "--sparse", "--no-recursion", "--null", "--no-unquote", "--verbatim-files-from", "--files-from=-"}, names, out)
}

// Space is what a file system has left.
type Space struct{ Bytes, Inodes int64 }

// Free asks for it. A file system without a count of inodes has Inodes -1.
func (v View) Free(ctx context.Context) (Space, error) {
	var out strings.Builder
	if err := v.run(ctx, []string{"env", "LC_ALL=C", "df", "--block-size=1", "--output=avail,iavail", "--", v.dir}, nil, &out); err != nil {
		return Space{}, err
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	f := strings.Fields(lines[len(lines)-1])
	if len(f) != 2 {
		return Space{}, fmt.Errorf("df's answer is not readable: %q", out.String())
	}
	var s Space
	var err, ierr error
	s.Bytes, err = strconv.ParseInt(f[0], 10, 64)
	if s.Inodes = -1; f[1] != "-" && f[1] != "0" {
		s.Inodes, ierr = strconv.ParseInt(f[1], 10, 64)
	}
	return s, errors.Join(err, ierr)
}

// Extract unpacks a tar into the tree: what is there under a member's name is replaced, a directory keeps what is in it. Owners go by number.
// Names that lead out of the tree, and links that would, are tar's to refuse.
func (h Hand) Extract(ctx context.Context, in io.Reader) error {
	return h.run(ctx, []string{"env", "LC_ALL=C", "tar", "--extract", "--file=-", "--directory=" + h.dir, "--numeric-owner", "--same-owner", "--preserve-permissions",
		"--xattrs", "--xattrs-include=user.*", "--acls", "--warning=no-timestamp"}, in, nil)
}

// Sync returns when what was written is on the volume's disk.
func (h Hand) Sync(ctx context.Context) error {
	return h.run(ctx, []string{"sync", "--file-system", h.dir}, nil, nil)
}
