package image

import (
	"context"
	_ "embed" // the source of pause
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/slipway-dev/slipway/internal/lab/progress"
	"github.com/slipway-dev/slipway/internal/lab/rootfs"
)

//go:embed pause/main.go
var pauseSource []byte

// PauseName is the image of every pod's sandbox, which containerd's configuration names.
const PauseName = Registry + "/lab/pause:1"

// Pause makes the image of pods' sandboxes: one static program of this repository, compiled with this computer's Go.
func (s *Store) Pause(ctx context.Context) (Image, error) {
	program, err := s.compile(ctx, "pause", pauseSource)
	if err != nil {
		return Image{}, err
	}
	return Image{Name: PauseName, Programs: []Program{{Source: program, Target: "/pause"}}, Entrypoint: []string{"/pause"}, User: "65535:65535"}, nil
}

// compile builds a program of one file that imports the standard library alone, and keeps it by the hash of its source.
func (s *Store) compile(ctx context.Context, name string, source []byte) (string, error) {
	at := filepath.Join(s.dir, "programs", name+"-"+shortSum(source))
	if there, err := exists(at); there || err != nil {
		return at, err
	}
	unlock, err := rootfs.Lock(ctx, filepath.Join(s.dir, "locks", name), s.report, name+": another lab compiles it")
	if err != nil {
		return "", err
	}
	defer unlock()
	if there, err := exists(at); there || err != nil {
		return at, err
	}
	task := progress.Begin(s.report, "compile "+name)
	dir, err := os.MkdirTemp(filepath.Join(s.dir, "building"), name+"-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "main.go"), source, 0o644); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", "out", "main.go")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("compile %s: %w: %s", name, err, out)
	}
	if err := os.Rename(filepath.Join(dir, "out"), at); err != nil {
		return "", err
	}
	task.End()
	return at, nil
}
