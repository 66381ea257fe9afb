package volumes_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/google"
	"github.com/slipway-dev/slipway/internal/snapshot"
	"github.com/slipway-dev/slipway/internal/treecopy"
	"github.com/slipway-dev/slipway/internal/treecopy/treetest"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/journal"
	"github.com/slipway-dev/slipway/migrate/steptest"
	"github.com/slipway-dev/slipway/steps/volumes"
)

// copying is a run of fill and verify over one disk; each life is a process.
type copying struct {
	t     *testing.T
	rb    *migrate.Runbook[migrate.Rehearsal]
	dir   *journal.Dir
	began bool
}

const runID = "20261123-010203-0001"

func newCopying(t *testing.T, d *disk) *copying {
	t.Helper()
	store, snap := artifact(t)
	rb := migrate.NewRunbook[migrate.Rehearsal]()
	rb.PhaseInOrder("copy")
	cl := steptest.Given(rb, "standup.cluster", google.Cluster{Name: "c"})
	files := steptest.Given(rb, "copy.gluster-snapshot", snap)
	eye, hand := bind(cl, store, d)
	in := migrate.Add(rb, volumes.Fill{Snapshot: files, Mover: moverPod, Commands: 1}, eye, hand)
	migrate.Add(rb, volumes.Verify{Snapshot: files, Fill: in, Mover: moverPod, Commands: 1}, eye, hand)
	migrate.AddGate(rb, migrate.Gate{ID: "gate"})
	dir, err := journal.MakeDir(t.TempDir(), runID)
	if err != nil {
		t.Fatal(err)
	}
	return &copying{t: t, rb: rb, dir: dir}
}

func (c *copying) open() *migrate.Run {
	c.t.Helper()
	o := migrate.Options{Tool: "test", Who: "test"}
	begin := func() (*migrate.Run, error) { return migrate.Begin(c.dir, runID, c.rb, o) }
	if c.began {
		begin = func() (*migrate.Run, error) { return migrate.Open(c.dir, c.rb, o) }
	}
	r, err := begin()
	if err != nil {
		c.t.Fatal(err)
	}
	c.began = true
	return r
}

// life runs forward; nil is the end, at the gate.
func (c *copying) life() error {
	c.t.Helper()
	r := c.open()
	defer r.Close()
	if err := r.Resume(c.t.Context()); !errors.Is(err, migrate.ErrWaiting) {
		return err
	}
	return nil
}

func (c *copying) back() {
	c.t.Helper()
	r := c.open()
	defer r.Close()
	if err := r.Rollback(c.t.Context(), "", "test"); !errors.Is(err, migrate.ErrRolledBack) {
		c.t.Error(err)
	}
}

// says wants an error with all of these in it.
func says(t *testing.T, err error, want ...string) {
	t.Helper()
	for _, w := range want {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("want %q in: %v", w, err)
		}
	}
}

func TestFilledVolumeIsTheSource(t *testing.T) {
	d := newDisk(nil)
	d.tree.Put("lost+found", treetest.Node{Kind: treecopy.Directory, Mode: 0o700})
	c := newCopying(t, d)
	if err := c.life(); err != nil {
		t.Fatal(err)
	}
	delete(d.tree.Nodes, "lost+found")
	if got, want := d.tree.String(), treetest.Shop().String(); got != want {
		t.Errorf("the volume has\n%s\nand the source\n%s", got, want)
	}
	if d.mover != "" {
		t.Error("the mover is left")
	}
	if err := c.life(); err != nil {
		t.Error("again:", err)
	}
	d.claim.Volume = "pvc-2"
	if err := c.life(); !errors.Is(err, migrate.ErrDrift) {
		t.Errorf("with another volume behind the claim: %v", err)
	}
	d.claim.Volume = "pvc-1"
	c.back()
	if d.mover != "" {
		t.Error("the mover is left after the rollback")
	}
}

func TestForeignVolume(t *testing.T) {
	d := newDisk(nil)
	d.tree.Put("somebody's", treetest.Node{Kind: treecopy.File, Content: []byte("precious")})
	before := d.tree.String()
	c := newCopying(t, d)
	err := c.life()
	says(t, err, "claim shop/shop-assets: the volume isn't empty", `"somebody's": the source has no such file`, "nothing in it was changed")
	if !errors.Is(err, volumes.ErrForeign) || d.tree.String() != before {
		t.Errorf("%v, and the volume has\n%s", err, d.tree)
	}
	c.back()
	if d.mover != "" {
		t.Error("the mover is left")
	}
}

func TestFullVolume(t *testing.T) {
	d := newDisk(nil)
	d.tree.Room = 1000
	before := d.tree.String()
	c := newCopying(t, d)
	err := c.life()
	says(t, err, "claim shop/shop-assets: the volume is full", "1000 bytes", "nothing was written", "volumes.size")
	if !errors.Is(err, treecopy.ErrFull) || d.tree.String() != before {
		t.Errorf("%v, and the volume has\n%s", err, d.tree)
	}
	// Room that is lost meanwhile.
	d.tree.Room = 0
	calls := 0
	d.onExtract = func([]byte) error {
		if calls++; calls == 2 {
			return &treecopy.Failed{What: "pod: tar", Status: 2, Stderr: "tar: x: Cannot write: No space left on device"}
		}
		return nil
	}
	says(t, c.life(), "the volume is full", "volumes.size", "slipway rollback "+runID)
	d.onExtract = func([]byte) error {
		return &treecopy.Failed{What: "pod: tar", Status: 2, Stderr: "tar: ./x: Wrote only 1024 of 10240 bytes"}
	}
	says(t, c.life(), "the volume is full", "slipway rollback "+runID)
	d.onExtract = nil
	if err := c.life(); err != nil {
		t.Error("with room again:", err)
	}
}

// sentFiles are the names of the files in a tar.
func sentFiles(t *testing.T, b []byte) (names []string) {
	t.Helper()
	tr := tar.NewReader(bytes.NewReader(b))
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeDir {
			names = append(names, strings.TrimPrefix(h.Name, "./"))
		}
	}
}

func TestOnlyWhatIsMissingIsSentAgain(t *testing.T) {
	d := newDisk(nil)
	c := newCopying(t, d)
	var sent [][]string
	lose := true
	d.onExtract = func(b []byte) error {
		files := sentFiles(t, b)
		if len(files) == 0 {
			return nil
		}
		sent = append(sent, files)
		if !lose {
			return nil
		}
		lose = false
		if err := d.tree.Extract(context.Background(), bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
		// The link broke when these two were not in: one is missing, and one was cut off.
		delete(d.tree.Nodes, "-empty")
		d.tree.Put("thumbs/old/kept.png", treetest.Node{Kind: treecopy.File, Mode: 0o644, UID: 33, GID: 33, Content: []byte("ke")})
		return fmt.Errorf("exec: %w", treecopy.ErrLost)
	}
	if err := c.life(); err != nil {
		t.Fatal(err)
	}
	if len(sent) != 2 || len(sent[0]) != 7 {
		t.Fatalf("sent: %q", sent)
	}
	if d.made != 2 {
		t.Errorf("%d movers were made: a command that was cut off may go on in the first", d.made)
	}
	slices.Sort(sent[1])
	if want := []string{"-empty", "thumbs/old/kept.png"}; !slices.Equal(sent[1], want) {
		t.Errorf("sent again: %q, not %q", sent[1], want)
	}
}

// A byte that is wrong on the target, with everything else about its file right, is found, named, and found again by the resume.
func TestAFlippedByte(t *testing.T) {
	d := newDisk(nil)
	c := newCopying(t, d)
	flip := func() { d.tree.Nodes["thumbs/two\nlines"].Content = []byte("3") }
	d.onHash = flip
	err := c.life()
	says(t, err, `"thumbs/two\nlines": its contents differ`, "claim shop/shop-assets isn't what was read on the source", "1 differences", "slipway rollback "+runID)
	if d.mover == "" {
		t.Error("the mover is gone, so that nobody can look")
	}
	if err := c.life(); !errors.Is(err, migrate.ErrDrift) || !strings.Contains(err.Error(), "copy.volume-fill") {
		t.Errorf("resumed: %v", err)
	}
	d.onHash = nil
	d.tree.Nodes["thumbs/two\nlines"].Content = []byte("2")
	if err := c.life(); err != nil {
		t.Error("when it is right again:", err)
	}
	if d.mover != "" {
		t.Error("the mover is left")
	}
}

// The store has another artifact under the id that was recorded.
func TestAnotherArtifact(t *testing.T) {
	store, snap := artifact(t)
	snap.Digest = strings.Repeat("0", 64)
	rb := migrate.NewRunbook[migrate.Rehearsal]()
	rb.PhaseInOrder("copy")
	d := newDisk(nil)
	eye, hand := bind(steptest.Given(rb, "standup.cluster", google.Cluster{Name: "c"}), store, d)
	migrate.Add(rb, volumes.Fill{Snapshot: steptest.Given(rb, "copy.gluster-snapshot", snap), Mover: moverPod}, eye, hand)
	dir, err := journal.MakeDir(t.TempDir(), runID)
	if err != nil {
		t.Fatal(err)
	}
	err = (&copying{t: t, rb: rb, dir: dir}).life()
	says(t, err, "it is another one")
	if !errors.Is(err, snapshot.ErrDamaged) || d.made != 0 {
		t.Errorf("%v, and %d movers", err, d.made)
	}
}

// The mover's node is lost between the two steps, or while it is compared.
func TestLostMover(t *testing.T) {
	d := newDisk(nil)
	c := newCopying(t, d)
	d.onHash = func() { d.mover = "" }
	if err := c.life(); err == nil {
		t.Error("a comparison without a mover")
	}
	d.onHash = nil
	if err := c.life(); err != nil {
		t.Error("resumed:", err)
	}
	if d.mover != "" {
		t.Error("the mover is left")
	}
}

// What was compared is known of one volume, and of no other that takes its place behind the claim.
func TestComparedVolume(t *testing.T) {
	store, snap := artifact(t)
	rb := migrate.NewRunbook[migrate.Rehearsal]()
	rb.PhaseInOrder("copy")
	d := newDisk(nil)
	d.tree = treetest.Shop()
	eye, hand := bind(steptest.Given(rb, "standup.cluster", google.Cluster{Name: "c"}), store, d)
	files := steptest.Given(rb, "copy.gluster-snapshot", snap)
	in := steptest.Given(rb, "copy.volume-fill", volumes.Filled{Snapshot: snap.ID, Digest: snap.Digest, Volume: "pvc-1"})
	migrate.Add(rb, volumes.Verify{Snapshot: files, Fill: in, Mover: moverPod}, eye, hand)
	migrate.AddGate(rb, migrate.Gate{ID: "gate"})
	dir, err := journal.MakeDir(t.TempDir(), runID)
	if err != nil {
		t.Fatal(err)
	}
	c := &copying{t: t, rb: rb, dir: dir}
	if err := c.life(); err != nil {
		t.Fatal(err)
	}
	d.claim.Volume = "pvc-2"
	if err := c.life(); !errors.Is(err, migrate.ErrDrift) || !strings.Contains(err.Error(), "copy.volume-verify") {
		t.Errorf("got %v", err)
	}
}
