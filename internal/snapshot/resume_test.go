package snapshot

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

func put(t *testing.T, w *Writer, name, text string, note any) {
	t.Helper()
	c, err := w.Create(t.Context(), name, "of "+name)
	if err == nil {
		_, err = c.Write([]byte(text))
	}
	if err == nil && note != nil {
		_, err = c.CloseNoted(t.Context(), note)
	} else if err == nil {
		_, err = c.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestResumeKeepsWhatWasNoted(t *testing.T) {
	s, err := At(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	const id = "20261123-010203-7f3a"
	w, kept, err := s.Resume(t.Context(), id, Assets, 0)
	if err != nil || len(kept) != 0 {
		t.Fatal(kept, err)
	}
	for _, n := range []string{"good", "altered", "torn-note", "dropped"} {
		put(t, w, n, "text of "+n, map[string]string{"is": n})
	}
	put(t, w, "not-noted", "x", nil)
	if _, err := w.Create(t.Context(), "open", "under way"); err != nil {
		t.Fatal(err)
	}
	if err := w.Drop(t.Context(), "dropped"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Resume(t.Context(), id, Assets, 0); !errors.Is(err, ErrBusy) {
		t.Errorf("while it is written: %v", err)
	}
	w.Leave()
	half := s.at.(*directory).halfPath(id, Assets)
	b, err := os.ReadFile(filepath.Join(half, "altered"))
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-1] ^= 1
	if err := errors.Join(os.WriteFile(filepath.Join(half, "altered"), b, 0o600), os.Truncate(filepath.Join(half, noteName("torn-note")), 9)); err != nil {
		t.Fatal(err)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if _, _, err := s.Resume(stopped, id, Assets, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("told to stop: %v", err)
	}
	w, kept, err = s.Resume(t.Context(), id, Assets, 0)
	if err != nil {
		t.Fatal(err)
	}
	var note map[string]string
	if len(kept) != 1 || kept[0].File.Name != "good" || json.Unmarshal(kept[0].Note, &note) != nil || note["is"] != "good" {
		t.Fatalf("kept %+v", kept)
	}
	c, err := w.Create(t.Context(), "given-up", "x")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Discard(t.Context()); err != nil {
		t.Fatal(err)
	}
	put(t, w, "later", "more", map[string]string{})
	art, err := w.Commit(t.Context(), Contents{})
	if err != nil {
		t.Fatal(err)
	}
	if err := art.Verify(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if len(art.Manifest.Files) != 2 {
		t.Errorf("the artifact has %+v", art.Manifest.Files)
	}
	left, err := os.ReadDir(art.Path())
	if err != nil || len(left) != 3 {
		t.Errorf("left: %v, %v", left, err)
	}
	r, err := art.Read(t.Context(), kept[0].File)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if text, err := io.ReadAll(r); string(text) != "text of good" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	if _, _, err := s.Resume(t.Context(), id, Assets, 0); !errors.Is(err, ErrExists) {
		t.Errorf("when it is whole: %v", err)
	}
}
