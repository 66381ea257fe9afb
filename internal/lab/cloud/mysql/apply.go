package mysql

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/slipway-dev/slipway/internal/lab/cloud/sqladmin"
	"github.com/slipway-dev/slipway/internal/lab/machine"
)

// Apply implements sqladmin.Server: flags at run time where the server takes
// them so, else with a restart; networks and TLS at once.
// When it fails, the server follows the old settings again.
func (s *server) Apply(ctx context.Context, c sqladmin.Config) error {
	s.mu.Lock()
	old := s.config
	s.mu.Unlock()
	err := s.apply(ctx, old, c)
	if err == nil {
		s.mu.Lock()
		s.config = c
		s.mu.Unlock()
		return nil
	}
	if back := s.apply(context.WithoutCancel(ctx), c, old); back != nil {
		return errors.Join(err, fmt.Errorf("and the old settings cannot be brought back: %w", back))
	}
	return err
}

func (s *server) apply(ctx context.Context, old, c sqladmin.Config) error {
	if old.CAMode != c.CAMode {
		return fmt.Errorf("%w: the CA mode of an instance cannot be changed in the lab", sqladmin.ErrInvalid)
	}
	if err := s.growDisk(ctx, c.DiskGB*s.diskUnit); err != nil {
		return err
	}
	if err := s.setFirewall(ctx, c); err != nil {
		return err
	}
	conf := serverConf(c, s.slot)
	if conf == serverConf(old, s.slot) {
		return nil
	}
	if err := s.writeConf(ctx, conf); err != nil {
		return err
	}
	changed := changedFlags(old.Flags, c.Flags)
	if old.BinLog != c.BinLog || slices.ContainsFunc(changed, func(ch flagChange) bool { return needsRestart(ch.name) }) {
		return s.Restart(ctx)
	}
	for _, ch := range changed {
		if err := s.setGlobal(ctx, ch); err != nil {
			return err
		}
	}
	return s.exec(ctx, "set require_secure_transport", "SET GLOBAL require_secure_transport = "+onOff(c.OnlyTLS))
}

// writeConf replaces the option file and asks mysqld whether it takes it.
func (s *server) writeConf(ctx context.Context, conf string) error {
	if err := s.host().Run(ctx, machine.Cmd{Argv: []string{"tee", configPath}, Stdin: strings.NewReader(conf)}); err != nil {
		return fmt.Errorf("write the option file: %w", err)
	}
	if err := s.host().Run(ctx, machine.Cmd{Argv: []string{"/usr/sbin/mysqld", "--defaults-file=" + configPath, "--validate-config"}}); err != nil {
		return fmt.Errorf("%w: %w", sqladmin.ErrInvalid, err)
	}
	return nil
}

// flagChange is a flag that is to be set to a value, or to its default.
type flagChange struct {
	name, value string
	unset       bool
}

func changedFlags(old, now []sqladmin.Flag) []flagChange {
	was, is := make(map[string]string), make(map[string]string)
	for _, f := range old {
		was[f.Name] = f.Value
	}
	for _, f := range now {
		is[f.Name] = f.Value
	}
	var out []flagChange
	for _, name := range slices.Sorted(maps.Keys(is)) {
		if v, ok := was[name]; !ok || v != is[name] {
			out = append(out, flagChange{name: name, value: is[name]})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(was)) {
		if _, ok := is[name]; !ok {
			out = append(out, flagChange{name: name, unset: true})
		}
	}
	return out
}

func (s *server) setGlobal(ctx context.Context, ch flagChange) error {
	what := "set flag " + ch.name
	value, fixed := defaults[ch.name]
	switch {
	case ch.unset && fixed:
		return s.exec(ctx, what, "SET GLOBAL "+identifier(ch.name)+" = "+value)
	case ch.unset:
		return s.exec(ctx, what, "SET GLOBAL "+identifier(ch.name)+" = DEFAULT")
	case isNumber(ch.name):
		return s.exec(ctx, what, "SET GLOBAL "+identifier(ch.name)+" = "+ch.value) // held against its type before
	default:
		return s.exec(ctx, what, "SET GLOBAL "+identifier(ch.name)+" = ?", ch.value)
	}
}

// growDisk makes the data disk larger. The server is down meanwhile, which it is
// not at Cloud SQL: growing a mounted file system takes a capability
// (CAP_SYS_RESOURCE) that a container may lack.
func (s *server) growDisk(ctx context.Context, size int64) error {
	s.mu.Lock()
	now := s.size
	s.mu.Unlock()
	if size <= now {
		return nil
	}
	if err := s.stop(ctx); err != nil {
		return err
	}
	if err := s.host().Run(ctx, machine.Cmd{Argv: []string{"umount", diskPath}}); err != nil {
		return fmt.Errorf("grow the data disk: %w", err)
	}
	if err := os.Truncate(s.image, size); err != nil {
		return fmt.Errorf("grow the data disk: %w", err)
	}
	if err := tool(ctx, "resize2fs", "-f", s.image); err != nil {
		return fmt.Errorf("grow the data disk: %w", err)
	}
	if err := s.mountDisk(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	s.size = size
	s.mu.Unlock()
	return s.start(ctx)
}

// ballast is the file that fills a disk.
const ballast = diskPath + "/ballast"

// Disk is for the lab's own verbs: it fills a server's data disk and empties it
// again. A Server of this engine is one.
type Disk interface {
	// Fill takes all room of the data disk but the given bytes, with a file that is
	// not the server's.
	Fill(ctx context.Context, leave int64) error
	// Unfill gives it back.
	Unfill(ctx context.Context) error
}

// Fill implements Disk.
func (s *server) Fill(ctx context.Context, leave int64) error {
	if err := s.Unfill(ctx); err != nil {
		return err
	}
	out, err := s.host().Output(ctx, "stat", "-f", "-c", "%a %S", diskPath) // free blocks, bytes a block
	if err != nil {
		return fmt.Errorf("fill the data disk: %w", err)
	}
	var blocks, bytes int64
	if _, err := fmt.Sscan(string(out), &blocks, &bytes); err != nil {
		return fmt.Errorf("fill the data disk: %w", err)
	}
	length := blocks*bytes - leave
	if length <= 0 {
		return nil
	}
	// What fallocate's own bookkeeping takes is left out: it may not fit by a few blocks.
	length = length * 999 / 1000
	if err := s.host().Run(ctx, machine.Cmd{Argv: []string{"fallocate", "-l", fmt.Sprint(length), ballast}}); err != nil {
		return fmt.Errorf("fill the data disk: %w", err)
	}
	return nil
}

// Unfill implements Disk.
func (s *server) Unfill(ctx context.Context) error {
	if err := s.host().Run(ctx, machine.Cmd{Argv: []string{"rm", "-f", ballast}}); err != nil {
		return fmt.Errorf("give the data disk's room back: %w", err)
	}
	return nil
}
