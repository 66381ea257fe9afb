package volumes

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-dev/slipway/internal/kube"
	"github.com/slipway-dev/slipway/internal/snapshot"
	"github.com/slipway-dev/slipway/internal/treecopy"
	"github.com/slipway-dev/slipway/migrate"
)

// Fill writes a snapshot's files into a claim, through a mover that it makes. What is there already and right is not sent again; what is
// there and not the snapshot's makes it stop before it changes anything.
//
// The mover stays, for the comparison that follows, which deletes it. Undo deletes it too; the files go with the claim, whose deletion is
// standup.claims' undo.
type Fill struct {
	Snapshot migrate.Ref[snapshot.Files]
	Mover    kube.Mover
	Commands int           // that run in the mover at once; 0: 3
	Timeout  time.Duration // 0: 24 hours
}

// Filled is what is in the claim.
type Filled struct {
	Snapshot  snapshot.ID `json:"snapshot"`
	Digest    string      `json:"digest"` // of the snapshot
	Namespace string      `json:"namespace"`
	Claim     string      `json:"claim"`
	Volume    string      `json:"volume"` // the PersistentVolume behind the claim
	Files     int64       `json:"files"`
	Bytes     int64       `json:"bytes"`
}

// commandsAtOnce keeps two processors busy on either side of one connection; more gained nothing there.
const commandsAtOnce = 3

func (st Fill) commands() int {
	if st.Commands == 0 {
		return commandsAtOnce
	}
	return st.Commands
}

// Spec is the step's.
func (st Fill) Spec() migrate.Spec {
	return migrate.Spec{ID: "copy.volume-fill", Version: 1, Title: "fill the volume from the snapshot", Timeout: orFilesTimeout(st.Timeout), Tries: 3,
		Needs: []migrate.Dep{st.Snapshot.Dep()}}
}

func moverEffect(m kube.Mover) migrate.Effect {
	return migrate.Effect{Verb: "create", Object: "pod " + m.Namespace + "/" + m.Name(), Detail: "mounts claim " + m.Claim + "; deleted when the files are verified"}
}

// Plan looks into the volume while this run's mover stands; afterwards it is enough that the claim's volume is the one that was filled.
func (st Fill) Plan(ctx context.Context, s *migrate.Scope[FilesLook], rec migrate.Recorded[Filled]) (migrate.Plan[Filled], error) {
	var p migrate.Plan[Filled]
	claim := "claim " + st.Mover.Namespace + "/" + st.Mover.Claim
	snap, err := migrate.Value(s, st.Snapshot)
	if errors.Is(err, migrate.ErrNotRecorded) { // a plan, before there is a snapshot
		p.Effects = []migrate.Effect{moverEffect(st.Mover), {Verb: "write", Object: "the snapshot's files into " + claim, Detail: "whatever is there and right is left as it is"}}
		return p, nil
	}
	if err != nil {
		return p, err
	}
	vol, err := volume(ctx, s.C.Mover, st.Mover)
	if err != nil {
		return p, err
	}
	p.Want = Filled{Snapshot: snap.ID, Digest: snap.Digest, Namespace: st.Mover.Namespace, Claim: st.Mover.Claim, Volume: vol, Files: snap.Files, Bytes: snap.Bytes}
	p.Effects = []migrate.Effect{moverEffect(st.Mover), {Verb: "write", Object: fmt.Sprintf("%d files of snapshot %s into %s", snap.Files, snap.ID, claim), Detail: "whatever is there and right is left as it is"}}
	if rec.Attempts == 0 {
		return p, nil
	}
	same := rec.Complete && rec.Out.Volume == vol && rec.Out.Digest == snap.Digest
	stands, err := s.C.Mover.Stands(ctx, s.Run())
	if err != nil {
		return p, err
	}
	if !stands {
		if same {
			return migrate.Done(rec.Out), nil
		}
		return p, nil
	}
	depth := treecopy.Attributes
	if rec.Complete {
		depth = treecopy.Contents // it was said to be right: a byte that is wrong now is drift
	}
	got, err := st.compare(ctx, s, p.Want, depth)
	switch {
	case err != nil:
		return p, transient(err)
	case len(got.Found) > 0:
		return p, nil
	case same:
		return migrate.Done(rec.Out), nil
	}
	return migrate.Done(p.Want), nil
}

func (st Fill) compare(ctx context.Context, s *migrate.Scope[FilesLook], want Filled, depth treecopy.Depth) (*treecopy.Compared, error) {
	x, err := open(ctx, s.C.Snapshots, want.Snapshot, want.Digest)
	if err != nil {
		return nil, err
	}
	return x.Compare(ctx, s.C.Mover, depth, st.commands(), filesProgress(s))
}

// ErrForeign: the volume holds what the snapshot doesn't have. Nothing was changed; use an empty claim.
var ErrForeign = errors.New("the volume isn't empty")

// Run sends what isn't there.
func (st Fill) Run(ctx context.Context, s *migrate.Scope[FilesHand], want Filled) (Filled, error) {
	x, err := open(ctx, s.C.Snapshots, want.Snapshot, want.Digest)
	if err != nil {
		return want, err
	}
	m := s.C.Mover
	// A command of an earlier attempt may still be writing: Kubernetes ends it with its pod and in no other way.
	if err := m.Stop(ctx, s.Tell); err != nil {
		return want, err
	}
	if err := m.Start(ctx, s.Tell); err != nil {
		return want, err
	}
	if want.Volume, err = volume(ctx, m, st.Mover); err != nil {
		return want, err
	}
	got, err := x.Compare(ctx, m, treecopy.Contents, st.commands(), filesProgress(s))
	if err != nil {
		return want, transient(err)
	}
	if len(got.Extra) > 0 {
		return want, fmt.Errorf("claim %s/%s: %w: %w; nothing in it was changed; use an empty claim", want.Namespace, want.Claim, ErrForeign, &treecopy.DifferentError{Found: got.Extra})
	}
	if err := st.fits(ctx, m, x, got.Missing); err != nil {
		return want, err
	}
	sent, err := x.Send(ctx, m, got.Missing, st.commands(), filesProgress(s))
	s.Moved(migrate.Tally{Files: sent.Files, Bytes: sent.Bytes})
	if errors.Is(err, treecopy.ErrFull) {
		return want, fmt.Errorf("claim %s/%s: %w; to make it larger: slipway rollback %s, a larger volumes.size, and a new run", want.Namespace, want.Claim, err, s.Run())
	}
	if err == nil {
		s.Tell("waiting until the files are on the volume's disk", 0, 0)
		err = m.Sync(ctx)
	}
	return want, transient(err)
}

// fits refuses before anything is written what can't end well.
func (st Fill) fits(ctx context.Context, m MoverHand, x *treecopy.Index, missing []int) error {
	free, err := m.Free(ctx)
	if err != nil {
		return err
	}
	need := x.Space(missing)
	if free.Bytes < need.Bytes || free.Inodes >= 0 && free.Inodes < need.Inodes {
		return fmt.Errorf("claim %s/%s: %w: it has %d bytes and %d inodes left, and %d bytes in %d entries are to be written; nothing was written; make it larger (volumes.size), and begin a new run",
			st.Mover.Namespace, st.Mover.Claim, treecopy.ErrFull, free.Bytes, free.Inodes, need.Bytes, need.Inodes)
	}
	return nil
}

// Verify looks that everything is there, as far as names and attributes tell; contents are compared by the step after this one. Without the
// mover it is enough that the claim's volume is the one that was filled: that step makes a mover of its own.
func (st Fill) Verify(ctx context.Context, s *migrate.Scope[FilesLook], out Filled) error {
	vol, err := volume(ctx, s.C.Mover, st.Mover)
	if err != nil {
		return err
	}
	if vol != out.Volume {
		return otherVolume(out.Claim, out.Volume, vol)
	}
	stands, err := s.C.Mover.Stands(ctx, s.Run())
	if err != nil || !stands {
		return err
	}
	got, err := st.compare(ctx, s, out, treecopy.Attributes)
	if err != nil {
		return transient(err)
	}
	return got.Err()
}

func otherVolume(claim, was, is string) error {
	return fmt.Errorf("claim %s has volume %q, and %q was filled: somebody has made it anew", claim, is, was)
}

// Undo deletes the mover. The files go with the claim.
func (st Fill) Undo(ctx context.Context, s *migrate.Scope[FilesHand], _ migrate.Recorded[Filled]) error {
	return s.C.Mover.Stop(ctx, s.Tell)
}
