package treecopy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/slipway-dev/slipway/internal/remote"
)

// Failed is a command that ran and failed.
type Failed struct {
	What   string // what it was, and where
	Status int
	Stderr string // what it said, to its last 64 KiB or less
}

func (e *Failed) Error() string {
	s := fmt.Sprintf("%s failed with status %d", e.What, e.Status)
	if said := e.said(5); said != "" {
		s += ": " + said
	}
	return s
}

// said is the first lines of what the command said, in one line.
func (e *Failed) said(most int) string {
	lines := strings.Split(strings.TrimSpace(e.Stderr), "\n")
	more := ""
	if len(lines) > most {
		lines, more = lines[:most], fmt.Sprintf("; and %d lines more", len(lines)-most)
	}
	for i, l := range lines {
		lines[i] = remote.Printable(strings.TrimSpace(l), 300)
	}
	return strings.Join(lines, "; ") + more
}

// ErrLost: the connection broke while a tree was read or written. What came through is kept; try again.
var ErrLost = errors.New("the connection was lost")

// ErrNotMounted: the directory isn't the mount it should be. Nothing was read. Mount the volume there.
var ErrNotMounted = errors.New("the volume isn't mounted there")

// Mount is what a tree's directory is on.
type Mount struct {
	Type   string // fuse.glusterfs
	Source string // files1:/assets
}

// Source is a tree on a host that is only read. Its commands are those of package remote's look_files.go, with their manners; the paths that
// they are given are below the root. An error that is a command's exit status is *Failed; ErrLost where trying again may help.
type Source interface {
	// Name is what messages call it: the host and the directory.
	Name() string
	Mount(ctx context.Context) (Mount, error)
	List(ctx context.Context, out io.Writer) error
	Stat(ctx context.Context, names io.Reader, out io.Writer) error
	Tar(ctx context.Context, names io.Reader, out io.Writer) error
}

// Host is a directory on a host that is looked at over SSH.
type Host struct {
	looker remote.Looker
	host   string
	dir    string

	mount, list, stat, tar remote.Query
}

// OnHost is dir, an absolute path, on one of looker's hosts.
func OnHost(looker remote.Looker, host, dir string) (*Host, error) {
	h := &Host{looker: looker, host: host, dir: dir}
	var errs [4]error
	h.mount, errs[0] = remote.TreeMount(dir)
	h.list, errs[1] = remote.TreeList(dir)
	h.stat, errs[2] = remote.TreeStat(dir)
	h.tar, errs[3] = remote.TreeTar(dir)
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return h, nil
}

// Name is HOST:DIRECTORY.
func (h *Host) Name() string { return h.host + ":" + h.dir }

// Mount looks at what the directory is on.
func (h *Host) Mount(ctx context.Context) (Mount, error) {
	out, err := h.looker.Look(ctx, h.host, h.mount)
	if err != nil {
		return Mount{}, sshError(err)
	}
	lines := strings.Split(strings.TrimSpace(string(out.Stdout)), "\n")
	f := strings.Fields(lines[len(lines)-1])
	if len(lines) != 2 || len(f) != 2 {
		return Mount{}, fmt.Errorf("%s: df's answer is not readable: %s", h.host, remote.Printable(string(out.Stdout), 200))
	}
	return Mount{f[0], f[1]}, nil
}

// List is remote.TreeList.
func (h *Host) List(ctx context.Context, out io.Writer) error { return h.stream(ctx, h.list, nil, out) }

// Stat is remote.TreeStat.
func (h *Host) Stat(ctx context.Context, names io.Reader, out io.Writer) error {
	return h.stream(ctx, h.stat, names, out)
}

// Tar is remote.TreeTar.
func (h *Host) Tar(ctx context.Context, names io.Reader, out io.Writer) error {
	return h.stream(ctx, h.tar, names, out)
}

func (h *Host) stream(ctx context.Context, q remote.Query, in io.Reader, out io.Writer) error {
	// A channel's packets are 32 KiB at most; what takes them apart wants larger bites, and must not hold up the connection's other channels.
	w := bufio.NewWriterSize(out, 256<<10)
	err := h.looker.Stream(ctx, h.host, q, in, w)
	if ferr := w.Flush(); err == nil && ferr != nil {
		return ferr
	}
	return sshError(err)
}

func sshError(err error) error {
	var exit *remote.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exit) && exit.Signal == "":
		return &Failed{What: exit.Host + ": " + exit.Command, Status: exit.Status, Stderr: string(exit.Stderr)}
	case errors.Is(err, remote.ErrLost), errors.Is(err, remote.ErrUnreachable), errors.Is(err, remote.ErrTimeout):
		return fmt.Errorf("%w: %w", ErrLost, err)
	}
	return err
}

// nameList is paths as the commands take them on their input.
func nameList(paths []Bytes) io.Reader {
	var b bytes.Buffer
	for _, p := range paths {
		if p == "" {
			b.WriteString(".\x00")
			continue
		}
		b.WriteString("./" + string(p) + "\x00")
	}
	return &b
}
