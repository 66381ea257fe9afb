package rootfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-dev/slipway/internal/lab/machine"
	"github.com/slipway-dev/slipway/internal/lab/progress"
)

// Store is the cache of layers of this computer. It is safe for concurrent use, also by several processes.
type Store struct {
	dir      string
	launcher *machine.Launcher
	report   progress.Func
	slots    chan struct{} // how many are built at once

	mu   sync.Mutex
	busy map[string]*sync.Mutex // by key: one builder per process, which then competes for the file lock
	apt  func() (aptSettings, error)
}

// Open uses dir as the cache; it is made if missing. Layers are built in the launcher's machines.
func Open(dir string, launcher *machine.Launcher, report progress.Func) (*Store, error) {
	for _, sub := range []string{"layers", "building", "locks", "logs", "lists"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, err
		}
	}
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	return &Store{dir: dir, launcher: launcher, report: report, slots: make(chan struct{}, max(2, runtime.NumCPU())), busy: map[string]*sync.Mutex{},
		apt: sync.OnceValues(func() (aptSettings, error) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			return readApt(ctx)
		})}, nil
}

// Dir is the cache's directory.
func (s *Store) Dir() string { return s.dir }

// Ensure builds the layer and what it lies on, unless they are there, and returns their directories, topmost first: what machine.Spec.Lower takes. The directories are shared and must
// not be written to.
func (s *Store) Ensure(ctx context.Context, l Layer) ([]string, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	var below []string
	if l.On != nil {
		var err error
		if below, err = s.Ensure(ctx, *l.On); err != nil {
			return nil, err
		}
	}
	dir := filepath.Join(s.dir, "layers", l.dirName())
	if err := s.ensure(ctx, l, dir, below); err != nil {
		return nil, fmt.Errorf("%s: %w", l.title(), err)
	}
	return append([]string{dir}, below...), nil
}

// EnsureAll builds several layers side by side, as many at once as there are processors (at least two, since half of the work is download).
func (s *Store) EnsureAll(ctx context.Context, layers ...Layer) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, l := range layers {
		group.Go(func() error {
			_, err := s.Ensure(ctx, l)
			return err
		})
	}
	return group.Wait()
}

func (s *Store) ensure(ctx context.Context, l Layer, dir string, below []string) error {
	if there, err := exists(dir); there || err != nil {
		return err
	}
	mu := s.mutex(l.Key())
	mu.Lock()
	defer mu.Unlock()
	unlock, err := Lock(ctx, filepath.Join(s.dir, "locks", l.dirName()), s.report, l.title()+": another lab builds it")
	if err != nil {
		return err
	}
	defer unlock()
	if there, err := exists(dir); there || err != nil {
		return err
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	building := filepath.Join(s.dir, "building", l.dirName())
	// Whoever was killed while building left this; the lock says that nobody is at it now.
	if err := errors.Join(os.RemoveAll(building), os.RemoveAll(building+".work")); err != nil {
		return err
	}
	task := progress.Begin(s.report, l.title())
	if err := s.build(ctx, l, building, below, task); err != nil {
		return errors.Join(err, os.RemoveAll(building), os.RemoveAll(building+".work"))
	}
	if err := os.RemoveAll(building + ".work"); err != nil {
		return err
	}
	task.At("writing to disk", 0, 0)
	if err := Publish(building, dir); err != nil {
		return err
	}
	task.End()
	return nil
}

func (s *Store) mutex(key string) *sync.Mutex {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy[key] == nil {
		s.busy[key] = &sync.Mutex{}
	}
	return s.busy[key]
}

// Publish renames a finished tree into its place in a cache, after what it holds is on disk: a cache entry that is there is whole.
func Publish(building, dir string) error {
	if err := syncTree(building); err != nil {
		return err
	}
	if err := os.Rename(building, dir); err != nil {
		return err
	}
	return syncTree(filepath.Dir(dir))
}

func exists(path string) (bool, error) {
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
