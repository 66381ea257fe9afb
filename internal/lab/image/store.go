package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/machine"
	"github.com/slipway-dev/slipway/internal/lab/progress"
	"github.com/slipway-dev/slipway/internal/lab/rootfs"
)

// importLimit bounds the making of one set on a slow disk.
const importLimit = 10 * time.Minute

// Store is this computer's cache of image sets. It is safe for concurrent use, also by several processes.
type Store struct {
	dir      string
	launcher *machine.Launcher
	rootfs   *rootfs.Store
	report   progress.Func
	blobs    blobs
}

// Open uses dir as the cache; it is made if missing. dir must not lie on an overlay.
func Open(dir string, launcher *machine.Launcher, store *rootfs.Store, report progress.Func) (*Store, error) {
	for _, sub := range []string{"sets", "building", "locks", "programs"} {
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
	b, err := openBlobs(filepath.Join(dir, "blobs"))
	if err != nil {
		return nil, err
	}
	return &Store{dir: dir, launcher: launcher, rootfs: store, report: report, blobs: b}, nil
}

// Ensure makes the images and imports them into a containerd store of their own, unless that is there. Root file systems that they need are built.
func (s *Store) Ensure(ctx context.Context, images []Image) (Set, error) {
	key, err := setKey(images)
	if err != nil {
		return Set{}, err
	}
	set := Set{dir: filepath.Join(s.dir, "sets", key)}
	if there, err := exists(set.dir); there || err != nil {
		return set, err
	}
	// One lock for all sets: they share archives.
	unlock, err := rootfs.Lock(ctx, filepath.Join(s.dir, "locks", "import"), s.report, "container images: another lab makes them")
	if err != nil {
		return Set{}, err
	}
	defer unlock()
	if there, err := exists(set.dir); there || err != nil {
		return set, err
	}
	ctx, cancel := context.WithTimeout(ctx, importLimit)
	defer cancel()
	building := filepath.Join(s.dir, "building", key)
	if err := os.RemoveAll(building); err != nil {
		return Set{}, err
	}
	task := progress.Begin(s.report, "container images")
	if err := s.build(ctx, images, key, building, task); err != nil {
		return Set{}, errors.Join(fmt.Errorf("make container images: %w", err), os.RemoveAll(building))
	}
	task.At("writing to disk", 0, 0)
	if err := rootfs.Publish(building, set.dir); err != nil {
		return Set{}, err
	}
	task.End()
	return set, nil
}

func (s *Store) build(ctx context.Context, images []Image, key, building string, task *progress.Task) error {
	lower, err := s.rootfs.Ensure(ctx, Engine)
	if err != nil {
		return err
	}
	var b bundle
	for i, img := range images {
		task.At("archiving "+img.Name, int64(i), int64(len(images)))
		layers, err := s.blobs.layers(ctx, s.rootfs, img)
		if err != nil {
			return fmt.Errorf("%s: %w", img.Name, err)
		}
		if err := b.add(img, layers); err != nil {
			return fmt.Errorf("%s: %w", img.Name, err)
		}
	}
	task.At("importing into containerd", int64(len(images)), int64(len(images)))
	if err := s.importBundle(ctx, key, building, lower, &b); err != nil {
		return err
	}
	return s.shareBlobs(building)
}

// containerdConfig keeps containerd to importing: nothing runs in that machine.
const containerdConfig = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\n  disable_cgroup = true\n"

// importBundle runs containerd on the directory that becomes the set, and hands it all images as one archive.
func (s *Store) importBundle(ctx context.Context, key, building string, lower []string, b *bundle) (err error) {
	if err := os.MkdirAll(building, 0o711); err != nil {
		return err
	}
	m, err := s.launcher.Start(ctx, machine.Spec{
		Name: "images-" + key[:8], Lower: lower, Argv: machine.Idle(), Cgroups: machine.Controllers,
		Files: []machine.File{machine.Text("/etc/containerd/config.toml", containerdConfig)},
		Binds: []machine.Bind{{Source: building, Target: "/var/lib/containerd"}},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Remove(context.WithoutCancel(ctx))) }()
	log := &tail{max: 4 << 10}
	engine, err := m.Start(ctx, machine.Cmd{Argv: []string{"containerd"}, Stdout: log, Stderr: log})
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- engine.Wait() }()
	if err := errors.Join(s.feed(ctx, m, b), stop(ctx, engine, ended)); err != nil {
		return fmt.Errorf("%w\nthe end of containerd's log:\n%s", err, log.String())
	}
	return nil
}

// feed waits for containerd, streams the archive into it and waits until its Kubernetes side knows every image.
func (s *Store) feed(ctx context.Context, m *machine.Machine, b *bundle) error {
	ctr := func(args ...string) []string { return append([]string{"ctr", "--namespace", "k8s.io"}, args...) }
	err := progress.Wait(ctx, progress.Discard, "containerd", 1, 50*time.Millisecond, func(ctx context.Context) (int64, string, error) {
		if err := m.Run(ctx, machine.Cmd{Argv: ctr("version")}); err != nil {
			return 0, err.Error(), nil
		}
		return 1, "", nil
	})
	if err != nil {
		return err
	}
	r, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := b.write(w)
		written <- errors.Join(err, w.CloseWithError(err))
	}()
	err = m.Run(ctx, machine.Cmd{Argv: ctr("images", "import", "--snapshotter", "overlayfs", "-"), Stdin: r})
	if err = errors.Join(err, r.Close(), <-written); err != nil {
		return err
	}
	// A kubelet finds images by their configuration's hash too: containerd's CRI plugin adds that name on hearing of the import.
	want := b.ids()
	return progress.Wait(ctx, progress.Discard, "images known to containerd", int64(len(want)), 50*time.Millisecond, func(ctx context.Context) (int64, string, error) {
		out, err := m.Output(ctx, ctr("images", "list", "--quiet")...)
		if err != nil {
			return 0, "", err
		}
		known := map[string]bool{}
		for name := range strings.Lines(string(out)) {
			known[strings.TrimSpace(name)] = true
		}
		var have int64
		missing := ""
		for _, id := range want {
			if known[id] {
				have++
			} else {
				missing = "missing " + id
			}
		}
		return have, missing, nil
	})
}

// stop ends containerd in order, so that its databases are whole.
func stop(ctx context.Context, p *machine.Process, ended <-chan error) error {
	if err := p.Signal(os.Interrupt); err != nil {
		return errors.Join(fmt.Errorf("stop containerd: %w", err), <-ended)
	}
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return fmt.Errorf("stop containerd: %w", ctx.Err())
	}
}

// shareBlobs puts the archives that containerd copied back to one copy on disk: its files become hard links of the cache's, by the hash that both are
// named after.
func (s *Store) shareBlobs(building string) error {
	dir := filepath.Join(building, contentDir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		shared := s.blobs.path(e.Name())
		if there, err := exists(shared); err != nil {
			return err
		} else if !there {
			continue // a manifest or a configuration
		}
		at := filepath.Join(dir, e.Name())
		if err := errors.Join(os.Remove(at), os.Link(shared, at)); err != nil {
			return err
		}
	}
	return nil
}

// tail keeps the last max bytes written.
type tail struct {
	buf []byte
	max int
}

func (t *tail) Write(p []byte) (int, error) {
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - t.max; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.buf) }
