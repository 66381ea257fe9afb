package disk

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/treecopy/hostile"
	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// TestHostile copies trees while they change, and once more when they don't any more: then the copy is the same in everything.
func TestHostile(t *testing.T) {
	var hits hostile.Hits
	for seed := range uint64(6) {
		outside, from, to := t.TempDir(), t.TempDir(), t.TempDir()
		put(t, outside, "file", "outside")
		h, err := hostile.New(from, outside, seed, 150)
		must(t, err)
		src, dst := open(t, from), open(t, to)
		ctx, stop := context.WithCancel(t.Context())
		changed := make(chan error, 1)
		go func() { changed <- h.Mutate(ctx, 200*time.Microsecond) }()
		for until := time.Now().Add(300 * time.Millisecond); time.Now().Before(until); {
			pass(t, src, dst)
		}
		stop()
		must(t, <-changed)
		for _, w := range pass(t, src, dst) {
			if w.State != tree.Stable {
				t.Errorf("seed %d: %s is %c: %s", seed, w.Path, w.State, w.Why)
			}
		}
		different, err := hostile.Differences(from, to)
		must(t, err)
		for _, d := range different {
			t.Errorf("seed %d: %s", seed, d)
		}
		if shows(filepath.Join(outside, "file")) != "outside" {
			t.Error("outside was written")
		}
		t.Logf("seed %d hit %v", seed, h.Hits)
		hits.Add(h.Hits)
		must(t, os.RemoveAll(from))
		must(t, os.RemoveAll(to))
	}
	t.Logf("together %v", hits)
	if missing := hits.Missing(); missing != nil {
		t.Errorf("never hit: %v", missing)
	}
}

// pass is a pass that knows nothing of an earlier one: it sends everything, and takes away what is too much.
func pass(t *testing.T, src, dst *Disk) (told []tree.Written) {
	t.Helper()
	kinds := map[tree.Path]tree.Kind{}
	var dirs, rest, extra []tree.Path
	for _, s := range list(t, src) {
		kinds[s.Path] = s.Kind
		switch {
		case s.Kind == tree.Directory:
			dirs = append(dirs, s.Path)
		case s.Kind.Carried():
			rest = append(rest, s.Path)
		}
	}
	for _, s := range list(t, dst) {
		if kinds[s.Path] != s.Kind {
			extra = append(extra, s.Path)
		}
	}
	slices.Reverse(extra)
	must(t, dst.Remove(t.Context(), extra))
	for _, paths := range [][]tree.Path{dirs, rest} {
		w, err := carry(t.Context(), src, dst, paths...)
		must(t, err)
		told = append(told, w...)
	}
	slices.Reverse(dirs)
	of, ends := members(t, src, dirs...)
	var there []tree.Member
	for i, m := range of {
		if ends[i].State == tree.Stable && m.Kind == tree.Directory && slices.ContainsFunc(told, func(w tree.Written) bool { return w.Path == m.Path && w.State == tree.Stable }) {
			there = append(there, m)
		}
	}
	must(t, dst.Finish(t.Context(), there))
	return told
}
