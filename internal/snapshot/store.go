package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Store is a directory of snapshots. Its methods may be called from many goroutines and processes.
type Store struct {
	dir string
	sys system
}

// At is the store in dir, which is made when the first snapshot is begun.
func At(dir string) (*Store, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("snapshot directory %q: %w", dir, err)
	}
	return &Store{abs, realSystem{}}, nil
}

// Dir is the store's directory, absolute.
func (s *Store) Dir() string { return s.dir }

func (s *Store) whole(id ID, p Part) string { return filepath.Join(s.dir, string(id), string(p)) }
func (s *Store) half(id ID, p Part) string {
	return filepath.Join(s.dir, string(id), "."+string(p)+".half")
}

// Free is how many bytes an ordinary user can still write into the store.
func (s *Store) Free() (int64, error) {
	dir := s.dir
	for {
		free, err := s.sys.free(dir)
		if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			return free, err
		}
		dir = filepath.Dir(dir)
	}
}

// State is how far a part has come.
type State string

// The states of a part. They are printed and part of the JSON output.
const (
	Absent  State = "absent"
	Half    State = "half"    // begun and left
	Writing State = "writing" // a process is at it now
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
	dirs, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list snapshots: %w", err)
	}
	var out []Entry
	for _, d := range dirs {
		if !d.IsDir() || ID(d.Name()).Check() != nil {
			continue // not ours: a stray file does no harm here
		}
		for _, p := range Parts() {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			e, err := s.Look(ID(d.Name()), p)
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
func (s *Store) Look(id ID, p Part) (Entry, error) {
	e := Entry{ID: id, Part: p}
	if err := id.Check(); err != nil {
		return e, err
	}
	a, err := s.Open(id, p)
	switch {
	case err == nil:
		e.State, e.Manifest, e.Digest = Whole, &a.Manifest, a.Digest
	case errors.Is(err, ErrDamaged):
		e.State, e.Err = Damaged, err
	case errors.Is(err, ErrFormat):
		e.State, e.Err = Foreign, err
	case errors.Is(err, ErrHalf):
		e.State = Half
		unlock, err := lock(s.half(id, p))
		switch {
		case errors.Is(err, ErrBusy):
			e.State = Writing
		case errors.Is(err, fs.ErrNotExist): // finished or discarded since we looked
			return s.Look(id, p)
		case err != nil:
			return e, fmt.Errorf("snapshot %s, %s: %w", id, p, err)
		default:
			unlock()
		}
	case errors.Is(err, ErrNotFound):
		e.State = Absent
	default:
		return e, err
	}
	return e, nil
}

// Discard removes owner's half-made part; that there is none is fine. A whole part stays: later rehearsals use it.
func (s *Store) Discard(owner ID, id ID, p Part) error {
	if err := id.Check(); err != nil {
		return err
	}
	if owner != id {
		return fmt.Errorf("snapshot %s, %s: run %s may not discard it: %w", id, p, owner, ErrNotOwner)
	}
	unlock, err := lock(s.half(id, p))
	if errors.Is(err, fs.ErrNotExist) {
		return s.dropEmpty(id)
	}
	if err != nil {
		return fmt.Errorf("discard snapshot %s, %s: %w", id, p, err)
	}
	defer unlock()
	if err := os.RemoveAll(s.half(id, p)); err != nil {
		return fmt.Errorf("discard snapshot %s, %s: %w", id, p, err)
	}
	return s.dropEmpty(id)
}

// dropEmpty removes a snapshot's directory when nothing is in it.
func (s *Store) dropEmpty(id ID) error {
	dir := filepath.Join(s.dir, string(id))
	left, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(left) > 0 {
		return nil
	}
	if err == nil {
		err = os.Remove(dir)
	}
	if err != nil {
		return fmt.Errorf("discard snapshot %s: %w", id, err)
	}
	return syncDir(s.dir)
}
