package pass

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// many is a source of a million entries that holds none of them.
type many struct {
	*memory
	n int
}

// List makes them up.
func (m many) List(ctx context.Context, each func(tree.Stat) error) error {
	s := tree.Stat{Kind: tree.Directory, Mode: 0o755, CTime: began, MTime: began, Inode: 1}
	if err := each(s); err != nil {
		return err
	}
	for i := range m.n {
		s.Path = tree.Path(fmt.Sprintf("assets/%03d", i/1000))
		s.Inode++
		if i%1000 == 0 {
			if i == 0 {
				dir := s
				dir.Path, dir.Kind = "assets", tree.Directory
				if err := each(dir); err != nil {
					return err
				}
			}
			s.Kind, s.Names, s.Size = tree.Directory, 2, 4096
			if err := each(s); err != nil {
				return err
			}
		}
		s.Path, s.Kind, s.Names, s.Size = s.Path+tree.Path(fmt.Sprintf("/product-image-%06d.jpg", i)), tree.File, 1, 1000
		if err := each(s); err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkNothingChanged is a pass over a million entries of which none has changed: to list, to compare with the manifest. The listing costs next to
// nothing here, so this is what the pass itself costs; heap is the most that was seen of it, looked at each 50,000 entries.
func BenchmarkNothingChanged(b *testing.B) {
	src, dst := many{newMemory("source"), 1_000_000}, newMemory("target")
	st, err := OpenState(b.TempDir(), "source", "target")
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	if _, err := st.bind(dst.keeps.Root); err != nil {
		b.Fatal(err)
	}
	var run []Entry
	flush := func() {
		if err := st.record(run); err != nil {
			b.Fatal(err)
		}
		run = run[:0]
	}
	err = src.List(b.Context(), func(s tree.Stat) error {
		if run = append(run, Entry{Stat: s, At: tree.Time{Sec: began.Sec + 100}}); len(run) == 1024 {
			flush()
		}
		return nil
	})
	if flush(); errors.Join(err, st.fold()) != nil {
		b.Fatal(err)
	}
	peak := uint64(0)
	for b.Loop() {
		seen := 0
		r, err := Run(b.Context(), watched{src, func() {
			if seen++; seen%50_000 == 0 {
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				peak = max(peak, m.HeapInuse)
			}
		}}, dst, st, Options{})
		if err != nil || r.Kept != r.Listed || r.Listed < 1_001_000 {
			b.Fatalf("%v, %+v", err, r)
		}
	}
	b.ReportMetric(float64(peak)/(1<<20), "MiB-heap")
}

type watched struct {
	many
	each func()
}

// List counts what it lists.
func (w watched) List(ctx context.Context, each func(tree.Stat) error) error {
	return w.many.List(ctx, func(s tree.Stat) error { w.each(); return each(s) })
}
