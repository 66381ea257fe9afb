package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/slipway-dev/slipway/internal/lab/progress"
	"github.com/slipway-dev/slipway/internal/lab/rootfs"
	"github.com/slipway-dev/slipway/internal/lab/shop"
)

// saved is what one lab's hosts had written when they were saved: a directory of the cache with their writable layers, to go over the formed fleet that they started from.
type saved struct{ dir string }

// base says what a saved fleet lies on.
type base struct {
	Formed string // the directory of the formed fleet, within fleets
	Size   shop.Size
}

func savedFleets(cache string) string { return filepath.Join(cache, "saved") }

func (s saved) base() (base, error) {
	var b base
	raw, err := os.ReadFile(filepath.Join(s.dir, "base.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return b, errors.New("this lab has no checkpoint of its own: slipway-lab checkpoint makes one")
	}
	if err != nil {
		return b, err
	}
	return b, json.Unmarshal(raw, &b)
}

// savedBases are the formed fleets that somebody's saved fleet lies on.
func savedBases(cache string) ([]string, error) {
	dirs, err := filepath.Glob(filepath.Join(savedFleets(cache), "*", "base.json"))
	if err != nil {
		return nil, err
	}
	var out []string
	for _, d := range dirs {
		b, err := saved{filepath.Dir(d)}.base()
		if err != nil {
			return nil, err
		}
		out = append(out, b.Formed)
	}
	return out, nil
}

// Save halts all hosts, keeps what they have on disk as the lab's own checkpoint, in place of an earlier one, and starts them again.
func (f *Fleet) Save(ctx context.Context, report progress.Func) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.checkpoint.dir == "" {
		return errors.New("the fleet was not started")
	}
	if err := f.haltAll(ctx, report); err != nil {
		return err
	}
	building := filepath.Join(savedFleets(f.env.Cache), f.env.Name+".building")
	if err := errors.Join(os.RemoveAll(building), os.MkdirAll(building, 0o700)); err != nil {
		return err
	}
	task := progress.Begin(report, "keep what the hosts wrote")
	for i, h := range Hosts() {
		task.At(h.Name, int64(i), int64(len(Hosts())))
		if err := copyWritten(ctx, f.env.Launcher.Dir(h.Name), filepath.Join(building, h.Name)); err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
	}
	raw, err := json.Marshal(base{Formed: filepath.Base(f.checkpoint.dir), Size: f.size})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(building, "base.json"), raw, 0o600); err != nil {
		return err
	}
	if err := os.RemoveAll(f.saved().dir); err != nil {
		return err
	}
	if err := rootfs.Publish(building, f.saved().dir); err != nil {
		return err
	}
	task.End()
	if err := f.startAll(ctx, report); err != nil {
		return err
	}
	return f.waitServing(ctx, report)
}

func (f *Fleet) saved() saved { return saved{filepath.Join(savedFleets(f.env.Cache), f.env.Name)} }

// restore puts what was saved under the hosts that are about to start.
func (f *Fleet) restore(ctx context.Context, report progress.Func) error {
	task := progress.Begin(report, "lay out what the hosts had written")
	for i, h := range Hosts() {
		task.At(h.Name, int64(i), int64(len(Hosts())))
		dir := f.env.Launcher.Dir(h.Name)
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
		if err := copyWritten(ctx, filepath.Join(f.saved().dir, h.Name), dir); err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
	}
	task.End()
	return nil
}

// copyWritten copies a halted host's writable layers with all that overlayfs keeps beside and in them: extended attributes, and hard links between a volume's files and its index.
func copyWritten(ctx context.Context, from, to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	parts := []string{filepath.Join(from, "upper")}
	if _, err := os.Stat(filepath.Join(from, "volumes")); err == nil {
		parts = append(parts, filepath.Join(from, "volumes"))
	}
	cmd := exec.CommandContext(ctx, "cp", append([]string{"--archive", "--reflink=auto", "--target-directory", to}, parts...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("copy %s: %w: %s", strings.Join(parts, ", "), err, trim(out))
	}
	indexes, err := filepath.Glob(filepath.Join(to, "volumes", "*", "work", "index"))
	if err != nil {
		return err
	}
	for _, index := range indexes {
		// It names the upper directory it belongs to, which is now another; overlayfs writes it anew.
		if err := removeAttribute(index, "trusted.overlay.upper"); err != nil {
			return err
		}
	}
	return nil
}
