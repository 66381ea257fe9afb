package shop

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// assetOwner is www-data in every Debian release, by number.
const assetOwner = 33

type assetKind int

const (
	regular assetKind = iota
	hardLink
	symlink
)

// An asset is one name in the tree of assets.
type asset struct {
	path    string // relative to the root
	kind    assetKind
	target  string // of a link: relative to the root for a hard link, to the link for a symlink
	content int    // of a file: equal numbers have equal bytes
	size    int    // about; 0 is an empty file
}

// oddNames are names as people give them. The last isn't UTF-8.
var oddNames = []string{
	"Zomer actie 2025 (kopie).png", "Überraschung ☀️.png", "日本語の写真.png", "100% katoen & wol.png", "it's \"quoted\".png", "trailing space .png",
	"-rf.png", "semi;colon|pipe$dollar`tick.png", "back\\slash.png", ".hidden.png", "new\nline.png", "caf\xe9.png",
}

// servable is how many of oddNames a product's picture may have: the rest aren't text that a row could hold, or
// aren't fit for a URL.
const servable = 4

// assets is the tree, in an order in which every link comes after what it points at, but for one that dangles.
func (s Size) assets() []asset {
	all := make([]asset, 0, s.Files)
	add := func(a asset) { all = append(all, a) }
	for i, name := range oddNames {
		add(asset{path: path.Join("campaigns/summer & co", name), content: -1 - i, size: 9000})
	}
	add(asset{path: "campaigns/empty.png"})
	add(asset{path: "campaigns/dangling.png", kind: symlink, target: "gone.png"})
	add(asset{path: "campaigns/2025", kind: symlink, target: "summer & co"})
	for p := 1; p <= s.Products(); p++ {
		if s.hasThumbnail(p) {
			add(asset{path: fmt.Sprintf("thumbs/%02x/%d.png", p%256, p), content: -1000 - p, size: s.sizeOf(-1000 - p)})
		}
	}
	for i := 0; len(all) < s.Files; i++ {
		a := asset{path: s.pictureAt(i), content: i, size: s.sizeOf(i)}
		switch {
		case i%100 == 97:
			a = asset{path: s.pictureAt(i), kind: hardLink, target: s.pictureAt(i - 1)}
		case i%100 == 98:
			a = asset{path: s.pictureAt(i), kind: symlink, target: "../../../" + s.pictureAt(i-2)}
		case i%25 == 24: // the same bytes under another name
			a.content, a.size = i-3, s.sizeOf(i-3)
		}
		add(a)
	}
	return all
}

func (s Size) sizeOf(content int) int {
	return 4096 + s.random("size", content).IntN(61_440)
}

func (s Size) pictureAt(i int) string {
	return fmt.Sprintf("catalogue/%02x/%02x/picture-%06d.png", i%31, i/31%16, i)
}

// imageOf is the path of a product's picture; a few have none.
func (s Size) imageOf(product int) any {
	switch {
	case product%97 == 0:
		return nil
	case product%101 == 0:
		return "campaigns/summer & co/" + oddNames[product%servable]
	}
	return s.pictureAt((product * 3) % (s.Files / 2)) // at most Files/8 thumbnails and a few odd ones come before the pictures
}

// SeedFiles makes the tree of assets under root, which exists, with several writers. As root, everything belongs to
// www-data; as another user, to that user. It reports names done of all, and bytes. An error leaves a part of it.
func SeedFiles(ctx context.Context, root string, s Size, writers int, report func(names, total, bytes int64)) error {
	if err := s.Check(); err != nil {
		return err
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(root, assetOwner, assetOwner); err != nil {
			return fmt.Errorf("give the assets to www-data: %w", err)
		}
	}
	dir, err := os.Open(root)
	if err != nil {
		return fmt.Errorf("open the assets: %w", err)
	}
	defer dir.Close()
	all := s.assets()
	w := &assetWriter{dir: int(dir.Fd()), size: s, total: int64(len(all)), report: report}
	// A link needs what it points at: directories first, then files, then links.
	for _, d := range directories(all) {
		if err := w.mkdir(d); err != nil {
			return err
		}
	}
	var files, links []asset
	for _, a := range all {
		if a.kind == regular {
			files = append(files, a)
		} else {
			links = append(links, a)
		}
	}
	for _, part := range [][]asset{files, links} {
		if err := w.each(ctx, writers, part); err != nil {
			return err
		}
	}
	return nil
}

// directories are all directories of the tree, parents first, and one that stays empty.
func directories(all []asset) []string {
	seen := map[string]bool{".": true}
	var list []string
	var need func(d string)
	need = func(d string) {
		if !seen[d] {
			seen[d] = true
			need(path.Dir(d))
			list = append(list, d)
		}
	}
	for _, a := range all {
		need(path.Dir(a.path))
	}
	need("campaigns/empty")
	return list
}

// An assetWriter makes names below one open directory: one system call a name, whatever lies on the way to it.
type assetWriter struct {
	dir    int
	size   Size
	total  int64
	names  atomic.Int64
	bytes  atomic.Int64
	report func(names, total, bytes int64)
}

func (w *assetWriter) each(ctx context.Context, writers int, part []asset) error {
	return asOwner(ctx, writers, len(part), func(i int) error {
		n, err := w.write(part[i])
		if err != nil {
			return fmt.Errorf("make asset %q: %w", part[i].path, err)
		}
		w.report(w.names.Add(1), w.total, w.bytes.Add(int64(n)))
		return nil
	})
}

// asOwner runs do(0) to do(n-1) on several threads whose new files belong to www-data, where this process may say
// so: one call less for each file than changing the owner afterwards, which counts on a network file system.
func asOwner(ctx context.Context, threads, n int, do func(int) error) error {
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range max(1, threads) {
		group.Go(func() error {
			if os.Geteuid() == 0 {
				runtime.LockOSThread() // never unlocked: the thread ends with the goroutine, and its identity with it
				if err := fileIdentity(assetOwner); err != nil {
					return err
				}
			}
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := do(int(i)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

func (w *assetWriter) mkdir(name string) error {
	err := unix.Mkdirat(w.dir, name, 0o755)
	if err == nil && os.Geteuid() == 0 {
		err = unix.Fchownat(w.dir, name, assetOwner, assetOwner, unix.AT_SYMLINK_NOFOLLOW)
	}
	if err != nil {
		return fmt.Errorf("make directory %q: %w", name, err)
	}
	return nil
}

func (w *assetWriter) write(a asset) (int, error) {
	switch a.kind {
	case hardLink:
		return 0, unix.Linkat(w.dir, a.target, w.dir, a.path, 0)
	case symlink:
		return 0, unix.Symlinkat(a.target, w.dir, a.path)
	}
	body := w.size.body(a)
	fd, err := unix.Openat(w.dir, a.path, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return 0, err
	}
	f := os.NewFile(uintptr(fd), a.path)
	_, err = f.Write(body)
	return len(body), errors.Join(err, f.Close())
}

// body is what a regular file holds.
func (s Size) body(a asset) []byte {
	if a.size == 0 {
		return nil
	}
	return picture(s.random("picture", a.content), a.size)
}
