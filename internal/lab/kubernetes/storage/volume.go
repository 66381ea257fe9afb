package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/slipway-dev/slipway/internal/lab/machine"
)

// minSize is below what any cloud sells; an ext4 with a journal needs about 4 MiB to exist at all.
const minSize = 16 << 20

// sizeUnit is what sizes are rounded up to: ext4's blocks are 4 KiB, and people read MiB.
const sizeUnit = 1 << 20

var (
	errElsewhere = errors.New("in use by another node")
	errNoVolume  = errors.New("no such volume")
)

// volumes are the cluster's volumes as files, and which nodes have which as a device. It is safe for concurrent use.
type volumes struct {
	dir   string           // on this computer
	tools *machine.Machine // has mkfs.ext4, and dir as toolsDir

	mu    sync.Mutex
	loops map[string]*attachment // by volume
}

// attachment is a volume's loop device and the nodes that have it.
type attachment struct {
	loop  *loop
	nodes map[string]bool
}

// file is the volume's content. The id comes from a claim's UID, or out of a kubelet's request: it is checked for being a plain name.
func (v *volumes) file(id string) (string, error) {
	if id == "" || strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return "", fmt.Errorf("volume id %q: want lower case letters, digits and dashes", id)
	}
	return filepath.Join(v.dir, id+".ext4"), nil
}

// roundSize is the size a volume gets for a request in bytes.
func roundSize(request int64) int64 {
	return max(minSize, (request+sizeUnit-1)/sizeUnit*sizeUnit)
}

// create makes a volume with an empty file system. One that is there is left as it is: a claim's volume may be asked for twice.
func (v *volumes) create(ctx context.Context, id string, size int64) error {
	file, err := v.file(id)
	if err != nil {
		return err
	}
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	building := file + ".new"
	f, err := os.OpenFile(building, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		return err
	}
	// No reserved blocks, as Google's driver formats; tables are not written before they are used, or a volume of a terabyte would cost gigabytes.
	argv := []string{"mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard", filepath.Join(toolsDir, filepath.Base(building))}
	if err := v.tools.Run(ctx, machine.Cmd{Argv: argv}); err != nil {
		return errors.Join(fmt.Errorf("format volume %s: %w", id, err), os.Remove(building))
	}
	return os.Rename(building, file)
}

// remove deletes a volume and what is in it. One that a node has is refused; one that isn't there is fine.
func (v *volumes) remove(id string) error {
	file, err := v.file(id)
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if a := v.loops[id]; a != nil {
		return fmt.Errorf("delete volume %s: %w", id, errElsewhere)
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete volume %s: %w", id, err)
	}
	return nil
}

// devicePath is where a node has a volume that is attached to it.
func devicePath(id string) string { return "/dev/disk-" + id }

// attach makes a volume's device appear in a node. alone: no other node may have it.
func (v *volumes) attach(id string, n Node, alone bool) error {
	file, err := v.file(id)
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	a := v.loops[id]
	if a != nil && alone {
		for other := range a.nodes {
			if other != n.Name {
				return fmt.Errorf("attach volume %s to %s: %w (%s)", id, n.Name, errElsewhere, other)
			}
		}
	}
	if a == nil {
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("attach volume %s to %s: %w", id, n.Name, errNoVolume)
		}
		l, err := openLoop(file)
		if err != nil {
			return fmt.Errorf("attach volume %s to %s: %w", id, n.Name, err)
		}
		a = &attachment{loop: l, nodes: map[string]bool{}}
		v.loops[id] = a
	}
	if err := a.loop.showIn(n.Machine, devicePath(id)); err != nil {
		err = fmt.Errorf("attach volume %s to %s: %w", id, n.Name, err)
		return errors.Join(err, v.release(id, a))
	}
	a.nodes[n.Name] = true
	return nil
}

// detach takes the device away from a node. A volume that the node doesn't have is fine.
func (v *volumes) detach(id string, n Node) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	a := v.loops[id]
	if a == nil || !a.nodes[n.Name] {
		return nil
	}
	if err := a.loop.hideIn(n.Machine, devicePath(id)); err != nil {
		return fmt.Errorf("detach volume %s from %s: %w", id, n.Name, err)
	}
	delete(a.nodes, n.Name)
	return v.release(id, a)
}

// release lets go of the loop device when no node has it. The kernel clears it when the last mount is gone.
func (v *volumes) release(id string, a *attachment) error {
	if len(a.nodes) > 0 {
		return nil
	}
	delete(v.loops, id)
	return a.loop.close()
}

// closeAll lets go of every loop device, the machines being gone.
func (v *volumes) closeAll() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	var errs []error
	for id, a := range v.loops {
		errs = append(errs, a.loop.close())
		delete(v.loops, id)
	}
	return errors.Join(errs...)
}
