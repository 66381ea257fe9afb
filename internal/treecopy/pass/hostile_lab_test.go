//go:build lab

package pass_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/internal/treecopy/disk"
	"github.com/slipway-dev/slipway/internal/treecopy/hostile"
	"github.com/slipway-dev/slipway/internal/treecopy/pass"
)

// TestHostile: trees that are hard to copy, that change while passes run and are stopped anywhere, are the same in the end, as an oracle says that shares
// no code with the copy; and a comparison of both finds nothing.
func TestHostile(t *testing.T) {
	var hits hostile.Hits
	for seed := uint64(1); seed <= 3; seed++ {
		dir := t.TempDir()
		at := func(name string) string { return filepath.Join(dir, name) }
		for _, d := range []string{"src", "dst", "outside"} {
			if err := os.Mkdir(at(d), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		made, err := hostile.New(at("src"), at("outside"), seed, 400)
		if err != nil {
			t.Fatal(err)
		}
		src, dst := open(t, at("src")), open(t, at("dst"))
		st, err := pass.OpenState(at("state"), "src", "dst")
		if err != nil {
			t.Fatal(err)
		}
		o := pass.Options{Delete: true, Batch: pass.Batch{Files: 40, Bytes: 1 << 20}}
		changing, still := context.WithCancel(t.Context())
		mutated := make(chan error, 1)
		go func() { mutated <- made.Mutate(changing, time.Millisecond) }()
		stopped := 0
		for i := range 6 {
			ctx, stop := context.WithTimeout(t.Context(), time.Duration(20+60*i)*time.Millisecond)
			if _, err := pass.Run(ctx, src, dst, st, o); errors.Is(err, context.DeadlineExceeded) {
				stopped++
			} else if err != nil {
				t.Logf("seed %d: while it changed: %v", seed, err)
			}
			stop()
		}
		still()
		if err := <-mutated; err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		hits.Add(made.Hits)
		if stopped == 0 {
			t.Errorf("seed %d: no pass was stopped in its middle", seed)
		}
		o.Verify = true
		for range 2 { // a change in the tick in which the first one read shows to the second
			time.Sleep(2100 * time.Millisecond)
			if _, err := pass.Run(t.Context(), src, dst, st, o); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		diffs, err := hostile.Differences(at("src"), at("dst"))
		if err != nil || len(diffs) > 0 {
			t.Errorf("seed %d: %v, %d differences: %.10q", seed, err, len(diffs), diffs)
		}
		c, err := pass.Verify(t.Context(), src, dst, st, o, false)
		if err != nil || !c.Same() || c.Files == 0 {
			t.Errorf("seed %d: %v, %+v", seed, err, c)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Logf("hit: %s", hits)
	if missing := hits.Missing(); len(missing) > 0 {
		t.Errorf("never hit: %v", missing)
	}
}

func open(t *testing.T, root string) *disk.Disk {
	t.Helper()
	d, err := disk.Open(root, disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}
