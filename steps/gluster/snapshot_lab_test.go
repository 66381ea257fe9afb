//go:build lab

package gluster

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/fleet"
	"github.com/slipway-dev/slipway/internal/lab/labtest"
	"github.com/slipway-dev/slipway/internal/remote"
	"github.com/slipway-dev/slipway/internal/snapshot"
	"github.com/slipway-dev/slipway/internal/treecopy"
)

const (
	readFrom = "web1"
	mount    = "/srv/assets"
)

// web opens the mount on web1 as the product does: as an ordinary user who may only look.
func web(t *testing.T, lab *labtest.Lab) *treecopy.Host { return in(t, lab, mount) }

// in opens any directory there.
func in(t *testing.T, lab *labtest.Lab, dir string) *treecopy.Host {
	t.Helper()
	h := lab.Host(t, readFrom)
	pool, err := remote.Open(remote.Config{User: "slipway", KnownHosts: lab.Access("known_hosts"), Keys: []remote.Key{{Path: lab.Access(fleet.SlipwayKeyFile)}}},
		[]remote.Host{{Name: readFrom, Address: h.Addr.String()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close() })
	src, err := treecopy.OnHost(remote.NewLooker(pool), readFrom, dir)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func newStore(t *testing.T) *snapshot.Store {
	t.Helper()
	s, err := snapshot.At(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const labRun snapshot.ID = "20261123-010203-0001"

// planted is a directory on the volume with what the shop's own files don't have.
func planted(t *testing.T, lab *labtest.Lab) {
	t.Helper()
	const script = `set -e; rm -rf "$0"; mkdir "$0"; cd "$0"
printf x > "$(printf 'new\nline \377 "'"'"'')"; printf y > ./-rf; mkdir -p a/b; ln -s /etc a/etc; ln -s "$(printf 'no\nwhere')" a/dangling
truncate -s 20M sparse; printf end >> sparse; printf linked > one; ln one two; ln one a/three; : > empty; mkdir nothing
i=0; name=; while [ $i -lt 255 ]; do name=${name}n; i=$((i+1)); done; printf long > $name
setfattr -n user.mime -v image/png one; mkfifo fifo; touch -h -d '1969-12-31 23:59:58.123456789 UTC' a/etc -- ./-rf
chown -hR 33:33 .; chown 0:1234 empty; chmod 2775 a; chmod 0440 ./-rf`
	lab.Root(t, readFrom, "sh", "-c", script, mount+"/planted")
	t.Cleanup(func() { lab.Root(t, readFrom, "rm", "-rf", mount+"/planted") })
}

// sums are what two programs that the copier doesn't use for it say of a tree: names, attributes, contents.
const sums = `cd "$0" && find . -path ./thumbs -prune -o -name fifo -o \( -type d -printf '%p|%m|%U|%G|%T@\0' \) -o -type l -printf '%p|%U|%G|%T@|%l\0' -o -printf '%p|%m|%U|%G|%T@|%s|%n\0' | sort -z | tr '\0\n' '\n?'
find . -path ./thumbs -prune -o -type f -print0 | sort -z | xargs -0 md5sum --zero | tr '\0\n' '\n?'`

// The files come as they are through sshd, sudo-less, from the FUSE mount, while the shop works on them.
func TestSnapshotForReal(t *testing.T) {
	lab := labtest.Join(t)
	planted(t, lab)
	src, store := web(t, lab), newStore(t)
	began := time.Now()
	var last treecopy.Progress
	art, err := Tree{src}.Take(t.Context(), store, labRun, treecopy.Options{Tool: "test", From: "gluster volume assets", Progress: func(p treecopy.Progress) { last = p }})
	if err != nil {
		t.Fatal(err)
	}
	x, err := treecopy.Open(t.Context(), art)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d files, %d bytes, in %s (%s); stored %d", x.Detail.Files, x.Detail.Bytes, time.Since(began).Round(100*time.Millisecond), last.Count(), art.Stored())
	if n := len(x.Detail.LeftOut); n != 1 || x.Detail.LeftOut[0].What != "FIFO" {
		t.Errorf("left out: %v", x.Detail.LeftOut)
	}
	if x.Detail.Attributed == 0 {
		t.Error("no extended attribute came through")
	}
	to := t.TempDir()
	all := make([]int, len(x.Entries))
	for i := range all {
		all[i] = i
	}
	here := treecopy.Run(func(ctx context.Context, argv []string, in io.Reader, out io.Writer) error {
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, os.Stderr
		return cmd.Run()
	})
	if _, err := x.Send(t.Context(), treecopy.Fill(here, to), all, 2, nil); err != nil {
		t.Fatal(err)
	}
	got, err := exec.Command("sh", "-c", sums, to).Output()
	if err != nil {
		t.Fatal(err)
	}
	if want := lab.Root(t, readFrom, "sh", "-c", sums, mount); string(got) != want {
		a, b := strings.Split(string(got), "\n"), strings.Split(want, "\n")
		for i := range min(len(a), len(b)) {
			if a[i] != b[i] {
				t.Fatalf("it differs:\n%q\n%q", a[i], b[i])
			}
		}
		t.Errorf("%d lines and %d", len(a), len(b))
	}
	c, err := x.Compare(t.Context(), treecopy.Look(here, to), treecopy.Contents, 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Err(); err != nil {
		t.Error(err)
	}
}

// A directory that isn't the volume's mount is refused, whatever is in it.
func TestNotMountedForReal(t *testing.T) {
	lab := labtest.Join(t)
	src := web(t, lab)
	m, err := src.Mount(t.Context())
	if err != nil || m.Type != fuse || !strings.HasSuffix(m.Source, "assets") {
		t.Errorf("%+v, %v", m, err)
	}
	if err := (Snapshot{Volume: "assets"}).mounted(t.Context(), Tree{src}); err != nil {
		t.Error(err)
	}
	if err := (Snapshot{Volume: "other"}).mounted(t.Context(), Tree{src}); !errors.Is(err, treecopy.ErrNotMounted) {
		t.Error(err)
	}
	other := in(t, lab, "/srv")
	if err := (Snapshot{Volume: "assets"}).mounted(t.Context(), Tree{other}); !errors.Is(err, treecopy.ErrNotMounted) || !strings.Contains(err.Error(), "web1:/srv is on a file system of type") {
		t.Error(err)
	}
}

// A host that goes away in the middle: what was read is kept, and the next attempt reads the rest.
func TestCutForReal(t *testing.T) {
	lab := labtest.Alone(t)
	dir := mount + "/many"
	lab.Root(t, readFrom, "sh", "-c", `rm -rf "$0"; mkdir "$0"; cd "$0"; seq 600 | split -l 1 -a 3 - f; chown -R 33:33 .`, dir)
	t.Cleanup(func() { lab.Root(t, readFrom, "rm", "-rf", dir) })
	src, store := in(t, lab, dir), newStore(t)
	var kept atomic.Int64
	cut := func(p treecopy.Progress) {
		half, err := filepath.Glob(filepath.Join(store.Where(), string(labRun), ".assets.half", ".*.note"))
		if err == nil && len(half) >= 2 && kept.CompareAndSwap(0, int64(len(half))) {
			lab.Kill(t, readFrom)
		}
	}
	_, err := Tree{src}.Take(t.Context(), store, labRun, treecopy.Options{Progress: cut, Readers: 1, BatchFiles: 50})
	if !errors.Is(err, treecopy.ErrLost) {
		t.Fatalf("with its host killed: %v", err)
	}
	t.Log(err)
	lab.Start(t, readFrom)
	lab.WaitHealthy(t)
	var last treecopy.Progress
	art, err := Tree{in(t, lab, dir)}.Take(t.Context(), store, labRun, treecopy.Options{Progress: func(p treecopy.Progress) { last = p }, Readers: 1, BatchFiles: 50})
	if err != nil {
		t.Fatal(err)
	}
	if last.Reused < 50 || last.Reused >= 600 {
		t.Errorf("%d entries were kept of %d batches", last.Reused, kept.Load())
	}
	if err := art.Verify(t.Context(), nil); err != nil {
		t.Error(err)
	}
}
