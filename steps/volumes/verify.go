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

// Verify compares every entry in the claim with the snapshot's: names, types, modes, owners, times, links, hard links, extended attributes and
// ACLs, and the SHA-256 of every file, computed in the mover. It is a step of its own, and not part of the fill, so that its time and its
// outcome stand in the journal and the report: data counts as moved when this is done. It writes nothing into the volume, and deletes the
// mover when all is the same; after a difference the mover stays, so that a resume can look.
//
// What it found holds until somebody writes: nothing that does may begin before.
type Verify struct {
	Snapshot migrate.Ref[snapshot.Files]
	Fill     migrate.Ref[Filled]
	Mover    kube.Mover
	Commands int           // that run in the mover at once; 0: 3
	Timeout  time.Duration // 0: 24 hours
}

// Verified is what was found to be the same.
type Verified struct {
	Snapshot snapshot.ID `json:"snapshot"`
	Digest   string      `json:"digest"` // of the snapshot
	Volume   string      `json:"volume"` // the PersistentVolume behind the claim
	Entries  int64       `json:"entries"`
	Files    int64       `json:"files"`
	Bytes    int64       `json:"bytes"`
}

// Spec is the step's.
func (st Verify) Spec() migrate.Spec {
	return migrate.Spec{ID: "copy.volume-verify", Version: 1, Title: "compare every file in the volume with the source's", Timeout: orFilesTimeout(st.Timeout), Tries: 3,
		Needs: []migrate.Dep{st.Snapshot.Dep(), st.Fill.Dep()}}
}

// Plan takes an earlier comparison for true while the claim has the volume that was compared.
func (st Verify) Plan(ctx context.Context, s *migrate.Scope[FilesLook], rec migrate.Recorded[Verified]) (migrate.Plan[Verified], error) {
	var p migrate.Plan[Verified]
	compare := migrate.Effect{Verb: "compare", Object: "every file in claim " + st.Mover.Namespace + "/" + st.Mover.Claim, Detail: "by SHA-256, and all attributes, with what was read on the source"}
	p.Effects = []migrate.Effect{compare, {Verb: "delete", Object: "pod " + st.Mover.Namespace + "/" + st.Mover.Name(), Detail: "when all is the same"}}
	filled, err := migrate.Value(s, st.Fill)
	if errors.Is(err, migrate.ErrNotRecorded) { // a plan, before there is anything to compare
		return p, nil
	}
	if err != nil {
		return p, err
	}
	p.Want = Verified{Snapshot: filled.Snapshot, Digest: filled.Digest, Volume: filled.Volume}
	if !rec.Complete {
		return p, nil
	}
	vol, err := volume(ctx, s.C.Mover, st.Mover)
	if err != nil {
		return p, err
	}
	if vol == rec.Out.Volume && rec.Out.Digest == filled.Digest {
		return migrate.Done(rec.Out), nil
	}
	return p, nil
}

// Run compares.
func (st Verify) Run(ctx context.Context, s *migrate.Scope[FilesHand], want Verified) (Verified, error) {
	x, err := open(ctx, s.C.Snapshots, want.Snapshot, want.Digest)
	if err != nil {
		return want, err
	}
	m := s.C.Mover
	if err := m.Start(ctx, s.Tell); err != nil {
		return want, err
	}
	vol, err := volume(ctx, m, st.Mover)
	if err != nil {
		return want, err
	}
	if vol != want.Volume {
		return want, otherVolume(st.Mover.Claim, want.Volume, vol)
	}
	commands := st.Commands
	if commands == 0 {
		commands = commandsAtOnce
	}
	got, err := x.Compare(ctx, m, treecopy.Contents, commands, filesProgress(s))
	if err != nil {
		return want, transient(err)
	}
	if err := got.Err(); err != nil {
		return want, fmt.Errorf("claim %s/%s isn't what was read on the source: %w; the source is as it was; type slipway resume to see whether the volume or the comparison was at fault, or slipway rollback %s",
			st.Mover.Namespace, st.Mover.Claim, err, s.Run())
	}
	want.Entries, want.Files, want.Bytes = int64(len(x.Entries)), got.Files, got.Bytes
	s.Moved(migrate.Tally{Files: got.Files, Bytes: got.Bytes})
	return want, m.Stop(ctx, s.Tell)
}

// ErrMoverLeft: the pod that wrote is still there, so somebody could still write.
var ErrMoverLeft = errors.New("the mover is still there")

// Verify holds while the claim has the volume that was compared, and no mover.
func (st Verify) Verify(ctx context.Context, s *migrate.Scope[FilesLook], out Verified) error {
	vol, err := volume(ctx, s.C.Mover, st.Mover)
	if err != nil {
		return err
	}
	if vol != out.Volume {
		return otherVolume(st.Mover.Claim, out.Volume, vol)
	}
	stands, err := s.C.Mover.Stands(ctx, s.Run())
	if err == nil && stands {
		err = fmt.Errorf("pod %s/%s: %w", st.Mover.Namespace, st.Mover.Name(), ErrMoverLeft)
	}
	return err
}

// Undo deletes the mover, if a comparison that didn't end well has left it.
func (st Verify) Undo(ctx context.Context, s *migrate.Scope[FilesHand], _ migrate.Recorded[Verified]) error {
	return s.C.Mover.Stop(ctx, s.Tell)
}
