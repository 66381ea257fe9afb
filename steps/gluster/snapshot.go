// Package gluster has the steps that read the source's Gluster volume. It must not import another step package; what it knows of trees is in
// internal/treecopy.
package gluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/internal/snapshot"
	"github.com/slipway-dev/slipway/internal/treecopy"
	"github.com/slipway-dev/slipway/migrate"
)

// Source is a volume's mount on a host that is only read: Tree.
type Source interface {
	// Name is what messages call it: the host and the directory.
	Name() string
	// Mount looks at what the directory is on.
	Mount(ctx context.Context) (treecopy.Mount, error)
	// Take makes run's artifact in the store, or goes on with one that an earlier attempt left half made.
	Take(ctx context.Context, store *snapshot.Store, run snapshot.ID, o treecopy.Options) (*snapshot.Artifact, error)
}

// Tree is a Source.
type Tree struct{ treecopy.Source }

// Take is treecopy.Take.
func (t Tree) Take(ctx context.Context, store *snapshot.Store, run snapshot.ID, o treecopy.Options) (*snapshot.Artifact, error) {
	return treecopy.Take(ctx, t.Source, store, run, o)
}

// StoreLook looks into the store of snapshots: *snapshot.Store has more.
type StoreLook interface {
	Where() string
	Look(ctx context.Context, id snapshot.ID, p snapshot.Part) (snapshot.Entry, error)
	Open(ctx context.Context, id snapshot.ID, p snapshot.Part) (*snapshot.Artifact, error)
}

// StoreHand makes and discards a run's own snapshot.
type StoreHand interface {
	StoreLook
	// Take has src make run's artifact here.
	Take(ctx context.Context, src Source, run snapshot.ID, o treecopy.Options) (*snapshot.Artifact, error)
	// Discard removes owner's half-made part, and nothing else.
	Discard(ctx context.Context, owner, id snapshot.ID, p snapshot.Part) error
}

// Store is a StoreHand.
type Store struct{ *snapshot.Store }

// Take has src make run's artifact in the store.
func (s Store) Take(ctx context.Context, src Source, run snapshot.ID, o treecopy.Options) (*snapshot.Artifact, error) {
	return src.Take(ctx, s.Store, run, o)
}

type (
	onlySource struct{ Source }
	onlyStore  struct{ StoreLook }
)

// OnlySource closes a source that can do more.
func OnlySource(s Source) Source { return onlySource{s} }

// OnlyStore closes a store that can do more.
func OnlyStore(s StoreLook) StoreLook { return onlyStore{s} }

// Look is what the snapshot step looks with.
type Look struct {
	Source Source
	Store  StoreLook
}

// NewLook joins the two, for migrate.BothEyes.
func NewLook(src Source, store StoreLook) Look { return Look{src, store} }

// Hand is what the snapshot step acts with: it reads the source and writes into the store.
type Hand struct {
	Source Source
	Store  StoreHand
}

// NewHand joins the two, for migrate.With.
func NewHand(src Source, store StoreHand) Hand { return Hand{src, store} }

// Snapshot reads a volume's files into an artifact; or, given one to reuse, proves that it is whole. It writes nothing on the host.
//
// A whole artifact outlives the run: its Undo removes only what is half made, because later rehearsals fill their targets from it.
type Snapshot struct {
	Volume  string        // Gluster's name of it
	Reuse   snapshot.ID   // "": take one
	Tool    string        // this program's version, for the manifest
	Readers int           // 0: treecopy's default
	Timeout time.Duration // 0: 24 hours
}

// fuse is the type that the kernel's list of mounts has for a Gluster volume's.
const fuse = "fuse.glusterfs"

// Spec is the step's.
func (st Snapshot) Spec() migrate.Spec {
	timeout := st.Timeout
	if timeout == 0 {
		timeout = 24 * time.Hour
	}
	return migrate.Spec{ID: "copy.gluster-snapshot", Version: 1, Title: "take a snapshot of the files from the Gluster volume", Timeout: timeout, Tries: 3}
}

func (st Snapshot) from() string { return "gluster volume " + st.Volume }

// Plan finds the artifact that is to be used or that this run has made; else it looks whether the volume is mounted where it is to be read.
func (st Snapshot) Plan(ctx context.Context, s *migrate.Scope[Look], rec migrate.Recorded[snapshot.Files]) (migrate.Plan[snapshot.Files], error) {
	var p migrate.Plan[snapshot.Files]
	id := st.Reuse
	if id == "" {
		id = snapshot.ID(s.Run())
	}
	e, err := s.C.Store.Look(ctx, id, snapshot.Assets)
	if err != nil {
		return p, err
	}
	switch {
	case e.State == snapshot.Whole:
		return st.found(ctx, s, id, rec)
	case st.Reuse != "" || e.State == snapshot.Damaged || e.State == snapshot.Foreign:
		_, err := s.C.Store.Open(ctx, id, snapshot.Assets)
		return p, err
	case e.State == snapshot.Writing:
		return p, fmt.Errorf("snapshot %s: %w", id, snapshot.ErrBusy)
	}
	if err := st.mounted(ctx, s.C.Source); err != nil {
		return p, transient(err)
	}
	p.Want = snapshot.Files{ID: id, From: st.from()}
	p.Effects = []migrate.Effect{
		{Verb: "read", Object: fmt.Sprintf("all files of Gluster volume %s on %s", st.Volume, s.C.Source.Name()), Detail: "through its FUSE mount; nothing is written there"},
		{Verb: "write", Object: "snapshot " + string(id) + ", part " + string(snapshot.Assets), Detail: "in " + s.C.Store.Where() + "; a rollback leaves it for later rehearsals"},
	}
	return p, nil
}

// mounted refuses a directory that isn't the volume: an empty mount point would make an empty shop.
func (st Snapshot) mounted(ctx context.Context, src Source) error {
	m, err := src.Mount(ctx)
	if err != nil {
		return err
	}
	if m.Type != fuse {
		return fmt.Errorf("%s is on a file system of type %s (%s), not a Gluster volume's mount: %w; mount volume %s there, or correct source.gluster", src.Name(), m.Type, m.Source, treecopy.ErrNotMounted, st.Volume)
	}
	// files1:/assets, files1:assets, and with a directory of the volume behind it.
	if _, vol, ok := strings.Cut(m.Source, ":"); !ok || strings.TrimPrefix(vol, "/") != st.Volume {
		return fmt.Errorf("%s is the mount of %s, not of volume %s: %w; correct source.gluster", src.Name(), m.Source, st.Volume, treecopy.ErrNotMounted)
	}
	return nil
}

// found looks at a whole artifact. One that is reused for the first time in this run is read to its last byte.
func (st Snapshot) found(ctx context.Context, s *migrate.Scope[Look], id snapshot.ID, rec migrate.Recorded[snapshot.Files]) (migrate.Plan[snapshot.Files], error) {
	var p migrate.Plan[snapshot.Files]
	art, err := s.C.Store.Open(ctx, id, snapshot.Assets)
	if err != nil {
		return p, err
	}
	out, err := treecopy.Summary(art)
	if err != nil {
		return p, err
	}
	if rec.Complete && out.Digest == rec.Out.Digest {
		return migrate.Done(rec.Out), nil
	}
	if st.Reuse != "" {
		if out.From != st.from() {
			return p, fmt.Errorf("snapshot %s is of %s, and %s is configured; use another snapshot, or take a new one", id, out.From, st.from())
		}
		if err := st.whole(ctx, s, art); err != nil {
			return p, err
		}
	}
	return migrate.Done(out), nil
}

// whole reads the index and every stored byte.
func (st Snapshot) whole(ctx context.Context, s *migrate.Scope[Look], art *snapshot.Artifact) error {
	if _, err := treecopy.Open(ctx, art); err != nil {
		return err
	}
	return art.Verify(ctx, func(done, total int64) {
		s.Progress(migrate.Progress{What: "reading snapshot " + string(art.Manifest.ID) + " to verify it", Done: done, Total: total, Unit: "bytes"})
	})
}

// Run takes the snapshot, and goes on with what an earlier attempt has read.
func (st Snapshot) Run(ctx context.Context, s *migrate.Scope[Hand], want snapshot.Files) (snapshot.Files, error) {
	if want.ID != snapshot.ID(s.Run()) {
		return want, fmt.Errorf("snapshot %s is not this run's to make: %w", want.ID, snapshot.ErrNotOwner)
	}
	if err := st.mounted(ctx, s.C.Source); err != nil {
		return want, transient(err)
	}
	art, err := s.C.Store.Take(ctx, s.C.Source, want.ID, treecopy.Options{Tool: st.Tool, From: st.from(), Readers: st.Readers, Progress: func(p treecopy.Progress) {
		s.Progress(migrate.Progress{What: p.Doing + " " + s.C.Source.Name() + ": " + p.Count(), Done: p.Bytes, Total: p.TotalBytes, Unit: "bytes"})
	}})
	if err != nil {
		return want, transient(err)
	}
	out, err := treecopy.Summary(art)
	if err != nil {
		return want, err
	}
	s.Moved(migrate.Tally{Files: out.Files, Bytes: out.Bytes})
	return out, nil
}

// transient marks what is worth another try.
func transient(err error) error {
	if errors.Is(err, treecopy.ErrLost) || errors.Is(err, treecopy.ErrUnstable) {
		return migrate.Transient(err)
	}
	return err
}

// Verify reads the whole artifact against its checksums. That an entry's contents are the source's was settled as it was read: in the state in
// which a later look found it.
func (st Snapshot) Verify(ctx context.Context, s *migrate.Scope[Look], out snapshot.Files) error {
	art, err := s.C.Store.Open(ctx, out.ID, snapshot.Assets)
	if err != nil {
		return err
	}
	if art.Digest != out.Digest {
		return fmt.Errorf("snapshot %s has digest %.12s, and %.12s was recorded: it is another one: %w", out.ID, art.Digest, out.Digest, snapshot.ErrDamaged)
	}
	return st.whole(ctx, s, art)
}

// Undo removes the run's half-made artifact. A whole one stays.
func (st Snapshot) Undo(ctx context.Context, s *migrate.Scope[Hand], _ migrate.Recorded[snapshot.Files]) error {
	id := snapshot.ID(s.Run())
	return s.C.Store.Discard(ctx, id, id, snapshot.Assets)
}
