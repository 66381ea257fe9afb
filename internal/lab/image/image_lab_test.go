//go:build lab

package image

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/machine"
	"github.com/slipway-dev/slipway/internal/lab/progress"
	"github.com/slipway-dev/slipway/internal/lab/rootfs"
)

func TestMain(m *testing.M) {
	machine.Main()
	os.Exit(m.Run())
}

func cacheDir() string {
	if dir := os.Getenv("SLIPWAY_LAB_CACHE"); dir != "" {
		return dir
	}
	return "/var/cache/slipway-lab"
}

// TestNodeSeesImages makes images, imports them, lays the set under a fresh containerd and looks at what that sees in them.
func TestNodeSeesImages(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	launcher, err := machine.NewLauncher("imagetest", filepath.Join(t.TempDir(), "machines"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := launcher.Clean(context.WithoutCancel(ctx), true); err != nil {
			t.Error(err)
		}
	}()
	report := progress.Printer(os.Stderr, 5*time.Second)
	roots, err := rootfs.Open(cacheDir(), launcher, report)
	if err != nil {
		t.Fatal(err)
	}
	store, err := Open(filepath.Join(t.TempDir(), "images"), launcher, roots, report)
	if err != nil {
		t.Fatal(err)
	}
	pause, err := store.Pause(ctx)
	if err != nil {
		t.Fatal(err)
	}
	tools := Image{Name: Registry + "/lab/tools:1", Layer: &rootfs.Base, Cmd: []string{"/bin/sleep", "infinity"}, Env: []string{"PATH=/usr/bin:/bin"},
		Files: []machine.File{{Path: "/srv/x/secret", Mode: 0o640, Owner: "www-data:adm", Content: []byte("hello\n")}}}
	begin := time.Now()
	set, err := store.Ensure(ctx, []Image{pause, tools})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("made in %v", time.Since(begin))
	again := time.Now()
	if _, err := store.Ensure(ctx, []Image{tools, pause}); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(again); d > time.Second {
		t.Errorf("the second time took %v: not cached", d)
	}

	root := filepath.Join(t.TempDir(), "containerd")
	begin = time.Now()
	if err := set.Lay(root); err != nil {
		t.Fatal(err)
	}
	t.Logf("laid in %v", time.Since(begin))
	lower, err := roots.Ensure(ctx, Engine)
	if err != nil {
		t.Fatal(err)
	}
	node, err := launcher.Start(ctx, machine.Spec{Name: "node", Lower: lower, Argv: machine.Idle(), Cgroups: machine.Controllers,
		Binds: []machine.Bind{set.Bind(), {Source: root, Target: "/var/lib/containerd"}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := node.Start(ctx, machine.Cmd{Argv: []string{"containerd"}}); err != nil {
		t.Fatal(err)
	}
	run := func(argv ...string) string {
		t.Helper()
		out, err := node.Output(ctx, argv...)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	for node.Run(ctx, machine.Cmd{Argv: []string{"ctr", "version"}}) != nil {
		time.Sleep(50 * time.Millisecond)
	}
	got := run("ctr", "-n", "k8s.io", "run", "--rm", tools.Name, "one", "/bin/sh", "-c", "stat -c '%U %G %a' /srv/x/secret; cat /srv/x/secret; getcap /usr/bin/ping; ls -d /srv /etc/passwd; touch /etc/new")
	for _, want := range []string{"www-data adm 640", "hello", "/etc/passwd"} {
		if !strings.Contains(got, want) {
			t.Errorf("in the container: no %q in\n%s", want, got)
		}
	}
	if _, err := os.Stat(filepath.Join(set.dir, snapshotsDir)); err != nil {
		t.Error(err)
	}
}

// TestArchiveWhiteouts: what overlayfs writes down as deleted becomes the image specification's form of it.
func TestArchiveWhiteouts(t *testing.T) {
	lower, dir := t.TempDir(), t.TempDir()
	err := errors.Join(os.WriteFile(filepath.Join(lower, "gone"), nil, 0o644), os.MkdirAll(filepath.Join(lower, "new/old"), 0o755))
	if err != nil {
		t.Fatal(err)
	}
	launcher, err := machine.NewLauncher("imagetest2", filepath.Join(dir, "machines"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := launcher.Clean(context.Background(), true); err != nil {
			t.Error(err)
		}
	}()
	roots, err := rootfs.Open(cacheDir(), launcher, progress.Discard)
	if err != nil {
		t.Fatal(err)
	}
	base, err := roots.Ensure(t.Context(), rootfs.Base)
	if err != nil {
		t.Fatal(err)
	}
	upper := filepath.Join(dir, "upper")
	m, err := launcher.Start(t.Context(), machine.Spec{Name: "one", Lower: append([]string{lower}, base...), Upper: upper, Argv: machine.Idle()})
	if err != nil {
		t.Fatal(err)
	}
	script := "rm /gone; rm -r /new; mkdir /new; echo x > /new/file; setcap cap_net_raw+ep /new/file || setfattr -n user.x -v y /new/file"
	if err := errors.Join(m.Run(t.Context(), machine.Cmd{Argv: []string{"/bin/sh", "-c", script}}), m.Kill(t.Context())); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := archiveLayer(&out, upper); err != nil {
		t.Fatal(err)
	}
	headers, _ := read(t, out.Bytes())
	for _, name := range []string{".wh.gone", "new/.wh..wh..opq", "new/file"} {
		if headers[name] == nil {
			t.Errorf("no %s", name)
		}
	}
	attributes := 0
	for name := range headers["new/file"].PAXRecords {
		if strings.HasPrefix(name, "SCHILY.xattr.") {
			attributes++
		}
	}
	if attributes != 1 {
		t.Errorf("new/file: %v", headers["new/file"].PAXRecords)
	}
}
