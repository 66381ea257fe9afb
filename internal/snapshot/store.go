package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// Store is a directory, or a bucket, of snapshots. Its methods may be called from many goroutines and processes.
type Store struct{ at place }

// At is the store in dir, which is made when the first snapshot is begun.
func At(dir string) (*Store, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("snapshot directory %q: %w", dir, err)
	}
	return &Store{&directory{abs, realSystem{}}}, nil
}

// Where is the store's directory, absolute, or gs://bucket/prefix.
func (s *Store) Where() string { return s.at.String() }

// State is how far a part has come.
type State string

// The states of a part. They are printed and part of the JSON output.
const (
	Absent  State = "absent"
	Half    State = "half"    // begun and left
	Writing State = "writing" // a process is at it now; in a bucket that can't be known, and it is Half
	Whole   State = "whole"
	Damaged State = "damaged" // its manifest can't be read
	Foreign State = "foreign" // made by a program whose format this one doesn't read
)

// Entry is one part of one snapshot in a listing. Manifest is nil unless State is Whole.
type Entry struct {
	ID       ID
	Part     Part
	State    State
	Manifest *Manifest
	Digest   string
	Err      error // why it is Damaged or Foreign
}

// List is what the store has, by id and part. It reads manifests and no other file. A store whose directory isn't
// there yet is empty.
func (s *Store) List(ctx context.Context) ([]Entry, error) {
	ids, err := s.at.ids(ctx)
	if err != nil {
		return nil, fmt.Errorf("list snapshots: %w", err)
	}
	var out []Entry
	for _, id := range ids {
		for _, p := range Parts() {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			e, err := s.Look(ctx, id, p)
			if err != nil {
				return nil, err
			}
			if e.State != Absent {
				out = append(out, e)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Entry) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return out, nil
}

// Look says how far one part has come. That a manifest can't be read is a state and no error.
func (s *Store) Look(ctx context.Context, id ID, p Part) (Entry, error) {
	e := Entry{ID: id, Part: p}
	if err := id.Check(); err != nil {
		return e, err
	}
	a, err := s.Open(ctx, id, p)
	switch {
	case err == nil:
		e.State, e.Manifest, e.Digest = Whole, &a.Manifest, a.Digest
	case errors.Is(err, ErrDamaged):
		e.State, e.Err = Damaged, err
	case errors.Is(err, ErrFormat):
		e.State, e.Err = Foreign, err
	case errors.Is(err, ErrHalf):
		e.State = Half
		writing, err := s.at.writing(id, p)
		switch {
		case errors.Is(err, fs.ErrNotExist): // finished or discarded since we looked
			return s.Look(ctx, id, p)
		case err != nil:
			return e, fmt.Errorf("snapshot %s, %s: %w", id, p, err)
		case writing:
			e.State = Writing
		}
	case errors.Is(err, ErrNotFound):
		e.State = Absent
	default:
		return e, err
	}
	return e, nil
}

// Discard removes owner's half-made part; that there is none is fine. A whole part stays: later rehearsals use it.
func (s *Store) Discard(ctx context.Context, owner ID, id ID, p Part) error {
	if err := id.Check(); err != nil {
		return err
	}
	if owner != id {
		return fmt.Errorf("snapshot %s, %s: run %s may not discard it: %w", id, p, owner, ErrNotOwner)
	}
	if err := s.at.discard(ctx, id, p); err != nil {
		return fmt.Errorf("discard snapshot %s, %s: %w", id, p, err)
	}
	return nil
}
