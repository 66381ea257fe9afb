package treecopy_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os/exec"
	"testing"

	"github.com/slipway-dev/slipway/internal/remote"
	"github.com/slipway-dev/slipway/internal/treecopy"
)

// onThisMachine runs commands here, with the tools that this machine has.
func onThisMachine(ctx context.Context, argv []string, in io.Reader, out io.Writer) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, &said
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return &treecopy.Failed{What: argv[0], Status: exit.ExitCode(), Stderr: said.String()}
	}
	return err
}

// local is a source on this machine. Its commands are the very ones that a host is sent, with something to do before and after each.
type local struct {
	t      testing.TB
	dir    string
	before func(what string)                                           // may be nil
	tar    func(names io.Reader, out io.Writer) (io.Reader, io.Writer) // stands between; may be nil
}

func (l *local) Name() string { return "here:" + l.dir }

func (l *local) Mount(context.Context) (treecopy.Mount, error) {
	return treecopy.Mount{Type: "fuse.glusterfs", Source: "files1:/assets"}, nil
}

func (l *local) run(ctx context.Context, what string, query func(string) (remote.Query, error), in io.Reader, out io.Writer) error {
	if l.before != nil {
		l.before(what)
	}
	q, err := query(l.dir)
	if err != nil {
		l.t.Fatal(err)
	}
	return onThisMachine(ctx, remote.Argv(q), in, out)
}

func (l *local) List(ctx context.Context, out io.Writer) error {
	return l.run(ctx, "list", remote.TreeList, nil, out)
}

func (l *local) Stat(ctx context.Context, names io.Reader, out io.Writer) error {
	return l.run(ctx, "stat", remote.TreeStat, names, out)
}

func (l *local) Tar(ctx context.Context, names io.Reader, out io.Writer) error {
	if l.tar != nil {
		names, out = l.tar(names, out)
	}
	return l.run(ctx, "tar", remote.TreeTar, names, out)
}
