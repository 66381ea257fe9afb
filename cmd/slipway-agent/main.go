// Command slipway-agent is Slipway's hand on a tree of files that is on another machine: it is copied there, started, spoken with over its
// standard input and output (package agent), and gone when that ends. It is a program of its own because it is sent over the wire for each
// pass, and starts in milliseconds.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/slipway-dev/slipway/internal/treecopy/agent"
	"github.com/slipway-dev/slipway/internal/treecopy/brick"
	"github.com/slipway-dev/slipway/internal/treecopy/disk"
	"github.com/slipway-dev/slipway/internal/treecopy/mount"
	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// version is set by the linker.
var version = "unknown"

// dirPrefix begins the name of the directory that the agent is copied into. place's script makes it.
const dirPrefix = ".slipway-agent-"

func main() {
	if len(os.Args) != 2 || os.Args[1] != "serve" && os.Args[1] != "apart" {
		fmt.Fprintln(os.Stderr, "slipway-agent "+version+" is copied to hosts and started there by slipway files; there is nothing to call it for by hand")
		os.Exit(2)
	}
	if err := leave(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
	if os.Args[1] == "apart" { // it will mount something
		if err := mount.Apart("SLIPWAY_AGENT_APART", os.Args); err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
			os.Exit(1)
		}
	}
	signal.Ignore(syscall.SIGPIPE, syscall.SIGHUP) // what they tell of shows as an error, or the end of input
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	err := agent.Server{Build: version, Patience: agent.Patience, Open: open}.Serve(ctx, os.Stdin, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// leave takes the program's file and the directory that was made for it away: whatever becomes of this process, nothing stays behind. A
// program that lies elsewhere stays.
func leave() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	dir := filepath.Dir(self)
	if !strings.HasPrefix(filepath.Base(dir), dirPrefix) {
		return nil
	}
	for _, path := range []string{self, dir} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) { // it is gone where this was started from a running agent
			return err
		}
	}
	return nil
}

func open(h agent.Hello) (tree.Target, agent.Identity, error) {
	if h.Gentle {
		if err := beGentle(); err != nil {
			return nil, agent.Identity{}, err
		}
	}
	switch {
	case h.Volume != "":
		return openVolume(h)
	case h.Brick != "":
		b, err := brick.Open(h.Brick, h.Root, disk.Options{Rate: h.Rate})
		if err != nil {
			return nil, agent.Identity{}, err
		}
		id, err := identity(filepath.Join(h.Brick, h.Root))
		return asBrick{b}, id, err
	}
	d, err := disk.Open(h.Root, disk.Options{Rate: h.Rate})
	if err != nil {
		return nil, agent.Identity{}, err
	}
	id, err := identity(h.Root)
	return d, id, err
}

func identity(dir string) (agent.Identity, error) {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return agent.Identity{}, &os.PathError{Op: "stat", Path: dir, Err: err}
	}
	return agent.Identity{Device: st.Dev, Inode: st.Ino}, nil
}

// openVolume mounts a volume, for as long as this process lives. Each such process has a mount of its own, whose device is a number of the day.
func openVolume(h agent.Hello) (tree.Target, agent.Identity, error) {
	at, err := mount.Gluster(context.Background(), "localhost", h.Volume)
	if err != nil {
		return nil, agent.Identity{}, err
	}
	root := filepath.Join(at, filepath.Join("/", h.Root))
	d, err := disk.Open(root, disk.Options{Rate: h.Rate})
	if err != nil {
		return nil, agent.Identity{}, err
	}
	id, err := identity(root)
	return d, agent.Identity{Inode: id.Inode}, err
}

// asBrick is a brick as the protocol asks for trees.
type asBrick struct{ *brick.Brick }

func (b asBrick) Read(ctx context.Context, paths []tree.Path, out io.Writer) error {
	return b.ReadBrick(ctx, paths, out)
}

func (b asBrick) Hash(ctx context.Context, paths []tree.Path, each func(tree.Sum) error) error {
	return b.HashBrick(ctx, paths, each)
}
