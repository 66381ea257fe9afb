package disk

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/internal/treecopy/tree"
)

// benchTree is a tree of files of one size, 100 to a directory, in a directory that SLIPWAY_BENCH_DIR names or in the test's own.
func benchTree(b *testing.B, files, size int) (d *Disk, dirs, paths []tree.Path) {
	b.Helper()
	root, err := os.MkdirTemp(os.Getenv("SLIPWAY_BENCH_DIR"), "disk")
	must(b, err)
	b.Cleanup(func() { os.RemoveAll(root) })
	data := strings.Repeat("0123456789abcdef", size/16)
	for i := range files {
		dir := tree.Path(fmt.Sprintf("dir-%05d", i/100))
		if i%100 == 0 {
			must(b, os.Mkdir(filepath.Join(root, string(dir)), 0o755))
			dirs = append(dirs, dir)
		}
		p := dir.Join(fmt.Sprintf("a-picture-%07d.jpg", i))
		must(b, os.WriteFile(filepath.Join(root, string(p)), []byte(data), 0o644))
		paths = append(paths, p)
	}
	return open(b, root), dirs, paths
}

func perSecond(b *testing.B, entries, size int) {
	b.ReportMetric(float64(entries)*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
	if size > 0 {
		b.SetBytes(int64(entries) * int64(size))
	}
}

var sizes = []struct{ files, size int }{{5_000, 16 << 10}, {8, 64 << 20}}

func BenchmarkList(b *testing.B) {
	const files = 100_000
	d, _, _ := benchTree(b, files, 0)
	for b.Loop() {
		must(b, d.List(b.Context(), func(tree.Stat) error { return nil }))
	}
	perSecond(b, files, 0)
}

func BenchmarkRead(b *testing.B) {
	for _, x := range sizes {
		b.Run(fmt.Sprint(x.size), func(b *testing.B) {
			d, _, paths := benchTree(b, x.files, x.size)
			for b.Loop() {
				must(b, d.Read(b.Context(), paths, io.Discard))
			}
			perSecond(b, x.files, x.size)
		})
	}
}

func BenchmarkHash(b *testing.B) {
	for _, x := range sizes {
		b.Run(fmt.Sprint(x.size), func(b *testing.B) {
			d, _, paths := benchTree(b, x.files, x.size)
			for b.Loop() {
				must(b, d.Hash(b.Context(), paths, func(tree.Sum) error { return nil }))
			}
			perSecond(b, x.files, x.size)
		})
	}
}

// BenchmarkCopy is Read into Write of a tree that isn't there. (Over one that is there, ext4 spends its time on not giving out the inodes of files
// that were deleted a short while ago.)
func BenchmarkCopy(b *testing.B) {
	for _, x := range sizes {
		b.Run(fmt.Sprint(x.size), func(b *testing.B) {
			d, dirs, paths := benchTree(b, x.files, x.size)
			all, err := os.MkdirTemp(os.Getenv("SLIPWAY_BENCH_DIR"), "disk")
			must(b, err)
			b.Cleanup(func() { os.RemoveAll(all) })
			for b.Loop() {
				root, err := os.MkdirTemp(all, "")
				must(b, err)
				dst := open(b, root)
				benchCarry(b, d, dst, dirs)
				benchCarry(b, d, dst, paths)
			}
			perSecond(b, x.files, x.size)
		})
	}
}

func benchCarry(b *testing.B, src, dst *Disk, paths []tree.Path) {
	told, err := carry(context.Background(), src, dst, paths...)
	must(b, err)
	for _, w := range told {
		if w.State != tree.Stable {
			b.Fatalf("%s: %s", w.Path, w.Why)
		}
	}
}
