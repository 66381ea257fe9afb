package kubernetes

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/machine"
	"github.com/slipway-dev/slipway/internal/lab/progress"
	"github.com/slipway-dev/slipway/internal/lab/rootfs"
)

// Version is the Kubernetes that is built; build/go.mod holds its source to the same, and a test holds this to that.
const Version = "v1.37.2"

// The programs that are built: kube is the five of Kubernetes and etcd in one file (build/kube), which is
// told by its name which of them to be.
const (
	kubeProgram = "kube"
	dnsProgram  = "coredns"
)

// buildLimit bounds the build on a slow computer.
const buildLimit = time.Hour

// sourceDir is where the module that the programs are built from lies in the repository.
const sourceDir = "internal/lab/kubernetes/build"

// Programs are the built programs.
type Programs struct {
	dir string
}

// Kube is the program file of Kubernetes' five and etcd.
func (p Programs) Kube() string { return filepath.Join(p.dir, kubeProgram) }

// DNS is the program file of CoreDNS.
func (p Programs) DNS() string { return filepath.Join(p.dir, dnsProgram) }

// Builder builds Kubernetes from its source and keeps what comes out in a cache.
type Builder struct {
	dir      string // the cache
	source   string // the module
	launcher *machine.Launcher
	report   progress.Func
}

// NewBuilder uses dir as the cache. source is the repository's root; empty: see FindSource. The compiler ends with launcher's process.
func NewBuilder(dir, source string, launcher *machine.Launcher, report progress.Func) (*Builder, error) {
	if source == "" {
		var err error
		if source, err = FindSource(); err != nil {
			return nil, err
		}
	}
	for _, sub := range []string{"sets", "building", "locks"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, err
		}
	}
	return &Builder{dir: dir, source: filepath.Join(source, sourceDir), launcher: launcher, report: report}, nil
}

// FindSource looks for the repository's root above the working directory and above the running program (bin/slipway-lab).
func FindSource() (string, error) {
	var tried []string
	if dir, err := os.Getwd(); err == nil {
		tried = append(tried, dir)
	}
	if program, err := os.Executable(); err == nil {
		tried = append(tried, filepath.Dir(program))
	}
	for _, from := range tried {
		for dir := from; ; dir = filepath.Dir(dir) {
			if there, err := exists(filepath.Join(dir, sourceDir, "go.mod")); err != nil {
				return "", err
			} else if there {
				return dir, nil
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return "", fmt.Errorf("the lab builds Kubernetes from %s, which is not above %s: run it from a clone of the repository", sourceDir, strings.Join(tried, " or "))
}

// flags make the build as cheap as it gets: without C, without symbols (about a tenth of the time, half of the size), and with paths that are equal on
// every computer. `make build` uses the same, so that what both programs import is compiled once. The clone's state is not asked for (git refuses to tell it to
// another user than the clone's).
func flags() []string {
	set := "-X k8s.io/component-base/version."
	major, rest, _ := strings.Cut(strings.TrimPrefix(Version, "v"), ".")
	minor, _, _ := strings.Cut(rest, ".")
	return []string{"-trimpath", "-buildvcs=false", "-ldflags", "-s -w " + set + "gitVersion=" + Version + " " + set + "gitMajor=" + major + " " + set + "gitMinor=" + minor + " " +
		set + "gitTreeState=clean"}
}

// environment is the Go command's: this user's proxy and caches, and nothing that would change what is built.
func environment() []string {
	return append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", "GO111MODULE=on")
}

// key is the hash of all that goes into the build.
func (b *Builder) key(ctx context.Context) (string, error) {
	compiler, err := b.run(ctx, "go", "version")
	if err != nil {
		return "", fmt.Errorf("the lab builds Kubernetes from source and needs Go: %w", err)
	}
	return b.sourceKey(string(bytes.TrimSpace(compiler)))
}

func (b *Builder) sourceKey(compiler string) (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%s %s %q\n", compiler, runtime.GOARCH, flags())
	err := filepath.WalkDir(b.source, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(b.source, path)
		fmt.Fprintf(h, "%s %d\n%s", rel, len(content), content)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read the module Kubernetes is built from: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// Ensure builds the programs, unless they are in the cache.
func (b *Builder) Ensure(ctx context.Context) (Programs, error) {
	key, err := b.key(ctx)
	if err != nil {
		return Programs{}, err
	}
	done := Programs{dir: filepath.Join(b.dir, "sets", Version+"-"+key)}
	if there, err := exists(done.dir); there || err != nil {
		return done, err
	}
	unlock, err := rootfs.Lock(ctx, filepath.Join(b.dir, "locks", "build"), b.report, "Kubernetes: another lab builds it")
	if err != nil {
		return Programs{}, err
	}
	defer unlock()
	if there, err := exists(done.dir); there || err != nil {
		return done, err
	}
	ctx, cancel := context.WithTimeout(ctx, buildLimit)
	defer cancel()
	building := filepath.Join(b.dir, "building", key)
	if err := errors.Join(os.RemoveAll(building), os.MkdirAll(building, 0o755)); err != nil {
		return Programs{}, err
	}
	task := progress.Begin(b.report, "build Kubernetes "+Version)
	if err := b.build(ctx, building, task); err != nil {
		return Programs{}, errors.Join(fmt.Errorf("build Kubernetes: %w", err), os.RemoveAll(building))
	}
	if err := rootfs.Publish(building, done.dir); err != nil {
		return Programs{}, err
	}
	task.End()
	return done, nil
}

func (b *Builder) build(ctx context.Context, out string, task *progress.Task) error {
	// Listing downloads the modules: about 110 MB the first time.
	task.At("fetching and reading its modules", 0, 0)
	list, err := b.run(ctx, "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "./...")
	if err != nil {
		return err
	}
	total := int64(len(bytes.Fields(list)))
	cmd := exec.CommandContext(ctx, "go", append(append([]string{"build", "-v"}, flags()...), "-o", out+string(filepath.Separator), "./...")...)
	cmd.Dir, cmd.Env = b.source, environment()
	cmd.WaitDelay = 10 * time.Second
	said, tell := io.Pipe()
	cmd.Stdout, cmd.Stderr = tell, tell
	var last lines
	told := make(chan error, 1)
	go func() { told <- follow(said, total, task, &last) }()
	if err := b.launcher.StartProcess(cmd); err != nil {
		return errors.Join(err, tell.Close(), <-told)
	}
	err = cmd.Wait()
	if err = errors.Join(err, tell.Close(), <-told); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, last.String())
	}
	return nil
}

// follow counts the packages that go build -v names as it compiles them. What the compiler's cache holds already is not named.
func follow(r io.Reader, total int64, task *progress.Task, last *lines) error {
	scan := bufio.NewScanner(r)
	var done int64
	for scan.Scan() {
		last.add(scan.Text())
		if done < total {
			done++
		}
		task.At("packages; now "+scan.Text(), done, total)
	}
	return scan.Err()
}

// lines keeps the last lines of an output, for the error.
type lines struct{ kept []string }

func (l *lines) add(s string) {
	if l.kept = append(l.kept, s); len(l.kept) > 12 {
		l.kept = l.kept[1:]
	}
}

func (l *lines) String() string { return strings.Join(l.kept, "\n") }

func (b *Builder) run(ctx context.Context, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = b.source, environment()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := b.launcher.StartProcess(cmd); err != nil {
		return nil, err
	}
	if err := cmd.Wait(); err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.Bytes(), nil
}

func exists(path string) (bool, error) {
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
