package place

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/slipway-dev/slipway/internal/remote"
	"github.com/slipway-dev/slipway/internal/treecopy/agent"
	"github.com/slipway-dev/slipway/internal/treecopy/bricks"
	"github.com/slipway-dev/slipway/internal/treecopy/tree"
	"github.com/slipway-dev/slipway/inventory/scan"
)

// ErrUnwell: a Gluster volume isn't as it must be to be read. Nothing was read. The text says what is wrong, and how to look at it.
var ErrUnwell = errors.New("the volume is not well")

// errVolumeWrite: to fix in the call.
var errVolumeWrite = errors.New("a gluster:// place is read from alone; to write into the volume give a directory where it is mounted: ssh://HOST/PATH")

// openVolume opens a Gluster volume: its health is asked for, its names come from a mount of the agent's own, and its files from its bricks where
// those have whole files.
func openVolume(ctx context.Context, p Place, o Options) (tree.Target, io.Closer, error) {
	if !o.ReadOnly {
		return nil, nil, fmt.Errorf("%s: %w", p, errVolumeWrite)
	}
	h, err := reach(p, o, remote.Host{Name: p.Host, Address: p.Host, Port: p.Port})
	if err != nil {
		return nil, nil, err
	}
	v := &volume{p: p, o: o, closers: closers{h}}
	t, err := v.open(ctx, h)
	if err != nil {
		return nil, nil, errors.Join(err, v.closers.Close())
	}
	return t, v.closers, nil
}

// volume is one that is being opened.
type volume struct {
	p       Place
	o       Options
	closers closers
}

// closers are closed from the last to the first.
type closers []io.Closer

func (c closers) Close() error {
	var errs []error
	for i := len(c) - 1; i >= 0; i-- {
		errs = append(errs, c[i].Close())
	}
	return errors.Join(errs...)
}

func (v *volume) note(format string, args ...any) {
	if v.o.Note != nil {
		v.o.Note(fmt.Sprintf(format, args...))
	}
}

func (v *volume) open(ctx context.Context, h *hosts) (tree.Target, error) {
	state, err := scan.GlusterOn(ctx, remote.NewLooker(h.Pool), []string{v.p.Host}, v.p.Name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", v.p, err)
	}
	if problems := state.Problems(); len(problems) > 0 {
		return nil, unwell(v.p, problems)
	}
	for _, n := range state.Notes() {
		v.note("%s", n)
	}
	mount, err := h.tree(ctx, v.p.Host, apart, v.p.String(), agent.Hello{Root: v.p.Path, Volume: v.p.Name})
	if err != nil {
		return nil, err
	}
	v.closers = append(v.closers, mount)
	copies, _ := state.Copies()
	if len(copies) == 0 {
		return readOnly{mount}, nil
	}
	replicas, err := v.replicas(ctx, h, copies)
	if err != nil {
		return nil, err
	}
	if len(replicas) < 2 {
		v.note("volume %s: fewer than two bricks can be read: everything is read through its mount, which is slower", v.p.Name)
		return readOnly{mount}, nil
	}
	src, err := bricks.Over(mount, replicas...)
	if err != nil {
		return nil, err
	}
	return asTarget{src, mount}, nil
}

// asTarget is a source where a target is asked for: it refuses to be written.
type asTarget struct {
	*bricks.Source
	mount tree.Target // opened for reading, which refuses whatever writes
}

func (a asTarget) Probe(ctx context.Context) (tree.Keeps, error) { return a.mount.Probe(ctx) }
func (a asTarget) Write(ctx context.Context, in io.Reader, each func(tree.Written) error) error {
	return a.mount.Write(ctx, in, each)
}
func (a asTarget) Remove(ctx context.Context, paths []tree.Path) error {
	return a.mount.Remove(ctx, paths)
}
func (a asTarget) Finish(ctx context.Context, dirs []tree.Member) error {
	return a.mount.Finish(ctx, dirs)
}
func (a asTarget) Sweep(ctx context.Context) error { return a.mount.Sweep(ctx) }

func unwell(p Place, problems []scan.Problem) error {
	var all []string
	for _, x := range problems {
		all = append(all, x.Error())
	}
	return fmt.Errorf("%s: %w: %s", p, ErrUnwell, strings.Join(all, "; "))
}

// replicas opens the bricks, each on its host. One that can't be opened is told of, and done without.
func (v *volume) replicas(ctx context.Context, h *hosts, copies []scan.Brick) ([]bricks.Brick, error) {
	var out []bricks.Brick
	for _, c := range copies {
		t, err := v.replica(ctx, h, c)
		if ctx.Err() != nil {
			return nil, err
		}
		if err != nil {
			v.note("brick %s is done without: %v", c.Name(), err)
			continue
		}
		out = append(out, replica{t})
	}
	return out, nil
}

func (v *volume) replica(ctx context.Context, h *hosts, b scan.Brick) (*agent.Tree, error) {
	addr, err := v.address(ctx, h, b.Host)
	if err != nil {
		return nil, err
	}
	at, host := h, v.p.Host
	if !addr.IsLoopback() { // servers often have their own name for 127.0.1.1
		host = addr.String()
		if at, err = reach(v.p, v.o, remote.Host{Name: host, Address: host, Port: v.p.Port}); err != nil {
			return nil, err
		}
		v.closers = append(v.closers, at)
	}
	t, err := at.tree(ctx, host, serve, b.Name(), agent.Hello{Root: v.p.Path, Brick: b.Path})
	if err != nil {
		return nil, err
	}
	v.closers = append(v.closers, t)
	return t, nil
}

// address is a brick's host's, as the server that was asked knows it: Gluster's names count there.
func (v *volume) address(ctx context.Context, h *hosts, name string) (netip.Addr, error) {
	if a, err := netip.ParseAddr(name); err == nil {
		return a, nil
	}
	var out bytes.Buffer
	if err := h.actor.Run(ctx, v.p.Host, remote.Cmd{Argv: []string{"getent", "ahosts", name}, Stdout: &out}); err != nil {
		return netip.Addr{}, fmt.Errorf("%s doesn't know the address of %s: %w", v.p.Host, name, err)
	}
	first, _, _ := strings.Cut(strings.TrimSpace(out.String()), " ")
	a, err := netip.ParseAddr(first)
	if err != nil {
		return a, fmt.Errorf("%s: getent's answer about %s is not readable: %q", v.p.Host, name, out.String())
	}
	return a, nil
}

// replica is an agent's tree that was opened as a brick.
type replica struct{ *agent.Tree }

func (r replica) ReadBrick(ctx context.Context, paths []tree.Path, out io.Writer) error {
	return r.Read(ctx, paths, out)
}

func (r replica) HashBrick(ctx context.Context, paths []tree.Path, each func(tree.Sum) error) error {
	return r.Hash(ctx, paths, each)
}
