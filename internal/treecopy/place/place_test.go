package place

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/slipway-dev/slipway/internal/treecopy/agent"
	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// fill makes a small tree.
func fill(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "a/b"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"a/b/c": "contents", "a/\xff\n": "", "z": strings.Repeat("large", 1<<18)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

var filled = []tree.Path{"", "a", "a/b", "a/b/c", "a/\xff\n", "z"}

// A tree goes from one host to another, many calls at once, and afterwards nothing is left on either.
func TestOverSSH(t *testing.T) {
	ctx := t.Context()
	from, to := newHost(t), newHost(t)
	from.options.ReadOnly = true
	dir := t.TempDir()
	src, srcCloser := from.open(fill(t))
	dst, dstCloser := to.open(dir)
	listed, err := names(ctx, src)
	if err != nil || len(listed) != len(filled) {
		t.Fatalf("%q, %v", listed, err)
	}
	for i, p := range filled {
		if listed[i] != string(p) {
			t.Errorf("%q is at %d, not %q", listed[i], i, p)
		}
	}
	if _, err := dst.Probe(ctx); err != nil {
		t.Fatal(err)
	}
	copyPaths(t, src, dst, []tree.Path{"a", "a/b"})
	var wg sync.WaitGroup
	for _, p := range filled[3:] {
		wg.Go(func() { copyPaths(t, src, dst, []tree.Path{p}) })
	}
	wg.Wait()
	sums := map[tree.Path][32]byte{}
	err = dst.Hash(ctx, filled[3:], func(s tree.Sum) error {
		sums[s.Path] = s.End.Sum
		return nil
	})
	if err != nil || len(sums) != 3 || sums["a/b/c"] != sha256.Sum256([]byte("contents")) {
		t.Errorf("%x, %v", sums, err)
	}
	if err := dst.Remove(ctx, []tree.Path{"a/b/c", "a/b"}); err != nil {
		t.Error(err)
	}
	if err := dst.Sweep(ctx); err != nil {
		t.Error(err)
	}
	if got, err := names(ctx, dst); err != nil || !slices.Equal(got, []string{"", "a", "a/\xff\n", "z"}) {
		t.Errorf("%q, %v", got, err)
	}
	for what, err := range map[string]error{
		"Write": src.Write(ctx, strings.NewReader(""), nil), "Remove": src.Remove(ctx, []tree.Path{"z"}),
		"Finish": src.Finish(ctx, nil), "Sweep": src.Sweep(ctx),
	} {
		if !errors.Is(err, agent.ErrReadOnly) {
			t.Errorf("%s at a source: %v", what, err)
		}
	}
	uploads, again := to.starts()
	if uploads != 1 || again == 0 {
		t.Errorf("the agent was sent %d times, and started from itself %d times", uploads, again)
	}
	if err := errors.Join(srcCloser.Close(), dstCloser.Close()); err != nil {
		t.Error(err)
	}
	from.clean("the source was closed")
	to.clean("the target was closed")
}

// copyPaths copies entries, and says what isn't well of any.
func copyPaths(t *testing.T, src tree.Source, dst tree.Target, paths []tree.Path) {
	t.Helper()
	r, w := io.Pipe()
	go func() { w.CloseWithError(src.Read(t.Context(), paths, w)) }()
	var got []tree.Path
	err := dst.Write(t.Context(), r, func(x tree.Written) error {
		if got = append(got, x.Path); x.State != tree.Stable {
			t.Errorf("%s: %c %s", x.Path, x.State, x.Why)
		}
		return nil
	})
	r.CloseWithError(err)
	if err != nil || !slices.Equal(got, paths) {
		t.Errorf("%q: %q, %v", paths, got, err)
	}
}

// A local place is a tree, too, and one that is a source can't be written.
func TestLocal(t *testing.T) {
	dir := fill(t)
	d, closer, err := Open(t.Context(), Place{Kind: Local, Path: dir}, Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer closer.Close()
	if got, err := names(t.Context(), d); err != nil || len(got) != len(filled) {
		t.Errorf("%q, %v", got, err)
	}
	_, probe := d.Probe(t.Context())
	for what, err := range map[string]error{
		"Probe": probe, "Write": d.Write(t.Context(), bytes.NewReader(nil), nil), "Remove": d.Remove(t.Context(), []tree.Path{"z"}),
		"Finish": d.Finish(t.Context(), nil), "Sweep": d.Sweep(t.Context()),
	} {
		if !errors.Is(err, agent.ErrReadOnly) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, _, err := Open(t.Context(), Place{Kind: Local, Path: dir + "/z"}, Options{}); !errors.Is(err, tree.ErrNoTree) {
		t.Error(err)
	}
}

var errEnough = errors.New("enough")

func TestWrongPlaces(t *testing.T) {
	h := newHost(t)
	if _, _, err := Open(t.Context(), h.place("/nowhere"), h.options); !errors.Is(err, tree.ErrNoTree) || !strings.Contains(err.Error(), h.place("/nowhere").String()) {
		t.Errorf("no directory: %v", err)
	}
	o := h.options
	o.AgentDir = t.TempDir()
	if _, _, err := Open(t.Context(), h.place("/"), o); !errors.Is(err, ErrNoAgent) || !strings.Contains(err.Error(), filepath.Join(o.AgentDir, "slipway-agent")) {
		t.Errorf("no agent: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errEnough)
	if _, _, err := Open(ctx, h.place("/"), h.options); !errors.Is(err, errEnough) {
		t.Errorf("a cancelled call: %v", err)
	}
	h.clean("nothing was opened")
}
