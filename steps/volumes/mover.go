package volumes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/slipway-dev/slipway/internal/kube"
	"github.com/slipway-dev/slipway/internal/snapshot"
	"github.com/slipway-dev/slipway/internal/treecopy"
	"github.com/slipway-dev/slipway/migrate"
)

// Artifacts is the store of snapshots, for reading: *snapshot.Store has more.
type Artifacts interface {
	Open(ctx context.Context, id snapshot.ID, p snapshot.Part) (*snapshot.Artifact, error)
}

// MoverLook looks at a claim, and into it while the run's mover stands: kube.MoverView.
type MoverLook interface {
	Claim(ctx context.Context) (kube.ClaimState, bool, error)
	// Stands says whether run's mover is there and ready.
	Stands(ctx context.Context, run string) (bool, error)
	List(ctx context.Context, out io.Writer) error
	Hash(ctx context.Context, names io.Reader, out io.Writer) error
	Tar(ctx context.Context, names io.Reader, out io.Writer) error
	Free(ctx context.Context) (treecopy.Space, error)
}

// MoverHand makes the mover, writes through it, and deletes it: kube.MoverHand.
type MoverHand interface {
	MoverLook
	// Start returns when the mover is ready.
	Start(ctx context.Context, tell kube.Tell) error
	// Stop returns when the mover is gone, and with it all that ran in it. Absent is fine.
	Stop(ctx context.Context, tell kube.Tell) error
	Extract(ctx context.Context, in io.Reader) error
	// Sync returns when what was written is on the volume's disk.
	Sync(ctx context.Context) error
}

type (
	onlyArtifacts struct{ Artifacts }
	onlyMover     struct{ MoverLook }
)

// OnlyArtifacts closes a store that can do more.
func OnlyArtifacts(a Artifacts) Artifacts { return onlyArtifacts{a} }

// OnlyMover closes a looker that can do more.
func OnlyMover(l MoverLook) MoverLook { return onlyMover{l} }

// NoMover is what a plan sees before there is a cluster: no claim, no mover.
func NoMover() MoverLook { return noMover{} }

type noMover struct{}

var errNoMover = errors.New("there is no mover yet")

func (noMover) Claim(context.Context) (kube.ClaimState, bool, error) {
	return kube.ClaimState{}, false, nil
}
func (noMover) Stands(context.Context, string) (bool, error)     { return false, nil }
func (noMover) List(context.Context, io.Writer) error            { return errNoMover }
func (noMover) Hash(context.Context, io.Reader, io.Writer) error { return errNoMover }
func (noMover) Tar(context.Context, io.Reader, io.Writer) error  { return errNoMover }
func (noMover) Free(context.Context) (treecopy.Space, error)     { return treecopy.Space{}, errNoMover }

// FilesLook is what the steps that fill and verify a volume look with.
type FilesLook struct {
	Snapshots Artifacts
	Mover     MoverLook
}

// NewFilesLook joins the two, for migrate.BothEyes.
func NewFilesLook(a Artifacts, m MoverLook) FilesLook { return FilesLook{a, m} }

// FilesHand is what they act with.
type FilesHand struct {
	Snapshots Artifacts
	Mover     MoverHand
}

// NewFilesHand joins the two, for migrate.With.
func NewFilesHand(a Artifacts, m MoverHand) FilesHand { return FilesHand{a, m} }

const filesTimeout = 24 * time.Hour

func orFilesTimeout(d time.Duration) time.Duration {
	if d == 0 {
		return filesTimeout
	}
	return d
}

// open opens the very artifact that was recorded.
func open(ctx context.Context, a Artifacts, id snapshot.ID, digest string) (*treecopy.Index, error) {
	art, err := a.Open(ctx, id, snapshot.Assets)
	if err != nil {
		return nil, err
	}
	if art.Digest != digest {
		return nil, fmt.Errorf("snapshot %s has digest %.12s, and %.12s was recorded: it is another one: %w", id, art.Digest, digest, snapshot.ErrDamaged)
	}
	return treecopy.Open(ctx, art)
}

// ErrNoClaim: the claim that is to be filled isn't there. Nothing was changed.
var ErrNoClaim = errors.New("there is no such claim")

// volume is the PersistentVolume behind the claim: what is known of its contents is known of it and no other. "" for a claim that is bound by
// its first pod.
func volume(ctx context.Context, l MoverLook, m kube.Mover) (string, error) {
	c, there, err := l.Claim(ctx)
	if err != nil {
		return "", err
	}
	if !there {
		return "", fmt.Errorf("claim %s/%s: %w", m.Namespace, m.Claim, ErrNoClaim)
	}
	return c.Volume, nil
}

func filesProgress[C any](s *migrate.Scope[C]) func(treecopy.Progress) {
	return func(p treecopy.Progress) {
		s.Progress(migrate.Progress{What: p.Doing + ": " + p.Count(), Done: p.Bytes, Total: p.TotalBytes, Unit: "bytes"})
	}
}

// transient marks what is worth another try.
func transient(err error) error {
	if errors.Is(err, treecopy.ErrLost) {
		return migrate.Transient(err)
	}
	return err
}
