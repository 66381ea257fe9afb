package volumes_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/slipway-dev/slipway/internal/google"
	"github.com/slipway-dev/slipway/internal/kube"
	"github.com/slipway-dev/slipway/internal/snapshot"
	"github.com/slipway-dev/slipway/internal/treecopy"
	"github.com/slipway-dev/slipway/internal/treecopy/treetest"
	"github.com/slipway-dev/slipway/migrate"
	"github.com/slipway-dev/slipway/migrate/steptest"
	"github.com/slipway-dev/slipway/steps/volumes"
)

var moverPod = kube.Mover{Namespace: "shop", Claim: "shop-assets", Image: "tools"}

// shelf has one artifact, of treetest.Shop, that all tests read.
var shelf = sync.OnceValues(func() (*snapshot.Store, error) {
	dir, err := newDir()
	if err != nil {
		return nil, err
	}
	s, err := snapshot.At(dir)
	if err == nil {
		_, err = treecopy.Take(context.Background(), treetest.Shop(), s, "20261101-010203-0000", treecopy.Options{From: "gluster volume assets"})
	}
	return s, err
})

func artifact(t testing.TB) (*snapshot.Store, snapshot.Files) {
	t.Helper()
	s, err := shelf()
	if err != nil {
		t.Fatal(err)
	}
	art, err := s.Open(t.Context(), "20261101-010203-0000", snapshot.Assets)
	if err != nil {
		t.Fatal(err)
	}
	f, err := treecopy.Summary(art)
	if err != nil {
		t.Fatal(err)
	}
	return s, f
}

// disk is the world: a claim, its volume's files, and a mover.
type disk struct {
	p     *steptest.Process
	claim kube.ClaimState
	bound bool
	tree  *treetest.Tree
	mover string // the run that it is of; "": none

	onExtract func(b []byte) error // in place of a whole extraction; nil error: go on
	onHash    func()
	made      int // movers
}

func newDisk(p *steptest.Process) *disk {
	return &disk{p: p, claim: kube.ClaimState{Phase: "Bound", Volume: "pvc-1"}, bound: true, tree: treetest.New()}
}

func (d *disk) Claim(context.Context) (kube.ClaimState, bool, error) {
	return d.claim, d.bound, d.look()
}

func (d *disk) Stands(_ context.Context, run string) (bool, error) {
	return d.mover != "" && d.mover == run, d.look()
}

var errNoPod = errors.New(`pods "slipway-mover-shop-assets" not found`)

// Without a Process the world is only a world.
func (d *disk) look() error {
	if d.p == nil {
		return nil
	}
	return d.p.Look()
}

func (d *disk) act(what string, half func(), f func() error) error {
	if d.p == nil {
		return f()
	}
	return d.p.Act(what, half, f)
}

// in is what every command in the pod needs first.
func (d *disk) in() error {
	if d.mover == "" {
		return errNoPod
	}
	return d.look()
}

func (d *disk) List(ctx context.Context, w io.Writer) error {
	return errors.Join(d.in(), d.tree.List(ctx, w))
}

func (d *disk) Hash(ctx context.Context, names io.Reader, w io.Writer) error {
	if d.onHash != nil {
		d.onHash()
	}
	return errors.Join(d.in(), d.tree.Hash(ctx, names, w))
}

func (d *disk) Tar(ctx context.Context, names io.Reader, w io.Writer) error {
	return errors.Join(d.in(), d.tree.Tar(ctx, names, w))
}

func (d *disk) Free(ctx context.Context) (treecopy.Space, error) {
	s, err := d.tree.Free(ctx)
	return s, errors.Join(err, d.in())
}

// filler is the hand of one run.
type filler struct {
	*disk
	run string
}

func (f filler) Start(context.Context, kube.Tell) error {
	if f.mover == f.run {
		return f.look()
	}
	if f.mover != "" {
		return kube.ErrExists
	}
	return f.act("make the mover", nil, func() error { f.mover, f.made = f.run, f.made+1; return nil })
}

func (f filler) Stop(context.Context, kube.Tell) error {
	if f.mover == "" {
		return f.look()
	}
	if f.mover != f.run {
		return fmt.Errorf("delete pod: not made by this run")
	}
	return f.act("delete the mover", nil, func() error { f.mover = ""; return nil })
}

func (f filler) Extract(ctx context.Context, in io.Reader) error {
	if err := f.in(); err != nil {
		return err
	}
	b, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	// A tar that is cut off in the middle has written what came before.
	half := func() { _ = f.tree.Extract(ctx, strings.NewReader(string(b[:len(b)/2]))) }
	if f.onExtract != nil {
		if err := f.onExtract(b); err != nil {
			return err
		}
	}
	return f.act("write files", half, func() error {
		return f.tree.Extract(ctx, strings.NewReader(string(b)))
	})
}

func (f filler) Sync(context.Context) error { return f.in() }

// bind gives eye and hand as the runbook does.
func bind(cl migrate.Ref[google.Cluster], s *snapshot.Store, d *disk) (migrate.Eye[volumes.FilesLook], migrate.Hand[migrate.Rehearsal, volumes.FilesHand]) {
	look := migrate.LookAt(cl, volumes.NoMover(), func(context.Context, google.Cluster) (volumes.MoverLook, error) { return volumes.OnlyMover(d), nil })
	act := migrate.Created[migrate.Rehearsal](cl, func(_ context.Context, _ google.Cluster, m migrate.Stamp) (volumes.MoverHand, error) {
		return filler{d, m.Run}, nil
	})
	snaps := migrate.Look("snapshots", volumes.OnlyArtifacts(s))
	return migrate.BothEyes(snaps, look, volumes.NewFilesLook), migrate.With(snaps, act, volumes.NewFilesHand)
}

// pods are made and deleted as often as it takes: they are tools, not results. A tar unpacked twice leaves what it left once.
func repeatable(string) bool { return true }

func TestFill(t *testing.T) {
	store, snap := artifact(t)
	steptest.Run(t, steptest.Case{RealTime: true, NotTwice: "each run has a cluster of its own", New: func(t *testing.T, p *steptest.Process) steptest.World {
		d := newDisk(p)
		return steptest.World{
			Add: func(rb *migrate.Runbook[migrate.Rehearsal]) {
				cl := steptest.Given(rb, "standup.cluster", google.Cluster{Name: "c"})
				files := steptest.Given(rb, "copy.gluster-snapshot", snap)
				eye, hand := bind(cl, store, d)
				migrate.Add(rb, volumes.Fill{Snapshot: files, Mover: moverPod, Commands: 1}, eye, hand)
			},
			// The files stay in the volume until the claim is deleted.
			State:      func() string { return "mover: " + d.mover },
			Repeatable: repeatable,
			Spoil: []steptest.Spoil{
				{Name: "another volume", Do: func() { d.claim.Volume = "pvc-2" }},
				{Name: "no claim", Do: func() { d.bound = false }},
				{Name: "a file less", Do: func() { delete(d.tree.Nodes, "-empty") }},
				{Name: "a file more", Do: func() { d.tree.Put("more", treetest.Node{Kind: treecopy.File}) }},
				{Name: "another owner", Do: func() { d.tree.Nodes["thumbs"].UID = 0 }},
				{Name: "another time", Do: func() { n := d.tree.Nodes["-empty"]; n.MTime = n.MTime.Add(1) }},
				{Name: "a copy and no hard link", Do: func() { n := *d.tree.Nodes["thumbs/1.png"]; d.tree.Put("thumbs/1.png", n) }},
			},
		}
	}})
}

func TestVerify(t *testing.T) {
	store, snap := artifact(t)
	filled := volumes.Filled{Snapshot: snap.ID, Digest: snap.Digest, Namespace: "shop", Claim: "shop-assets", Volume: "pvc-1", Files: snap.Files, Bytes: snap.Bytes}
	steptest.Run(t, steptest.Case{RealTime: true, NotTwice: "each run has a cluster of its own", New: func(t *testing.T, p *steptest.Process) steptest.World {
		d := newDisk(p)
		d.tree = treetest.Shop()
		return steptest.World{
			Add: func(rb *migrate.Runbook[migrate.Rehearsal]) {
				cl := steptest.Given(rb, "standup.cluster", google.Cluster{Name: "c"})
				files := steptest.Given(rb, "copy.gluster-snapshot", snap)
				in := steptest.Given(rb, "copy.volume-fill", filled)
				eye, hand := bind(cl, store, d)
				migrate.Add(rb, volumes.Verify{Snapshot: files, Fill: in, Mover: moverPod, Commands: 1}, eye, hand)
			},
			State:      func() string { return "mover: " + d.mover },
			Leaves:     "nothing: the mover that it makes it deletes as well",
			Repeatable: repeatable,
			Spoil: []steptest.Spoil{
				{Name: "another volume", Do: func() { d.claim.Volume = "pvc-2" }},
				{Name: "no claim", Do: func() { d.bound = false }},
				{Name: "a mover", Do: func() { d.mover = "20261123-010203-0001" }},
			},
		}
	}})
}
