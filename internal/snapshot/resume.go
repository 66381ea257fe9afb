package snapshot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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

func noteName(name string) string { return "." + name + ".note" }

// Resume is Begin for a part that can be gone on with: files that an earlier attempt of the same run closed with CloseNoted, and that are
// still what was written, are in the part already and are given back. All else that it left is removed.
func (s *Store) Resume(ctx context.Context, owner ID, p Part, expect int64) (*Writer, []Kept, error) {
	var kept []Kept
	w, err := s.begin(ctx, owner, p, expect, func(w *Writer) (err error) {
		kept, err = w.keep(ctx)
		return err
	})
	return w, kept, err
}

// keep adopts the noted files and removes everything else. A note without its file, or with another than it says, is worth nothing.
func (w *Writer) keep(ctx context.Context) ([]Kept, error) {
	left, err := w.at.names(ctx)
	if err != nil {
		return nil, err
	}
	var kept []Kept
	var bad []string
	good := map[string]bool{}
	a := Artifact{Manifest: Manifest{ID: w.id, Part: w.part}, files: w.at}
	for _, note := range left {
		name, is := strings.CutSuffix(note, ".note")
		name, hidden := strings.CutPrefix(name, ".")
		if !is || !hidden {
			continue
		}
		n, err := w.readNote(ctx, name)
		if err == nil {
			err = a.verifyFile(ctx, n.File, func(int64) {})
		}
		switch {
		case errors.Is(err, ErrDamaged):
			continue // torn: the file is read again
		case err != nil:
			return nil, err
		}
		good[name], good[note] = true, true
		kept = append(kept, Kept(n))
		w.files, w.stored = append(w.files, n.File), w.stored+n.File.Size
	}
	for _, name := range left {
		if !good[name] {
			bad = append(bad, name)
		}
	}
	return kept, w.at.remove(ctx, bad...)
}

func (w *Writer) readNote(ctx context.Context, name string) (n note, err error) {
	r, err := w.at.open(ctx, noteName(name))
	if err != nil {
		return n, err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err == nil && (json.Unmarshal(b, &n) != nil || n.File.Name != name) {
		err = ErrDamaged
	}
	return n, err
}

// CloseNoted is Close for a file that a later attempt can use again: v, as JSON, comes back with it from Resume. The note is durable when it
// returns, and the part's files have none when it is committed.
func (c *Chunk) CloseNoted(ctx context.Context, v any) (File, error) {
	f, err := c.Close()
	if err != nil {
		return f, err
	}
	body, err := json.Marshal(v)
	if err == nil {
		body, err = json.Marshal(note{f, body})
	}
	if err == nil {
		err = c.w.at.put(ctx, noteName(f.Name), body)
	}
	if err != nil {
		return f, c.w.failed(f.Of, err)
	}
	return f, nil
}

// Discard gives a file up that is being written: it is removed, and the part goes on without it.
func (c *Chunk) Discard(ctx context.Context) error {
	c.file.giveUp()
	_ = c.zip.Close() // it writes its end into a file that has gone away
	c.w.mu.Lock()
	c.w.open--
	c.w.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	c.err = errDiscarded
	return c.w.remove(ctx, c.rec.Name)
}

var errDiscarded = errors.New("this file was discarded")

// Drop removes a finished file, and its note, from the part.
func (w *Writer) Drop(ctx context.Context, name string) error {
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
	return w.remove(ctx, name)
}

func (w *Writer) remove(ctx context.Context, name string) error {
	if err := w.at.remove(ctx, noteName(name), name); err != nil {
		return fmt.Errorf("drop a file of snapshot %s, %s: %w", w.id, w.part, err)
	}
	return nil
}

// Leave ends the writer and leaves the half-made part for a later Resume. After a full disk use Abort: it gives the room back.
func (w *Writer) Leave() { w.at.leave() }

// dropNotes removes the notes: the manifest will say it all.
func (w *Writer) dropNotes(ctx context.Context) error {
	names, err := w.at.names(ctx)
	if err != nil {
		return err
	}
	return w.at.remove(ctx, slices.DeleteFunc(names, func(n string) bool { return n[0] != '.' || !strings.HasSuffix(n, ".note") })...)
}

// Files are the part's finished files so far.
func (w *Writer) Files() []File {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.files)
}
