package snapshot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Kept is a file that an earlier attempt of the same run finished, with what it noted of it.
type Kept struct {
	File File
	Note json.RawMessage
}

// note is what lies beside a finished file until the part is committed.
type note struct {
	File File            `json:"file"`
	Note json.RawMessage `json:"note"`
}

func notePath(dir, name string) string { return filepath.Join(dir, "."+name+".note") }

// Resume is Begin for a part that can be gone on with: files that an earlier attempt of the same run closed with CloseNoted, and that are
// still what was written, are in the part already and are given back. All else that it left is removed.
func (s *Store) Resume(ctx context.Context, owner ID, p Part, expect int64) (*Writer, []Kept, error) {
	var kept []Kept
	w, err := s.begin(owner, p, expect, func(w *Writer) (err error) {
		kept, err = w.keep(ctx)
		return err
	})
	return w, kept, err
}

// keep adopts the noted files and removes everything else. A note without its file, or with another than it says, is worth nothing.
func (w *Writer) keep(ctx context.Context) ([]Kept, error) {
	dir := w.store.half(w.id, w.part)
	left, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var kept []Kept
	good := map[string]bool{}
	for _, e := range left {
		name, is := strings.CutSuffix(e.Name(), ".note")
		name, hidden := strings.CutPrefix(name, ".")
		if !is || !hidden {
			continue
		}
		n, err := readNote(dir, name)
		if err != nil {
			continue // torn: the file is read again
		}
		a := Artifact{Manifest: Manifest{ID: w.id, Part: w.part}, dir: dir}
		switch err := a.verifyFile(ctx, n.File, func(int64) {}); {
		case errors.Is(err, ErrDamaged):
			continue
		case err != nil:
			return nil, err
		}
		good[name], good[e.Name()] = true, true
		kept = append(kept, Kept(n))
		w.files, w.stored = append(w.files, n.File), w.stored+n.File.Size
	}
	for _, e := range left {
		if !good[e.Name()] {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return nil, err
			}
		}
	}
	return kept, nil
}

func readNote(dir, name string) (n note, err error) {
	b, err := os.ReadFile(notePath(dir, name))
	if err == nil {
		err = json.Unmarshal(b, &n)
	}
	if err == nil && n.File.Name != name {
		err = ErrDamaged
	}
	return n, err
}

// CloseNoted is Close for a file that a later attempt can use again: v, as JSON, comes back with it from Resume. The note is durable when it
// returns, and the part's files have none when it is committed.
func (c *Chunk) CloseNoted(v any) (File, error) {
	f, err := c.Close()
	if err != nil {
		return f, err
	}
	body, err := json.Marshal(v)
	if err == nil {
		body, err = json.Marshal(note{f, body})
	}
	if err == nil {
		err = c.w.writeNote(f.Name, body)
	}
	if err != nil {
		return f, c.w.failed(f.Of, err)
	}
	return f, nil
}

func (w *Writer) writeNote(name string, body []byte) error {
	dir := w.store.half(w.id, w.part)
	path := notePath(dir, name)
	f, err := w.store.sys.create(path)
	if err != nil {
		return err
	}
	if _, err = f.Write(body); err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = syncDir(dir)
	}
	return err
}

// Discard gives a file up that is being written: it is removed, and the part goes on without it.
func (c *Chunk) Discard() error {
	_ = c.zip.Close() // it writes its end into a file that goes away
	_ = c.file.Close()
	c.w.mu.Lock()
	c.w.open--
	c.w.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	c.err = errDiscarded
	return c.w.remove(c.rec.Name)
}

var errDiscarded = errors.New("this file was discarded")

// Drop removes a finished file, and its note, from the part.
func (w *Writer) Drop(name string) error {
	w.mu.Lock()
	i := slices.IndexFunc(w.files, func(f File) bool { return f.Name == name })
	if i >= 0 {
		w.stored -= w.files[i].Size
		w.files = slices.Delete(w.files, i, i+1)
	}
	w.mu.Unlock()
	if i < 0 {
		return fmt.Errorf("snapshot %s, %s: no file %s to drop", w.id, w.part, name)
	}
	return w.remove(name)
}

func (w *Writer) remove(name string) error {
	dir := w.store.half(w.id, w.part)
	for _, path := range []string{notePath(dir, name), filepath.Join(dir, name)} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("drop a file of snapshot %s, %s: %w", w.id, w.part, err)
		}
	}
	return nil
}

// Leave ends the writer and leaves the half-made part for a later Resume. After a full disk use Abort: it gives the room back.
func (w *Writer) Leave() { w.unlock() }

// dropNotes removes the notes: the manifest is there and says it all.
func (w *Writer) dropNotes(dir string) error {
	notes, err := filepath.Glob(filepath.Join(dir, ".*.note"))
	for _, n := range notes {
		err = errors.Join(err, os.Remove(n))
	}
	return err
}

// Files are the part's finished files so far.
func (w *Writer) Files() []File {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.files)
}
